//! What a caller can ask for: each is a decision, one durable write, and then [`Broker::converge`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use ticketgate_access::config::{Config, DirectoryKind, Policy};
use ticketgate_access::decide::{self, DecisionFacts, Granted};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_ledger::{Answer, Answered, Change, Guard, LedgerError, Limit, SessionFilter};
use ticketgate_protocol::api::{self, EndCause, Mode, State};
use ticketgate_protocol::ids::{IdempotencyKey, SessionId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

use super::converge::{directory_problem, ending};
use super::{Broker, Caller, Snapshot, ledger_problem, may_see, records};
use crate::handover::PasswordHandOver;

/// How long a caller waits for a directory; the work goes on without the caller.
const PATIENCE: Duration = Duration::from_secs(25);

/// How often a decision is made again because another request changed the same rows.
const TRIES: usize = 5;

/// The result of one try.
enum Try {
    /// It is in the ledger.
    Done,
    /// Another request was quicker: read again and decide again.
    Again,
    /// The key was answered before.
    Before(Answered),
}

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
        if caller.technician.is_some() || caller.administrator || caller.own {
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
        let snapshot = self.settings();
        let config = Self::config(&snapshot)?;
        let mine =
            SessionFilter { technician: Some(technician.clone()), open: true, ..SessionFilter::default() };
        let sessions = self.list(mine).await?;
        let policies: Vec<_> = decide::policies_for(config, technician)
            .into_iter()
            .filter_map(|p| show_policy(&snapshot, config, p))
            .collect();
        let with_policies: BTreeSet<_> = policies.iter().map(|p| p.customer.clone()).collect();
        let customers = config.customers.values().filter(|c| with_policies.contains(&c.id));
        Ok(api::Overview {
            technician: technician.clone(),
            now: self.clock.now(),
            customers: customers
                .map(|c| api::Customer { id: c.id.clone(), name: c.name.clone(), aliases: c.aliases.clone() })
                .collect(),
            policies,
            sessions,
            notices: self.notices(&snapshot),
        })
    }

    /// What [`Broker::activate`] would say now.
    ///
    /// # Errors
    /// Not a technician; no configuration. A refusal is an answer, not an error.
    pub fn preview(&self, caller: &Caller, request: &api::Activate) -> Result<api::Preview, Problem> {
        let technician = caller.technician()?;
        let snapshot = self.settings();
        let facts = DecisionFacts { now: self.clock.now() };
        Ok(match decide::decide(Self::config(&snapshot)?, technician, request, facts) {
            Ok(granted) => api::Preview { refusal: None, until: Some(granted.until) },
            Err(problem) => api::Preview { refusal: Some(problem), until: None },
        })
    }

    /// Grants a session, and answers once it is verified in the directory (or still under way after 25 seconds).
    ///
    /// # Errors
    /// Why it was refused or failed. A failed one was taken back, or is being taken back until it is.
    pub async fn activate(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        request: &api::Activate,
    ) -> Result<api::Session, Problem> {
        let technician = caller.technician()?.clone();
        let fingerprint = fingerprint("activate", request);
        self.follow_clock_when_idle().await;
        for _ in 0..TRIES {
            if let Some(answered) =
                self.ledger.answered(&technician, key).await.map_err(|e| ledger_problem(&e))?
            {
                return self.answer_again(&answered, fingerprint).await;
            }
            let snapshot = self.settings();
            let facts = DecisionFacts { now: self.clock.now() };
            let granted = match decide::decide(Self::config(&snapshot)?, &technician, request, facts) {
                Ok(granted) => granted,
                Err(problem) => return Err(self.refuse(&snapshot, &technician, request, problem).await),
            };
            let session = new_session(&technician, &granted, facts.now);
            let answer = Answer {
                technician: technician.clone(),
                key: key.clone(),
                request: fingerprint,
                session: session.id.clone(),
            };
            match self.begin(&snapshot, &session, answer, request).await? {
                Try::Done => {
                    tracing::info!(session = %session.id, technician = %technician, policy = %session.policy, "activating");
                    let problem = self.converge_patiently(&session.account).await;
                    let session = self.outcome(&session.id).await?;
                    // Given up, though even that cannot be recorded now: it is not under way any more.
                    return match problem {
                        Some(problem)
                            if session.state == State::Activating && problem.code != Code::TimedOut =>
                        {
                            Err(problem)
                        }
                        _ => Ok(session),
                    };
                }
                Try::Before(answered) => return self.answer_again(&answered, fingerprint).await,
                Try::Again => {}
            }
        }
        Err(ledger_problem(&LedgerError::Conflict(String::new())))
    }

    /// Makes the session durable, with its end, before anything is granted.
    async fn begin(
        &self,
        snapshot: &Snapshot,
        session: &Session,
        answer: Answer,
        request: &api::Activate,
    ) -> Result<Try, Problem> {
        let config = Self::config(snapshot)?;
        let lock = self.locks.of(&session.account);
        let _one_at_a_time = lock.lock().await;
        let known = self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?;
        let (mut account, others) = known.unwrap_or_else(|| (new_account(config, session), Vec::new()));
        if !others.iter().any(|s| s.is_live(session.requested_at)) {
            account.password_generation += 1;
        }
        follow_configured_name(&mut account, config, session, &others)?;
        if account.mode == Mode::Membership {
            account.standing = self.standing(snapshot, &account, &others, session).await?;
        }
        account.settled = false;
        let change = Change {
            name: "ledger.session_begin",
            at: session.requested_at,
            sessions: vec![session.clone()],
            audit: vec![records::about(
                session,
                Some(&account),
                "activation.requested",
                session.technician.as_str(),
                "ok",
                records::Details::new(),
            )],
            accounts: vec![account],
            guard: Some(Guard {
                technician: session.technician.clone(),
                rate: Some(config.broker.rate),
                sessions_at_once: Some(config.broker.sessions_at_once),
            }),
            answers: Some(answer),
        };
        match self.commit(change).await {
            Ok(()) => {
                // Due at its end from now on, whatever becomes of the activation.
                self.ends.at_latest(&session.account, session.until);
                Ok(Try::Done)
            }
            Err(LedgerError::Conflict(_)) => Ok(Try::Again),
            Err(LedgerError::Seen(answered)) => Ok(Try::Before(answered)),
            Err(LedgerError::TooMany { limit: Limit::Sessions, .. }) => {
                let problem = sessions_problem(config);
                let actor = session.technician.as_str();
                let record =
                    records::refused("activation.refused", actor, request, Some(&session.customer), &problem);
                self.audit_refusal(record, &session.technician).await?;
                Err(problem)
            }
            Err(LedgerError::TooMany { limit, retry_after_s }) => {
                Err(self.flooded(&session.technician, limit, retry_after_s).await)
            }
            Err(error) => Err(ledger_problem(&error)),
        }
    }

    /// Which of the session's rights the person's own account already has from elsewhere: no end may take those.
    async fn standing(
        &self,
        snapshot: &Snapshot,
        account: &Account,
        others: &[Session],
        session: &Session,
    ) -> Result<Vec<Right>, Problem> {
        let directory = Self::directory(snapshot, &account.directory)?;
        let key = |right: &Right| directory.right_key(right);
        let given: BTreeSet<_> = others.iter().flat_map(|s| s.rights.iter()).map(key).collect();
        let mut standing: BTreeSet<_> =
            account.standing.iter().filter(|right| given.contains(&key(right))).cloned().collect();
        let observed = directory.observe(account).await.map_err(|e| directory_problem(&e))?;
        if let Some(seen) = observed.account {
            let held: BTreeSet<_> = seen.rights.iter().map(key).collect();
            let before = |right: &&Right| held.contains(&key(right)) && !given.contains(&key(right));
            standing.extend(session.rights.iter().filter(before).cloned());
        }
        Ok(standing.into_iter().collect())
    }

    /// Moves a session's end, at most to the policy's maximum.
    ///
    /// # Errors
    /// Why not. The session then ends when it would have.
    pub async fn extend(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        id: &SessionId,
        by_s: i64,
    ) -> Result<api::Session, Problem> {
        let fingerprint = fingerprint("extend", &(id, by_s));
        for _ in 0..TRIES {
            if let Some(again) = self.repeated(caller, key, fingerprint).await? {
                return again;
            }
            let (session, account) = self.own(caller, id).await?;
            let snapshot = self.settings();
            let now = self.clock.now();
            let until = match decide::decide_extension(Self::config(&snapshot)?, &session, by_s, now) {
                Ok(until) => until,
                Err(problem) => {
                    let more = records::details([("code", json!(problem.code)), ("by_s", json!(by_s))]);
                    let actor = caller.actor();
                    let record = records::about(
                        &session,
                        Some(&account),
                        "session.extension_refused",
                        &actor,
                        "refused",
                        more,
                    );
                    self.audit_refusal(record, &session.technician).await?;
                    return Err(problem);
                }
            };
            let before = session.until;
            let more = records::details([("by_s", json!(by_s)), ("until_before", json!(before))]);
            let longer = Session { until, ..session.clone() };
            let change = Change {
                name: "ledger.session_extended",
                at: now,
                audit: vec![records::about(
                    &longer,
                    Some(&account),
                    "session.extended",
                    &caller.actor(),
                    "ok",
                    more,
                )],
                sessions: vec![longer],
                accounts: vec![Account { settled: false, ..account.clone() }],
                answers: self.answer(caller, key, fingerprint, id),
                guard: self.counted(&session.technician),
            };
            match self.commit(change).await {
                Ok(()) => {}
                Err(LedgerError::Conflict(_)) => continue,
                Err(LedgerError::Seen(answered)) => return self.answer_again(&answered, fingerprint).await,
                Err(LedgerError::TooMany { limit, retry_after_s }) => {
                    return Err(self.flooded(&session.technician, limit, retry_after_s).await);
                }
                Err(error) => return Err(ledger_problem(&error)),
            }
            if let Some(problem) = self.converge_patiently(&account.key).await {
                self.shorten_again(id, until, before).await;
                return Err(problem);
            }
            return self.seen(id).await;
        }
        Err(ledger_problem(&LedgerError::Conflict(String::new())))
    }

    /// The directory did not take the later end: nobody may be shown one that it does not keep.
    async fn shorten_again(self: &Arc<Self>, id: &SessionId, until: DateTime<Utc>, before: DateTime<Utc>) {
        for _ in 0..TRIES {
            let Ok(Some(session)) = self.ledger.session(id).await else { break };
            if session.until != until || session.state != State::Active {
                return;
            }
            let Ok(Some((account, _))) = self.ledger.account(&session.account).await else { break };
            let shorter = Session { until: before, ..session };
            let change = Change {
                name: "ledger.extension_undone",
                at: self.clock.now(),
                audit: vec![records::about(
                    &shorter,
                    Some(&account),
                    "session.extension_failed",
                    "broker",
                    "failed",
                    records::Details::new(),
                )],
                accounts: vec![Account { settled: false, ..account.clone() }],
                sessions: vec![shorter],
                ..Change::default()
            };
            match self.commit(change).await {
                Ok(()) => {
                    return self.ends.at_latest(
                        &account.key,
                        before.min(self.clock.now() + chrono::TimeDelta::seconds(1)),
                    );
                }
                Err(LedgerError::Conflict(_)) => {}
                Err(_) => break,
            }
        }
        tracing::error!(session = %id, "an extension that the directory did not take could not be undone in the ledger yet");
    }

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
        for _ in 0..TRIES {
            if let Some(again) = self.repeated(caller, key, fingerprint).await? {
                return again;
            }
            let session = self.visible(caller, id).await?;
            if !matches!(session.state, State::Activating | State::Active) {
                // Ending what is ending or over is no mistake: say where it stands.
                return self.seen(id).await;
            }
            let own = caller.technician.as_ref() == Some(&session.technician);
            let cause = if own { EndCause::Technician } else { EndCause::Administrator };
            if self
                .mark_ending(&session, cause, &caller.actor(), self.answer(caller, key, fingerprint, id))
                .await?
            {
                // What cannot be taken away now stays `ending` and is retried; that is the answer then, not an error.
                self.converge_patiently(&session.account).await;
                return self.seen(id).await;
            }
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
            ));
        }
        if (which.technician.is_none() || which.technician != caller.technician)
            && let Err(problem) = caller.require_administrator()
        {
            if let Some(technician) = &caller.technician {
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
        };
        let sessions = self.ledger.sessions(filter.clone()).await.map_err(|e| ledger_problem(&e))?;
        let own = which.technician.is_some() && which.technician == caller.technician;
        let cause = if own { EndCause::Technician } else { EndCause::Administrator };
        let mut work = tokio::task::JoinSet::new();
        let ids: Vec<_> = sessions.iter().map(|s| s.id.clone()).collect();
        let mut failed = None;
        for session in sessions {
            // One that cannot be braked does not save the others.
            if let Err(problem) = self.brake(&session.id, cause, &caller.actor()).await {
                failed.get_or_insert(problem);
                continue;
            }
            let broker = Arc::clone(self);
            work.spawn(async move { broker.converge_patiently(&session.account).await });
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

    /// Writes that a session ends, however often its row changes meanwhile.
    async fn brake(&self, id: &SessionId, cause: EndCause, actor: &str) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
            let Some(session) = session.filter(|s| matches!(s.state, State::Activating | State::Active))
            else {
                return Ok(());
            };
            if self.mark_ending(&session, cause, actor, None).await? {
                return Ok(());
            }
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
        let change =
            ending(account, &sessions, std::slice::from_ref(session), cause, actor, self.clock.now());
        match self.commit(Change { answers, ..change }).await {
            Ok(()) => Ok(true),
            Err(LedgerError::Conflict(_) | LedgerError::Seen(_)) => Ok(false),
            Err(error) => Err(ledger_problem(&error)),
        }
    }

    /// Hands over the password of an open session, or sets a new one first.
    ///
    /// # Errors
    /// Not this technician's session; not open; no password in this mode; no longer held; directory or ledger down.
    pub async fn password(
        self: &Arc<Self>,
        caller: &Caller,
        id: &SessionId,
        wish: api::PasswordWanted,
    ) -> Result<PasswordHandOver, Problem> {
        let (session, account) = self.own(caller, id).await?;
        if session.mode == Mode::Membership {
            return Err(Problem::new(
                Code::NoPassword,
                "This session uses your own account, so there is no password of ours.",
            ));
        }
        if session.state != State::Active {
            return Err(wrong_state(session.state));
        }
        let snapshot = self.settings();
        let account =
            if wish.renew { self.renew_password(caller, &session, account).await? } else { account };
        let Some(password) = self.passwords.get(&account.key, account.password_generation) else {
            return Err(Problem::new(
                Code::PasswordGone,
                "The broker no longer holds this session's password.",
            )
            .remedy("Ask for a new one; the old one then stops working."));
        };
        // No audit, no action: the record is there before the password leaves.
        let change = Change {
            name: "ledger.password_delivered",
            at: self.clock.now(),
            audit: vec![records::about(
                &session,
                Some(&account),
                "password.delivered",
                &caller.actor(),
                "ok",
                records::Details::new(),
            )],
            ..Change::default()
        };
        self.commit(change).await.map_err(|e| ledger_problem(&e))?;
        let clear_after_s = snapshot.config.as_ref().map_or(30, |c| c.broker.clipboard_clear_s);
        let name = account.display_name.clone().unwrap_or_else(|| account.name.clone());
        if wish.once {
            self.passwords.forget(&account.key);
            self.events.overview();
        }
        // Into the reply to the relay or the command line, over a socket that only its owner can open.
        let password = zeroize::Zeroizing::new(password.expose().to_owned());
        Ok(PasswordHandOver { account: name, password, clear_after_s })
    }

    async fn renew_password(
        self: &Arc<Self>,
        caller: &Caller,
        session: &Session,
        mut account: Account,
    ) -> Result<Account, Problem> {
        account.password_generation += 1;
        account.settled = false;
        let change = Change {
            name: "ledger.password_renewed",
            at: self.clock.now(),
            audit: vec![records::about(
                session,
                Some(&account),
                "password.renewed",
                &caller.actor(),
                "ok",
                records::Details::new(),
            )],
            accounts: vec![account.clone()],
            guard: self.counted(&session.technician),
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => {}
            Err(LedgerError::TooMany { limit, retry_after_s }) => {
                return Err(self.flooded(&session.technician, limit, retry_after_s).await);
            }
            Err(error) => return Err(ledger_problem(&error)),
        }
        match self.converge_patiently(&account.key).await {
            Some(problem) => Err(problem),
            None => Ok(account),
        }
    }

    /// Sessions as people see them.
    ///
    /// # Errors
    /// Ledger down.
    pub async fn list(&self, filter: SessionFilter) -> Result<Vec<api::Session>, Problem> {
        let snapshot = self.settings();
        let mut shown = Vec::new();
        for session in self.ledger.sessions(filter).await.map_err(|e| ledger_problem(&e))? {
            let account = self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?;
            shown.push(self.show(&snapshot, &session, account.as_ref().map(|(a, _)| a)));
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
    async fn converge_patiently(self: &Arc<Self>, key: &AccountKey) -> Option<Problem> {
        let (broker, key) = (Arc::clone(self), key.clone());
        let work = tokio::spawn(async move { broker.converge(&key).await });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(problem))) => Some(problem),
            Ok(Err(_)) => Some(Problem::new(Code::Internal, "The broker met a fault of its own.")),
            Err(_) => Some(
                Problem::new(
                    Code::TimedOut,
                    "The directory has not answered yet; the broker goes on trying.",
                )
                .retry_after(5),
            ),
        }
    }

    /// What became of an activation.
    async fn outcome(&self, id: &SessionId) -> Result<api::Session, Problem> {
        let session = self.seen(id).await?;
        let failed = session.state == State::Failed || session.end_cause == Some(EndCause::GrantFailed);
        match session.trouble.clone() {
            Some(trouble) if failed => Err(trouble.problem),
            _ if failed => Err(Problem::new(Code::DirectoryRefused, "The session could not be granted.")
                .remedy("Try again.")),
            _ => Ok(session),
        }
    }

    async fn answer_again(
        self: &Arc<Self>,
        answered: &Answered,
        fingerprint: [u8; 32],
    ) -> Result<api::Session, Problem> {
        if answered.request != fingerprint {
            return Err(Problem::new(Code::KeyReused, "This idempotency key was used for another request."));
        }
        let Some(session) = self.ledger.session(&answered.session).await.map_err(|e| ledger_problem(&e))?
        else {
            return Err(unknown_session());
        };
        if session.state == State::Activating {
            self.converge_patiently(&session.account).await;
        }
        self.outcome(&session.id).await
    }

    async fn repeated(
        self: &Arc<Self>,
        caller: &Caller,
        key: &IdempotencyKey,
        fingerprint: [u8; 32],
    ) -> Result<Option<Result<api::Session, Problem>>, Problem> {
        let Some(technician) = &caller.technician else { return Ok(None) };
        let answered = self.ledger.answered(technician, key).await.map_err(|e| ledger_problem(&e))?;
        match answered {
            Some(answered) => Ok(Some(self.answer_again(&answered, fingerprint).await)),
            None => Ok(None),
        }
    }

    fn answer(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        request: [u8; 32],
        session: &SessionId,
    ) -> Option<Answer> {
        let technician = caller.technician.clone()?;
        Some(Answer { technician, key: key.clone(), request, session: session.clone() })
    }

    async fn seen(&self, id: &SessionId) -> Result<api::Session, Problem> {
        self.view(id).await.map_err(|e| ledger_problem(&e))?.ok_or_else(unknown_session)
    }

    async fn visible(&self, caller: &Caller, id: &SessionId) -> Result<Session, Problem> {
        let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
        let may = |s: &Session| caller.administrator || caller.technician.as_ref() == Some(&s.technician);
        match session.filter(may) {
            Some(session) => Ok(session),
            None => Err(self.refuse_others(caller, id).await),
        }
    }

    /// Somebody reached for a session that is another's, or nobody's. Answer and record are the same in both cases, since
    /// technicians can read their own records.
    async fn refuse_others(&self, caller: &Caller, id: &SessionId) -> Problem {
        let problem = unknown_session();
        if let Some(technician) = &caller.technician {
            let details = records::details([("session", json!(id)), ("code", json!(problem.code))]);
            let record = records::record(None, "session.refused", technician.as_str(), "refused", details);
            // Whatever becomes of the record, the answer is the same.
            let _ = self.audit_refusal(record, technician).await;
        }
        problem
    }

    /// A session of the caller's own, with its account.
    async fn own(&self, caller: &Caller, id: &SessionId) -> Result<(Session, Account), Problem> {
        let technician = caller.technician()?;
        let session = self.ledger.session(id).await.map_err(|e| ledger_problem(&e))?;
        let Some(session) = session.filter(|s| s.technician == *technician) else {
            return Err(self.refuse_others(caller, id).await);
        };
        let account = self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?;
        account.map(|(account, _)| (session, account)).ok_or_else(unknown_session)
    }

    /// Once nothing is open, a wall clock that was set back can be followed again.
    pub(super) async fn follow_clock_when_idle(&self) {
        if self.clock.set_back_by() > chrono::TimeDelta::zero() {
            let open = SessionFilter { open: true, limit: Some(1), ..SessionFilter::default() };
            if self.ledger.sessions(open).await.is_ok_and(|s| s.is_empty()) {
                self.clock.follow_wall_clock();
            }
        }
    }
}

