//! Directories behind one interface: what an account has ([`Directory::observe`]), and one change at a time
//! ([`Directory::apply`]). Nothing here decides: the plan comes from `ticketgate-access`, the ledger is not known here.

pub mod active_directory;
pub mod entra;
mod generate;
pub mod local;
mod note;
mod spelling;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Observed, ObservedAccount, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_credentials::{NoSecret, NoTrust, Secret};
use ticketgate_protocol::api::Finding;

pub use active_directory::ActiveDirectory;
pub use entra::{Asked, By, EntraTenant, Grant, NoSignIn, PartnerTenant, SignIns, Stands, in_background};
pub use generate::{generate, generate_for};
pub use local::LocalMachine;
pub use spelling::alike;

/// A directory that accounts live in. Every method is safe to repeat.
#[async_trait]
pub trait Directory: Send + Sync {
    /// What the directory has for the account, read from the server now, and its clock at that moment.
    ///
    /// An account is looked up by [`Account::identity`] where that is known, else by its name anywhere in the directory
    /// (so that a person's account of the same name is seen).
    ///
    /// # Errors
    /// [`DirectoryError`]; "there is none" is not one.
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError>;

    /// Carries out one step on the account as it was `seen` a moment ago; one that was not there then, and one made since, is
    /// looked up. `Open` needs the password that it sets.
    ///
    /// "Already so" is success. What a write did is not read back here: the look that follows a plan does that for all of its
    /// steps. After [`DirectoryError::is_ambiguous`] the step may or may not have been applied: observe again.
    ///
    /// # Errors
    /// [`DirectoryError`]
    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError>;

    /// Whether grants that follow one another in a plan may be asked for at once, and so revocations: worth it where each is a
    /// request with a long way. Everything else is done in the plan's order, one after the other.
    fn side_by_side(&self) -> bool {
        false
    }

    /// What the directory itself made at the account's last `Open` for people to log on with, if it did so (a Temporary Access
    /// Pass): handed out instead of the password, once.
    fn take_credential(&self, _account: &Account) -> Option<Secret> {
        None
    }

    /// Every account in the place that holds JIT accounts and nothing else, with its note: the directory's own account of what
    /// was opened for whom until when. A ledger is compared with it, and a lost one is rebuilt from it.
    ///
    /// # Errors
    /// [`DirectoryError`]
    async fn list(&self) -> Result<Listing, DirectoryError>;

    /// Looks for everything that sessions with these rights will need: certificate, bind, clock, the unit, each right's existence
    /// and whether the service account may write it. Changes nothing. Never fails: what is wrong is a finding.
    async fn check(&self, rights: &[RightUse]) -> Vec<Finding>;

    /// Does what sessions do, except opening, to an account of its own that is deleted at once, where only doing it tells whether
    /// it may be done. Never fails: what is wrong is a finding.
    async fn rehearse(&self) -> Vec<Finding>;

    /// What the directory ends by itself when no broker runs, and what an end does not stop: two plain sentences.
    fn promises(&self, mode: ticketgate_protocol::api::Mode) -> Promises;

    /// The tenant, where people can sign in to it and a partner has customers.
    fn entra(&self) -> Option<&EntraTenant> {
        None
    }

    /// Whether a session's account has a password of its own that people log on with. Where it has none, [`Directory::apply`]
    /// opens an account without.
    fn has_passwords(&self) -> bool {
        true
    }

    /// The short name of a right, for people (`Domain Admins`).
    fn right_name(&self, right: &Right) -> String;

    /// The text by which two spellings of one right are equal, however the configuration and the directory write it.
    fn right_key(&self, right: &Right) -> String;
}

/// A right that policies grant, and to what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RightUse {
    /// The right.
    pub right: Right,
    /// Whether JIT accounts that stay (mode `dedicated`) get it: what a directory does to their access lists meanwhile matters.
    pub outlives_an_hour: bool,
    /// Whether JIT accounts get it, from which is taken what nobody gave them, and not only people's own accounts.
    pub on_jit_accounts: bool,
}

/// The accounts in the place of JIT accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The directory's own clock at the answer.
    pub directory_time: DateTime<Utc>,
    /// In no order.
    pub accounts: Vec<ListedAccount>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// The logon name as [`Account::name`] has it.
    pub name: String,
    /// What it has; its note where it carries one of ours.
    pub seen: ObservedAccount,
}

