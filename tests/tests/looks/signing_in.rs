//! A team's broker that does not know who asks, or is not reached: what the popup and the button in the page say then.

use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::chromium::Key;
use ticketgate_tests::product::scripted::{overview, session};

use crate::stage::{Stage, pictures, problem};

fn signed_out() -> Value {
    json!({"error": problem("sign_in_needed", 401, "You are not signed in to the broker.", "Sign in.")})
}

#[test]
fn signing_in_is_clear_in_both_schemes_zoomed_and_by_keyboard() -> Outcome {
    let mut stage = Stage::open()?;
    stage.host.answer("overview", signed_out())?;
    let (page, tab) = stage.ticket("desk.example", "4711", "Acme Corp")?;
    page.wait_for_control("button", "Sign in to activate")?;
    page.to_front()?;
    for scheme in ["light", "dark"] {
        page.look(scheme, 900, 420, 1.0)?;
        page.screenshot_to(&pictures().join(format!("page-signed-out-{scheme}.png")))?;
    }

    let popup = stage.popup(tab)?;
    stage.picture(
        &popup,
        "popup-signed-out",
        &["Sign in to activate rights", "a page of your organisation", "Sign in"],
    )?;
    assert!(!popup.text()?.contains("Activate Domain Admin"), "nothing can be activated yet");
    stage.host.answer("sign_in", Value::Null)?;
    // The way in is the first thing behind the settings.
    popup.eval("document.querySelector('#options').focus(), 0")?;
    popup.press(Key::TAB)?;
    popup.press(Key::ENTER)?;
    stage.picture(
        &popup,
        "popup-signing-in",
        &["Sign in on the page in your browser", "goes on by itself", "Open the page again"],
    )?;
    assert_eq!(stage.host.heard("sign_in")?.len(), 1);
    let focus = popup.eval("document.activeElement?.textContent")?;
    assert_eq!(focus, json!("Open the page again"), "what had the keyboard keeps it");

    let declined = problem(
        "sign_in_needed",
        401,
        "You were not signed in: access_denied: the request was declined.",
        "Sign in again, or ask your administrator whether you may.",
    );
    stage.host.answer("sign_in", json!({"error": declined}))?;
    popup.click("button", "Open the page again")?;
    // The page that was opened first is still waited for, until the worker hears that there is none any more.
    stage.host.leave()?;
    popup.until("document.body.innerText.includes('not signed in yet') || document.body.innerText.includes('Sign in to activate')")?;
    if popup.control("button", "Sign in")?.is_some() {
        popup.click("button", "Sign in")?;
    }
    stage.picture(
        &popup,
        "popup-sign-in-failed",
        &["You are not signed in yet", "access_denied", "ticketgate sign-in --device"],
    )?;

    // In another browser of the machine, perhaps: this one hears of it.
    stage.host.answer("overview", overview(&json!([])))?;
    popup.until("document.body.innerText.includes('Activate Domain Admin for 1 h')")?;
    page.wait_for_control("button", "Activate · Acme Corp")?;

    // Out of reach with a session open: its time goes on.
    stage.host.answer("overview", overview(&json!([session("1a", 3480, &json!({}))])))?;
    popup.until("document.body.innerText.includes('Ends at')")?;
    let gone = problem(
        "broker_unreachable",
        503,
        "The team's broker is not reached: nobody answers there.",
        "Check the network, and the VPN where there is one. It is tried again by itself.",
    );
    stage.host.answer("overview", json!({"error": gone}))?;
    stage.picture(
        &popup,
        "popup-team-unreachable",
        &["The broker does not answer", "nobody answers there", "VPN", "Ends at", "Try again"],
    )?;
    stage.host.answer("overview", signed_out())?;
    stage.picture(&popup, "popup-signed-out-active", &["Sign in to activate rights", "Ends at"])?;
    stage.host.answer("overview", overview(&json!([])))?;
    popup.until("!document.body.innerText.includes('Sign in to activate')")?;
    popup.close()?;
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}
