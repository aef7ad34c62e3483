//! `rules test`: reads a saved page as the probe would, recognises, and tells every step. Texts of the page are printed
//! without control characters, so that a page cannot write on the terminal.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use ticketgate_protocol::text;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_recognise::trace::{CandidateTrace, FactTrace, FieldTrace, RuleTrace, Steps, Trace};
use ticketgate_recognise::{Certainty, Recognition, Rules};

use crate::cli::arguments::RulesTest;
use crate::saved_page::{LeftOut, PATIENCE, SavedPage};

/// So much of a text of the page is printed.
const SHOWN_MAX: usize = 120;

pub(super) fn run(out: &mut dyn Write, json: bool, how: &RulesTest) -> anyhow::Result<ExitCode> {
    let rules = rules(how)?;
    let bytes = std::fs::read(&how.page).with_context(|| how.page.display().to_string())?;
    let page = SavedPage::read(&bytes, PATIENCE)?;
    let Some(questions) = rules.questions(&how.url) else {
        bail!(
            "no rule applies to this address: is it a whole one, such as https://desk.example/Ticket/Display.html?id=1?"
        );
    };
    let reading = page.answers(&questions, &how.url, PATIENCE)?;
    let trace = rules.trace(&how.url, &reading.facts);
    let unclear: Vec<&str> = reading.unclear.iter().map(|(_, why)| why.as_str()).collect();
    if json {
        let told = as_json(&trace, page.left_out(), page.odd_letters, &unclear);
        serde_json::to_writer_pretty(&mut *out, &told)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", as_text(&trace, page.left_out(), page.odd_letters, &unclear))?;
    }
    Ok(match trace.recognition {
        Recognition::Ticket(_) => ExitCode::SUCCESS,
        Recognition::NotATicketPage => ExitCode::from(1),
    })
}

/// The rules of a folder, or the built-in ones; perhaps only one system's.
fn rules(how: &RulesTest) -> anyhow::Result<Rules> {
    let Some(folder) = &how.rules else {
        let mut rules = Rules::built_in();
        if let Some(system) = &how.system {
            rules.keep_only(system);
            if rules.systems().next().is_none() {
                bail!("no built-in rule is for the system {system}");
            }
        }
        return Ok(rules);
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            files.push((name_of(&path), text));
        }
    }
    files.sort();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut rules = Rules::from_files(&files).map_err(anyhow::Error::msg)?;
    if let Some(system) = &how.system {
        rules.keep_only(system);
    }
    if rules.systems().next().is_none() {
        bail!("{} has no such rule", folder.display());
    }
    Ok(rules)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn certainty(of: Certainty) -> &'static str {
    match of {
        Certainty::Missing => "missing",
        Certainty::Guessed => "a guess",
        Certainty::Likely => "a guess, sure where it is a configured customer's name",
        Certainty::Sure => "sure",
    }
}

/// A text of the page on one line, cut, and without anything that moves a terminal.
fn shown(text: &str) -> String {
    let line = text::fold(text, SHOWN_MAX + 1).unwrap_or_default();
    let mut shown: String = line.chars().take(SHOWN_MAX).collect();
    if line.chars().count() > SHOWN_MAX {
        shown.push('…');
    }
    format!("“{shown}”")
}

/// What a rule's or the page's own words may be on a terminal.
fn clean(words: &str) -> String {
    words.chars().filter(|c| !text::is_forbidden(*c)).collect()
}

fn notes(left: LeftOut, odd_letters: bool, unclear: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    if left.stylesheets > 0 {
        notes.push(format!(
            "{} stylesheets are not applied: what one of them hides counts as visible here.",
            left.stylesheets
        ));
    }
    if left.scripts > 0 {
        notes.push(format!(
            "{} scripts did not run: what they build is there only if it was saved.",
            left.scripts
        ));
    }
    if left.frames > 0 {
        notes.push(format!(
            "{} frames are not followed: each is a page of its own, to be saved and tried alone.",
            left.frames
        ));
    }
    if odd_letters {
        notes.push("The file is not UTF-8: letters beyond ASCII may be wrong. Save it as UTF-8.".into());
    }
    notes.extend(unclear.iter().map(|why| format!("A question was left out; {}.", clean(why))));
    notes
}

