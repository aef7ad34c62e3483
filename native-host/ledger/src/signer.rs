//! The audit log's signing key while the ledger is open. Without it the ledger still records what ends; what begins waits until
//! it is back. Nothing is signed here.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::{LedgerError, key};

/// The key, or the reason why it cannot be had now.
pub(crate) struct Signer {
    path: PathBuf,
    public: VerifyingKey,
    held: Mutex<Result<SigningKey, LedgerError>>,
}

impl Signer {
    /// `read` is what reading the file gave.
    pub(crate) fn new(
        path: &Path,
        public: VerifyingKey,
        read: Result<Option<SigningKey>, LedgerError>,
    ) -> Self {
        let held = Mutex::new(fitting(path, &public, read));
        Self { path: path.to_owned(), public, held }
    }

    /// The key; looked for anew while it is not there.
    pub(crate) fn key(&self) -> Result<SigningKey, LedgerError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_err() {
            *held = fitting(&self.path, &self.public, key::read(&self.path));
        }
        held.clone()
    }

    /// Why nothing can be signed at the moment.
    pub(crate) fn trouble(&self) -> Option<String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().err().map(|error| match error {
            LedgerError::Unavailable(why) | LedgerError::Damaged(why) => why.clone(),
            error => error.to_string(),
        })
    }

    /// The public half, also while the key is not there.
    pub(crate) fn public(&self) -> VerifyingKey {
        self.public
    }
}

fn fitting(
    path: &Path,
    public: &VerifyingKey,
    read: Result<Option<SigningKey>, LedgerError>,
) -> Result<SigningKey, LedgerError> {
    match read {
        Ok(Some(key)) if key.verifying_key() == *public => Ok(key),
        Ok(Some(_)) => Err(LedgerError::Damaged(format!(
            "{} is not the key that signs this audit log; put the right one back from a backup",
            path.display()
        ))),
        Ok(None) => Err(LedgerError::Damaged(format!(
            "the key that signs the audit log is not at {}; put it back from a backup",
            path.display()
        ))),
        Err(error) => Err(error),
    }
}
