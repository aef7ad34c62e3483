//! What happens when an account cannot be brought to its desired state: taking back, and trying again for as long as it takes.

use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::desired::{Step, desired, plan};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_directory::{Directory, alike};
use ticketgate_ledger::{Change, LedgerError};
use ticketgate_protocol::api::{EndCause, State};
use ticketgate_protocol::problem::Problem;

use super::converge::{PASSES, PAUSES, Trouble, UNRECORDED_PAUSE, asked, next_due};
use super::leases::Held;
use super::overtaken::is_newer;
use super::settle::over;
use super::{Broker, records};

impl Broker {
    /// Remembers activations whose outcome could not be recorded: they are never completed later, when nobody waits.
    pub(super) fn abandon(&self, sessions: &[Session]) {
        for session in sessions.iter().filter(|s| s.state == State::Activating) {
            self.abandon_for(session, EndCause::GrantFailed);
        }
    }

    /// Remembers that a session is over, since the ledger could not be told.
    pub(super) fn abandon_for(&self, session: &Session, cause: EndCause) {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.insert(session.id.clone(), cause);
    }

    /// The ledger knows now that they are over.
    pub(super) fn given_up(&self, sessions: &[Session]) {
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions {
            abandoned.remove(&session.id);
        }
    }

    /// Those that are over though the ledger has them as under way or active, and why.
    pub(super) fn abandoned_among(&self, sessions: &[Session]) -> Vec<(Session, EndCause)> {
        let abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |s: &&Session| matches!(s.state, State::Activating | State::Active);
        let over = |s: &Session| abandoned.get(&s.id).map(|cause| (s.clone(), *cause));
        sessions.iter().filter(goes_on).filter_map(over).collect()
    }

    /// Closes the account without the ledger: what cannot be recorded must not stand. Best effort; the directory's own end
    /// remains, and the sessions are taken back as soon as the ledger can be written again.
    pub(super) async fn undo(
        &self,
        held: &Held,
        directory: &dyn Directory,
        account: &Account,
        sessions: &[Session],
        now: DateTime<Utc>,
    ) {
        // As if they were ending already: what they gave to a person's own account is then known as theirs.
        let over = self.abandoned_among(sessions);
        let is_over = |s: &Session| s.state == State::Activating || over.iter().any(|(o, _)| o.id == s.id);
        let mut sessions = sessions.to_vec();
        for session in sessions.iter_mut().filter(|s| is_over(s)) {
            session.state = State::Ending;
        }
        for _ in 0..2 {
            let before = self.clock.now();
            let Ok(looked) = directory.observe(account).await else { return };
            // Another broker's business, or what it may have done since.
            if held.is_lost() || (!held.is_sure() && is_newer(account, &sessions, &looked, now)) {
                return;
            }
            let asked = asked(&looked, before, self.clock.now());
            let (spelled, sessions, observed) = alike(directory, account, &sessions, &looked);
            let wanted = desired(&spelled, &sessions, now);
            let Ok(steps) = plan(&spelled, &wanted, &observed, asked) else { return };
            // A running session's account stays open; only what the unrecorded one added goes.
            let adds =
                |step: &&Step| matches!(step, Step::Create(_) | Step::Grant { .. } | Step::Open { .. });
            for step in steps.iter().filter(|step| !adds(step)) {
                if let Err(error) = self.apply(held, directory, account, &looked, step).await {
                    tracing::error!(step = step.name(), %error, "an activation that cannot be recorded could not be taken back yet");
                }
            }
        }
    }

    /// After a failure: activations under way are taken back, and what is left to do is arranged for later.
    pub(super) async fn take_back(&self, held: &Held, trouble: Trouble) {
        let key = held.key();
        match self.give_up_activations(held, &trouble).await {
            Ok(false) => {}
            Ok(true) => match self.bring(held).await {
                Ok(_) => return,
                Err(again) => return self.retry_later(held, &again.problem).await,
            },
            Err(error) => {
                tracing::error!(%error, "a failed activation could not be recorded yet");
                // Its caller is told that it failed, also where the ledger cannot even be read.
                if let Some((_, sessions)) = self.remembered.of(key) {
                    self.abandon(&sessions);
                }
                self.stop_what_is_over(held).await;
            }
        }
        self.retry_later(held, &trouble.problem).await;
    }