fn show_policy(snapshot: &Snapshot, config: &Config, policy: &Policy) -> Option<api::Policy> {
    let promises = snapshot.directories.get(&policy.directory)?.promises(policy.mode);
    Some(api::Policy {
        id: policy.id.clone(),
        name: policy.name.clone(),
        customer: config.customer_of(policy)?.id.clone(),
        mode: policy.mode,
        default_s: policy.duration.default_s,
        max_s: policy.duration.max_s,
        choices_s: policy.duration.choices_s.clone(),
        ticket_required: policy.ticket_required,
        one_click: policy.one_click,
        end_guarantee: promises.guarantee,
        end_limits: promises.limits,
    })
}

fn new_session(technician: &TechnicianId, granted: &Granted, now: DateTime<Utc>) -> Session {
    let id = crate::random::session_id(now);
    Session {
        account: AccountKey::of(&granted.directory, granted.mode, technician, &id),
        id,
        state: State::Activating,
        technician: technician.clone(),
        customer: granted.customer.clone(),
        directory: granted.directory.clone(),
        policy: granted.policy.clone(),
        policy_name: granted.policy_name.clone(),
        mode: granted.mode,
        rights: granted.rights.clone(),
        reason: granted.reason.clone(),
        ticket: granted.ticket.clone(),
        requested_at: now,
        from: now,
        until: granted.until,
        latest_end: granted.latest_end,
        active_at: None,
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 0,
    }
}

