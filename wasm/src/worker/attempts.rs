//! Requests that may have been carried out although nobody heard so. The same wish again goes under the same key, whatever
//! was done in between: the broker finds the first result, and nothing is done twice.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::Method;
use ticketgate_protocol::problem::{Code, Problem};

use super::job::FAILED_MIN;
use super::link::Saved;
use super::{Effect, Worker};

/// Whether a request with this answer may have been carried out all the same.
fn may_have_happened(problem: &Problem) -> bool {
    matches!(
        problem.code,
        Code::TimedOut
            | Code::BrokerUnreachable
            | Code::Internal
            | Code::Stopping
            | Code::MalformedRequest
            | Code::Unknown
    )
}

impl Worker {
    /// Asks the broker, because the person wants it: what changes something under a key, which is answered, and under that of
    /// the attempt before where nobody knows what became of it.
    pub(super) fn ask_once(
        &mut self,
        method: Method,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) -> Option<IdempotencyKey> {
        let mut key = None;
        if let Some(wish) = Saved::of(&method, None, now, now) {
            self.last.unsure.retain(|one| one.deadline > now);
            let is_same = |one: &Saved| one.change == wish.change;
            key = match self.last.unsure.iter().position(is_same) {
                Some(at) => self.last.unsure.remove(at).key,
                None => Some(IdempotencyKey::new(self.around.new_key()).ok()?),
            };
        }
        self.link.retry();
        self.link.ask(method, key.clone(), now, out);
        key
    }

    /// Keeps the key of a request that may have been carried out, as long as a failed activation is shown.
    pub(super) fn keep_if_unsure(
        &mut self,
        method: &Method,
        key: Option<&IdempotencyKey>,
        problem: Option<&Problem>,
        now: DateTime<Utc>,
    ) {
        if problem.is_some_and(may_have_happened) {
            self.last.unsure.extend(Saved::of(method, key, now + TimeDelta::minutes(FAILED_MIN), now));
        }
    }
}
