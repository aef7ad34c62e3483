//! The extension's pages and the pages around them: the window in place of the popup, what a smuggled script can do,
//! what is remembered, the clipboard.

use crate::desk::{DESK, Desk, options};
use serde_json::json;
use ticketgate_tests::chromium::{Chromium, Options};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::scripted::{ScriptedHost, overview, session};
use ticketgate_tests::site::Site;
use ticketgate_tests::world::Folder;
use ticketgate_tests::xvfb::Xvfb;
use ticketgate_tests::{Outcome, Result};

#[test]
fn a_kept_badge_that_cannot_be_drawn_keeps_no_worker_from_its_work() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let kept = "chrome.storage.session.set({badge: [{at: 0, text: {}, color: 'no color'}]}).then(() => true)";
    desk.browser.worker()?.eval(kept)?;
    desk.browser.stop_worker()?;
    desk.browser.wake("options.html")?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    Ok(())
}

#[test]
fn a_kept_view_that_cannot_be_drawn_keeps_no_popup_from_its_work() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.to_front()?;
    ticket.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    let kept = "chrome.tabs.query({active: true}).then(([{id}]) => chrome.storage.session.set({view: [id, {}]})).then(() => true)";
    desk.browser.worker()?.eval(kept)?;
    desk.browser.stop_worker()?;
    desk.browser.click_toolbar(&ticket)?;
    desk.browser.popup()?.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    Ok(())
}

#[test]
fn where_the_browser_refuses_the_popup_a_window_opens_filled_in() -> Outcome {
    let mut asks = overview(&json!([]));
    asks["ok"]["policies"][0]["one_click"] = json!(false);
    let desk = Desk::open_with(&asks)?;
    desk.browser.allow_host(DESK, "options.html")?;
    // A window without a toolbar has no place for a popup.
    let address = json!(desk.ticket("desk.example", "Acme Corp")?);
    let bare =
        format!("chrome.windows.create({{type: 'popup', url: {address}, focused: true}}).then(() => true)");
    desk.browser.worker()?.eval(&bare)?;
    let ticket = desk
        .browser
        .attach("the ticket", |target| target.kind == "page" && target.url.contains("/Ticket/"))?;
    ticket.to_front()?;
    let name = "Activate · Acme Corp · Domain Admin 1 h …";
    ticket.wait_for_control("button", name)?;
    let url = desk.browser.extension_url("popup.html?window=1");
    // A click too soon does not count, and the button may be drawn anew meanwhile.
    until("the window", LIMIT, || {
        if let Some(button) = ticket.control("button", name)? {
            ticket.click_node(&button)?;
        }
        Ok(desk.browser.targets()?.iter().any(|target| target.url.starts_with(&url)))
    })?;
    let window = desk.browser.attach("the window", |target| target.url.starts_with(&url))?;
    window.until("document.querySelector('#reason')?.value.startsWith('#4711 Outlook crashes on start')")?;
    window.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    let wide = window
        .eval("document.documentElement.scrollWidth <= innerWidth && document.body.offsetWidth > 300")?;
    assert_eq!(wide, true);
    // A second click brings this window to the front and opens no other.
    let windows = || -> Result<usize> {
        Ok(desk
            .browser
            .targets()?
            .iter()
            .filter(|target| target.kind == "page" && target.url.starts_with(&url))
            .count())
    };
    ticket.to_front()?;
    let button = ticket.wait_for_control("button", name)?;
    ticket.click_node(&button)?;
    window.until("document.hasFocus()")?;
    assert_eq!(windows()?, 1);
    window.click("button", "Activate Domain Admin for 1 h")?;
    let wish = wait_for("the request", LIMIT, || Ok(desk.host.heard("activate")?.pop()))?;
    assert_eq!(wish["params"]["ticket"]["number"], "4711", "{wish}");
    Ok(())
}

/// A copy of the extension whose popup tries what its policy forbids; the product's own files are as they are.
fn with_an_intruder() -> Result<Folder> {
    let folder = Folder::new("intruder")?;
    ticketgate_tests::world::copy(&ticketgate_tests::product::extension()?, folder.path())?;
    let page = std::fs::read_to_string(folder.join("popup.html"))?;
    let page = page.replace(
        "<body>",
        "<body><script>globalThis.inline = true</script><script src=\"intruder.js\"></script>
         <img id=\"pixel\" onerror=\"globalThis.handler = true\" src=\"nowhere.png\" />",
    );
    folder.write("popup.html", page)?;
    folder.write(
        "intruder.js",
        "globalThis.tried = (async () => {
           const no = async (what) => { try { await what(); return 'went through'; } catch (error) { return error.name; } };
           const form = document.createElement('form');
           const frame = document.createElement('iframe');
           const refused = globalThis.refused = [];
           addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
           const answers = {
             fetch: await no(() => fetch('http://desk.example/steal', { mode: 'no-cors' })),
             eval: await no(() => eval('1')),
             function: await no(() => new Function('return 1')()),
             socket: await no(() => new Promise((done, fail) => {
               const socket = new WebSocket('ws://desk.example/'); socket.onopen = done; socket.onerror = () => fail(new Error('x')); })),
             script: await no(() => new Promise((done, fail) => {
               const script = document.createElement('script'); script.src = 'http://desk.example/x.js';
               script.onload = done; script.onerror = () => fail(new Error('x')); document.head.append(script); })),
             image: await no(() => new Promise((done, fail) => {
               const image = new Image(); image.onload = done; image.onerror = () => fail(new Error('x'));
               image.src = 'http://desk.example/x.png'; })),
           };
           form.action = 'http://desk.example/steal'; form.method = 'post'; document.body.append(form); form.submit();
           frame.src = 'http://desk.example/'; document.body.append(frame);
           return { answers, inline: globalThis.inline ?? null, handler: globalThis.handler ?? null };
         })();",
    )?;
    Ok(folder)
}

