//! Measures recognition for `cargo xtask bench`: one JSON line per figure. Reads the facts of a test fixture as the
//! worker gets them from a page, and compares with merely parsing the same text as JSON.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measuring program; it may stop with a panic"
)]

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use ticketgate_protocol::page::{Facts, Question};
use ticketgate_wasm::recognise::{Recognition, Rules};

/// Recognitions in one timing, so that the clock's own step does not count.
const BATCH: u32 = 200;
const BATCHES: usize = 101;

fn main() {
    let rules = Rules::built_in();
    for (system, fixtures) in [
        ("Request Tracker", include_str!("../tests/fixtures/facts/request-tracker.json")),
        ("Autotask", include_str!("../tests/fixtures/facts/autotask.json")),
    ] {
        let fixtures: Vec<Value> = serde_json::from_str(fixtures).expect("a fixture is JSON");
        let fixture =
            fixtures.iter().find(|fixture| fixture["expect"].is_object()).expect("a page with a ticket");
        let url = fixture["url"].as_str().expect("an address");
        let text = facts(&rules, url, fixture);
        let recognise = || rules.recognise(url, &Facts::from_json(&text).expect("facts"));
        assert!(matches!(recognise(), Recognition::Ticket(_)), "the fixture is a ticket page");

        let (value, spread) = microseconds(|| drop(black_box(recognise())));
        let (baseline, _) = microseconds(|| drop(black_box(serde_json::from_str::<Value>(black_box(&text)))));
        let note = format!(
            "read, check and recognise {} bytes of facts, native; baseline: parse them as JSON",
            text.len()
        );
        let figure = json!({
            "name": format!("recognition, {system}"), "unit": "µs", "value": value, "baseline": baseline,
            "ratio": value / baseline, "spread": spread, "note": note,
        });
        println!("{figure}");
    }
    let (all, one, spread) = over_all_fixtures(&rules);
    let note = "p50 over all fixtures of the time to read, check and recognise, native; baseline: the same with the one rule that is needed";
    println!(
        "{}",
        json!({ "name": "recognition, all rules", "unit": "µs", "value": all, "baseline": one, "ratio": all / one, "spread": spread, "note": note })
    );
    for (name, url, note) in [
        (
            "rules",
            "",
            "once per start of the worker: the list of built-in rules, none of them read; no baseline",
        ),
        (
            "first page of a vendor",
            "https://ww5.autotask.net/",
            "list and first questions where the host names the rule; no baseline",
        ),
        (
            "first page of an unknown host",
            "https://desk.example/",
            "list and first questions where every system that runs anywhere may be meant; no baseline",
        ),
    ] {
        let (value, spread) = microseconds(|| drop(black_box(Rules::built_in().questions(url))));
        println!(
            "{}",
            json!({ "name": format!("recognition, {name}"), "unit": "µs", "value": value, "baseline": null, "ratio": null, "spread": spread, "note": note })
        );
    }
}

/// Medians over all fixtures with a ticket: with all rules, and with the system's alone; and the spread of the first.
fn over_all_fixtures(rules: &Rules) -> (f64, f64, f64) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/facts");
    let (mut all, mut one) = (Vec::new(), Vec::new());
    for file in std::fs::read_dir(folder).expect("the folder of fixtures") {
        let file = file.expect("a file").path();
        let fixtures = std::fs::read_to_string(&file).expect("a fixture");
        let fixtures: Vec<Value> = serde_json::from_str(&fixtures).expect("a fixture is JSON");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let rule = std::fs::read_to_string(format!("{}/rules/{name}", env!("CARGO_MANIFEST_DIR")));
        let alone = Rules::from_files(&[(&name, &rule.expect("the system's rule"))]).expect("it is sound");
        for fixture in fixtures.iter().filter(|fixture| fixture["expect"].is_object()) {
            let url = fixture["url"].as_str().expect("an address");
            for (rules, times) in [(rules, &mut all), (&alone, &mut one)] {
                let text = facts(rules, url, fixture);
                let recognise = || rules.recognise(url, &Facts::from_json(&text).expect("facts"));
                assert!(matches!(recognise(), Recognition::Ticket(_)), "{name}: a ticket page");
                times.push(microseconds_of(|| drop(black_box(recognise())), 11).0);
            }
        }
    }
    all.sort_by(f64::total_cmp);
    one.sort_by(f64::total_cmp);
    let spread = (all[all.len() * 9 / 10] - all[all.len() / 10]) / 2.0;
    (all[all.len() / 2], one[one.len() / 2], spread)
}

/// What a page's script would send for a fixture.
fn facts(rules: &Rules, url: &str, fixture: &Value) -> String {
    let questions = rules.questions(url).expect("a rule asks");
    let nothing = serde_json::Map::new();
    let page = fixture["page"].as_object().unwrap_or(&nothing);
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
    json!({ "rules": questions.rules, "address": address, "title": title, "shown": true, "answers": answers })
        .to_string()
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

/// Median, and half of the range from the 10th to the 90th percentile, of one call.
fn microseconds(call: impl Fn()) -> (f64, f64) {
    microseconds_of(call, BATCHES)
}

fn microseconds_of(call: impl Fn(), batches: usize) -> (f64, f64) {
    let mut times: Vec<f64> = (0..batches)
        .map(|_| {
            let begin = Instant::now();
            (0..BATCH).for_each(|_| call());
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[batches / 2], (times[batches * 9 / 10] - times[batches / 10]) / 2.0)
}
