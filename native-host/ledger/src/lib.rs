//! Durable facts: sessions, accounts, requests already answered, and the audit log. One verb writes ([`Ledger::commit`]),
//! in one transaction with its audit records: no audit, no action. Nothing here decides or talks to a directory.
//!
//! The interface is one that any database with transactions can satisfy; here it is SQLite.

mod chain;
mod columns;
mod event;
pub mod export;
mod failure;
mod key;
mod limits;
mod note;
mod postgres;
mod seal;
mod shared;
mod signer;
mod sqlite;
#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "the same tests for each kind of ledger")]
mod tests;
mod tokens;
mod verify;

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use ticketgate_access::config::RateLimits;
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_protocol::api::{AuditRecord, AuditVerdict, Mode, State};
use ticketgate_protocol::ids::{
    CustomerId, DirectoryId, IdempotencyKey, PolicyId, PsaId, SessionId, TechnicianId,
};
use ticketgate_protocol::ticket::Ticket;

pub use event::EventRow;
pub use note::{NewNote, NoteChange, NoteQueue, NoteTry, WaitingNote};
pub use postgres::{Copied, Password, PostgresLedger, PostgresPlace};
pub use shared::{BrokerEpoch, Heard, Lease, Shared};
pub use sqlite::SqliteLedger;
pub use tokens::{ApiToken, Digest, Issued, SignIn, SignInFilter, TokenChange, Tokens};

/// Where the broker's facts live. Every write is durable when the call answers.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes one change, whole or not at all: rows by compare-and-set on their versions, audit records appended to their
    /// chains, the request counted and its answer kept.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when a row changed since it was read (read again and decide again);
    /// [`LedgerError::TooMany`] when a limit of the change's [`Guard`] is reached; [`LedgerError::Seen`] when the
    /// request's key was answered before; [`LedgerError::LeaseLost`] when another broker took over an account that the change
    /// was made for; else [`LedgerError::Unavailable`] or, as from every call,
    /// [`LedgerError::Damaged`]. In each case nothing was written.
    async fn commit(&self, change: Change) -> Result<(), LedgerError>;

    /// One session.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn session(&self, id: &SessionId) -> Result<Option<Session>, LedgerError>;

    /// Sessions that match, soonest end first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn sessions(&self, filter: SessionFilter) -> Result<Vec<Session>, LedgerError>;

    /// One account with all its sessions that are not over, read in one transaction.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn account(&self, key: &AccountKey) -> Result<Option<(Account, Vec<Session>)>, LedgerError>;

    /// Every part of a session, in the order in which they were made, each with its account, read in one transaction. One for a
    /// session in one directory; none where there is no such session. `whole` is [`Session::of`].
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn parts(&self, whole: &SessionId) -> Result<Vec<(Session, Account)>, LedgerError>;

    /// Every account that the ledger knows.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn accounts(&self) -> Result<Vec<Account>, LedgerError>;

    /// By what every account that the ledger knows is known again in a directory.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn marks(&self) -> Result<Vec<Mark>, LedgerError>;

    /// Every account that a directory may have something for, by key: not settled, used by a session that is not over, or one
    /// that stays between sessions. Little of each, since there can be very many; burner accounts of the past are left out.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn standings(&self) -> Result<Vec<Standing>, LedgerError>;

    /// Who has which rights where by sessions that are not over: each once, however many sessions there are.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn given(&self) -> Result<Vec<Given>, LedgerError>;

    /// The active sessions that have a ticket and were told no end before their time: by their ends, and little of each, since there can
    /// be very many.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn on_tickets(&self) -> Result<Vec<OnTicket>, LedgerError>;

    /// How many sessions are not over, by directory.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn open_by_directory(&self) -> Result<BTreeMap<DirectoryId, u64>, LedgerError>;

    /// How many sessions that are not over stand where, by directory.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn open_by_state(&self) -> Result<Vec<(DirectoryId, State, u64)>, LedgerError> {
        let mut counted: BTreeMap<DirectoryId, Vec<(State, u64)>> = BTreeMap::new();
        for session in self.sessions(SessionFilter { open: true, ..SessionFilter::default() }).await? {
            let states = counted.entry(session.directory).or_default();
            match states.iter_mut().find(|(state, _)| *state == session.state) {
                Some((_, count)) => *count += 1,
                None => states.push((session.state, 1)),
            }
        }
        let flat = counted.into_iter().flat_map(|(directory, states)| {
            states.into_iter().map(move |(state, count)| (directory.clone(), state, count))
        });
        Ok(flat.collect())
    }

    /// The answer kept for a request of this technician, if the key was used within the last day.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn answered(
        &self,
        technician: &TechnicianId,
        key: &IdempotencyKey,
    ) -> Result<Option<Answered>, LedgerError>;

    /// The latest broker time that any write carried; a clock behind it was set back.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn high_water(&self) -> Result<Option<DateTime<Utc>>, LedgerError>;

    /// Audit records that match, oldest first, at most `query.limit`.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditRecord>, LedgerError>;

    /// How many notes wait for each ticket system, and since when the oldest of them does.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn note_queues(&self) -> Result<Vec<NoteQueue>, LedgerError>;

    /// Of the notes that wait for a ticket system the one to be tried next: the first of its session, the soonest due.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn next_note(&self, psa: &PsaId) -> Result<Option<WaitingNote>, LedgerError>;

    /// How many notes were ever added to tickets.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn notes_sent(&self) -> Result<u64, LedgerError>;

    /// Sign-ins and API tokens.
    fn tokens(&self) -> &dyn Tokens;

    /// Signs the present head of every chain that grew since its last checkpoint, and seals all checkpoints anew.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]; also when the last seal is gone or changed: a log that was tampered with is not sealed.
    async fn checkpoint(&self, at: DateTime<Utc>) -> Result<(), LedgerError>;

    /// Why nothing that [`Change::widens`] is written at the moment, as far as it is known without trying.
    fn trouble(&self) -> Option<String>;

    /// Reads every chain (or one customer's) from its first record and checks hashes, positions, signatures and the seal.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn verify(&self, chain: Option<String>) -> Result<AuditVerdict, LedgerError>;

    /// The changes of this technician's sessions after the one of this number, oldest first, at most `most`. `None` where that
    /// one is older than what is kept (a day), or not one that this ledger ever counted: then everything is to be read anew.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn events_since(
        &self,
        technician: &TechnicianId,
        number: u64,
        most: u32,
    ) -> Result<Option<Vec<EventRow>>, LedgerError>;

    /// The number of the last change of this technician's sessions; 0 before the first.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn last_event(&self, technician: &TechnicianId) -> Result<u64, LedgerError>;

    /// What there is where several brokers share this ledger. `None`: exactly one broker has it.
    fn shared(&self) -> Option<&dyn Shared> {
        None
    }
}

