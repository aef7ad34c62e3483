//! Changes of a technician's sessions as the ledger counts them, so that who was away for a while hears of each exactly once.
//! What a change was is read from the session itself.

use chrono::{DateTime, Utc};
use ticketgate_protocol::ids::SessionId;

/// A session of a technician was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The how manieth change of this technician's sessions: from 1, without a gap, in the order of the commits.
    pub number: u64,
    /// Which session, by the id that people know it by.
    pub session: SessionId,
    /// The broker's time of the change.
    pub at: DateTime<Utc>,
}
