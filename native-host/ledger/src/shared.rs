//! What several brokers need of the one ledger that they share: its clock, leases on accounts, and to hear of each other.
//! The interface only.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::ids::TechnicianId;
use tokio::sync::broadcast;

use crate::LedgerError;

/// Names one run of one broker: a restart is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(pub u64);

/// The right to work on an account. It runs out three seconds after it was taken or renewed last, by the database's clock; until
/// another broker has taken it, what is committed under it is still accepted.
///
/// A broker's commit that leaves an account unsettled and due takes the lease on it, where nobody has it: whoever writes down what is
/// to be done is the first who may do it. It is known with the next [`Shared::lease`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The account's key; or a name without `/`, for work that belongs to no account and that one broker does at a time.
    pub key: AccountKey,
    /// Grows with every new holder.
    pub fence: u64,
}

/// What was heard of the ledger's other users. Only a hint: all of it is found by looking, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A session of this technician changed ([`crate::Ledger::events_since`]).
    Technician(TechnicianId),
    /// An account may be due within a second. What is due later is found by whoever looks each second.
    Due,
    /// Something may have been missed.
    Gap,
}

/// A ledger that several brokers have open at once.
#[async_trait]
pub trait Shared: Send + Sync {
    /// The database's clock, which all brokers share.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn time(&self) -> Result<DateTime<Utc>, LedgerError>;

    /// Makes this handle a broker's: it can have leases from then on. `name` is for people.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn enlist(&self, name: &str) -> Result<BrokerEpoch, LedgerError>;

    /// Commits something without a meaning, and so confirms what was read of the same server before: one that was told to break off a
    /// commit shows what its standby does not have yet. What is read once more after this stays, as far as the database waits for its
    /// standby.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]: what was read may not stay.
    async fn confirm(&self) -> Result<(), LedgerError>;

    /// Leases on at most `most` accounts that something is to be done for at `now` and that nobody works on, the longest
    /// due first. Two who ask at once are given different ones.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn claim(&self, now: DateTime<Utc>, most: u32) -> Result<Vec<Lease>, LedgerError>;

    /// The lease on this account, or on this name; the one that this broker has where it has one. `None`: another broker works on it.
    ///
    /// # Errors
    /// [`LedgerError::Conflict`] when there is no such account; [`LedgerError::Unavailable`]
    async fn lease(&self, key: &AccountKey) -> Result<Option<Lease>, LedgerError>;

    /// Renews all leases of this broker and answers those that it has no longer.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]: nothing is known of any of them.
    async fn renew(&self) -> Result<Vec<Lease>, LedgerError>;

    /// Gives a lease back. One that another broker took is left to it.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]: it runs out by itself.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// When the first of the accounts that nobody works on is due.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, LedgerError>;

    /// How long it takes at most until an account that is due at `now` and that somebody works on can be claimed, if whoever that is renews
    /// no lease any more. `None`: nobody works on any.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn free_in(&self, now: DateTime<Utc>) -> Result<Option<Duration>, LedgerError>;

    /// What the ledger has for each of these accounts, in the order of their keys, read at one time: as [`crate::Ledger::account`], with
    /// one question for all of them.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]
    async fn accounts_of(&self, keys: &[AccountKey]) -> Result<Vec<(Account, Vec<Session>)>, LedgerError>;

    /// What is heard from now on. A receiver that lags has missed something, as with [`Heard::Gap`].
    fn changes(&self) -> broadcast::Receiver<Heard>;
}
