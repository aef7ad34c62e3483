//! What a caller can ask for: each is a decision, one durable write, and then [`Broker::converge`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use ticketgate_access::config::{Config, Policy, Verified};
use ticketgate_access::decide::{self, DecisionFacts};
use ticketgate_access::session::{Account, AccountKey, Session, state_of};
use ticketgate_ledger::{Answer, Answered, SessionFilter};
use ticketgate_protocol::api::{self, EndCause, State};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId};
use ticketgate_protocol::problem::{Code, Problem};

use super::parts::{accounts_of, in_time, rows_of};
use super::{Broker, Caller, Snapshot, ledger_problem, lookup, may_see, records};

/// How long a caller waits for a directory; the work goes on without the caller.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// How often a decision is made again because another request changed the same rows.
pub(super) const TRIES: usize = 5;

impl Broker {
    /// Who serves, and whom.
    #[must_use]
    pub fn info(&self, caller: &Caller) -> api::BrokerInfo {
        api::BrokerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            protocol_min: ticketgate_protocol::PROTOCOL_MIN,
            protocol_max: ticketgate_protocol::PROTOCOL,
            technician: caller.technician.clone(),
            administrator: caller.administrator,
            now: self.clock.now(),
            notices: self.notices_for(caller),
        }
    }

    /// A stranger is told no more than that nothing can be granted.
    fn notices_for(&self, caller: &Caller) -> Vec<api::Notice> {
        let snapshot = self.settings();
        if caller.person.is_some() || caller.administrator || caller.own {
            return self.notices(&snapshot);
        }
        let problem = Self::config(&snapshot).err();
        problem.map(|p| api::Notice { level: "error".into(), text: p.detail }).into_iter().collect()
    }

    /// All that the popup needs.
    ///
    /// # Errors
    /// Not a technician; no configuration; ledger down.
    pub async fn overview(&self, caller: &Caller) -> Result<api::Overview, Problem> {
        let technician = caller.technician()?;
        let asker = caller.asker()?;
        let snapshot = self.settings();
        let config = Self::config(&snapshot)?;
        let mine =
            SessionFilter { technician: Some(technician.clone()), open: true, ..SessionFilter::default() };
        let sessions = self.list(mine).await?;
        let policies: Vec<_> = decide::policies_for(config, asker)
            .into_iter()
            .filter_map(|p| show_policy(&snapshot, config, p))
            .collect();
        let with_policies: BTreeSet<_> = policies.iter().map(|p| p.customer.clone()).collect();
        let customers = config.customers.values().filter(|c| with_policies.contains(&c.id));
        Ok(api::Overview {
            technician: technician.clone(),
            now: self.clock.now(),
            customers: customers
                .map(|c| api::Customer {
                    id: c.id.clone(),
                    name: c.name.clone(),
                    aliases: c.aliases.clone(),
                    domains: c.domains.clone(),
                })
                .collect(),
            policies,
            sessions,
            notices: self.notices(&snapshot),
            reason_template: Some(config.broker.reason_template.clone()),
            rules: snapshot.rules.texts.clone(),
            ticket_hosts: lookup::hosts(&snapshot, config, asker),
        })
    }

    /// What [`Broker::activate`] would say now, but for what only a ticket system can tell: that is asked once rights are.
    ///
    /// # Errors
    /// Not a technician; no configuration. A refusal is an answer, not an error.
    pub fn preview(&self, caller: &Caller, request: &api::Activate) -> Result<api::Preview, Problem> {
        let asker = caller.asker()?;
        let snapshot = self.settings();
        let facts = DecisionFacts { now: self.clock.now() };
        Ok(match decide::decide(Self::config(&snapshot)?, asker, request, facts) {
            Ok(granted) => api::Preview { refusal: None, until: Some(granted.until) },
            Err(problem) => api::Preview { refusal: Some(problem), until: None },
        })
    }

    /// Sessions as people see them.
    ///
    /// # Errors
    /// Ledger down.
    pub async fn list(&self, filter: SessionFilter) -> Result<Vec<api::Session>, Problem> {
        let snapshot = self.settings();
        let mut shown = Vec::new();
        // Each account once, however many sessions share it.
        let mut accounts: HashMap<AccountKey, Option<Account>> = HashMap::new();
        let mut wholes = HashSet::new();
        for session in self.ledger.sessions(filter).await.map_err(|e| ledger_problem(&e))? {
            if let Some(whole) = &session.whole {
                // Every part of it, also those that the filter leaves out; and only once.
                if wholes.insert(whole.clone()) {
                    let parts = self.ledger.parts(whole).await.map_err(|e| ledger_problem(&e))?;
                    shown.extend(self.show_whole(&snapshot, &parts));
                }
                continue;
            }
            if !accounts.contains_key(&session.account) {
                let found = self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?;
                accounts.insert(session.account.clone(), found.map(|(account, _)| account));
            }
            let account = accounts.get(&session.account).and_then(Option::as_ref);
            shown.push(self.show(&snapshot, &session, account));
        }
        Ok(shown)
    }

    /// One session, if the caller may see it.
    ///
    /// # Errors
    /// No such session of this caller; ledger down.
    pub async fn show_session(&self, caller: &Caller, id: &SessionId) -> Result<api::Session, Problem> {
        self.view(id)
            .await
            .map_err(|e| ledger_problem(&e))?
            .filter(|s| may_see(caller, s))
            .ok_or_else(unknown_session)
    }

    /// Converges and waits for it, but not for ever: the work goes on when the caller has gone.
    pub(super) async fn converge_patiently(self: &Arc<Self>, keys: &[AccountKey]) -> Option<Problem> {
        self.converge_after(keys, Duration::ZERO).await
    }

    /// The same for a caller who has waited already.
    pub(super) async fn converge_after(
        self: &Arc<Self>,
        keys: &[AccountKey],
        waited: Duration,
    ) -> Option<Problem> {
        let (broker, keys) = (Arc::clone(self), keys.to_vec());
        in_time(async move { broker.converge_all(&keys).await }, waited).await
    }

    /// What became of an activation.
    pub(super) async fn outcome(&self, id: &SessionId) -> Result<api::Session, Problem> {
        let session = self.seen(id).await?;
        let failed = session.state == State::Failed || session.end_cause == Some(EndCause::GrantFailed);
        match session.trouble.clone() {
            Some(trouble) if failed => Err(trouble.problem),
            // The directory refused nothing: whoever took the work over found nobody who still waited.
            _ if failed => Err(Problem::new(
                Code::TakenBack,
                "The broker that began this did not finish it in time, so it was taken back.",
            )
            .remedy("Try again.")),
            _ => Ok(session),
        }
    }

    pub(super) async fn answer_again(
        self: &Arc<Self>,
        answered: &Answered,
        fingerprint: [u8; 32],
    ) -> Result<api::Session, Problem> {
        if answered.request != fingerprint {
            return Err(Problem::new(Code::KeyReused, "This idempotency key was used for another request.")
                .remedy("Try again; a new request gets a new key."));
        }
        let Some(session) = self.ledger.session(&answered.session).await.map_err(|e| ledger_problem(&e))?
        else {
            return Err(unknown_session());
        };
        let parts = self.parts(&session).await?;
        if state_of(&rows_of(&parts)) == State::Activating {
            self.converge_patiently(&accounts_of(&parts)).await;
        }
        self.outcome(session.of()).await.map_err(settled)
    }

    pub(super) async fn repeated(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
    ) -> Result<Option<Result<api::Session, Problem>>, Problem> {
        let Some(technician) = &caller.person else { return Ok(None) };
        let answered = self.ledger.answered(technician, key).await.map_err(|e| ledger_problem(&e))?;
        match answered {
            Some(answered) => Ok(Some(self.answer_again(&answered, fingerprint).await)),
            None => Ok(None),
        }
    }

    pub(super) fn answer(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        request: [u8; 32],
        session: &SessionId,
    ) -> Option<Answer> {
        let technician = caller.person.clone()?;
        Some(Answer { technician, key: key.clone(), request, session: session.clone() })
    }

    pub(super) async fn seen(&self, id: &SessionId) -> Result<api::Session, Problem> {
        self.view(id).await.map_err(|e| ledger_problem(&e))?.ok_or_else(unknown_session)
    }

    pub(super) async fn visible(&self, caller: &Caller, id: &SessionId) -> Result<Session, Problem> {
        let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
        let reach = caller.sees_sessions().or(&caller.ends_sessions());
        let may = |s: &Session| reach.is_at(&s.customer) || caller.person.as_ref() == Some(&s.technician);
        match session.filter(may) {
            Some(session) => Ok(session),
            None => Err(self.refuse_others(caller, id).await),
        }
    }

    /// Somebody reached for a session that is another's, or nobody's. Answer and record are the same in both cases, since
    /// technicians can read their own records.
    pub(super) async fn refuse_others(&self, caller: &Caller, id: &SessionId) -> Problem {
        let problem = unknown_session();
        if let Some(technician) = &caller.person {
            let details = records::details([("session", json!(id)), ("code", json!(problem.code))]);
            let record = records::record(None, "session.refused", technician.as_str(), "refused", details);
            // Whatever becomes of the record, the answer is the same.
            let _ = self.audit_refusal(record, technician).await;
        }
        problem
    }

    /// The parts of a session of the caller's own, each with its account. Never none.
    pub(super) async fn own(
        &self,
        caller: &Caller,
        id: &SessionId,
    ) -> Result<Vec<(Session, Account)>, Problem> {
        let technician = caller.technician()?;
        let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
        let Some(session) = session.filter(|s| s.technician == *technician) else {
            return Err(self.refuse_others(caller, id).await);
        };
        self.parts(&session).await
    }

    /// Once nothing is open, a wall clock that was set back can be followed again.
    pub(super) async fn follow_clock_when_idle(&self) {
        if self.clock.set_back_by() > chrono::TimeDelta::zero() {
            // Nothing begins between the look and the following: it would have its end by the clock before.
            let _none_begins = self.reload.write().await;
            let open = SessionFilter { open: true, limit: Some(1), ..SessionFilter::default() };
            if self.ledger.sessions(open).await.is_ok_and(|s| s.is_empty()) {
                self.note_clock_set_back(self.clock.now());
                self.clock.follow_wall_clock();
                self.ends.all_now(self.clock.now());
            }
        }
        self.record_clock_set_back().await;
    }
}

