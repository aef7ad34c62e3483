//! Who vouches for servers. Verification is always on: there is no switch for it.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// There is no authority to trust, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTrust(pub String);

/// Trust for one connection, read anew each time so that a replaced authority counts without a restart. Blocks on files.
///
/// # Errors
/// [`NoTrust`]
pub fn trust(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, NoTrust> {
    let roots = authorities(ca_file)?;
    let built = with_provider()?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(built))
}

/// The same, with what this side shows a server that asks who it is: a certificate with those up to its authority, and its key, both
/// as PEM. Blocks on files.
///
/// # Errors
/// [`NoTrust`]
pub fn trust_as(ca_file: Option<&str>, chain: &Path, key: &Path) -> Result<Arc<ClientConfig>, NoTrust> {
    let roots = authorities(ca_file)?;
    let failed = |file: &Path, why: &dyn std::fmt::Display| NoTrust(format!("{}: {why}", file.display()));
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| failed(chain, &error))?;
    if certificates.is_empty() {
        return Err(failed(chain, &"it holds no certificate (PEM)"));
    }
    kept_from_others(key).map_err(|why| failed(key, &why))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
    let built = with_provider()?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, secret)
        .map_err(|error| NoTrust(format!("{} and {}: {error}", chain.display(), key.display())))?;
    Ok(Arc::new(built))
}

/// Refuses a key that everybody of this machine can read. A group may: the machine's key serves every person of it.
#[cfg(unix)]
fn kept_from_others(key: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(key).map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    if mode & 0o027 != 0 {
        return Err(format!(
            "others may read or change it (mode {mode:o}); run: chmod o=,g-w {}",
            key.display()
        ));
    }
    Ok(())
}

/// Elsewhere the folder's access rights guard it; the installer sets them.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same form as on Unix")]
fn kept_from_others(_key: &Path) -> Result<(), String> {
    Ok(())
}

fn with_provider() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, NoTrust> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NoTrust(error.to_string()))
}

fn authorities(ca_file: Option<&str>) -> Result<RootCertStore, NoTrust> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let failed = |why: String| NoTrust(format!("ca_file {path}: {why}"));
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate (PEM)".into()));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = "the operating system has no trusted authorities; name one with ca_file";
                return Err(NoTrust(why.into()));
            }
        }
    }
    Ok(roots)
}
