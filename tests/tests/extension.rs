//! The extension's own pages and permissions in a real Chromium: settings, one page by a click on the toolbar, the window
//! that stands in for the popup, administrator's settings, the extension's own content security policy, the keyboard and
//! the screen reader. The host is scripted where only the browser's side is asked; what it grants is tested elsewhere.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use anyhow::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ticketgate_tests::chromium::{Chromium, Key, Options, Page};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::scripted::{ScriptedHost, overview, session};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{self, SambaAd};
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::{Folder, workspace};
use ticketgate_tests::{Outcome, Result};

const DESK: &str = "http://desk.example/*";

/// Colours of the badge.
const CALM: [u8; 4] = [27, 110, 79, 255];
const AMBER: [u8; 4] = [154, 91, 0, 255];
const RED: [u8; 4] = [179, 38, 30, 255];

/// A browser with the extension, and a site of many names with ticket pages of Request Tracker.
struct Desk {
    browser: Chromium,
    host: ScriptedHost,
    site: Site,
}

impl Desk {
    fn open() -> Result<Self> {
        Self::open_with(&overview(&json!([])))
    }

    fn open_with(overview: &Value) -> Result<Self> {
        let site = Site::start()?;
        let host = ScriptedHost::new(&json!({"overview": overview}))?;
        let browser = host.browser(options(&site))?;
        Ok(Self { browser, host, site })
    }

    /// The address of a ticket page.
    fn ticket(&self, name: &str, customer: &str) -> Result<String> {
        let html =
            std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages/request-tracker-5.html"))?;
        let page = Served::html(html.replace("Acme Corp", customer));
        Ok(format!("{}?id=4711", self.site.page_at(name, "/Ticket/Display.html", page)))
    }

    fn has_script(&self, page: &Page) -> Result<bool> {
        let id = self.browser.extension_id();
        // The browser may keep an empty world where scripts were before.
        Ok(page.has_world_of(id)?
            && page.eval_in_content_script(id, "typeof ticketgatePage !== 'undefined'")? == true)
    }

    fn registered(&self) -> Result<Value> {
        self.browser.worker()?.eval(
            "chrome.scripting.getRegisteredContentScripts().then(all => all.flatMap(one => one.matches))",
        )
    }
}

fn options(site: &Site) -> Options {
    let at = |name: &str| (name.to_owned(), site.address().to_string());
    Options {
        hosts: vec![at("desk.example"), at("other.example"), at("suggested.example")],
        ..Options::default()
    }
}

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
fn a_site_is_added_and_removed_in_the_settings() -> Outcome {
    let desk = Desk::open()?;
    let address = desk.ticket("desk.example", "Acme Corp")?;
    let ticket = desk.browser.page(&address)?;
    let settings = desk.browser.page(&desk.browser.extension_url("options.html"))?;
    settings.wait_for_control("button", "Add")?;
    let list = "document.getElementById('sites').innerText";
    let said = "document.getElementById('said').textContent";
    let add = |text: &str| -> Result<()> {
        settings.eval("{ const a = document.getElementById('address'); a.focus(); a.select(); }")?;
        settings.type_text(text)?;
        settings.press(Key::ENTER)
    };
    for typed in [
        " ",
        "no address at all",
        "ftp://desk.example",
        "chrome://settings",
        "javascript:alert(1)",
        "https://*",
        "*.example",
        "https://desk.*",
    ] {
        settings.eval("document.getElementById('said').textContent = ''")?;
        add(typed)?;
        let told = "Type the address of one web site, such as https://desk.example";
        let heard = settings.until(&format!("{said} === {} || {said}", json!(told)));
        heard.with_context(|| format!("typed: {typed}"))?;
    }
    assert_eq!(desk.registered()?, json!([]));
    assert!(!desk.has_script(&ticket)?);

    desk.browser.grant_host(DESK)?;
    settings.to_front()?;
    add("http://desk.example:8080/Ticket/Display.html?id=1")?;
    settings
        .until(&format!("{said} === 'Ticketgate reads tickets on http://desk.example now.' || {said}"))?;
    settings.until(&format!("{list}.includes('http://desk.example')"))?;
    until("the scripts for the site", LIMIT, || Ok(desk.registered()? == json!([DESK])))?;
    // A page that was open already gets its button without a reload.
    ticket.to_front()?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;

    settings.to_front()?;
    settings.click("button", "Remove http://desk.example")?;
    settings.until(&format!("!{list}.includes('http://desk.example')"))?;
    until("no scripts", LIMIT, || Ok(desk.registered()? == json!([])))?;
    ticket.to_front()?;
    until("the open page to be let go", LIMIT, || Ok(!desk.has_script(&ticket)?))?;
    assert!(ticket.control("button", "Activate")?.is_none(), "its button went without a reload");
    // The browser tells its page processes of it a moment later than it says so itself.
    until("nothing of ours to run there any more", LIMIT, || {
        ticket.reload()?;
        Ok(!desk.has_script(&ticket)?)
    })?;
    assert!(ticket.control("button", "Activate")?.is_none());
    Ok(())
}

