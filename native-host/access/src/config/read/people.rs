//! `[[technician]]` and `[[customer]]`: who works, and for whom.

use std::collections::{BTreeMap, BTreeSet};

use ticketgate_protocol::ids::{CustomerId, DirectoryId, PsaId, TechnicianId};

use super::tree::{At, Notes, Section, TEXT_MAX};
use super::{directory, psa};
use crate::config::{Customer, Technician, folded, is_anybodys};
use crate::local::PublicKey;

/// A technician as far as it could be read.
#[derive(Debug)]
pub(super) struct TechnicianDraft {
    pub(super) line: usize,
    pub(super) login_line: usize,
    pub(super) sign_in_line: usize,
    pub(super) accounts: Vec<(At<DirectoryId>, String)>,
    pub(super) psa: Vec<(At<PsaId>, String)>,
    pub(super) item: Technician,
}

/// A customer as far as it could be read, with every way in which it is written.
#[derive(Debug)]
pub(super) struct CustomerDraft {
    pub(super) line: usize,
    pub(super) names: Vec<At<String>>,
    pub(super) domains: Vec<At<String>>,
    pub(super) psa: Vec<(At<PsaId>, Vec<String>)>,
    pub(super) item: Customer,
}

const ID_REMEDY: &str = "give it one, such as id = \"acme\"";

pub(super) fn technicians(file: &Section<'_>, notes: &mut Notes) -> Vec<TechnicianDraft> {
    let sections = file.tables("technician", notes);
    sections.iter().filter_map(|section| technician(section, notes)).collect()
}

fn technician(section: &Section<'_>, notes: &mut Notes) -> Option<TechnicianDraft> {
    section.only(&["id", "name", "login", "sign_in", "groups", "accounts", "ssh_keys", "psa"], notes);
    let name = section.text("name", TEXT_MAX, notes).map(|name| name.value);
    let login = section.text("login", TEXT_MAX, notes).map(|login| login.value);
    let sign_in = section.text("sign_in", TEXT_MAX, notes).map(|sign_in| sign_in.value);
    let groups: BTreeSet<String> =
        section.texts("groups", TEXT_MAX, notes).unwrap_or_default().into_iter().map(|g| g.value).collect();
    let accounts = accounts(section, notes);
    let ssh_keys = ssh_keys(section, notes);
    let psa = psa::names(section, notes);
    let id: TechnicianId = required_id(section, notes)?;
    Some(TechnicianDraft {
        line: section.line,
        login_line: section.line_of("login", notes),
        sign_in_line: section.line_of("sign_in", notes),
        item: Technician {
            name: name.unwrap_or_else(|| id.to_string()),
            login: login.unwrap_or_else(|| id.to_string()),
            sign_in,
            groups,
            accounts: accounts.iter().map(|(id, name)| (id.value.clone(), name.clone())).collect(),
            ssh_keys,
            psa: psa.iter().map(|(id, name)| (id.value.clone(), name.clone())).collect(),
            id,
        },
        accounts,
        psa,
    })
}

fn ssh_keys(section: &Section<'_>, notes: &mut Notes) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for At { line, value } in section.texts("ssh_keys", 8192, notes).unwrap_or_default() {
        match PublicKey::new(&value) {
            Ok(key) => keys.push(key),
            Err(bad) => notes.fault(line, format!("an entry of `ssh_keys` of {}: {bad}", section.name)),
        }
    }
    keys
}

fn accounts(section: &Section<'_>, notes: &mut Notes) -> Vec<(At<DirectoryId>, String)> {
    let Some(table) = section.table("accounts", notes) else { return Vec::new() };
    let mut found = Vec::new();
    for (At { line, value }, account) in table.entries(TEXT_MAX, notes) {
        match DirectoryId::new(value) {
            Ok(id) => found.push((At { line, value: id }, account)),
            Err(bad) => notes.fault(line, format!("a key of {} is {bad}", table.name)),
        }
    }
    found
}

pub(super) fn customers(file: &Section<'_>, notes: &mut Notes) -> Vec<CustomerDraft> {
    let sections = file.tables("customer", notes);
    let drafts: Vec<_> = sections.iter().filter_map(|section| customer(section, notes)).collect();
    names_are_of_one_customer(&drafts, notes);
    drafts
}

fn customer(section: &Section<'_>, notes: &mut Notes) -> Option<CustomerDraft> {
    section.only(&["id", "name", "aliases", "domains", "psa"], notes);
    let name = section.text("name", TEXT_MAX, notes);
    let aliases = section.texts("aliases", TEXT_MAX, notes).unwrap_or_default();
    let domains = domains(section, notes);
    let psa = psa::companies(section, notes);
    let id: CustomerId = required_id(section, notes)?;
    let name = name.unwrap_or_else(|| At { line: section.line, value: id.to_string() });
    let item = Customer {
        id,
        name: name.value.clone(),
        aliases: aliases.iter().map(|alias| alias.value.clone()).collect(),
        domains: domains.iter().map(|domain| domain.value.clone()).collect(),
        psa: psa.iter().map(|(id, companies)| (id.value.clone(), companies.clone())).collect(),
    };
    let names = std::iter::once(name).chain(aliases).collect();
    Some(CustomerDraft { line: section.line, names, domains, psa, item })
}

/// The domains of a customer's e-mail addresses.
fn domains(section: &Section<'_>, notes: &mut Notes) -> Vec<At<String>> {
    let mut found = section.texts("domains", 253, notes).unwrap_or_default();
    for At { line, value } in &mut found {
        *value = value.to_lowercase();
        if !directory::is_host(value) || !value.contains('.') {
            notes.fault(
                *line,
                format!("an entry of `domains` of {} is not a domain of e-mail addresses, such as \"acme.example\"", section.name),
            );
        } else if is_anybodys(value) {
            notes.warn(
                *line,
                format!("anybody can have an address at {value}, so it tells nothing of {}; it is not used, leave it out", section.name),
            );
        }
    }
    found.retain(|domain| !is_anybodys(&domain.value));
    found
}

/// A ticket names its customer in words: two customers of one name could not be told apart.
fn names_are_of_one_customer(customers: &[CustomerDraft], notes: &mut Notes) {
    let mut owners: BTreeMap<String, (&CustomerDraft, usize)> = BTreeMap::new();
    for customer in customers {
        for At { line, value } in &customer.names {
            match owners.get(&folded(value)) {
                Some((owner, first)) if owner.line != customer.line => {
                    let (a, b) = (&owner.item.id, &customer.item.id);
                    notes.fault(
                        *line,
                        format!(
                            "\"{value}\" is a name of customer \"{b}\" and, on line {first}, of customer \"{a}\"; \
                             a ticket could not tell them apart, so leave it to one of them"
                        ),
                    );
                }
                Some(_) => {}
                None => {
                    owners.insert(folded(value), (customer, *line));
                }
            }
        }
    }
}

/// The id that every entry of a list needs.
pub(super) fn required_id<T>(section: &Section<'_>, notes: &mut Notes) -> Option<T>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    if !section.has("id") {
        notes.fault(section.line, format!("{} has no `id`; {ID_REMEDY}", section.name));
    }
    section.id("id", notes).map(|id| id.value)
}
