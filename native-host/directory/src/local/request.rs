//! What a broker asks of the machine's own side, and what that answers: one JSON object a line, one answer a request.
//!
//! A request names accounts, rights and ends by checked types and can hold nothing else: no path, no option, no command of
//! the machine. What a broker may ask for is bounded again on the machine itself, whoever asks.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ticketgate_credentials::Secret;
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::ids::TechnicianId;

use super::{AccountName, LocalRight, System, Token};

/// The version of these lines. A side that hears another says so and does nothing.
pub const PROTOCOL: u32 = 1;
/// The longest line of a request, in bytes, its end included.
pub const LONGEST_REQUEST: usize = 64 * 1024;
/// The longest line of an answer, in bytes. Only the list of all accounts comes near it.
pub const LONGEST_ANSWER: usize = 1024 * 1024;

/// A request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Which version the broker speaks.
    Hello {
        /// Its [`PROTOCOL`].
        protocol: u32,
    },
    /// What the machine has for an account. Nothing is changed.
    Look {
        /// Which.
        account: Named,
    },
    /// One change of an account. Each may be asked for again.
    Step {
        /// Which.
        account: Named,
        /// The change.
        step: Box<LocalStep>,
    },
    /// Every JIT account of the machine, whoever's.
    List {},
    /// What sessions with these rights will need of the machine. Nothing is changed.
    Check {
        /// All that policies grant there.
        rights: Vec<LocalRight>,
    },
}

/// An account as the broker's ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: AccountName,
    /// The text by which it is this broker's.
    pub token: Token,
    /// [`LocalSeen::identity`], where the broker knows it: another machine at the same address, or another account that was
    /// given the number of one that is gone, is then not taken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// One change. Ends are by the machine's clock, at most 25 hours away.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum LocalStep {
    /// Make the account: closed, without a password, with a home and a group of its own.
    Create {
        /// For its note.
        whose: Whose,
    },
    /// Give a right, or give it another end.
    Grant {
        /// Which.
        right: LocalRight,
        /// When the machine itself ends it, where it can: of `sudo` rules and keys.
        until: DateTime<Utc>,
        /// What `sudo` asks for first.
        asks: SudoAsks,
    },
    /// Take a right away, as [`SeenRight::right`] names it. "Already gone" is success.
    Revoke {
        /// Which.
        right: String,
    },
    /// Make the account's own group its first one again, so that no right hides there.
    ResetPrimaryGroup {},
    /// Let somebody log on until the end of the window.
    Open {
        /// For its note.
        whose: Whose,
        /// Until when.
        window: Window,
        /// The password to set. Without one nobody can log on by a password.
        password: Option<HiddenText>,
    },
    /// Move the end of an open account.
    SetEnd {
        /// For its note.
        whose: Whose,
        /// Until when.
        window: Window,
    },
    /// Let nobody log on any more, then end processes.
    Close {
        /// Which of them.
        processes: Processes,
    },
    /// Take away password, keys, and whatever would run later; end processes; write the note of a closed account.
    Rotate {
        /// For its note.
        whose: Whose,
        /// Which processes are ended.
        processes: Processes,
    },
    /// Close the account and leave nothing of it. "Already gone" is success.
    Delete {},
}

/// Who holds an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// The technician.
    pub owner: TechnicianId,
    /// Which password is set, as the ledger counts them.
    pub generation: u64,
}

/// Until when an account is open, and what its end does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The end by the broker's clock, kept to tell one end from another.
    pub until: DateTime<Utc>,
    /// The end by the machine's clock, which counts. Below the second it is cut.
    pub end: DateTime<Utc>,
    /// Which processes the end ends, also when the machine has to do it alone.
    pub processes: Processes,
}

/// The note of a JIT account, as it stands in the account's first comment field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// By which it is one broker's.
    pub token: Token,
    /// Who holds it.
    pub whose: Whose,
    /// Until when it is open; none: closed, and all of its end is done.
    pub window: Option<Window>,
}

