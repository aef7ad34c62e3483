//! What a real ticket system hears of a session, and what its closing does, with a real directory: notes at start, extension and
//! end, each once; and the end with the ticket.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::time::Duration;

use serde_json::json;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::new_key;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

/// The notes that a ticket has, as the beginnings of their marks' last words, in their order.
fn notes(rt: &RequestTracker, id: &str) -> Result<Vec<String>> {
    let begin = format!("Ticketgate {id} ");
    let marks = rt.messages(1)?.into_iter().filter_map(|text| {
        let mark = text.lines().rev().find(|line| !line.trim().is_empty())?.trim().to_owned();
        Some(mark.strip_prefix(&begin)?.split([' ', '.']).next()?.to_owned())
    });
    Ok(marks.collect())
}

fn noted(rt: &RequestTracker, id: &str, wanted: &[&str]) -> Result<()> {
    until(&format!("the notes {wanted:?}"), LIMIT, || Ok(notes(rt, id)? == wanted))
}

#[test]
fn a_session_is_noted_in_its_ticket_and_ends_with_it() -> Outcome {
    let rt = RequestTracker::start()?;
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad)
        .generous()
        .with(&format!("{}poll = \"30s\"\n", rt.section()?))
        .replace(
            "ticket = { required = true }",
            "ticket = { required = true, verified = \"always\", end_when_closed = true }",
        )?
        .replace("login =", "psa = { rt = \"root\" }\nlogin =")?;
    let mut product = Product::start(&configuration)?;
    let url = rt.ticket_url(1);
    let id = product.granted(&json!({
        "customer": "acme", "policy": "acme-domain-admin", "duration_s": 3600, "reason": "#1 whatever",
        "ticket": {"system": "request-tracker", "number": "1", "url": url, "customer": "Acme Corp"},
    }))?;
    noted(&rt, &id, &["start"])?;
    let text = rt.messages(1)?.into_iter().find(|text| text.contains(&id)).expect("the note");
    for part in ["Who: tech1", "Customer: Acme Corp", "Domain Admins", "(1 h)"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let path = format!("/v1/sessions/{id}/extend");
    let longer = product.api("POST", &path, Some(&new_key()), &json!({"by_s": 600}))?;
    assert_eq!(longer.status, 200, "{}", longer.text());

    // Whoever takes the broker away takes no note away, and makes none twice.
    product.kill_broker()?;
    product.start_broker()?;
    product.move_clocks(35, 35)?;
    noted(&rt, &id, &["start", "extension"])?;

    rt.change(1, &json!({"Status": "resolved"}))?;
    product.move_clocks(70, 70)?;
    until(
        "the session to be shortened",
        LIMIT,
        || Ok(product.session(&id)?["end_cause"] == "ticket_closed"),
    )?;
    let session = product.session(&id)?;
    assert_eq!(session["state"], "active", "{session}");
    until("the directory's own end", LIMIT, || {
        let account = ad.look()?.account("jit-tech1")?.expect("the account is there");
        Ok(account.left().is_some_and(|left| left <= Duration::from_secs(62)))
    })?;
    let refused = product.api("POST", &path, Some(&new_key()), &json!({"by_s": 600}))?.json()?;
    assert_eq!(refused["code"], "ticket_closed", "{refused}");
    product.move_clocks(135, 135)?;
    let ended = product.session_becomes(&id, "ended")?;
    assert_eq!(ended["end_cause"], "ticket_closed", "{ended}");
    assert!(ad.open_accounts()?.is_empty());
    noted(&rt, &id, &["start", "extension", "end"])?;
    let text = rt.messages(1)?.into_iter().rfind(|text| text.contains(&id)).expect("the note");
    assert!(text.contains("Why: the ticket was closed."), "{text}");
    product.move_clocks(200, 200)?;
    std::thread::sleep(Duration::from_secs(2));
    noted(&rt, &id, &["start", "extension", "end"])?;
    assert_eq!(rt.status(1)?, "resolved", "a note opens no closed ticket");
    let actions = product.actions(&id)?;
    assert_eq!(actions.iter().filter(|action| *action == "session.ticket_closed").count(), 1, "{actions:?}");
    assert_eq!(product.cli_json(&["audit", "verify"])?["whole"], json!(true));
    Ok(())
}