fn new_account(config: &Config, session: &Session) -> Account {
    Account {
        key: session.account.clone(),
        directory: session.directory.clone(),
        mode: session.mode,
        technician: session.technician.clone(),
        name: account_name(config, session),
        identity: None,
        display_name: None,
        token: crate::random::letters(26),
        password_generation: 0,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: None,
        version: 0,
    }
}

/// An account that goes by its name goes by the one that is configured now: an old one may be somebody else's. Only while
/// nothing is open, or what was given under the old name could no longer be taken back.
fn follow_configured_name(
    account: &mut Account,
    config: &Config,
    session: &Session,
    others: &[Session],
) -> Result<(), Problem> {
    let idle = others.is_empty() && (account.settled || account.version == 0);
    if account.mode == Mode::Membership && idle {
        // Looked up anew by its name; while a session is open, by its identity.
        account.identity = None;
        account.display_name = None;
    }
    let by_name = match account.mode {
        Mode::Dedicated => account.identity.is_none(),
        Mode::Membership => true,
        Mode::Burner => false,
    };
    let name = account_name(config, session);
    if !by_name || account.name == name {
        return Ok(());
    }
    if !idle {
        return Err(Problem::new(
            Code::WrongState,
            "The configuration names another account for you now, and the old one is still in use.",
        )
        .remedy("End your sessions in this directory first."));
    }
    account.name = name;
    Ok(())
}

