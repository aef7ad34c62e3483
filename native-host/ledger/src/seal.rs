//! The seal: one signed statement over every checkpoint there ever was, so that none of them, and no chain with all of its
//! own, can be taken out of the log unnoticed. Only the newest is kept: an older one would vouch for an older log.
//! `docs/audit.md` describes its bytes.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::chain::{self, Hash};

/// What stands for no checkpoint at all.
pub(crate) const NOTHING: Hash = [0; 32];

/// A seal as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    /// Grows by one with each.
    pub(crate) number: u64,
    pub(crate) at: String,
    /// Over all checkpoints, in the order in which they were taken in.
    pub(crate) digest: Hash,
    signature: [u8; 64],
}

impl Seal {
    /// Signs the digest of all checkpoints.
    pub(crate) fn sign(key: &SigningKey, number: u64, at: &str, digest: Hash) -> Self {
        let signature = key.sign(&chain::seal_bytes(number, &digest, at.as_bytes())).to_bytes();
        Self { number, at: at.to_owned(), digest, signature }
    }

    /// Whether it was signed by this ledger's key.
    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let bytes = chain::seal_bytes(self.number, &self.digest, self.at.as_bytes());
        key.verify_strict(&bytes, &Signature::from_bytes(&self.signature)).is_ok()
    }

    /// One as it was kept.
    pub(crate) fn kept(number: u64, at: String, digest: Hash, signature: [u8; 64]) -> Self {
        Self { number, at, digest, signature }
    }

    /// What signs it.
    pub(crate) fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}
