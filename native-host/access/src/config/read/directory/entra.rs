//! An Entra ID tenant: how the broker signs in, how accounts are named, how people sign in to them.

use ticketgate_protocol::ids::DirectoryId;

use super::super::psa::fault_of;
use super::super::tree::{At, Notes, Section, TEXT_MAX};
use super::{DN_MAX, account_name, is_absolute, is_host, secret};
use crate::config::{Cloud, Entra, Proof, SecretRef, SignIn};
use crate::entra::ObjectId;

/// What stands in its section besides what every directory has.
pub(super) const KEYS: [&str; 17] = [
    "tenant",
    "client_id",
    "sign_in",
    "partner",
    "certificate",
    "key",
    "secret",
    "account_domain",
    "account_name",
    "login",
    "pass",
    "pim",
    "cloud",
    "login_url",
    "graph_url",
    "ca_file",
    "timeout",
];

const ACCOUNT_NAME: &str = "jit-{technician}";
const TIMEOUT_S: u32 = 10;
/// What stands for an id that is a fault already; it never leaves the reader.
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// `directory` is the section's own id.
pub(super) fn read(section: &Section<'_>, directory: &DirectoryId, notes: &mut Notes) -> Option<Entra> {
    let tenant = id(section, "tenant", "write the tenant's id, not a domain of it", notes);
    let client_id =
        id(section, "client_id", "write the Application (client) ID of the app registration", notes);
    let cloud = word(
        section,
        "cloud",
        &[
            ("global", Cloud::Global),
            ("us_gov", Cloud::UsGov),
            ("us_dod", Cloud::UsDod),
            ("china", Cloud::China),
        ],
        notes,
    );
    let once = word(section, "pass", &[("once", true), ("many", false)], notes);
    let sign_in =
        word(section, "login", &[("password", SignIn::Password), ("pass", SignIn::Pass { once })], notes);
    if section.has("pass") && sign_in == SignIn::Password {
        notes.fault(
            section.line_of("pass", notes),
            format!("`pass` of {} needs login = \"pass\"", section.name),
        );
    }
    let ca_file = section.text("ca_file", DN_MAX, notes);
    if let Some(At { line, value }) = &ca_file
        && !is_absolute(value)
    {
        notes.fault(*line, format!("`ca_file` of {} must be the whole path of a file", section.name));
    }
    let account_name = account_name(section, notes).unwrap_or_else(|| ACCOUNT_NAME.into());
    if account_name.starts_with('{') {
        let fault = "begins with {technician}, so that JIT accounts cannot be told from others by their names; write \"adm-{technician}\"";
        notes.fault(
            section.line_of("account_name", notes),
            format!("`account_name` of {} {fault}", section.name),
        );
    }
    let tenant = tenant?;
    let proof = if word(section, "sign_in", &[("app", false), ("technician", true)], notes) {
        Proof::Technician {
            home: home(section, notes).unwrap_or_else(|| tenant.clone()),
            directory: directory.clone(),
        }
    } else {
        if section.has("partner") {
            notes.fault(
                section.line_of("partner", notes),
                format!("`partner` of {} needs sign_in = \"technician\"", section.name),
            );
        }
        proof(section, notes)
    };
    Some(Entra {
        tenant,
        client_id: client_id?,
        proof,
        account_domain: account_domain(section, notes),
        account_name,
        sign_in,
        pim_only: word(section, "pim", &[("when_there", false), ("always", true)], notes),
        cloud,
        login_url: url(section, "login_url", notes).unwrap_or_else(|| cloud.login_url().into()),
        graph_url: url(section, "graph_url", notes).unwrap_or_else(|| format!("{}/v1.0", cloud.graph_host())),
        ca_file: ca_file.map(|file| file.value),
        timeout_s: section.duration("timeout", 1, 60, notes).map_or(TIMEOUT_S, |timeout| timeout.value),
    })
}

/// Always some: a fault has a stand-in.
fn id(section: &Section<'_>, key: &str, remedy: &str, notes: &mut Notes) -> Option<ObjectId> {
    let found = section.required_text(key, TEXT_MAX, remedy, notes);
    let parsed = found.as_ref().and_then(|found| found.value.parse().ok());
    if let (Some(At { line, .. }), None) = (&found, &parsed) {
        notes.fault(*line, format!("`{key}` of {} is no id of Entra ID; {remedy}", section.name));
    }
    parsed.or_else(|| NO_ID.parse().ok())
}

