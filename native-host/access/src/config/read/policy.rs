//! `[[policy]]`: durations, people and conditions; what it grants is in `grant.rs`.

use ticketgate_protocol::ids::TechnicianId;

use super::tree::{At, Notes, Section, TEXT_MAX, list};
use super::{duration, grant, people};
use crate::config::{DurationRule, Eligible, Policy, TicketRule, Verified};

/// A policy as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) name_line: usize,
    /// What is checked later of each of the item's grants.
    pub(super) granted: Vec<grant::Draft>,
    pub(super) groups: Vec<At<String>>,
    pub(super) technicians: Vec<At<TechnicianId>>,
    pub(super) approvers: Vec<At<String>>,
    /// The line at which it asks for a verified ticket.
    pub(super) asks_psa: Option<usize>,
    pub(super) item: Policy,
}

/// Shortest and longest duration that a policy may name, in seconds.
const SHORTEST_S: u32 = 60;
const LONGEST_S: u32 = 86_400;

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Vec<Draft> {
    let sections = file.tables("policy", notes);
    sections.iter().filter_map(|section| policy(section, notes)).collect()
}

fn policy(section: &Section<'_>, notes: &mut Notes) -> Option<Draft> {
    section.only(
        &[
            "id",
            "name",
            "directory",
            "mode",
            "rights",
            "grant",
            "duration",
            "eligible",
            "ticket",
            "approval",
            "passkey",
            "one_click",
        ],
        notes,
    );
    let name = section.text("name", TEXT_MAX, notes).map(|name| name.value);
    let (grants, granted) = grant::read(section, notes);
    let duration = durations(section, notes);
    let (groups, technicians) = eligible(section, notes);
    let conditions = conditions(section, notes);
    let one_click = section.flag("one_click", notes);
    let id = people::required_id(section, notes)?;
    Some(Draft {
        line: section.line,
        name_line: section.line_of("name", notes),
        approvers: conditions.approvers,
        asks_psa: conditions.asks_psa,
        item: Policy {
            name: name.unwrap_or_else(|| ToString::to_string(&id)),
            id,
            grants,
            duration,
            eligible: Eligible {
                groups: groups.iter().map(|g| g.value.clone()).collect(),
                technicians: technicians.iter().map(|t| t.value.clone()).collect(),
            },
            ticket: conditions.ticket,
            one_click,
            unmet: conditions.unmet,
        },
        granted,
        groups,
        technicians,
    })
}

fn durations(section: &Section<'_>, notes: &mut Notes) -> DurationRule {
    let stand_in = DurationRule { default_s: SHORTEST_S, max_s: SHORTEST_S, choices_s: vec![SHORTEST_S] };
    let remedy = "write duration = { default = \"1h\", max = \"4h\" }";
    if !section.has("duration") {
        notes.fault(section.line, format!("{} has no `duration`; {remedy}", section.name));
        return stand_in;
    }
    let Some(table) = section.table("duration", notes) else { return stand_in };
    table.only(&["default", "max", "choices"], notes);
    for key in ["default", "max"] {
        if !table.has(key) {
            notes.fault(table.line, format!("{} has no `{key}`; {remedy}", table.name));
        }
    }
    let default = table.duration("default", SHORTEST_S, LONGEST_S, notes);
    let max = table.duration("max", SHORTEST_S, LONGEST_S, notes);
    let choices = table.durations("choices", SHORTEST_S, LONGEST_S, notes);
    let (Some(default), Some(max)) = (default, max) else { return stand_in };
    let longest = duration::show(max.value);
    if default.value > max.value {
        notes.fault(
            default.line,
            format!("`default` of {} is longer than its `max` of {longest}", table.name),
        );
    }
    for choice in choices.iter().flatten().filter(|choice| choice.value > max.value) {
        notes.fault(
            choice.line,
            format!(
                "an entry of `choices` of {} ({}) is longer than its `max` of {longest}",
                table.name,
                duration::show(choice.value)
            ),
        );
    }
    let mut choices_s: Vec<u32> =
        choices.map_or_else(|| vec![max.value], |c| c.into_iter().map(|choice| choice.value).collect());
    // What is offered first is always among what is offered.
    choices_s.push(default.value);
    choices_s.sort_unstable();
    choices_s.dedup();
    DurationRule { default_s: default.value, max_s: max.value, choices_s }
}

type Named = (Vec<At<String>>, Vec<At<TechnicianId>>);

