//! The ledger in one SQLite file: connections, and the trait's calls handed to threads that may block. What each call does
//! stands in the modules below.

mod commit;
mod events;
mod open;
mod place;
mod query;
mod rows;
mod salvage;
mod seals;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict, State};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, PsaId, SessionId, TechnicianId};

use self::place::{InPlace, Place};
use crate::signer::Signer;
use crate::{
    Answered, ApiToken, AuditQuery, Change, Digest, EventRow, Given, Issued, Ledger, LedgerError, Mark,
    NoteQueue, OnTicket, Salvage, SessionFilter, SignIn, SignInFilter, Standing, Tokens, WaitingNote,
};

/// A ledger in an SQLite file. Several processes can have the same one open; SQLite's locks order their writes.
///
/// Calls run on the runtime's blocking threads, one at a time per connection, and go on to their end when the caller
/// stops waiting: a change whose answer nobody reads is still whole.
pub struct SqliteLedger {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    /// For reads of the audit log and of all accounts, which can be long: short reads never wait behind them.
    auditor: Arc<Mutex<Connection>>,
    signer: Arc<Signer>,
    place: Arc<Mutex<Place>>,
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
    /// With the remedy: [`LedgerError::Damaged`] when the file is damaged, something else, or gone while its log is there;
    /// [`LedgerError::Unavailable`] when it was made by a newer release, is read-only or locked, or when the disk is full.
    /// Nothing was changed then. A key that is gone, unreadable, shared with
    /// other users or another one is an error for a new ledger only. An old one opens: what ends is recorded, and what widens
    /// a right ([`Change::widens`]) waits until the key is back ([`Ledger::trouble`] says so).
    pub fn open(path: &Path, key: &Path) -> Result<Self, LedgerError> {
        let (writer, signer) = open::writer(path, key)?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(open::reader(path)?)),
            auditor: Arc::new(Mutex::new(open::reader(path)?)),
            signer: Arc::new(signer),
            place: Arc::new(Mutex::new(Place::of(path))),
        })
    }

    /// Whether a ledger stands at `path`, or something of one. Where none does, [`SqliteLedger::open`] begins one.
    #[must_use]
    pub fn is_begun(path: &Path) -> bool {
        open::is_begun(path)
    }

    /// A ledger's file, the logs that belong to it, and what was being written in its place: one without the others is no ledger.
    #[must_use]
    pub fn files(path: &Path) -> [PathBuf; 4] {
        let [wal, shm] = open::LOGS.map(|log| open::beside(path, log));
        [path.to_owned(), wal, shm, place::rebuilt(path)]
    }

    /// What is wrong with a ledger, or with the key that signs its audit log, while no broker has it open; nothing where all is
    /// well. Only looks: nothing is made or changed but a copy that is deleted again, where something stands in the log alone.
    #[must_use]
    pub fn damage(path: &Path, key: &Path) -> Vec<LedgerError> {
        salvage::damage(path, key)
    }

    /// What can still be read of a ledger that was put aside; it is not changed.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when it is not known what can be read: no room for a copy, or the disk does not answer.
    pub fn salvage(path: &Path) -> Result<Salvage, LedgerError> {
        salvage::salvage(path)
    }

    /// The public half of the key that signs checkpoints, as 64 hexadecimal digits. Kept elsewhere, it tells whether
    /// somebody replaced ledger and key together.
    #[must_use]
    pub fn public_key_hex(&self) -> String {
        hex::encode(self.signer.public().as_bytes())
    }

    /// The key that verifies checkpoints.
    pub(crate) fn public_key(&self) -> ed25519_dalek::VerifyingKey {
        self.signer.public()
    }

    /// [`Open::keep_in_place`], on a thread that may block; one look at the file where all is well.
    async fn keep_in_place(&self) -> Result<(), LedgerError> {
        if self.place.lock().unwrap_or_else(PoisonError::into_inner).standing() == InPlace::Right {
            return Ok(());
        }
        let open = Open {
            writer: Arc::clone(&self.writer),
            readers: [Arc::clone(&self.reader), Arc::clone(&self.auditor)],
            place: Arc::clone(&self.place),
        };
        tokio::task::spawn_blocking(move || open.keep_in_place())
            .await
            .map_err(|error| LedgerError::Unavailable(format!("the work was broken off: {error}")))?
    }

    /// Looks through the whole file for damage; answers what was found, nothing when it is sound.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the file cannot be read at all.
    pub async fn integrity(&self) -> Result<Vec<String>, LedgerError> {
        on_thread(&self.auditor, |connection| query::integrity(connection)).await
    }

    /// Whether a ledger that opened can be used: the whole file, and the key.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`], [`LedgerError::Unavailable`]
    pub async fn check(&self) -> Result<(), LedgerError> {
        if let Some(first) = self.integrity().await?.first() {
            return Err(LedgerError::Damaged(format!("its file is damaged ({first})")));
        }
        self.signer.key().map(drop)
    }
}

/// A connection of its own that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, LedgerError> {
    open::reader(path)
}

/// Everything that is open.
struct Open {
    writer: Arc<Mutex<Connection>>,
    readers: [Arc<Mutex<Connection>>; 2],
    place: Arc<Mutex<Place>>,
}

