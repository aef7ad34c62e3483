//! The page side in a real browser: what the probe reads is recognised, and the in-page button takes a person's click
//! and no other. The worker is a small one of the tests' own, so that nothing but the page side is on trial.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use ticketgate_protocol::page::FromPage;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Key, Options, Page};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::{Folder, fixture, workspace};
use ticketgate_wasm::recognise::{Recognition, Rules, best_of};

/// Scripts, styles and frames of nobody: what a page with a strict policy allows.
const STRICT: &str = "default-src 'none'; script-src 'self'; style-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A browser with the probe, the button and the tests' worker, and a site that every host name leads to.
struct Stage {
    browser: Chromium,
    site: Site,
    worker: Page,
    _extension: Folder,
}

impl Stage {
    /// The site, under further names too.
    fn with(hosts: &[&str]) -> Result<Self> {
        let site = Site::start()?;
        let mut origins = vec![format!("http://{}", site.address())];
        origins.extend(hosts.iter().map(|host| format!("http://{host}")));
        let rules = Rules::built_in();
        let questions: serde_json::Map<String, Value> = origins
            .iter()
            .map(|origin| Ok((origin.clone(), serde_json::to_value(rules.questions(&format!("{origin}/")))?)))
            .collect::<Result<_>>()?;
        let extension = Folder::new("page-side")?;
        for file in ["manifest.json", "worker.js"] {
            extension.write(file, std::fs::read(fixture("page_side").join(file))?)?;
        }
        for file in ["probe.js", "chip.js"] {
            extension.write(file, std::fs::read(workspace().join("extension").join(file))?)?;
        }
        extension.write("questions.json", Value::from(questions).to_string())?;
        let browser = Chromium::start(&Options {
            extensions: vec![extension.path().to_path_buf()],
            hosts: hosts.iter().map(|host| ((*host).to_owned(), site.address().to_string())).collect(),
            ..Options::default()
        })?;
        let worker = browser.worker()?;
        Ok(Self { browser, site, worker, _extension: extension })
    }

    fn new() -> Result<Self> {
        Self::with(&[])
    }

    /// A ticket page of Request Tracker under a strict policy.
    fn strict_ticket(&self) -> Result<Page> {
        let page =
            Served::html(fixture_page("request-tracker-5.html")?).with("Content-Security-Policy", STRICT);
        let url = self.site.page("/Ticket/Display.html", page);
        let page = self.browser.page(&format!("{url}?id=4711"))?;
        self.worker.until("latest('report') !== undefined")?;
        Ok(page)
    }

    fn show(&self, view: &Value) -> Result<()> {
        self.worker.eval(&format!("push({})", json!({"show": view}))).map(drop)
    }

    fn count(&self, kind: &str) -> Result<u64> {
        Ok(self.worker.eval(&format!("of('{kind}').length"))?.as_u64().unwrap_or_default())
    }

    fn latest(&self, kind: &str) -> Result<Value> {
        self.worker.eval(&format!("latest('{kind}')?.message ?? null"))
    }

    /// What the latest report amounts to, by the same check and rules as in the product.
    fn recognised(&self) -> Result<Recognition> {
        let latest = self.worker.eval("latest('report')")?;
        recognise(&latest)
    }
}

fn recognise(report: &Value) -> Result<Recognition> {
    let text = report["message"].to_string();
    let FromPage::Report(facts) = FromPage::from_json(&text)? else { anyhow::bail!("no report: {text}") };
    let url = report["from"]["url"].as_str().context("no sender")?;
    Ok(Rules::built_in().recognise(url, &facts))
}

