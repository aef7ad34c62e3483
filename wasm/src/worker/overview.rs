//! The broker's overview: when it is asked for, how old it may be, and what is taken from it.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::Overview;
use ticketgate_protocol::native::Method;
use ticketgate_protocol::problem::Problem;

use super::{Effect, Worker, link, trouble};

/// Pauses before the overview is asked for again after a refusal, in seconds.
const AGAIN_S: [i64; 5] = [1, 2, 5, 15, 30];
/// How old an overview may be while a ticket is open, in minutes. A session begun elsewhere is found by the next one, so
/// this is shorter than the first warning's five.
pub(super) const FRESH_MIN: i64 = 4;
impl Worker {
    pub(super) fn heard_overview(
        &mut self,
        mut overview: Overview,
        asked_at: DateTime<Utc>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        self.last.clock.hear(overview.now, asked_at, now);
        self.overview_problem = None;
        self.overview_failures = 0;
        self.last.signed_out = false;
        self.unsigned = None;
        self.curious = false;
        let broker_now = self.broker_now(now);
        for over in self.last.sessions.hear_all(overview.sessions.clone(), asked_at, now, broker_now) {
            self.is_over(&over, out);
        }
        self.memory.forget_customers_but(&overview);
        self.last.lookups.forget_outages();
        if let Some(form) = &mut self.last.form
            && form.fill_anew(&overview, &self.memory)
        {
            // A click on what stood there before is under way, perhaps.
            form.serial = self.next_serial;
            self.next_serial += 1;
        }
        let Overview { rules, .. } = &mut overview;
        self.hear_broker_rules(std::mem::take(rules), out);
        self.last.overview = Some(Overview { sessions: Vec::new(), ..overview });
        self.choose_template();
        self.last.overview_at = Some(now);
    }

    pub(super) fn overview_is_old(&self, now: DateTime<Utc>) -> bool {
        self.last.overview_at.is_none_or(|at| now - at >= TimeDelta::minutes(FRESH_MIN) || at > now)
    }

    /// Whether an open ticket is worth a look at the broker from time to time.
    pub(super) fn keeps_looking(&self) -> bool {
        self.last.pages.any_ticket()
            && self.overview_problem.is_none()
            && !matches!(self.link.state(), link::State::Stopped(_))
            && !self.link.tried_often()
    }

    pub(super) fn gives_up_curiosity(&self) -> bool {
        match self.link.state() {
            link::State::Stopped(_) => true,
            link::State::Waiting { .. } => self.link.tried_often(),
            link::State::Open { .. } => self.overview_failures >= AGAIN_S.len(),
            _ => false,
        }
    }

    pub(super) fn settle_overview(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        if self.keeps_looking() && self.overview_is_old(now) {
            self.curious = true;
        }
        if !self.link.is_open() || self.link.is_asking("overview") {
            return;
        }
        // A session whose end has come and went by without a word: ask.
        let broker_now = self.broker_now(now);
        let overdue =
            self.last.sessions.soonest().is_some_and(|s| s.expires_at + TimeDelta::seconds(3) <= broker_now);
        let patient = self.overview_asked.is_some_and(|at| now - at < TimeDelta::seconds(5));
        let due = self.overview_due.is_some_and(|at| at <= now)
            || (overdue && !patient)
            || (self.curious && self.overview_due.is_none() && !patient);
        if due {
            self.overview_due = None;
            self.overview_asked = Some(now);
            self.link.ask(Method::Overview, None, now, out);
        }
    }

    pub(super) fn overview_failed(&mut self, problem: Problem, now: DateTime<Utc>) {
        let pause = AGAIN_S.get(self.overview_failures).copied().unwrap_or(link::LATER_S);
        self.overview_failures += 1;
        // That a broker does not answer says nothing of who is signed in.
        self.last.signed_out |= trouble::is_signed_out(&problem);
        self.overview_problem = Some(problem);
        self.overview_due = Some(now + TimeDelta::seconds(pause));
    }
}