/// One write to the ledger.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The write's stable name, for logs and the stops of the tests (`ledger.session_active`).
    pub name: &'static str,
    /// The broker's time of the write.
    pub at: DateTime<Utc>,
    /// Rows to put: a session with version 0 is new; any other replaces the row that has this version. The stored row gets version + 1.
    pub sessions: Vec<Session>,
    /// The same for accounts.
    pub accounts: Vec<Account>,
    /// Appended to their chains.
    pub audit: Vec<NewAudit>,
    /// The request that this write answers.
    pub answers: Option<Answer>,
    /// The request whose answer did not come true: its key is free again, and a repeat is tried anew.
    pub withdraws: Option<(TechnicianId, IdempotencyKey)>,
    /// What becomes of notes to tickets.
    pub notes: NoteChange,
    /// Under which leases it is made: refused where another broker took one of them over. Empty in a ledger of one broker.
    pub leases: Vec<Lease>,
    /// What becomes of sign-ins and API tokens.
    pub tokens: TokenChange,
    /// Limits checked in the same transaction, before anything is written.
    pub guard: Option<Guard>,
    /// Somebody gets more by it (a session begins, or becomes longer): refused where the audit log cannot be signed, or where the
    /// ledger's file is no longer the one that a next broker would read.
    pub widens: bool,
    /// The clock was set back, nothing is running any more that this could lengthen, and `at` is the time from now on: what was
    /// written "later" counts as written now.
    pub follows_clock: bool,
}

/// Remembers that a request was answered, and how.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who asked.
    pub technician: TechnicianId,
    /// With which key.
    pub key: IdempotencyKey,
    /// SHA-256 of the request, so that another request under the same key is noticed.
    pub request: [u8; 32],
    /// The session that it made or changed.
    pub session: SessionId,
}

/// A request that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// SHA-256 of the request.
    pub request: [u8; 32],
    /// The session that it made or changed.
    pub session: SessionId,
}

