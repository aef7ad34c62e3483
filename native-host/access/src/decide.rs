//! May this technician have this policy now? One function for the popup's preview and the broker's decision.
//! Limits that are counted (requests, sessions at once) are the ledger's, which counts them in the writing transaction.
//!
//! A refusal tells the person what to do and tells somebody who probes nothing: a customer at which the technician may use
//! no policy is refused in the very words of a customer that does not exist, and its policies likewise. Within a
//! customer where the technician may use something, a policy that is for others is called that.

mod asker;
pub mod ticket;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::api::{Activate, State};
use ticketgate_protocol::ids::{CustomerId, PolicyId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_protocol::text::{self, BadText, REASON_MAX};
use ticketgate_protocol::ticket::Ticket;

pub use self::asker::Asker;
use self::asker::Person;
use self::ticket::TicketCheck;
use crate::config::{Config, Customer, DirectoryKind, DurationRule, Grant, Policy, Technician, folded};
use crate::session::Session;

/// The shortest session that can be asked for, in seconds: less is over before a person has logged on.
pub const SHORTEST_S: u32 = 5;

/// No extension asks for more at once, in seconds; more is a mistake, not a wish.
const EXTENSION_MAX_S: i64 = 86_400;

/// What a decision depends on besides the configuration and the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionFacts {
    /// The broker's clock.
    pub now: DateTime<Utc>,
}

/// What a technician may have: everything that a session's record needs, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// By which policy.
    pub policy: PolicyId,
    /// The policy's name now.
    pub policy_name: String,
    /// At which customer.
    pub customer: CustomerId,
    /// The customer's name now.
    pub customer_name: String,
    /// What and where; never empty, in each directory once.
    pub grants: Vec<Grant>,
    /// For how long, in seconds.
    pub duration_s: u32,
    /// When the clock starts: now.
    pub from: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
    /// The latest end that extensions can reach.
    pub latest_end: DateTime<Utc>,
    /// Why: trimmed, bounded, clean.
    pub reason: String,
    /// For which ticket: every field trimmed, bounded, clean.
    pub ticket: Option<Ticket>,
    /// What a ticket system has to say before any of this is so.
    pub ticket_check: Option<TicketCheck>,
}

/// Decides on a wish for rights. The checks run in a fixed order, so that one wish always gets one answer: technician,
/// customer, policy, the policy's customer, eligibility, conditions, duration, reason, ticket.
///
/// # Errors
/// The first check that failed, with [`Code::NotATechnician`], [`Code::UnknownCustomer`], [`Code::UnknownPolicy`],
/// [`Code::WrongCustomer`], [`Code::NotEligible`], [`Code::BadConfiguration`] (a condition that cannot be enforced),
/// [`Code::BadDuration`], [`Code::BadReason`], [`Code::TicketRequired`], [`Code::BadTicket`], or those of [`ticket::check_of`].
pub fn decide<'a>(
    config: &Config,
    asker: impl Into<Asker<'a>>,
    wish: &Activate,
    facts: DecisionFacts,
) -> Result<Granted, Problem> {
    let person = known(config, asker.into())?;
    let technician = person.technician.as_ref();
    let named = match &wish.customer {
        Some(id) => {
            let customer = config.customers.get(id).filter(|c| serves(config, &person, &c.id));
            Some(customer.ok_or_else(|| unknown_customer(id))?)
        }
        None => None,
    };
    let (policy, customer) = config
        .policies
        .get(&wish.policy)
        .and_then(|policy| Some((policy, config.customer_of(policy)?)))
        .filter(|(_, owner)| serves(config, &person, &owner.id))
        .ok_or_else(|| unknown_policy(&wish.policy))?;
    if let Some(named) = named.filter(|named| named.id != customer.id) {
        return Err(wrong_customer(policy, customer, named));
    }
    may_use(policy, technician)?;
    can_log_on(config, policy, technician)?;
    let duration_s = duration(&policy.duration, shortest_s(config, policy), wish.duration_s)?;
    let reason = reason(&wish.reason)?;
    let ticket = ticket::claimed(policy, wish.ticket.as_ref())?;
    let ticket_check = ticket::check_of(config, policy, &technician.id, ticket.as_ref())?;
    Ok(Granted {
        policy: policy.id.clone(),
        policy_name: policy.name.clone(),
        customer: customer.id.clone(),
        customer_name: customer.name.clone(),
        grants: grants_for(config, policy, technician),
        duration_s,
        from: facts.now,
        until: after(facts.now, duration_s)?,
        latest_end: after(facts.now, policy.duration.max_s)?,
        reason,
        ticket,
        ticket_check,
    })
}

