//! Every system's pages under their real addresses: the scenes of `wasm/tests/fixtures/pages/*.json`, played in Chromium with
//! the real probe. `TICKETGATE_SCENES=zendesk` plays those of one file.

use crate::stage::{Stage, fixture_page, recognise};
use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_tests::Result;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;
use ticketgate_tests::world::workspace;
use ticketgate_wasm::recognise::{Certainty, Recognised, Recognition, best_of};

/// A page that is opened, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scene {
    /// What is special about it.
    about: String,
    /// The files that are served, by their address without query and hash. All of them, frames too.
    documents: BTreeMap<String, String>,
    /// The address that is opened.
    open: String,
    expect: Option<Expected>,
    /// What happens then, one after the other.
    #[serde(default)]
    then: Vec<Act>,
}

/// Something that happens on the open page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    about: String,
    /// Run in the page's own world.
    script: String,
    expect: Option<Expected>,
}

/// What a page is recognised as.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    ticket: Ticket,
    /// Fields that are guesses.
    #[serde(default)]
    guessed: BTreeSet<String>,
    /// Guesses that count as read where they are a configured customer's exact name.
    #[serde(default)]
    likely: BTreeSet<String>,
}

impl From<&Recognised> for Expected {
    fn from(found: &Recognised) -> Self {
        let c = &found.certainty;
        let fields = [
            ("number", c.number),
            ("summary", c.summary),
            ("customer", c.customer),
            ("contact", c.contact),
            ("status", c.status),
        ];
        let of = |wanted: Certainty| {
            fields.iter().filter(|(_, c)| *c == wanted).map(|(name, _)| (*name).to_owned()).collect()
        };
        Self { ticket: found.ticket.clone(), guessed: of(Certainty::Guessed), likely: of(Certainty::Likely) }
    }
}

#[test]
fn every_systems_pages_are_recognised_under_their_real_addresses() -> Result<()> {
    let scenes = scenes()?;
    let addresses: BTreeSet<String> =
        scenes.iter().flat_map(|(_, scene)| scene.documents.keys()).map(|url| origin_of(url)).collect();
    let stage = Stage::with_tls(&addresses)?;
    let mut faults = Vec::new();
    for (file, scene) in &scenes {
        if let Err(fault) = play(&stage, scene) {
            faults.push(format!("{file}: {}: {fault:#}", scene.about));
        }
    }
    println!("{} scenes", scenes.len());
    if faults.is_empty() { Ok(()) } else { bail!("{} of them failed:\n{}", faults.len(), faults.join("\n")) }
}

fn scenes() -> Result<Vec<(String, Scene)>> {
    let only = std::env::var("TICKETGATE_SCENES").ok();
    let mut scenes = Vec::new();
    for entry in std::fs::read_dir(workspace().join("wasm/tests/fixtures/pages"))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_none_or(|kind| kind != "json")
            || only.as_ref().is_some_and(|only| *only != name)
        {
            continue;
        }
        let of_file: Vec<Scene> = serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| path.display().to_string())?;
        scenes.extend(of_file.into_iter().map(|scene| (name.clone(), scene)));
    }
    scenes.sort_by(|a, b| a.0.cmp(&b.0));
    if scenes.is_empty() {
        bail!("no scenes are there")
    }
    Ok(scenes)
}

fn play(stage: &Stage, scene: &Scene) -> Result<()> {
    for (url, file) in &scene.documents {
        let origin = origin_of(url);
        let host = origin.split("://").last().unwrap_or_default();
        stage.site.page_at(host, url.strip_prefix(&origin).unwrap_or("/"), Served::html(fixture_page(file)?));
    }
    let begin = stage.said()?;
    let tab = stage.browser.page(&scene.open)?;
    expect(stage, begin, scene.expect.as_ref())?;
    for act in &scene.then {
        tab.eval(&act.script).with_context(|| act.about.clone())?;
        expect(stage, begin, act.expect.as_ref()).with_context(|| act.about.clone())?;
    }
    tab.close()
}

/// Waits until the tab's ticket is the one expected. That there is none is believed after some quiet.
fn expect(stage: &Stage, begin: u64, expected: Option<&Expected>) -> Result<()> {
    if expected.is_none() {
        stage.worker.until(&format!("seen.slice({begin}).some(one => one.message.page === 'arrived')"))?;
        std::thread::sleep(Duration::from_millis(600));
    }
    let mut last = None;
    let limit = LIMIT.min(Duration::from_secs(8));
    until("the ticket", limit, || {
        last = tickets(stage, begin)?;
        Ok(last.as_ref() == expected)
    })
    .with_context(|| format!("recognised as {last:?}, expected {expected:?}"))
}

/// What the tab is recognised as, by the latest word of each frame.
fn tickets(stage: &Stage, begin: u64) -> Result<Option<Expected>> {
    let latest = format!(
        "Object.values(Object.fromEntries(seen.slice({begin}).filter(one => one.message.page === 'report').map(one => [one.from.frame, one])))"
    );
    let reports = stage.worker.eval(&latest)?;
    let frames: Vec<(i64, Recognition)> = reports
        .as_array()
        .context("no reports")?
        .iter()
        .map(|report: &Value| Ok((report["from"]["frame"].as_i64().context("no frame")?, recognise(report)?)))
        .collect::<Result<_>>()?;
    Ok(best_of(&frames).map(|(_, found)| Expected::from(found)))
}

fn origin_of(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(scheme..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| scheme + at);
    url.get(..end).unwrap_or(url).to_owned()
}