fn fixture_page(name: &str) -> Result<String> {
    Ok(std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages").join(name))?)
}

fn view(token: &str, label: &str) -> Value {
    json!({
        "token": token,
        "label": label,
        "detail": "Activate Domain Admin at Acme Corp for 1 hour, for ticket #4711. The account is ready about a second after the click.",
        "state": "ready",
        "one_click": true,
        "placement": {"corner": "bottom_right", "x": 24, "y": 24},
    })
}

const LABEL: &str = "Activate · Acme Corp · Domain Admin 1 h";

/// Waits until the button has been in sight for long enough, as a person does.
fn look_at_it() {
    std::thread::sleep(Duration::from_millis(1900));
}

fn ticket(recognition: &Recognition) -> Value {
    serde_json::to_value(recognition.ticket()).unwrap_or_default()
}

#[test]
fn the_probe_reads_each_system_and_the_rules_recognise_it() -> Result<()> {
    let stage = Stage::with(&["desk.test", "na.myconnectwise.net", "acme.halopsa.com"])?;
    for (host, path, query, page, expected) in [
        (
            "desk.test",
            "/Ticket/Display.html",
            "?id=4711",
            "request-tracker-5.html",
            json!({"system": "request-tracker", "number": "4711", "url": "http://desk.test/Ticket/Display.html?id=4711",
                "summary": "Outlook crashes on start", "customer": "Acme Corp", "contact": "Reception", "status": "new"}),
        ),
        (
            "desk.test",
            "/rt/Ticket/Display.html",
            "?id=12",
            "request-tracker-6.html",
            json!({"system": "request-tracker", "number": "12", "url": "http://desk.test/rt/Ticket/Display.html?id=12",
                "summary": "VPN: no route to host", "customer": "Globex (UK) Ltd", "contact": "bob@globex.example", "status": "open"}),
        ),
        (
            "na.myconnectwise.net",
            "/v4_6_release/ConnectWise.aspx",
            "?locale=en_US#XQAACABabc==??ServiceTicket",
            "connectwise.html",
            json!({"system": "connectwise", "number": "12345",
                "url": "http://na.myconnectwise.net/v4_6_release/ConnectWise.aspx?locale=en_US&routeTo=ServiceFV&recid=12345",
                "summary": "Printer on fire", "status": "New (not responded)"}),
        ),
        (
            "acme.halopsa.com",
            "/tickets",
            "?area=1&id=0003079",
            "halopsa.html",
            json!({"system": "halopsa", "number": "3079", "url": "http://acme.halopsa.com/ticket?id=3079"}),
        ),
    ] {
        let url = stage.site.page_at(host, path, Served::html(fixture_page(page)?));
        let before = stage.count("report")?;
        let tab = stage.browser.page(&format!("{url}{query}"))?;
        stage.worker.until(&format!("of('report').length > {before}"))?;
        assert_eq!(ticket(&stage.recognised()?), expected, "{page}");
        tab.close()?;
    }
    Ok(())
}

#[test]
fn a_ticket_in_autotasks_frame_is_the_tabs_ticket_as_long_as_the_frame_is_seen() -> Result<()> {
    let stage = Stage::with(&["ww5.autotask.net"])?;
    let inner = "/Mvc/ServiceDesk/TicketDetail.mvc";
    stage.site.page_at("ww5.autotask.net", inner, Served::html(fixture_page("autotask.html")?));
    let shell = format!(
        "<!doctype html><title>Autotask</title><div data-slot=iframe><iframe width=900 height=500 src='{inner}?workspace=False&ticketId=53203'></iframe></div>"
    );
    let url = stage.site.page_at("ww5.autotask.net", "/AutotaskOnyx/LandingPage", Served::html(shell));
    let page = stage.browser.page(&url)?;
    stage.worker.until("of('report').filter(one => one.from.frame !== 0).length > 0 && of('report').some(one => one.from.frame === 0)")?;
    let frames = || -> Result<Vec<(i64, Recognition)>> {
        let reports = stage
            .worker
            .eval("Object.values(Object.fromEntries(of('report').map(one => [one.from.frame, one])))")?;
        reports
            .as_array()
            .context("no reports")?
            .iter()
            .map(|report| Ok((report["from"]["frame"].as_i64().context("no frame")?, recognise(report)?)))
            .collect()
    };
    let all = frames()?;
    assert_eq!(all.len(), 2);
    let (frame, found) = best_of(&all).context("no ticket")?;
    assert_ne!(frame, 0);
    assert_eq!(
        serde_json::to_value(&found.ticket)?,
        json!({"system": "autotask", "number": "T20260101.0001",
            "url": "http://ww5.autotask.net/Autotask/AutotaskExtend/ExecuteCommand.aspx?Code=OpenTicketDetail&TicketNumber=T20260101.0001",
            "summary": "Printer not working", "customer": "Contoso Ltd", "contact": "Jane Doe", "status": "In Progress"})
    );
    page.eval("document.querySelector('iframe').style.display = 'none'")?;
    until("the hidden frame to lose", LIMIT, || Ok(best_of(&frames()?).is_none()))
}

#[test]
fn a_real_ticket_of_request_tracker_is_recognised() -> Result<()> {
    let rt = RequestTracker::start()?;
    let origin = rt.url();
    let rules = Rules::built_in();
    let stage = Stage::new()?;
    // The worker of this test knows the site only; this one origin is told it now.
    let questions = serde_json::to_value(rules.questions(&format!("{origin}/")))?;
    stage.worker.eval(&format!("questions.then(all => {{ all['{origin}'] = {questions}; }})"))?;
    let page = stage.browser.new_tab("about:blank")?;
    rt.log_in(&page, &rt.ticket_url(1))?;
    let found = wait_for("the ticket", LIMIT, || {
        let report = stage.worker.eval("latest('report') ?? null")?;
        if report.is_null() {
            return Ok(None);
        }
        Ok(Some(recognise(&report)?).filter(|recognition| recognition.ticket().is_some()))
    })?;
    let found = found.ticket().context("no ticket")?;
    assert_eq!(found.number, "1");
    assert_eq!(found.summary.as_deref(), Some("Outlook crashes on start"));
    assert_eq!(found.customer.as_deref(), Some("Acme Corp"));
    assert_eq!(found.status.as_deref(), Some("open"));
    assert_eq!(found.url.as_deref(), Some(rt.ticket_url(1).as_str()));
    Ok(())
}

#[test]
fn a_change_without_a_load_is_reported_and_the_same_page_is_not_reported_twice() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(stage.count("report")?, 1, "nothing changed, so nothing is to be said");
    page.eval(
        "history.pushState(null, '', '/Ticket/Display.html?id=4712'); document.title = '#4712: Another';
         document.querySelector('#header h1').textContent = '#4712: Another'",
    )?;
    until("the new ticket", LIMIT, || {
        Ok(stage
            .recognised()?
            .ticket()
            .is_some_and(|t| t.number == "4712" && t.summary.as_deref() == Some("Another")))
    })?;
    let report = stage.latest("report")?;
    assert!(report["facts"]["address"].as_str().is_some_and(|address| address.ends_with("?id=4712")));
    Ok(())
}

