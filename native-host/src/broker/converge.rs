//! The one loop that changes directories: ledger → desired state → what is there → the steps between → verified.
//!
//! Activation, extension, early end, expiry, recovery, retry and sweep are all [`Broker::converge`]. It can be stopped
//! between any two statements and called again.

use std::sync::{Arc, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::desired::{ANSWERS_FOR, Observed, Step, desired, is_ours, plan};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_directory::{Directory, DirectoryError, secret};
use ticketgate_ledger::{Change, LedgerError, NewAudit, SessionFilter};
use ticketgate_protocol::api::{EndCause, Mode, State};
use ticketgate_protocol::problem::{Code, Problem};

use super::problems::{directory_problem, plan_problem, skew_problem};
use super::spelling::alike;
use super::{Broker, ledger_problem, records};

/// Looks at the directory at most this often in one call. Three suffice when nobody interferes: look, change, verify;
/// the rest is for lost answers and for a hidden right that shows only after the primary group is put back.
pub(super) const PASSES: usize = 6;

/// Above this difference of the clocks nothing is opened: an end could not be trusted.
pub(super) const SKEW_MAX: TimeDelta = TimeDelta::seconds(300);

/// Pauses between attempts, in seconds; the last one goes on for as long as it takes.
pub(super) const PAUSES: [i64; 8] = [1, 2, 5, 10, 30, 60, 120, 300];

/// A call that never came back is looked after by the queue after this many seconds.
const WATCHED_AFTER: TimeDelta = TimeDelta::seconds(60);

/// The pause where not even the ledger can say when the next attempt is due.
pub(super) const UNRECORDED_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Why an account could not be brought to its desired state.
pub(super) struct Trouble {
    pub(super) problem: Problem,
    /// Whether a change was sent to the directory in this call.
    pub(super) attempted: bool,
}

impl Broker {
    /// Brings one account to the state that the ledger wants, and records what was verified.
    ///
    /// An activation that cannot be completed is taken back at once. Whatever cannot be done now stays due and is
    /// retried for as long as it takes.
    ///
    /// # Errors
    /// What is the matter, for people. The retry is arranged already.
    pub async fn converge(self: &Arc<Self>, key: &AccountKey) -> Result<(), Problem> {
        let lock = self.locks.of(key);
        let _one_at_a_time = lock.lock().await;
        self.ends.at_latest(key, self.clock.now() + WATCHED_AFTER);
        match self.bring(key).await {
            Ok(()) => {
                self.schedule(key).await;
                Ok(())
            }
            Err(trouble) => {
                let problem = trouble.problem.clone();
                self.take_back(key, trouble).await;
                self.schedule_again(key).await;
                Err(problem)
            }
        }
    }

    /// Look, plan, apply, look again; settled when nothing differs.
    pub(super) async fn bring(&self, key: &AccountKey) -> Result<(), Trouble> {
        let mut attempted = false;
        let mut last = None;
        let mut corrected = Vec::new();
        for _ in 0..PASSES {
            let trouble = |problem| Trouble { problem, attempted };
            let (account, sessions) = match self.due_marked(key).await {
                Ok(found) => found,
                Err(error) => {
                    self.stop_what_is_over(key).await;
                    return Err(trouble(ledger_problem(&error)));
                }
            };
            let Some(account) = account else { return Ok(()) };
            let now = self.clock.now();
            let lately = self.over_lately(&account, now).await.map_err(|e| trouble(ledger_problem(&e)))?;
            let snapshot = self.settings();
            let directory = Self::directory(&snapshot, &account.directory).map_err(trouble)?;
            let observed = directory.observe(&account).await.map_err(|e| trouble(directory_problem(&e)))?;
            let live = sessions.iter().any(|s| s.is_live(now));
            let account = match self.learned(&account, live, &observed).await {
                Ok(Some(account)) => account,
                Ok(None) => continue,
                Err(error) => {
                    self.abandon(&sessions);
                    self.undo(directory.as_ref(), &account, &sessions, now).await;
                    return Err(trouble(ledger_problem(&error)));
                }
            };
            let answering = [sessions.as_slice(), &lately].concat();
            let (spelled, spelled_sessions, seen) =
                alike(directory.as_ref(), &account, &answering, &observed);
            let wanted = desired(&spelled, &spelled_sessions, now);
            self.note_skew(&account, observed.directory_time - now);
            let mut steps =
                plan(&spelled, &wanted, &seen, now).map_err(|e| trouble(plan_problem(e, &account)))?;
            let skew = observed.directory_time - now;
            if wanted.until.is_some() && skew.abs() > SKEW_MAX {
                // No end can be trusted, so none is written; what nobody needs any more goes all the same.
                let planned = steps.len();
                steps.retain(|step| matches!(step, Step::Revoke(_) | Step::ResetPrimaryGroup));
                let activating = sessions.iter().any(|s| s.state == State::Activating);
                if activating || (steps.is_empty() && planned > 0) {
                    return Err(trouble(skew_problem(skew)));
                }
            }
            if steps.is_empty() {
                return match self.settle(&account, &sessions, &observed, &corrected, now).await {
                    Ok(()) => Ok(()),
                    Err(LedgerError::Conflict(_)) => continue,
                    Err(error) => {
                        // The outcome cannot be recorded, so it must not stand.
                        self.abandon(&sessions);
                        self.undo(directory.as_ref(), &account, &sessions, now).await;
                        Err(Trouble { problem: ledger_problem(&error), attempted: true })
                    }
                };
            }
            let account = if account.settled {
                let names: Vec<_> = steps.iter().map(described).collect();
                let closed = steps.iter().any(|s| matches!(s, Step::Create(_) | Step::Open { .. }));
                match self.note_difference(&account, &sessions, &names, closed).await {
                    Ok(_) if closed => continue,
                    Ok(account) => {
                        corrected = names;
                        account
                    }
                    Err(LedgerError::Conflict(_)) => continue,
                    Err(error) => return Err(trouble(ledger_problem(&error))),
                }
            } else {
                account
            };
            let mut refused = None;
            for step in &steps {
                if refused.is_some() && !takes_away(step) {
                    continue;
                }
                attempted = true;
                match self.apply(directory.as_ref(), &account, step).await {
                    Ok(()) => {}
                    Err(error) if error.is_ambiguous() => {
                        tracing::warn!(step = step.name(), %error, "a step's outcome is not known; looking again");
                        last = Some(directory_problem(&error));
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(step = step.name(), account = %account.key.0, %error, "a step failed");
                        let problem = directory_problem(&error);
                        if error.is_passing() {
                            return Err(Trouble { problem, attempted });
                        }
                        // What cannot be taken away does not keep the rest; but nothing is given on top of it.
                        refused.get_or_insert(problem);
                    }
                }
            }
            if let Some(problem) = refused {
                return Err(Trouble { problem, attempted });
            }
        }
        let problem = last.unwrap_or_else(|| {
            Problem::new(Code::DirectoryRefused, "The directory does not keep what is written to it.")
                .remedy("Somebody or something else may be changing the account at the same time.")
        });
        Err(Trouble { problem, attempted })
    }

    /// Sessions of a person's own account that are over but still answer for the rights that they gave.
    pub(super) async fn over_lately(
        &self,
        account: &Account,
        now: DateTime<Utc>,
    ) -> Result<Vec<Session>, LedgerError> {
        if account.mode != Mode::Membership {
            return Ok(Vec::new());
        }
        let filter = SessionFilter {
            account: Some(account.key.clone()),
            over_since: Some(now - ANSWERS_FOR),
            ..SessionFilter::default()
        };
        self.ledger.sessions(filter).await
    }

    /// The ledger cannot record that sessions are over. Their ends were recorded when they began, so what they brought goes
    /// now; they are called ended once that can be written.
    pub(super) async fn stop_what_is_over(&self, key: &AccountKey) {
        let Ok(Some((account, sessions))) = self.ledger.account(key).await else { return };
        let now = self.clock.now();
        let over = |s: &Session| matches!(s.state, State::Activating | State::Active) && now >= s.until;
        if !sessions.iter().any(over) && self.abandoned_among(&sessions).is_empty() {
            return;
        }
        let Ok(directory) = Self::directory(&self.settings(), &account.directory) else { return };
        self.undo(directory.as_ref(), &account, &sessions, now).await;
    }

    /// The account and its open sessions, after everything whose time is over was marked as ending.
    pub(super) async fn due_marked(
        &self,
        key: &AccountKey,
    ) -> Result<(Option<Account>, Vec<Session>), LedgerError> {
        for _ in 0..PASSES {
            let Some((account, sessions)) = self.ledger.account(key).await? else {
                return Ok((None, Vec::new()));
            };
            let now = self.clock.now();
            let over = |s: &&Session| matches!(s.state, State::Activating | State::Active) && now >= s.until;
            let mut due: Vec<Session> = sessions.iter().filter(over).cloned().collect();
            let mut cause = EndCause::Expired;
            if due.is_empty() {
                due = self.abandoned_among(&sessions);
                cause = EndCause::GrantFailed;
            }
            if due.is_empty() {
                return Ok((Some(account), sessions));
            }
            let change = ending(account, &sessions, &due, cause, "broker", now);
            match self.commit(Change { name: "ledger.session_due", ..change }).await {
                Ok(()) => self.given_up(&due),
                Err(LedgerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Conflict(key.0.clone()))
    }

    /// Nothing is due, and yet the directory is not as it was left: somebody else changed it. Recorded before it is put
    /// right, and from now on retried like everything that is not settled. Whoever closed or deleted an account in use wanted
    /// its sessions to end, so they do: it is not opened again.
    pub(super) async fn note_difference(
        &self,
        account: &Account,
        sessions: &[Session],
        steps: &[String],
        closed: bool,
    ) -> Result<Account, LedgerError> {
        tracing::warn!(account = %account.key.0, ?steps, closed, "somebody else changed the account");
        let now = self.clock.now();
        let mut unsettled = Account { settled: false, ..account.clone() };
        let mut change = Change { at: now, accounts: vec![unsettled.clone()], ..Change::default() };
        let mut put_right = steps;
        if closed {
            let live: Vec<_> = sessions.iter().filter(|s| s.is_live(now)).cloned().collect();
            change = ending(account.clone(), sessions, &live, EndCause::Administrator, "directory", now);
            put_right = &[];
        }
        change.audit.insert(0, self.about_account(account, sessions, "account.differs", put_right));
        self.commit(Change { name: "ledger.account_differs", ..change }).await?;
        unsettled.version += 1;
        Ok(unsettled)
    }

    /// A record about an account, in the chain of its directory's customer.
    pub(super) fn about_account(
        &self,
        account: &Account,
        sessions: &[Session],
        action: &'static str,
        steps: &[String],
    ) -> NewAudit {
        let snapshot = self.settings();
        let configured = snapshot.config.as_ref().and_then(|c| c.directories.get(&account.directory));
        let customer = configured.map(|d| &d.customer).or(sessions.first().map(|s| &s.customer));
        let details = records::details([
            ("account", json!(account.display_name.as_ref().unwrap_or(&account.name))),
            ("technician", json!(account.technician)),
            ("directory", json!(account.directory)),
            ("mode", json!(account.mode)),
            ("sessions", json!(sessions.iter().map(|s| &s.id).collect::<Vec<_>>())),
            ("steps", json!(steps)),
        ]);
        records::record(customer, action, "broker", "ok", details)
    }

    /// Records what the directory taught about the account: its identity and its full name.
    /// `None`: the ledger's row changed meanwhile, look again.
    pub(super) async fn learned(
        &self,
        account: &Account,
        live: bool,
        observed: &Observed,
    ) -> Result<Option<Account>, LedgerError> {
        let mut known = account.clone();
        match &observed.account {
            Some(seen) if account.mode == Mode::Membership || is_ours(account, seen) => {
                known.identity = Some(seen.identity.clone());
                known.display_name = Some(seen.display_name.clone());
            }
            // An account that an administrator deleted is made anew under its name. While none is needed its identity is
            // kept: one that comes back (a restored object, a server that had not heard of it yet) is known again.
            // A person's own account is not replaced by another one of its name.
            None if live && account.mode != Mode::Membership => known.identity = None,
            None | Some(_) => {}
        }
        if known == *account {
            return Ok(Some(known));
        }
        let change = Change {
            name: "ledger.account_known",
            at: self.clock.now(),
            accounts: vec![known.clone()],
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => {
                known.version += 1;
                Ok(Some(known))
            }
            Err(LedgerError::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn apply(
        &self,
        directory: &dyn Directory,
        account: &Account,
        step: &Step,
    ) -> Result<(), DirectoryError> {
        let Step::Open { marker, .. } = step else {
            if matches!(step, Step::Close | Step::Rotate(_) | Step::Delete) {
                self.passwords.forget(&account.key);
            }
            return directory.apply(account, step, None).await;
        };
        let password = secret::generate_for(&account.name).map_err(DirectoryError::BadValue)?;
        // Kept before the write: a write whose answer was lost may have set it.
        self.passwords.put(&account.key, marker.generation, password.clone());
        let result = directory.apply(account, step, Some(&password)).await;
        if result.as_ref().is_err_and(|e| !e.is_ambiguous()) {
            self.passwords.forget(&account.key);
        }
        result
    }

    /// Everything is as wanted and was read back: says so in the ledger.
    pub(super) async fn settle(
        &self,
        account: &Account,
        sessions: &[Session],
        observed: &Observed,
        corrected: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let mut change = Change { name: "ledger.settled", at: now, ..Change::default() };
        if account.mode != Mode::Membership && !sessions.iter().any(|s| s.is_live(now)) {
            // Also where somebody else closed or deleted the account.
            self.passwords.forget(&account.key);
        }
        if !corrected.is_empty() {
            change.audit.push(self.about_account(account, sessions, "account.corrected", corrected));
        }
        for session in sessions {
            let mut session = session.clone();
            match session.state {
                State::Activating if session.is_live(now) => {
                    change.name = "ledger.session_active";
                    session.state = State::Active;
                    session.active_at = Some(now);
                    session.trouble = None;
                    let promises = Self::directory(&self.settings(), &account.directory)
                        .map(|directory| directory.promises(account.mode));
                    let more = records::details([
                        ("directory_end", json!(observed.account.as_ref().map(|a| format!("{:?}", a.end)))),
                        ("guarantee", json!(promises.ok().map(|p| p.guarantee))),
                    ]);
                    change.audit.push(records::about(
                        &session,
                        Some(account),
                        "activation.granted",
                        "broker",
                        "ok",
                        more,
                    ));
                }
                State::Ending => {
                    change.name = "ledger.session_ended";
                    let failed = session.end_cause == Some(EndCause::GrantFailed);
                    session.state = if failed { State::Failed } else { State::Ended };
                    session.ended_at = Some(now);
                    if !failed {
                        session.trouble = None;
                    }
                    let more = records::details([
                        ("cause", json!(session.end_cause)),
                        ("held_s", json!(session.active_at.map(|from| (now - from).num_seconds()))),
                        ("late_ms", json!((now - session.until).num_milliseconds().max(0))),
                        ("code", json!(session.trouble.as_ref().map(|p| p.code))),
                    ]);
                    let (action, outcome) =
                        if failed { ("activation.failed", "failed") } else { ("session.ended", "ok") };
                    change.audit.push(records::about(
                        &session,
                        Some(account),
                        action,
                        "broker",
                        outcome,
                        more,
                    ));
                }
                _ => continue,
            }
            change.sessions.push(session);
        }
        if !account.settled || account.attempts > 0 || !change.sessions.is_empty() {
            change.accounts.push(Account { settled: true, attempts: 0, next_try: None, ..account.clone() });
        }
        if change.accounts.is_empty() {
            return Ok(());
        }
        self.commit(change).await
    }

    pub(super) fn note_skew(&self, account: &Account, skew: TimeDelta) {
        self.skews.lock().unwrap_or_else(PoisonError::into_inner).insert(account.directory.clone(), skew);
    }
}

/// Whether a step only takes away: it may be done whatever else could not be.
const fn takes_away(step: &Step) -> bool {
    matches!(step, Step::Close | Step::Revoke(_) | Step::ResetPrimaryGroup | Step::Rotate(_) | Step::Delete)
}

/// A step as it stands in the audit log.
fn described(step: &Step) -> String {
    match step {
        Step::Grant { right, .. } | Step::Revoke(right) => format!("{} {}", step.name(), right.0),
        _ => step.name().to_owned(),
    }
}

/// When the account has to be looked at next: its first end, or its next attempt.
pub(super) fn next_due(account: &Account, sessions: &[Session]) -> Option<DateTime<Utc>> {
    let ends =
        sessions.iter().filter(|s| matches!(s.state, State::Activating | State::Active)).map(|s| s.until);
    ends.chain(account.next_try.filter(|_| !account.settled)).min()
}

/// The change that marks `going` as ending. When no session is left, the password becomes another one.
pub(super) fn ending(
    mut account: Account,
    sessions: &[Session],
    going: &[Session],
    cause: EndCause,
    actor: &str,
    now: DateTime<Utc>,
) -> Change {
    let mut change = Change { name: "ledger.session_ending", at: now, ..Change::default() };
    for session in going {
        let mut session = session.clone();
        session.state = State::Ending;
        session.end_cause = Some(cause);
        session.until = session.until.min(now).max(session.from);
        let more = records::details([("cause", json!(cause))]);
        change.audit.push(records::about(&session, Some(&account), "session.ending", actor, "ok", more));
        change.sessions.push(session);
    }
    let stays = |s: &&Session| s.is_live(now) && !going.iter().any(|g| g.id == s.id);
    if sessions.iter().find(stays).is_none() {
        account.password_generation += 1;
    }
    account.settled = false;
    account.attempts = 0;
    account.next_try = None;
    change.accounts.push(account);
    change
}