/// What a `sudo` rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SudoAsks {
    /// The account's password.
    Password,
    /// Nothing: of an account that has no password.
    Nothing,
}

/// Which of an account's processes an end ends. The later ones include the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processes {
    /// None.
    Stay,
    /// Those that run as the account.
    Own,
    /// Also those that it started through `sudo`.
    All,
}

/// An answer. Times are the machine's own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Hello`].
    Hello {
        /// The far side's [`PROTOCOL`].
        protocol: u32,
        /// The machine, as it begins every [`LocalSeen::identity`] there.
        machine: String,
        /// What it runs. Earlier far sides were of Linux and did not say so.
        #[serde(default)]
        system: System,
        /// Its clock.
        time: DateTime<Utc>,
    },
    /// To [`Ask::Look`].
    Seen {
        /// Its clock.
        time: DateTime<Utc>,
        /// The account; none when there is none.
        account: Option<LocalSeen>,
    },
    /// To [`Ask::Step`]: it is so now.
    Done {
        /// Its clock.
        time: DateTime<Utc>,
    },
    /// To [`Ask::List`].
    Listed {
        /// Its clock.
        time: DateTime<Utc>,
        /// All of them, in no order.
        accounts: Vec<Listed>,
    },
    /// To [`Ask::Check`].
    Checked {
        /// Its clock.
        time: DateTime<Utc>,
        /// Each thing that was looked at.
        findings: Vec<Finding>,
    },
    /// To anything.
    Refused {
        /// For the broker.
        why: Refusal,
        /// For its log.
        text: String,
    },
}

/// A JIT account of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: AccountName,
    /// What it has.
    pub seen: LocalSeen,
}

/// An account as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSeen {
    /// `MACHINE:UID`; of Windows with the last number of its SID.
    pub identity: String,
    /// Its home; of Windows the whole name to log on with (`WEB1\jit-tech1`).
    pub home: String,
    /// Whether it is anything but closed: its end may be over all the same.
    pub enabled: bool,
    /// When the machine stops it; none: never. To the second where its note and the machine agree, else the day's beginning.
    pub end: Option<DateTime<Utc>>,
    /// Every right it holds directly, whoever gave it.
    pub rights: Vec<SeenRight>,
    /// Its note, when it carries one of ours.
    pub note: Option<Note>,
    /// Whether its first group is its own.
    pub own_primary_group: bool,
}

/// A right as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenRight {
    /// [`LocalRight`] as text, or what stands in its place and is not as we write it (`sudo:?1a2b3c4d`, `key:?1a2b3c4d`).
    pub right: String,
    /// When the machine itself ends it.
    pub until: Option<DateTime<Utc>>,
}

/// Why the far side did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The name is somebody else's.
    NameTaken,
    /// The right cannot be given here: no such group, a `sudo` that cannot end a rule by itself.
    NoSuchRight,
    /// The account is not there.
    NoSuchAccount,
    /// The request is not one.
    BadValue,
    /// Later it may well be done.
    Busy,
    /// The machine does not let a broker do this.
    NotAllowed,
    /// A program or a file of the machine failed.
    Failed,
}

/// A password on its way: wiped when dropped, never printed.
#[derive(Debug)]
pub struct HiddenText(pub Secret);

impl Serialize for HiddenText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Into the line that goes to the far side.
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for HiddenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = HiddenText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a password")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HiddenText, E> {
                Ok(HiddenText(Secret::new(text.to_owned())))
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<HiddenText, E> {
                Ok(HiddenText(Secret::new(text)))
            }
        }
        deserializer.deserialize_string(Visitor)
    }
}

/// A request of a line.
///
/// # Errors
/// A sentence without anything of the line in it, which may hold a password.
pub fn read(line: &[u8]) -> Result<Ask, String> {
    serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            format!("no request of version {PROTOCOL}: a field is wrong at column {}", error.column())
        }
        _ => "the line is not JSON".to_owned(),
    })
}

#[cfg(test)]
mod tests;
