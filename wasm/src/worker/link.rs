//! The native port: handshake, requests with time limits and keys, reconnecting. Decides when the port is open;
//! knows nothing of sessions or screens.

mod lost;
pub(super) mod request;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::{Hello, Method, Request, Welcome};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::tree::{FromJson, Json, Value};
use ticketgate_protocol::{HOST_NAME, PROTOCOL, PROTOCOL_MIN, api};

use super::Effect;
use super::times::Soonest;
use request::{Frame, Pending, limit_s, read_frame};
use ticketgate_recognise::letters;

pub(super) use lost::{Lost, Stop};
pub(super) use request::Saved;

/// Pauses before the first attempts to connect again, in seconds; then one attempt every [`LATER_S`].
pub(super) const PAUSES_S: [i64; 5] = [1, 2, 5, 15, 30];
/// The pause after those, in seconds. An alarm keeps it when the worker sleeps meanwhile.
pub(super) const LATER_S: i64 = 60;
/// How long an unneeded port stays open, in seconds: reopening costs a process.
const IDLE_S: i64 = 30;
/// A port that lived this long was a good one: the pauses start from the first again.
const PROVEN_S: i64 = 10;

/// Where the port stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Closed, and not needed.
    Idle,
    /// Open; `hello` is under way.
    Greeting {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Open and greeted.
    Open {
        /// Since when.
        since: DateTime<Utc>,
        /// What the host said.
        welcome: Box<Welcome>,
    },
    /// Lost; opened again at `until` if still needed.
    Waiting {
        /// When.
        until: DateTime<Utc>,
        /// Why it was lost.
        why: Lost,
    },
    /// Not tried again by itself.
    Stopped(Stop),
}

/// What came of the port.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome<'j> {
    /// The host greeted back.
    Greeted {
        /// When it was greeted.
        asked_at: DateTime<Utc>,
    },
    /// A request has its answer, or will not get one.
    Answered {
        /// The request.
        method: Box<Method>,
        /// Its key.
        key: Option<IdempotencyKey>,
        /// When it was asked.
        asked_at: DateTime<Utc>,
        /// The answer.
        result: Result<Value<'j>, Problem>,
    },
    /// The broker told something by itself.
    Told(api::Event),
}

/// The native port and its requests.
#[derive(Debug)]
pub(super) struct Link {
    state: State,
    pending: Vec<Pending>,
    attempts: usize,
    next_id: u64,
    unneeded_since: Option<DateTime<Utc>>,
    /// Why the port was lost, until it is open again: an attempt under way is no good news yet.
    lost: Option<Lost>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            state: State::Idle,
            pending: Vec::new(),
            attempts: 0,
            next_id: 1,
            unneeded_since: None,
            lost: None,
        }
    }
}

impl Link {
    /// Where the port stands.
    #[must_use]
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// What the host said, while the port is open.
    #[must_use]
    pub(super) fn welcome(&self) -> Option<&Welcome> {
        match &self.state {
            State::Open { welcome, .. } => Some(welcome),
            _ => None,
        }
    }

    /// Whether the port is open and greeted.
    #[must_use]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Whether requests wait for their answers.
    #[must_use]
    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What waits for its answer.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Method> {
        self.pending.iter().map(|p| &p.method)
    }

    /// Whether a request of this method waits for its answer.
    #[must_use]
    pub(super) fn is_asking(&self, name: &str) -> bool {
        self.asked().any(|method| method.name() == name)
    }

    /// The requests that must survive a restart of the worker: those that change something.
    #[must_use]
    pub(super) fn lasting(&self) -> Vec<Saved> {
        let saved = |p: &Pending| Saved::of(&p.method, p.key.as_ref(), p.deadline, p.asked_at);
        self.pending.iter().filter_map(saved).collect()
    }

    /// Takes over the requests of a worker that was stopped; they are sent again with their keys.
    pub(super) fn restore(&mut self, saved: Vec<Saved>) {
        for request in saved {
            let Saved { key, change, deadline, asked_at } = request;
            let id = self.new_id();
            self.pending.push(Pending { id, key, method: change.into(), deadline, asked_at, sent: false });
        }
    }

    fn new_id(&mut self) -> String {
        let id = format!("r{}", self.next_id);
        self.next_id += 1;
        id
    }

