//! `[sign_in]` and `[[role]]`: how people sign in from elsewhere, and what they may do.

use std::collections::BTreeMap;

use ticketgate_protocol::ids::{CustomerId, TechnicianId};

use super::directory;
use super::psa;
use super::tree::{At, Notes, Section, TEXT_MAX, likely, list};
use crate::config::{Role, RoleRule, SignInProvider};

/// The longest address.
const URL_MAX: usize = 500;

/// Seconds that a sign-in's token lasts where nothing else is said.
const LASTS_S: u32 = 3600;

/// Claims that people, or whoever administrates somebody else's tenant, can change: by them anybody can become somebody else.
const CHANGEABLE: [&str; 5] = ["email", "upn", "preferred_username", "unique_name", "name"];

/// `[sign_in]` as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) item: SignInProvider,
}

/// A `[[role]]` as far as it could be read.
#[derive(Debug)]
pub(super) struct RoleDraft {
    pub(super) groups: Vec<At<String>>,
    pub(super) technicians: Vec<At<TechnicianId>>,
    pub(super) customers: Vec<At<CustomerId>>,
    pub(super) item: RoleRule,
}

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Option<Draft> {
    let section = file.table("sign_in", notes)?;
    section.only(
        &[
            "issuer",
            "client_id",
            "client_secret",
            "ca_file",
            "claim",
            "groups_claim",
            "groups",
            "scopes",
            "lasts",
            "addresses",
        ],
        notes,
    );
    let issuer = issuer(&section, notes);
    let remedy = "write what the provider calls the application, such as client_id = \"ticketgate\"";
    let client_id = section.required_text("client_id", TEXT_MAX, remedy, notes);
    let client_secret =
        section.has("client_secret").then(|| directory::secret(&section, "client_secret", notes)).flatten();
    let claim = claim(&section, notes);
    let item = SignInProvider {
        client_secret,
        ca_file: directory::active_directory::ca_file(&section, notes),
        groups_claim: section
            .text("groups_claim", TEXT_MAX, notes)
            .map_or_else(|| "groups".into(), |claim| claim.value),
        groups: groups(&section, notes),
        scopes: scopes(&section, notes),
        lasts_s: section.duration("lasts", 300, 86_400, notes).map_or(LASTS_S, |lasts| lasts.value),
        addresses: addresses(&section, notes),
        claim,
        issuer: issuer?,
        client_id: client_id?.value,
    };
    Some(Draft { item })
}

fn issuer(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let remedy = "write the provider's issuer exactly as its discovery document has it";
    let At { line, value } = section.required_text("issuer", URL_MAX, remedy, notes)?;
    if let Some(fault) = psa::fault_of(&value) {
        notes.fault(line, format!("`issuer` of {} {fault}; {remedy}", section.name));
        return None;
    }
    if ["/common/", "/organizations/", "/consumers/"].iter().any(|shared| value.contains(shared)) {
        notes.fault(
            line,
            "`issuer` of [sign_in] is one that anybody's accounts come from; name your own tenant's, with its id in the address",
        );
    }
    Some(value)
}

fn claim(section: &Section<'_>, notes: &mut Notes) -> String {
    let Some(At { line, value }) = section.text("claim", TEXT_MAX, notes) else { return "sub".into() };
    if CHANGEABLE.contains(&value.as_str()) {
        notes.warn(
            line,
            format!(
                "`claim` of [sign_in] is \"{value}\", which can be changed, and given to somebody else later; \"sub\", or \"oid\" at \
                 Entra ID, names a person for good"
            ),
        );
    }
    value
}

fn groups(section: &Section<'_>, notes: &mut Notes) -> BTreeMap<String, String> {
    let Some(table) = section.table("groups", notes) else { return BTreeMap::new() };
    table.entries(TEXT_MAX, notes).into_iter().map(|(theirs, ours)| (theirs.value, ours)).collect()
}

fn scopes(section: &Section<'_>, notes: &mut Notes) -> Vec<String> {
    let found = section.texts("scopes", TEXT_MAX, notes).unwrap_or_default();
    for At { line, value } in &found {
        // RFC 6749 §3.3.
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if !value.bytes().all(plain) {
            notes.fault(
                *line,
                "an entry of `scopes` of [sign_in] is no scope; write each as a text of its own",
            );
        }
    }
    found.into_iter().map(|scope| scope.value).collect()
}

fn addresses(section: &Section<'_>, notes: &mut Notes) -> Vec<String> {
    let mut found = Vec::new();
    for At { line, value } in section.texts("addresses", URL_MAX, notes).unwrap_or_default() {
        let value = value.trim_end_matches('/').to_lowercase();
        let plain = value.strip_prefix("https://").is_some_and(|rest| !rest.contains('/'));
        if !plain || psa::fault_of(&value).is_some() {
            notes.fault(
                line,
                "an entry of `addresses` of [sign_in] must be https://, host and port, such as \"https://broker.example.com:8443\"",
            );
            continue;
        }
        // The port that a client leaves out.
        found.push(value.strip_suffix(":443").unwrap_or(&value).to_owned());
    }
    found
}

pub(super) fn roles(file: &Section<'_>, notes: &mut Notes) -> Vec<RoleDraft> {
    let sections = file.tables("role", notes);
    sections.iter().filter_map(|section| role(section, notes)).collect()
}

fn role(section: &Section<'_>, notes: &mut Notes) -> Option<RoleDraft> {
    section.only(&["role", "groups", "technicians", "customers"], notes);
    let role = word(section, notes);
    let groups = section.texts("groups", TEXT_MAX, notes).unwrap_or_default();
    let technicians: Vec<At<TechnicianId>> = section.ids("technicians", notes).unwrap_or_default();
    let customers: Option<Vec<At<CustomerId>>> = section.ids("customers", notes);
    if !section.has("groups") && !section.has("technicians") {
        notes.fault(
            section.line,
            "[[role]] says nobody's name; write who has it: groups = [\"…\"] or technicians = [\"…\"]",
        );
    }
    if customers.as_ref().is_some_and(Vec::is_empty) {
        notes.fault(
            section.line_of("customers", notes),
            "`customers` of [[role]] is empty; name some, or leave it out where the role is for all of them",
        );
    }
    let named = customers.as_ref().map(|all| all.iter().map(|customer| customer.value.clone()).collect());
    Some(RoleDraft {
        item: RoleRule {
            role: role?,
            groups: groups.iter().map(|group| group.value.clone()).collect(),
            technicians: technicians.iter().map(|technician| technician.value.clone()).collect(),
            customers: named,
        },
        groups,
        technicians,
        customers: customers.unwrap_or_default(),
    })
}

fn word(section: &Section<'_>, notes: &mut Notes) -> Option<Role> {
    let all = list(Role::ALL.iter().map(|role| format!("\"{}\"", role.word())));
    let remedy = format!("write one of {all}");
    let At { line, value } = section.required_text("role", TEXT_MAX, &remedy, notes)?;
    let found = Role::ALL.into_iter().find(|role| role.word() == value);
    if found.is_none() {
        let hint = match likely(&value, Role::ALL.iter().map(|role| role.word())) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => remedy,
        };
        notes.fault(line, format!("`role` of [[role]] is none that exists; {hint}"));
    }
    found
}
