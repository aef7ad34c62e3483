//! An activation, from the click to its answer.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{Activate, State};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::native::{Activated, Method};
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::{FromJson, ToTree};

use super::lookup::Answer;
use super::memory::Choice;
use super::pages::Meaning;
use super::{Effect, Purpose, Worker, customers, warnings};

/// How long a failed activation is shown and can be repeated, in minutes.
pub(super) const FAILED_MIN: i64 = 10;

/// An activation, from the click to its answer.
#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
pub(super) struct Job {
    /// What was asked for.
    pub(super) wanted: Activate,
    /// Its key, which tells its answer from that of another.
    pub(super) key: IdempotencyKey,
    /// The customer's name.
    pub(super) customer: String,
    /// The policy's name.
    pub(super) policy: String,
    /// How it failed, if it did.
    pub(super) failed: Option<Failure>,
}

/// How an activation failed.
#[derive(Debug, Clone, PartialEq, FromJson, ToTree)]
pub(super) struct Failure {
    /// Why.
    pub(super) problem: Problem,
    /// When.
    at: DateTime<Utc>,
}

impl Job {
    /// Whether its answer is still awaited.
    pub(super) fn is_working(&self) -> bool {
        self.failed.is_none()
    }

    /// Whether it is for this ticket.
    pub(super) fn is_for(&self, ticket: &Ticket) -> bool {
        self.wanted.ticket.as_ref().is_some_and(|wanted| wanted.is_same_as(ticket))
    }

    /// When a failed one is no news any more.
    pub(super) fn until(&self) -> Option<DateTime<Utc>> {
        self.failed.as_ref().map(|failure| failure.at + TimeDelta::minutes(FAILED_MIN))
    }
}

impl Worker {
    pub(super) fn activate_form(&mut self, serial: u32, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        // The form changed under the click: the person has not seen what would be activated.
        if self.is_activating() || self.last.form.as_ref().is_none_or(|form| form.serial != serial) {
            return;
        }
        let Some(wanted) = self.form_request() else { return };
        let Some(source) = self.last.form.as_ref().and_then(|form| form.source.clone()) else {
            self.activate(wanted, now, out);
            return;
        };
        // What the page shows at the click counts: it may have moved on under the popup, or been loaded again.
        let shows = self.last.pages.ticket_of(source.tab).map(|(_, page, _)| page.document.clone());
        let purpose = Purpose::Activate { wanted: Box::new(wanted) };
        self.look(source.tab, &shows.unwrap_or(source.document), purpose, now, out);
    }

    pub(super) fn form_request(&self) -> Option<Activate> {
        let overview = self.last.overview.as_ref()?;
        self.last.form.as_ref()?.request(overview).ok()
    }

    /// Activates what a button or the shortcut stands for.
    pub(super) fn activate_meaning(
        &mut self,
        meaning: &Meaning,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.is_activating() {
            return true;
        }
        let (Some(customer), Some(policy)) = (&meaning.customer, &meaning.policy) else { return false };
        let Some(reason) = self.template.reason(&meaning.ticket) else { return false };
        let wanted = Activate {
            customer: Some(customer.clone()),
            policy: policy.clone(),
            duration_s: i64::from(meaning.duration_s),
            reason,
            ticket: Some(meaning.ticket.clone()),
        };
        self.activate(wanted, now, out);
        true
    }

    pub(super) fn activate(&mut self, wanted: Activate, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let Some(key) = self.ask_once(Method::Activate(wanted.clone()), now, out) else { return };
        let name = |found: Option<String>, id: &str| found.unwrap_or_else(|| id.to_owned());
        let overview = self.last.overview.as_ref();
        let customer =
            overview.and_then(|o| o.customers.iter().find(|c| Some(&c.id) == wanted.customer.as_ref()));
        let policy = overview.and_then(|o| o.policies.iter().find(|p| p.id == wanted.policy));
        self.last.job = Some(Job {
            customer: customer.map(|c| c.name.clone()).unwrap_or_default(),
            policy: name(policy.map(|p| p.name.clone()), wanted.policy.as_str()),
            wanted,
            key,
            failed: None,
        });
    }

    pub(super) fn activated(
        &mut self,
        wanted: &Activate,
        key: Option<&IdempotencyKey>,
        result: Result<Activated, Problem>,
        now: DateTime<Utc>,
        out: &mut Vec<Effect>,
    ) {
        let is_current = self.last.job.as_ref().is_some_and(|job| Some(&job.key) == key);
        match result {
            Ok(activated) => {
                if is_current {
                    self.last.job = None;
                    self.last.form = None;
                }
                if let Some(overview) = &self.last.overview
                    && let Ok(duration_s) = u32::try_from(wanted.duration_s)
                {
                    let choice = Choice { policy: wanted.policy.clone(), duration_s };
                    let customer = activated.session.customer.clone();
                    self.memory.remember(overview.technician.clone(), customer.clone(), choice);
                    if let Some(ticket) = &wanted.ticket
                        && customers::is_for_a_person(overview, ticket)
                        && self.last.lookups.answer(ticket).and_then(Answer::customer) != Some(&customer)
                        && let Some(company) = customers::company_of(ticket)
                    {
                        self.memory.choose_for(overview.technician.clone(), company, customer);
                    }
                }
                let Activated { session, clipboard } = activated;
                self.hear(session.clone(), now, out);
                // A repeat finds the session as it is by now.
                if session.state == State::Active {
                    self.say_ready(&session, &clipboard, now, out);
                    self.say_clipboard(&session.id, clipboard, now);
                }
                self.prepare_form(now);
            }
            Err(problem) => {
                if let Some(job) = self.last.job.as_mut().filter(|_| is_current) {
                    if self.popups.is_empty() {
                        out.push(warnings::not_activated(&job.policy, &job.customer, &problem));
                    }
                    job.failed = Some(Failure { problem, at: now });
                }
            }
        }
    }

    pub(super) fn retry_job(&mut self, now: DateTime<Utc>, out: &mut Vec<Effect>) {
        let failed = self.last.job.as_ref().filter(|job| !job.is_working()).map(|job| job.wanted.clone());
        if let Some(wanted) = failed {
            self.activate(wanted, now, out);
        }
    }

    /// Whether an activation is under way or about to be.
    pub(super) fn is_activating(&self) -> bool {
        self.last.job.as_ref().is_some_and(Job::is_working)
            || self.asked.values().any(|a| !matches!(a.purpose, Purpose::Look))
    }

    /// Forgets a failed activation that is no news any more.
    pub(super) fn forget_old_job(&mut self, now: DateTime<Utc>) {
        if self.last.job.as_ref().and_then(Job::until).is_some_and(|until| until <= now) {
            self.last.job = None;
        }
    }
}
