//! What is refused before any part of the broker looks at it: it has a sentence, a remedy, a code and a record all the same.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::samba::{Options, SambaAd};

/// The codes of the records that no part of the broker wrote itself.
fn at_the_door(product: &Product) -> ticketgate_tests::Result<Vec<Value>> {
    let unheard = |record: &Value| record["action"] == "request.refused" && record["actor"] == "tech1";
    Ok(product.audit()?.into_iter().filter(unheard).map(|record| record["details"].clone()).collect())
}

#[test]
fn a_request_that_nobody_understands_is_refused_with_a_remedy_and_recorded() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("rate = { per_minute = 100 }"))?;
    let mut fraction = wish("acme-server-admin");
    fraction["duration_s"] = json!(1.5);
    let mut spelled = wish("acme-server-admin");
    spelled["customer"] = json!("Acme Corp");
    let key = new_key();
    for (path, key, body, status, code, says) in [
        ("/v1/sessions", Some(&key), fraction, 400, "malformed_request", "duration_s"),
        ("/v1/sessions", Some(&key), spelled, 400, "malformed_request", "customer id"),
        ("/v1/sessions", None, wish("acme-server-admin"), 400, "malformed_request", "Idempotency-Key"),
        ("/v1/sessions/s-1/end", None, json!({}), 400, "malformed_request", "Idempotency-Key"),
        ("/v1/sessions/No Such/end", Some(&key), json!({}), 404, "unknown_session", "session id"),
        ("/v1/end-all", Some(&key), json!({}), 400, "malformed_request", "whose"),
        ("/v1/audit", Some(&key), json!({}), 404, "unknown_method", "no such route"),
        ("/v2/sessions", Some(&key), json!({}), 404, "unknown_method", "no such route"),
    ] {
        let before = at_the_door(&product)?.len();
        let path = path.replace(' ', "%20");
        let answer = product.api("POST", &path, key.map(String::as_str), &body)?;
        let problem = answer.json()?;
        assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{path} {body}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(says)), "{problem}");
        assert!(problem["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        let records = at_the_door(&product)?;
        assert_eq!(records.len(), before + 1, "{path} {body}: {records:?}");
        assert_eq!(records[before]["code"], code, "{records:?}");
    }
    assert!(product.sessions()?.is_empty());
    Ok(())
}

#[test]
fn the_command_line_lets_the_broker_refuse_so_that_it_is_on_record() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let others = Policy {
        id: "acme-leads",
        name: "For leads",
        groups: vec!["leads"],
        rights: vec![ad.group("tier1").to_owned()],
        ..Policy::default()
    };
    let product = Product::start(&Configuration::standard(&ad).policy(&others))?;
    for (policy, code) in [("acme-nothing", "unknown_policy"), ("acme-leads", "not_eligible")] {
        let said = product.cli(&["activate", policy, "--reason", "let me in"])?;
        assert!(!said.succeeded() && said.stderr.contains(&format!("[{code}]")), "{said:?}");
        let audit = product.audit()?;
        let last = audit.last().map(|record| (&record["action"], &record["details"]["code"]));
        assert_eq!(last, Some((&json!("activation.refused"), &json!(code))), "{audit:?}");
    }
    Ok(())
}

#[test]
fn somebody_who_is_no_technician_is_on_record_once_a_minute() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    // The same person, no longer in the configuration.
    let configuration = Configuration::empty().customer("acme", "Acme Corp", &[]).technician(
        "tech9",
        "somebody-else",
        &[],
        &[],
    );
    product.configure(&configuration)?;
    ticketgate_tests::patience::until(
        "the configuration to count",
        ticketgate_tests::patience::LIMIT,
        || Ok(product.api("GET", "/v1/broker", None, &Value::Null)?.json()?["technician"].is_null()),
    )?;
    for _ in 0..3 {
        let answer = product.ask_for(&wish("acme-server-admin"))?;
        assert_eq!((answer.status, &answer.json()?["code"]), (403, &json!("not_a_technician")));
    }
    let audit = product.audit()?;
    let strangers: Vec<_> = audit.iter().filter(|r| r["details"]["code"] == "not_a_technician").collect();
    assert_eq!(strangers.len(), 1, "{strangers:?}");
    assert!(strangers[0]["actor"].as_str().is_some_and(|who| who.starts_with("user:")), "{strangers:?}");
    Ok(())
}
