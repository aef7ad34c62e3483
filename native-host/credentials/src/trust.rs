//! Who vouches for servers. Verification is always on: there is no switch for it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// There is no authority to trust, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTrust(pub String);

/// Trust for one connection, read anew each time so that a replaced authority counts without a restart. Blocks on files.
///
/// # Errors
/// [`NoTrust`]
pub fn trust(ca_file: Option<&str>) -> Result<Arc<ClientConfig>, NoTrust> {
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
        .map_err(|error| NoTrust(error.to_string()))
}
