//! More that an intruder would try than `strangers.rs` has: a page around the ticket's frame, a content script that speaks
//! for another tab, document or origin, and a second extension beside ours. Each ends with a person's own activation, which
//! proves the way open, and with the broker's record of who asked for what.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_tests::chromium::{Chromium, Options, Page, extension_id};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::site::Served;
use ticketgate_tests::workplace::Workplace;
use ticketgate_tests::world::Folder;
use ticketgate_tests::{Outcome, Result};

/// The popup, wherever the browser shows it.
fn popups(work: &Workplace) -> Result<usize> {
    let url = work.browser.extension_url("popup.html");
    Ok(work.browser.targets()?.iter().filter(|one| one.kind == "page" && one.url.starts_with(&url)).count())
}

/// Our button in the frame of a page.
const IN_FRAME: &str = "frames[0].document.querySelector('html > [popover]')";

/// A page that shows nothing but the ticket, in a frame of this style.
fn framed(work: &Workplace, path: &str, style: &str) -> Result<Page> {
    let shell = format!(
        "<!doctype html><title>Win</title><style>body {{ margin: 0; background: white; }}
         iframe {{ position: fixed; inset: 0; width: 100%; height: 100%; border: 0; {style} }}</style>
         <iframe src='{}&in={path}'></iframe>",
        work.url
    );
    let page = work.browser.page(&work.site.page(path, Served::html(shell)))?;
    page.to_front()?;
    page.until(&format!("!!{IN_FRAME}?.matches(':popover-open')"))?;
    Ok(page)
}

#[test]
fn a_click_in_a_frame_that_the_page_around_it_may_hide_or_move_only_opens_the_popup() -> Outcome {
    let work = Workplace::quick()?;
    let middle = format!(
        "(() => {{ const box = {IN_FRAME}.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
    );
    // Of a mask around it a frame knows nothing: the guard lets both clicks through.
    let clear = "mask-image:linear-gradient(transparent,transparent)";
    for (path, style) in [("/plain", ""), ("/masked", clear)] {
        let page = framed(&work, path, style)?;
        until("a click to open the popup", LIMIT, || {
            // Long enough in sight for the guard.
            page.eval("new Promise(done => setTimeout(done, 900))")?;
            let at: (f64, f64) = serde_json::from_value(page.eval(&middle)?)?;
            page.click_at(at.0, at.1)?;
            Ok(until("it to open", Duration::from_secs(2), || Ok(popups(&work)? > 0)).is_ok())
        })
        .context(path)?;
        let popup = work.browser.popup()?;
        // There the person sees what would be activated.
        popup.wait_for_control("button", "Activate Domain Admin for 1 h")?;
        popup.close()?;
        page.close()?;
        until("the popup to close", LIMIT, || Ok(popups(&work)? == 0))?;
    }
    work.page.to_front()?;
    work.click_in_page()?;
    work.active_session()?;
    assert_eq!(work.requests()?, 1, "only the person's own click asked: {:?}", work.product.audit()?);
    Ok(())
}

/// The token of the button in the tab whose address ends so: nobody but the worker has it, and a test that looks into
/// what it saved.
fn token(work: &Workplace, end: &str) -> Result<Value> {
    let page = work.browser.page(&work.browser.extension_url("options.html"))?;
    let find = format!(
        "chrome.storage.session.get('state').then(({{ state }}) => JSON.parse(state).pages.tabs
            .flatMap(([, tab]) => tab.frames.map(([, page]) => page))
            .find((page) => page.url.endsWith({}))?.chip?.view.token ?? null)",
        json!(end)
    );
    let found =
        wait_for("the button's token", LIMIT, || Ok(Some(page.eval(&find)?).filter(Value::is_string)))?;
    page.close()?;
    Ok(found)
}

/// Sends a click from the content script of a page, and waits until the worker has heard it.
fn forge(work: &Workplace, page: &Page, token: &Value, facts: &str) -> Result<()> {
    let script = format!(
        "(async () => {{ const facts = ticketgatePage.read(); const forged = {facts};
            await ticketgatePage.send({{ page: 'click', token: {token}, facts: forged }}); return true; }})()"
    );
    page.eval_in_content_script(work.browser.extension_id(), &script).map(drop)
}

#[test]
fn a_content_script_gone_bad_speaks_for_its_own_document_only() -> Outcome {
    let work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    let bad = work.browser.page(&format!("{}&bad", work.url))?;
    bad.to_front()?;
    bad.wait_for_control("button", "Activate")?;
    let (theirs, own) = (token(&work, "?id=4711")?, token(&work, "&bad")?);
    assert_ne!(theirs, own);

    // Another document's button; no button's; its own while another tab is in front.
    bad.to_front()?;
    forge(&work, &bad, &theirs, "facts")?;
    forge(&work, &bad, &json!(""), "facts")?;
    work.page.to_front()?;
    forge(&work, &bad, &own, "facts")?;
    bad.to_front()?;
    for (what, facts) in [
        ("another origin", "{ ...facts, address: 'https://acme.halopsa.com/tickets?id=4711' }"),
        ("a text that is too long", "{ ...facts, title: 'x'.repeat(1001) }"),
        (
            "an answer that is too long",
            "{ ...facts, answers: facts.answers.map((one) => ({ ...one, found: ['x'.repeat(1001)] })) }",
        ),
        ("a member too many", "{ ...facts, policy: 'acme-domain-admin' }"),
        ("other rules", "{ ...facts, rules: facts.rules + 1 }"),
        ("no facts", "null"),
    ] {
        // A click that names another ticket than the button, or none, takes the button away: each on a fresh page.
        bad.reload()?;
        bad.wait_for_control("button", "Activate")?;
        let own = token(&work, "&bad")?;
        bad.to_front()?;
        forge(&work, &bad, &own, facts)?;
        assert!(work.open_sessions()?.is_empty(), "{what}");
    }
    assert_eq!(work.requests()?, 0, "{:?}", work.product.audit()?);
    // What it can do, and what docs/security.md says of it: press the button of its own document in the tab in front. What
    // it says is cleaned on the way.
    bad.reload()?;
    bad.wait_for_control("button", "Activate")?;
    let own = token(&work, "&bad")?;
    bad.to_front()?;
    let dirty = "{ ...facts, title: facts.title + '\\u0000', answers: facts.answers.map(({ q, found }) =>
        ({ q, found: found.map((text) => '\\u001b' + text + '\\u0007\\u0000') })) }";
    forge(&work, &bad, &own, dirty)?;
    work.active_session()?;
    assert_eq!(work.requests()?, 1);
    let session = work.open_sessions()?.remove(0);
    assert_eq!(session["ticket"]["summary"], "Outlook crashes on start", "{session}");
    assert!(!session.to_string().contains("\\u00"), "{session}");
    Ok(())
}

