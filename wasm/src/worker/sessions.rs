//! The technician's sessions as last heard from the broker. Nothing here knows screens or ports.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{EndCause, Session, State};
use ticketgate_protocol::ids::SessionId;
use ticketgate_protocol::tree::{FromJson, ToTree};

/// How long a session that is over stays on the screen, in seconds.
const FAREWELL_S: i64 = 120;

/// Sessions that are not over, and for a little while those that just ended.
#[derive(Debug, Clone, Default, PartialEq, FromJson, ToTree)]
pub(super) struct Sessions {
    held: Vec<Held>,
    over: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
struct Held {
    session: Session,
    heard: DateTime<Utc>,
}

/// Whether rights may still be there.
#[must_use]
pub(super) fn is_live(session: &Session) -> bool {
    matches!(session.state, State::Activating | State::Active | State::Ending)
}

fn is_over(state: State) -> bool {
    matches!(state, State::Ended | State::Denied | State::Lapsed | State::Failed)
}

/// Whether taking the rights away goes wrong at the moment.
#[must_use]
pub(super) fn is_stuck(session: &Session) -> bool {
    session.state == State::Ending && session.trouble.is_some()
}

impl Sessions {
    /// Every session that is not over, soonest end first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.held.iter().map(|h| &h.session)
    }

    /// Sessions that ended a moment ago, latest first.
    pub(super) fn over(&self) -> impl Iterator<Item = &Session> {
        self.over.iter().rev().map(|h| &h.session)
    }

    /// The session with this id, if it is not over.
    #[must_use]
    pub(super) fn get(&self, id: &SessionId) -> Option<&Session> {
        self.iter().find(|s| s.id == *id)
    }

    /// The active session that ends first.
    #[must_use]
    pub(super) fn soonest(&self) -> Option<&Session> {
        self.iter().filter(|s| s.state == State::Active).min_by_key(|s| s.expires_at)
    }

    /// Whether any session may still hold rights.
    #[must_use]
    pub(super) fn any_live(&self) -> bool {
        self.iter().any(is_live)
    }

    /// News of one session; answers it if that is its end. Older news than what is known is dropped.
    pub(super) fn hear(&mut self, session: Session, now: DateTime<Utc>) -> Option<Session> {
        let newest = self
            .held
            .iter()
            .chain(&self.over)
            .find(|h| h.session.id == session.id)
            .map(|h| (h.session.version, h.session == session));
        match newest {
            Some((version, _)) if version > session.version => return None,
            Some((_, true)) => {
                // Nothing new, but known to be so at this time.
                for held in self.held.iter_mut().filter(|h| h.session.id == session.id) {
                    held.heard = now;
                }
                return None;
            }
            _ => {}
        }
        let was_over = self.over.iter().any(|h| h.session.id == session.id);
        self.held.retain(|h| h.session.id != session.id);
        self.over.retain(|h| h.session.id != session.id);
        let held = Held { session, heard: now };
        if is_over(held.session.state) {
            let over = (!was_over).then(|| held.session.clone());
            self.over.push(held);
            return over;
        }
        let (end, id) = (held.session.expires_at, &held.session.id);
        let is_later = |other: &Held| {
            other.session.expires_at > end || other.session.expires_at == end && other.session.id > *id
        };
        let at = self.held.iter().position(is_later).unwrap_or(self.held.len());
        self.held.insert(at, held);
        None
    }

    /// The broker's whole list, asked for at `asked_at`. A session that is missing there is over, unless news of it
    /// came after the question. Answers those that are over now.
    pub(super) fn hear_all(
        &mut self,
        all: Vec<Session>,
        asked_at: DateTime<Utc>,
        now: DateTime<Utc>,
        broker_now: DateTime<Utc>,
    ) -> Vec<Session> {
        let mut over = Vec::new();
        let gone: Vec<Session> = self
            .held
            .iter()
            .filter(|h| h.heard < asked_at && !all.iter().any(|s| s.id == h.session.id))
            .map(|h| h.session.clone())
            .collect();
        for mut session in gone {
            session.state = State::Ended;
            session.trouble = None;
            let is_past = session.expires_at <= broker_now;
            session.end_cause = session.end_cause.or(is_past.then_some(EndCause::Expired));
            session.version += 1;
            over.extend(self.hear(session, now));
        }
        for session in all {
            over.extend(self.hear(session, now));
        }
        over
    }

    /// Forgets the sessions that ended a while ago.
    pub(super) fn forget_old(&mut self, now: DateTime<Utc>) {
        self.over.retain(|h| now - h.heard < TimeDelta::seconds(FAREWELL_S));
    }

    /// When [`Self::forget_old`] has something to do next.
    #[must_use]
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.over.iter().map(|h| h.heard + TimeDelta::seconds(FAREWELL_S)).min()
    }
}
