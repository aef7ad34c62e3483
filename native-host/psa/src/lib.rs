//! Ticket systems behind one interface, [`Psa`]: read a ticket, add a note, list what changed, list companies. Each connector is
//! a file, written from the vendor's published API. Nothing here decides, and the ledger is not known here.
//!
//! What a ticket system says is untrusted input like any other: it is bounded ([`client`]), and every text is folded into one line.

mod autotask;
mod client;
mod connectwise;
mod freshworks;
mod halopsa;
mod jira;
mod request_tracker;
mod servicenow;
mod shape;
mod syncro;
#[cfg(test)]
mod testing;
mod words;
mod zendesk;

use async_trait::async_trait;
use ticketgate_access::config;
use ticketgate_credentials::{MachineSecrets, ReadSecret};

pub use ticketgate_access::ticket::{Company, Ticket, is_same_person};

/// A ticket system. Every method but [`Psa::add_note`] is safe to repeat.
#[async_trait]
pub trait Psa: Send + Sync {
    /// The ticket of this number, as people say it.
    ///
    /// # Errors
    /// [`PsaError`]; [`PsaError::NoSuchTicket`] where there is none, or the integration's user may not see it.
    async fn ticket(&self, number: &str) -> Result<Ticket, PsaError>;

    /// Which of these tickets are open now, and which are closed: for as many as can be asked about at once. One that is gone or
    /// cannot be seen any more is left out.
    ///
    /// # Errors
    /// [`PsaError`]
    async fn tickets(&self, numbers: &[String]) -> Result<Vec<Ticket>, PsaError>;

    /// Adds a note. After an error that [`PsaError::is_ambiguous`] it may be there all the same: ask [`Psa::has_note`] first.
    ///
    /// # Errors
    /// [`PsaError`]
    async fn add_note(&self, ticket: &Ticket, note: &Note) -> Result<(), PsaError>;

    /// Whether the ticket has a note with this mark in it (see [`Note::mark`]).
    ///
    /// # Errors
    /// [`PsaError`]
    async fn has_note(&self, ticket: &Ticket, mark: &str) -> Result<bool, PsaError>;

    /// Whether the system is there and takes the integration's user, at the least cost that says so.
    ///
    /// # Errors
    /// [`PsaError`]
    async fn check(&self) -> Result<(), PsaError> {
        // Whether there is such a ticket or not, a system that says so works. A connector that knows without asking that a number
        // like this cannot be has to ask something else.
        match self.ticket("1").await {
            Ok(_) | Err(PsaError::NoSuchTicket) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every company, for `ticketgate customers import`.
    ///
    /// # Errors
    /// [`PsaError`]; [`PsaError::NotOffered`] where the system knows no companies.
    async fn companies(&self) -> Result<Vec<Company>, PsaError>;
}

/// A note in a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it says: plain text, lines separated by `\n`, with [`Note::mark`] in the last line.
    pub text: String,
    /// A text that no other note has, so that one whose answer was lost is found again.
    pub mark: String,
    /// Whether the customer sees it.
    pub public: bool,
}

/// Why a ticket system did not do what was asked. The texts are for logs and never repeat a secret or an answer's body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsaError {
    /// There is no such ticket, or the integration's user may not see it.
    #[error("no such ticket")]
    NoSuchTicket,
    /// Nothing answered: no connection, no name, or nothing in time before anything was sent.
    #[error("the ticket system cannot be reached: {0}")]
    Unreachable(String),
    /// The request went out and no answer came.
    #[error("the ticket system did not answer in time; what was asked may have been done: {0}")]
    Ambiguous(String),
    /// The certificate is expired, foreign, or for another name.
    #[error("the ticket system's certificate was refused: {0}")]
    Certificate(String),
    /// The integration's user was refused, or may not do this (401, 403).
    #[error("the ticket system refused the integration's user: {0}")]
    Refused(String),
    /// Too many requests, or overloaded (429, 503): not before this many seconds.
    #[error("the ticket system is busy; not before {retry_after_s} s")]
    Busy {
        /// Seconds.
        retry_after_s: u32,
    },
    /// It failed (5xx).
    #[error("the ticket system failed with status {0}")]
    Failed(u16),
    /// The answer is not of the documented shape, is about another ticket, or is too large.
    #[error("the ticket system's answer cannot be used: {0}")]
    Unreadable(String),
    /// The system does not have this.
    #[error("the ticket system does not offer this")]
    NotOffered,
    /// The secret cannot be read.
    #[error("the ticket system's secret cannot be read: {0}")]
    NoSecret(String),
}

impl PsaError {
    /// Whether what was asked may have been done all the same.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Ambiguous(_) | Self::Failed(_) | Self::Unreadable(_))
    }

    /// Whether the system as a whole gave no usable word, as opposed to a clear "no": a policy `when_reachable` goes on then.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Ambiguous(_) | Self::Busy { .. } | Self::Failed(_))
    }
}

/// The connector of a configured ticket system.
///
/// # Errors
/// [`PsaError`], one sentence for the person who wrote the configuration.
pub fn connect(settings: &config::Psa) -> Result<Box<dyn Psa>, PsaError> {
    connect_with(settings, Box::new(MachineSecrets))
}

/// The same with secrets from elsewhere, for tests.
///
/// # Errors
/// [`PsaError`]
pub fn connect_with(settings: &config::Psa, secrets: Box<dyn ReadSecret>) -> Result<Box<dyn Psa>, PsaError> {
    use config::PsaKind as K;
    let client = client::Client::new(settings, secrets)?;
    Ok(match settings.kind {
        K::RequestTracker => Box::new(request_tracker::RequestTracker::new(client, settings)),
        K::ConnectWise => Box::new(connectwise::ConnectWise::new(client, settings)),
        K::Autotask => Box::new(autotask::Autotask::new(client, settings)),
        K::HaloPsa => Box::new(halopsa::HaloPsa::new(client, settings)),
        K::Syncro => Box::new(syncro::Syncro::new(client, settings)),
        K::ServiceNow => Box::new(servicenow::ServiceNow::new(client, settings)),
        K::Zendesk => Box::new(zendesk::Zendesk::new(client, settings)),
        K::Freshdesk => Box::new(freshworks::Freshworks::new(client, settings, freshworks::Product::Desk)),
        K::Freshservice => {
            Box::new(freshworks::Freshworks::new(client, settings, freshworks::Product::Service))
        }
        K::Jira => Box::new(jira::Jira::new(client, settings)),
    })
}
