//! May this technician have this policy now? One pure function, asked by the popup's preview and by the broker's decision.
//! Nothing is looked up, counted or written here.

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{Activate, Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text::{self, REASON_MAX};
use ticketgate_protocol::ticket::Ticket;

use crate::config::{Config, Policy};
use crate::session::{Right, Session};

/// The shortest session, in seconds: shorter ones would be over before anybody could log on.
pub const SHORTEST_S: i64 = 5;

/// What a decision needs to know besides the configuration.
#[derive(Debug, Clone, Copy)]
pub struct DecisionFacts {
    /// The broker's time.
    pub now: DateTime<Utc>,
}

/// A wish that may be granted, checked in every part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The policy.
    pub policy: PolicyId,
    /// Its name.
    pub policy_name: String,
    /// The customer.
    pub customer: CustomerId,
    /// The directory.
    pub directory: DirectoryId,
    /// How the account is used.
    pub mode: Mode,
    /// What it grants.
    pub rights: Vec<Right>,
    /// When it ends, if it starts now.
    pub until: DateTime<Utc>,
    /// The latest end that extensions can reach.
    pub latest_end: DateTime<Utc>,
    /// Why, as a clean line.
    pub reason: String,
    /// For which ticket, every field clean.
    pub ticket: Option<Ticket>,
}

/// Decides about a wish, check by check in a fixed order; the first that fails is the answer.
///
/// Somebody who is eligible for nothing at a customer learns nothing about it: an unknown policy and one of others sound the same.
///
/// # Errors
/// The refusal.
pub fn decide(
    config: &Config,
    technician: &TechnicianId,
    wish: &Activate,
    facts: DecisionFacts,
) -> Result<Granted, Problem> {
    if !config.technicians.contains_key(technician) {
        return Err(Problem::new(
            Code::NotATechnician,
            "You are not a technician in the broker's configuration.",
        )
        .remedy("Ask an administrator to add you."));
    }
    if !config.customers.contains_key(&wish.customer) {
        return Err(Problem::new(Code::UnknownCustomer, format!("There is no customer {}.", wish.customer))
            .remedy("Pick one in the popup, or ask an administrator to add it."));
    }
    let policy = offered(config, technician, wish)?;
    let Some(customer) = config.customer_of(policy).map(|c| &c.id).filter(|id| **id == wish.customer) else {
        return Err(Problem::new(
            Code::WrongCustomer,
            format!("The policy {} does not belong to the customer {}.", wish.policy, wish.customer),
        )
        .remedy("Pick a policy of this customer."));
    };
    if let Some(unmet) = policy.unmet.first() {
        return Err(Problem::new(
            Code::BadConfiguration,
            format!("The policy asks for {unmet}, which this version cannot check, so it is refused."),
        )
        .remedy("Ask an administrator to update the broker or to change the policy."));
    }
    let max = i64::from(policy.duration.max_s);
    if !(SHORTEST_S..=max).contains(&wish.duration_s) {
        return Err(Problem::new(
            Code::BadDuration,
            format!("A session of {} is between {SHORTEST_S} seconds and {}.", policy.name, plain_time(max)),
        )
        .remedy("Choose another duration."));
    }
    let reason = text::line(&wish.reason, REASON_MAX).map_err(|bad| {
        Problem::new(Code::BadReason, format!("The reason {bad}."))
            .remedy("Say in one line why you need the right.")
    })?;
    let ticket = match &wish.ticket {
        Some(ticket) => Some(ticket.checked().map_err(|bad| {
            Problem::new(Code::BadTicket, format!("It cannot be accepted that {bad}."))
                .remedy("Correct it, or type the ticket by hand.")
        })?),
        None if policy.ticket_required => {
            return Err(Problem::new(Code::TicketRequired, format!("{} needs a ticket.", policy.name))
                .remedy("Open the ticket's page, or type its number."));
        }
        None => None,
    };
    Ok(Granted {
        policy: policy.id.clone(),
        policy_name: policy.name.clone(),
        customer: customer.clone(),
        directory: policy.directory.clone(),
        mode: policy.mode,
        rights: policy.rights.clone(),
        until: facts.now + TimeDelta::seconds(wish.duration_s),
        latest_end: facts.now + TimeDelta::seconds(max),
        reason,
        ticket,
    })
}

/// The policy, if this technician may know of it and use it.
fn offered<'a>(
    config: &'a Config,
    technician: &TechnicianId,
    wish: &Activate,
) -> Result<&'a Policy, Problem> {
    let known = config.policies.get(&wish.policy);
    if let Some(policy) = known.filter(|p| is_eligible(config, technician, p)) {
        return Ok(policy);
    }
    let insider = policies_for(config, technician)
        .iter()
        .any(|p| config.customer_of(p).is_some_and(|c| c.id == wish.customer));
    if known.is_some() && insider {
        return Err(Problem::new(
            Code::NotEligible,
            format!("You are not eligible for the policy {}.", wish.policy),
        )
        .remedy("Ask an administrator for it, or pick another policy."));
    }
    Err(Problem::new(Code::UnknownPolicy, format!("There is no policy {} for you.", wish.policy))
        .remedy("Pick one in the popup, or ask an administrator."))
}

/// Decides about a later end: at most the policy's maximum, whatever was asked for.
///
/// # Errors
/// The refusal.
pub fn decide_extension(
    config: &Config,
    session: &Session,
    by_s: i64,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Problem> {
    if session.state != State::Active || now >= session.until {
        return Err(Problem::new(Code::WrongState, "Only an active session can be extended.")
            .remedy("Activate the policy again."));
    }
    if by_s <= 0 {
        return Err(Problem::new(Code::BadDuration, "A session can only be extended by a positive time.")
            .remedy("Choose another duration, or end the session."));
    }
    let policy = config.policies.get(&session.policy);
    if !policy.is_some_and(|p| p.unmet.is_empty() && is_eligible(config, &session.technician, p)) {
        return Err(Problem::new(Code::NotEligible, "You are no longer eligible for this session's policy.")
            .remedy("The session goes on to its end. Ask an administrator if you need more."));
    }
    if session.until >= session.latest_end {
        return Err(Problem::new(Code::AtMaximum, "The session has reached the policy's maximum.")
            .remedy("Activate the policy again when it has ended."));
    }
    let wanted = TimeDelta::try_seconds(by_s).and_then(|by| session.until.checked_add_signed(by));
    Ok(wanted.map_or(session.latest_end, |until| until.min(session.latest_end)))
}

/// Whether the technician may use the policy: named, or in one of its groups.
#[must_use]
pub fn is_eligible(config: &Config, technician: &TechnicianId, policy: &Policy) -> bool {
    let Some(person) = config.technicians.get(technician) else { return false };
    policy.eligible.technicians.contains(technician) || !policy.eligible.groups.is_disjoint(&person.groups)
}

/// The policies that the technician may use, by id.
#[must_use]
pub fn policies_for<'a>(config: &'a Config, technician: &TechnicianId) -> Vec<&'a Policy> {
    config.policies.values().filter(|p| is_eligible(config, technician, p)).collect()
}

/// A duration as people say it.
fn plain_time(seconds: i64) -> String {
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, s) => format!("{s} seconds"),
        (0, m, _) => format!("{m} minutes"),
        (h, 0, _) => format!("{h} hours"),
        (h, m, _) => format!("{h} hours {m} minutes"),
    }
}
