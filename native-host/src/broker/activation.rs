//! Activation: a decision, what the ticket system says where the policy asks, the durable session with its end, then the directory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use ticketgate_access::config::{BURNER_LETTERS, Config, Grant};
use ticketgate_access::decide::{self, Asker, DecisionFacts, Granted};
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_ledger::{Answer, Answered, Change, Guard, LedgerError, Limit};
use ticketgate_protocol::api::{self, Mode, State};
use ticketgate_protocol::ids::{IdempotencyKey, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};

use super::leases::Held;
use super::problems::directory_problem;
use super::service::{TRIES, fingerprint};
use super::tickets::Asked;
use super::{Broker, Caller, Snapshot, ledger_problem, records, traces};

/// The result of one try.
enum Try {
    /// It is in the ledger, and its accounts are held.
    Done(Vec<Held>),
    /// Another request was quicker, or configuration or clock is another one: read again and decide again.
    Again,
    /// The key was answered before.
    Before(Answered),
}

impl Broker {
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
        traces::note("ticketgate.policy", &request.policy);
        let begun = Instant::now();
        self.follow_clock_when_idle().await;
        for _ in 0..TRIES {
            if let Some(answered) =
                self.ledger.answered(&technician, key).await.map_err(|e| ledger_problem(&e))?
            {
                return self.answer_again(&answered, fingerprint).await;
            }
            let snapshot = self.settings();
            let (parts, asked) = match self.decided(&snapshot, caller.asker()?, request).await? {
                Ok(decided) => decided,
                Err(problem) => return Err(self.refuse(&snapshot, &technician, request, problem).await),
            };
            let Some(first) = parts.first() else { break };
            let answer = Answer {
                technician: technician.clone(),
                key: key.clone(),
                request: fingerprint,
                session: first.id.clone(),
            };
            match self.begin(&snapshot, &parts, &asked, answer, request).await? {
                Try::Done(held) => {
                    tracing::info!(session = %first.id, technician = %technician, policy = %first.policy, "activating");
                    let problem = self.grant_all(&parts, held, begun.elapsed()).await;
                    let session = self.outcome(&first.id).await?;
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

    /// The parts of the session that a wish comes to, or why it is refused. Where a ticket system has to be asked, its time starts after that.
    ///
    /// # Errors
    /// No configuration; too many requests, which are on record already.
    async fn decided(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        asker: Asker<'_>,
        request: &api::Activate,
    ) -> Result<Result<(Vec<Session>, Asked), Problem>, Problem> {
        let config = Self::config(snapshot)?;
        let decide = |now| {
            let granted = decide::decide(config, asker, request, DecisionFacts { now })?;
            Ok((new_parts(asker.technician, &granted, now), granted.ticket_check))
        };
        let (parts, check) = match decide(self.clock.now()) {
            Ok(decided) => decided,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(check) = check else { return Ok(Ok((parts, Asked::Nobody))) };
        self.may_ask(config, &check).await?;
        for part in parts {
            self.look_ahead(snapshot, part);
        }
        let asked = match self.ask(snapshot, &check).await {
            Ok(asked) => asked,
            Err(problem) => return Ok(Err(problem)),
        };
        Ok(decide(self.clock.now()).map(|(parts, _)| (parts, asked)))
    }

    /// Looks at the account while a ticket system is being asked, so that the connection is there when it is needed. What is seen
    /// is forgotten: nothing is decided on it.
    fn look_ahead(self: &Arc<Self>, snapshot: &Arc<Snapshot>, session: Session) {
        if session.mode == Mode::Burner {
            return;
        }
        let (broker, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        tokio::spawn(async move {
            let Ok(known) = broker.ledger.account(&session.account).await else { return };
            let account = match (known, &snapshot.config) {
                (Some((account, _)), _) => account,
                (None, Some(config)) => new_account(config, &session),
                (None, None) => return,
            };
            if let Some(directory) = snapshot.directories.get(&session.directory) {
                let _ = directory.observe(&account).await;
            }
        });
    }

    /// Makes the session durable, all parts of it with their end, before anything is granted.
    async fn begin(
        &self,
        snapshot: &Arc<Snapshot>,
        parts: &[Session],
        asked: &Asked,
        answer: Answer,
        request: &api::Activate,
    ) -> Result<Try, Problem> {
        let config = Self::config(snapshot)?;
        let Some(first) = parts.first() else { return Ok(Try::Again) };
        let keys: Vec<_> = parts.iter().map(|part| part.account.clone()).collect();
        let held = self.hold_all(&self.locks, &keys).await.map_err(|e| ledger_problem(&e))?;
        let mut beginning = Vec::new();
        let mut beside = Vec::new();
        for part in parts {
            let known = self.ledger.account(&part.account).await.map_err(|e| ledger_problem(&e))?;
            // Another broker began it since there was none to have a lease on: under that one's lease this would be taken back.
            if known.is_some() && held.iter().any(|held| *held.key() == part.account && held.has_no_lease()) {
                return Ok(Try::Again);
            }
            let (mut account, others) = known.unwrap_or_else(|| (new_account(config, part), Vec::new()));
            if !others.iter().any(|s| s.is_live(part.requested_at)) {
                account.password_generation += 1;
            }
            if let Err(problem) = self.fit_to_person(snapshot, &mut account, &others, part).await {
                return Err(self.refuse(snapshot, &part.technician, request, problem).await);
            }
            account.settled = false;
            account.gone = false;
            self.make_due_now(&mut account);
            beginning.push((part.clone(), account));
            beside.push(others);
        }
        let _no_reload = self.reload.read().await;
        // Another configuration, or a clock that was followed back meanwhile: by it the end would come too late.
        if !Arc::ptr_eq(snapshot, &self.settings()) || self.clock.now() < first.requested_at {
            return Ok(Try::Again);
        }
        let technician = &first.technician;
        let record = records::about_whole(
            &beginning,
            "activation.requested",
            technician.as_str(),
            "ok",
            asked.details(),
        );
        let change = Change {
            name: "ledger.session_begin",
            at: first.requested_at,
            sessions: parts.to_vec(),
            audit: record.into_iter().collect(),
            accounts: beginning.iter().map(|(_, account)| account.clone()).collect(),
            widens: true,
            guard: Some(Guard {
                technician: technician.clone(),
                rate: Some(config.broker.rate),
                sessions_at_once: Some(config.broker.sessions_at_once),
            }),
            answers: Some(answer),
            leases: held.iter().flat_map(Held::leases).collect(),
            ..Change::default()
        };
        self.untouched(parts);
        self.granting(parts);
        let written = self.commit(change).await;
        if written.is_err() {
            self.touched(parts);
            self.not_granting(parts);
        }
        match written {
            Ok(()) => {
                // Due at its end from now on, whatever becomes of the activation, and of the ledger.
                for ((part, account), others) in beginning.iter().zip(&beside) {
                    let open = [others.as_slice(), std::slice::from_ref(part)].concat();
                    self.remembered.keep(account, &open);
                    self.ends.at_latest(&part.account, part.until);
                }
                Ok(Try::Done(held))
            }
            Err(LedgerError::Conflict(_) | LedgerError::LeaseLost(_)) => Ok(Try::Again),
            Err(LedgerError::Seen(answered)) => Ok(Try::Before(answered)),
            Err(LedgerError::TooMany { limit: Limit::Sessions, .. }) => {
                let problem = sessions_problem(config);
                let actor = technician.as_str();
                let record =
                    records::refused("activation.refused", actor, request, Some(&first.customer), &problem);
                self.audit_refusal(record, technician).await?;
                Err(problem)
            }
            Err(LedgerError::TooMany { limit, retry_after_s }) => {
                Err(self.flooded(technician, limit, retry_after_s).await)
            }
            Err(error) => {
                // Where it may have been written all the same, nobody waits for it.
                if !matches!(self.ledger.session(&first.id).await, Ok(None)) {
                    self.abandon(parts);
                }
                Err(ledger_problem(&error))
            }
        }
    }

    /// Makes the account the one that is configured for this person now, and notes what it has from elsewhere.
    async fn fit_to_person(
        &self,
        snapshot: &Snapshot,
        account: &mut Account,
        others: &[Session],
        session: &Session,
    ) -> Result<(), Problem> {
        follow_configured_name(account, Self::config(snapshot)?, session, others)?;
        if account.mode == Mode::Membership {
            account.standing = self.standing(snapshot, account, others, session).await?;
        }
        Ok(())
    }

    /// Which of the session's rights the person's own account already has from elsewhere: no end may take those. What a session
    /// gave that was over lately is not from elsewhere, even where the directory brought it back.
    async fn standing(
        &self,
        snapshot: &Snapshot,
        account: &Account,
        others: &[Session],
        session: &Session,
    ) -> Result<Vec<Right>, Problem> {
        let directory = Self::directory(snapshot, &account.directory)?;
        let lately = self.over_lately(account, session.requested_at).await.map_err(|e| ledger_problem(&e))?;
        let observed = directory.observe(account).await.map_err(|e| directory_problem(&e))?;
        // Only now: by looking a directory may learn which two spellings are one right.
        let key = |right: &Right| directory.right_key(right);
        let given: BTreeSet<_> =
            others.iter().chain(&lately).flat_map(|s| s.rights.iter()).map(key).collect();
        let Some(seen) = observed.account else { return Ok(Vec::new()) };
        // What the person took himself for a time is the session's to give once that is over.
        let held: BTreeSet<_> = seen.rights.difference(&seen.own).map(key).collect();
        let still = account.standing.iter().filter(|right| given.contains(&key(right)));
        let before = session.rights.iter().filter(|right| !given.contains(&key(right)));
        let standing: BTreeSet<_> = still.chain(before).filter(|right| held.contains(&key(right))).collect();
        Ok(standing.into_iter().cloned().collect())
    }
}

/// A session as it begins: a row for each directory, all of them named by the first where there are several.
fn new_parts(technician: &TechnicianId, granted: &Granted, now: DateTime<Utc>) -> Vec<Session> {
    let first = crate::random::session_id(now);
    let whole = (granted.grants.len() > 1).then(|| first.clone());
    let part = |(at, grant): (usize, &Grant)| {
        let id = if at == 0 { first.clone() } else { crate::random::session_id(now) };
        Session {
            account: AccountKey::of(&grant.directory, grant.mode, technician, &id),
            id,
            whole: whole.clone(),
            state: State::Activating,
            technician: technician.clone(),
            customer: granted.customer.clone(),
            directory: grant.directory.clone(),
            policy: granted.policy.clone(),
            policy_name: granted.policy_name.clone(),
            mode: grant.mode,
            rights: grant.rights.clone(),
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
    };
    granted.grants.iter().enumerate().map(part).collect()
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
        gone: false,
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

/// The logon name of a session's account.
fn account_name(config: &Config, session: &Session) -> String {
    let technician = &session.technician;
    let person = config.technicians.get(technician);
    let kind = config.directories.get(&session.directory).map(|directory| &directory.kind);
    match session.mode {
        Mode::Dedicated => {
            kind.map_or_else(|| format!("jit-{technician}"), |kind| kind.dedicated_account(technician))
        }
        Mode::Burner => {
            let letters = crate::random::letters(BURNER_LETTERS);
            kind.map_or_else(|| format!("jit-{letters}"), |kind| kind.burner_account(technician, &letters))
        }
        Mode::Membership => {
            let named = person.and_then(|p| p.accounts.get(&session.directory).cloned());
            named.or_else(|| person.map(|p| p.login.clone())).unwrap_or_else(|| technician.to_string())
        }
    }
}

fn sessions_problem(config: &Config) -> Problem {
    let most = config.broker.sessions_at_once;
    Problem::new(Code::TooManySessions, format!("You already have {most} sessions open, which is the most."))
        .remedy("End one that you no longer need.")
}
