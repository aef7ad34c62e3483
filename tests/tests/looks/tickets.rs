//! What a ticket does to the popup: whose it is, what of it was guessed, and what the broker has against it.

use crate::stage::{Stage, problem};
use serde_json::json;
use ticketgate_tests::chromium::{Key, Page};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::scripted::{overview, session};
use ticketgate_tests::site::Served;
use ticketgate_tests::world::workspace;
use ticketgate_tests::{Outcome, Result};

/// A Freshservice page of its older form, under a domain of one's own, whose number stands nowhere but in its address.
const NUMBERLESS: &str = r#"<!doctype html><title>Tickets</title>
<div id="ticket_original_request_section"><h3 class="subject">Outlook crashes on start</h3></div>
<div role="button" aria-labelledby="ember12_departmentId"><span class="ember-power-select-selected-item">Acme Corp</span></div>"#;

#[test]
fn whose_a_ticket_is_can_be_told_or_picked_in_both_schemes_and_zoomed() -> Outcome {
    let mut stage = Stage::open()?;
    let mut known = overview(&json!([]));
    known["ok"]["customers"] = json!([
        {"id": "acme", "name": "Acme Corp", "domains": ["acme.example"]},
        {"id": "acme-bakery", "name": "Acme Bakery & Confectionery International Ltd"},
        {"id": "acme-west", "name": "Acme West"},
        {"id": "globex", "name": "Globex"},
    ]);
    stage.host.answer("overview", known)?;
    let (_page, tab) = stage.ticket("desk.example", "4714", "Acme (HQ)")?;
    let popup = stage.popup(tab)?;
    popup.wait_for_control("radio", "Acme West")?;
    stage.picture(
        &popup,
        "popup-suggestions",
        &["the ticket says “Acme (HQ)”: pick the customer", "Acme Corp"],
    )?;
    popup.click("radio", "Acme Corp")?;
    let ended = json!({"state": "ended", "ended_at": {"$now": 0}, "ticket": null});
    let over = json!({"session": session("1a", 3480, &ended), "clipboard": {"state": "not_needed"}});
    stage.host.answer("activate", json!({"ok": over}))?;
    // A click on a form that is being drawn anew does not count; a person clicks again.
    until("the choice to be remembered", LIMIT, || {
        if popup.text()?.contains("as you chose for") {
            return Ok(true);
        }
        if let Some(button) = popup.control("button", "Activate Domain Admin for 1 h")? {
            popup.click_node(&button)?;
        }
        Ok(false)
    })?;
    popup.close()?;
    let (_page, tab) = stage.ticket("desk.example", "4715", "Acme (HQ)")?;
    let popup = stage.popup(tab)?;
    stage.picture(&popup, "popup-chosen-before", &["as you chose for “Acme (HQ)”: check"])?;
    popup.close()?;
    let long = "Acme Corporation, Headquarters and all of its other Offices (Northern Region)";
    let (_page, tab) = stage.ticket("desk.example", "4716", long)?;
    let popup = stage.popup(tab)?;
    stage.picture(&popup, "popup-suggestions-long", &["the ticket says", "pick the customer"])?;
    popup.close()?;
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}

#[test]
fn a_number_that_was_only_guessed_is_said_in_both_schemes_and_zoomed() -> Outcome {
    let mut stage = Stage::open()?;
    let url = stage.site.page_at("desk.example", "/helpdesk/tickets/4717", Served::html(NUMBERLESS));
    let page = stage.browser.page(&url)?;
    let popup = stage.popup(stage.tab(&page)?)?;
    stage.picture(
        &popup,
        "popup-number-guessed",
        &[
            "Ticket on this page",
            "#4717",
            "The number was guessed from this page: check it.",
            "Ticket number",
        ],
    )?;
    // What is to be checked can be put right.
    popup.eval("{ const n = document.querySelector('#number'); n.focus(); n.select(); }")?;
    popup.type_text("INC-4717")?;
    stage.picture(&popup, "popup-number-corrected", &["Another ticket", "Activate Domain Admin for 1 h"])?;
    popup.close()?;
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}