/// Limits on a technician, counted in the ledger. Every commit that carries a guard with a rate counts as one request,
/// a refusal's commit (audit record only) included.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Whom the limits are for.
    pub technician: TechnicianId,
    /// Requests in a minute, an hour, a day; this one is counted by the write.
    pub rate: Option<RateLimits>,
    /// Sessions that may be open at once, the new one included. The parts of one count as one.
    pub sessions_at_once: Option<u32>,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a minute.
    Minute,
    /// Requests an hour.
    Hour,
    /// Requests a day.
    Day,
    /// Sessions at once.
    Sessions,
}

/// An audit record before it has its place in a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAudit {
    /// Whose chain: the customer's, or the broker's own where there is none.
    pub customer: Option<CustomerId>,
    /// What (`activation.granted`).
    pub action: &'static str,
    /// Who: a technician's id, `broker`, or `user:NAME`.
    pub actor: String,
    /// `ok`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Details; no secret ever.
    pub details: BTreeMap<&'static str, Value>,
}

/// By what an account is known again in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub key: AccountKey,
    /// How it is used.
    pub mode: Mode,
    /// [`Account::token`].
    pub token: String,
    /// [`Account::identity`].
    pub identity: Option<String>,
    /// Whether it is settled and no session that is not over uses it.
    pub idle: bool,
}

/// What has to be known of an account to see when there is something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub key: AccountKey,
    /// Where it lives.
    pub directory: DirectoryId,
    /// [`Account::settled`].
    pub settled: bool,
    /// Whether a session that is not over uses it.
    pub in_use: bool,
    /// The first end of its sessions that are being granted or granted.
    pub first_end: Option<DateTime<Utc>>,
}

/// Which sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this technician.
    pub technician: Option<TechnicianId>,
    /// At this customer.
    pub customer: Option<CustomerId>,
    /// Of this account.
    pub account: Option<AccountKey>,
    /// Only those that are not over (`pending` … `ending`).
    pub open: bool,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those that were over after this time.
    pub over_since: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// What sessions that are not over give.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    /// To whom.
    pub technician: TechnicianId,
    /// Where.
    pub directory: DirectoryId,
    /// As one session has them.
    pub rights: Vec<Right>,
}

/// An active session, or a part of one, with its ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTicket {
    /// Its row's.
    pub id: SessionId,
    /// By which people know it: the whole session's where this is a part.
    pub of: SessionId,
    /// What it was granted by.
    pub policy: PolicyId,
    /// The ticket.
    pub ticket: Ticket,
}

/// Which audit records.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// This chain (a customer's id, or `-`).
    pub chain: Option<String>,
    /// From then on.
    pub from: Option<DateTime<Utc>>,
    /// Until then.
    pub until: Option<DateTime<Utc>>,
    /// Of this technician (actor, or named in the details as `technician`).
    pub technician: Option<TechnicianId>,
    /// After this position of the whole log (for paging): the `rowid` of the last record seen.
    pub after: Option<u64>,
    /// At most so many; 0 means 1,000.
    pub limit: u32,
    /// Whose action begins with this.
    pub actions: Option<&'static str>,
    /// Where more match: the newest of them, not the oldest.
    pub newest: bool,
}

/// What could still be read of a ledger that cannot be used any more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Salvage {
    /// Its accounts.
    pub accounts: Vec<Account>,
    /// Its sessions that were not over, also those whose account could not be read.
    pub sessions: Vec<Session>,
    /// Whether nothing of either was missed, not even one row.
    pub whole: bool,
}

/// Why the ledger did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// A row changed since it was read.
    #[error("the ledger's row changed meanwhile: {0}")]
    Conflict(String),
    /// A limit is reached; nothing was written but the refused request was not counted either.
    #[error("a limit is reached: {limit:?}")]
    TooMany {
        /// Which.
        limit: Limit,
        /// Seconds until the next request can pass, for the rate limits.
        retry_after_s: u32,
    },
    /// Another broker works on it now; what this one had still to do is no longer its business.
    #[error("another broker has taken over {0}")]
    LeaseLost(String),
    /// The key was used before.
    #[error("the request was answered before")]
    Seen(Answered),
    /// The database cannot be read or written as things are (full, read-only, locked, newer); once they are mended it can be.
    #[error("the ledger cannot be used: {0}")]
    Unavailable(String),
    /// What its file holds makes no sense, or the key that signs it is gone or another one: only what was kept elsewhere helps.
    #[error("the ledger cannot be used: {0}")]
    Damaged(String),
}
