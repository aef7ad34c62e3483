//! What the port brings: events, and the answers to what was asked, each to where it is worked on.

use chrono::{DateTime, Utc};
use ticketgate_protocol::api::{Event, Overview, Session};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::{Activated, Method, SignedIn};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::tree::{FromJson, Value};

use super::doing::Act;
use super::link::Outcome;
use super::{Effect, Worker, trouble};

impl Worker {
    pub(super) fn take_outcomes(
        &mut self,
        outcomes: Vec<Outcome<'_>>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        for outcome in outcomes {
            match outcome {
                Outcome::Greeted { asked_at } => {
                    if let Some(broker) = self.link.welcome().and_then(|w| w.broker.as_ref()) {
                        self.last.clock.hear(broker.now, asked_at, now);
                    }
                    self.overview_due = Some(now);
                }
                Outcome::Told(Event::Session(session)) => self.hear(*session, now, out),
                Outcome::Told(Event::Overview | Event::Resync) => self.overview_due = Some(now),
                Outcome::Told(Event::Unknown) => {}
                Outcome::Answered { method, key, asked_at, result } => {
                    self.answered(&method, key.as_ref(), asked_at, result, now, out);
                }
            }
        }
    }

    fn answered(
        &mut self,
        method: &Method,
        key: Option<&IdempotencyKey>,
        asked_at: DateTime<Utc>,
        result: Result<Value<'_>, Problem>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        if !matches!(method, Method::Overview) && result.as_ref().is_err_and(trouble::is_signed_out) {
            self.overview_due = Some(now);
        }
        match method {
            Method::Overview => match read::<Overview>(result) {
                Ok(overview) => self.heard_overview(overview, asked_at, now, out),
                Err(problem) => self.overview_failed(problem, now),
            },
            Method::Activate(wanted) => {
                let result = read::<Activated>(result);
                self.keep_if_unsure(method, key, result.as_ref().err(), now);
                self.activated(wanted, key, result, now, out);
            }
            Method::Extend(wanted) => {
                let result = read::<Session>(result);
                self.keep_if_unsure(method, key, result.as_ref().err(), now);
                self.acted(&wanted.session, Act::Extend, result, now, out);
            }
            Method::End(wanted) => {
                let result = read::<Session>(result);
                self.keep_if_unsure(method, key, result.as_ref().err(), now);
                self.acted(&wanted.session, Act::End, result, now, out);
            }
            Method::CopyPassword(wanted) => {
                let result = read(result);
                self.copied(&wanted.session, result, now);
            }
            Method::Ticket(question) => {
                let result = read(result);
                self.looked_up(question, result, now);
            }
            Method::SignIn => {
                let result = read::<SignedIn>(result);
                self.tried_to_sign_in(result, now);
            }
            Method::Hello(_) | Method::Preview(_) | Method::Diagnose => {}
        }
    }
}

/// An answer as its type, or a problem when it cannot be read.
fn read<T: FromJson>(result: Result<Value<'_>, Problem>) -> Result<T, Problem> {
    T::from_value(result?).map_err(|_| {
        Problem::new(
            Code::MalformedRequest,
            "The Ticketgate program sent an answer that this extension cannot read.",
        )
        .remedy("Update the extension and the program to the same version.")
    })
}