#[test]
fn a_value_that_no_mutation_tells_is_found_by_the_slow_look() -> Result<()> {
    let stage = Stage::with(&["na.myconnectwise.net"])?;
    let path = "/v4_6_release/ConnectWise.aspx";
    let url =
        stage.site.page_at("na.myconnectwise.net", path, Served::html(fixture_page("connectwise.html")?));
    let page = stage.browser.page(&format!("{url}#X??ServiceTicket"))?;
    stage.worker.until("latest('report') !== undefined")?;
    page.eval("document.querySelectorAll('input.cw_company')[1].value = 'Acme Corp'")?;
    until("the customer", LIMIT, || {
        Ok(stage.recognised()?.ticket().and_then(|t| t.customer.clone()).as_deref() == Some("Acme Corp"))
    })
}

#[test]
fn where_no_rule_asks_the_probe_stays_silent() -> Result<()> {
    let stage = Stage::with(&["other.test"])?;
    stage.worker.eval("questions.then(all => { delete all['http://other.test']; })")?;
    let url = stage.site.page_at("other.test", "/", Served::html("<!doctype html><title>x</title><p>x"));
    let page = stage.browser.page(&url)?;
    stage.worker.until("of('arrived').length === 1")?;
    page.eval("document.title = 'y'; history.pushState(null, '', '/z')")?;
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(stage.count("report")?, 0);
    Ok(())
}

#[test]
fn a_page_that_never_rests_is_read_seldom_and_heard_in_the_end() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    // A thousand mutations a second, and a title that is new every time.
    page.eval(
        "globalThis.n = 0; globalThis.storm = setInterval(() => { for (let i = 0; i < 10; i++) {
            n += 1; document.body.dataset.n = n; document.querySelector('.custom-field .value').textContent = n;
            document.title = '#4711: ' + n; } }, 10)",
    )?;
    std::thread::sleep(Duration::from_secs(8));
    let during = stage.count("report")?;
    assert!((3..=40).contains(&during), "{during} reports in 8 s");
    page.eval("clearInterval(storm); document.title = 'the last word'")?;
    until("the last word", LIMIT, || Ok(stage.latest("report")?["facts"]["title"] == "the last word"))
}