/// What a policy gives a technician: its rights, and on a machine the person's own SSH keys.
fn grants_for(config: &Config, policy: &Policy, technician: &Technician) -> Vec<Grant> {
    let with_own = |grant: &Grant| {
        let directory = config.directories.get(&grant.directory);
        let personal = directory.map(|d| d.kind.personal_rights(technician)).unwrap_or_default();
        Grant { rights: grant.rights.iter().cloned().chain(personal).collect(), ..grant.clone() }
    };
    policy.grants.iter().map(with_own).collect()
}

/// A machine that takes nothing but keys is of no use to somebody who has none.
fn can_log_on(config: &Config, policy: &Policy, technician: &Technician) -> Result<(), Problem> {
    for grant in &policy.grants {
        let Some(DirectoryKind::Local(machine)) = config.directories.get(&grant.directory).map(|d| &d.kind)
        else {
            continue;
        };
        if !machine.login.has_password() && technician.ssh_keys.is_empty() {
            return Err(Problem::new(
                Code::NotEligible,
                format!("{} takes SSH keys only, and none of yours is known.", machine.machine_name()),
            )
            .remedy("Ask an administrator to add your public key (`ssh_keys`)."));
        }
    }
    Ok(())
}

/// What an extension may give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extended {
    /// The new end.
    pub until: DateTime<Utc>,
    /// What a ticket system has to say before that is so: the same as at the beginning, by the policy as it is now.
    pub ticket_check: Option<TicketCheck>,
}

/// Decides on an extension and answers the new end. A wish beyond the latest end gets the latest end: the answer says
/// which it is. `asker` holds the session. `parts` are all parts of the session, and become longer together. The policy is asked again: whoever may no longer use it does not extend it, and a maximum that was
/// lowered meanwhile counts.
///
/// # Errors
/// [`Code::BadDuration`], [`Code::WrongState`] (not active, or over), [`Code::NotATechnician`], [`Code::UnknownPolicy`]
/// (gone meanwhile), [`Code::NotEligible`], [`Code::BadConfiguration`], [`Code::AtMaximum`], or those of [`ticket::check_of`].
pub fn decide_extension<'a>(
    config: &Config,
    asker: impl Into<Asker<'a>>,
    parts: &[Session],
    by_s: i64,
    now: DateTime<Utc>,
) -> Result<Extended, Problem> {
    if !(1..=EXTENSION_MAX_S).contains(&by_s) {
        return Err(Problem::new(
            Code::BadDuration,
            "A session can be extended by one second up to 24 hours at a time.",
        )
        .remedy("Choose a duration within these limits."));
    }
    let over = |session: &Session| session.state != State::Active || now >= session.until;
    let Some(session) = parts.first().filter(|_| !parts.iter().any(over)) else {
        return Err(Problem::new(
            Code::WrongState,
            "Only a session that is active can be extended, and this one is not.",
        )
        .remedy("Activate the policy again."));
    };
    let person = known(config, asker.into())?;
    let technician = person.technician.as_ref();
    let policy = config
        .policies
        .get(&session.policy)
        .filter(|policy| parts.iter().all(|part| policy.grants.iter().any(|grant| is_of(part, grant))))
        .ok_or_else(|| {
            Problem::new(
                Code::UnknownPolicy,
                "The policy of this session no longer exists, so it cannot be extended.",
            )
            .remedy("Choose another policy, or ask an administrator.")
        })?;
    if !config.customer_of(policy).is_some_and(|owner| person.reach.is_at(&owner.id)) {
        return Err(not_eligible(policy));
    }
    may_use(policy, technician)?;
    let granted = grants_for(config, policy, technician);
    let allowed = |part: &Session| {
        granted.iter().any(|g| is_of(part, g) && part.rights.iter().all(|right| g.rights.contains(right)))
    };
    if !parts.iter().all(allowed) {
        return Err(Problem::new(
            Code::NotEligible,
            "The policy was changed and no longer grants all that this session has.",
        )
        .remedy("Activate the policy again; this session runs to its end."));
    }
    let latest = session.latest_end.min(after(session.from, policy.duration.max_s)?);
    let wanted = session.until.checked_add_signed(TimeDelta::seconds(by_s)).unwrap_or(latest);
    let until = wanted.min(latest);
    if until <= session.until {
        return Err(Problem::new(
            Code::AtMaximum,
            format!("The session has reached the policy's maximum of {}.", spoken(policy.duration.max_s)),
        )
        .remedy("Activate the policy again when it has ended."));
    }
    let ticket_check = ticket::check_of(config, policy, &technician.id, session.ticket.as_ref())?;
    Ok(Extended { until, ticket_check })
}

