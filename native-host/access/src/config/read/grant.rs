//! What a policy grants, and where: `directory`, `mode` and `rights` of the policy itself, or a list of them under `grant`.

use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::DirectoryId;

use super::directory::DN_MAX;
use super::links::Drafts;
use super::tree::{At, Notes, Section, TEXT_MAX};
use super::{directory, policy};
use crate::config::{DirectoryKind, Grant, ROLE_SHORTEST_S};
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

/// Notes grants that do not fit one another, or what their directories can do.
pub(super) fn fit(drafts: &Drafts, notes: &mut Notes) {
    are_of_one_customer(drafts, notes);
    machines_know_the_mode(drafts, notes);
    tenants_give_that_short(drafts, notes);
}

/// The directory of a grant, where it exists.
pub(super) fn directory_of<'d>(drafts: &'d Drafts, grant: &Grant) -> Option<&'d directory::Draft> {
    drafts.directories.iter().find(|d| d.item.id == grant.directory)
}

/// One session works for one customer, and has one account in a directory.
fn are_of_one_customer(drafts: &Drafts, notes: &mut Notes) {
    for policy in &drafts.policies {
        let id = &policy.item.id;
        let mut owner: Option<&directory::Draft> = None;
        for (at, (grant, draft)) in policy.item.grants.iter().zip(&policy.granted).enumerate() {
            let line = draft.directory.as_ref().map_or(draft.line, |named| named.line);
            if policy.item.grants.iter().take(at).any(|other| other.directory == grant.directory) {
                notes.fault(
                    line,
                    format!(
                        "policy \"{id}\" grants in directory \"{}\" twice; put all of its rights there into one entry of `grant`",
                        grant.directory
                    ),
                );
            }
            let Some(directory) = directory_of(drafts, grant) else { continue };
            let first = *owner.get_or_insert(directory);
            if first.item.customer != directory.item.customer {
                notes.fault(
                    line,
                    format!(
                        "policy \"{id}\" grants in directory \"{}\" of customer \"{}\" and in directory \"{}\" of customer \"{}\"; \
                         make a policy for each customer",
                        first.item.id, first.item.customer, directory.item.id, directory.item.customer
                    ),
                );
            }
        }
    }
}

/// Entra ID gives no role for less than five minutes, and no pass for less than ten, from when it is asked.
fn tenants_give_that_short(drafts: &Drafts, notes: &mut Notes) {
    for (policy, grant) in grants(drafts) {
        let Some(DirectoryKind::Entra(tenant)) = directory_of(drafts, grant).map(|d| &d.item.kind) else {
            continue;
        };
        let Some(shortest) = policy.item.duration.choices_s.iter().min() else { continue };
        let needed = tenant.shortest_s(grant.mode);
        if *shortest >= needed {
            continue;
        }
        let fault = if needed == ROLE_SHORTEST_S {
            "offers less than 6 minutes, and Entra ID gives no right for less than 5 from when it is asked; offer 6 minutes and more"
        } else {
            "offers less than 11 minutes, and a Temporary Access Pass lasts 10 from when it is asked for; offer 11 minutes and more, or set \
             login = \"password\" there"
        };
        let (policy_id, directory) = (&policy.item.id, &grant.directory);
        notes.fault(policy.line, format!("policy \"{policy_id}\" of directory \"{directory}\" {fault}"));
    }
}

/// A machine's own side touches no account but those it made.
fn machines_know_the_mode(drafts: &Drafts, notes: &mut Notes) {
    for (policy, grant) in grants(drafts).filter(|(_, grant)| grant.mode == Mode::Membership) {
        if directory_of(drafts, grant).is_some_and(|d| matches!(d.item.kind, DirectoryKind::Local(_))) {
            notes.fault(
                policy.line,
                format!(
                    "policy \"{}\" has mode = \"membership\", which a machine does not know: people's own accounts there are \
                     never touched; use \"dedicated\" or \"burner\"",
                    policy.item.id
                ),
            );
        }
    }
}

fn grants(drafts: &Drafts) -> impl Iterator<Item = (&policy::Draft, &Grant)> {
    drafts.policies.iter().flat_map(|policy| policy.item.grants.iter().map(move |grant| (policy, grant)))
}