fn as_text(trace: &Trace, left: LeftOut, odd_letters: bool, unclear: &[&str]) -> String {
    let mut out = String::new();
    for note in notes(left, odd_letters, unclear) {
        let _ = writeln!(out, "Note: {note}");
    }
    if let Some(why) = trace.refused {
        let _ = writeln!(out, "No rule was tried: {why}.");
    }
    let (applying, others): (Vec<_>, Vec<_>) = trace.rules.iter().partition(|rule| rule.applies.is_ok());
    // On a strange host almost every rule applies, and most of them know no such address.
    let brief = applying.len() > 1;
    for rule in &applying {
        rule_as_text(rule, brief, &mut out);
    }
    let untried: Vec<&str> =
        applying.iter().filter(|rule| rule.steps.is_none()).map(|rule| rule.system.as_str()).collect();
    if !untried.is_empty() {
        let _ = writeln!(out, "Not tried, a rule before recognised the page: {}", untried.join(", "));
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for rule in others {
        let why = rule.applies.as_ref().err().map_or("", String::as_str);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, systems)) => systems.push(&rule.system),
            None => reasons.push((why, vec![&rule.system])),
        }
    }
    for (why, systems) in reasons {
        let _ = writeln!(out, "Does not apply, {}: {}", clean(why), systems.join(", "));
    }
    match &trace.recognition {
        Recognition::NotATicketPage => out.push_str("\nThis page was not recognised.\n"),
        Recognition::Ticket(found) => {
            let _ = writeln!(out, "\nRecognised:");
            for (name, value, how) in ticket_fields(&found.ticket, found.certainty) {
                let value = value.map_or_else(|| "–".to_owned(), clean);
                let how = how.filter(|how| *how != Certainty::Missing);
                let how = how.map(|how| format!("   ({})", certainty(how))).unwrap_or_default();
                let _ = writeln!(out, "  {name:<9} {value}{how}");
            }
        }
    }
    out
}

type FieldShown<'a> = (&'static str, Option<&'a str>, Option<Certainty>);

fn ticket_fields(ticket: &Ticket, how: ticketgate_recognise::FieldCertainty) -> [FieldShown<'_>; 7] {
    [
        ("system", Some(&ticket.system), None),
        ("number", Some(&ticket.number), Some(how.number)),
        ("summary", ticket.summary.as_deref(), Some(how.summary)),
        ("customer", ticket.customer.as_deref(), Some(how.customer)),
        ("contact", ticket.contact.as_deref(), Some(how.contact)),
        ("status", ticket.status.as_deref(), Some(how.status)),
        ("address", ticket.url.as_deref(), None),
    ]
}

fn rule_as_text(rule: &RuleTrace, brief: bool, out: &mut String) {
    let why = rule.applies.as_ref().map_or("", String::as_str);
    let Some(steps) = &rule.steps else { return };
    let none_fits = steps.addresses.iter().all(|form| form.names.is_err());
    if brief && none_fits {
        let _ = writeln!(
            out,
            "{} ({}): no form of address fits; --system {} says what failed",
            clean(&rule.name),
            rule.system,
            rule.system
        );
        return;
    }
    let _ = writeln!(out, "{} ({}): applies, {}", clean(&rule.name), rule.system, clean(why));
    for form in &steps.addresses {
        let source =
            if form.source.is_empty() { String::new() } else { format!(" [{}]", clean(&form.source)) };
        match &form.names {
            Ok(names) => {
                let names: Vec<_> =
                    names.iter().map(|(name, value)| format!("{name} = {}", shown(value))).collect();
                let known = if form.no_ticket { ": known to be no ticket's" } else { "" };
                let _ = writeln!(out, "  address {} fits{known}  {}{source}", form.place, names.join(", "));
            }
            Err(why) => {
                let _ = writeln!(
                    out,
                    "  address {} does not fit: {}{source}",
                    form.place,
                    clean(&shortened(why))
                );
            }
        }
    }
    if !none_fits {
        steps.facts.iter().for_each(|fact| fact_as_text(fact, out));
        steps.fields.iter().for_each(|field| field_as_text(field, out));
    }
    if let Err(why) = &steps.outcome {
        let _ = writeln!(out, "  → no ticket: {}", clean(why));
    }
}

fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(200).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn fact_as_text(fact: &FactTrace, out: &mut String) {
    let verdict = match (fact.counts, fact.holds) {
        (false, _) => "does not count on this host",
        (true, true) => "holds",
        (true, false) if fact.says && !fact.found.is_empty() => "is there, but says something else",
        (true, false) => "is not there",
    };
    let found: Vec<String> =
        fact.found.iter().filter(|text| !text.is_empty()).map(|text| shown(text)).collect();
    let _ = writeln!(out, "  {} {} {verdict}  {}", fact.kind, clean(&fact.selector), found.join(", "));
}