/// Whether a part came of this grant, whatever its rights were then.
fn is_of(part: &Session, grant: &Grant) -> bool {
    part.directory == grant.directory && part.mode == grant.mode
}

/// The policies that a technician can be offered: eligible, and without a condition that this release cannot enforce
/// (such a policy is always refused). By customer's name, then policy's.
#[must_use]
pub fn policies_for<'c, 'a>(config: &'c Config, asker: impl Into<Asker<'a>>) -> Vec<&'c Policy> {
    let Some(person) = Person::of(config, asker.into()) else { return Vec::new() };
    let mut found: Vec<_> = config
        .policies
        .values()
        .filter(|policy| policy.unmet.is_empty() && person.is_admitted(config, policy))
        .filter_map(|policy| Some((config.customer_of(policy)?, policy)))
        .collect();
    found.sort_by_key(|(customer, policy)| (folded(&customer.name), folded(&policy.name)));
    found.into_iter().map(|(_, policy)| policy).collect()
}

/// The customers at which a technician can be offered a policy, by name.
#[must_use]
pub fn customers_for<'c, 'a>(config: &'c Config, asker: impl Into<Asker<'a>>) -> Vec<&'c Customer> {
    let mut found: Vec<&Customer> =
        policies_for(config, asker).into_iter().filter_map(|policy| config.customer_of(policy)).collect();
    // Policies come sorted by customer's name; two customers never share one.
    found.dedup_by_key(|customer| &customer.id);
    found
}

/// Whether the technician may use the policy: named, or in one of its groups.
#[must_use]
pub fn is_eligible(config: &Config, technician: &TechnicianId, policy: &Policy) -> bool {
    config.technicians.get(technician).is_some_and(|person| policy.eligible.admits(person))
}

/// Whether there is anything at this customer that the technician may use: only then is its existence told.
fn serves(config: &Config, person: &Person<'_>, customer: &CustomerId) -> bool {
    config.policies.values().any(|policy| {
        person.is_admitted(config, policy)
            && config.customer_of(policy).is_some_and(|owner| owner.id == *customer)
    })
}

fn known<'a>(config: &'a Config, asker: Asker<'a>) -> Result<Person<'a>, Problem> {
    Person::of(config, asker).ok_or_else(|| {
        Problem::new(Code::NotATechnician, "You are not known as a technician.")
            .remedy("Ask an administrator to add you to the configuration.")
    })
}

fn unknown_customer(id: &CustomerId) -> Problem {
    Problem::new(
        Code::UnknownCustomer,
        format!("There is no customer \"{id}\" that you can use a policy at."),
    )
    .remedy("Pick a customer from the list, or ask an administrator to add it.")
}