/// What is said honestly on screen about ends in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// What the directory ends by itself.
    pub guarantee: String,
    /// What an end does not stop.
    pub limits: String,
}

/// Why a directory did not do what was asked. The texts are for logs; people get the matching problem.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No server could be reached.
    #[error("no server of the directory can be reached: {0}")]
    Unreachable(String),
    /// The server did not answer in time, or the connection was cut after the request went out.
    #[error("the directory did not answer in time; the change may have been made: {0}")]
    Ambiguous(String),
    /// The server's certificate is expired, foreign, or for another name.
    #[error("the directory's certificate was refused: {0}")]
    Certificate(String),
    /// The machine's host key is not the one that was checked.
    #[error("the machine's host key was refused: {0}")]
    HostKey(String),
    /// The service account was refused.
    #[error("the directory refused the service account: {0}")]
    Bind(String),
    /// The service account may not do this.
    #[error("the service account may not do this: {0}")]
    NotDelegated(String),
    /// The right does not exist.
    #[error("no such right in the directory: {0}")]
    NoSuchRight(String),
    /// The account vanished between looking and changing.
    #[error("the account is not there: {0}")]
    NoSuchAccount(String),
    /// A name is taken by somebody else's account.
    #[error("the name is taken by another account: {0}")]
    NameTaken(String),
    /// The server is busy or unavailable for now.
    #[error("the directory is busy: {0}")]
    Busy(String),
    /// The server is busy or unavailable for now and says for how long, in seconds.
    #[error("the directory is busy for {after_s} s: {why}")]
    BusyFor {
        /// What it said.
        why: String,
        /// When a repeat makes sense, in seconds.
        after_s: u32,
    },
    /// The directory does this only later (Entra ID takes no right away in its first five minutes). It keeps nothing else.
    #[error("the directory does this in {after_s} s at the earliest: {why}")]
    NotYet {
        /// What it said.
        why: String,
        /// When a repeat makes sense, in seconds.
        after_s: u32,
    },
    /// The tenant has no licence for what the policy needs.
    #[error("the tenant's licences do not allow this: {0}")]
    NoLicence(String),
    /// A rule of the tenant's own forbids it.
    #[error("a rule of the tenant forbids this: {0}")]
    TenantPolicy(String),
    /// The directory took the request and waits for somebody to approve it; it was withdrawn, or could not be.
    #[error("the directory waits for an approval: {0}")]
    Waiting(String),
    /// The server refused the change.
    #[error("the directory refused the change: {0}")]
    Refused(String),
    /// The configuration names what is not there (a tenant, a domain).
    #[error("the configuration of the directory is wrong: {0}")]
    Misconfigured(String),
    /// The time that is left is shorter than the directory gives anything for.
    #[error("too short: {0}")]
    TooShort(String),
    /// A value of ours cannot be written safely (an end out of range, a malformed name).
    #[error("refused before writing: {0}")]
    BadValue(String),
    /// A secret cannot be read.
    #[error("the service account's password cannot be read: {0}")]
    NoSecret(String),
    /// The broker acts by the sign-in of a person, and there is none, or none that is taken any more.
    #[error("somebody has to sign in: {why}; run: ticketgate entra sign-in {directory}")]
    SignInNeeded {
        /// The directory's id.
        directory: String,
        /// What became of the sign-in before.
        why: String,
    },
}

impl From<NoSecret> for DirectoryError {
    fn from(NoSecret(why): NoSecret) -> Self {
        Self::NoSecret(why)
    }
}

impl From<NoTrust> for DirectoryError {
    fn from(NoTrust(why): NoTrust) -> Self {
        Self::Certificate(why)
    }
}

impl DirectoryError {
    /// Whether the change may have been made all the same.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_))
    }

    /// When a repeat makes sense, in seconds, where the directory says so.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::BusyFor { after_s, .. } | Self::NotYet { after_s, .. } => Some(*after_s),
            _ => None,
        }
    }

    /// Whether trying again later, with nothing changed by anybody, may well succeed.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Ambiguous(_) | Self::Busy(_) | Self::BusyFor { .. })
    }
}
