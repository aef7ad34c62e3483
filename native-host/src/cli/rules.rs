//! `rules check|list|test`: the rules by which ticket pages are recognised, for whoever writes them. `test` is in a file of its own.

mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde::Serialize;
use ticketgate_protocol::api::Finding;
use ticketgate_recognise::Rule;

use super::Terminal;
use super::arguments;
use super::broker::{finding, report};
use crate::rules::{Reading, built_in_rules, files_of};

pub(super) fn run(terminal: &mut Terminal<'_>, what: &arguments::Rules) -> anyhow::Result<ExitCode> {
    match what {
        arguments::Rules::Check { places } => check(terminal, places),
        arguments::Rules::List => list(terminal),
        arguments::Rules::Test(how) => test::run(terminal.out, terminal.json, how),
    }
}

fn check(terminal: &mut Terminal<'_>, places: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let configured = if places.is_empty() { configured_folder(terminal)? } else { None };
    if places.is_empty() && configured.is_none() {
        bail!("no folder of rules is configured: name files or folders, or set `rules` of [broker]");
    }
    let mut files = Vec::new();
    let mut findings = Vec::new();
    for place in places.iter().chain(&configured) {
        if place.is_dir() {
            match files_of(place) {
                Ok(found) => files.extend(found),
                Err(fault) => findings.push(finding("error", &fault.place(), &fault.text)),
            }
        } else {
            files.push(place.clone());
        }
    }
    if files.is_empty() && findings.is_empty() {
        let place = places.iter().chain(&configured).next().map(|place| place.display().to_string());
        findings.push(finding("warning", &place.unwrap_or_default(), "no file *.json is in it"));
    }
    findings.extend(self::findings(&Reading::of_files(&files)));
    report(terminal, &findings)
}

/// What is to be said about rule files.
pub(super) fn findings(reading: &Reading) -> Vec<Finding> {
    let faults = reading.faults.iter().map(|fault| finding("error", &fault.place(), &fault.text));
    let warnings = reading.warnings.iter().map(|fault| finding("warning", &fault.place(), &fault.text));
    let sound = reading.sound.iter().map(|sound| {
        let replaces = built_in_rules().iter().any(|rule| rule.system == sound.rule.system);
        let what = if replaces { "replaces the built-in rule" } else { "adds a rule" };
        finding("ok", &sound.path.display().to_string(), &format!("{what} `{}`", sound.rule.system))
    });
    faults.chain(warnings).chain(sound).collect()
}

/// A rule as it is listed.
#[derive(Serialize)]
struct Listed {
    system: String,
    name: String,
    /// Its file, or `built in`.
    from: String,
    hosts: Vec<String>,
    /// Whether it tells its product on other hosts, too.
    elsewhere: bool,
}

impl Listed {
    fn of(rule: &Rule, from: String) -> Self {
        Self {
            system: rule.system.clone(),
            name: rule.name.clone(),
            from,
            hosts: rule.hosts.clone(),
            elsewhere: rule.elsewhere.is_some(),
        }
    }

    fn line(&self) -> String {
        let mut hosts = self.hosts.join(", ");
        if self.elsewhere {
            hosts.push_str(if hosts.is_empty() { "any host" } else { ", any host" });
        }
        format!("{:<24} {:<28} {:<10} {hosts}", self.system, self.name, self.from)
    }
}

fn list(terminal: &mut Terminal<'_>) -> anyhow::Result<ExitCode> {
    let mut listed: Vec<Listed> = Vec::new();
    if let Some(folder) = configured_folder(terminal)? {
        let reading = Reading::of_folder(&folder);
        listed.extend(
            reading.sound.iter().map(|sound| Listed::of(&sound.rule, sound.path.display().to_string())),
        );
    }
    for rule in built_in_rules() {
        if listed.iter().all(|listed| listed.system != rule.system) {
            listed.push(Listed::of(&rule, "built in".into()));
        }
    }
    terminal.answer(&listed, || listed.iter().map(Listed::line).collect::<Vec<_>>().join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The configured folder; nothing where no configuration names one, or there is none.
fn configured_folder(terminal: &Terminal<'_>) -> anyhow::Result<Option<PathBuf>> {
    let path = &terminal.places.config;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let config = ticketgate_access::config::read(&text)
        .ok()
        .context("the configuration has faults; `ticketgate check` lists them")?;
    Ok(config.broker.rules)
}