fn unknown_policy(id: &PolicyId) -> Problem {
    Problem::new(Code::UnknownPolicy, format!("There is no policy \"{id}\" that you can use."))
        .remedy("Pick a policy from the list, or ask an administrator to add it.")
}

fn wrong_customer(policy: &Policy, owner: &Customer, named: &Customer) -> Problem {
    Problem::new(
        Code::WrongCustomer,
        format!("The policy \"{}\" belongs to {}, not to {}.", policy.name, owner.name, named.name),
    )
    .remedy("Check the customer, and pick one of its own policies.")
}

fn not_eligible(policy: &Policy) -> Problem {
    Problem::new(Code::NotEligible, format!("You may not use the policy \"{}\".", policy.name))
        .remedy("Pick another policy, or ask an administrator to make you eligible.")
}

fn may_use(policy: &Policy, technician: &Technician) -> Result<(), Problem> {
    if !policy.eligible.admits(technician) {
        return Err(not_eligible(policy));
    }
    if let Some(condition) = policy.unmet.first() {
        return Err(Problem::new(
            Code::BadConfiguration,
            format!(
                "The policy \"{}\" asks for {}, which this release cannot enforce.",
                policy.name,
                in_words(condition)
            ),
        )
        .remedy("Pick another policy, or ask an administrator to change this one."));
    }
    Ok(())
}

fn in_words(condition: &str) -> &'static str {
    match condition {
        "approval" => "an approval",
        "passkey" => "a passkey",
        "ticket.end_when_closed" => "an end when the ticket closes",
        _ => "a condition",
    }
}

/// The shortest session that there is in all of a policy's directories.
fn shortest_s(config: &Config, policy: &Policy) -> u32 {
    let shortest = |grant: &Grant| match config.directories.get(&grant.directory).map(|d| &d.kind) {
        Some(DirectoryKind::Entra(tenant)) => tenant.shortest_s(grant.mode),
        _ => SHORTEST_S,
    };
    policy.grants.iter().map(shortest).max().unwrap_or(SHORTEST_S)
}

fn duration(rule: &DurationRule, shortest_s: u32, wanted: i64) -> Result<u32, Problem> {
    // A maximum below the shortest session would be a fault of the configuration; then nothing fits.
    match u32::try_from(wanted) {
        Ok(seconds) if (shortest_s..=rule.max_s).contains(&seconds) => Ok(seconds),
        _ => {
            let choices: Vec<String> = rule.choices_s.iter().map(|seconds| spoken(*seconds)).collect();
            let detail =
                format!("The duration must be between {} and {}.", spoken(shortest_s), spoken(rule.max_s));
            Err(Problem::new(Code::BadDuration, detail)
                .remedy(format!("Choose one of the durations offered: {}.", choices.join(", "))))
        }
    }
}

fn reason(written: &str) -> Result<String, Problem> {
    text::line(written, REASON_MAX).map_err(|bad| {
        let remedy = match bad {
            BadText::Empty => "Write in one line what the rights are needed for.",
            BadText::TooLong(_) => "Shorten it; the ticket holds the rest.",
            BadText::Control => "Write it in one line of ordinary text.",
        };
        Problem::new(Code::BadReason, format!("The reason {bad}.")).remedy(remedy)
    })
}

/// A time so many seconds on. Fails only for a clock that is hundreds of thousands of years off.
fn after(start: DateTime<Utc>, seconds: u32) -> Result<DateTime<Utc>, Problem> {
    start.checked_add_signed(TimeDelta::seconds(i64::from(seconds))).ok_or_else(|| {
        Problem::new(Code::Internal, "The broker's clock is wrong.").remedy("Ask an administrator to set it.")
    })
}

/// A duration as people say it: `1 h 30 min`.
#[must_use]
pub fn spoken(seconds: u32) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let spoken: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if spoken.is_empty() { "0 s".into() } else { spoken.join(" ") }
}

#[cfg(test)]
mod tests;
