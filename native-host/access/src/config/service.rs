//! `[service]`: where a team's broker is reached over the network, where its monitoring asks, and where its traces go.

use std::net::SocketAddr;

use super::SecretRef;

/// What a broker opens beside its local socket. Nothing unless the file says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// HTTPS, for relays and command lines of other machines.
    pub https: Option<Https>,
    /// Plain HTTP for monitoring: health, readiness, metrics.
    pub monitor: Option<SocketAddr>,
    /// The collector of traces.
    pub traces: Option<Traces>,
}

/// A collector of traces (OTLP over HTTP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Its base address, without `/v1/traces` and without a slash at the end.
    pub url: String,
    /// The file of the authorities (PEM) that vouch for it; else the system's own. Absolute.
    pub ca_file: Option<String>,
    /// Where the header is kept that it asks for, whole: `Authorization: Bearer …`.
    pub header: Option<SecretRef>,
}

/// The HTTPS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Https {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of the certificate and its chain (PEM). Absolute.
    pub certificate: String,
    /// Where the certificate's key is kept (PEM).
    pub key: SecretRef,
    /// The file of the authorities (PEM) that client certificates have to come from. Where there is one, a connection without
    /// such a certificate is refused. Absolute.
    pub client_ca: Option<String>,
    /// Connections at once.
    pub connections: u32,
    /// Connections at once from one address.
    pub connections_per_address: u32,
}