    /// Asks for something; it is sent now, or as soon as the port is open.
    pub(super) fn ask(
        &mut self,
        method: Method,
        key: Option<IdempotencyKey>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let deadline = now + TimeDelta::seconds(limit_s(&method));
        let id = self.new_id();
        self.pending.push(Pending { id, key, method, deadline, asked_at: now, sent: false });
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<Effect>) {
        if !self.is_open() {
            return;
        }
        for p in self.pending.iter_mut().filter(|p| !p.sent) {
            p.sent = true;
            out.push(Effect::Send {
                frame: Request { id: p.id.clone(), key: p.key.clone(), method: p.method.clone() },
            });
        }
    }

    /// The person asks for another attempt: terminal states and pauses are over.
    pub(super) fn retry(&mut self) {
        if matches!(self.state, State::Stopped(_) | State::Waiting { .. }) {
            self.state = State::Idle;
            self.attempts = 0;
            self.lost = None;
        }
    }

    /// Why the port was lost, until it is open again.
    #[must_use]
    pub(super) fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Opens or closes the port as needed. Call after every input.
    pub(super) fn settle(&mut self, needed: bool, version: &str, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let needed = needed || self.is_busy();
        match (&self.state, needed) {
            (State::Idle, true) => self.open(version, now, out),
            (State::Waiting { until, .. }, true) if *until <= now => self.open(version, now, out),
            (State::Waiting { .. }, false) => self.state = State::Idle,
            (State::Open { .. } | State::Greeting { .. }, false) => {
                let since = *self.unneeded_since.get_or_insert(now);
                if now - since >= TimeDelta::seconds(IDLE_S) {
                    self.state = State::Idle;
                    self.unneeded_since = None;
                    self.attempts = 0;
                    out.push(Effect::ClosePort {});
                }
            }
            _ => {}
        }
        if needed {
            self.unneeded_since = None;
        }
    }

    fn open(&mut self, version: &str, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        self.state = State::Greeting { since: now };
        out.push(Effect::OpenPort { host: HOST_NAME });
        let hello = Method::Hello(Hello {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL,
            extension_version: version.to_owned(),
            capabilities: Vec::new(),
        });
        out.push(Effect::Send { frame: Request { id: "hello".into(), key: None, method: hello } });
    }

