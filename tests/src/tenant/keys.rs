//! Key pairs for apps, as an administrator makes them with openssl: made once per machine.

use crate::Result;
use crate::world::{run, template};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{KeyPair as _, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// PEM.
    pub certificate: PathBuf,
    /// PKCS#8, PEM, for its owner alone.
    pub key: PathBuf,
}

const DAYS: &str = "3650";

impl Pair {
    /// The one that every tenant's app has registered.
    ///
    /// # Errors
    /// openssl is not installed.
    pub fn registered() -> Result<Self> {
        Self::named("app")
    }

    /// One that nobody registered.
    ///
    /// # Errors
    /// openssl is not installed.
    pub fn foreign() -> Result<Self> {
        Self::named("foreign")
    }

    /// One whose certificate ended in 2020.
    ///
    /// # Errors
    /// openssl or faketime is not installed.
    pub fn over() -> Result<Self> {
        Self::named("over")
    }

    fn named(name: &str) -> Result<Self> {
        let folder = template("entra-keys", &[include_str!("keys.rs")], |folder| {
            make(folder, "app", None)?;
            make(folder, "foreign", None)?;
            make(folder, "over", Some("2020-01-01 00:00:00"))
        })?;
        Ok(Self { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) })
    }

    /// The certificate's SHA-256 in base64url, as `x5t#S256` has it.
    ///
    /// # Errors
    /// The file is no certificate.
    pub fn thumbprint(&self) -> Result<String> {
        let der = CertificateDer::from_pem_file(&self.certificate).context("no certificate")?;
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(&der)))
    }

    /// The public key (PKCS#1).
    ///
    /// # Errors
    /// The file is no key.
    pub fn public_key(&self) -> Result<Vec<u8>> {
        Ok(self.signer()?.public_key().as_ref().to_vec())
    }

    /// The key.
    ///
    /// # Errors
    /// The file is none.
    pub fn signer(&self) -> Result<RsaKeyPair> {
        let der = PrivatePkcs8KeyDer::from_pem_file(&self.key).context("no key")?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok().context("no RSA key")
    }
}

fn make(folder: &Path, name: &str, at: Option<&str>) -> Result<()> {
    let mut command = match at {
        // openssl only dates from now on, so its own clock is set back.
        Some(time) => {
            let mut past = Command::new("faketime");
            past.args([time, "openssl"]);
            past
        }
        None => Command::new("openssl"),
    };
    let days = if at.is_some() { "30" } else { DAYS };
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Ticketgate", "-days", days]);
    command.arg("-keyout").arg(folder.join(format!("{name}.key")));
    run(command.arg("-out").arg(folder.join(format!("{name}.crt"))))?;
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    Ok(std::fs::set_permissions(folder.join(format!("{name}.key")), private)?)
}
