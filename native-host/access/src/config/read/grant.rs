//! What a policy grants, and where: `directory`, `mode` and `rights` of the policy itself, or a list of them under `grant`.

use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::DirectoryId;

use super::directory::DN_MAX;
use super::tree::{At, Notes, Section, TEXT_MAX};
use crate::config::Grant;
use crate::session::Right;

/// The keys of one grant.
pub(super) const KEYS: [&str; 3] = ["directory", "mode", "rights"];

/// Directories in which one policy can grant: all of them have to answer before anybody gets anything.
const MOST: usize = 8;

/// A grant as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) directory: Option<At<DirectoryId>>,
    pub(super) rights: Vec<At<String>>,
}

/// The grants of a policy, and what of each is checked later; both in the same order. Never empty but after a fault.
pub(super) fn read(policy: &Section<'_>, notes: &mut Notes) -> (Vec<Grant>, Vec<Draft>) {
    if !policy.has("grant") {
        return one(policy, notes).into_iter().unzip();
    }
    for key in KEYS.into_iter().filter(|key| policy.has(key)) {
        notes.fault(
            policy.line_of(key, notes),
            format!(
                "{} has `grant` and `{key}`; write either one `directory` with its `rights`, or all of them under `grant`",
                policy.name
            ),
        );
    }
    let before = notes.faults.len();
    let sections = policy.tables_in("grant", notes);
    let line = policy.line_of("grant", notes);
    if sections.is_empty() && notes.faults.len() == before {
        notes.fault(
            line,
            format!(
                "`grant` of {} is empty; write grant = [{{ directory = \"…\", rights = [\"…\"] }}]",
                policy.name
            ),
        );
    }
    if sections.len() > MOST {
        notes.fault(
            line,
            format!("`grant` of {} has more than {MOST} entries; make two policies of it", policy.name),
        );
    }
    let read = |section: &Section<'_>| {
        section.only(&KEYS, notes);
        one(section, notes)
    };
    sections.iter().filter_map(read).unzip()
}

fn one(section: &Section<'_>, notes: &mut Notes) -> Option<(Grant, Draft)> {
    if !section.has("directory") {
        notes.fault(
            section.line,
            format!("{} has no `directory`; name where its rights are by the directory's id", section.name),
        );
    }
    let directory: Option<At<DirectoryId>> = section.id("directory", notes);
    let mode = mode(section, notes);
    let rights = rights(section, notes);
    let grant = Grant {
        // A missing directory is a fault already: this stand-in never leaves the reader.
        directory: directory
            .as_ref()
            .map(|d| d.value.clone())
            .or_else(|| DirectoryId::new("missing").ok())?,
        mode,
        rights: rights.iter().map(|right| Right(right.value.clone())).collect(),
    };
    Some((grant, Draft { line: section.line, directory, rights }))
}

fn mode(section: &Section<'_>, notes: &mut Notes) -> Mode {
    let Some(At { line, value }) = section.text("mode", TEXT_MAX, notes) else { return Mode::Dedicated };
    match value.as_str() {
        "dedicated" => Mode::Dedicated,
        "burner" => Mode::Burner,
        "membership" => Mode::Membership,
        _ => {
            notes.fault(
                line,
                format!("`mode` of {} must be \"dedicated\", \"burner\" or \"membership\"", section.name),
            );
            Mode::Dedicated
        }
    }
}

/// What each of them means depends on the directory: [`super::rights`].
fn rights(section: &Section<'_>, notes: &mut Notes) -> Vec<At<String>> {
    let remedy = "name at least one group by its DN, or on a machine something like \"sudo:ALL\"";
    if !section.has("rights") {
        notes.fault(section.line, format!("{} has no `rights`; {remedy}", section.name));
    }
    let before = notes.faults.len();
    let Some(found) = section.texts("rights", DN_MAX, notes) else { return Vec::new() };
    if found.is_empty() && notes.faults.len() == before {
        notes.fault(
            section.line_of("rights", notes),
            format!("`rights` of {} is empty; {remedy}", section.name),
        );
    }
    found
}
