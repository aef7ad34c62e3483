//! A request on its way, as it is saved, and the frames that answer it.

use chrono::{DateTime, Utc};
use ticketgate_protocol::api;
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::{EndSession, ExtendSession, Method};
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::tree::{FromJson, Json, ToTree, Value};

use super::Outcome;

/// How long an answer may take, in seconds. What changes something waits longer than the relay does, so that the relay's
/// own answer, which knows more, comes first.
pub(super) fn limit_s(method: &Method) -> i64 {
    match method {
        Method::Activate(_) => 40,
        Method::End(_) => 20,
        Method::Extend(_) => 15,
        // The broker gives a ticket system eight seconds.
        Method::CopyPassword(_) | Method::Ticket(_) => 12,
        // A person finds a telephone for the second factor; the relay gives up before.
        Method::SignIn => 960,
        _ => 5,
    }
}

/// A request without its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) method: Method,
    pub(super) deadline: DateTime<Utc>,
    pub(super) asked_at: DateTime<Utc>,
    pub(super) sent: bool,
}

impl Pending {
    pub(super) fn answered(self, result: Result<Value<'_>, Problem>) -> Outcome<'_> {
        Outcome::Answered { method: Box::new(self.method), key: self.key, asked_at: self.asked_at, result }
    }
}

/// A request as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
pub(in crate::worker) struct Saved {
    pub(in crate::worker) key: Option<IdempotencyKey>,
    pub(in crate::worker) change: Change,
    pub(in crate::worker) deadline: DateTime<Utc>,
    pub(super) asked_at: DateTime<Utc>,
}

/// A method that changes something.
#[derive(Debug, Clone, PartialEq, Eq, FromJson, ToTree)]
#[serde(rename_all = "snake_case")]
pub(in crate::worker) enum Change {
    Activate(Box<api::Activate>),
    Extend(ExtendSession),
    End(EndSession),
}

impl Saved {
    /// `None` for what changes nothing.
    pub(in crate::worker) fn of(
        method: &Method,
        key: Option<&IdempotencyKey>,
        deadline: DateTime<Utc>,
        asked_at: DateTime<Utc>,
    ) -> Option<Self> {
        let change = match method.clone() {
            Method::Activate(params) => Change::Activate(Box::new(params)),
            Method::Extend(params) => Change::Extend(params),
            Method::End(params) => Change::End(params),
            _ => return None,
        };
        Some(Self { key: key.cloned(), change, deadline, asked_at })
    }
}

impl From<Change> for Method {
    fn from(change: Change) -> Self {
        match change {
            Change::Activate(params) => Self::Activate(*params),
            Change::Extend(params) => Self::Extend(params),
            Change::End(params) => Self::End(params),
        }
    }
}

/// A frame from the relay ([`ticketgate_protocol::native::Frame`]) with the method's answer not yet read.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::worker) enum Frame<'j> {
    /// A request was carried out.
    Ok { id: String, ok: Value<'j> },
    /// A request was refused or failed.
    Error { id: String, error: Problem },
    /// Something happened.
    Event(api::Event),
}

/// A frame as its type; a golden test holds this to the protocol's own reading.
pub(in crate::worker) fn read_frame<'j>(json: &'j Json<'j>) -> Option<Frame<'j>> {
    let frame = json.value();
    if frame.get("event").is_some() {
        return api::Event::from_value(frame).ok().map(Frame::Event);
    }
    let id = frame.get("id")?.as_text()?.into_owned();
    if let Some(ok) = frame.get("ok") {
        return Some(Frame::Ok { id, ok });
    }
    let error = FromJson::from_value(frame.get("error")?).ok()?;
    Some(Frame::Error { id, error })
}
