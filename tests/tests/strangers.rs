//! Whoever is not the person tries to begin a session: the page, a compromised renderer, another extension. And a page
//! with a strict policy, which must not keep the person from it.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use anyhow::Context;
use serde_json::json;
use ticketgate_tests::Outcome;
use ticketgate_tests::chromium::Key;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;
use ticketgate_tests::workplace::{Workplace, saved_ticket, settings};

/// Every message that somebody who read the source would try. Where our own probe is within reach it says the facts, so
/// that what stops a message is not their shape.
const FORGED: &str = r#"
    const facts = globalThis.ticketgatePage?.read()
        ?? { rules: 1, address: location.href, title: document.title, shown: true, answers: [] };
    const forged = [
        { page: 'arrived' }, { page: 'near' }, { page: 'report', facts }, { page: 'click', token: '', facts }, { page: 'click', token: 'x', facts },
        { page: 'refused_click', why: 'covered' }, { page: 'placement', placement: { corner: 'top_left', x: 9, y: 9 } },
        { page: 'click', token: 'x', facts: { ...facts, title: '' } }, { click: { token: 'x', facts } },
        { activate: { serial: 0 } }, { activate: { serial: 1 } }, { intent: { activate: { serial: 0 } } },
        { method: 'activate', params: { customer: 'acme', policy: 'acme-domain-admin', duration_s: 3600, reason: 'x' } },
        { id: '1', method: 'activate', params: {} }, { shortcut: { tab: { id: 1 } } }, { native: { method: 'hello' } },
        { show: { token: 'x', label: 'x', detail: 'x', state: 'ready', one_click: true } }, { read: true },
        'activate', 7, null, [], { __proto__: { page: 'click' } }, { page: 'x'.repeat(1e6) },
    ];
"#;

/// What was forged went the same way before the person's own wish, and the broker has heard that one now.
fn only_the_person_asked(work: &Workplace) -> Outcome {
    work.active_session()?;
    assert_eq!(work.requests()?, 1, "{:?}", work.product.audit()?);
    Ok(())
}

#[test]
fn nothing_that_a_page_can_send_begins_a_session() -> Outcome {
    let work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    // In the page's own world there is nothing of the extension to talk to.
    assert_eq!(work.page.eval("typeof chrome?.runtime?.sendMessage")?, "undefined");
    work.page.eval(&format!(
        "{{ {FORGED}
        for (const message of forged) {{
            for (const target of [window, document, document.documentElement, ...document.body.children]) {{
                if (target === window) target.postMessage(message, '*');
                for (const name of ['message', 'click', 'ticketgate', 'page', 'activate'])
                    target.dispatchEvent(new CustomEvent(name, {{ detail: message, bubbles: true, composed: true }}));
            }}
            new BroadcastChannel('ticketgate').postMessage(message);
        }}
        // Every kind of click that a script can make, on everything that is there; the page itself must stay.
        const stay = (event) => event.preventDefault();
        for (const name of ['click', 'submit']) addEventListener(name, stay, {{ capture: true }});
        for (const element of document.querySelectorAll('*')) {{
            for (const name of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click'])
                element.dispatchEvent(new PointerEvent(name, {{ bubbles: true, composed: true, isPrimary: true, button: 0, cancelable: true }}));
            element.click?.();
        }}
        for (let x = 0; x < innerWidth; x += 20) for (let y = 0; y < innerHeight; y += 20)
            document.elementFromPoint(x, y)?.dispatchEvent(new MouseEvent('click', {{ bubbles: true, composed: true, cancelable: true, clientX: x, clientY: y }}));
        document.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'J', code: 'KeyJ', altKey: true, shiftKey: true, bubbles: true }}));
        for (const name of ['click', 'submit']) removeEventListener(name, stay, {{ capture: true }});
        }}"
    ))?;
    work.click_in_page()?;
    only_the_person_asked(&work)
}

#[test]
fn a_button_that_the_page_draws_like_ours_does_nothing() -> Outcome {
    let page = "<!doctype html><title>#4711: Outlook crashes on start</title><body>
        <div popover=manual id=fake><button data-state=ready>Activate · Acme Corp · Domain Admin 1 h</button></div>
        <script src=/fake.js></script>";
    let work = Workplace::quick_with(settings, Served::html(page))?;
    work.page.eval("fake.showPopover()")?;
    let fake = work.page.wait_for_control("button", "Activate · Acme Corp")?;
    for _ in 0..5 {
        work.page.click_node(&fake)?;
    }
    // The person's own way stands open on such a page too: the popup, with everything typed.
    let popup = work.browser.open_popup()?;
    popup.until(
        "document.body.innerText.includes('No ticket recognised on this page') || document.body.innerText",
    )?;
    popup.eval(
        "{ const customer = document.getElementById('customer');
           customer.value = [...customer.options].find((one) => one.label === 'Acme Corp').value;
           customer.dispatchEvent(new Event('change')); }",
    )?;
    popup.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    popup.eval("document.getElementById('number').focus()")?;
    popup.type_text("815")?;
    // A reason is made from the number; the person's own takes its place.
    popup.until("document.getElementById('reason').value === '#815'")?;
    popup.eval("document.getElementById('reason').select()")?;
    popup.type_text("Mail is down")?;
    popup.until("!document.getElementById('missing') || document.getElementById('missing').innerText")?;
    popup.press(Key::ENTER)?;
    only_the_person_asked(&work)?;
    let session = work.open_sessions()?.remove(0);
    assert_eq!((&session["ticket"]["number"], &session["reason"]), (&json!("815"), &json!("Mail is down")));
    Ok(())
}

