//! `[[psa]]`: a ticket system that the broker asks about tickets, and the names that people and customers have there.

use std::collections::BTreeMap;

use ticketgate_protocol::ids::PsaId;

use super::tree::{At, Notes, Section, TEXT_MAX, list};
use super::{directory, people};
use crate::config::{Psa, PsaKind, SecretRef, TicketNotes};

/// A ticket system as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) item: Psa,
}

const TIMEOUT_S: u32 = 5;

const POLL_S: u32 = 60;

/// The longest base address.
const URL_MAX: usize = 500;

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Vec<Draft> {
    let sections = file.tables("psa", notes);
    sections.iter().filter_map(|section| psa(section, notes)).collect()
}

fn psa(section: &Section<'_>, notes: &mut Notes) -> Option<Draft> {
    section.only(
        &[
            "id",
            "kind",
            "url",
            "pages",
            "login",
            "client_id",
            "secret",
            "ca_file",
            "timeout",
            "poll",
            "notes",
            "closed",
        ],
        notes,
    );
    let kind = kind(section, notes);
    let url = url(section, notes);
    let login = section.text("login", TEXT_MAX, notes).map(|login| login.value);
    let client_id = section.text("client_id", TEXT_MAX, notes).map(|id| id.value);
    if let Some(kind) = kind {
        for (key, there, what) in
            [("login", login.is_some(), kind.login()), ("client_id", client_id.is_some(), kind.client_id())]
        {
            match what {
                Some(what) if !there => {
                    notes.fault(section.line, format!("{} has no `{key}`; it is {what}", section.name));
                }
                None if there => notes.fault(
                    section.line_of(key, notes),
                    format!("`{key}` of {}: {} needs none, leave it out", section.name, kind.name()),
                ),
                _ => {}
            }
        }
    }
    let pages = section.texts("pages", 253, notes).unwrap_or_default();
    for At { line, value } in &pages {
        if !directory::is_host(value) {
            notes.fault(*line, format!("an entry of `pages` of {} is not a host name; write it without scheme and path, such as \"na.myconnectwise.net\"", section.name));
        }
    }
    let pages: Vec<String> = pages.into_iter().map(|host| host.value.to_lowercase()).collect();
    let secret = directory::secret(section, "secret", notes);
    let ca_file = directory::active_directory::ca_file(section, notes);
    let ticket_notes = ticket_notes(section, notes);
    let closed = section.texts("closed", TEXT_MAX, notes).unwrap_or_default();
    let timeout_s = section.duration("timeout", 1, 60, notes).map_or(TIMEOUT_S, |timeout| timeout.value);
    let poll_s = section.duration("poll", 30, 3600, notes).map_or(POLL_S, |poll| poll.value);
    let id: PsaId = people::required_id(section, notes)?;
    // What is missing is a fault already: these stand-ins never leave the reader.
    let (kind, url) = (kind.unwrap_or(PsaKind::RequestTracker), url.unwrap_or_default());
    let secret = secret.unwrap_or(SecretRef::Env(String::new()));
    Some(Draft {
        line: section.line,
        item: Psa {
            id,
            kind,
            pages: if pages.is_empty() {
                host(&url).map(str::to_lowercase).into_iter().collect()
            } else {
                pages
            },
            url,
            login,
            client_id,
            secret,
            ca_file,
            timeout_s,
            poll_s,
            notes: ticket_notes,
            closed: closed.into_iter().map(|word| word.value).collect(),
        },
    })
}

fn kind(section: &Section<'_>, notes: &mut Notes) -> Option<PsaKind> {
    let known = list(PsaKind::ALL.iter().map(|kind| format!("\"{}\"", kind.word())));
    let At { line, value } =
        section.required_text("kind", TEXT_MAX, &format!("write one of {known}"), notes)?;
    let found = PsaKind::ALL.into_iter().find(|kind| kind.word() == value);
    if found.is_none() {
        notes.fault(line, format!("`kind` of {} is not known; write one of {known}", section.name));
    }
    found
}

fn url(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let remedy = "write the address of its API, such as \"https://tickets.example.com\"";
    let At { line, value } = section.required_text("url", URL_MAX, remedy, notes)?;
    match fault_of(&value) {
        None => Some(value.trim_end_matches('/').to_owned()),
        Some(fault) => {
            notes.fault(line, format!("`url` of {} {fault}; {remedy}", section.name));
            None
        }
    }
}

/// What is wrong with an API's base address. It is never repeated: it may hold a password.
pub(super) fn fault_of(url: &str) -> Option<&'static str> {
    let Some(found) = host(url) else { return Some("has no proper host") };
    if url.contains(['?', '#', ' ', '\\']) {
        return Some("holds more than scheme, host, port and path");
    }
    // On this machine nobody is in between; anywhere else the secret would go over the network in the clear.
    let here = found == "localhost" || found.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (!url.starts_with("https://") && !here).then_some("must start with https://")
}

/// The host of an address, without user and port.
pub(crate) fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let sound_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (directory::is_host(host) && sound_port).then_some(host)
}

fn ticket_notes(section: &Section<'_>, notes: &mut Notes) -> TicketNotes {
    match section.text("notes", TEXT_MAX, notes) {
        None => TicketNotes::Private,
        Some(At { line, value }) => match value.as_str() {
            "private" => TicketNotes::Private,
            "public" => TicketNotes::Public,
            "off" => TicketNotes::Off,
            _ => {
                notes.fault(
                    line,
                    format!("`notes` of {} must be \"private\", \"public\" or \"off\"", section.name),
                );
                TicketNotes::Private
            }
        },
    }
}

/// `psa = { rt = "terry" }`: a name for each ticket system.
pub(super) fn names(section: &Section<'_>, notes: &mut Notes) -> Vec<(At<PsaId>, String)> {
    let Some(table) = section.table("psa", notes) else { return Vec::new() };
    let mut found = Vec::new();
    for (At { line, value }, name) in table.entries(TEXT_MAX, notes) {
        match PsaId::new(value) {
            Ok(id) => found.push((At { line, value: id }, name)),
            Err(bad) => notes.fault(line, format!("a key of {} is {bad}", table.name)),
        }
    }
    found
}

/// `psa = { cw = ["19", "27"] }`: what a customer's companies are called in each ticket system.
pub(super) fn companies(section: &Section<'_>, notes: &mut Notes) -> Vec<(At<PsaId>, Vec<String>)> {
    let Some(table) = section.table("psa", notes) else { return Vec::new() };
    let mut found: BTreeMap<usize, _> = BTreeMap::new();
    for key in table.keys() {
        let line = table.line_of(&key, notes);
        let ids = table.texts(&key, TEXT_MAX, notes).unwrap_or_default();
        match PsaId::new(key) {
            Ok(id) => {
                found.insert(line, (At { line, value: id }, ids.into_iter().map(|id| id.value).collect()));
            }
            Err(bad) => notes.fault(line, format!("a key of {} is {bad}", table.name)),
        }
    }
    found.into_values().collect()
}
