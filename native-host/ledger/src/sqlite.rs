//! The ledger in one SQLite file: connections, and the trait's calls handed to threads that may block. What each call does
//! stands in the modules below.

mod commit;
mod open;
mod query;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use rusqlite::Connection;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, SessionId, TechnicianId};

use crate::{Answered, AuditQuery, Change, Ledger, LedgerError, SessionFilter, Standing, verify};

/// A ledger in an SQLite file. Several processes can have the same one open; SQLite's locks order their writes.
///
/// Calls run on the runtime's blocking threads, one at a time per connection, and go on to their end when the caller
/// stops waiting: a change whose answer nobody reads is still whole.
pub struct SqliteLedger {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    /// For reads of the audit log, which can be long: short reads never wait behind them.
    auditor: Arc<Mutex<Connection>>,
    key: Arc<SigningKey>,
}

impl std::fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLedger").field("public_key", &self.public_key_hex()).finish_non_exhaustive()
    }
}

impl SqliteLedger {
    /// Opens the ledger at `path`, made if there is none, with the audit log's signing key at `key`, made with a new ledger.
    /// An older schema is brought up to this release's. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] with the remedy when the file is something else, damaged, made by a newer release,
    /// read-only or locked, when the disk is full, or when the key is gone, unreadable, shared with other users or another
    /// one; nothing was changed then.
    pub fn open(path: &Path, key: &Path) -> Result<Self, LedgerError> {
        let (writer, key) = open::writer(path, key)?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(open::reader(path)?)),
            auditor: Arc::new(Mutex::new(open::reader(path)?)),
            key: Arc::new(key),
        })
    }

    /// The public half of the key that signs checkpoints, as 64 hexadecimal digits. Kept elsewhere, it tells whether
    /// somebody replaced ledger and key together.
    #[must_use]
    pub fn public_key_hex(&self) -> String {
        hex::encode(self.key.verifying_key().as_bytes())
    }

    /// Looks through the whole file for damage; answers what was found, nothing when it is sound.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the file cannot be read at all.
    pub async fn integrity(&self) -> Result<Vec<String>, LedgerError> {
        on_thread(&self.auditor, |connection| query::integrity(connection)).await
    }
}

/// Runs `work` with the connection on a thread that may block.
async fn on_thread<T, F>(connection: &Arc<Mutex<Connection>>, work: F) -> Result<T, LedgerError>
where
    T: Send + 'static,
    F: FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
{
    let connection = Arc::clone(connection);
    tokio::task::spawn_blocking(move || {
        // A panic in the middle of a transaction rolled it back while unwinding, so the connection is good.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut connection)
    })
    .await
    .map_err(|error| LedgerError::Unavailable(format!("the work was broken off: {error}")))?
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn commit(&self, change: Change) -> Result<(), LedgerError> {
        on_thread(&self.writer, move |connection| commit::commit(connection, &change)).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, LedgerError> {
        let id = id.clone();
        on_thread(&self.reader, move |connection| query::session(connection, &id)).await
    }

    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, LedgerError> {
        on_thread(&self.reader, move |connection| query::sessions(connection, &filter)).await
    }

    async fn account(&self, key: &AccountKey) -> Result<Option<(Account, Vec<Session>)>, LedgerError> {
        let key = key.clone();
        on_thread(&self.reader, move |connection| query::account(connection, &key)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        on_thread(&self.reader, |connection| query::accounts(connection)).await
    }

    async fn standings(&self) -> Result<Vec<Standing>, LedgerError> {
        on_thread(&self.reader, |connection| query::standings(connection)).await
    }

    async fn open_by_directory(&self) -> Result<BTreeMap<DirectoryId, u64>, LedgerError> {
        on_thread(&self.reader, |connection| query::open_by_directory(connection)).await
    }

    async fn answered(
        &self,
        technician: &TechnicianId,
        key: &IdempotencyKey,
    ) -> Result<Option<Answered>, LedgerError> {
        let (technician, key) = (technician.clone(), key.clone());
        on_thread(&self.reader, move |connection| query::answered(connection, &technician, &key)).await
    }

    async fn high_water(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        on_thread(&self.reader, |connection| query::high_water(connection)).await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, LedgerError> {
        on_thread(&self.auditor, move |connection| query::audit(connection, &query)).await
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        let key = Arc::clone(&self.key);
        on_thread(&self.writer, move |connection| commit::checkpoint(connection, &key, at)).await
    }

    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError> {
        let key = self.key.verifying_key();
        on_thread(&self.auditor, move |connection| verify::verify(connection, &key, chain.as_deref())).await
    }
}
