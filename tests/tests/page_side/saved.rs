//! The reader of saved pages (`ticketgate rules test`) finds what the probe finds: every rule's every question, on every page of
//! the fixtures. Scripts, stylesheets and frames are taken out first, since a saved page's reader runs, applies and follows none.

use crate::stage::{Stage, fixture_page};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use ticketgate::saved_page::{PATIENCE, SavedPage};
use ticketgate_protocol::page::Facts;
use ticketgate_tests::Result;
use ticketgate_tests::site::Served;
use ticketgate_tests::world::workspace;

/// What the fixtures' pages do not have, and a reader may still get wrong.
const ODD: &str = "<!doctype html><title> #4711:\u{a0}A  \u{85}b </title><body id=comp-x><div id=header><h1>#4711: A<br>b<wbr>c
    <select><option>x<option selected>y</select><textarea>z</textarea> <svg><text>drawn</text></svg></h1></div>
    <details><summary class=a>s</summary><p class=a>folded</p></details><details open><p class=a>open</p></details>
    <dialog class=a>shut</dialog><div style='display:contents' class=a>no box <p class=a>in it</p></div>
    <div style='visibility: hidden'><span class=a>no</span><span class=a style='visibility: visible'>yes</span></div>
    <p class=a hidden style='display:block'>shown</p><p class=a popover>later</p>
    <p class=a hidden=until-found>found</p><noscript><p class=a>no script</p></noscript><template><p class=a>inert</p></template>
    <x-card class=card><template shadowrootmode=open><p class=a>in</p><x-in><template shadowrootmode=open><b class=a>deep</b>
    </template></x-in><slot name=s></slot></template><p class=a slot=s>slotted</p><p class=a>nowhere</p></x-card>
    <label for=i1>One *</label><input id=i1 value=' 1 '><label>Two:<input type=number value=x></label><label>Three
    <select multiple><option>a<option selected>b<option selected>c</select></label><input type=checkbox class=v>
    <input class=v value='&#10;l&#10;n'><input type=hidden class=v value=h><select class=v size=4><option>none</select>
    <dl><dt>Four<dd class=a>4<dt>Five</dl><table><tr><th>Six<td>6<tr><th class=a>Seven<td class=a>7</table>";

/// Questions that no built-in rule asks, besides those that they do.
const MORE: &str = r#"[
    {"q": 5000, "selector": ".a", "many": 8}, {"q": 5001, "selector": ".a", "hidden_too": true, "many": 8},
    {"q": 5002, "selector": "details .a, dialog, .a > .a", "many": 8}, {"q": 5003, "selector": "x-card >>> .a", "many": 8},
    {"q": 5004, "selector": "x-card >>> x-in >>> .a"}, {"q": 5005, "selector": "label", "label": {"words": ["one"], "control": true}, "read": "value"},
    {"q": 5006, "selector": "label", "label": {"words": ["TWO *:"], "control": true}, "read": "value"},
    {"q": 5007, "selector": "select", "read": "value", "many": 8}, {"q": 5008, "selector": ".v", "read": "value", "many": 8},
    {"q": 5009, "selector": "dt", "label": {"words": ["four"]}, "value": "+ dd"}, {"q": 5010, "selector": "tr", "label": {"selector": "th", "words": ["six"]}, "value": "td"},
    {"q": 5011, "selector": "h1", "drop": "select"}, {"q": 5012, "selector": "h1", "read": "own_text"}, {"q": 5013, "selector": "p[slot]", "scope": "x-card"},
    {"q": 5014, "selector": "tr:nth-child(2n) > .a, tr:not(:has(.a)) > th", "many": 8}, {"q": 5015, "selector": ".a", "holding": "SEVEN", "many": 8},
    {"q": 5016, "selector": "[class='a' I]:last-of-type", "many": 8}, {"q": 5017, "selector": "option", "hidden_too": true, "many": 8}, {"q": 5018, "selector": "option", "many": 8}]"#;

#[test]
fn a_saved_page_is_read_as_the_probe_reads_the_open_one() -> Result<()> {
    let stage = Stage::new()?;
    let mut questions = stage.ask_everything()?;
    questions.ask.extend(serde_json::from_str::<Vec<_>>(MORE)?);
    let mut pages = BTreeMap::from([("odd".to_owned(), ODD.to_owned())]);
    for entry in std::fs::read_dir(workspace().join("wasm/tests/fixtures/pages"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".html") {
            pages.insert(
                name.clone(),
                ["script", "style", "iframe"]
                    .iter()
                    .fold(fixture_page(&name)?, |html, tag| without(&html, tag)),
            );
        }
    }
    let origin = format!("http://{}", stage.site.address());
    // In rounds, because a page gives at most so many answers.
    let mut faults = Vec::new();
    let mut answered = 0;
    let rounds: Vec<_> = questions.ask.chunks(90).map(<[_]>::to_vec).collect();
    for ask in rounds {
        let round = ticketgate_protocol::page::Questions { ask, ..questions.clone() };
        let json = serde_json::to_value(&round)?;
        stage.worker.eval(&format!("questions.then(all => {{ all['{origin}'] = {json}; }})"))?;
        for (name, html) in &pages {
            let begin = stage.said()?;
            let url = stage.site.page("/saved", Served::html(html.clone()));
            let tab = stage.browser.page(&url)?;
            stage.worker.until(&format!("seen.slice({begin}).some(one => one.message.page === 'report')"))?;
            let (probe, _) = stage.read(&tab)?;
            let reading =
                SavedPage::read(html.as_bytes(), PATIENCE)?.answers(&round, &probe.address, PATIENCE)?;
            if !reading.unclear.is_empty() {
                bail!("{name}: {:?}", reading.unclear);
            }
            answered += probe.answers.len();
            if let Some(fault) = difference(&probe, &reading.facts) {
                faults.push(format!("{name}: {fault}"));
            }
            tab.close()?;
        }
    }
    println!("{} pages, {answered} answers", pages.len());
    if faults.is_empty() { Ok(()) } else { bail!("{} differ:\n{}", faults.len(), faults.join("\n")) }
}

fn difference(probe: &Facts, saved: &Facts) -> Option<String> {
    if probe.title != saved.title {
        return Some(format!("the title {:?} is read as {:?}", probe.title, saved.title));
    }
    let of = |facts: &Facts| -> BTreeMap<u16, Vec<String>> {
        facts.answers.iter().map(|answer| (answer.q, answer.found.clone())).collect()
    };
    let (probe, saved) = (of(probe), of(saved));
    let all: std::collections::BTreeSet<_> = probe.keys().chain(saved.keys()).collect();
    let other = |q: &&&u16| probe.get(**q) != saved.get(**q);
    let faults: Vec<_> = all
        .iter()
        .filter(other)
        .map(|q| format!("question {q}: {:?} is read as {:?}", probe.get(q), saved.get(q)))
        .collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// A page without such elements.
fn without(html: &str, tag: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, inside)) = rest.split_once(&format!("<{tag}")) {
        out.push_str(before);
        rest = inside.split_once(&format!("</{tag}>")).map_or("", |(_, behind)| behind);
    }
    out + rest
}

#[test]
fn a_page_is_stripped_of_what_a_saved_one_does_not_run() -> Result<()> {
    let html = "<p>a<script src=x>b</script>c<style>d</style><script></script>";
    let plain = without(&without(html, "script"), "style");
    (plain == "<p>ac").then_some(()).context(plain)
}
