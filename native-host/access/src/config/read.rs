//! Reads a configuration file (TOML) and checks it whole: every fault is found at once, each with its line.
//! Each section has a file of its own; `links` checks what holds between them, `tree` walks the parsed text.

mod broker;
mod directory;
mod dn;
mod duration;
mod grant;
mod ledger;
mod links;
mod people;
mod policy;
mod psa;
mod rights;
mod service;
mod sign_in;
mod tree;

use std::fmt;

use toml::Spanned;
use toml::de::DeTable;

pub use self::ledger::ledger;
use self::links::Drafts;
pub(crate) use self::psa::host as host_of;
pub use self::service::service;
use self::tree::{Notes, Section};
use super::Config;

/// One fault in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line from 1; 0 when the fault is not at one place.
    pub line: usize,
    /// What is wrong and how to mend it, one sentence.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.text),
            line => write!(f, "line {line}: {}", self.text),
        }
    }
}

/// All faults of a configuration file, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Largest configuration that is read, in bytes: far more than a thousand customers need.
const SIZE_MAX: usize = 4 << 20;

/// Reads and checks a whole configuration. What is permitted and yet looks like a slip is in [`Config::warnings`].
///
/// # Errors
/// [`Faults`]: every fault that was found. Where the text is no TOML, those are the faults of its syntax alone: what
/// it means can only be said of a text that can be read.
pub fn read(text: &str) -> Result<Config, Faults> {
    let mut notes = Notes::new(text);
    let tree = parsed(text, &mut notes)?;
    let mut drafts = sections(&Section::whole_file(tree.get_ref()), &mut notes);
    links::check(&drafts, &mut notes);
    if !notes.faults.is_empty() {
        return Err(sorted(notes.faults));
    }
    rights::spell_alike(&mut drafts);
    Ok(assemble(drafts, sorted(notes.warnings).0))
}

/// The file's tables, unchecked, or the faults of its syntax.
fn parsed<'a>(text: &'a str, notes: &mut Notes) -> Result<Spanned<DeTable<'a>>, Faults> {
    if text.len() > SIZE_MAX {
        let text = format!("the file is larger than {} MiB; check that it is the right one", SIZE_MAX >> 20);
        return Err(Faults(vec![Fault { line: 0, text }]));
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = error.span().map_or(0, |span| notes.line_of(span.start));
        // The message names keys at most, never a value: the source text is not in it.
        notes.fault(line, format!("this is not TOML: {}", error.message().replace('\n', ", ")));
    }
    if notes.faults.is_empty() { Ok(tree) } else { Err(sorted(std::mem::take(&mut notes.faults))) }
}

fn sections(file: &Section<'_>, notes: &mut Notes) -> Drafts {
    file.only(
        &[
            "broker",
            "service",
            "ledger",
            "sign_in",
            "role",
            "psa",
            "technician",
            "customer",
            "directory",
            "policy",
        ],
        notes,
    );
    let drafts = Drafts {
        service: service::read(file, notes),
        broker: broker::read(file, notes),
        sign_in: sign_in::read(file, notes),
        roles: sign_in::roles(file, notes),
        psas: psa::read(file, notes),
        technicians: people::technicians(file, notes),
        customers: people::customers(file, notes),
        directories: directory::read(file, notes),
        policies: policy::read(file, notes),
        ledger: ledger::read(file, notes),
    };
    for (key, remedy) in [
        ("technician", "nobody can use it"),
        ("customer", "there is nothing to work for"),
        ("directory", "there is nothing to grant rights in"),
        ("policy", "there is nothing to grant"),
    ] {
        if !file.has(key) {
            notes.warn(0, format!("the file has no [[{key}]]: {remedy}"));
        }
    }
    drafts
}

fn assemble(drafts: Drafts, warnings: Vec<Fault>) -> Config {
    Config {
        broker: drafts.broker.item,
        sign_in: drafts.sign_in.map(|sign_in| sign_in.item),
        roles: drafts.roles.into_iter().map(|role| role.item).collect(),
        psas: drafts.psas.into_iter().map(|p| (p.item.id.clone(), p.item)).collect(),
        technicians: drafts.technicians.into_iter().map(|t| (t.item.id.clone(), t.item)).collect(),
        customers: drafts.customers.into_iter().map(|c| (c.item.id.clone(), c.item)).collect(),
        directories: drafts.directories.into_iter().map(|d| (d.item.id.clone(), d.item)).collect(),
        policies: drafts.policies.into_iter().map(|p| (p.item.id.clone(), p.item)).collect(),
        service: drafts.service,
        ledger: drafts.ledger,
        hosts: drafts.broker.hosts,
        warnings,
    }
}

fn sorted(mut faults: Vec<Fault>) -> Faults {
    faults.sort_by_key(|fault| fault.line);
    Faults(faults)
}

#[cfg(test)]
mod tests;
