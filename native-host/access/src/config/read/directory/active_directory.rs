//! An Active Directory domain: its servers, its service account, its unit.

use super::super::dn;
use super::super::tree::{At, Notes, Section, TEXT_MAX};
use super::{DN_MAX, account_name, is_absolute, is_host, secret};
use crate::config::{ActiveDirectory, SecretRef};

/// What stands in its section besides what every directory has.
pub(super) const KEYS: [&str; 7] =
    ["servers", "bind_dn", "password", "ca_file", "account_unit", "account_name", "timeout"];

const ACCOUNT_NAME: &str = "jit-{technician}";
const TIMEOUT_S: u32 = 5;

/// Reads one, with the DN of its unit where that could be read.
pub(super) fn read(section: &Section<'_>, notes: &mut Notes) -> (Option<dn::Dn>, ActiveDirectory) {
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

pub(in crate::config::read) fn ca_file(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
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

/// Why a name cannot be a `sAMAccountName` of a person ([MS-ADTS] 3.1.1.6; the 20 characters are those of SAM).
pub(in crate::config::read) fn account_name_fault(name: &str) -> Option<&'static str> {
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