#[test]
fn a_click_on_the_toolbar_reads_that_one_page_and_no_other() -> Outcome {
    let desk = Desk::open()?;
    let plain =
        desk.site.page_at("other.example", "/", Served::html("<!doctype html><title>x</title><p>Nothing"));
    let plain = desk.browser.page(&plain)?;
    let address = desk.ticket("desk.example", "Acme Corp")?;
    let second = desk.browser.page(&address)?;
    let ticket = desk.browser.page(&format!("{address}&again"))?;
    for page in [&plain, &second, &ticket] {
        assert!(!desk.has_script(page)?, "no script of ours before the click: {}", page.url()?);
    }
    ticket.to_front()?;
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    popup.until("document.querySelector('.ticket')?.innerText === '#4711 Outlook crashes on start'")?;
    let link = popup.eval("document.querySelector('.ticket a').href")?;
    assert!(link.as_str().is_some_and(|url| url.ends_with("/Ticket/Display.html?id=4711")), "{link}");
    popup.wait_for_control("button", "Allow on this site")?;
    popup.close()?;
    for page in [&plain, &second] {
        assert!(!desk.has_script(page)?, "still none elsewhere: {}", page.url()?);
    }
    assert_eq!(desk.registered()?, json!([]));
    let held =
        desk.browser.worker()?.eval("chrome.permissions.contains({origins: ['http://desk.example/*']})")?;
    assert_eq!(held, false, "the click allowed one page, not the site");
    // Another site in the same tab is another page.
    ticket.open(&format!("{}?here", plain.url()?))?;
    assert!(!desk.has_script(&ticket)?);
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    popup.until(
        "document.body.innerText.includes('No ticket recognised on this page') || document.body.innerText",
    )?;
    assert!(popup.control("button", "Allow on this site")?.is_none(), "no ticket, so nothing to allow");
    Ok(())
}

#[test]
fn the_button_stays_when_the_site_of_a_page_that_was_pointed_at_is_allowed() -> Outcome {
    let desk = Desk::open()?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.to_front()?;
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    ticket.eval_in_content_script(desk.browser.extension_id(), "ticketgatePage.before = true")?;
    desk.browser.grant_host(DESK)?;
    popup.click("button", "Allow on this site")?;
    until("the scripts for the site", LIMIT, || Ok(desk.registered()? == json!([DESK])))?;
    until("the scripts to be put in anew", LIMIT, || {
        let id = desk.browser.extension_id();
        Ok(ticket.eval_in_content_script(id, "ticketgatePage?.before === undefined")? == true)
    })?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    Ok(())
}