/// A failed activation as a repeat of its request finds it. What passed by then (a ledger or a directory that was away) would ask the
/// caller to repeat it once more, for ever.
fn settled(problem: Problem) -> Problem {
    match problem.code {
        Code::LedgerDown | Code::TimedOut | Code::Internal => {
            Problem::new(Code::TakenBack, "What this needed was away at the time, so it was taken back.")
                .remedy("Try again.")
        }
        _ => problem,
    }
}

fn show_policy(snapshot: &Snapshot, config: &Config, policy: &Policy) -> Option<api::Policy> {
    let (end_guarantee, end_limits) = promised(snapshot, policy)?;
    let mode = policy.grants.first()?.mode;
    Some(api::Policy {
        id: policy.id.clone(),
        name: policy.name.clone(),
        customer: config.customer_of(policy)?.id.clone(),
        mode,
        default_s: policy.duration.default_s,
        max_s: policy.duration.max_s,
        choices_s: policy.duration.choices_s.clone(),
        ticket_required: policy.ticket.required,
        ticket_verified: policy.ticket.verified != Verified::Never,
        one_click: policy.one_click,
        end_guarantee,
        end_limits,
    })
}

/// What the policy's directories end by themselves, and what an end does not stop. Of several each is named, since they differ.
fn promised(snapshot: &Snapshot, policy: &Policy) -> Option<(String, String)> {
    let mut all = Vec::new();
    for grant in &policy.grants {
        let promises = snapshot.directories.get(&grant.directory)?.promises(grant.mode);
        all.push((&grant.directory, promises.guarantee, promises.limits));
    }
    if let [(_, guarantee, limits)] = all.as_slice() {
        return Some((guarantee.clone(), limits.clone()));
    }
    let guarantees: Vec<_> = all.iter().map(|(directory, said, _)| format!("{directory}: {said}")).collect();
    let limits: Vec<_> = all.iter().map(|(directory, _, said)| format!("{directory}: {said}")).collect();
    Some((guarantees.join(" "), limits.join(" ")))
}

pub(super) fn fingerprint(method: &str, request: &impl Serialize) -> [u8; 32] {
    let body = serde_json::to_vec(request).unwrap_or_default();
    Sha256::new().chain_update(method).chain_update([0]).chain_update(body).finalize().into()
}

/// Work that panicked: its account is due again, and the log has the rest.
pub(super) fn fault() -> Problem {
    Problem::new(Code::Internal, "The broker met a fault of its own.")
        .remedy("Look at your sessions, then try again; the broker's log says more.")
}

pub(super) fn unknown_session() -> Problem {
    Problem::new(Code::UnknownSession, "There is no such session of yours.")
        .remedy("`ticketgate sessions` lists them.")
}

pub(super) fn wrong_state(state: State) -> Problem {
    let detail = match state {
        State::Activating => "The session is not ready yet.",
        _ => "The session is over.",
    };
    Problem::new(Code::WrongState, detail).remedy("`ticketgate sessions` shows where it stands.")
}
