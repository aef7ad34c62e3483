//! The listener's certificate and key, read anew when their files change. A bad new one leaves the old one in use and says so.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use ticketgate_access::config::{Https, SecretRef};
use ticketgate_credentials::{MachineSecrets, ReadSecret};
use tokio::time::sleep;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::broker::Broker;
use crate::broker::monitor::Part;

/// How often the files are looked at. A look is three `stat`s.
pub(in crate::broker::listen) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The protocols as TLS names them (RFC 7301, RFC 9113 §3.2).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// A chain has some ten kilobytes, a list of authorities some hundred.
const FILE_MAX: u64 = 1 << 20;

/// What the listener shows, and whom it lets in.
pub(super) struct Certificates {
    settings: Https,
    current: RwLock<Arc<ServerConfig>>,
    seen: RwLock<Vec<Stamp>>,
}

/// When a file was last written, and its size; `None`: it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// A certificate that was read and fits its key.
struct Sound {
    config: Arc<ServerConfig>,
    /// Unix seconds.
    ends: i64,
}

impl Certificates {
    /// Reads them; while they cannot be used, again every second.
    pub(super) async fn open(settings: &Https, broker: &Broker) -> Self {
        loop {
            let seen = stamps(settings);
            match read(settings.clone()).await {
                Ok(sound) => {
                    in_use(broker, &sound);
                    return Self {
                        settings: settings.clone(),
                        current: RwLock::new(sound.config),
                        seen: RwLock::new(seen),
                    };
                }
                Err(why) => broker.monitor.broken(Part::Certificate, &format!("HTTPS is not served: {why}")),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What a new connection gets. Those that are open keep what they began with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up changed files, for ever. One that cannot be used is tried again: key and certificate are seldom replaced in the same
    /// instant.
    pub(super) async fn follow(self: Arc<Self>, broker: Arc<Broker>) {
        let mut failed = false;
        loop {
            sleep(LOOK_EVERY).await;
            let now = stamps(&self.settings);
            if !failed && now == *self.seen.read().unwrap_or_else(PoisonError::into_inner) {
                continue;
            }
            match read(self.settings.clone()).await {
                Ok(sound) => {
                    in_use(&broker, &sound);
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = sound.config;
                    *self.seen.write().unwrap_or_else(PoisonError::into_inner) = now;
                    failed = false;
                }
                Err(why) => {
                    let text =
                        format!("the new certificate of HTTPS is not used, the one before still is: {why}");
                    broker.monitor.broken(Part::Certificate, &text);
                    failed = true;
                }
            }
        }
    }
}

fn in_use(broker: &Broker, sound: &Sound) {
    broker.monitor.mended(Part::Certificate);
    broker.monitor.metrics.certificate_ends(sound.ends);
    tracing::info!(ends = sound.ends, "the certificate of HTTPS is in use");
}

/// Of every file that counts.
fn stamps(settings: &Https) -> Vec<Stamp> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    let mut seen = vec![stamp(Path::new(&settings.certificate))];
    match &settings.key {
        SecretRef::File(path) => seen.push(stamp(Path::new(path))),
        SecretRef::Credential(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
            seen.push(folder.and_then(|folder| stamp(&Path::new(&folder).join(name))));
        }
        SecretRef::Env(_) | SecretRef::Keyring(_) => {}
    }
    seen.extend(settings.client_ca.as_ref().map(|path| stamp(Path::new(path))));
    seen
}

/// Reads files and key store beside the runtime.
async fn read(settings: Https) -> Result<Sound, String> {
    match tokio::task::spawn_blocking(move || sound(&settings)).await {
        Ok(read) => read,
        Err(error) => Err(error.to_string()),
    }
}

fn sound(settings: &Https) -> Result<Sound, String> {
    let chain = certificates(&settings.certificate)?;
    let first = chain.first().ok_or_else(|| format!("{} holds no certificate", settings.certificate))?;
    let ends = in_force(first).map_err(|why| format!("{}: {why}", settings.certificate))?;
    let key = MachineSecrets.read_text(&settings.key).map_err(|error| format!("its key: {error}"))?;
    // Goes to the TLS library alone.
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| "its key is not a private key in text form (PEM)".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| format!("{path}: {error}"))?;
            }
            if roots.is_empty() {
                return Err(format!("{path} holds no certificate"));
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| format!("{path}: {error}"))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("{} and its key do not go together: {error}", settings.certificate))?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    if settings.client_ca.is_some() {
        // A connection taken up again is not asked for its certificate again: each shows it anew.
        config.session_storage = Arc::new(NoServerSessionStorage {});
    }
    Ok(Sound { config: Arc::new(config), ends })
}

/// When a certificate ends, in Unix seconds; refused where it has ended, since no client would take it.
fn in_force(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let ends = parsed.validity().not_after.timestamp();
    if ends <= chrono::Utc::now().timestamp() {
        return Err(format!("it ended on {}", parsed.validity().not_after));
    }
    Ok(ends)
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut text = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| failed(&error))?;
    if read as u64 > FILE_MAX {
        return Err(format!("{path} is larger than {} KiB", FILE_MAX >> 10));
    }
    CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|error| failed(&error))
}
