//! What bad input gets from the whole product: a sentence with a remedy, a stable code, a record in the audit log, and
//! nothing changed. Faulty frames are in the tests of the relay (`native-host/tests/relay`).
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Policy, Product, configuration::login};
use ticketgate_tests::samba::audit::Record;
use ticketgate_tests::samba::{Certificate, Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

/// The standard wish with some fields changed.
fn wish_with(policy: &str, fields: &Value) -> Value {
    let mut wish = wish(policy);
    for (name, value) in fields.as_object().into_iter().flatten() {
        wish[name.as_str()] = value.clone();
    }
    wish
}

/// Sends a wish that must be refused so: in words, on record, and without a trace in the directory.
fn is_refused(product: &Product, ad: &SambaAd, wish: &Value, status: u16, code: &str) -> Result<Value> {
    let before =
        (product.audit()?.len(), product.sessions()?.len(), ad.look()?.accounts_below(ad.account_unit())?);
    let answer = product.ask_for(wish)?;
    let problem = answer.json()?;
    assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{wish} got {problem}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    for field in ["detail", "remedy"] {
        let text = problem[field].as_str().unwrap_or_default();
        assert!(text.ends_with('.') && text.len() > 15 && !text.contains('\u{1b}'), "{field} of {problem}");
    }
    let after =
        (product.audit()?.len(), product.sessions()?.len(), ad.look()?.accounts_below(ad.account_unit())?);
    assert_eq!((before.1, &before.2), (after.1, &after.2), "{wish} changed something");
    let audit = product.audit()?;
    let record = audit.last().expect("a record");
    assert_eq!(after.0, before.0 + 1, "one record for {wish}");
    assert_eq!(record["action"], "activation.refused", "{record}");
    assert_eq!(record["actor"], "tech1", "{record}");
    assert_eq!(record["details"]["code"], code, "{record}");
    Ok(problem)
}

#[test]
fn what_nobody_may_have_is_refused_in_words_on_record_and_without_a_trace() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let others = Policy {
        id: "acme-leads",
        name: "For leads",
        groups: vec!["leads"],
        rights: vec![ad.group("tier1").to_owned()],
        ..Policy::default()
    };
    let product = Product::start(&Configuration::standard(&ad).policy(&others).generous())?;
    let policy = "acme-domain-admin";
    for (fields, status, code) in [
        (json!({"customer": "nobody"}), 404, "unknown_customer"),
        (json!({"customer": "globex"}), 404, "unknown_customer"),
        (json!({"policy": "acme-everything"}), 404, "unknown_policy"),
        (json!({"policy": "acme-leads"}), 403, "not_eligible"),
        (json!({"duration_s": 0}), 422, "bad_duration"),
        (json!({"duration_s": -3600}), 422, "bad_duration"),
        (json!({"duration_s": 4 * 3600 + 1}), 422, "bad_duration"),
        (json!({"duration_s": i64::MAX}), 422, "bad_duration"),
        (json!({"duration_s": i64::MIN}), 422, "bad_duration"),
        (json!({"reason": ""}), 422, "bad_reason"),
        (json!({"reason": "  \t "}), 422, "bad_reason"),
        (json!({"reason": "x".repeat(501)}), 422, "bad_reason"),
        (json!({"reason": "two\nlines"}), 422, "bad_reason"),
        (json!({"reason": "red \u{1b}[31m alert"}), 422, "bad_reason"),
        (json!({"reason": "reversed \u{202e} text"}), 422, "bad_reason"),
        (json!({"ticket": null}), 422, "ticket_required"),
        (json!({"ticket": {"number": ""}}), 422, "bad_ticket"),
        (json!({"ticket": {"number": "9".repeat(5000)}}), 422, "bad_ticket"),
        (json!({"ticket": {"number": "1", "url": "javascript:alert(1)"}}), 422, "bad_ticket"),
    ] {
        is_refused(&product, &ad, &wish_with(policy, &fields), status, code)?;
    }
    product.granted(&wish(policy))?;
    Ok(())
}

