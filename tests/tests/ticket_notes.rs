//! What a real ticket system hears of a session, and what its closing does, with a real directory: notes at start, extension and
//! end, each once; and the end with the ticket.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::workplace::{Workplace, about_an_hour, settings};
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
    let configuration = ends_with_its_ticket(Configuration::standard(&ad).generous(), &rt.section()?, "30s")?
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

/// With `end_when_closed`, and a look at the tickets of live sessions so often.
fn ends_with_its_ticket(configuration: Configuration, section: &str, poll: &str) -> Result<Configuration> {
    configuration.with(&format!("{section}poll = \"{poll}\"\n")).replace(
        "ticket = { required = true }",
        "ticket = { required = true, verified = \"always\", end_when_closed = true }",
    )
}

#[test]
fn the_technicians_browser_tells_of_the_last_minute_once_the_ticket_is_closed() -> Outcome {
    let work = Workplace::open_with(|ad, section| {
        ends_with_its_ticket(settings(ad), section, "10m").expect("it says so")
    })?;
    let rt = work.rt.as_ref().expect("a ticket system");
    work.browser.keep_notices()?;
    work.click_in_page()?;
    let id = work.active_session()?;
    let password = work.copied()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    let (warning, end) = (format!("warning {id}"), format!("end {id}"));

    // The next look is in some seconds: long enough for the browser to learn of the moved clock, which is its own elsewhere.
    rt.change(1, &json!({"Status": "resolved"}))?;
    time_passes(&work, 585)?;
    let told = wait_for("the notice", LIMIT, || Ok(work.browser.notices(&warning)?.into_iter().next()))?;
    assert_eq!(told["title"], "Acme Corp · Domain Admin: 1 min left", "{told}");
    assert_eq!(told["message"], "Ticket #1 was closed: this session ends in 1 min.", "{told}");
    assert_eq!(told["buttons"], json!([{"title": "End now"}]), "nothing to extend: {told}");
    assert!(work.browser.notifications()?.contains(&warning), "it stays until the person reacts");
    let session = work.product.session(&id)?;
    assert_eq!((&session["state"], &session["end_cause"]), (&json!("active"), &json!("ticket_closed")));
    assert!(work.ad.bind("jit-tech1", &password)?.accepted(), "the last minute is there to be used");
    work.badge_becomes(&work.browser, "seconds", |badge| badge.ends_with('s'))?;

    work.product.move_clocks(585 + 60, 585 + 60)?;
    work.product.session_becomes(&id, "ended")?;
    let over = wait_for("the end", LIMIT, || Ok(work.browser.notices(&end)?.into_iter().next()))?;
    assert_eq!(over["title"], "Acme Corp · Domain Admin ended", "{over}");
    assert_eq!(over["message"], "Its ticket was closed. The rights are taken away.", "{over}");
    assert!(!work.browser.notifications()?.contains(&warning));
    assert_eq!(work.browser.notices(&warning)?.len(), 1, "said once");
    work.badge_becomes(&work.browser, "nothing", str::is_empty)?;
    assert!(!work.ad.bind("jit-tech1", &password)?.accepted() && work.ad.open_accounts()?.is_empty());
    let records = work.product.audit()?;
    let cause = |action: &str| {
        let found =
            records.iter().find(|one| one["action"] == action && one["details"]["session"] == json!(id));
        found.map(|record| record["details"].clone()).unwrap_or_default()
    };
    assert_eq!(cause("session.ticket_closed")["ticket_status"], "resolved");
    assert_eq!(cause("session.ended")["cause"], "ticket_closed");
    noted(rt, &id, &["start", "end"])?;
    Ok(())
}

#[test]
fn a_broker_that_is_killed_around_the_sending_of_a_note_leaves_it_in_the_ticket_once() -> Outcome {
    let rt = RequestTracker::start()?;
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad).generous().with(&rt.section()?);
    let mut product = Product::install(&configuration)?;
    let mut moved = 0;
    for (fault, is_sent) in [
        ("ledger.note_sending:after", false),
        // It is in the ticket, and nobody noted that.
        ("ledger.note_sent:before", true),
        ("ledger.note_sent:after", true),
    ] {
        product.start_broker_meeting(fault)?;
        // The note is sent at once, and whoever sends it dies: perhaps before the answer.
        let mut wish = wish("acme-domain-admin");
        wish["ticket"] = json!({"system": "request-tracker", "number": "1", "url": rt.ticket_url(1)});
        let _ = product.granted(&wish);
        product.wait_for_broker_to_end()?;
        product.start_broker()?;
        let sessions = product.sessions()?;
        let session = sessions.first().expect("it was durable before its note");
        let id = session["id"].as_str().unwrap_or_default().to_owned();
        assert_eq!(session["state"], "active", "{fault}: a note follows what is true");
        assert_eq!(notes(&rt, &id)?, vec!["start"; usize::from(is_sent)], "{fault}");
        // What is not known to be there is tried again after half a minute.
        moved += 35;
        product.move_clocks(moved.into(), moved)?;
        product.cli_json(&["end", &id])?;
        noted(&rt, &id, &["start", "end"]).with_context(|| fault)?;
        moved += 35;
        product.move_clocks(moved.into(), moved)?;
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(notes(&rt, &id)?, ["start", "end"], "{fault}: nothing comes after");
        product.kill_broker()?;
    }
    Ok(())
}

/// So much of the hour passes for the broker, and the browser hears of it from a popup that is opened.
fn time_passes(work: &Workplace, seconds: u32) -> Result<()> {
    work.product.move_clocks(seconds.into(), seconds)?;
    let popup = work.browser.open_popup()?;
    work.badge_becomes(&work.browser, "ten minutes less", |badge| ["51m", "50m", "49m"].contains(&badge))?;
    popup.close()
}
