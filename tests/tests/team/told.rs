//! What technicians asked for and were told: what has to be found again afterwards in directory, ledger and audit log.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use ticketgate_tests::team::relay::Heard;

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A session by this policy, for so many seconds.
    Activate { policy: usize, for_s: u32 },
    /// A later end.
    Extend { session: String, by_s: u32 },
    /// The end.
    End { session: String },
    /// The password.
    Password { session: String },
    /// The list of open sessions. Changes nothing.
    Look,
}

/// One sending of a request.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) broker: usize,
    /// It was not waited for as long as a relay waits.
    pub(crate) hurried: bool,
    pub(crate) asked: SystemTime,
    pub(crate) answered: SystemTime,
    pub(crate) heard: Heard,
}

/// A request with all that was heard of it, under one key.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) technician: usize,
    pub(crate) key: String,
    pub(crate) ask: Ask,
    pub(crate) attempts: Vec<Attempt>,
}

/// What may still come true, or came true without a word: whoever is told so asks again under the same key.
const UNSETTLED: [&str; 5] = ["timed_out", "stopping", "broker_unreachable", "ledger_down", "internal"];

impl Attempt {
    /// What was granted.
    pub(crate) fn granted(&self) -> Option<&Value> {
        match &self.heard {
            Heard::Answer(200..300, said) => Some(said),
            _ => None,
        }
    }

    /// The code of a refusal; empty where it has none.
    pub(crate) fn refused(&self) -> Option<&str> {
        match &self.heard {
            Heard::Answer(200..300, _) | Heard::NotSent(_) | Heard::Lost(_) => None,
            Heard::Answer(_, said) => Some(said.get("code").and_then(Value::as_str).unwrap_or_default()),
        }
    }

    /// Whether nothing else can come of it.
    pub(crate) fn is_settled(&self) -> bool {
        self.granted().is_some() || self.refused().is_some_and(|code| !UNSETTLED.contains(&code))
    }

    pub(crate) fn took(&self) -> Duration {
        self.answered.duration_since(self.asked).unwrap_or_default()
    }
}

impl Told {
    /// The session that was granted in the end, as it was told first.
    pub(crate) fn granted(&self) -> Option<&Value> {
        self.attempts.iter().find_map(Attempt::granted)
    }

    /// The granted session's id.
    pub(crate) fn session(&self) -> Option<&str> {
        self.granted()?.get("id")?.as_str()
    }

    /// Whether the last word was one.
    pub(crate) fn is_settled(&self) -> bool {
        self.attempts.last().is_some_and(Attempt::is_settled)
    }

    /// The id of the technician.
    pub(crate) fn who(&self) -> String {
        name(self.technician)
    }
}

/// The id of a technician, who is called the same at the provider.
pub(crate) fn name(technician: usize) -> String {
    format!("t{technician}")
}