#[test]
fn what_the_broker_has_against_a_ticket_is_said_in_both_schemes_and_zoomed() -> Outcome {
    let mut stage = Stage::open()?;
    let (page, tab) = stage.ticket("desk.example", "4718", "Acme Corp")?;
    page.wait_for_control("button", "Activate · Acme Corp")?;
    // In the broker's own words (`access/src/decide/ticket.rs`).
    for (name, refusal, says) in [
        (
            "popup-ticket-of-another-customer",
            problem(
                "ticket_of_another_customer",
                409,
                "Ticket 4718 belongs to \"Globex\", not to Acme Corp.",
                "Use a ticket of this customer, or rights at the ticket's own customer.",
            ),
            ["belongs to \"Globex\", not to Acme Corp", "Use a ticket of this customer"],
        ),
        (
            "popup-ticket-closed",
            problem(
                "ticket_closed",
                409,
                "Ticket 4718 is closed: its status in Request Tracker is \"resolved\".",
                "Reopen it there if the work goes on, or use the ticket that the work is for.",
            ),
            ["is closed", "Reopen it there"],
        ),
    ] {
        stage.host.answer("activate", json!({"error": refusal}))?;
        let popup = stage.popup(tab)?;
        is_refused(&popup)?;
        stage.picture(&popup, name, &[&["Not activated: Domain Admin"], says.as_slice()].concat())?;
        popup.click("button", "Change")?;
        popup.until("document.body.innerText.includes('Activate Domain Admin for 1 h')")?;
        popup.close()?;
    }
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}

/// Presses Enter on Activate until it was refused: on a form that is being drawn anew it does not count; a person presses again.
fn is_refused(popup: &Page) -> Result<()> {
    until("the activation to be refused", LIMIT, || {
        if popup.text()?.contains("Not activated") {
            return Ok(true);
        }
        popup.eval("document.querySelector('form button.first')?.focus(), 0")?;
        popup.press(Key::ENTER)?;
        Ok(false)
    })
}

#[test]
fn what_a_ticket_system_says_of_a_ticket_is_clear_in_both_schemes_and_zoomed() -> Outcome {
    let mut stage = Stage::open()?;
    let mut known = overview(&json!([]));
    known["ok"]["ticket_hosts"] = json!(["desk.example"]);
    let told = |number: &str, open: bool| {
        json!({"ok": {"system_name": "HaloPSA", "number": number, "customers": ["acme"], "summary": "Printer on fire",
            "company": "Acme Corp", "status": "In Progress", "open": open}})
    };
    let unknown = "HaloPSA shows no ticket 3081 of a customer of yours.";
    stage.host.answer("overview", known)?;
    let html = std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages/halopsa.html"))?;
    let url = stage.site.page_at("desk.example", "/tickets", Served::html(html));
    for (number, name, answer, says) in [
        ("3079", "popup-looked-up", told("3079", true), &["#3079 Printer on fire", "from HaloPSA"][..]),
        (
            "3080",
            "popup-looked-up-closed",
            told("3080", false),
            &["from HaloPSA, where the ticket is closed: check"],
        ),
        (
            "3081",
            "popup-not-yours",
            json!({"error": problem("ticket_unknown", 404, unknown, "")}),
            &["HaloPSA shows no ticket 3081 of a customer of yours: pick the customer"],
        ),
        (
            "3082",
            "popup-no-word",
            json!({"error": problem("ticket_system_down", 503, "HaloPSA cannot be reached.", "")}),
            &["HaloPSA cannot be reached: pick the customer"],
        ),
    ] {
        stage.host.answer("ticket", answer)?;
        let page = stage.browser.page(&format!("{url}?area=1&id={number}"))?;
        page.eval("go(location.href, 'x')")?;
        let popup = stage.popup(stage.tab(&page)?)?;
        stage.picture(&popup, name, says)?;
        popup.close()?;
    }
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}
