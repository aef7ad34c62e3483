//! The technician's minute, from the ticket to the end, in each of the ways in which it can begin. Everything is real:
//! the ticket system, the browser, the trusted click, the clipboard, the directory.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::json;
use std::time::Duration;
use ticketgate_tests::chromium::Key;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::workplace::{Workplace, about_an_hour, saved_ticket, settings};
use ticketgate_tests::{Outcome, Result};

const HOUR: Duration = Duration::from_secs(3600);

/// The rest of the minute, once a session was activated: it is in the badge, the password is in the clipboard and works
/// in the directory, with the right that the policy names.
fn is_usable(work: &Workplace) -> Result<(String, String)> {
    let id = work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    let password = work.copied()?;
    let session = work.product.session(&id)?;
    assert_eq!(session["account"], "ACME\\jit-tech1", "{session}");
    let number = work.url.rsplit('=').next().unwrap_or_default();
    assert_eq!(session["ticket"]["number"], number, "{session}");
    assert_eq!(session["ticket"]["url"], json!(work.url), "{session}");
    let reason = format!("#{number} Outlook crashes on start");
    assert!(session["reason"].as_str().is_some_and(|said| said.starts_with(&reason)), "{session}");
    assert!(work.ad.bind("jit-tech1", &password)?.accepted(), "the password from the clipboard works");
    let account = work.ad.look()?.account("jit-tech1")?.expect("the account is there");
    assert_eq!(account.groups, [work.ad.group("domain_admins")]);
    assert!(account.ends_after(HOUR, &session), "{account:?} {session}");
    Ok((id, password))
}

/// It is over, on every side, and the audit log has all of it.
fn is_over(work: &Workplace, id: &str, password: &str, actions: &[&str]) -> Outcome {
    work.product.session_becomes(id, "ended")?;
    let refusal = work.ad.bind("jit-tech1", password)?;
    assert!(["533", "701", "52e"].contains(&refusal.reason.as_str()), "{refusal:?}");
    assert!(work.ad.open_accounts()?.is_empty());
    work.badge_becomes(&work.browser, "nothing", str::is_empty)?;
    let seen = work.product.actions(id)?;
    let mut left = seen.iter();
    for action in actions {
        assert!(left.any(|one| one == action), "{action} does not come in its place in {seen:?}");
    }
    assert_eq!(work.product.cli_json(&["audit", "verify"])?["whole"], json!(true));
    Ok(())
}

#[test]
fn one_click_in_the_page_opens_an_account_that_the_popup_extends_and_ends() -> Outcome {
    let work = Workplace::open()?;
    let button = work.page.wait_for_control("button", "Activate")?;
    assert!(button.name.starts_with("Activate · Acme Corp · Domain Admin 1 h. "), "{}", button.name);
    work.click_in_page()?;
    work.page.wait_for_control("button", "ACME\\jit-tech1 is ready · password copied")?;
    let (id, password) = is_usable(&work)?;

    let popup = work.browser.open_popup()?;
    popup.wait_for_control("button", "Extend by")?;
    let text = popup.text()?;
    for part in ["ACME\\jit-tech1", "Acme Corp", "Domain Admin", "#1 Outlook crashes on start", "Ends at"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(&password), "no secret in the browser");
    popup.click("button", "Extend by 1 h")?;
    until("the directory's later end", LIMIT, || {
        let session = work.product.session(&id)?;
        Ok(work
            .ad
            .look()?
            .account("jit-tech1")?
            .is_some_and(|account| account.ends_after(2 * HOUR, &session)))
    })?;
    work.badge_becomes(&work.browser, "two hours", |badge| ["2h", "1h"].contains(&badge))?;
    assert!(work.ad.bind("jit-tech1", &password)?.accepted(), "an extension keeps the password");

    popup.click("button", "End now")?;
    is_over(
        &work,
        &id,
        &password,
        &[
            "activation.requested",
            "activation.granted",
            "password.delivered",
            "session.extended",
            "session.ending",
            "session.ended",
        ],
    )
}

#[test]
fn a_session_begun_in_the_page_counts_down_to_the_second_and_ends_by_itself() -> Outcome {
    let short =
        |ad: &SambaAd| settings(ad).replace("default = \"1h\"", "default = \"1m\"").expect("it says so");
    let work = Workplace::quick_with(short, saved_ticket()?)?;
    work.click_in_page()?;
    let id = work.active_session()?;
    let password = work.copied()?;
    work.badge_becomes(&work.browser, "seconds", |badge| badge.ends_with('s'))?;
    let worker = work.browser.worker()?;
    let end = &work.product.session(&id)?["expires_at"];
    let badge = format!(
        "chrome.action.getBadgeText({{}}).then(text => [parseInt(text), Math.ceil((Date.parse({end}) - Date.now()) / 1000)])"
    );
    for _ in 0..3 {
        let (shown, left): (i64, i64) = serde_json::from_value(worker.eval(&badge)?)?;
        assert!((left..=left + 1).contains(&shown), "{shown} s are shown and {left} s are left");
        worker.eval("new Promise(done => setTimeout(done, 1100))")?;
    }
    // Nobody does anything until its time is over; most of it passes at once, so that nobody waits for it.
    work.product.move_clocks(45, 45)?;
    until("the end", Duration::from_secs(60) + LIMIT, || Ok(work.product.session(&id)?["state"] == "ended"))?;
    is_over(&work, &id, &password, &["activation.granted", "session.ended"])
}