#[test]
fn a_body_that_is_no_wish_is_refused_and_the_broker_goes_on() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let mut unknown = wish("acme-server-admin");
    unknown["group"] = json!("CN=Domain Admins,CN=Users,DC=acme,DC=test");
    for body in [
        json!([]),
        json!("x"),
        json!({"policy": "acme-server-admin"}),
        json!({"customer": "../etc"}),
        unknown,
    ] {
        let answer = product.ask_for(&body)?;
        assert_eq!((answer.status, &answer.json()?["code"]), (400, &json!("malformed_request")), "{body}");
    }
    let huge = wish_with("acme-server-admin", &json!({"reason": "x".repeat(2_000_000)}));
    let answer = product.ask_for(&huge)?;
    assert_eq!((answer.status, &answer.json()?["code"]), (413, &json!("too_large")));
    let without_key = product.api("POST", "/v1/sessions", None, &wish("acme-server-admin"))?;
    assert_eq!(without_key.status, 400, "{}", without_key.text());
    let nowhere = product.api("GET", "/v2/everything", None, &Value::Null)?;
    assert_eq!((nowhere.status, &nowhere.json()?["code"]), (404, &json!("unknown_method")));
    assert!(product.sessions()?.is_empty());
    product.granted(&wish("acme-server-admin"))?;
    Ok(())
}

#[test]
fn more_sessions_at_once_than_allowed_are_refused_until_one_is_over() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("sessions_at_once = 2"))?;
    let first = product.granted(&wish("acme-server-admin"))?;
    product.granted(&wish("acme-burner"))?;
    is_refused(&product, &ad, &wish("acme-domain-admin"), 409, "too_many_sessions")?;
    product.cli_json(&["end", &first])?;
    product.granted(&wish("acme-domain-admin"))?;
    Ok(())
}

#[test]
fn a_flood_of_requests_is_stopped_also_across_a_restart_of_the_broker() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration =
        Configuration::standard(&ad).broker("rate = { per_minute = 3, per_hour = 50, per_day = 100 }");
    let mut product = Product::start(&configuration)?;
    let bad = wish_with("acme-server-admin", &json!({"duration_s": 0}));
    for _ in 0..3 {
        assert_eq!(product.ask_for(&bad)?.status, 422);
    }
    product.kill_broker()?;
    product.start_broker()?;
    let refused = product.ask_for(&wish("acme-server-admin"))?;
    let problem = refused.json()?;
    assert_eq!((refused.status, &problem["code"]), (429, &json!("rate_limited")), "{problem}");
    let wait = problem["retry_after_s"].as_u64().expect("when to come back");
    assert!((1..=60).contains(&wait), "{problem}");
    assert_eq!(problem["remedy"], format!("Try again in {wait} seconds."), "{problem}");
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert_eq!(product.ask_for(&bad)?.status, 429);
    let floods: Vec<_> =
        product.audit()?.into_iter().filter(|one| one["action"] == "requests.refused").collect();
    assert_eq!(floods.len(), 1, "a flood is one record a minute: {floods:?}");
    assert_eq!((&floods[0]["actor"], &floods[0]["outcome"]), (&json!("tech1"), &json!("refused")));
    assert_eq!(floods[0]["details"]["code"], "rate_limited", "{floods:?}");
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn somebody_who_is_no_technician_gets_nothing_and_is_told_nothing() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration =
        Configuration::standard(&ad).replace(&format!("login = \"{}\"", login()), "login = \"somebody\"")?;
    let product = Product::start(&configuration)?;
    for (method, path, body) in [
        ("POST", "/v1/sessions", wish("acme-server-admin")),
        ("POST", "/v1/preview", wish("acme-server-admin")),
        (
            "POST",
            "/v1/ticket",
            json!({"system": "halopsa", "number": "1", "url": "https://acme.halopsa.com/1"}),
        ),
        ("GET", "/v1/overview", Value::Null),
    ] {
        let answer = product.api(method, path, Some("a-key-of-a-stranger"), &body)?;
        assert_eq!((answer.status, &answer.json()?["code"]), (403, &json!("not_a_technician")), "{path}");
        assert!(!answer.text().contains("Server Admin"), "{}", answer.text());
    }
    assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty());
    Ok(())
}

/// A directory of which something is wrong: `check` says what, and an activation is undone whole.
fn check_finds_it(product: &Product, what: &str) -> Result<String> {
    let said = product.cli(&["--json", "check"])?;
    assert_eq!(said.code, Some(1), "check has to find {what}: {said:?}");
    let findings = said.json()?;
    let errors: Vec<_> =
        findings.as_array().into_iter().flatten().filter(|one| one["level"] == "error").collect();
    assert!(!errors.is_empty(), "{findings}");
    assert!(errors.iter().all(|one| one["text"].as_str().is_some_and(|text| !text.is_empty())), "{findings}");
    Ok(errors.iter().map(|one| one.to_string()).collect())
}