#[test]
fn hostile_text_reaches_the_worker_within_its_bounds() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    page.eval(
        "document.title = '#4711: \\ud800 ' + 'x'.repeat(1 << 20);
         document.querySelector('#header h1').textContent = '#4711: \\u202e<b>\\u0000__proto__ ' + '\\u0001'.repeat(5000) + 'ü'.repeat(1 << 20);
         history.replaceState(null, '', '?id=4711#' + 'y'.repeat(100000))",
    )?;
    until("the ticket", LIMIT, || {
        let found = stage.recognised()?;
        Ok(found
            .ticket()
            .and_then(|t| t.summary.clone())
            .is_some_and(|summary| summary.starts_with("<b> __proto__ üüü")))
    })
}

#[test]
fn reading_a_ticket_page_costs_little() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    // As large as Request Tracker's page with a long history: the questions must not care.
    page.eval(
        "for (let i = 0; i < 3000; i++) document.body.append(Object.assign(document.createElement('div'), {className: 'transaction', textContent: 'x'}))",
    )?;
    let id = stage.browser.extension_id();
    let times = page.eval_in_content_script(
        id,
        "Array.from({length: 200}, () => { const t = performance.now(); ticketgatePage.read(); return performance.now() - t; }).sort((a, b) => a - b)",
    )?;
    let (median, p95) = (times[100].as_f64().context("no time")?, times[190].as_f64().context("no time")?);
    println!("one reading: median {median:.2} ms, 95 % {p95:.2} ms");
    // The aim is 0.3 ms; a busy machine is allowed some.
    assert!(median < 2.0, "one reading takes {median} ms");
    Ok(())
}

/// The button: its middle, and its picture without the page around its corners.
struct Button {
    middle: (f64, f64),
    clip: Value,
}

impl Button {
    fn find(page: &Page) -> Result<Self> {
        let node = page.wait_for_control("button", LABEL)?;
        let middle = page.middle(&node)?;
        let answer = page.call("DOM.getContentQuads", json!({"backendNodeId": node.id}))?;
        let corners: Vec<f64> =
            answer["quads"][0].as_array().context("no quad")?.iter().filter_map(Value::as_f64).collect();
        let (left, top, right, bottom) = (corners[0], corners[1], corners[4], corners[5]);
        let clip = json!({"x": left + 4.0, "y": top + 4.0, "width": right - left - 8.0, "height": bottom - top - 8.0, "scale": 1});
        Ok(Self { middle, clip })
    }

    fn picture(&self, page: &Page) -> Result<String> {
        let answer = page.call("Page.captureScreenshot", json!({"format": "png", "clip": self.clip}))?;
        Ok(answer["data"].as_str().context("no picture")?.to_owned())
    }
}

/// The page's way to our host element: it is the last child of the root element.
const HOST: &str = "document.documentElement.lastElementChild";

#[test]
fn a_knowing_click_passes_the_guard_and_names_the_ticket_of_that_moment() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    page.eval("document.title = '#4711: Changed just now'")?;
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length + of('refused_click').length > 0")?;
    let click = stage.latest("click")?;
    assert_eq!(click["token"], "t-1", "{}", stage.latest("refused_click")?);
    assert_eq!(click["facts"]["title"], "#4711: Changed just now");
    assert!(matches!(FromPage::from_json(&click.to_string()), Ok(FromPage::Click { .. })));
    // The page itself sees no more than an empty element.
    assert_eq!(page.eval(&format!("{HOST}.shadowRoot === null && {HOST}.childNodes.length === 0"))?, true);
    Ok(())
}

#[test]
fn a_click_too_soon_or_after_a_change_does_not_count() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    stage.show(&view("t-2", LABEL))?;
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('refused_click').length === 1")?;
    assert_eq!(stage.latest("refused_click")?["why"], "too_soon");
    look_at_it();
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length === 1")?;
    assert_eq!(stage.latest("click")?["token"], "t-2");
    Ok(())
}

