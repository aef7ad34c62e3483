//! Notes to tickets as they wait in the ledger.

use chrono::{DateTime, Utc};
use ticketgate_protocol::ids::{PsaId, SessionId};

/// What a change makes of the notes that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoteChange {
    /// Join the queue. One with a mark that waits already does not join again.
    pub new: Vec<NewNote>,
    /// About to be sent, once more: from now on it may be in the ticket.
    pub sending: Vec<NoteTry>,
    /// In the ticket: leave the queue and are counted. By their marks.
    pub sent: Vec<String>,
    /// Leave the queue without that. By their marks.
    pub dropped: Vec<String>,
    /// Leave the queue where nobody has tried to send them yet. By their marks.
    pub withdrawn: Vec<String>,
}

/// A note to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote {
    /// Stands in its text, and in that of no other.
    pub mark: String,
    /// About which session.
    pub session: SessionId,
    /// In which ticket system.
    pub psa: PsaId,
    /// To the ticket of this number.
    pub ticket: String,
    /// What it says.
    pub text: String,
    /// Not before.
    pub due: DateTime<Utc>,
}

/// A note that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteTry {
    /// Which.
    pub mark: String,
    /// When it is tried again, should it not be known to be there by then.
    pub again: DateTime<Utc>,
}

/// A note that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingNote {
    /// The note; due when it is to be tried next.
    pub note: NewNote,
    /// When it came about.
    pub at: DateTime<Utc>,
    /// How often it was about to be sent.
    pub attempts: u32,
    /// Whether it may be in the ticket already.
    pub sending: bool,
}

/// The notes that wait for one ticket system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteQueue {
    /// Which system.
    pub psa: PsaId,
    /// How many.
    pub waiting: u64,
    /// When the oldest came about.
    pub oldest: DateTime<Utc>,
}
