//! What a ticket system says of a ticket, asked before anything is durable or granted on it. What has to be asked, and whether
//! the answer fits, is [`ticketgate_access::decide::ticket`]'s; here it is asked, and what no answer means is by the policy.
//!
//! Nothing is kept: a ticket that was open a minute ago says nothing of now, and clicks are rare.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use ticketgate_access::config::{self, Config, Verified};
use ticketgate_access::decide::ticket::{TicketCheck, fits};
use ticketgate_ledger::Limit;
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::ids::PsaId;
use ticketgate_protocol::problem::{Code, Problem};
use ticketgate_psa::{Psa, PsaError, Ticket};
use tokio::time::timeout;

use super::problems::psa_problem;
use super::{Broker, Snapshot, records};

/// However long a ticket system may take by its settings, and however many requests its connector needs: whoever waits for rights,
/// with a directory still to come, waits no longer than this for it.
const LONGEST: Duration = Duration::from_secs(8);

/// How long a system that failed on a ticket has to show that it works otherwise.
const PROBE: Duration = Duration::from_secs(2);

/// What came of asking.
#[derive(Debug)]
pub(super) enum Asked {
    /// The policy does not ask.
    Nobody,
    /// The system told this, and it is what the policy wants.
    Verified { psa: PsaId, told: Box<Ticket> },
    /// The system could not be reached, and the policy goes on without it.
    Unreachable { psa: PsaId },
}

impl Asked {
    /// For the record of what is done on it.
    pub(super) fn details(&self) -> records::Details {
        match self {
            Self::Nobody => records::details([("ticket_checked", json!("not_asked"))]),
            Self::Unreachable { psa } => {
                records::details([("ticket_checked", json!("unreachable")), ("psa", json!(psa))])
            }
            Self::Verified { psa, told } => records::details([
                ("ticket_checked", json!("verified")),
                ("psa", json!(psa)),
                (
                    "ticket_told",
                    json!({
                        "id": told.id,
                        "number": told.number,
                        "summary": told.summary,
                        "company": told.company.as_ref().map(|c| if c.name.is_empty() { &c.id } else { &c.name }),
                        "contact": told.contact_email,
                        "status": told.status,
                        "owner": told.owner,
                    }),
                ),
            ]),
        }
    }
}

impl Broker {
    /// Refuses a technician who has ticket systems asked more often than the limit of requests allows. The ledger counts requests
    /// when they are written; this keeps a flood of them from the ticket system, which comes before that.
    pub(super) async fn may_ask(&self, config: &Config, check: &TicketCheck) -> Result<(), Problem> {
        let now = self.clock.now();
        let too_early = {
            let mut asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
            asks.retain(|_, at: &mut VecDeque<_>| {
                at.retain(|at| now - *at < TimeDelta::minutes(1));
                !at.is_empty()
            });
            let mine = asks.entry(check.technician.clone()).or_default();
            if mine.len() < config.broker.rate.per_minute as usize {
                mine.push_back(now);
                None
            } else {
                mine.front().map(|first| 60 - (now - *first).num_seconds().clamp(0, 59))
            }
        };
        match too_early.map(u32::try_from) {
            None => Ok(()),
            Some(wait) => Err(self.flooded(&check.technician, Limit::Minute, wait.unwrap_or(60)).await),
        }
    }

    /// Asks the ticket system, and answers once its word fits the policy, or once the policy goes on without it.
    ///
    /// # Errors
    /// What differs, or why there is no word that can be used.
    pub(super) async fn ask(&self, snapshot: &Snapshot, check: &TicketCheck) -> Result<Asked, Problem> {
        let config = Self::config(snapshot)?;
        let (Some(settings), Some(psa)) = (config.psas.get(&check.psa), snapshot.psas.get(&check.psa)) else {
            return Err(Problem::new(
                Code::TicketUnverified,
                format!(
                    "The ticket system {} cannot be asked, and the policy needs a verified ticket.",
                    check.psa
                ),
            )
            .remedy("Tell an administrator: `ticketgate check` says why."));
        };
        let error = match read(settings, psa.as_ref(), &check.number).await {
            Ok(told) => {
                fits(config, check, &told)?;
                return Ok(Asked::Verified { psa: check.psa.clone(), told: Box::new(told) });
            }
            Err(error) => error,
        };
        tracing::warn!(psa = %check.psa, %error, "a ticket could not be verified");
        if check.rule.verified == Verified::WhenReachable && is_down(psa.as_ref(), &error).await {
            return Ok(Asked::Unreachable { psa: check.psa.clone() });
        }
        Err(psa_problem(&error, settings.kind.name(), &check.number))
    }

    /// Whether each ticket system is there and takes the integration's user.
    pub(super) async fn check_ticket_systems(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, psa) in &snapshot.psas {
            let answer = timeout(LONGEST, psa.check()).await;
            let answer = answer.unwrap_or_else(|_| Err(PsaError::Ambiguous("no answer in time".into())));
            let (level, text, remedy) = match answer {
                Ok(()) => ("ok", "reachable, and the integration's user is accepted".to_owned(), ""),
                Err(error) => ("error", error.to_string(), remedy(&error)),
            };
            findings.push(Finding {
                level: level.into(),
                subject: format!("psa {id}"),
                text,
                remedy: remedy.into(),
            });
        }
        findings
    }
}

/// The ticket, as its system tells it within its time.
pub(super) async fn read(settings: &config::Psa, psa: &dyn Psa, number: &str) -> Result<Ticket, PsaError> {
    let limit = Duration::from_secs(settings.timeout_s.into()).min(LONGEST);
    let answer = timeout(limit, psa.ticket(number)).await;
    answer.unwrap_or_else(|_| Err(PsaError::Ambiguous("no answer in time".into())))
}

/// Whether a system that gave no usable word cannot be reached, rather than failing on this one ticket: whoever names a ticket must
/// not be able to switch its check off by a number that the system stumbles over.
async fn is_down(psa: &dyn Psa, error: &PsaError) -> bool {
    match error {
        PsaError::Failed(_) | PsaError::Ambiguous(_) => match timeout(PROBE, psa.check()).await {
            Ok(Ok(())) => false,
            Ok(Err(error)) => error.is_unreachable(),
            Err(_) => true,
        },
        _ => error.is_unreachable(),
    }
}

/// What an administrator can do about it.
fn remedy(error: &PsaError) -> &'static str {
    match error {
        PsaError::Refused(_) => {
            "Check `secret`, and `login` and `client_id` where the kind has them, and what the integration's user may see."
        }
        PsaError::Certificate(_) => {
            "Name the certificates that vouch for it in `ca_file`, or mend the server's."
        }
        PsaError::NoSecret(_) => "Put the secret where `secret` says, for the broker's user alone.",
        PsaError::Unreadable(_) | PsaError::NotOffered | PsaError::NoSuchTicket => {
            "Check `kind` and `url`: the address has to be that of its API."
        }
        PsaError::Unreachable(_) | PsaError::Ambiguous(_) | PsaError::Busy { .. } | PsaError::Failed(_) => {
            "Check `url`, and whether it answers from this machine."
        }
    }
}