#[test]
fn no_lured_click_gets_through() -> Result<()> {
    let cover = "(style) => { const c = document.createElement('div'); c.id = 'cover'; c.setAttribute('popover', 'manual');
        for (const [k, v] of Object.entries(style)) c.style.setProperty(k, v, 'important'); document.body.append(c); c.showPopover(); }";
    let all =
        "position: 'fixed', inset: '0', width: '100vw', height: '100vh', margin: 0, border: 0, padding: 0";
    let mask = "document.documentElement.style.setProperty('mask-image', 'linear-gradient(transparent, transparent)', 'important')";
    let attacks = [
        ("opacity on html", "document.documentElement.style.setProperty('opacity', '.01', 'important')".to_owned()),
        ("filter on html", "document.documentElement.style.setProperty('filter', 'opacity(1%)', 'important')".to_owned()),
        ("overlay that lets the pointer through", format!("({cover})({{ {all}, background: 'white', 'pointer-events': 'none' }})")),
        ("overlay that paints nothing and takes the pointer", format!("({cover})({{ {all}, background: 'transparent', opacity: 0 }})")),
        ("backdrop only", format!("document.head.append(Object.assign(document.createElement('style'), {{ textContent: '::backdrop {{ background: white !important; opacity: 1 !important }}' }})); ({cover})({{ inset: 'auto', width: '1px', height: '1px', 'pointer-events': 'none' }})")),
        ("mask after hidePopover", format!("globalThis.again = setInterval(() => {{ const h = {HOST}; if (h.matches(':popover-open')) h.hidePopover(); }}, 5); {mask}")),
        ("mask after the attribute is gone", format!("globalThis.again = setInterval(() => {HOST}.removeAttribute('popover'), 5); {mask}")),
        ("inline styles on the host", format!("{HOST}.setAttribute('style', 'opacity:.01!important;transform:scale(.1)!important;mask-image:linear-gradient(transparent,transparent)!important;clip-path:inset(50%)!important;display:none!important;inset:0 0 auto auto!important')")),
        ("hidden and inert", format!("{HOST}.hidden = true; document.documentElement.inert = true")),
        ("animation on the host", format!("{HOST}.animate([{{opacity: .01}}, {{opacity: .01}}], {{duration: 1e6, iterations: Infinity}})")),
        ("modal dialog", "const d = document.createElement('dialog'); d.style.cssText = 'opacity:0;width:1px;height:1px;border:0;padding:0'; document.body.append(d); d.showModal()".to_owned()),
        ("zoom", "document.documentElement.style.setProperty('zoom', '.05', 'important')".to_owned()),
        ("moved into a masked box", format!("const b = document.createElement('div'); b.style.cssText = 'mask-image:linear-gradient(transparent,transparent);position:fixed;inset:0'; document.body.append(b); const h = {HOST}; globalThis.again = setInterval(() => {{ if (h.parentNode !== b) b.append(h); }}, 5)")),
        ("clicks made by script", format!("const h = {HOST}; h.click(); h.dispatchEvent(new MouseEvent('click', {{bubbles: true, composed: true, clientX: 1, clientY: 1}})); const c = document.createElement('div'); c.style.cssText = 'position:fixed;inset:0'; c.setAttribute('popover', 'manual'); document.body.append(c); c.showPopover()")),
    ];
    let stage = Stage::new()?;
    // Styles are allowed here: a page that attacks sets its own policy.
    let served = Served::html(fixture_page("request-tracker-5.html")?);
    let url = stage.site.page("/Ticket/Display.html", served);
    // These do not even reach the button, which stays in full view: a click on it is a knowing one.
    let harmless =
        ["opacity on html", "filter on html", "inline styles on the host", "animation on the host"];
    for (name, attack) in attacks {
        let page = stage.browser.page(&format!("{url}?id=4711"))?;
        page.to_front()?;
        stage.worker.until("of('arrived').length > 0")?;
        stage.worker.eval("seen.length = 0")?;
        page.reload()?;
        stage.worker.until("of('report').length > 0")?;
        stage.show(&view("t-1", LABEL))?;
        let button = Button::find(&page)?;
        page.point_at(button.middle.0, button.middle.1)?;
        look_at_it();
        let before = button.picture(&page)?;
        page.eval(&format!("(() => {{ {attack} }})()"))?;
        look_at_it();
        let during = button.picture(&page)?;
        page.click_at(button.middle.0, button.middle.1)?;
        std::thread::sleep(Duration::from_millis(400));
        let got_through = stage.count("click")? > 0;
        // What a person sees decides, whatever the page tried.
        assert!(!got_through || before == during, "{name}: a click on a button that was not in view counted");
        assert!(!got_through || harmless.contains(&name), "{name}: a lured click counted");
        println!("{name}: {}", if got_through { "in full view, counted" } else { "refused" });
        page.close()?;
    }
    Ok(())
}

