//! `[[directory]]`: how a customer's directory is reached and used, and where its secret is kept.

use ticketgate_protocol::ids::CustomerId;

use super::tree::{At, Notes, Section, TEXT_MAX};
use super::{broker, dn, people};
use crate::config::{ActiveDirectory, Directory, DirectoryKind, SecretRef};

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

const ACCOUNT_NAME: &str = "jit-{technician}";
const TIMEOUT_S: u32 = 5;

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Vec<Draft> {
    let sections = file.tables("directory", notes);
    sections.iter().filter_map(|section| directory(section, notes)).collect()
}

fn directory(section: &Section<'_>, notes: &mut Notes) -> Option<Draft> {
    section.only(
        &[
            "id",
            "customer",
            "kind",
            "servers",
            "bind_dn",
            "password",
            "ca_file",
            "account_unit",
            "account_name",
            "timeout",
        ],
        notes,
    );
    if !section.has("customer") {
        notes.fault(
            section.line,
            format!("{} has no `customer`; name whose it is by the customer's id", section.name),
        );
    }
    let customer: Option<At<CustomerId>> = section.id("customer", notes);
    let kind = "write kind = \"active_directory\", the only kind in this release";
    if let Some(At { line, value }) = section.required_text("kind", TEXT_MAX, kind, notes)
        && value != "active_directory"
    {
        notes.fault(line, format!("`kind` of {} is not known; {kind}", section.name));
    }
    let (unit, settings) = active_directory(section, notes);
    let id = people::required_id(section, notes)?;
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
            kind: DirectoryKind::ActiveDirectory(settings),
        },
        customer,
    })
}

fn active_directory(section: &Section<'_>, notes: &mut Notes) -> (Option<dn::Dn>, ActiveDirectory) {
    let unit = section.required_text(
        "account_unit",
        DN_MAX,
        "name the unit for JIT accounts, such as \"OU=JIT,DC=acme,DC=example\"",
        notes,
    );
    let unit_dn = unit.as_ref().and_then(|At { line, value }| match dn::parse(value) {
        Ok(dn) => Some(dn),
        Err(fault) => {
            notes.fault(*line, format!("`account_unit` of {} {fault}", section.name));
            None
        }
    });
    let settings = ActiveDirectory {
        servers: servers(section, notes),
        bind_dn: bind_dn(section, notes),
        password: secret(section, "password", notes).unwrap_or(SecretRef::Env(String::new())),
        ca_file: ca_file(section, notes),
        account_unit: unit.map(|unit| unit.value).unwrap_or_default(),
        account_name: account_name(section, notes).unwrap_or_else(|| ACCOUNT_NAME.into()),
        timeout_s: section.duration("timeout", 1, 60, notes).map_or(TIMEOUT_S, |timeout| timeout.value),
    };
    (unit_dn, settings)
}

fn servers(section: &Section<'_>, notes: &mut Notes) -> Vec<String> {
    let remedy = "list at least one, such as [\"ldaps://dc1.acme.example\"]";
    if !section.has("servers") {
        notes.fault(section.line, format!("{} has no `servers`; {remedy}", section.name));
    }
    let before = notes.faults.len();
    let Some(found) = section.texts("servers", TEXT_MAX, notes) else { return Vec::new() };
    let line = section.line_of("servers", notes);
    if found.is_empty() && notes.faults.len() == before {
        notes.fault(line, format!("`servers` of {} is empty; {remedy}", section.name));
    }
    for At { line, value } in &found {
        if let Err(fault) = server(value) {
            notes.fault(*line, format!("an entry of `servers` of {} {fault}", section.name));
        }
    }
    found.into_iter().map(|server| server.value).collect()
}

/// Checks `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`. The error never repeats the address: it may hold a password.
fn server(address: &str) -> Result<(), &'static str> {
    let Some(rest) = address.strip_prefix("ldaps://").or_else(|| address.strip_prefix("ldap://")) else {
        return Err("must start with ldaps:// (or with ldap://, which is upgraded by StartTLS)");
    };
    if rest.contains('@') {
        return Err("holds a user or a password; leave it out and use `bind_dn` and `password`");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("holds a path; write scheme, host and port only");
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (address, tail) = rest.split_once(']').ok_or("has a bracket without its partner")?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("has something other than an IPv6 address in brackets");
            }
            (None, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').unwrap_or("none")) })
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(rest), None),
        },
    };
    if host.is_some_and(|host| !is_host(host)) {
        return Err(
            "has no proper host name; write it as the server's certificate has it, such as ldaps://dc1.acme.example",
        );
    }
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if port.is_some_and(|port| !digits(port) || !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err("has a port that is not a number from 1 to 65535");
    }
    Ok(())
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

fn bind_dn(section: &Section<'_>, notes: &mut Notes) -> String {
    let remedy = "name the service account by its DN or as name@domain";
    let Some(At { line, value }) = section.required_text("bind_dn", DN_MAX, remedy, notes) else {
        return String::new();
    };
    let is_principal = !value.contains('=')
        && value.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_host(domain));
    if !is_principal && let Err(fault) = dn::parse(&value) {
        notes.fault(line, format!("`bind_dn` of {} {fault}; {remedy}", section.name));
    }
    value
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
fn is_absolute(path: &str) -> bool {
    let drive = path.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && path.get(1..3).is_some_and(|rest| rest == ":\\" || rest == ":/");
    path.starts_with('/') || path.starts_with("\\\\") || drive
}

pub(super) fn ca_file(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let At { line, value } = section.text("ca_file", DN_MAX, notes)?;
    if !is_absolute(&value) {
        notes.fault(
            line,
            format!(
                "`ca_file` of {} must be the whole path of a file, such as \"/etc/ticketgate/acme-ca.pem\"",
                section.name
            ),
        );
    }
    Some(value)
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

/// Why a name cannot be a `sAMAccountName` of a person ([MS-ADTS] 3.1.1.6; the 20 characters are those of SAM).
pub(super) fn account_name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.chars().count() > 20 {
        Some("is longer than the 20 characters that Active Directory allows")
    } else if name.contains(['"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@'])
        || name.chars().any(ticketgate_protocol::text::is_forbidden)
    {
        Some("holds a character that Active Directory forbids (\"/\\[]:;|=,+*?<>@)")
    } else if name.ends_with('.') || name.starts_with(' ') || name.ends_with(' ') {
        Some("starts or ends with a space, or ends with a dot")
    } else {
        None
    }
}