/// An extension of somebody else's, with as much as it may ask for.
fn stranger() -> Result<Folder> {
    let folder = Folder::new("stranger")?;
    let manifest = json!({
        "manifest_version": 3, "name": "Stranger", "version": "1", "permissions": ["nativeMessaging", "tabs", "scripting"],
        "host_permissions": ["<all_urls>"], "background": { "service_worker": "worker.js" },
    });
    folder.write("manifest.json", manifest.to_string())?;
    folder.write("worker.js", "globalThis.here = true;")?;
    Ok(folder)
}

#[test]
fn another_extension_finds_every_door_of_ours_closed() -> Outcome {
    let mut work = Workplace::quick()?;
    let folder = stranger()?;
    // In the browser in which the person works.
    let options = Options { extensions: vec![folder.path().to_path_buf()], ..work.browser_options() };
    work.browser = work.product.browser(options)?;
    work.page = work.ticket_in(&work.browser)?;
    work.page.wait_for_control("button", "Activate")?;
    let worker = worker_of(&work.browser, &extension_id(folder.path())?)?;
    let ours = json!(work.browser.extension_id());
    let tried = worker.eval(&format!(
        "(async () => {{
            const said = (what) => what.then((answer) => 'answered ' + JSON.stringify(answer), (error) => error.message);
            const end = (port) => new Promise((done) => {{
                port.onMessage.addListener(() => done('answered'));
                port.onDisconnect.addListener(() => done(chrome.runtime.lastError?.message ?? 'closed'));
            }});
            const [tab] = await chrome.tabs.query({{ url: '*://*/Ticket/*' }});
            const answers = {{}};
            for (const message of [{{ page: 'arrived' }}, {{ page: 'click', token: '' }}, {{ activate: {{ serial: 0 }} }}, 'activate'])
                answers[JSON.stringify(message)] = await said(chrome.runtime.sendMessage({ours}, message));
            for (const name of ['popup', '']) answers['port ' + name] = await end(chrome.runtime.connect({ours}, {{ name }}));
            answers.native = await end(chrome.runtime.connectNative('{}'));
            for (const file of ['popup.html', 'worker.js', 'ticketgate_wasm_bg.wasm'])
                answers[file] = await said(fetch('chrome-extension://' + {ours} + '/' + file));
            answers.script = await said(chrome.scripting.executeScript({{ target: {{ tabId: tab.id }}, func: () => {{
                const host = document.querySelector('html > [popover]');
                host.click(); host.dispatchEvent(new PointerEvent('click', {{ bubbles: true, composed: true }}));
                return [typeof ticketgatePage, host.shadowRoot];
            }} }}).then(([one]) => one.result));
            return answers;
        }})()",
        ticketgate_protocol::HOST_NAME
    ))?;
    let answers = tried.as_object().context("no answers")?;
    assert_eq!(answers.len(), 11, "{tried}");
    for (what, answer) in answers {
        let expected = match what.as_str() {
            "native" => "Access to the specified native messaging host is forbidden.",
            "script" => "answered [\"undefined\",null]",
            file if file.contains('.') && !file.starts_with('{') => "Failed to fetch",
            _ => "Could not establish connection. Receiving end does not exist.",
        };
        assert_eq!(answer, expected, "{what}");
    }
    // Nor do pages get ours into a frame, where they could lay something over it.
    let popup = work.browser.extension_url("popup.html");
    let shell = format!("<!doctype html><iframe src='{popup}' onload='globalThis.loaded = true'></iframe>");
    let page = work.browser.page(&work.site.page("/frame", Served::html(shell)))?;
    page.until("globalThis.loaded === true")?;
    let framed = work.browser.targets()?.iter().any(|target| target.url == popup);
    assert!(!framed, "the popup stands in a page's frame");
    page.close()?;

    work.page.to_front()?;
    work.click_in_page()?;
    work.active_session()?;
    assert_eq!(work.requests()?, 1, "{:?}", work.product.audit()?);
    Ok(())
}

fn worker_of(browser: &Chromium, extension: &str) -> Result<Page> {
    let mark = format!("chrome-extension://{extension}/");
    let worker = browser.attach("the stranger's worker", |target| {
        target.kind == "service_worker" && target.url.starts_with(&mark)
    })?;
    worker.until("globalThis.here === true")?;
    Ok(worker)
}
