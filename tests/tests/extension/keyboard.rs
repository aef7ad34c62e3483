//! Popup and button with the keyboard alone, and what a screen reader is told.

use crate::desk::{DESK, Desk};
use serde_json::json;
use ticketgate_tests::chromium::{Key, Page};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::scripted::{overview, session};
use ticketgate_tests::{Outcome, Result};

/// What has the keyboard, as a person would name it.
fn focused(page: &Page) -> Result<String> {
    let name = page.eval(
        "(() => { const at = document.activeElement; return at === document.body ? 'nothing'
           : at.ariaLabel || at.labels?.[0]?.innerText || at.innerText || at.id; })()",
    )?;
    Ok(name.as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned())
}

/// Presses Tab until the named thing has the keyboard; answers what had it on the way.
fn tab_to(page: &Page, name: &str) -> Result<Vec<String>> {
    let mut way = Vec::new();
    for _ in 0..30 {
        page.press(Key::TAB)?;
        let now = focused(page)?;
        if now.starts_with(name) {
            return Ok(way);
        }
        way.push(now);
    }
    anyhow::bail!("{name} cannot be reached by Tab: {way:?}")
}

#[test]
fn the_popup_works_with_the_keyboard_alone_and_speaks_to_a_screen_reader() -> Outcome {
    let desk = Desk::open_with(&overview(&json!([session("1a", 3480, &json!({}))])))?;
    desk.browser.allow_host(DESK, "options.html")?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.wait_for_control("button", "Active · Acme Corp")?;
    let popup = desk.browser.open_popup()?;
    popup.wait_for_control("button", "Extend by 1 h")?;
    for (role, name) in [
        ("heading", "Ticketgate"),
        ("heading", "Acme Corp"),
        ("button", "Settings"),
        ("button", "Copy password"),
        ("button", "Copy name: ACME\\jit-tech1"),
        ("button", "End now"),
        ("link", "#4711 Outlook crashes on start"),
        ("image", " left"),
        ("region", "Acme Corp"),
        ("status", ""),
    ] {
        popup.wait_for_control(role, name)?;
    }
    popup.until("document.getElementById('announce').textContent === 'Acme Corp Domain Admin is active'")?;
    let way = tab_to(&popup, "End now")?;
    assert_eq!(way, ["Settings", "Copy name: ACME\\jit-tech1", "Copy password", "Extend by 1 h"]);
    popup.click("button", "Copy name: ACME\\jit-tech1")?;
    popup.until("document.querySelector('.account button').innerText === 'Copied'")?;
    assert_eq!(popup.eval("document.getElementById('outcome').textContent")?, "Copied", "it is spoken, too");
    // The clock moves on, and with it the popup is drawn: the outcome stays until it goes by itself.
    popup.eval("globalThis.told = performance.now(); globalThis.clock = document.querySelector('.clock').textContent")?;
    popup.until("document.querySelector('.clock').textContent !== clock")?;
    let stays = "performance.now() - told > 1300
        || [document.querySelector('.account button').innerText, document.getElementById('outcome').textContent].every(text => text === 'Copied')";
    assert_eq!(popup.eval(stays)?, true);
    popup.until("document.querySelector('.account button').innerText === 'Copy name'")?;
    assert_eq!(popup.eval("document.getElementById('outcome').textContent")?, "");
    tab_to(&popup, "End now")?;
    // The clock moves on below it and the keyboard stays where it is.
    popup.eval("globalThis.mine = document.activeElement; globalThis.clock = document.querySelector('.clock').textContent")?;
    popup.until("document.querySelector('.clock').textContent !== clock && (clock = document.querySelector('.clock').textContent, true)")?;
    popup.until("document.querySelector('.clock').textContent !== clock")?;
    assert_eq!(popup.eval("document.activeElement === mine && mine.isConnected")?, true);
    assert_eq!(
        popup.eval("document.getElementById('announce').textContent")?,
        "Acme Corp Domain Admin is active",
        "a screen reader is not told every second"
    );
    popup.press(Key::SPACE)?;
    wait_for("the end", LIMIT, || Ok(desk.host.heard("end")?.pop()))?;
    desk.host.answer("overview", overview(&json!([])))?;
    popup.until("document.getElementById('announce').textContent.includes('Ended')")?;
    assert_ne!(focused(&popup)?, "nothing", "the button went, the keyboard stays in the popup");

    // The form: arrows choose, Enter activates, in the reason as everywhere.
    popup.wait_for_control("group", "For")?;
    popup.wait_for_control("combobox", "Customer")?;
    popup.wait_for_control("textbox", "Reason")?;
    tab_to(&popup, "Customer")?;
    tab_to(&popup, "1 h")?;
    popup.press(Key::RIGHT)?;
    popup.wait_for_control("button", "Activate Domain Admin for 4 h")?;
    popup.until("document.querySelector('input[name=duration]:checked').labels[0].innerText === '4 h'")?;
    tab_to(&popup, "Reason")?;
    popup.press(Key::ENTER)?;
    let wish = wait_for("the activation", LIMIT, || Ok(desk.host.heard("activate")?.pop()))?;
    assert_eq!(wish["params"]["duration_s"], 14_400, "{wish}");
    popup.until(
        "document.getElementById('announce').textContent.startsWith('Activating Domain Admin at Acme Corp')",
    )?;
    assert_ne!(focused(&popup)?, "nothing", "the form went, the keyboard stays in the popup");
    let still = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    popup.call("Emulation.setEmulatedMedia", still)?;
    let motion = popup
        .eval("[parseFloat(getComputedStyle(document.querySelector('.spinner')).animationDuration) >= 3]")?;
    assert_eq!(motion, json!([true]));
    Ok(())
}

#[test]
fn the_button_in_the_page_is_reached_by_tab_and_activates_by_enter() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.to_front()?;
    let button = ticket.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    let mut presses = 0;
    while !ticket.has_keyboard("button", "Activate · Acme Corp")? {
        presses += 1;
        assert!(presses < 20, "Tab does not reach the button {}", button.name);
        ticket.press(Key::TAB)?;
    }
    until("Enter to count", LIMIT, || {
        ticket.press(Key::ENTER)?;
        Ok(!desk.host.heard("activate")?.is_empty())
    })?;
    ticket.wait_for_control("button", "Activating · Acme Corp")?;
    assert_eq!(desk.host.heard("activate")?.len(), 1);
    Ok(())
}