#[test]
fn an_overlay_that_is_gone_at_the_click_does_not_help() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    page.eval(
        "globalThis.c = document.createElement('div'); c.setAttribute('popover', 'manual'); document.body.append(c); c.showPopover();
         c.style.cssText = 'position:fixed;inset:0;width:100vw;height:100vh;background:white'; void 0",
    )?;
    std::thread::sleep(Duration::from_millis(800));
    page.eval("c.remove()")?;
    let removed = Instant::now();
    std::thread::sleep(Duration::from_millis(150));
    page.click_at(button.middle.0, button.middle.1)?;
    assert!(removed.elapsed() < Duration::from_millis(500), "the machine was too slow for this test");
    stage.worker.until("of('refused_click').length === 1")?;
    assert_eq!(stage.count("click")?, 0);
    Ok(())
}

#[test]
fn the_keyboard_reaches_presses_moves_and_hides_the_button() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    look_at_it();
    let focused = || -> Result<String> {
        let tree = page.call("Accessibility.getFullAXTree", json!({}))?;
        let nodes = tree["nodes"].as_array().context("no tree")?;
        let is_focused = |node: &&Value| {
            node["role"]["value"] != "RootWebArea"
                && node["properties"].as_array().is_some_and(|all| {
                    all.iter().any(|p| p["name"] == "focused" && p["value"]["value"] == true)
                })
        };
        Ok(nodes
            .iter()
            .find(is_focused)
            .map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned())
            .unwrap_or_default())
    };
    let tab_to = |name: &str| -> Result<()> {
        for _ in 0..20 {
            page.press(Key::TAB)?;
            if focused()?.starts_with(name) {
                return Ok(());
            }
        }
        anyhow::bail!("the tabulator never reaches {name}")
    };
    tab_to("Move the Ticketgate button")?;
    page.press(Key::UP)?;
    page.press(Key::LEFT)?;
    stage.worker.until("of('placement').length === 1")?;
    assert_eq!(stage.latest("placement")?["placement"], json!({"corner": "bottom_right", "x": 40, "y": 40}));

    tab_to(LABEL)?;
    page.press(Key::ENTER)?;
    stage.worker.until("of('refused_click').length === 1")?;
    assert_eq!(stage.latest("refused_click")?["why"], "too_soon");
    look_at_it();
    page.press(Key::SPACE)?;
    stage.worker.until("of('click').length === 1")?;

    tab_to("Hide the Ticketgate button")?;
    page.press(Key::ENTER)?;
    page.wait_for_control("menuitem", "Hide on this whole site")?;
    page.press(Key::DOWN)?;
    page.press(Key::ENTER)?;
    stage.worker.until("of('hide_button').length === 1")?;
    assert_eq!(stage.latest("hide_button")?["for"], "site");
    assert_eq!(page.control("button", LABEL)?, None);
    Ok(())
}

#[test]
fn a_drag_moves_the_button_and_is_no_click() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    let button = Button::find(&page)?;
    look_at_it();
    let (x, y) = button.middle;
    let mouse = |kind: &str, x: f64, y: f64| {
        let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
        page.call("Input.dispatchMouseEvent", event)
    };
    mouse("mousePressed", x, y)?;
    for step in 1..=10 {
        mouse("mouseMoved", x - f64::from(step) * 20.0, y - f64::from(step) * 10.0)?;
    }
    mouse("mouseReleased", x - 200.0, y - 100.0)?;
    stage.worker.until("of('placement').length === 1")?;
    assert_eq!(
        stage.latest("placement")?["placement"],
        json!({"corner": "bottom_right", "x": 224, "y": 124})
    );
    assert_eq!(stage.count("click")? + stage.count("refused_click")?, 0);
    // Where it is now it works as before.
    look_at_it();
    page.click_at(x - 200.0, y - 100.0)?;
    stage.worker.until("of('click').length === 1")
}