#[test]
fn in_a_frame_a_click_on_the_button_only_opens_the_popup() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let shell = format!(
        "<!doctype html><style>iframe {{ position: fixed; inset: 0; width: 100%; height: 100%; border: 0; }}</style>
         <iframe src='{}'></iframe>",
        desk.ticket("desk.example", "Acme Corp")?
    );
    let page = desk.browser.page(&desk.site.page_at("desk.example", "/shell", Served::html(shell)))?;
    page.to_front()?;
    let host = "frames[0].document.querySelector('html > [popover]')";
    page.until(&format!("!!{host}?.matches(':popover-open')"))?;
    let middle = format!(
        "(() => {{ const box = {host}.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()"
    );
    let url = desk.browser.extension_url("popup.html");
    let is_open = || Ok(desk.browser.targets()?.iter().any(|target| target.url.starts_with(&url)));
    until("the popup", LIMIT, || {
        // Long enough in sight for the guard. A popup that nobody is attached to yet closes soon, so it is looked for at once.
        page.eval("new Promise(done => setTimeout(done, 900))")?;
        let at: (f64, f64) = serde_json::from_value(page.eval(&middle)?)?;
        page.click_at(at.0, at.1)?;
        Ok(until("it to open", Duration::from_secs(2), is_open).is_ok())
    })?;
    desk.browser.popup()?.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    assert_eq!(desk.host.heard("activate")?, [json!(null); 0]);
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
    let button = ticket.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h …")?;
    let url = desk.browser.extension_url("popup.html?window=1");
    until("the window", LIMIT, || {
        ticket.click_node(&button)?;
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
    ticket.click_node(&button)?;
    window.until("document.hasFocus()")?;
    assert_eq!(windows()?, 1);
    window.click("button", "Activate Domain Admin for 1 h")?;
    let wish = wait_for("the request", LIMIT, || Ok(desk.host.heard("activate")?.pop()))?;
    assert_eq!(wish["params"]["ticket"]["number"], "4711", "{wish}");
    Ok(())
}

/// A policy file for every Chromium of this machine, gone at the end of the test whatever happens.
struct ManagedSettings(PathBuf);

impl ManagedSettings {
    fn write(extension: &str, settings: &Value) -> Result<Self> {
        let folder = Path::new("/etc/chromium/policies/managed");
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("ticketgate-test-{}.json", std::process::id()));
        let settings = json!({"3rdparty": {"extensions": {extension: settings}}});
        std::fs::write(&file, settings.to_string())?;
        Ok(Self(file))
    }
}

