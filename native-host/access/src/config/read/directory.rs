//! `[[directory]]`: how a customer's directory is reached and used, and where its secret is kept.

pub(super) mod active_directory;
pub(super) mod entra;
pub(super) mod local;

use ticketgate_protocol::ids::{CustomerId, DirectoryId};

use super::tree::{At, Notes, Section, TEXT_MAX};
use super::{broker, dn, people};
use crate::config::{Directory, DirectoryKind, SecretRef};

/// A directory as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) name_line: usize,
    pub(super) customer: Option<At<CustomerId>>,
    pub(super) unit: Option<dn::Dn>,
    pub(super) item: Directory,
}

/// Longest distinguished name that is taken.
pub(super) const DN_MAX: usize = 1024;

/// What every directory has.
const KEYS: [&str; 3] = ["id", "customer", "kind"];

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Vec<Draft> {
    let sections = file.tables("directory", notes);
    sections.iter().filter_map(|section| directory(section, notes)).collect()
}

fn directory(section: &Section<'_>, notes: &mut Notes) -> Option<Draft> {
    if !section.has("customer") {
        notes.fault(
            section.line,
            format!("{} has no `customer`; name whose it is by the customer's id", section.name),
        );
    }
    let customer: Option<At<CustomerId>> = section.id("customer", notes);
    let remedy = "write kind = \"active_directory\", kind = \"local\" or kind = \"entra\"";
    let kind = section.required_text("kind", TEXT_MAX, remedy, notes);
    let word = kind.as_ref().map_or("", |kind| kind.value.as_str());
    if let Some(At { line, value }) = &kind
        && !["active_directory", "local", "entra"].contains(&value.as_str())
    {
        notes.fault(*line, format!("`kind` of {} is not known; {remedy}", section.name));
    }
    let own: &[&str] = match word {
        "local" => &local::KEYS,
        "entra" => &entra::KEYS,
        _ => &active_directory::KEYS,
    };
    section.only(&[&KEYS, own].concat(), notes);
    let id: Option<DirectoryId> = people::required_id(section, notes);
    let (unit, kind) = match word {
        "local" => (None, DirectoryKind::Local(local::read(section, notes))),
        "entra" => {
            // A missing id is a fault already: this stand-in never leaves the reader.
            let own = id.clone().or_else(|| DirectoryId::new("missing").ok())?;
            (None, DirectoryKind::Entra(Box::new(entra::read(section, &own, notes)?)))
        }
        _ => {
            let (unit, settings) = active_directory::read(section, notes);
            (unit, DirectoryKind::ActiveDirectory(settings))
        }
    };
    let id = id?;
    Some(Draft {
        line: section.line,
        name_line: section.line_of("account_name", notes),
        unit,
        item: Directory {
            id,
            // A missing customer is a fault already: this stand-in never leaves the reader.
            customer: customer
                .as_ref()
                .map(|c| c.value.clone())
                .or_else(|| CustomerId::new("missing").ok())?,
            kind,
        },
        customer,
    })
}

/// Whether a text is a DNS name or an IPv4 address.
pub(super) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

/// Where the secret of this key is kept. No text of it is ever repeated in a fault.
pub(super) fn secret(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<SecretRef> {
    const REMEDY: &str = "secrets never stand in this file: use { file = … }, { env = … }, { keyring = … } or { credential = … }";
    let line = section.line_of(key, notes);
    let fault = |notes: &mut Notes, what: &str| {
        notes.fault(line, format!("`{key}` of {} {what}; {REMEDY}", section.name));
    };
    match section.kind_of(key) {
        None => {
            notes.fault(line, format!("{} has no `{key}`; {REMEDY}", section.name));
            return None;
        }
        Some("table") => {}
        Some(_) => {
            fault(notes, "is written out");
            return None;
        }
    }
    let table = section.table(key, notes)?;
    let kinds = ["file", "env", "keyring", "credential"];
    let named: Vec<&str> = kinds.into_iter().filter(|kind| table.has(kind)).collect();
    let &[kind] = named.as_slice() else {
        fault(
            notes,
            if named.is_empty() { "says no place that is known" } else { "names more than one place" },
        );
        return None;
    };
    if table.len() != 1 {
        fault(notes, "has a key that is not known");
        return None;
    }
    let At { line, value } = table.text(kind, DN_MAX, notes)?;
    let refuse = |notes: &mut Notes, what: &str| {
        notes.fault(line, format!("`{key}` of {}: `{kind}` {what}", section.name));
        None
    };
    match kind {
        "file" if is_absolute(&value) => Some(SecretRef::File(value)),
        "file" => {
            refuse(notes, "must be the whole path of a file, such as \"/etc/ticketgate/acme-ad.secret\"")
        }
        "env" if is_variable(&value) => Some(SecretRef::Env(value)),
        "env" => refuse(
            notes,
            "must be the name of an environment variable: letters, digits and '_', no digit first",
        ),
        "keyring" => Some(SecretRef::Keyring(value)),
        _ if value.contains(['/', '\\']) || value.starts_with('.') => {
            refuse(notes, "must be the name of a credential of the service, not a path")
        }
        _ => Some(SecretRef::Credential(value)),
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether a path does not depend on the folder in which the broker was started, here or on Windows.
pub(super) fn is_absolute(path: &str) -> bool {
    let drive = path.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && path.get(1..3).is_some_and(|rest| rest == ":\\" || rest == ":/");
    path.starts_with('/') || path.starts_with("\\\\") || drive
}

fn account_name(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let At { line, value } = section.text("account_name", TEXT_MAX, notes)?;
    match broker::placeholders(&value, &["technician"]) {
        Ok(0) => notes.fault(
            line,
            format!("`account_name` of {} has no {{technician}}; without it all technicians would share one account", section.name),
        ),
        Ok(_) => {}
        Err(fault) => {
            notes.fault(line, format!("`account_name` of {} {fault}; use {{technician}}", section.name));
        }
    }
    Some(value)
}
