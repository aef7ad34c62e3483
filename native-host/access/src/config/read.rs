//! Reads a configuration file (TOML) and checks it whole: every fault is found at once, each with its line.
//! What a section's keys mean is said by its own file; here the sections are put together and their references checked.

mod broker;
mod directory;
mod dn;
mod duration;
mod people;
mod policy;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::de::DeTable;

use self::tree::{At, Notes, Section, likely};
use super::{Config, DirectoryKind};

/// One fault in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line from 1; 0 when the fault is not at one place.
    pub line: usize,
    /// What is wrong and how to mend it, one sentence.
    pub text: String,
}

/// All faults of a configuration file, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}line {}: {}", fault.line, fault.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Reads and checks a whole configuration.
///
/// # Errors
/// [`Faults`]: every fault that was found.
pub fn read(text: &str) -> Result<Config, Faults> {
    let mut notes = Notes::new(text);
    let parsed = match DeTable::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().map_or(0, |span| notes.line_of(span.start));
            // The parser's own message may repeat what stands there; a secret may stand there.
            notes.fault(line, "this is not TOML; look for a missing quote, bracket or equals sign");
            return Err(Faults(notes.faults));
        }
    };
    let file = Section::whole_file(parsed.get_ref());
    file.only(&["broker", "technician", "customer", "directory", "policy"], &mut notes);
    let broker = broker::read(&file, &mut notes);
    let technicians = people::technicians(&file, &mut notes);
    let customers = people::customers(&file, &mut notes);
    let directories = directory::read(&file, &mut notes);
    let policies = policy::read(&file, &mut notes);

    unique("technician", technicians.iter().map(|t| (t.item.id.as_str(), t.line)), &mut notes);
    unique("customer", customers.iter().map(|c| (c.item.id.as_str(), c.line)), &mut notes);
    unique("directory", directories.iter().map(|d| (d.item.id.as_str(), d.line)), &mut notes);
    unique("policy", policies.iter().map(|p| (p.item.id.as_str(), p.line)), &mut notes);
    logins(&technicians, &mut notes);
    references(&broker, &technicians, &customers, &directories, &policies, &mut notes);
    account_names(&technicians, &directories, &policies, &mut notes);
    rights_in_domain(&directories, &policies, &mut notes);
    policy_names(&directories, &policies, &mut notes);

    notes.faults.sort_by_key(|fault| fault.line);
    notes.warnings.sort_by_key(|warning| warning.line);
    if !notes.faults.is_empty() {
        return Err(Faults(notes.faults));
    }
    Ok(Config {
        broker: broker.item,
        technicians: technicians.into_iter().map(|t| (t.item.id.clone(), t.item)).collect(),
        customers: customers.into_iter().map(|c| (c.item.id.clone(), c.item)).collect(),
        directories: directories.into_iter().map(|d| (d.item.id.clone(), d.item)).collect(),
        policies: policies.into_iter().map(|p| (p.item.id.clone(), p.item)).collect(),
        hosts: broker.hosts,
        warnings: notes.warnings,
    })
}

fn unique<'a>(kind: &str, ids: impl Iterator<Item = (&'a str, usize)>, notes: &mut Notes) {
    let mut seen = BTreeMap::new();
    for (id, line) in ids {
        match seen.get(id) {
            Some(first) => notes.fault(
                line,
                format!("{kind} \"{id}\" stands on line {first} already; give one of them another id"),
            ),
            None => drop(seen.insert(id, line)),
        }
    }
}

/// The socket knows people by their login: two of one login could not be told apart.
fn logins(technicians: &[people::TechnicianDraft], notes: &mut Notes) {
    let mut seen: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for technician in technicians {
        let (login, id) = (technician.item.login.as_str(), technician.item.id.as_str());
        match seen.get(login) {
            Some((other, line)) => notes.fault(
                technician.login_line,
                format!("technician \"{id}\" has the login of technician \"{other}\" on line {line}; a login belongs to one person"),
            ),
            None => drop(seen.insert(login, (id, technician.login_line))),
        }
    }
}

