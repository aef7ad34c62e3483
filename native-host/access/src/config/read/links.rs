//! What holds between the sections: ids are used once, what is named exists, names and accounts do not clash.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::directory::{active_directory, entra, local};
use super::tree::{At, Notes, likely};
use super::{broker, directory, grant, people, policy, psa, rights, sign_in};
use crate::config::{DirectoryKind, Eligible, LedgerPlace, Machine, Service, Technician, folded};
use ticketgate_protocol::api::Mode;

/// Everything that was read, section by section.
#[derive(Debug)]
pub(super) struct Drafts {
    pub(super) service: Service,
    pub(super) broker: broker::Draft,
    pub(super) sign_in: Option<sign_in::Draft>,
    pub(super) roles: Vec<sign_in::RoleDraft>,
    pub(super) psas: Vec<psa::Draft>,
    pub(super) technicians: Vec<people::TechnicianDraft>,
    pub(super) customers: Vec<people::CustomerDraft>,
    pub(super) directories: Vec<directory::Draft>,
    pub(super) policies: Vec<policy::Draft>,
    pub(super) ledger: Option<LedgerPlace>,
}

/// Notes every fault between sections.
pub(super) fn check(drafts: &Drafts, notes: &mut Notes) {
    let technicians = once("technician", drafts.technicians.iter().map(|t| (t.line, &t.item.id)), notes);
    let customers = once("customer", drafts.customers.iter().map(|c| (c.line, &c.item.id)), notes);
    let directories = once("directory", drafts.directories.iter().map(|d| (d.line, &d.item.id)), notes);
    once("policy", drafts.policies.iter().map(|p| (p.line, &p.item.id)), notes);

    let psas = once("psa", drafts.psas.iter().map(|p| (p.line, &p.item.id)), notes);

    for named in &drafts.broker.administrators {
        exists(named, "`administrators` of [broker]", "technician", &technicians, notes);
    }
    for technician in &drafts.technicians {
        for (named, _) in &technician.accounts {
            let owner = format!("`accounts` of technician \"{}\"", technician.item.id);
            exists(named, &owner, "directory", &directories, notes);
        }
        for (named, _) in &technician.psa {
            exists(named, &format!("`psa` of technician \"{}\"", technician.item.id), "psa", &psas, notes);
        }
    }
    for customer in &drafts.customers {
        for (named, _) in &customer.psa {
            exists(named, &format!("`psa` of customer \"{}\"", customer.item.id), "psa", &psas, notes);
        }
    }
    companies_are_of_one_customer(&drafts.customers, notes);
    pages_are_of_one_psa(&drafts.psas, notes);
    for directory in &drafts.directories {
        if let Some(named) = &directory.customer {
            exists(named, &format!("directory \"{}\"", directory.item.id), "customer", &customers, notes);
        }
    }
    for policy in &drafts.policies {
        let owner = format!("policy \"{}\"", policy.item.id);
        for named in policy.granted.iter().filter_map(|grant| grant.directory.as_ref()) {
            exists(named, &owner, "directory", &directories, notes);
        }
        for named in &policy.technicians {
            exists(named, &format!("`eligible` of {owner}"), "technician", &technicians, notes);
        }
        groups_have_members(policy, drafts, notes);
        if let Some(line) = policy.asks_psa
            && drafts.psas.is_empty()
        {
            notes.fault(
                line,
                format!("{owner} asks for a verified ticket, and the file has no [[psa]] to ask; add one"),
            );
        }
    }
    for role in &drafts.roles {
        let owner = format!("the [[role]] \"{}\"", role.item.role.word());
        for named in &role.technicians {
            exists(named, &owner, "technician", &technicians, notes);
        }
        for named in &role.customers {
            exists(named, &owner, "customer", &customers, notes);
        }
        for group in &role.groups {
            has_members(&owner, group, drafts, notes);
        }
    }
    sign_ins_are_of_one_technician(drafts, notes);
    logins_are_of_one_technician(&drafts.technicians, notes);
    policy_names_are_told_apart(drafts, notes);
    account_names_fit(drafts, notes);
    own_accounts_are_of_one_technician(drafts, notes);
    accounts_are_of_one_directory(&drafts.directories, notes);
    grant::fit(drafts, notes);
    rights::fit(drafts, notes);
}

