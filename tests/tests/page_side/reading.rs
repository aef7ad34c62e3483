//! The probe: what it reads, when it says so, and that it stays quiet where nobody asks.

use crate::stage::{Stage, fixture_page, recognise};
use anyhow::Context;
use std::time::Duration;
use ticketgate_tests::Result;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::site::Served;
use ticketgate_wasm::recognise::Rules;

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