/// The logon name of a session's account; at most 20 characters, as `sAMAccountName` has it.
fn account_name(config: &Config, session: &Session) -> String {
    let technician = &session.technician;
    let person = config.technicians.get(technician);
    match session.mode {
        Mode::Dedicated => {
            let template = config.directories.get(&session.directory).map(|d| match &d.kind {
                DirectoryKind::ActiveDirectory(domain) => domain.account_name.as_str(),
            });
            template.unwrap_or("jit-{technician}").replace("{technician}", technician.as_str())
        }
        Mode::Burner => {
            let owner: String = technician.as_str().chars().take(9).collect();
            format!("jit-{owner}-{}", crate::random::letters(6))
        }
        Mode::Membership => {
            let named = person.and_then(|p| p.accounts.get(&session.directory).cloned());
            named.or_else(|| person.map(|p| p.login.clone())).unwrap_or_else(|| technician.to_string())
        }
    }
}

fn fingerprint(method: &str, request: &impl Serialize) -> [u8; 32] {
    let body = serde_json::to_vec(request).unwrap_or_default();
    Sha256::new().chain_update(method).chain_update([0]).chain_update(body).finalize().into()
}

fn unknown_session() -> Problem {
    Problem::new(Code::UnknownSession, "There is no such session of yours.")
        .remedy("`ticketgate sessions` lists them.")
}

fn wrong_state(state: State) -> Problem {
    let detail = match state {
        State::Activating => "The session is not ready yet.",
        _ => "The session is over.",
    };
    Problem::new(Code::WrongState, detail)
}

fn sessions_problem(config: &Config) -> Problem {
    let most = config.broker.sessions_at_once;
    Problem::new(Code::TooManySessions, format!("You already have {most} sessions open, which is the most."))
        .remedy("End one that you no longer need.")
}