/// The activation fails with this code, in words and on record, and nothing of it stays: taken back before the answer.
fn fails_whole(product: &Product, ad: &SambaAd, policy: &str, code: &str) -> Outcome {
    let look = || -> Result<_> { Ok((ad.open_accounts()?, ad.look()?.account("tech1")?)) };
    let before = look()?;
    let answer = product.ask_for(&wish(policy))?;
    let problem = answer.json()?;
    assert_eq!(problem["code"], code, "{problem}");
    assert!(problem["remedy"].as_str().is_some_and(|remedy| remedy.ends_with('.')), "{problem}");
    for secret in ["OU=JIT", "dc1.", "ldaps://", ad.password("jit-svc")?] {
        assert!(!problem.to_string().contains(secret), "no internals: {problem}");
    }
    assert_eq!(look()?, before, "{policy}");
    let failed = &product.sessions()?[0];
    assert_eq!((&failed["state"], &failed["policy"]), (&json!("failed"), &json!(policy)), "{failed}");
    let audit = product.audit()?;
    let record = audit.iter().rfind(|one| one["details"]["session"] == failed["id"]).expect("a record");
    assert_eq!(record["action"], "activation.failed", "{record}");
    assert_eq!(record["details"]["code"], code, "{record}");
    Ok(())
}

/// How often an account was put into this group or taken out of it, as the directory itself noted it.
fn changes_of(ad: &SambaAd, group: &str) -> Result<usize> {
    let of_group = |one: &&Record| matches!(one, Record::Change(c) if c.done && c.dn == group);
    Ok(ad.audit()?.iter().filter(of_group).count())
}

/// Policies in every mode whose first right can be granted and whose last cannot.
fn half_grantable(ad: &SambaAd, last: &str) -> Configuration {
    let rights = vec![ad.group("tier1").to_owned(), last.to_owned()];
    let modes =
        [("half-dedicated", "dedicated"), ("half-burner", "burner"), ("half-membership", "membership")];
    modes.into_iter().fold(Configuration::standard(ad), |configuration, (id, mode)| {
        configuration.policy(&Policy { id, name: id, mode, rights: rights.clone(), ..Policy::default() })
    })
}

/// In each mode: the first right is given, the last one is not to be had, so the first is taken back, whole.
fn a_half_grant_is_undone(product: &Product, ad: &SambaAd, code: &str) -> Outcome {
    let tier1 = ad.group("tier1");
    for policy in ["half-dedicated", "half-burner", "half-membership"] {
        let changes = changes_of(ad, tier1)?;
        fails_whole(product, ad, policy, code)?;
        assert_eq!(changes_of(ad, tier1)?, changes + 2, "{policy}: given and taken back");
    }
    let left = ad.look()?.accounts_below(ad.account_unit())?;
    assert!(left.iter().all(|account| account.dn.starts_with("CN=jit-tech1,")), "no burner stays: {left:?}");

    // Beside a running session of the same account the failing one takes only what is its own.
    let running = product.activate("acme-server-admin", &["--reason", "#4711 Outlook crashes"])?;
    let account = ad.look()?.account(running.name())?;
    fails_whole(product, ad, "half-dedicated", code)?;
    assert_eq!(ad.look()?.account(running.name())?, account);
    assert!(ad.bind(running.name(), &running.password)?.accepted(), "the running session is not disturbed");
    assert_eq!(product.session(&running.id)?["state"], "active");
    Ok(())
}

#[test]
fn a_group_that_does_not_exist_is_found_by_check_and_undone_at_activation() -> Outcome {
    let ad = SambaAd::start(Options { audit: true, ..Options::default() })?;
    // Rights are granted in the order of their names: this one comes after one that is there.
    let gone = format!("CN=Zz Gone,OU=Rights,{}", ad.base());
    let product = Product::start(&half_grantable(&ad, &gone).generous())?;
    let findings = check_finds_it(&product, "the group that is gone")?;
    assert!(findings.contains("CN=Zz Gone"), "{findings}");
    a_half_grant_is_undone(&product, &ad, "unknown_right")
}

#[test]
fn a_group_that_the_service_account_cannot_write_is_found_by_check_and_undone_at_activation() -> Outcome {
    let ad = SambaAd::start(Options { audit: true, ..Options::default() })?;
    let product = Product::start(&half_grantable(&ad, ad.group("untouchable")).generous())?;
    let findings = check_finds_it(&product, "the missing delegation")?;
    assert!(findings.contains("Untouchable") && findings.contains("dsacl"), "{findings}");
    a_half_grant_is_undone(&product, &ad, "not_delegated")
}

#[test]
fn a_service_account_whose_password_is_wrong_is_found_by_check_and_opens_nothing() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    std::fs::write(ad.service_password_file(), "not the password")?;
    let product = Product::start(&Configuration::standard(&ad))?;
    check_finds_it(&product, "the wrong password")?;
    fails_whole(&product, &ad, "acme-server-admin", "bind_refused")?;
    // Corrected, it works at once.
    std::fs::write(ad.service_password_file(), ad.password("jit-svc")?)?;
    product.granted(&wish("acme-server-admin"))?;
    Ok(())
}

