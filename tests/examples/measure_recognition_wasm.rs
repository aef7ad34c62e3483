//! Measures recognition where it happens, for `cargo xtask bench`: the core that is shipped, in a real Chromium, beside
//! `JSON.parse` of the same facts. Every call is about another ticket, so that nothing can be remembered from the last.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use ticketgate_protocol::page::{Facts, Question};
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page};
use ticketgate_tests::product::extension;
use ticketgate_tests::site::{Served, Site};
use ticketgate_wasm::recognise::Rules;

/// Rounds of one batch of each kind, in turn.
const ROUNDS: usize = 2_000;

const FIXTURES: [(&str, &str); 2] = [
    ("Request Tracker", include_str!("../../wasm/tests/fixtures/facts/request-tracker.json")),
    ("Autotask", include_str!("../../wasm/tests/fixtures/facts/autotask.json")),
];

fn main() -> Result<()> {
    let site = Site::start()?;
    let folder = extension()?;
    let glue = std::fs::read_to_string(folder.join("ticketgate_wasm.js"))?;
    let core = BASE64_STANDARD.encode(std::fs::read(folder.join("ticketgate_wasm_bg.wasm"))?);
    // Apart from every other origin a page may look at its clock to five microseconds, else to a hundred.
    let apart = |served: Served| {
        served
            .with("Cross-Origin-Opener-Policy", "same-origin")
            .with("Cross-Origin-Embedder-Policy", "require-corp")
    };
    let script = |body: String| apart(Served { body, content_type: "text/javascript", headers: Vec::new() });
    site.page("/glue.js", script(glue));
    site.page("/measure.js", script(include_str!("measure_recognition_wasm.js").to_owned()));
    let address = site.page("/", apart(Served::html("<!doctype html><title>recognition</title>")));

    let browser = Chromium::start(&Options::default())?;
    let page = browser.page(&address)?;
    ensure!(page.eval("crossOriginIsolated")? == true, "the page's clock is coarse");
    page.eval(&format!(
        "import('/measure.js').then((m) => m.begin('{core}')).then((f) => {{ globalThis.measure = f; }})"
    ))?;

    let rules = Rules::built_in();
    for (system, fixtures) in FIXTURES {
        let fixtures: Vec<Value> = serde_json::from_str(fixtures)?;
        let fixture = fixtures.iter().find(|fixture| fixture["expect"].is_object()).context("no ticket")?;
        measure(&page, &rules, system, fixture)?;
    }
    Ok(())
}

fn measure(page: &Page, rules: &Rules, system: &str, fixture: &Value) -> Result<()> {
    let url = fixture["url"].as_str().context("no address")?;
    let text = facts(rules, url, fixture)?;
    let expected = rules.recognise(url, &Facts::from_json(&text)?);
    let expected = expected.ticket().context("the fixture is no ticket page")?;
    let asked = json!({ "url": url, "facts": text, "number": expected.number, "rounds": ROUNDS });
    let measured = page.eval(&format!("measure({asked})"))?;
    let first = json!({
        "number": expected.number, "summary": expected.summary, "customer": expected.customer,
        "contact": expected.contact, "status": expected.status,
    });
    ensure!(measured["ticket"] == first, "the core finds {}, the rules find {first}", measured["ticket"]);
    let note = format!(
        "read, check and recognise {} bytes of facts of another ticket each time, in Chromium; baseline: JSON.parse of them",
        text.len()
    );
    figure(
        &format!("recognition in WASM, {system}, p50"),
        &measured["recognise"],
        &measured["parse"],
        Some(5.0),
        &note,
    )?;
    let note =
        "the same as a message of an open page, state settled and answered; the same baseline; no reach";
    figure(
        &format!("message of a page in WASM, {system}, p50"),
        &measured["message"],
        &measured["parse"],
        None,
        note,
    )
}

/// Prints the medians of two lists of microseconds.
fn figure(name: &str, values: &Value, baseline: &Value, reach: Option<f64>, note: &str) -> Result<()> {
    let (values, baseline) = (sorted(values)?, sorted(baseline)?);
    let at = |list: &[f64], percent: usize| list.get(list.len() * percent / 100).copied().unwrap_or(f64::NAN);
    let (value, beside) = (at(&values, 50), at(&baseline, 50));
    let line = json!({
        "name": name, "unit": "µs", "value": value, "baseline": beside, "ratio": value / beside,
        "spread": (at(&values, 90) - at(&values, 10)) / 2.0, "note": note,
        "samples": { "value": values, "baseline": baseline },
        "reach": reach.map(|most| json!({ "ratio_at_most": most })),
    });
    println!("{line}");
    Ok(())
}

fn sorted(list: &Value) -> Result<Vec<f64>> {
    let list = list.as_array().context("no list of times")?;
    let hundredths = |time: f64| (time * 100.0).round() / 100.0;
    let mut list: Vec<f64> = list.iter().filter_map(Value::as_f64).map(hundredths).collect();
    list.sort_by(f64::total_cmp);
    Ok(list)
}

/// What a page's script would send for a fixture.
fn facts(rules: &Rules, url: &str, fixture: &Value) -> Result<String> {
    let questions = rules.questions(url).context("no rule asks")?;
    let page = fixture["page"].as_object().context("a page says something")?;
    let answers: Vec<Value> = questions
        .ask
        .iter()
        .filter_map(|question| {
            let (_, found) = page.iter().find(|(key, _)| is_about(key, question))?;
            Some(json!({ "q": question.q, "found": found }))
        })
        .collect();
    let address = fixture["now_at"].as_str().unwrap_or(url);
    let title = fixture["title"].as_str().unwrap_or_default();
    let facts = json!({ "rules": questions.rules, "address": address, "title": title, "shown": true, "answers": answers });
    Ok(facts.to_string())
}

/// A fixture names a question by its selector, or by `selector | label word | value selector`.
fn is_about(key: &str, question: &Question) -> bool {
    let parts: Vec<&str> = key.split(" | ").collect();
    match (parts.as_slice(), &question.label) {
        ([selector], None) => *selector == question.selector,
        ([selector, word, value], Some(label)) => {
            *selector == question.selector
                && label.words.iter().any(|known| known == word)
                && question.value.as_deref() == Some(*value)
        }
        _ => false,
    }
}