fn field_as_text(field: &FieldTrace, out: &mut String) {
    let _ = match &field.taken {
        Some((value, how)) => writeln!(out, "  {}: {} ({})", field.field, shown(value), certainty(*how)),
        None => writeln!(out, "  {}: nothing", field.field),
    };
    for (at, candidate) in field.candidates.iter().enumerate() {
        let mark = if candidate.taken { "✓" } else { " " };
        let _ = writeln!(out, "   {mark} {}. {}", at + 1, clean(&candidate.reads));
        if !candidate.source.is_empty() {
            let _ = writeln!(out, "        from {}", clean(&candidate.source));
        }
        if candidate.found.is_empty() {
            let _ = writeln!(out, "        finds nothing{}", too_late(candidate));
        }
        for (text, made) in &candidate.found {
            let made = match made {
                Ok(value) if value == text => format!("taken as it is{}", too_late(candidate)),
                Ok(value) => format!("gives {}{}", shown(value), too_late(candidate)),
                Err(why) => format!("passed over: {why}"),
            };
            let _ = writeln!(out, "        {} {made}", shown(text));
        }
    }
}

fn too_late(candidate: &CandidateTrace) -> &'static str {
    if candidate.too_late { ", but one before it counts" } else { "" }
}

fn as_json(trace: &Trace, left: LeftOut, odd_letters: bool, unclear: &[&str]) -> Value {
    let ticket = match &trace.recognition {
        Recognition::NotATicketPage => Value::Null,
        Recognition::Ticket(found) => {
            let certainty: serde_json::Map<String, Value> = ticket_fields(&found.ticket, found.certainty)
                .into_iter()
                .filter_map(|(name, _, how)| Some((name.to_owned(), json!(word(how?)))))
                .collect();
            json!({ "ticket": found.ticket, "certainty": certainty })
        }
    };
    json!({
        "recognised": ticket,
        "refused": trace.refused,
        "notes": notes(left, odd_letters, unclear),
        "rules": trace.rules.iter().map(rule_as_json).collect::<Vec<_>>(),
    })
}

/// A certainty as a word for programs.
fn word(of: Certainty) -> &'static str {
    match of {
        Certainty::Missing => "missing",
        Certainty::Guessed => "guessed",
        Certainty::Likely => "likely",
        Certainty::Sure => "sure",
    }
}

fn rule_as_json(rule: &RuleTrace) -> Value {
    let (applies, why) = match &rule.applies {
        Ok(why) => (true, why),
        Err(why) => (false, why),
    };
    json!({
        "system": rule.system,
        "name": rule.name,
        "applies": applies,
        "why": why,
        "tried": rule.steps.as_ref().map(steps_as_json),
    })
}

fn steps_as_json(steps: &Steps) -> Value {
    let addresses = steps.addresses.iter().map(|form| {
        let names = form.names.as_ref().ok().map(|names| names.iter().cloned().collect::<std::collections::BTreeMap<_, _>>());
        json!({ "place": form.place, "source": form.source, "names": names, "failed": form.names.as_ref().err(), "no_ticket": form.no_ticket })
    });
    let facts = steps.facts.iter().map(|fact| {
        json!({ "kind": fact.kind, "selector": fact.selector, "found": fact.found, "holds": fact.holds, "counts": fact.counts })
    });
    let fields = steps.fields.iter().map(|field| {
        let candidates = field.candidates.iter().map(|candidate| {
            let found = candidate.found.iter().map(|(text, made)| {
                json!({ "text": text, "gives": made.as_ref().ok(), "passed_over": made.as_ref().err() })
            });
            json!({
                "reads": candidate.reads, "source": candidate.source, "certainty": word(candidate.certainty),
                "found": found.collect::<Vec<_>>(), "taken": candidate.taken,
            })
        });
        let (value, how) = field.taken.clone().unzip();
        json!({ "field": field.field, "value": value, "certainty": how.map(word), "candidates": candidates.collect::<Vec<_>>() })
    });
    json!({
        "addresses": addresses.collect::<Vec<_>>(),
        "facts": facts.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(),
        "no_ticket": steps.outcome.as_ref().err(),
    })
}

#[cfg(test)]
mod tests;