impl Open {
    /// Sees to it that what is written from now on stands in the file that the next process will find.
    fn keep_in_place(&self) -> Result<(), LedgerError> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match place.standing() {
            InPlace::Right => return Ok(()),
            InPlace::Another => return Err(LedgerError::Unavailable(place.trouble().unwrap_or_default())),
            InPlace::Gone => {}
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        place.rebuild(&writer)?;
        // All or none: while the old ones are open they are written to, and the next try takes that along.
        let new = open::writer_again(&place.path)?;
        let readers = [open::reader(&place.path)?, open::reader(&place.path)?];
        *writer = new;
        for (reader, new) in self.readers.iter().zip(readers) {
            *reader.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
        *place = Place::of(&place.path);
        Ok(())
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
        if change.widens {
            self.signer.key()?;
            self.keep_in_place().await?;
        }
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

    async fn parts(&self, whole: &SessionId) -> Result<Vec<(Session, Account)>, LedgerError> {
        let whole = whole.clone();
        on_thread(&self.reader, move |connection| query::parts(connection, &whole)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, LedgerError> {
        on_thread(&self.reader, |connection| query::accounts(connection)).await
    }

    async fn marks(&self) -> Result<Vec<Mark>, LedgerError> {
        on_thread(&self.auditor, |connection| query::marks(connection)).await
    }

    async fn standings(&self) -> Result<Vec<Standing>, LedgerError> {
        on_thread(&self.auditor, |connection| query::standings(connection)).await
    }

    async fn given(&self) -> Result<Vec<Given>, LedgerError> {
        on_thread(&self.reader, |connection| query::given(connection)).await
    }

    async fn on_tickets(&self) -> Result<Vec<OnTicket>, LedgerError> {
        on_thread(&self.reader, |connection| query::on_tickets(connection)).await
    }

    async fn open_by_directory(&self) -> Result<BTreeMap<DirectoryId, u64>, LedgerError> {
        on_thread(&self.reader, |connection| query::open_by_directory(connection)).await
    }

    async fn open_by_state(&self) -> Result<Vec<(DirectoryId, State, u64)>, LedgerError> {
        on_thread(&self.reader, |connection| query::open_by_state(connection)).await
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

    async fn note_queues(&self) -> Result<Vec<NoteQueue>, LedgerError> {
        on_thread(&self.reader, |connection| query::note_queues(connection)).await
    }

    async fn next_note(&self, psa: &PsaId) -> Result<Option<WaitingNote>, LedgerError> {
        let psa = psa.clone();
        on_thread(&self.reader, move |connection| query::next_note(connection, &psa)).await
    }

    async fn notes_sent(&self) -> Result<u64, LedgerError> {
        on_thread(&self.reader, |connection| query::notes_sent(connection)).await
    }

    fn tokens(&self) -> &dyn Tokens {
        self
    }

    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError> {
        self.keep_in_place().await?;
        let key = self.signer.key()?;
        on_thread(&self.writer, move |connection| commit::checkpoint(connection, &key, at)).await
    }

    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError> {
        let key = self.signer.public();
        on_thread(&self.auditor, move |connection| verify::verify(connection, &key, chain.as_deref())).await
    }

    async fn events_since(
        &self,
        technician: &TechnicianId,
        number: u64,
        most: u32,
    ) -> Result<Option<Vec<EventRow>>, LedgerError> {
        let technician = technician.clone();
        on_thread(&self.reader, move |connection| events::since(connection, &technician, number, most)).await
    }

    async fn last_event(&self, technician: &TechnicianId) -> Result<u64, LedgerError> {
        let technician = technician.clone();
        on_thread(&self.reader, move |connection| events::last(connection, &technician)).await
    }

    fn trouble(&self) -> Option<String> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).trouble();
        place.or_else(|| self.signer.trouble())
    }
}

#[async_trait]
impl Tokens for SqliteLedger {
    async fn shared_key(&self) -> Result<Digest, LedgerError> {
        on_thread(&self.reader, |connection| tokens::shared_key(connection)).await
    }

    async fn by_token(&self, token: &Digest) -> Result<Option<(SignIn, Issued)>, LedgerError> {
        let token = *token;
        on_thread(&self.reader, move |connection| tokens::by_token(connection, &token)).await
    }

    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>, LedgerError> {
        let id = id.to_owned();
        on_thread(&self.reader, move |connection| tokens::sign_in(connection, &id)).await
    }

    async fn sign_ins(&self, filter: SignInFilter) -> Result<Vec<SignIn>, LedgerError> {
        on_thread(&self.reader, move |connection| tokens::sign_ins(connection, &filter)).await
    }

    async fn api_token(&self, token: &Digest) -> Result<Option<ApiToken>, LedgerError> {
        let token = *token;
        on_thread(&self.reader, move |connection| tokens::api_token(connection, &token)).await
    }

    async fn api_tokens(&self) -> Result<Vec<ApiToken>, LedgerError> {
        on_thread(&self.reader, |connection| tokens::api_tokens(connection)).await
    }
}
