//! `[broker]`: the broker's own settings.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ticketgate_protocol::ids::TechnicianId;

use super::tree::{At, Notes, Section, list};
use crate::config::{Broker, RateLimits};

/// What a reason may be made of: the fields of a recognised ticket.
const PLACEHOLDERS: [&str; 7] = ["number", "summary", "customer", "contact", "status", "system", "url"];

impl Default for Broker {
    fn default() -> Self {
        Self {
            administrators: BTreeSet::new(),
            rate: RateLimits::default(),
            sessions_at_once: 10,
            reason_template: "#{number} {summary} ({customer}, {contact})".into(),
            clipboard_clear_s: 30,
            rules: None,
        }
    }
}

/// `[broker]` as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) item: Broker,
    pub(super) hosts: Vec<String>,
    pub(super) administrators: Vec<At<TechnicianId>>,
}

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Draft {
    let Some(section) = file.table("broker", notes) else { return Draft::default() };
    section.only(
        &[
            "administrators",
            "rate",
            "sessions_at_once",
            "reason_template",
            "clipboard_clear",
            "hosts",
            "rules",
        ],
        notes,
    );
    let standard = Broker::default();
    let administrators: Vec<At<TechnicianId>> = section.ids("administrators", notes).unwrap_or_default();
    let hosts = section.texts("hosts", 253, notes).unwrap_or_default();
    for At { line, value } in &hosts {
        if !super::directory::is_host(value) {
            notes.fault(*line, "an entry of `hosts` of [broker] is not a host name; write it without scheme and path, such as \"tickets.example.com\"");
        }
    }
    Draft {
        item: Broker {
            administrators: administrators.iter().map(|a| a.value.clone()).collect(),
            rate: rate(&section, notes),
            sessions_at_once: section
                .number("sessions_at_once", 1, 100, notes)
                .unwrap_or(standard.sessions_at_once),
            reason_template: reason_template(&section, notes).unwrap_or(standard.reason_template),
            clipboard_clear_s: section
                .duration("clipboard_clear", 5, 600, notes)
                .map_or(standard.clipboard_clear_s, |d| d.value),
            rules: rules(&section, notes),
        },
        hosts: hosts.into_iter().map(|host| host.value).collect(),
        administrators,
    }
}

fn rate(broker: &Section<'_>, notes: &mut Notes) -> RateLimits {
    let standard = RateLimits::default();
    let Some(section) = broker.table("rate", notes) else { return standard };
    section.only(&["per_minute", "per_hour", "per_day"], notes);
    let mut limit = |key, standard| section.number(key, 1, 100_000, notes).unwrap_or(standard);
    RateLimits {
        per_minute: limit("per_minute", standard.per_minute),
        per_hour: limit("per_hour", standard.per_hour),
        per_day: limit("per_day", standard.per_day),
    }
}

fn rules(section: &Section<'_>, notes: &mut Notes) -> Option<PathBuf> {
    let At { line, value } = section.text("rules", 4096, notes)?;
    let folder = PathBuf::from(value);
    if !folder.is_absolute() {
        notes.fault(
            line,
            "`rules` of [broker] must be the whole path of a folder, such as \"/etc/ticketgate/rules\"",
        );
    }
    Some(folder)
}

fn reason_template(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let At { line, value } = section.text("reason_template", 300, notes)?;
    if let Err(unknown) = placeholders(&value, &PLACEHOLDERS) {
        let known = list(PLACEHOLDERS.iter().map(|p| format!("{{{p}}}")));
        notes.fault(line, format!("`reason_template` of [broker] {unknown}; use {known}"));
    }
    Some(value)
}

/// Checks the `{…}` of a template and answers how often each was used at all.
pub(super) fn placeholders(template: &str, known: &[&str]) -> Result<usize, String> {
    let mut used = 0;
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let inside = rest.get(at..).and_then(|t| t.strip_prefix('{')).and_then(|t| t.split_once('}'));
        let Some((name, tail)) = inside else { return Err("has a brace without its partner".into()) };
        if !known.contains(&name) {
            return Err("has a placeholder that does not exist".into());
        }
        used += 1;
        rest = tail;
    }
    Ok(used)
}