#[test]
fn a_removed_button_comes_back_but_the_page_is_not_fought_for_ever() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    page.eval("globalThis.count = 0; new MutationObserver(records => records.forEach(r => count += r.addedNodes.length)).observe(document.documentElement, {childList: true})")?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    page.eval(&format!("{HOST}.remove()"))?;
    page.until("count === 2")?;
    Button::find(&page)?;
    page.eval(&format!("globalThis.war = setInterval(() => {{ const h = {HOST}; if (h.localName === 'div') h.remove(); }}, 5); void 0"))?;
    std::thread::sleep(Duration::from_secs(5));
    let times = page.eval("count")?.as_u64().unwrap_or_default();
    assert!((3..=10).contains(&times), "put back {times} times in 5 s");
    Ok(())
}

#[test]
fn hide_takes_the_button_away_and_show_brings_it_back() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    stage.worker.eval("push({hide: true})")?;
    until("the button to go", LIMIT, || Ok(page.control("button", LABEL)?.is_none()))?;
    stage.show(&view("t-2", LABEL))?;
    Button::find(&page)?;
    let facts = stage.worker.eval("push({read: true})")?;
    assert!(
        ticketgate_protocol::page::Facts::from_json(&facts.to_string())
            .is_ok_and(|facts| facts.title.starts_with("#4711"))
    );
    Ok(())
}

#[test]
fn scripts_put_in_a_second_time_replace_the_first() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    stage.worker.eval("chrome.scripting.executeScript({target: {tabId: latest('report').from.tab}, files: ['probe.js', 'chip.js']}).then(() => 1)")?;
    stage.worker.until("of('arrived').length === 2")?;
    stage.worker.until("of('report').length === 2")?;
    assert_eq!(page.control("button", LABEL)?, None, "the first one's button went with it");
    stage.show(&view("t-2", LABEL))?;
    let button = Button::find(&page)?;
    assert_eq!(page.eval("document.documentElement.childElementCount")?, 3);
    look_at_it();
    page.click_at(button.middle.0, button.middle.1)?;
    stage.worker.until("of('click').length === 1")?;
    Ok(())
}

#[test]
fn scripts_whose_extension_is_gone_leave_without_a_trace() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    stage.show(&view("t-1", LABEL))?;
    Button::find(&page)?;
    let _ = stage.worker.eval("chrome.runtime.reload()");
    until("the button to go", LIMIT, || Ok(page.eval("document.documentElement.childElementCount")? == 2))
}

/// Pictures of the button for people to look at, in `target/pictures/`.
#[test]
fn the_button_looks_right() -> Result<()> {
    let stage = Stage::new()?;
    let page = stage.strict_ticket()?;
    let folder = ticketgate_tests::world::target().join("pictures/chip");
    for scheme in ["light", "dark"] {
        page.look(scheme, 760, 240, 2.0)?;
        for (state, label) in [
            ("ready", LABEL),
            ("working", "Activating · Acme Corp · Domain Admin 1 h"),
            ("active", "Domain Admin · Acme Corp · 59 min left"),
            ("attention", "Could not activate · Acme Corp · the directory does not answer"),
        ] {
            let mut view = view(&format!("{scheme}-{state}"), label);
            view["state"] = state.into();
            stage.show(&view)?;
            let node = page.wait_for_control("button", label)?;
            page.point_at(1.0, 1.0)?;
            std::thread::sleep(Duration::from_millis(300));
            page.screenshot_to(&folder.join(format!("{scheme}-{state}.png")))?;
            if state == "ready" {
                let (x, y) = page.middle(&node)?;
                page.point_at(x, y)?;
                std::thread::sleep(Duration::from_millis(300));
                page.screenshot_to(&folder.join(format!("{scheme}-hover.png")))?;
                page.click_at(x, y)?;
                std::thread::sleep(Duration::from_millis(200));
                page.screenshot_to(&folder.join(format!("{scheme}-clicked.png")))?;
                page.click("button", "Hide the Ticketgate button")?;
                page.wait_for_control("menuitem", "Hide for this ticket")?;
                page.screenshot_to(&folder.join(format!("{scheme}-menu.png")))?;
                page.press(Key::ESCAPE)?;
            }
        }
        let long = "Activate · Müller & Söhne Maschinenbau GmbH & Co. KG (Niederlassung Süd) · Exchange and File Server Administrator 4 h";
        stage.show(&view(&format!("{scheme}-long"), long))?;
        page.wait_for_control("button", long)?;
        page.look(scheme, 360, 240, 2.0)?;
        std::thread::sleep(Duration::from_millis(300));
        page.screenshot_to(&folder.join(format!("{scheme}-narrow.png")))?;
    }
    Ok(())
}