/// Everything that one section says about another has to be there.
fn references(
    broker: &broker::Draft,
    technicians: &[people::TechnicianDraft],
    customers: &[people::CustomerDraft],
    directories: &[directory::Draft],
    policies: &[policy::Draft],
    notes: &mut Notes,
) {
    let technician_ids: BTreeSet<&str> = technicians.iter().map(|t| t.item.id.as_str()).collect();
    let customer_ids: BTreeSet<&str> = customers.iter().map(|c| c.item.id.as_str()).collect();
    let directory_ids: BTreeSet<&str> = directories.iter().map(|d| d.item.id.as_str()).collect();
    let groups: BTreeSet<&str> =
        technicians.iter().flat_map(|t| &t.item.groups).map(String::as_str).collect();
    for At { line, value } in &broker.administrators {
        known(
            &technician_ids,
            value.as_str(),
            *line,
            "`administrators` of [broker] names the technician",
            notes,
        );
    }
    for technician in technicians {
        for (At { line, value }, _) in &technician.accounts {
            let owner = format!("`accounts` of technician \"{}\" names the directory", technician.item.id);
            known(&directory_ids, value.as_str(), *line, &owner, notes);
        }
    }
    for directory in directories {
        if let Some(At { line, value }) = &directory.customer {
            let owner = format!("directory \"{}\" belongs to the customer", directory.item.id);
            known(&customer_ids, value.as_str(), *line, &owner, notes);
        }
    }
    for policy in policies {
        let id = &policy.item.id;
        if let Some(At { line, value }) = &policy.directory {
            known(
                &directory_ids,
                value.as_str(),
                *line,
                &format!("policy \"{id}\" names the directory"),
                notes,
            );
        }
        for At { line, value } in &policy.technicians {
            known(
                &technician_ids,
                value.as_str(),
                *line,
                &format!("policy \"{id}\" names the technician"),
                notes,
            );
        }
        for At { line, value } in policy.groups.iter().chain(&policy.approvers) {
            if !groups.contains(value.as_str()) {
                notes.warn(
                    *line,
                    format!(
                        "policy \"{id}\" names the group \"{value}\", which no technician is in{}",
                        hint(value, &groups)
                    ),
                );
            }
        }
    }
}

fn known(ids: &BTreeSet<&str>, id: &str, line: usize, what: &str, notes: &mut Notes) {
    if !ids.contains(id) {
        notes.fault(line, format!("{what} \"{id}\", which is not there{}", hint(id, ids)));
    }
}

fn hint(written: &str, known: &BTreeSet<&str>) -> String {
    likely(written, known.iter().copied())
        .map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"))
}

/// Every name that a technician's JIT account could get has to be one that the directory takes.
fn account_names(
    technicians: &[people::TechnicianDraft],
    directories: &[directory::Draft],
    policies: &[policy::Draft],
    notes: &mut Notes,
) {
    for directory in directories {
        let DirectoryKind::ActiveDirectory(domain) = &directory.item.kind;
        let used = |t: &&people::TechnicianDraft| {
            policies.iter().any(|p| {
                p.item.directory == directory.item.id
                    && p.item.mode == ticketgate_protocol::api::Mode::Dedicated
                    && (p.item.eligible.technicians.contains(&t.item.id)
                        || !p.item.eligible.groups.is_disjoint(&t.item.groups))
            })
        };
        for technician in technicians.iter().filter(used) {
            let name = domain.account_name.replace("{technician}", technician.item.id.as_str());
            if let Some(fault) = directory::account_name_fault(&name) {
                notes.fault(
                    directory.name_line,
                    format!("the JIT account of technician \"{}\" in directory \"{}\" would be \"{name}\", which {fault}; choose another `account_name`", technician.item.id, directory.item.id),
                );
            }
        }
    }
}

/// A group of another domain than the unit's is probably a slip of the pen; nested forests make it no more than that.
fn rights_in_domain(directories: &[directory::Draft], policies: &[policy::Draft], notes: &mut Notes) {
    for policy in policies {
        let unit =
            directories.iter().find(|d| d.item.id == policy.item.directory).and_then(|d| d.unit.as_ref());
        let Some(unit) = unit else { continue };
        for At { line, value } in &policy.rights {
            if value.domain() != unit.domain() {
                notes.warn(*line, format!("an entry of `rights` of policy \"{}\" is in another domain than the directory's `account_unit`", policy.item.id));
            }
        }
    }
}

/// The popup shows names: two policies of one name at one customer could not be told apart.
fn policy_names(directories: &[directory::Draft], policies: &[policy::Draft], notes: &mut Notes) {
    let mut seen: BTreeMap<(String, String), (&policy::Draft, usize)> = BTreeMap::new();
    for policy in policies {
        let Some(directory) = directories.iter().find(|d| d.item.id == policy.item.directory) else {
            continue;
        };
        let key = (directory.item.customer.to_string(), super::folded(&policy.item.name));
        match seen.get(&key) {
            Some((other, line)) => notes.fault(
                policy.name_line,
                format!("policy \"{}\" has the name of policy \"{}\" on line {line} at the same customer; name them apart", policy.item.id, other.item.id),
            ),
            None => drop(seen.insert(key, (policy, policy.name_line))),
        }
    }
}
