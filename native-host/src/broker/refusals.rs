//! Refusals as the audit log has them: each counts as a request, and a flood of them is bounded.

use std::sync::PoisonError;

use chrono::TimeDelta;
use serde_json::json;
use ticketgate_ledger::{Change, Guard, LedgerError, Limit, NewAudit};
use ticketgate_protocol::api;
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};

use super::{Broker, Caller, Snapshot, ledger_problem, records};

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
        let named = request.customer.as_ref().and_then(|id| config.customers.get(id));
        let customer =
            named.or_else(|| config.customer_of(config.policies.get(&request.policy)?)).map(|c| &c.id);
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
        self.record_counted("ledger.refusal", record, technician).await
    }

    /// Records a request that changes nothing in the ledger but does something all the same.
    pub(super) async fn record_request(&self, caller: &Caller, record: NewAudit) -> Result<(), Problem> {
        if let Some(technician) = &caller.person {
            return self.record_counted("ledger.request", record, technician).await;
        }
        let (name, at) = ("ledger.request", self.clock.now());
        let change = Change { name, at, audit: vec![record], ..Change::default() };
        self.commit(change).await.map_err(|error| ledger_problem(&error))
    }

    async fn record_counted(
        &self,
        name: &'static str,
        record: NewAudit,
        technician: &TechnicianId,
    ) -> Result<(), Problem> {
        let change = Change {
            name,
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

    /// Records a refusal that nobody recorded, with as little as is known of the request.
    ///
    /// # Errors
    /// What the caller is told instead: the rate limit; ledger down.
    pub(super) async fn record_unheard(
        &self,
        caller: &Caller,
        request: &str,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let details = records::details([
            ("request", json!(request)),
            ("code", json!(problem.code)),
            ("detail", json!(records::printable(&problem.detail))),
        ]);
        let outcome = if problem.status >= 500 { "failed" } else { "refused" };
        let record = records::record(None, "request.refused", &caller.actor(), outcome, details);
        match &caller.person {
            Some(technician) => self.audit_refusal(record, technician).await,
            // Strangers have no budget of requests: one record a minute of each.
            None => self.record_once_a_minute(&caller.actor(), "ledger.refusal", record).await,
        }
    }

    /// One record a minute of each kind. One that could not be written does not count, so that the next is on record.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub(super) async fn record_once_a_minute(
        &self,
        kind: &str,
        name: &'static str,
        record: NewAudit,
    ) -> Result<(), Problem> {
        if self.was_flooding(kind) {
            return Ok(());
        }
        let recorded = self.record_alone(name, record).await;
        if recorded.is_err() {
            self.floods.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
        }
        recorded
    }

    /// Whether a flood of this actor was recorded within the last minute; if not, it is going to be.
    fn was_flooding(&self, actor: &str) -> bool {
        let now = self.clock.now();
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        floods.retain(|_, at| now - *at < TimeDelta::minutes(1));
        let before = floods.contains_key(actor);
        floods.entry(actor.to_owned()).or_insert(now);
        before
    }

    /// A request too many. A flood is one record a minute, so that it is seen and does not fill the log.
    pub(super) async fn flooded(
        &self,
        technician: &TechnicianId,
        limit: Limit,
        retry_after_s: u32,
    ) -> Problem {
        let rate = self.settings().config.as_ref().map(|c| c.broker.rate).unwrap_or_default();
        self.flooded_as(technician, rate_problem(limit, retry_after_s, rate)).await
    }

    /// The same for a flood that is told so.
    pub(super) async fn flooded_as(&self, technician: &TechnicianId, problem: Problem) -> Problem {
        let details = records::details([("technician", json!(technician)), ("code", json!(problem.code))]);
        let record = records::record(None, "requests.refused", technician.as_str(), "refused", details);
        let recorded = self.record_once_a_minute(technician.as_str(), "ledger.flood", record).await;
        recorded.err().unwrap_or(problem)
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