#[test]
fn the_popup_activates_what_it_read_from_the_ticket() -> Outcome {
    let work = Workplace::open()?;
    work.page.wait_for_control("button", "Activate")?;
    let popup = work.browser.open_popup()?;
    popup.click("button", "Activate Domain Admin for 1 h")?;
    let (id, password) = is_usable(&work)?;
    popup.wait_for_control("button", "End now")?;
    popup.click("button", "End now")?;
    is_over(&work, &id, &password, &["activation.granted", "session.ended"])
}

#[test]
fn the_shortcut_activates_on_the_ticket_in_front() -> Outcome {
    let work = Workplace::open()?;
    work.page.wait_for_control("button", "Activate")?;
    work.page.to_front()?;
    work.page.press(Key::letter('J').alt().shift())?;
    let (id, password) = is_usable(&work)?;
    work.product.cli_json(&["end", &id])?;
    is_over(&work, &id, &password, &["activation.granted", "session.ended"])
}

#[test]
fn a_policy_without_one_click_opens_the_popup_filled_in() -> Outcome {
    let work = Workplace::quick_with(
        |ad| settings(ad).replace("one_click = true", "one_click = false").expect("it says so"),
        saved_ticket()?,
    )?;
    let button = work.page.wait_for_control("button", "Activate")?;
    assert!(
        button.name.starts_with("Activate · Acme Corp · Domain Admin 1 h …"),
        "the dots say that more is asked: {}",
        button.name
    );
    // A click too soon does not count: it is repeated until the popup is there.
    let popup = wait_for("the popup", LIMIT, || {
        if let Some(button) = work.page.control("button", "Activate")? {
            work.page.click_node(&button)?;
        }
        let url = work.browser.extension_url("popup.html");
        let is_open = work.browser.targets()?.iter().any(|target| target.url.starts_with(&url));
        if is_open { work.browser.popup().map(Some) } else { Ok(None) }
    })?;
    assert!(work.open_sessions()?.is_empty(), "the click alone activates nothing");
    let reason = "document.querySelector('#reason')?.value.startsWith('#4711 Outlook crashes on start')";
    popup.until(reason)?;
    popup.click("button", "Activate Domain Admin for 1 h")?;
    is_usable(&work)?;
    Ok(())
}

#[test]
fn the_duration_and_the_reason_can_be_changed_before_the_activation() -> Outcome {
    let work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    let popup = work.browser.open_popup()?;
    popup.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    popup.click("radio", "4 h")?;
    popup.until("!!document.querySelector('#reason')")?;
    popup.eval("{ const r = document.querySelector('#reason'); r.focus(); r.select(); }")?;
    popup.type_text("Mailbox moves, agreed with Ana")?;
    popup.click("button", "Activate Domain Admin for 4 h")?;
    let session = work.product.session(&work.active_session()?)?;
    assert_eq!(session["reason"], "Mailbox moves, agreed with Ana");
    let account = work.ad.look()?.account("jit-tech1")?.expect("the account is there");
    assert!(account.ends_after(4 * HOUR, &session), "{account:?} {session}");
    Ok(())
}

#[test]
fn the_command_line_does_the_same_minute() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let typed = ["--ticket", "1", "--summary", "Outlook crashes on start", "--for", "1h"];
    let session = product.activate("acme-domain-admin", &typed)?;
    assert_eq!(session.account, "ACME\\jit-tech1");
    assert_eq!(session.session["reason"], "#1 Outlook crashes on start");
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert_eq!(account.groups, [ad.group("domain_admins")]);
    // A beginning of the id is enough for a person.
    let beginning = &session.id[..session.id.len() - 4];
    product.cli_json(&["extend", beginning, "--by", "1h"])?;
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert!(account.ends_after(2 * HOUR, &session.session), "{account:?}");
    let ended = product.cli(&["end", beginning])?;
    assert!(ended.succeeded() && ended.stdout.contains("ended"), "{ended:?}");
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    let actions = product.actions(&session.id)?;
    assert_eq!(
        actions,
        [
            "activation.requested",
            "activation.granted",
            "password.delivered",
            "session.extended",
            "session.ending",
            "session.ended"
        ]
    );
    Ok(())
}
