//! Early ends: one session, or everything of a technician or at a customer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use ticketgate_access::roles::Reach;
use ticketgate_access::session::Session;
use ticketgate_ledger::{Answer, Change, LedgerError, SessionFilter};
use ticketgate_protocol::api::{self, EndCause};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId};
use ticketgate_protocol::problem::{Code, Problem};

use super::parts::{accounts_of, goes_on};
use super::people::not_reached;
use super::service::{PATIENCE, fingerprint};
use super::{Broker, Caller, ledger_problem, records};

/// Between two tries to write an end whose rows somebody else changed meanwhile. An end does not yield to what goes on around it, such
/// as extensions that are made and undone: it is tried for as long as its caller waits.
const AGAIN: Duration = Duration::from_millis(5);

impl Broker {
    /// Ends a session now. The answer's state says whether it is verified as taken away or still `ending`.
    ///
    /// # Errors
    /// No such session of this caller; already over; ledger down.
    pub async fn end(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        id: &SessionId,
    ) -> Result<api::Session, Problem> {
        let fingerprint = fingerprint("end", &id);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(again) = self.repeated(caller, key, fingerprint).await? {
                return again;
            }
            let session = self.visible(caller, id).await?;
            let parts = self.parts(&session).await?;
            let Some(session) = parts.iter().map(|(part, _)| part).find(|part| goes_on(part)) else {
                // Ending what is ending or over is no mistake: say where it stands.
                return self.seen(session.of()).await;
            };
            let own = caller.person.as_ref() == Some(&session.technician);
            if !own && !caller.ends_sessions().is_at(&session.customer) {
                return Err(self.may_not_end(caller, id).await);
            }
            let cause = if own { EndCause::Technician } else { EndCause::Administrator };
            if self
                .mark_ending(session, cause, &caller.actor(), self.answer(caller, key, fingerprint, id))
                .await?
            {
                // What cannot be taken away now stays `ending` and is retried; that is the answer then, not an error.
                self.converge_patiently(&accounts_of(&parts)).await;
                return self.seen(session.of()).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(ledger_problem(&LedgerError::Conflict(String::new())))
    }

    /// The emergency brake: ends every session of a technician or at a customer.
    ///
    /// # Errors
    /// Nobody named; not an administrator (unless it is one's own); ledger down.
    pub async fn end_all(
        self: &Arc<Self>,
        caller: &Caller,
        which: &api::EndAll,
    ) -> Result<Vec<api::Session>, Problem> {
        if which.technician.is_none() && which.customer.is_none() {
            return Err(Problem::new(
                Code::MalformedRequest,
                "Say whose sessions: a technician, a customer, or both.",
            )
            .remedy("Name at least one of them."));
        }
        let own = which.technician.is_some() && which.technician == caller.person;
        let reach = caller.ends_sessions();
        let may = own
            || reach == Reach::Everywhere
            || which.customer.as_ref().is_some_and(|customer| reach.is_at(customer));
        if !may {
            let problem = not_reached();
            if let Some(technician) = &caller.person {
                let details = records::details([
                    ("technician", json!(which.technician)),
                    ("customer", json!(which.customer)),
                    ("code", json!(problem.code)),
                ]);
                let record =
                    records::record(None, "end_all.refused", technician.as_str(), "refused", details);
                self.audit_refusal(record, technician).await?;
            }
            return Err(problem);
        }
        let filter = SessionFilter {
            technician: which.technician.clone(),
            customer: which.customer.clone(),
            open: true,
            limit: None,
            ..SessionFilter::default()
        };
        let sessions = self.ledger.sessions(filter.clone()).await.map_err(|e| ledger_problem(&e))?;
        let cause = if own { EndCause::Technician } else { EndCause::Administrator };
        let mut work = tokio::task::JoinSet::new();
        let mut ids: Vec<_> = sessions.iter().map(|s| s.of().clone()).collect();
        let mut told = BTreeSet::new();
        ids.retain(|id| told.insert(id.clone()));
        let mut failed = None;
        for session in sessions {
            // One that cannot be braked does not save the others.
            if let Err(problem) = self.brake(&session.id, cause, &caller.actor()).await {
                failed.get_or_insert(problem);
                continue;
            }
            let broker = Arc::clone(self);
            work.spawn(async move { broker.converge_patiently(&[session.account]).await });
        }
        work.join_all().await;
        if let Some(problem) = failed {
            return Err(problem);
        }
        let mut ended = Vec::new();
        for id in ids {
            ended.push(self.seen(&id).await?);
        }
        Ok(ended)
    }

    /// Somebody sees a session and may not end it.
    async fn may_not_end(&self, caller: &Caller, id: &SessionId) -> Problem {
        let problem = not_reached();
        if let Some(technician) = &caller.person {
            let details = records::details([("session", json!(id)), ("code", json!(problem.code))]);
            let record = records::record(None, "session.refused", technician.as_str(), "refused", details);
            // Whatever becomes of the record, the answer is the same.
            let _ = self.audit_refusal(record, technician).await;
        }
        problem
    }

    /// Writes that a session ends, however often its row changes meanwhile.
    async fn brake(&self, id: &SessionId, cause: EndCause, actor: &str) -> Result<(), Problem> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
            let Some(session) = session.filter(goes_on) else {
                return Ok(());
            };
            if self.mark_ending(&session, cause, actor, None).await? {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Err(ledger_problem(&LedgerError::Conflict(String::new())))
    }

    /// Writes that a session ends; `false`: the row changed meanwhile.
    async fn mark_ending(
        &self,
        session: &Session,
        cause: EndCause,
        actor: &str,
        answers: Option<Answer>,
    ) -> Result<bool, Problem> {
        let Some((account, sessions)) =
            self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?
        else {
            return Ok(false);
        };
        let (key, going, now) = (account.key.clone(), std::slice::from_ref(session), self.clock.now());
        let change = self.ending_whole(account, &sessions, going, cause, actor, now).await;
        let change = change.map_err(|e| ledger_problem(&e))?;
        match self.commit_ending(Change { answers, ..change }, &key).await {
            Ok(()) => Ok(true),
            Err(LedgerError::Conflict(_) | LedgerError::Seen(_)) => Ok(false),
            Err(error) => Err(ledger_problem(&error)),
        }
    }
}