    /// A frame from the relay.
    pub(super) fn frame<'j>(
        &mut self,
        json: Option<&'j Json<'j>>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) -> Vec<Outcome<'j>> {
        let Some(frame) = json.and_then(read_frame) else { return self.lose(Lost::Garbled, now, out) };
        match frame {
            Frame::Event(event) => vec![Outcome::Told(event)],
            Frame::Ok { id, ok } if id == "hello" => self.greeted(ok, now, out),
            Frame::Error { id, error } if self.is_about_hello(&id) => match error.code {
                Code::ProtocolMismatch => self.stop(Stop::Mismatch(error), out),
                Code::OriginRefused => self.stop(Stop::Refused(error), out),
                _ => self.lose(Lost::Refused(error), now, out),
            },
            Frame::Ok { id, ok } => self.answered(&id, Ok(ok)),
            Frame::Error { id, error } => self.answered(&id, Err(error)),
        }
    }

    /// A host that turns the port away has read no request, so its problem names none: it is the answer to `hello`.
    fn is_about_hello(&self, id: &str) -> bool {
        id == "hello" || id.is_empty() && matches!(self.state, State::Greeting { .. })
    }

    fn greeted(&mut self, ok: Value<'_>, now: DateTime<Utc>, out: &mut Vec<Effect>) -> Vec<Outcome<'static>> {
        let State::Greeting { since: asked_at } = self.state else { return Vec::new() };
        let Ok(welcome) = Welcome::from_value(ok) else {
            return self.lose(Lost::Garbled, now, out);
        };
        if !(PROTOCOL_MIN..=PROTOCOL).contains(&welcome.protocol) {
            let (detail, remedy) = if welcome.protocol < PROTOCOL_MIN {
                (
                    "The Ticketgate program on this computer is too old for this extension.",
                    "Update the program.",
                )
            } else {
                (
                    "This extension is too old for the Ticketgate program on this computer.",
                    "Update the extension.",
                )
            };
            return self
                .stop(Stop::Mismatch(Problem::new(Code::ProtocolMismatch, detail).remedy(remedy)), out);
        }
        self.state = State::Open { since: now, welcome: Box::new(welcome) };
        self.lost = None;
        self.flush(out);
        vec![Outcome::Greeted { asked_at }]
    }

    fn answered<'j>(&mut self, id: &str, result: Result<Value<'j>, Problem>) -> Vec<Outcome<'j>> {
        // An answer that nobody waits for any more is late: its request has been answered as timed out.
        let Some(at) = self.pending.iter().position(|p| p.id == id && p.sent) else { return Vec::new() };
        vec![self.pending.remove(at).answered(result)]
    }

    /// The port closed, with Chrome's `lastError` text.
    pub(super) fn closed(
        &mut self,
        error: Option<&str>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) -> Vec<Outcome<'static>> {
        let says = |part: &str| letters::holds(error.unwrap_or_default(), part);
        if says("messaging host not found") {
            return self.stop(Stop::NotInstalled, out);
        }
        if says("host is forbidden") {
            return self.stop(Stop::Forbidden, out);
        }
        let why = if says("host has exited") {
            Lost::Exited
        } else if says("Error when communicating") {
            Lost::Garbled
        } else if says("Failed to start") {
            Lost::NotStarted
        } else {
            Lost::Other
        };
        self.lose(why, now, out)
    }

    fn stop(&mut self, stop: Stop, out: &mut Vec<Effect>) -> Vec<Outcome<'static>> {
        if self.has_port() {
            out.push(Effect::ClosePort {});
        }
        let problem = stop.problem();
        self.state = State::Stopped(stop);
        self.attempts = 0;
        self.unneeded_since = None;
        let mut outcomes = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            outcomes.push(pending.answered(Err(problem.clone())));
        }
        outcomes
    }

    fn lose(&mut self, why: Lost, now: DateTime<Utc>, out: &mut Vec<Effect>) -> Vec<Outcome<'static>> {
        match self.state {
            State::Open { since, .. } if now - since >= TimeDelta::seconds(PROVEN_S) => self.attempts = 0,
            State::Open { .. } | State::Greeting { .. } => {}
            State::Idle | State::Waiting { .. } | State::Stopped(_) => return Vec::new(),
        }
        out.push(Effect::ClosePort {});
        self.unneeded_since = None;
        let pause = PAUSES_S.get(self.attempts).copied().unwrap_or(LATER_S);
        self.attempts += 1;
        self.state = State::Waiting { until: now + TimeDelta::seconds(pause), why: why.clone() };
        self.lost = Some(why);
        let problem = self.lost.as_ref().map(Lost::problem);
        let mut outcomes = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            match &problem {
                // A page to sign in on does not open by itself a second time.
                Some(problem) if pending.sent && matches!(pending.method, Method::SignIn) => {
                    outcomes.push(pending.answered(Err(problem.clone())));
                }
                // Sent again with the same keys, so that nothing is done twice.
                _ => {
                    pending.sent = false;
                    self.pending.push(pending);
                }
            }
        }
        outcomes
    }

    fn has_port(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Greeting { .. })
    }

    /// Time went by: gives up what took too long.
    pub(super) fn time(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) -> Vec<Outcome<'static>> {
        if let State::Greeting { since } = self.state
            && now - since >= TimeDelta::seconds(5)
        {
            self.lose(Lost::Silent, now, out);
        }
        let mut outcomes = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if pending.deadline <= now {
                let problem = self.timed_out(pending.sent, pending.method.mutates());
                outcomes.push(pending.answered(Err(problem)));
            } else {
                self.pending.push(pending);
            }
        }
        outcomes
    }

    fn timed_out(&self, sent: bool, mutates: bool) -> Problem {
        if let State::Waiting { why, .. } = &self.state {
            return why.problem();
        }
        let problem = Problem::new(Code::TimedOut, "The broker did not answer in time.");
        if sent && mutates {
            problem.remedy("It may still have been carried out. Try again: nothing is done twice.")
        } else {
            problem.remedy("Try again.")
        }
    }

    /// Whether the first pauses are used up.
    #[must_use]
    pub(super) fn tried_often(&self) -> bool {
        self.attempts > PAUSES_S.len()
    }

    /// When [`Self::time`] or [`Self::settle`] has something to do next.
    #[must_use]
    pub(super) fn next(&self, needed: bool) -> Option<DateTime<Utc>> {
        let mut soonest = Soonest::default();
        match &self.state {
            State::Greeting { since } => soonest.add(*since + TimeDelta::seconds(5)),
            State::Waiting { until, .. } if needed || self.is_busy() => soonest.add(*until),
            _ => {}
        }
        soonest
            .hear(self.unneeded_since.filter(|_| self.has_port()).map(|at| at + TimeDelta::seconds(IDLE_S)));
        for pending in &self.pending {
            soonest.add(pending.deadline);
        }
        soonest.0
    }
}
