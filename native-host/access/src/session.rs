//! Sessions and accounts as the ledger keeps them. Plain data and small questions about it; nothing is stored here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ticketgate_protocol::api::{EndCause, Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::ticket::Ticket;

/// A right as the directory's configuration names it (Active Directory: a group's DN).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Right(pub String);

/// Identifies an account in the ledger: one row per JIT account, or per own account in membership mode.
/// `directory/dedicated/TECHNICIAN`, `directory/burner/SESSION`, `directory/membership/TECHNICIAN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountKey(pub String);

impl AccountKey {
    /// The key of the account that a session in this mode uses.
    #[must_use]
    pub fn of(directory: &DirectoryId, mode: Mode, technician: &TechnicianId, session: &SessionId) -> Self {
        match mode {
            Mode::Dedicated => Self(format!("{directory}/dedicated/{technician}")),
            Mode::Burner => Self(format!("{directory}/burner/{session}")),
            Mode::Membership => Self(format!("{directory}/membership/{technician}")),
        }
    }
}

/// An account in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its key.
    pub key: AccountKey,
    /// Where it lives.
    pub directory: DirectoryId,
    /// How it is used.
    pub mode: Mode,
    /// Whose it is.
    pub technician: TechnicianId,
    /// Its logon name in the directory (Active Directory: `sAMAccountName`), without domain.
    pub name: String,
    /// The directory's own, unchanging identity (`objectGUID` as 36 characters), once it is known.
    pub identity: Option<String>,
    /// The logon name as people type it (`ACME\jit-tech1`), once it is known.
    pub display_name: Option<String>,
    /// Random text that the account's marker carries, so that an account made in a lost reply is recognised as ours.
    pub token: String,
    /// Which password is valid. Grows by one at the first session's start, at every end, and at every renewal.
    pub password_generation: u64,
    /// Rights of a membership-mode account that it already had before any session, so that no end takes them.
    pub standing: Vec<Right>,
    /// Whether the directory was last verified to be as [`crate::desired::desired`] wants it.
    pub settled: bool,
    /// Attempts since it was last settled.
    pub attempts: u32,
    /// When the next attempt is due, if one failed.
    pub next_try: Option<DateTime<Utc>>,
    /// Whether a JIT account is deleted once no session needs it: its technician has left. A new session takes this back.
    #[serde(default)]
    pub gone: bool,
    /// Grows with every change; a change names the version that it saw.
    pub version: u64,
}

/// A session in the ledger, or where it grants in several directories one part of it: each part is a row of its own, with its own
/// account and state, and none is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, or its part's.
    pub id: SessionId,
    /// The session that this is a part of: the id of its first part, which names it too. `None`: it has no other part.
    #[serde(default)]
    pub whole: Option<SessionId>,
    /// Where it stands.
    pub state: State,
    /// Who holds it.
    pub technician: TechnicianId,
    /// At which customer.
    pub customer: CustomerId,
    /// In which directory.
    pub directory: DirectoryId,
    /// By which policy.
    pub policy: PolicyId,
    /// The policy's name when it was granted.
    pub policy_name: String,
    /// How the account is used.
    pub mode: Mode,
    /// Which account.
    pub account: AccountKey,
    /// What it grants. Fixed at the request: a later change of the policy does not widen a running session.
    pub rights: Vec<Right>,
    /// Why.
    pub reason: String,
    /// For which ticket.
    pub ticket: Option<Ticket>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When the clock started: at the request for an activation without approval.
    pub from: DateTime<Utc>,
    /// When it ends. Before it is active this is the end that it will have.
    pub until: DateTime<Utc>,
    /// The latest end that extensions can reach.
    pub latest_end: DateTime<Utc>,
    /// When it was first verified as granted.
    pub active_at: Option<DateTime<Utc>>,
    /// Why it ended or is ending.
    pub end_cause: Option<EndCause>,
    /// When it was verified as taken away.
    pub ended_at: Option<DateTime<Utc>>,
    /// What last went wrong.
    pub trouble: Option<Problem>,
    /// Grows with every change; a change names the version that it saw.
    pub version: u64,
}

impl Session {
    /// The id by which people know the session.
    #[must_use]
    pub fn of(&self) -> &SessionId {
        self.whole.as_ref().unwrap_or(&self.id)
    }

    /// Whether the directory should hold this session's rights at `now`: being granted or granted, and not over.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state, State::Activating | State::Active) && now < self.until
    }

    /// Whether the broker still has work to do on it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Activating | State::Active | State::Ending)
    }
}

/// Where a session stands, by its parts. Active only when every part is; while one is left of what is ending or over, it is ending.
#[must_use]
pub fn state_of(parts: &[Session]) -> State {
    let has = |state: State| parts.iter().any(|part| part.state == state);
    let is_over = |part: &Session| !part.is_open();
    match parts {
        [] => State::Unknown,
        [only] => only.state,
        _ if parts.iter().all(is_over) => {
            // Of what was never begun whole no part is said to have run to its end.
            parts.iter().map(|part| part.state).find(|state| *state == State::Failed).unwrap_or(State::Ended)
        }
        _ if has(State::Ending) || parts.iter().any(is_over) => State::Ending,
        _ if has(State::Activating) => State::Activating,
        _ => State::Active,
    }
}

#[cfg(test)]
mod tests;
