//! Which customer a ticket is about, where the page's company fits none or several: asked, suggested, remembered.

use crate::desk::{DESK, Desk};
use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::patience::{LIMIT, wait_for};
use ticketgate_tests::product::scripted::{overview, policy, session};

/// Three customers, two with like names and two with domains.
fn alike() -> Value {
    let mut overview = overview(&json!([]));
    overview["ok"]["customers"] = json!([
        {"id": "acme", "name": "Acme Corp", "aliases": ["ACME"], "domains": ["acme.example"]},
        {"id": "bakery", "name": "Acme Bakery Ltd", "aliases": []},
        {"id": "globex", "name": "Globex", "aliases": [], "domains": ["globex.example"]},
    ]);
    let more = policy("bakery-admin", "bakery", "Admin");
    if let Some(policies) = overview["ok"]["policies"].as_array_mut() {
        policies.push(more);
    }
    overview
}

/// Which customer the popup's list shows.
const CHOSEN: &str = "(document.getElementById('customer').selectedOptions[0] ?? { label: '' }).label.replace('Pick a customer…', '')";

#[test]
fn a_company_that_nobody_knows_is_asked_with_suggestions_and_the_choice_is_kept_for_it_alone() -> Outcome {
    let desk = Desk::open_with(&alike())?;
    desk.browser.allow_host(DESK, "options.html")?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme (HQ)")?)?;
    ticket.wait_for_control("button", "Activate …")?;
    let popup = desk.browser.open_popup()?;
    popup.until("document.body.innerText.includes('the ticket says “Acme (HQ)”: pick the customer')")?;
    assert_eq!(popup.eval(CHOSEN)?, "", "nothing is chosen by likeness");
    popup.wait_for_control("radio", "Acme Corp")?;
    let suggested = "[...document.querySelectorAll('.suggested label')].map(one => one.innerText)";
    assert_eq!(popup.eval(suggested)?, json!(["Acme Corp", "Acme Bakery Ltd"]));
    popup.click("radio", "Acme Bakery Ltd")?;
    popup.until(&format!("{CHOSEN} === 'Acme Bakery Ltd'"))?;

    let more = json!({
        "state": "ended", "customer": "bakery", "customer_name": "Acme Bakery Ltd", "policy": "bakery-admin",
        "policy_name": "Admin", "ended_at": {"$now": 0}
    });
    let over = json!({"session": session("1a", 3480, &more), "clipboard": {"state": "not_needed"}});
    desk.host.answer("activate", json!({"ok": over}))?;
    // A click on a form that is being drawn anew does not count; a person clicks again.
    let asked = wait_for("the request", LIMIT, || {
        let asked = desk.host.heard("activate")?.pop();
        if asked.is_none()
            && let Some(button) = popup.control("button", "Activate Admin for 1 h")?
        {
            popup.click_node(&button)?;
        }
        Ok(asked)
    })?;
    assert_eq!(asked["params"]["customer"], "bakery", "{asked}");
    popup.until("document.body.innerText.includes('as you chose for “Acme (HQ)”: check')")?;
    popup.close()?;

    // Also after the worker's sleep, and for another ticket of the same company.
    desk.browser.stop_worker()?;
    desk.browser.wake("options.html")?;
    ticket.to_front()?;
    let popup = desk.browser.open_popup()?;
    popup.until("document.body.innerText.includes('as you chose for “Acme (HQ)”: check')")?;
    assert_eq!(popup.eval(CHOSEN)?, "Acme Bakery Ltd");
    assert_eq!(popup.eval(suggested)?, json!([]));
    popup.close()?;
    // A queue is not surely the customer: the button in the page opens the popup.
    ticket.wait_for_control("button", "Activate · Acme Bakery Ltd · Admin 1 h …")?;

    // Another company is asked about.
    let other = desk.browser.page(&desk.ticket("desk.example", "Acme (West)")?)?;
    other.wait_for_control("button", "Activate …")?;
    other.to_front()?;
    let popup = desk.browser.open_popup()?;
    popup.until("document.body.innerText.includes('the ticket says “Acme (West)”: pick the customer')")?;
    assert_eq!(popup.eval(CHOSEN)?, "");
    Ok(())
}