#[test]
fn a_certificate_that_cannot_be_trusted_stops_everything_before_a_password_is_sent() -> Outcome {
    for (certificate, mend) in [
        (Certificate::Expired, "renew the server's certificate"),
        (Certificate::Foreign, "name the authority that signed it in ca_file"),
        (Certificate::WrongName, "as its certificate names it"),
    ] {
        let ad = SambaAd::start(Options { certificate, audit: true, ..Options::default() })?;
        let product = Product::start(&Configuration::standard(&ad))?;
        let found = check_finds_it(&product, "the certificate")?;
        assert!(
            found.contains("certificate was refused") && found.contains(mend),
            "{certificate:?}: {found}"
        );
        assert!(found.contains("The servers' certificate"), "{certificate:?}: where to read on: {found}");
        let problem = product.ask_for(&wish("acme-server-admin"))?.json()?;
        assert_eq!(problem["code"], "certificate_refused", "{problem}");
        assert!(
            problem["remedy"].as_str().is_some_and(|remedy| remedy.contains("ticketgate check")),
            "{problem}"
        );
        let sessions = product.sessions()?;
        let [session] = sessions.as_slice() else { panic!("one was asked for: {sessions:?}") };
        assert_eq!(session["state"], "failed", "{session}");
        let id = session["id"].as_str().expect("an id");
        assert_eq!(product.actions(id)?, ["activation.requested", "activation.failed"]);
        let records = product.audit()?;
        let failed = records.iter().find(|one| one["action"] == "activation.failed").expect("its record");
        assert_eq!(failed["details"]["code"], "certificate_refused", "{failed}");
        assert_eq!(ad.audit()?, [], "{certificate:?}: nobody logged on, nothing was written");
    }
    Ok(())
}

#[test]
fn a_persons_account_of_the_jit_accounts_name_is_never_taken_over() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad).replace("id = \"tech1\"", "id = \"clash\"")?;
    let product = Product::start(&configuration)?;
    let before = ad.look()?.account("jit-clash")?;
    assert!(before.is_some());
    fails_whole(&product, &ad, "acme-server-admin", "name_clash")?;
    assert_eq!(ad.look()?.account("jit-clash")?, before);
    assert!(ad.bind("jit-clash", ad.password("jit-clash")?)?.accepted(), "the person goes on working");
    Ok(())
}

#[test]
fn a_faulty_configuration_is_told_line_by_line_and_the_old_one_stays_in_force() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad).broker("administrators = [\"tech1\"]");
    let product = Product::start(&configuration)?;
    let faulty = configuration
        .clone()
        .replace("max = \"4h\"", "max = \"forever\"")?
        .with("[[customer]]\nid = \"acme\"\nname = \"Again\"\nsurprise = 1\n");
    product.configure(&faulty)?;
    let said = product.cli(&["check"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let lines = said.stdout.matches("ticketgate.toml:").count();
    assert!(lines >= 3, "every fault at once, each with its line: {said:?}");
    until("the broker to say so", LIMIT, || Ok(product.cli(&["status"])?.stdout.contains("onfiguration")))?;
    let audit = product.audit()?;
    let record = audit.iter().find(|one| one["action"] == "broker.config_refused").expect("a record");
    assert_eq!((&record["actor"], &record["outcome"]), (&json!("broker"), &json!("refused")), "{record}");
    let faults = record["details"]["faults"].as_str().unwrap_or_default();
    assert_eq!(faults.lines().count(), lines, "the same faults as `check` tells: {record}");
    product.granted(&wish("acme-server-admin"))?;
    product.configure(&configuration)?;
    until("the broker to be content again", LIMIT, || {
        Ok(!product.cli(&["status"])?.stdout.contains("onfiguration"))
    })?;
    Ok(())
}

#[test]
fn a_secret_in_the_configuration_file_is_refused() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let by_reference =
        format!("password = {{ file = {} }}", json!(ad.service_password_file().display().to_string()));
    let in_the_file = format!("password = {}", json!(ad.password("jit-svc")?));
    let product = Product::start(&Configuration::standard(&ad).replace(&by_reference, &in_the_file)?)?;
    let said = product.cli(&["check"])?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let everything = format!("{said:?}{}", product.broker_log());
    assert!(!everything.contains(ad.password("jit-svc")?), "nobody repeats it");
    let refused = product.ask_for(&wish("acme-server-admin"))?;
    assert_eq!(refused.json()?["code"], "bad_configuration");
    Ok(())
}