/// A ticket of a company has to be one customer's.
fn companies_are_of_one_customer(customers: &[people::CustomerDraft], notes: &mut Notes) {
    let mut owners: BTreeMap<(String, String), &people::CustomerDraft> = BTreeMap::new();
    for customer in customers {
        for (psa, companies) in &customer.psa {
            for company in companies {
                let owner = owners.entry((psa.value.to_string(), folded(company))).or_insert(customer);
                if owner.line != customer.line {
                    notes.fault(
                        psa.line,
                        format!(
                            "company \"{company}\" of psa \"{}\" is named by customer \"{}\" and by customer \"{}\"; leave it to one of them",
                            psa.value, owner.item.id, customer.item.id
                        ),
                    );
                }
            }
        }
    }
    let mut domains: BTreeMap<&str, &people::CustomerDraft> = BTreeMap::new();
    for customer in customers {
        for At { line, value } in &customer.domains {
            let owner = domains.entry(value).or_insert(customer);
            if owner.line != customer.line {
                notes.fault(
                    *line,
                    format!(
                        "the domain {value} is named by customer \"{}\" and by customer \"{}\"; leave it to one of them",
                        owner.item.id, customer.item.id
                    ),
                );
            }
        }
    }
}

/// A page's host tells which ticket system to ask.
fn pages_are_of_one_psa(psas: &[psa::Draft], notes: &mut Notes) {
    let mut owners: BTreeMap<(&str, &str), &psa::Draft> = BTreeMap::new();
    for psa in psas {
        for page in &psa.item.pages {
            let owner = owners.entry((psa.item.kind.word(), page)).or_insert(psa);
            if owner.line != psa.line {
                notes.fault(
                    psa.line,
                    format!(
                        "psa \"{}\" and psa \"{}\" are both for tickets at {page}; leave it to one of them",
                        owner.item.id, psa.item.id
                    ),
                );
            }
        }
    }
}

/// Notes ids that come twice and answers where each stands first.
fn once<'d, I: Ord + Display + 'd>(
    kind: &str,
    found: impl Iterator<Item = (usize, &'d I)>,
    notes: &mut Notes,
) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for (line, id) in found {
        let first = *lines.entry(id.to_string()).or_insert(line);
        if first != line {
            notes.fault(
                line,
                format!("{kind} \"{id}\" is there already, on line {first}; give this one another id"),
            );
        }
    }
    lines
}

fn exists<I: Display>(
    named: &At<I>,
    owner: &str,
    kind: &str,
    known: &BTreeMap<String, usize>,
    notes: &mut Notes,
) {
    let id = named.value.to_string();
    if known.contains_key(&id) {
        return;
    }
    let remedy = match likely(&id, known.keys().map(String::as_str)) {
        Some(meant) => {
            format!("did you mean \"{meant}\" on line {}?", known.get(meant).copied().unwrap_or_default())
        }
        None => format!("add a [[{kind}]] with this id, or name another"),
    };
    notes.fault(named.line, format!("{owner} names {kind} \"{id}\", which does not exist; {remedy}"));
}

/// An empty group is no contradiction, but more often it is a slip of the pen.
fn groups_have_members(policy: &policy::Draft, drafts: &Drafts, notes: &mut Notes) {
    let owner = format!("policy \"{}\"", policy.item.id);
    for group in policy.groups.iter().chain(&policy.approvers) {
        has_members(&owner, group, drafts, notes);
    }
}

fn has_members(owner: &str, At { line, value }: &At<String>, drafts: &Drafts, notes: &mut Notes) {
    let of_provider = || drafts.sign_in.iter().flat_map(|sign_in| sign_in.item.groups.values());
    let of_people = || drafts.technicians.iter().flat_map(|t| t.item.groups.iter());
    let groups = || of_people().chain(of_provider()).map(String::as_str);
    if groups().any(|group| group == value) {
        return;
    }
    let remedy = match likely(value, groups()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "add it to the `groups` of a technician".into(),
    };
    notes.warn(*line, format!("{owner} names group \"{value}\", in which nobody is; {remedy}"));
}

