//! What a directory was seen to have for an account.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::session::Right;

/// When the directory itself stops an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryEnd {
    /// It does not.
    Never,
    /// It knows no end of accounts, so only the broker's own counts.
    NotKept,
    /// At this time, by the directory's clock.
    At(DateTime<Utc>),
}

/// The note that a JIT account carries in the directory: whose it is, which password it has, and its end.
/// From it a lost ledger can be rebuilt. It holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The account's random text, as in the ledger.
    pub token: String,
    /// The technician's id.
    pub owner: String,
    /// Which password is set.
    pub generation: u64,
    /// The end when it was written, by the broker's clock; `None` while the account is closed.
    pub until: Option<DateTime<Utc>>,
}

/// Which rights a directory takes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfEnding {
    /// None.
    None,
    /// Every one (Active Directory with time-limited membership).
    All,
    /// Those whose text begins with one of these.
    Beginning(&'static [&'static str]),
}

impl SelfEnding {
    /// Whether it takes this one away.
    #[must_use]
    pub fn ends(self, right: &Right) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Beginning(kinds) => kinds.iter().any(|kind| right.0.starts_with(kind)),
        }
    }
}

/// What a directory was seen to have for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The directory's own clock at the answer.
    pub directory_time: DateTime<Utc>,
    /// Which rights the directory takes away by itself at the end that was written with them.
    pub self_ending: SelfEnding,
    /// The account; `None` when there is none.
    pub account: Option<ObservedAccount>,
    /// Whether the directory took in what it does not show yet: what is seen then settles nothing.
    pub behind: bool,
}

/// An account as seen in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedAccount {
    /// The directory's own, unchanging identity.
    pub identity: String,
    /// Where the directory has it (a DN): by this name a group takes it in.
    pub place: String,
    /// The logon name as people type it (`ACME\jit-tech1`).
    pub display_name: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// When the directory stops it.
    pub end: DirectoryEnd,
    /// Every right that it holds directly, whoever gave it, in a spelling of the directory's choice: one of a session's is compared
    /// with it by the directory's own key.
    pub rights: BTreeSet<Right>,
    /// When the directory itself takes a right away (time-limited membership), by the directory's clock.
    pub right_ends: Vec<(Right, DateTime<Utc>)>,
    /// The note, when it carries one of ours.
    pub marker: Option<Marker>,
    /// Of a person's own account, the rights that the person took himself for a time (an activation of Privileged Identity
    /// Management): while they last no session takes, moves or gives them.
    pub own: BTreeSet<Right>,
    /// Whether the primary group is the ordinary one (a changed one hides a right from the list of memberships).
    pub ordinary_primary_group: bool,
}