    /// Marks the account's activations as failed; answers whether something may have to be taken back.
    pub(super) async fn give_up_activations(
        &self,
        held: &Held,
        trouble: &Trouble,
    ) -> Result<bool, LedgerError> {
        let key = held.key();
        for _ in 0..PASSES {
            let Some((account, sessions)) = self.ledger.account(key).await? else { return Ok(false) };
            let now = self.clock.now();
            let is_given_up =
                |s: &&Session| s.state == State::Activating || (!trouble.attempted && self.never_began(s));
            let mut given_up: Vec<_> = sessions.iter().filter(is_given_up).cloned().collect();
            if given_up.is_empty() {
                return Ok(false);
            }
            // Should that not be recorded now, nobody completes them later.
            self.abandon(&given_up);
            for session in &mut given_up {
                session.trouble = Some(trouble.problem.clone());
            }
            let cause = EndCause::GrantFailed;
            let mut change =
                self.ending_whole(account.clone(), &sessions, &given_up, cause, "broker", now).await?;
            let one_of_its_parts_at_a_time = self.whole_locks(&given_up).await?;
            let wholes = one_of_its_parts_at_a_time.iter().flat_map(Held::leases);
            change.leases = held.leases().into_iter().chain(wholes).collect();
            if !trouble.attempted {
                // Nothing was sent to the directory: nothing has to be taken back there.
                if change.sessions.iter().all(|session| session.account == *key) {
                    change.audit.clear();
                }
                for at in 0..given_up.len() {
                    let Some(session) = change.sessions.get_mut(at) else { continue };
                    session.state = State::Failed;
                    session.ended_at = Some(now);
                    let session = session.clone();
                    let mut parts = self.parts_with(&session, &account).await?;
                    for (part, _) in &mut parts {
                        // As this very change leaves them.
                        if let Some(changed) = change.sessions.iter().find(|s| s.id == part.id) {
                            *part = changed.clone();
                        }
                    }
                    change.audit.extend(over(&session, &account, &parts, now));
                }
            }
            for record in &mut change.audit {
                record.details.insert("code", json!(trouble.problem.code));
                record.details.insert("steps", json!(trouble.sent));
            }
            match self.commit_ending(Change { name: "ledger.activation_given_up", ..change }, key).await {
                Ok(()) => {
                    self.touched(&given_up);
                    return Ok(trouble.attempted);
                }
                Err(LedgerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Conflict(key.0.clone()))
    }

    /// Notes the failure where people see it and makes the account due again after a growing pause.
    pub(super) async fn retry_later(&self, held: &Held, problem: &Problem) {
        let key = held.key();
        let now = self.clock.now();
        let Ok(Some((mut account, sessions))) = self.ledger.account(key).await else { return };
        let waiting: Vec<_> = sessions.into_iter().filter(|s| s.state == State::Ending).collect();
        if waiting.is_empty() && account.settled {
            return;
        }
        account.attempts = account.attempts.saturating_add(1);
        account.settled = false;
        let pause = usize::try_from(account.attempts - 1).ok().and_then(|n| PAUSES.get(n)).or(PAUSES.last());
        // Sooner than the directory itself names is in vain.
        let pause = pause.copied().unwrap_or(300).max(problem.retry_after_s.unwrap_or(0).into());
        account.next_try = Some(now + TimeDelta::seconds(pause));
        let mut change = Change { name: "ledger.retry", at: now, leases: held.leases(), ..Change::default() };
        // Each doubling is a record: enough to see how long it took, too few to fill the log.
        let tell = account.attempts.is_power_of_two();
        for mut session in waiting {
            // Why it was not given is what its person asks; that taking it back takes longer shows in its state.
            if session.end_cause != Some(EndCause::GrantFailed) || session.trouble.is_none() {
                session.trouble = Some(problem.clone());
            }
            if tell {
                let more =
                    records::details([("code", json!(problem.code)), ("attempts", json!(account.attempts))]);
                change.audit.push(records::about(
                    &session,
                    Some(&account),
                    "session.end_retry",
                    "broker",
                    "failed",
                    more,
                ));
            }
            change.sessions.push(session);
        }
        change.accounts.push(account);
        if let Err(error) = self.commit(change).await {
            tracing::error!(account = %key.0, %error, "a failed attempt could not be recorded");
        }
    }

    /// Puts the account's next due time into the queue after a failure, from the ledger. What is left to do comes back after a
    /// pause, also where the ledger could not be told so.
    pub(super) async fn schedule_again(&self, key: &AccountKey) {
        let now = self.clock.now();
        let pause = Some(now + UNRECORDED_PAUSE);
        let due = match self.ledger.account(key).await {
            Ok(Some((account, sessions))) => {
                self.remembered.keep(&account, &sessions);
                let left = !account.settled || sessions.iter().any(|s| s.state == State::Ending);
                // The ledger has their ends too late.
                let abandoned = !self.abandoned_among(&sessions).is_empty();
                match next_due(&account, &sessions) {
                    Some(at) if at > now && !abandoned => Some(at),
                    Some(_) => pause,
                    None if left => pause,
                    None => None,
                }
            }
            Ok(None) => None,
            Err(_) => pause,
        };
        self.ends.set(key, due);
    }
}