fn eligible(section: &Section<'_>, notes: &mut Notes) -> Named {
    let remedy =
        "write eligible = { groups = [\"tier2\"], technicians = [\"tech1\"] } with at least one entry";
    if !section.has("eligible") {
        notes.fault(
            section.line,
            format!("{} has no `eligible`: nobody could use it; {remedy}", section.name),
        );
        return Default::default();
    }
    let Some(table) = section.table("eligible", notes) else { return Default::default() };
    let before = notes.faults.len();
    table.only(&["groups", "technicians"], notes);
    let groups = table.texts("groups", TEXT_MAX, notes).unwrap_or_default();
    let technicians = table.ids("technicians", notes).unwrap_or_default();
    if groups.is_empty() && technicians.is_empty() && notes.faults.len() == before {
        notes.fault(table.line, format!("{} is empty: nobody could use the policy; {remedy}", table.name));
    }
    (groups, technicians)
}

/// What has to be so before a policy grants anything.
#[derive(Debug, Default)]
struct Conditions {
    ticket: TicketRule,
    asks_psa: Option<usize>,
    approvers: Vec<At<String>>,
    unmet: Vec<String>,
}

fn conditions(section: &Section<'_>, notes: &mut Notes) -> Conditions {
    let mut found = Conditions::default();
    let mut lines = Vec::new();
    if let Some(section) = section.table("ticket", notes) {
        found.ticket = ticket(&section, notes);
        found.asks_psa =
            (found.ticket.verified != Verified::Never).then(|| section.line_of("verified", notes));
    }
    if section.has("approval") {
        found.approvers = approval(section, notes);
        found.unmet.push("approval".into());
        lines.push(section.line_of("approval", notes));
    }
    if section.flag("passkey", notes) {
        found.unmet.push("passkey".into());
        lines.push(section.line_of("passkey", notes));
    }
    if let Some(line) = lines.first() {
        let what = list(found.unmet.iter().map(|condition| format!("`{condition}`")));
        notes.warn(
            *line,
            format!(
                "{} asks for {what}, which this release cannot enforce, so it grants nothing; \
                 take the condition out, or wait for the release that has it",
                section.name
            ),
        );
    }
    found
}

fn ticket(section: &Section<'_>, notes: &mut Notes) -> TicketRule {
    section.only(&["required", "verified", "must_be_open", "must_be_mine", "end_when_closed"], notes);
    let verified = verified(section, notes);
    let asked = verified != Verified::Never;
    let rule = TicketRule {
        required: section.flag("required", notes),
        verified,
        // A closed ticket is no reason for anything, unless somebody says that it is.
        must_be_open: if section.has("must_be_open") { section.flag("must_be_open", notes) } else { asked },
        must_be_mine: section.flag("must_be_mine", notes),
        end_when_closed: section.flag("end_when_closed", notes),
    };
    let needs_asking = [
        ("must_be_open", rule.must_be_open),
        ("must_be_mine", rule.must_be_mine),
        ("end_when_closed", rule.end_when_closed),
    ];
    for (key, wanted) in needs_asking {
        if wanted && !asked {
            notes.fault(
                section.line_of(key, notes),
                format!("`{key}` of {} needs verified = \"always\" or \"when_reachable\"", section.name),
            );
        }
    }
    if asked && !rule.required {
        notes.fault(
            section.line_of("verified", notes),
            format!(
                "{} asks for a verified ticket and for none: without required = true whoever names none is not asked",
                section.name
            ),
        );
    }
    rule
}

/// `true` is "always", `false` is "never".
fn verified(section: &Section<'_>, notes: &mut Notes) -> Verified {
    if section.kind_of("verified") == Some("boolean") {
        return if section.flag("verified", notes) { Verified::Always } else { Verified::Never };
    }
    let Some(At { line, value }) = section.text("verified", TEXT_MAX, notes) else { return Verified::Never };
    match value.as_str() {
        "always" => Verified::Always,
        "when_reachable" => Verified::WhenReachable,
        "never" => Verified::Never,
        _ => {
            notes.fault(
                line,
                format!("`verified` of {} must be \"always\", \"when_reachable\" or \"never\"", section.name),
            );
            Verified::Never
        }
    }
}

/// Checked as strictly as everything else, so that the file is right on the day the release has approvals.
fn approval(section: &Section<'_>, notes: &mut Notes) -> Vec<At<String>> {
    let Some(table) = section.table("approval", notes) else { return Vec::new() };
    table.only(&["required", "from", "lapses_after"], notes);
    table.number("required", 1, 10, notes);
    table.duration("lapses_after", SHORTEST_S, LONGEST_S, notes);
    let before = notes.faults.len();
    let from = table.texts("from", TEXT_MAX, notes).unwrap_or_default();
    if from.is_empty() && notes.faults.len() == before {
        notes.fault(
            table.line,
            format!("{} has no `from`: nobody could approve; name at least one group", table.name),
        );
    }
    from
}