#[test]
fn a_script_smuggled_into_the_popup_cannot_run_inline_nor_reach_out() -> Outcome {
    let site = Site::start()?;
    let intruder = with_an_intruder()?;
    let extensions = vec![intruder.path().to_path_buf()];
    let browser = Chromium::start(&Options { extensions, ..options(&site) })?;
    let popup = browser.page(&browser.extension_url("popup.html"))?;
    // Its own script tries: what is evaluated from outside may do more.
    let tried = popup.eval("globalThis.tried")?;
    for (way, answer) in tried["answers"].as_object().into_iter().flatten() {
        assert_ne!(answer, "went through", "{way}: {tried}");
    }
    assert_eq!(tried["answers"].as_object().map_or(0, serde_json::Map::len), 6, "{tried}");
    assert!(tried["inline"].is_null() && tried["handler"].is_null(), "{tried}");
    for directive in ["connect-src", "script-src-elem", "img-src", "form-action", "frame-src"] {
        popup.until(&format!("refused.includes({}) || refused.join()", json!(directive)))?;
    }
    assert_eq!(site.requests(), [""; 0], "nothing went out");
    Ok(())
}

#[test]
fn what_was_chosen_last_for_a_customer_is_remembered_by_the_next_browser() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let address = desk.ticket("desk.example", "Globex")?;
    let ticket = desk.browser.page(&address)?;
    // Two policies, none used yet: the button does not guess.
    ticket.wait_for_control("button", "Activate · Globex …")?;
    let globex = json!({"customer": "globex", "customer_name": "Globex", "policy": "globex-helpdesk", "policy_name": "Helpdesk"});
    let activated = json!({"session": session("1a", 1800, &globex), "clipboard": {"state": "not_needed"}});
    desk.host.answer("activate", json!({"ok": activated}))?;
    let popup = desk.browser.open_popup()?;
    popup.click("radio", "Helpdesk")?;
    popup.click("radio", "30 min")?;
    popup.click("button", "Activate Helpdesk for 30 min")?;
    wait_for("the request", LIMIT, || Ok(desk.host.heard("activate")?.pop()))?;
    until("the badge", LIMIT, || Ok(["30m", "29m"].contains(&desk.browser.badge_text(None)?.as_str())))?;
    desk.host.answer("overview", overview(&json!([])))?;
    until("no badge", LIMIT, || Ok(desk.browser.badge_text(None)?.is_empty()))?;
    let Desk { browser, host, site } = desk;
    drop((popup, ticket));
    let profile = browser.close()?;
    let browser = host.browser(Options { profile: Some(profile), ..options(&site) })?;
    let ticket = browser.page(&address)?;
    ticket.wait_for_control("button", "Activate · Globex · Helpdesk 30 min")?;
    Ok(())
}

#[test]
fn copy_name_puts_the_accounts_name_into_the_persons_clipboard() -> Outcome {
    let display = Xvfb::start()?;
    let site = Site::start()?;
    let host = ScriptedHost::new(&json!({"overview": overview(&json!([session("1a", 3480, &json!({}))]))}))?;
    // Without windows a browser has a clipboard of its own, which nobody else sees.
    let shown = Options { display: Some(display.display().to_owned()), headed: true, ..options(&site) };
    let browser = host.browser(shown)?;
    let popup = browser.page(&browser.extension_url("popup.html?window=1"))?;
    popup.to_front()?;
    popup.click("button", "Copy name: ACME\\jit-tech1")?;
    popup.until("document.querySelector('.account button').innerText === 'Copied'")?;
    until("the name in the clipboard", LIMIT, || {
        Ok(display.clipboard()?.as_deref() == Some("ACME\\jit-tech1"))
    })?;
    Ok(())
}

#[test]
fn a_popup_whose_view_comes_before_its_drawing_code_draws_it() -> Outcome {
    let desk = Desk::open_with(&overview(&json!([session("1a", 3480, &json!({}))])))?;
    let popup = desk.browser.open_popup()?;
    popup.wait_for_control("image", " left")?;
    // The file once more, while `connect.js` has a view already: what a quick worker beside a slow style sheet does.
    popup.eval("document.getElementById('main').replaceChildren()")?;
    popup.eval("import('./popup.js?later').then(() => true)")?;
    popup.wait_for_control("image", " left")?;
    Ok(())
}
