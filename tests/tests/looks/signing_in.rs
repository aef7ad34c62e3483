//! A team's broker that does not know who asks, or is not reached: what the popup and the button in the page say then.

use serde_json::{Value, json};
use ticketgate_tests::chromium::{Key, Page};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::scripted::{overview, session};
use ticketgate_tests::{Outcome, Result};

use crate::stage::{Stage, pictures, problem};

fn signed_out() -> Value {
    json!({"error": problem("sign_in_needed", 401, "You are not signed in to the broker.", "Sign in.")})
}

impl Stage {
    /// The broker died in the middle of an activation, and another one took it back.
    fn taken_back(&mut self, popup: &Page) -> Result<()> {
        let taken_back = problem(
            "taken_back",
            503,
            "The broker that began this did not finish it in time, so it was taken back.",
            "Try again.",
        );
        self.host.answer("activate", json!({"error": taken_back}))?;
        until("the activation to be taken back", LIMIT, || {
            if let Some(button) = popup.control("button", "Activate Domain Admin for 1 h")? {
                popup.click_node(&button)?;
            }
            Ok(popup.text()?.contains("Not activated"))
        })?;
        self.picture(popup, "popup-taken-back", &["Not activated: Domain Admin", "taken back", "Try again"])
    }
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
        &[
            "The broker does not answer",
            "nobody answers there",
            "VPN",
            "Ends at",
            "also when Ticketgate is away",
            "Try again",
        ],
    )?;
    let untrusted = problem(
        "broker_unreachable",
        503,
        "The team's broker is not reached: nobody whom this machine trusts vouches for its certificate.",
        "Your administrator has to name the authority (ca_file in relay.toml). Run: ticketgate doctor",
    );
    stage.host.answer("overview", json!({"error": untrusted}))?;
    stage.picture(
        &popup,
        "popup-team-untrusted",
        &["vouches for its certificate", "has to name the authority", "ticketgate doctor"],
    )?;
    let ledger = problem(
        "ledger_down",
        503,
        "The broker cannot write its ledger, so nothing is granted or changed.",
        "Ask an administrator to look at the disk or the database of the ledger: `ticketgate doctor`.",
    );
    stage.host.answer("overview", json!({"error": ledger}))?;
    stage.picture(
        &popup,
        "popup-ledger-down",
        &["The broker's ledger is out of reach", "nothing is granted", "also when Ticketgate is away"],
    )?;
    // One that still reads its ledger, or reads it again, says it beside everything else.
    let mut noticed = overview(&json!([session("1a", 3480, &json!({}))]));
    noticed["ok"]["notices"] = json!([
        {"level": "error", "text": "The ledger's database cannot be reached or written. Nothing is granted or extended; what is over is \
            still taken away, as far as this broker knows of it."},
        {"level": "warning", "text": "Nobody can sign in or renew a sign-in at the moment, since the provider cannot be used (it cannot \
            be reached). Whoever is signed in goes on until that sign-in ends."},
    ]);
    stage.host.answer("overview", noticed)?;
    stage.picture(
        &popup,
        "popup-team-notices",
        &["database cannot be reached", "Nobody can sign in", "Ends at"],
    )?;
    stage.host.answer("overview", signed_out())?;
    stage.picture(&popup, "popup-signed-out-active", &["Sign in to activate rights", "Ends at"])?;
    stage.host.answer("overview", overview(&json!([])))?;
    popup.until("!document.body.innerText.includes('Sign in to activate')")?;
    stage.taken_back(&popup)?;
    popup.close()?;
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}
