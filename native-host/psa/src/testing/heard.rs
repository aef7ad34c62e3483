//! The other way to play a ticket system: it answers whatever it is asked, and what it heard is looked at afterwards. For
//! connectors that ask much around a question (a token, the words of a status).

use serde_json::Value;
use ticketgate_access::config::{self, PsaKind};

use super::{Asked, Desk, Known, Played, State};
use crate::{Note, Psa, Ticket};

impl Desk {
    /// Answers in this order, whatever is asked.
    pub(crate) fn answers(script: Vec<Played>) -> Self {
        Self::start(State { answers: Some(script.into()), ..State::default() })
    }

    /// But a path that ends so has an answer of its own, as often as it is asked.
    pub(crate) fn beside(self, beside: Vec<(&'static str, Played)>) -> Self {
        self.state.lock().unwrap().beside = beside;
        self
    }

    /// Both.
    pub(crate) fn answers_beside(beside: Vec<(&'static str, Played)>, script: Vec<Played>) -> Self {
        Self::answers(script).beside(beside)
    }

    /// Adds to [`Desk::answers`] what could not be said before its address was known.
    pub(crate) fn add(&self, answer: Played) {
        self.state.lock().unwrap().answers.get_or_insert_default().push_back(answer);
    }

    /// What it was asked.
    pub(crate) fn heard(&self) -> Vec<Asked> {
        self.state.lock().unwrap().heard.clone()
    }

    /// What it was asked beside this path.
    pub(crate) fn heard_beside(&self, path: &str) -> Vec<Asked> {
        self.heard().into_iter().filter(|asked| !asked.path.ends_with(path)).collect()
    }
}

impl State {
    /// The answer outside a script of exchanges, if there is one.
    pub(super) fn answer(&mut self, asked: &Asked) -> Option<Played> {
        self.heard.push(asked.clone());
        let beside = self.beside.iter().find(|(path, _)| asked.path.ends_with(path));
        if let Some((_, answer)) = beside {
            return Some(answer.clone());
        }
        let nothing = || Played::text(418, "");
        self.answers.as_mut().map(|answers| answers.pop_front().unwrap_or_else(nothing))
    }
}

impl Asked {
    /// Method and path, as in `GET /tickets/5`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The connector to a server of which only the address matters.
pub(crate) fn connected(kind: PsaKind, url: &str) -> Box<dyn Psa> {
    connected_with(&super::settings(kind, url))
}

pub(crate) fn connected_with(settings: &config::Psa) -> Box<dyn Psa> {
    crate::connect_with(settings, Box::new(Known)).unwrap()
}

/// A note of two lines with its mark in the last.
pub(crate) fn note(public: bool) -> Note {
    Note { text: "Access was granted.\n[tg-1]".into(), mark: "[tg-1]".into(), public }
}

/// A ticket that was read before.
pub(crate) fn known_ticket(id: &str) -> Ticket {
    Ticket { id: id.into(), ..Ticket::default() }
}
