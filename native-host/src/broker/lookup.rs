//! A ticket as its system tells it, before anything is asked for: for pages that give a number and nothing else. It fills in a form
//! and decides nothing; what is activated on it is verified at the click as the policy says.
//!
//! Told is only what is of the technician's own customers. All else has one answer, whether there is such a ticket or not.

use std::collections::{BTreeSet, VecDeque};
use std::sync::PoisonError;

use chrono::TimeDelta;
use ticketgate_access::config::Config;
use ticketgate_access::decide::ticket::{asked_number, is_same_number, system_of, told_to};
use ticketgate_access::decide::{Asker, customers_for};
use ticketgate_protocol::api::{TicketQuestion, TicketTold};
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text::{self, FIELD_MAX};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_psa::PsaError;

use super::{Broker, Caller, Snapshot, tickets};

/// How many tickets a technician may look up in a minute. Who goes through a queue opens one every few seconds.
const PER_MINUTE: usize = 30;
/// And in an hour: enough for a day's work, too few to read a ticket system out.
const PER_HOUR: usize = 200;

/// The hosts about whose tickets this technician can ask the broker.
pub(super) fn hosts(snapshot: &Snapshot, config: &Config, asker: Asker<'_>) -> Vec<String> {
    if customers_for(config, asker).is_empty() {
        return Vec::new();
    }
    let connected = config.psas.values().filter(|psa| snapshot.psas.contains_key(&psa.id));
    let all: BTreeSet<&String> = connected.flat_map(|psa| &psa.pages).collect();
    all.into_iter().cloned().collect()
}

impl Broker {
    /// What the ticket system says of a ticket of the caller's customers.
    ///
    /// # Errors
    /// Not a technician; no configuration; a malformed question; too many of them; [`Code::TicketUnknown`] where there is nothing
    /// that this technician may hear of; [`Code::TicketSystemDown`] where the system gave no word that could be used.
    pub async fn look_up(&self, caller: &Caller, question: &TicketQuestion) -> Result<TicketTold, Problem> {
        let (technician, asker) = (caller.technician()?, caller.asker()?);
        let snapshot = self.settings();
        let config = Self::config(&snapshot)?;
        let TicketQuestion { system, number, url } = question.clone();
        let named = Ticket { system, number, url: Some(url), ..Ticket::default() };
        let named = named.checked().map_err(|bad| {
            Problem::new(Code::BadTicket, format!("What was asked about is no ticket: {bad}."))
                .remedy("Type the ticket by hand.")
        })?;
        self.may_look_up(technician).await?;
        let found = system_of(config, &named).ok().and_then(|psa| Some((psa, snapshot.psas.get(&psa.id)?)));
        let Some((settings, psa)) = found else {
            return Err(Problem::new(
                Code::TicketUnknown,
                "No ticket system that can be asked is configured for this page.",
            )
            .remedy("Type the ticket by hand; an administrator can add the [[psa]]."));
        };
        let (name, number) = (settings.kind.name(), asked_number(settings, &named));
        if customers_for(config, asker).is_empty() {
            return Err(unknown(name, number));
        }
        let told = match tickets::read(settings, psa.as_ref(), number).await {
            Ok(told) => told,
            Err(PsaError::NoSuchTicket) => return Err(unknown(name, number)),
            Err(error) => {
                tracing::warn!(psa = %settings.id, %error, "a ticket could not be looked up");
                return Err(no_word(&error, name));
            }
        };
        if !is_same_number(&told.number, number) {
            tracing::warn!(psa = %settings.id, "it answered about another ticket than asked");
            return Err(no_word(&PsaError::Unreadable(String::new()), name));
        }
        let customers = told_to(config, asker, &settings.id, &told);
        if customers.is_empty() {
            return Err(unknown(name, number));
        }
        let line = |text: &str| text::fold(text, FIELD_MAX).map(std::borrow::Cow::into_owned);
        Ok(TicketTold {
            system_name: name.to_owned(),
            number: named.number.clone(),
            customers,
            summary: told.summary.as_deref().and_then(line),
            company: told.company.as_ref().and_then(|company| line(&company.name)),
            status: line(&told.status),
            open: !told.closed,
        })
    }

    /// Counts a look-up, and refuses one too many. They are counted apart from requests for rights, so that reading tickets never
    /// stands in the way of those, and in memory: they change nothing.
    async fn may_look_up(&self, technician: &TechnicianId) -> Result<(), Problem> {
        let now = self.clock.now();
        let refused = {
            let mut all = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, at: &mut VecDeque<_>| {
                at.retain(|at| now - *at < TimeDelta::hours(1));
                !at.is_empty()
            });
            let mine = all.entry(technician.clone()).or_default();
            let full = [(PER_MINUTE, 60, "minute"), (PER_HOUR, 3600, "hour")].into_iter().find_map(
                |(most, span_s, span)| {
                    let oldest = mine.get(mine.len().checked_sub(most)?)?;
                    let wait_s = span_s - (now - *oldest).num_seconds().max(0);
                    (wait_s > 0).then_some((most, span, wait_s))
                },
            );
            if full.is_none() {
                mine.push_back(now);
            }
            full
        };
        let Some((most, span, wait_s)) = refused else { return Ok(()) };
        let problem =
            Problem::new(Code::RateLimited, format!("More than {most} tickets were looked up in a {span}."))
                .remedy(format!("Type the ticket by hand, or wait {wait_s} seconds."))
                .retry_after(u32::try_from(wait_s).unwrap_or(3600));
        Err(self.flooded_as(technician, problem).await)
    }
}

/// The one answer to whoever may hear nothing of a ticket, be there one or not.
fn unknown(system: &str, number: &str) -> Problem {
    Problem::new(Code::TicketUnknown, format!("{system} shows no ticket {number} of a customer of yours."))
        .remedy("Pick the customer and say why by hand; what you activate is still checked.")
}

fn no_word(error: &PsaError, system: &str) -> Problem {
    let detail = match error {
        PsaError::Unreachable(_) => "cannot be reached",
        PsaError::Ambiguous(_) => "did not answer in time",
        PsaError::Busy { .. } => "is busy",
        PsaError::Certificate(_) => "has a certificate that cannot be trusted",
        PsaError::Refused(_) | PsaError::NoSecret(_) => "refused the broker's integration",
        _ => "gave no answer that can be used",
    };
    let problem = Problem::new(Code::TicketSystemDown, format!("{system} {detail}."))
        .remedy("Pick the customer and say why by hand.");
    match error {
        PsaError::Busy { retry_after_s } => problem.retry_after(*retry_after_s),
        _ => problem,
    }
}
