//! Refusals as the audit log has them: each counts as a request, and a flood of them is bounded.

use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_ledger::{Change, Guard, LedgerError, Limit, NewAudit};
use ticketgate_protocol::api;
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};

use super::{Broker, Snapshot, ledger_problem, records};

impl Broker {
    /// Audits a refusal, counts it, and answers it; a flood is answered as such.
    pub(super) async fn refuse(
        &self,
        snapshot: &Snapshot,
        technician: &TechnicianId,
        request: &api::Activate,
        problem: Problem,
    ) -> Problem {
        let Ok(config) = Self::config(snapshot) else { return problem };
        let customer = config.customers.get(&request.customer).map(|c| &c.id);
        let record = records::refused("activation.refused", technician.as_str(), request, customer, &problem);
        match self.audit_refusal(record, technician).await {
            Ok(()) => problem,
            Err(other) => other,
        }
    }

    /// Records a refusal, which counts as a request.
    pub(super) async fn audit_refusal(
        &self,
        record: NewAudit,
        technician: &TechnicianId,
    ) -> Result<(), Problem> {
        let change = Change {
            name: "ledger.refusal",
            at: self.clock.now(),
            audit: vec![record],
            guard: self.counted(technician),
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => Ok(()),
            Err(LedgerError::TooMany { limit, retry_after_s }) => {
                Err(self.flooded(technician, limit, retry_after_s).await)
            }
            Err(error) => Err(ledger_problem(&error)),
        }
    }

    /// Counts a request of this technician.
    pub(super) fn counted(&self, technician: &TechnicianId) -> Option<Guard> {
        let rate = self.settings().config.as_ref().map(|c| c.broker.rate);
        Some(Guard { technician: technician.clone(), rate, sessions_at_once: None })
    }

    /// A request too many. A flood is one record a minute, so that it is seen and does not fill the log.
    pub(super) async fn flooded(
        &self,
        technician: &TechnicianId,
        limit: Limit,
        retry_after_s: u32,
    ) -> Problem {
        let rate = self.settings().config.as_ref().map(|c| c.broker.rate).unwrap_or_default();
        let problem = rate_problem(limit, retry_after_s, rate);
        let now = self.clock.now();
        {
            let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
            let lately = |at: &DateTime<Utc>| now - *at < TimeDelta::minutes(1);
            if floods.get(technician).is_some_and(lately) {
                return problem;
            }
            floods.insert(technician.clone(), now);
        }
        let details = records::details([("technician", json!(technician)), ("code", json!(problem.code))]);
        let change = Change {
            name: "ledger.flood",
            at: now,
            audit: vec![records::record(None, "requests.refused", technician.as_str(), "refused", details)],
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => problem,
            Err(error) => ledger_problem(&error),
        }
    }
}

fn rate_problem(limit: Limit, retry_after_s: u32, rate: ticketgate_access::config::RateLimits) -> Problem {
    let (most, span) = match limit {
        Limit::Minute => (rate.per_minute, "minute"),
        Limit::Hour => (rate.per_hour, "hour"),
        Limit::Day | Limit::Sessions => (rate.per_day, "day"),
    };
    Problem::new(Code::RateLimited, format!("That were more than {most} requests in a {span}."))
        .remedy(format!("Try again in {retry_after_s} seconds."))
        .retry_after(retry_after_s)
}
