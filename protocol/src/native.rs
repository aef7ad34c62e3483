//! Frames between the extension's worker and the relay: native messaging, one JSON object a frame.
//! Many requests may be under way at once; replies carry the request's id and may come out of order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::api;
use crate::ids::{DirectoryId, IdempotencyKey, SessionId};
use crate::problem::Problem;
use crate::tree::{FromJson, ToTree};

/// The largest frame that the relay accepts, in bytes. A request is a few hundred; the largest legal one
/// (every ticket field at its limit, in four-byte characters) stays below 24 KiB.
pub const FRAME_IN_MAX: usize = 64 * 1024;
/// The largest frame that the relay sends, in bytes. The browser closes the port above 1 MiB.
pub const FRAME_OUT_MAX: usize = 512 * 1024;
/// The longest request id, in characters.
pub const REQUEST_ID_MAX: usize = 64;

/// A frame from the extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToTree)]
pub struct Request {
    /// Chosen by the extension, echoed in the reply.
    pub id: String,
    /// Needed by the methods that change something: [`Method::mutates`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdempotencyKey>,
    /// What is asked for.
    #[serde(flatten)]
    pub method: Method,
}

/// What the extension can ask for. Ids and texts only: no server, group, filter, path or command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
pub enum Method {
    /// The first frame on every port. Answer: [`Welcome`].
    Hello(Hello),
    /// Answer: [`api::Overview`].
    Overview,
    /// Answer: [`api::TicketTold`].
    Ticket(api::TicketQuestion),
    /// Answer: [`api::Preview`].
    Preview(api::Activate),
    /// Answer: [`Activated`].
    Activate(api::Activate),
    /// Answer: [`api::Session`].
    Extend(ExtendSession),
    /// Answer: [`api::Session`].
    End(EndSession),
    /// Puts the session's password into the operating system's clipboard. Answer: [`Clipboard`].
    CopyPassword(CopyPassword),
    /// Answer: [`Diagnosis`].
    Diagnose,
    /// Has a person sign in to the team's broker, in the system's browser. Answer, when that is done: [`SignedIn`].
    SignIn,
}

impl Method {
    /// Whether the method changes something, and so needs a key.
    #[must_use]
    pub fn mutates(&self) -> bool {
        matches!(self, Self::Activate(_) | Self::Extend(_) | Self::End(_))
    }

    /// The method's name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Overview => "overview",
            Self::Ticket(_) => "ticket",
            Self::Preview(_) => "preview",
            Self::Activate(_) => "activate",
            Self::Extend(_) => "extend",
            Self::End(_) => "end",
            Self::CopyPassword(_) => "copy_password",
            Self::Diagnose => "diagnose",
            Self::SignIn => "sign_in",
        }
    }

    /// Every method's name, for telling an unknown method from a malformed one.
    pub const NAMES: &'static [&'static str] = &[
        "hello",
        "overview",
        "ticket",
        "preview",
        "activate",
        "extend",
        "end",
        "copy_password",
        "diagnose",
        "sign_in",
    ];
}

/// Parameters of `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
pub struct Hello {
    /// Lowest protocol that the extension speaks.
    pub protocol_min: u32,
    /// Highest protocol that the extension speaks.
    pub protocol_max: u32,
    /// The extension's version.
    pub extension_version: String,
    /// What the extension can do beyond the protocol's number.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// Answer to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
pub struct Welcome {
    /// The protocol that both sides speak from here on.
    pub protocol: u32,
    /// The host's version.
    pub host_version: String,
    /// What the host can do beyond the protocol's number (`clipboard`, …).
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The broker, when one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<api::BrokerInfo>,
    /// Why no broker answers, when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_problem: Option<Problem>,
}

/// Parameters of `extend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct ExtendSession {
    /// Which session.
    pub session: SessionId,
    /// By how long, in seconds.
    pub by_s: i64,
}

/// Parameters of `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct EndSession {
    /// Which session.
    pub session: SessionId,
}

/// Parameters of `copy_password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(deny_unknown_fields)]
pub struct CopyPassword {
    /// Which session.
    pub session: SessionId,
    /// Sets a new password first.
    #[serde(default)]
    pub renew: bool,
    /// In which of the session's directories. Needed where more than one of its parts has a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryId>,
}

/// Answer to `activate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
pub struct Activated {
    /// The session.
    pub session: api::Session,
    /// What became of the password.
    pub clipboard: Clipboard,
}

/// What became of a password that was to go into the clipboard. The password itself never comes here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Clipboard {
    /// It is in the clipboard until then, or until something else is copied.
    Copied {
        /// When it is cleared.
        clears_at: DateTime<Utc>,
    },
    /// It could not be put there.
    Unavailable {
        /// Why, and how to get it otherwise.
        problem: Problem,
    },
    /// There is none: the session uses the technician's own account.
    NotNeeded,
    /// Something that a newer host sent.
    #[serde(other)]
    Unknown,
}

/// Answer to `diagnose`: what `ticketgate doctor` finds, for whoever speaks to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The host's version.
    pub host_version: String,
    /// Findings, worst first.
    pub findings: Vec<api::Finding>,
}

/// Answer to `sign_in`: the sign-in itself stays with the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromJson, ToTree)]
pub struct SignedIn {
    /// Who that is, as the broker knows them.
    pub technician: String,
}

/// A frame from the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Frame {
    /// A request was carried out.
    Ok {
        /// The request's id.
        id: String,
        /// The method's answer.
        ok: serde_json::Value,
    },
    /// A request was refused or failed. `id` is empty when the request had none that could be read.
    Error {
        /// The request's id.
        id: String,
        /// What is the matter.
        error: Problem,
    },
    /// Something happened.
    Event(api::Event),
}
