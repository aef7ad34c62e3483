//! `[service]`: HTTPS, monitoring and traces. Read with the whole file, and once alone when a broker starts.

use std::net::{IpAddr, SocketAddr};

use super::tree::{At, Notes, Section, TEXT_MAX};
use super::{Faults, directory, parsed, psa, sorted};
use crate::config::{Https, SecretRef, Service, Traces};

/// Connections at once where the file says nothing: about three for each of a thousand relays.
const CONNECTIONS: u32 = 4096;
/// The same from one address. An office's relays may share one.
const PER_ADDRESS: u32 = 256;

/// The keys that mean something together with `listen` only.
const OF_HTTPS: [&str; 5] = ["certificate", "key", "client_ca", "connections", "connections_per_address"];
/// The same of `traces`.
const OF_TRACES: [&str; 2] = ["traces_ca", "traces_header"];

/// The longest address of a collector.
const URL_MAX: usize = 500;

/// `[service]` alone. Faults elsewhere in the file do not matter to it: what is open has to stay within reach.
///
/// # Errors
/// [`Faults`] of the table itself, or of a file that is no TOML.
pub fn service(text: &str) -> Result<Service, Faults> {
    let mut notes = Notes::new(text);
    let tree = parsed(text, &mut notes)?;
    let service = read(&Section::whole_file(tree.get_ref()), &mut notes);
    if notes.faults.is_empty() { Ok(service) } else { Err(sorted(notes.faults)) }
}

pub(super) fn read(file: &Section<'_>, notes: &mut Notes) -> Service {
    let Some(section) = file.table("service", notes) else { return Service::default() };
    section.only(&[&["listen", "monitor", "traces"], OF_HTTPS.as_slice(), &OF_TRACES].concat(), notes);
    let monitor = address(&section, "monitor", "127.0.0.1:9464", notes);
    if monitor.is_some_and(|at| !at.ip().is_loopback()) {
        let line = section.line_of("monitor", notes);
        notes.warn(line, "`monitor` of [service] is reached from other machines, without a password and in plain text: let a firewall say from which");
    }
    Service { https: https(&section, notes), monitor, traces: traces(&section, notes) }
}

fn https(section: &Section<'_>, notes: &mut Notes) -> Option<Https> {
    if !section.has("listen") {
        do_nothing(section, &OF_HTTPS, "`listen`, such as \"0.0.0.0:8443\"", notes);
        return None;
    }
    let listen = address(section, "listen", "0.0.0.0:8443", notes);
    if !section.has("certificate") {
        notes.fault(
            section.line,
            "[service] has no `certificate`; name the file of the server's certificate and its chain (PEM)",
        );
    }
    let certificate = file(section, "certificate", "/etc/ticketgate/tls.crt", notes);
    let key = directory::secret(section, "key", notes);
    if let Some(SecretRef::Env(_)) = key {
        let line = section.line_of("key", notes);
        notes.fault(line, "`key` of [service] is more than one line: use { file = … } or { credential = … }");
    }
    let connections = section.number("connections", 1, 1_000_000, notes).unwrap_or(CONNECTIONS);
    Some(Https {
        listen: listen?,
        certificate: certificate?,
        key: key?,
        client_ca: file(section, "client_ca", "/etc/ticketgate/clients.crt", notes),
        connections,
        connections_per_address: section
            .number("connections_per_address", 1, 1_000_000, notes)
            .unwrap_or(PER_ADDRESS),
    })
}

fn traces(section: &Section<'_>, notes: &mut Notes) -> Option<Traces> {
    let Some(At { line, value }) = section.text("traces", URL_MAX, notes) else {
        if !section.has("traces") {
            do_nothing(section, &OF_TRACES, "`traces`, such as \"http://localhost:4318\"", notes);
        }
        return None;
    };
    let ca_file = file(section, "traces_ca", "/etc/ticketgate/collector.crt", notes);
    let header = section.has("traces_header").then(|| directory::secret(section, "traces_header", notes));
    // Unlike a ticket system's, it may be asked in the clear: its address is that of a collector in the same network.
    let in_the_clear = value.starts_with("http://") && psa::fault_of(&value).is_some();
    let as_https = value.replacen("http://", "https://", 1);
    if let Some(fault) = psa::fault_of(&as_https) {
        notes.fault(
            line,
            format!("`traces` of [service] {fault}; write the collector's address, such as \"http://localhost:4318\""),
        );
    } else if in_the_clear && header.is_some() {
        notes.fault(
            line,
            "`traces` of [service] must start with https://, or `traces_header` would go over the network in the clear",
        );
    } else if in_the_clear {
        notes.warn(line, "`traces` of [service] go over the network in plain text: which sessions begin and end at which customer can be read on the way");
    }
    Some(Traces { url: value.trim_end_matches('/').to_owned(), ca_file, header: header.flatten() })
}

/// Points out keys that mean something beside another only.
fn do_nothing(section: &Section<'_>, keys: &[&str], without: &str, notes: &mut Notes) {
    for key in keys.iter().filter(|key| section.has(key)) {
        let line = section.line_of(key, notes);
        notes.fault(line, format!("`{key}` of [service] does nothing without {without}"));
    }
}

fn address(section: &Section<'_>, key: &str, example: &str, notes: &mut Notes) -> Option<SocketAddr> {
    let At { line, value } = section.text(key, TEXT_MAX, notes)?;
    let found = match value.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        Some(port) => Some(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)),
        None => value.parse().ok(),
    };
    if found.is_none() {
        notes.fault(
            line,
            format!(
                "`{key}` of [service] must be an address and a port, such as \"{example}\" or \"[::]:8443\""
            ),
        );
    }
    found
}

fn file(section: &Section<'_>, key: &str, example: &str, notes: &mut Notes) -> Option<String> {
    let At { line, value } = section.text(key, 4096, notes)?;
    if !directory::is_absolute(&value) {
        notes.fault(
            line,
            format!("`{key}` of [service] must be the whole path of a file, such as \"{example}\""),
        );
    }
    Some(value)
}