/// What the provider says of a person has to be one technician's.
fn sign_ins_are_of_one_technician(drafts: &Drafts, notes: &mut Notes) {
    let mut owners: BTreeMap<&str, &people::TechnicianDraft> = BTreeMap::new();
    for technician in &drafts.technicians {
        let Some(value) = technician.item.sign_in.as_deref() else { continue };
        if drafts.sign_in.is_none() {
            notes.warn(
                technician.sign_in_line,
                format!(
                    "technician \"{}\" has a `sign_in`, and the file has no [sign_in] that says at which provider",
                    technician.item.id
                ),
            );
        }
        let owner = owners.entry(value).or_insert(technician);
        if owner.item.id != technician.item.id {
            notes.fault(
                technician.sign_in_line,
                format!(
                    "technicians \"{}\" (line {}) and \"{}\" both have sign_in = \"{value}\"; give each their own",
                    owner.item.id, owner.sign_in_line, technician.item.id
                ),
            );
        }
    }
}

fn logins_are_of_one_technician(technicians: &[people::TechnicianDraft], notes: &mut Notes) {
    let mut owners: BTreeMap<&str, &people::TechnicianDraft> = BTreeMap::new();
    for technician in technicians {
        let login = technician.item.login.as_str();
        let Some(owner) = owners.get(login) else {
            owners.insert(login, technician);
            continue;
        };
        // One id twice is a fault of its own, and its login follows from it.
        if owner.item.id != technician.item.id {
            notes.fault(
                technician.login_line,
                format!(
                    "technicians \"{}\" (line {}) and \"{}\" both have login \"{login}\"; the broker could not tell them apart, \
                     so give each their own `login`",
                    owner.item.id, owner.login_line, technician.item.id
                ),
            );
        }
    }
}

/// People choose a policy by customer and name.
fn policy_names_are_told_apart(drafts: &Drafts, notes: &mut Notes) {
    let mut seen: BTreeMap<(String, String), &policy::Draft> = BTreeMap::new();
    for policy in &drafts.policies {
        let first = policy.item.grants.first().and_then(|grant| grant::directory_of(drafts, grant));
        let Some(directory) = first else { continue };
        let key = (directory.item.customer.to_string(), folded(&policy.item.name));
        let Some(first) = seen.get(&key) else {
            seen.insert(key, policy);
            continue;
        };
        if first.item.id != policy.item.id {
            notes.fault(
                policy.name_line,
                format!(
                    "customer \"{}\" has two policies with the name \"{}\", the other on line {}; give one of them another name",
                    directory.item.customer, policy.item.name, first.name_line
                ),
            );
        }
    }
}

/// The policies of a directory that use accounts in this way, each with everybody who may use it.
fn users<'d>(
    drafts: &'d Drafts,
    directory: &'d directory::Draft,
    mode: Mode,
) -> Vec<&'d people::TechnicianDraft> {
    let policies: Vec<_> = drafts
        .policies
        .iter()
        .filter(|p| p.item.grants.iter().any(|g| g.directory == directory.item.id && g.mode == mode))
        .collect();
    // Whoever signs in may be in any group that the provider's are mapped to.
    let signs_in = |technician: &Technician, eligible: &Eligible| {
        technician.sign_in.is_some()
            && drafts
                .sign_in
                .iter()
                .any(|s| s.item.groups.values().any(|group| eligible.groups.contains(group)))
    };
    let may = |technician: &Technician| {
        let admits = |eligible: &Eligible| eligible.admits(technician) || signs_in(technician, eligible);
        policies.iter().any(|p| admits(&p.item.eligible))
    };
    drafts.technicians.iter().filter(|t| may(&t.item)).collect()
}

fn account_names_fit(drafts: &Drafts, notes: &mut Notes) {
    for directory in &drafts.directories {
        let kind = &directory.item.kind;
        for technician in users(drafts, directory, Mode::Dedicated) {
            let name = kind.dedicated_account(&technician.item.id);
            if let Some(fault) = account_name_fault(kind, &name) {
                notes.fault(
                    directory.name_line,
                    format!(
                        "the JIT account of technician \"{}\" in directory \"{}\" would be named \"{name}\", which {fault}; \
                         change `account_name` or the technician's id (line {})",
                        technician.item.id, directory.item.id, technician.line
                    ),
                );
            }
        }
    }
}