/// One of some words; the first where none stands there.
fn word<T: Copy, const N: usize>(
    section: &Section<'_>,
    key: &str,
    words: &[(&str, T); N],
    notes: &mut Notes,
) -> T {
    const { assert!(N > 0) };
    let (_, first) = words[0];
    let Some(At { line, value }) = section.text(key, TEXT_MAX, notes) else { return first };
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == value) {
        return *found;
    }
    let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    notes.fault(line, format!("`{key}` of {} must be {}", section.name, known.join(" or ")));
    first
}

/// The partner's tenant, where people come from there; people of either have nothing to sign in with but themselves.
fn home(section: &Section<'_>, notes: &mut Notes) -> Option<ObjectId> {
    for key in ["certificate", "key", "secret"].into_iter().filter(|key| section.has(key)) {
        notes.fault(
            section.line_of(key, notes),
            format!("{} has sign_in = \"technician\" and `{key}`; leave out one of them", section.name),
        );
    }
    section
        .has("partner")
        .then(|| id(section, "partner", "write the id of the partner's tenant", notes))
        .flatten()
}

fn proof(section: &Section<'_>, notes: &mut Notes) -> Proof {
    let remedy = "write `certificate` and `key`, or `secret` instead of both, or sign_in = \"technician\"";
    let nowhere = || SecretRef::Env(String::new());
    if section.has("secret") {
        for key in ["certificate", "key"].into_iter().filter(|key| section.has(key)) {
            notes.fault(
                section.line_of(key, notes),
                format!("{} has `secret` and `{key}`; {remedy}", section.name),
            );
        }
        return Proof::Secret(secret(section, "secret", notes).unwrap_or_else(nowhere));
    }
    if !section.has("certificate") && !section.has("key") {
        notes.fault(section.line, format!("{} has nothing to sign in with; {remedy}", section.name));
        return Proof::Secret(nowhere());
    }
    let path = "name the file of the certificate (PEM) by its whole path";
    let certificate = section.required_text("certificate", DN_MAX, path, notes);
    if let Some(At { line, value }) = &certificate
        && !is_absolute(value)
    {
        notes.fault(*line, format!("`certificate` of {} cannot be used; {path}", section.name));
    }
    Proof::Certificate {
        certificate: certificate.map(|found| found.value).unwrap_or_default(),
        key: secret(section, "key", notes).unwrap_or_else(nowhere),
    }
}

fn account_domain(section: &Section<'_>, notes: &mut Notes) -> String {
    let remedy = "write a verified domain of the tenant, such as \"acme.onmicrosoft.com\"";
    let found = section.required_text("account_domain", TEXT_MAX, remedy, notes);
    if let Some(At { line, value }) = &found
        && !(is_host(value) && value.contains('.'))
    {
        notes.fault(*line, format!("`account_domain` of {} is no domain; {remedy}", section.name));
    }
    found.map(|found| found.value.to_lowercase()).unwrap_or_default()
}

fn url(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<String> {
    let At { line, value } = section.text(key, DN_MAX, notes)?;
    match fault_of(&value) {
        None => Some(value.trim_end_matches('/').to_owned()),
        Some(fault) => {
            notes.fault(line, format!("`{key}` of {} {fault}; leave it out, `cloud` says it", section.name));
            None
        }
    }
}

/// Why a name cannot be an account's in a tenant (Graph: `userPrincipalName`).
pub(in crate::config::read) fn account_name_fault(name: &str) -> Option<&'static str> {
    let Some((local, domain)) = name.split_once('@') else {
        return Some("has no @ and domain, as a user principal name has");
    };
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'\'' | b'.' | b'-' | b'_' | b'!' | b'#' | b'^' | b'~')
    };
    let sound = (1..=64).contains(&local.len())
        && local.bytes().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && is_host(domain)
        && domain.contains('.')
        && domain.len() <= 48;
    (!sound).then_some("is no user principal name: up to 64 letters, digits and . - _ before the @, and a domain of at most 48 after it")
}