#[test]
fn a_content_script_gone_bad_cannot_speak_as_the_popup_or_as_the_worker() -> Outcome {
    let work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    let extension = work.browser.extension_id();
    let refused = work.page.eval_in_content_script(
        extension,
        &format!(
            "(async () => {{ {FORGED}
            for (const message of forged) await chrome.runtime.sendMessage(message ?? null).catch(() => null);
            const outcomes = [];
            for (const name of ['popup', 'worker', '']) {{
                const port = chrome.runtime.connect({{ name }});
                const closed = new Promise(done => port.onDisconnect.addListener(() => done('closed')));
                const heard = new Promise(done => port.onMessage.addListener(() => done('heard')));
                for (const message of forged) try {{ port.postMessage(message ?? 0); }} catch {{}}
                outcomes.push(await Promise.race([closed, heard]));
            }}
            return outcomes.concat(typeof chrome.runtime.connectNative, typeof chrome.tabs, typeof chrome.scripting?.executeScript);
            }})()"
        ),
    )?;
    assert_eq!(refused, json!(["closed", "closed", "closed", "undefined", "undefined", "undefined"]));
    let stored = work.page.eval_in_content_script(
        extension,
        "Promise.all(['local', 'session'].map(area => chrome.storage?.[area]?.get(null).then(() => 'read', () => 'refused') ?? 'refused'))",
    )?;
    assert_eq!(stored, json!(["refused", "refused"]), "what the extension keeps is not the page's");
    // It was heard, and could do what a page may: hide the button.
    work.page.eval_in_content_script(
        extension,
        "chrome.runtime.sendMessage({ page: 'hide_button', for: 'page' }).then(() => true)",
    )?;
    until("the button to go", LIMIT, || Ok(work.page.control("button", "Activate")?.is_none()))?;
    let popup = work.browser.open_popup()?;
    popup.click("button", "Activate Domain Admin for 1 h")?;
    only_the_person_asked(&work)
}

#[test]
fn a_page_with_a_strict_policy_gets_the_button_and_its_click_counts() -> Outcome {
    let work = Workplace::quick_with(settings, saved_ticket()?.strict())?;
    work.click_in_page()?;
    work.active_session()?;
    assert!(work.ad.bind("jit-tech1", &work.copied()?)?.accepted());
    Ok(())
}

#[test]
fn a_page_that_changes_its_ticket_under_the_click_activates_neither() -> Outcome {
    let work = Workplace::quick()?;
    let button = work.page.wait_for_control("button", "Activate")?;
    // The page turns into another ticket at the moment of every press, before the click is complete.
    work.page.eval(
        "globalThis.n = 1; addEventListener('pointerdown', () => {
            n += 1; history.replaceState(null, '', '?id=' + n); document.title = '#' + n + ': Reset a password';
            document.querySelector('#header h1').textContent = document.title;
        }, { capture: true })",
    )?;
    let url = work.browser.extension_url("popup.html");
    until("the question which ticket is meant", LIMIT, || {
        // Long enough in sight for the guard, and for the popup that the press before opened: a press would close it.
        work.page.eval("new Promise(done => setTimeout(done, 1900))")?;
        let asked = work.browser.targets()?.iter().any(|target| target.url.starts_with(&url));
        if !asked {
            work.page.click_node(&button)?;
        }
        Ok(asked)
    })?;
    let popup = work.browser.popup()?;
    popup.until("!!document.querySelector('[role=alert]')")?;
    assert!(work.open_sessions()?.is_empty(), "neither the old nor the new ticket");
    Ok(())
}

#[test]
fn a_relay_started_for_another_extension_answers_nothing_but_no() -> Outcome {
    let ad = ticketgate_tests::samba::SambaAd::start(ticketgate_tests::samba::Options::default())?;
    let product = ticketgate_tests::product::Product::start(&settings(&ad))?;
    let mut relay = product.relay("abcdefghijklmnopabcdefghijklmnop")?;
    let answer = relay.receive(LIMIT)?.context("it says nothing")?;
    assert_eq!(answer.pointer("/error/code"), Some(&json!("origin_refused")), "{answer}");
    // The browser may still be writing when the answer is there: that is no broken pipe, and gets no second answer.
    relay.send(&json!({"id": "1", "method": "hello", "params": {"protocol_min": 1, "protocol_max": 1, "extension_version": "0.1.0"}}))?;
    assert_eq!(relay.receive(LIMIT)?, None, "it says more than no");
    relay.wait(LIMIT)?;
    Ok(())
}