/// Membership mode gives rights to a person's own account: two people with one account would end each other's sessions.
fn own_accounts_are_of_one_technician(drafts: &Drafts, notes: &mut Notes) {
    for directory in &drafts.directories {
        let kind = &directory.item.kind;
        let jit: Vec<String> = users(drafts, directory, Mode::Dedicated)
            .iter()
            .map(|t| kind.dedicated_account(&t.item.id).to_lowercase())
            .collect();
        let mut owners: BTreeMap<String, &people::TechnicianDraft> = BTreeMap::new();
        for technician in users(drafts, directory, Mode::Membership) {
            let id = &directory.item.id;
            let named = technician.accounts.iter().find(|(named, _)| named.value == *id);
            let line = named.map_or(technician.line, |(named, _)| named.line);
            let account = technician.item.own_account(id);
            let who = format!(
                "technician \"{}\" has account \"{account}\" in directory \"{id}\"",
                technician.item.id
            );
            let remedy = format!("name their own by accounts = {{ {id} = \"…\" }}");
            if let Some(fault) = account_name_fault(kind, account) {
                notes.fault(line, format!("{who}, which {fault}; {remedy}"));
            }
            if jit.contains(&account.to_lowercase()) {
                notes.fault(line, format!("{who}, which is the name of a JIT account; {remedy}"));
            }
            match owners.get(&account.to_lowercase()) {
                Some(owner) if owner.item.id != technician.item.id => {
                    let (other, first) = (&owner.item.id, owner.line);
                    notes.fault(
                        line,
                        format!("{who}, as technician \"{other}\" (line {first}) has; {remedy}"),
                    );
                }
                _ => {
                    owners.insert(account.to_lowercase(), technician);
                }
            }
        }
    }
}

/// Why a name cannot be an account's there.
fn account_name_fault(kind: &DirectoryKind, name: &str) -> Option<&'static str> {
    match kind {
        DirectoryKind::ActiveDirectory(_) => active_directory::account_name_fault(name),
        DirectoryKind::Local(machine) => local::account_name_fault(machine.system, name),
        DirectoryKind::Entra(_) => entra::account_name_fault(name),
    }
}

/// Two entries for one domain or machine would both claim one account and undo each other's work.
fn accounts_are_of_one_directory(directories: &[directory::Draft], notes: &mut Notes) {
    for (at, second) in directories.iter().enumerate() {
        for first in directories.iter().take(at) {
            if claim_the_same(&first.item.kind, &second.item.kind) && first.item.id != second.item.id {
                notes.fault(
                    second.name_line,
                    format!(
                        "directories \"{}\" (line {}) and \"{}\" share a server and would both claim the same JIT accounts; \
                         give one of them another `account_name`, or make them one directory",
                        first.item.id, first.line, second.item.id
                    ),
                );
            }
        }
    }
}

fn claim_the_same(a: &DirectoryKind, b: &DirectoryKind) -> bool {
    match (a, b) {
        (DirectoryKind::ActiveDirectory(a), DirectoryKind::ActiveDirectory(b)) => {
            a.servers.iter().any(|server| b.servers.contains(server))
                && a.account_name.eq_ignore_ascii_case(&b.account_name)
        }
        (DirectoryKind::Local(a), DirectoryKind::Local(b)) => {
            let one_machine = match (&a.machine, &b.machine) {
                (Machine::Here, Machine::Here) => true,
                (Machine::Ssh(a), Machine::Ssh(b)) => {
                    a.host.eq_ignore_ascii_case(&b.host) && a.port == b.port
                }
                _ => false,
            };
            one_machine && a.account_name == b.account_name
        }
        (DirectoryKind::Entra(a), DirectoryKind::Entra(b)) => {
            a.tenant == b.tenant
                && a.account_domain == b.account_domain
                && a.account_name.eq_ignore_ascii_case(&b.account_name)
        }
        _ => false,
    }
}
