//! A tenant's HTTP client, with the authorities that it trusts: those of `ca_file` are taken up anew when they changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ticketgate_access::config::Entra;

use super::failure::unanswered;
use crate::DirectoryError;

type Digest = [u8; 32];

/// The client, and a digest of the file that names authorities; nothing where none does, or it could not be read.
pub(super) struct Trusting(Mutex<(reqwest::Client, Option<Digest>)>);

impl Trusting {
    /// # Errors
    /// [`DirectoryError::Certificate`] where nobody could vouch for the server.
    pub(super) fn new(settings: &Entra) -> Result<Self, DirectoryError> {
        Ok(Self(Mutex::new(connected(settings)?)))
    }

    pub(super) fn client(&self) -> reqwest::Client {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Another client where the file is another one now; connections of the one before end with its last request.
    ///
    /// # Errors
    /// As [`Trusting::new`]; the client stays as it was.
    pub(super) fn anew(&self, settings: &Entra) -> Result<(), DirectoryError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).1;
        if settings.ca_file.is_none() || (known.is_some() && digest_of(settings) == known) {
            return Ok(());
        }
        let http = connected(settings)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = http;
        Ok(())
    }
}

fn connected(settings: &Entra) -> Result<(reqwest::Client, Option<Digest>), DirectoryError> {
    let limit = Duration::from_secs(settings.timeout_s.into());
    // Of the file first: one that is replaced in between is taken up the next time.
    let digest = digest_of(settings);
    let http = ticketgate_https::client(settings.ca_file.as_deref(), limit).map_err(unanswered)?;
    Ok((http, digest))
}

fn digest_of(settings: &Entra) -> Option<Digest> {
    Some(Sha256::digest(std::fs::read(settings.ca_file.as_ref()?).ok()?).into())
}

#[cfg(test)]
mod tests {
    use ticketgate_access::config::{Cloud, Proof, SecretRef, SignIn};
    use ticketgate_tests::tenant::Pair;

    use super::*;

    #[test]
    fn authorities_in_a_changed_file_are_taken_up_and_a_file_that_holds_none_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let becomes = |pair: &Pair| std::fs::copy(&pair.certificate, &file).map(drop).unwrap();
        becomes(&Pair::registered().unwrap());
        let id = "9f4c6d1e-0000-4000-8000-000000000001";
        let settings = Entra {
            tenant: id.parse().unwrap(),
            client_id: id.parse().unwrap(),
            proof: Proof::Secret(SecretRef::Keyring("acme".into())),
            account_domain: "acme.example".into(),
            account_name: "jit-{technician}".into(),
            sign_in: SignIn::Password,
            pim_only: false,
            cloud: Cloud::Global,
            login_url: "https://login.example".into(),
            graph_url: "https://graph.example".into(),
            ca_file: Some(file.display().to_string()),
            timeout_s: 10,
        };
        let http = Trusting::new(&settings).unwrap();
        let trusted = || http.0.lock().unwrap().1;
        let first = trusted();
        assert!(first.is_some());
        http.anew(&settings).unwrap();
        assert_eq!(trusted(), first);
        std::fs::write(&file, "nothing").unwrap();
        assert!(matches!(http.anew(&settings), Err(DirectoryError::Certificate(_))));
        assert_eq!(trusted(), first);
        becomes(&Pair::foreign().unwrap());
        http.anew(&settings).unwrap();
        assert!(trusted().is_some() && trusted() != first);
    }
}
