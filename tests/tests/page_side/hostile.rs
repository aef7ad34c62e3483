//! Pages that were written to bring the probe down, or to smuggle something into a reason: the questions of all rules that may
//! apply are answered in time, nothing is thrown, and a reason is one clean line.

use crate::stage::{Stage, recognise};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use ticketgate_protocol::text::{self, REASON_MAX};
use ticketgate_tests::Result;
use ticketgate_tests::site::Served;
use ticketgate_wasm::reason::Template;
use ticketgate_wasm::recognise::Recognition;

/// The longest that one reading may take, in milliseconds, on a machine that does much else.
const READING_MAX: f64 = 1000.0;

/// A ticket page of Request Tracker with something in its heading, and something behind it.
fn ticket(heading: &str, rest: &str) -> String {
    format!(
        "<!doctype html><title>#4711: {heading}</title><body id=comp-Ticket-Display><div id=header><h1>#4711: {heading}</h1></div>
         <div class=custom-field><span class=label>Customer:</span><span class=value>{heading}</span></div>{rest}"
    )
}

/// What each page is, what it is made of, and a script that finishes it in the page's own world.
fn pages() -> Vec<(&'static str, String, &'static str)> {
    let evil = "\u{202e}\u{2066}evil\u{2028}\u{7}\u{1b}[2J&lt;b&gt;&#10;__proto__\u{200b}\u{feff}";
    let plain = || ticket("plain", "");
    vec![
        ("ten megabytes", ticket("x", &format!("<p class=label>{}<b class=value>x</b></p>", "Lorem ipsum ".repeat(40)).repeat(20_000)), ""),
        ("a hundred thousand nodes", ticket("x", &"<i class=value>x</i>".repeat(100_000)), ""),
        ("nested in the file", ticket("x", &"<div>".repeat(5000)), ""),
        (
            "nested by a script",
            plain(),
            "let at = document.querySelector('h1'); for (let i = 0; i < 5000; i++) at = at.appendChild(document.createElement('span'));
             at.textContent = 'deep'",
        ),
        ("overrides and controls", ticket(evil, ""), ""),
        ("prototype names", ticket("__proto__", "<div id=__proto__ class=constructor></div><x-constructor>x</x-constructor>"), ""),
        ("a megabyte of title", plain(), "document.title = '#4711: ' + '\\u202e<i>\\n'.repeat(250000)"),
        (
            "a megabyte in one text",
            plain(),
            "document.querySelector('h1').textContent = '#4711: ' + 'ü'.repeat(1 << 20);
             document.querySelector('.label').textContent = 'Customer' + ' '.repeat(1 << 20) + 'x'",
        ),
        (
            "selectors taken over by the page",
            plain(),
            "Document.prototype.querySelectorAll = Element.prototype.querySelectorAll = () => { throw new Error('mine'); };
             Element.prototype.checkVisibility = () => false; String.prototype.replace = Array.from = () => 'mine';
             Object.defineProperty(Document.prototype, 'title', { get: () => 'mine' })",
        ),
        (
            "names of its own for everything",
            ticket(
                "x",
                "<img name=title><img name=querySelectorAll><img name=createTreeWalker><form name=addEventListener></form>
                 <form name=visibilityState></form><form name=prerendering></form><form name=documentElement></form>
                 <form class='custom-field label value' id=header><input name=nodeName><input name=tagName><input name=children>
                 <input name=firstChild><input name=nextSibling><input name=checkVisibility><input name=matches>
                 <input name=querySelector><input name=textContent><input name=getAttribute><input name=shadowRoot></form>",
            ),
            "",
        ),
        (
            "a label as large as a book",
            ticket("x", &"<div class=custom-field><span class=label>".repeat(200)),
            "document.querySelectorAll('.label')[199].append(...Array.from({length: 50000}, () => Object.assign(document.createElement('i'), {textContent: 'xxxxxxxxxx'})))",
        ),
        (
            "shadow roots without end",
            plain(),
            "let at = document.body; for (let i = 0; i < 2000; i++) {
               const one = document.createElement('div'); at.append(one); at = one.attachShadow({mode: 'open'}); }",
        ),
    ]
}

#[test]
fn hostile_pages_are_read_in_time_and_give_clean_reasons() -> Result<()> {
    let stage = Stage::new()?;
    let mut faults = Vec::new();
    for (name, html, script) in pages() {
        match play(&stage, &html, script) {
            Ok(best) => println!("{name}: {best:.1} ms"),
            Err(fault) => faults.push(format!("{name}: {fault:#}")),
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

/// Plays one page, and says how long a reading takes at best, in milliseconds.
fn play(stage: &Stage, html: &str, script: &str) -> Result<f64> {
    let url = stage.site.page("/Ticket/Display.html", Served::html(html));
    let begin = stage.said()?;
    let page = stage.browser.page(&format!("{url}?id=4711"))?;
    let reported = format!("seen.slice({begin}).filter(one => one.message.page === 'report')");
    stage.worker.until(&format!("{reported}.length > 0")).context("nothing was reported")?;
    if !script.is_empty() {
        page.eval(&format!("(() => {{ {script} }})(), 0"))?;
    }
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(stage.read(&page)?.1);
    }
    times.sort_by(f64::total_cmp);
    let best = times.first().copied().context("no time")?;
    ensure!(best < READING_MAX, "one reading takes {best:.0} ms");
    // What it says by itself after the change, or said already.
    stage.barrier(&page)?;
    let (facts, _) = stage.read(&page)?;
    let mut report: Value = stage.worker.eval(&format!("{reported}.at(-1)"))?;
    report["message"]["facts"] = serde_json::to_value(&facts)?;
    match recognise(&report)? {
        Recognition::NotATicketPage => bail!("the ticket is not recognised any more"),
        Recognition::Ticket(found) => {
            let reason = Template::default().reason(&found.ticket).context("no reason")?;
            ensure!(text::line(&reason, REASON_MAX).as_ref() == Ok(&reason), "{reason:?}");
            ensure!(!reason.contains(text::is_forbidden), "{reason:?}");
            ensure!(reason.starts_with("#4711"), "{reason:?}");
        }
    }
    let thrown: Vec<_> =
        stage.browser.console().into_iter().filter(|line| line.contains("probe.js")).collect();
    ensure!(thrown.is_empty(), "{thrown:?}");
    page.close()?;
    Ok(best)
}