impl Drop for ManagedSettings {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_site_that_the_administrator_suggests_is_offered_and_still_the_persons_to_allow() -> Outcome {
    // A name of its own: other tests' browsers read the same file.
    let site = "http://suggested.example/*";
    let id = ticketgate_tests::chromium::extension_id(&ticketgate_tests::product::extension()?)?;
    let _managed = ManagedSettings::write(&id, &json!({"hosts": [site]}))?;
    let desk = Desk::open()?;
    let page = desk.browser.page(&desk.browser.extension_url("options.html"))?;
    page.until("document.getElementById('sites').innerText.includes('suggested by your administrator')")?;
    // On the site itself the popup offers it before anything was read there.
    let home = Served::html("<!doctype html><title>Home</title><p>Home");
    let home = desk.browser.page(&desk.site.page_at("suggested.example", "/", home))?;
    desk.browser.click_toolbar(&home)?;
    let popup = desk.browser.popup()?;
    popup.until("document.body.innerText.includes('Your administrator suggests it.')")?;
    popup.close()?;
    assert_eq!(desk.registered()?, json!([]), "a suggestion allows nothing");
    desk.browser.grant_host(site)?;
    page.to_front()?;
    page.click("button", "Allow http://suggested.example")?;
    page.until("document.querySelector('#sites button')?.ariaLabel === 'Remove http://suggested.example'")?;
    let ticket = desk.browser.page(&desk.ticket("suggested.example", "Acme Corp")?)?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
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
    let has_keyboard = || -> Result<bool> {
        let now = ticket.wait_for_control("button", "Activate · Acme Corp")?;
        let properties = now.raw["properties"].as_array().cloned().unwrap_or_default();
        Ok(properties.iter().any(|one| one["name"] == "focused" && one["value"]["value"] == true))
    };
    let mut presses = 0;
    while !has_keyboard()? {
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

/// What the extension had the browser show, as `(id, title, message, buttons)`.
fn notices(worker: &Page, id: &str) -> Result<Vec<Value>> {
    let all =
        worker.eval(&format!("notices.filter(([id]) => id === {}).map(([, what]) => what)", json!(id)))?;
    Ok(all.as_array().cloned().unwrap_or_default())
}

fn title(notice: &Value) -> &str {
    notice["title"].as_str().unwrap_or_default()
}

#[test]
fn notifications_warn_in_time_extend_end_and_say_when_an_end_fails() -> Outcome {
    let mut ad = SambaAd::start(samba::Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("sessions_at_once = 5"))?;
    let browser = product.browser(Options::default())?;
    let worker = browser.worker()?;
    worker.eval(
        "{ globalThis.notices = []; const create = chrome.notifications.create;
           chrome.notifications.create = (...what) => { notices.push(what); return create(...what); }; }",
    )?;
    let granted = |policy: &str, seconds: u32| {
        let mut wish = wish(policy);
        wish["duration_s"] = json!(seconds);
        product.granted(&wish)
    };
    let first = |id: &str| wait_for(id, LIMIT, || Ok(notices(&worker, id)?.into_iter().next()));
    let (warning, end) = (|id: &str| format!("warning {id}"), |id: &str| format!("end {id}"));
    let badge_is = |what: &str, color: [u8; 4], fits: &dyn Fn(&str) -> bool| {
        until(what, LIMIT, || Ok(fits(&browser.badge_text(None)?) && browser.badge_color(None)? == color))
    };

    // Five minutes: amber, and Extend moves the end in the broker.
    let five = granted("acme-server-admin", 302)?;
    let told = first(&warning(&five))?;
    assert_eq!(title(&told), "Acme Corp · Server Admin: 5 min left", "{told}");
    assert_eq!(told["buttons"], json!([{"title": "Extend by 1 h"}, {"title": "End now"}]));
    badge_is("an amber badge", AMBER, &|text| text == "5m" || text == "4m")?;
    assert!(browser.notifications()?.contains(&warning(&five)), "it stays until the person reacts");
    let before = product.session(&five)?["expires_at"].clone();
    browser.press_notification(&warning(&five), 0)?;
    until("the later end", LIMIT, || Ok(product.session(&five)?["expires_at"] != before))?;
    badge_is("a calm badge", CALM, &|text| text == "1h")?;
    until("the warning to go", LIMIT, || Ok(!browser.notifications()?.contains(&warning(&five))))?;

    // One minute: red, to the second, and End ends. A session that runs out meanwhile is told once, when it is over.
    let short = granted("acme-member", 6)?;
    let one = granted("acme-burner", 62)?;
    let over = first(&end(&short))?;
    assert_eq!(title(&over), "Acme Corp · Helpdesk, own account ended", "{over}");
    assert_eq!(over["message"], "Its time was over. The rights are taken away.");
    assert_eq!(product.session(&short)?["state"], "ended");
    assert_eq!(title(&first(&warning(&one))?), "Acme Corp · Helpdesk, disposable account: 1 min left");
    badge_is("a red badge with seconds", RED, &|text| text.ends_with('s'))?;
    browser.press_notification(&warning(&one), 1)?;
    product.session_becomes(&one, "ended")?;
    assert_eq!(first(&end(&one))?["message"], "You ended it. The rights are taken away.");
    assert_eq!(notices(&worker, &end(&short))?.len(), 1);
    assert!(notices(&worker, &warning(&short))?.is_empty(), "six seconds are no news");

    // An end that does not succeed: red, loud, and not called an end.
    let last = granted("acme-burner", 6)?;
    ad.crash()?;
    let stuck = first(&end(&last))?;
    assert_eq!(
        title(&stuck),
        "Acme Corp · Helpdesk, disposable account: the end does not succeed",
        "{stuck}"
    );
    assert!(stuck["message"].as_str().is_some_and(|text| text.contains("may still be there")), "{stuck}");
    assert_eq!(stuck["requireInteraction"], true);
    badge_is("a red !", RED, &|text| text == "!")?;
    Ok(())
}
