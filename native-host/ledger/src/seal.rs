//! The seal: one signed statement over every checkpoint there ever was, so that none of them, and no chain with all of its
//! own, can be taken out of the log unnoticed. Only the newest is kept: an older one would vouch for an older log.
//! `docs/audit.md` describes its bytes.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rusqlite::{Connection, OptionalExtension, params};

use crate::chain::{self, Hash};
use crate::{LedgerError, failure};

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

    /// The ledger's seal; `None` when it is gone, or holds something that was never written there.
    pub(crate) fn read(connection: &Connection) -> Result<Option<Self>, LedgerError> {
        let read = |row: &rusqlite::Row<'_>| {
            let number: i64 = row.get(0)?;
            Ok(Self {
                number: u64::try_from(number).unwrap_or(0),
                at: row.get(1)?,
                digest: row.get(2)?,
                signature: row.get(3)?,
            })
        };
        // A row of another kind would stand beside the next seal, and be read in its place.
        let sql = "SELECT number, at, digest, signature FROM seal WHERE one = 1";
        match connection.query_row(sql, [], read).optional() {
            Err(rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)) => {
                Ok(None)
            }
            found => found.map_err(failure::database),
        }
    }

    /// Puts it in the place of the one before.
    pub(crate) fn put(&self, connection: &Connection) -> Result<(), LedgerError> {
        let number =
            i64::try_from(self.number).map_err(|error| failure::unreadable("the seal's number", error))?;
        connection
            .execute(
                "INSERT OR REPLACE INTO seal (one, number, at, digest, signature) VALUES (1, ?1, ?2, ?3, ?4)",
                params![number, self.at, self.digest, self.signature],
            )
            .map_err(failure::database)?;
        Ok(())
    }
}
