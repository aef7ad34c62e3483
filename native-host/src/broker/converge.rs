//! The one loop that changes directories: ledger → desired state → what is there → the steps between → verified.
//!
//! Activation, extension, early end, expiry, recovery, retry and sweep are all [`Broker::converge`]. It can be stopped
//! between any two statements and called again.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::desired::{
    ANSWERS_FOR, DirectoryEnd, END_TOLERANCE, Observed, Step, desired, own_until, plan,
};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_directory::alike;
use ticketgate_ledger::{Change, LedgerError, SessionFilter};
use ticketgate_protocol::api::{EndCause, Mode, State};
use ticketgate_protocol::problem::{Code, Problem};

use super::behind::{BEHIND_MAX, behind_problem};
use super::carrying::{Carried, described};
use super::claims::ANSWERS_IN;
use super::ends::Turn;
use super::leases::{Held, Unheld};
use super::overtaken::unheld_problem;
use super::problems::{directory_problem, plan_problem, skew_problem};
use super::settle::taught;
use super::{Broker, ledger_problem, traces};

/// Looks at the directory, each with the ledger as it is then, at most this often in one call. Three suffice when nobody interferes: look, change, verify;
/// the rest is for lost answers and for a hidden right that shows only after the primary group is put back.
pub(super) const PASSES: usize = 6;

/// Above this difference of the clocks nothing is opened: an end could not be trusted.
pub(super) const SKEW_MAX: TimeDelta = TimeDelta::seconds(300);

/// Pauses between attempts, in seconds; the last one goes on for as long as it takes.
pub(super) const PAUSES: [i64; 8] = [1, 2, 5, 10, 30, 60, 120, 300];

/// A call that never came back is looked after by the queue after this many seconds.
const WATCHED_AFTER: TimeDelta = TimeDelta::seconds(60);

/// So long after the end of what a person took himself the session's part is given: the directory takes its time to see that it is over.
const OWN_IS_OVER: TimeDelta = TimeDelta::seconds(2);

/// The pause where not even the ledger can say when the next attempt is due.
pub(super) const UNRECORDED_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Why an account could not be brought to its desired state.
pub(super) struct Trouble {
    pub(super) problem: Problem,
    /// Whether the directory may have been changed in this call.
    pub(super) attempted: bool,
    /// The changes that were sent, in order; the last may not have been done.
    pub(super) sent: Vec<String>,
}

/// No directory lets in anybody until a time that has passed.
fn over_problem() -> Problem {
    let text = "The session's time was over before the directory could be asked, so it was taken back.";
    Problem::new(Code::TakenBack, text).remedy("Try again.")
}

/// The word for how an attempt went.
pub(super) fn code_of(outcome: &Result<(), Problem>) -> Option<&'static str> {
    outcome.as_ref().err().map(|problem| problem.code.as_str())
}

fn trouble(problem: Problem, sent: &[String]) -> Trouble {
    Trouble { problem, attempted: !sent.is_empty(), sent: sent.to_vec() }
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
        self.converge_in(None, key).await
    }

    /// The same in its turn.
    ///
    /// # Errors
    /// As [`Broker::converge`].
    pub(super) async fn converge_in(
        self: &Arc<Self>,
        turn: Option<Turn>,
        key: &AccountKey,
    ) -> Result<(), Problem> {
        match self.leases.hold(self.locks.of(key), key).await {
            Ok(held) => self.converge_under(held.in_turn(turn)).await,
            Err(error) => {
                self.ends.at_latest(key, self.clock.now() + UNRECORDED_PAUSE);
                Err(ledger_problem(&error))
            }
        }
    }

    /// The same for an account that is held already.
    ///
    /// # Errors
    /// As [`Broker::converge`].
    pub(super) async fn converge_under(self: &Arc<Self>, held: Held) -> Result<(), Problem> {
        let span = self.monitor.traces.converge(held.key());
        traces::spanned(span, code_of, self.brought(held)).await
    }

    async fn brought(self: &Arc<Self>, held: Held) -> Result<(), Problem> {
        let key = &held.key().clone();
        self.ends.at_latest(key, self.clock.now() + WATCHED_AFTER);
        // An account that the ledger did not know before could have no lease yet.
        let held = self.leases.with_lease(held).await.map_err(|error| ledger_problem(&error))?;
        if self.shows_late(&held) {
            held.expects_late_writes();
        }
        let brought = self.bring(&held).await;
        if held.needs_second_look() {
            self.look_again_later(key);
        }
        match brought {
            Ok(due) => {
                self.ends.set(key, due);
                Ok(())
            }
            Err(trouble) => {
                let problem = trouble.problem.clone();
                if !held.is_lost() {
                    self.take_back(&held, trouble).await;
                }
                if held.is_lost() {
                    self.overtaken(held);
                } else {
                    self.schedule_again(key).await;
                }
                Err(problem)
            }
        }
    }

    /// Look, plan, apply, look again; settled when nothing differs. Answers when the account is due next.
    pub(super) async fn bring(&self, held: &Held) -> Result<Option<DateTime<Utc>>, Trouble> {
        let key = held.key();
        let mut sent = Vec::new();
        let mut last = None;
        let mut corrected = Vec::new();
        let mut passes = Vec::new();
        let mut behind_since = None;
        let mut written = None;
        let mut looks = 0;
        while looks < PASSES {
            let trouble = |problem| trouble(problem, &sent);
            let is_read = written.is_none();
            let (account, sessions, lately, now) = match self.known(held, written.take()).await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.stop_what_is_over(held).await;
                    return Err(trouble(ledger_problem(&error)));
                }
            };
            let snapshot = self.settings();
            let directory = Self::directory(&snapshot, &account.directory).map_err(trouble)?;
            let observed = directory.observe(&account).await.map_err(|e| trouble(directory_problem(&e)))?;
            if observed.behind {
                // What it shows is older than what it took in: nothing is given and nothing called settled by it.
                let since = *behind_since.get_or_insert_with(Instant::now);
                if since.elapsed() > BEHIND_MAX {
                    return Err(trouble(behind_problem()));
                }
                if is_read {
                    self.close_if_over(held, directory.as_ref(), &account, &sessions, &observed, &mut sent)
                        .await;
                }
                continue;
            }
            behind_since = None;
            let asked = asked(&observed, now, self.clock.now());
            let live = sessions.iter().any(|s| s.is_live(now));
            let stored = account;
            let account = taught(&stored, live, &observed);
            let is_news = account != stored;
            let answering = [sessions.as_slice(), &lately].concat();
            let (spelled, spelled_sessions, seen) =
                alike(directory.as_ref(), &account, &answering, &observed);
            let wanted = desired(&spelled, &spelled_sessions, now);
            self.note_skew(&account, observed.directory_time - asked);
            let mut steps =
                plan(&spelled, &wanted, &seen, asked).map_err(|e| trouble(plan_problem(e, &account)))?;
            let skew = observed.directory_time - asked;
            if wanted.until.is_some() && skew.abs() > SKEW_MAX {
                // No end can be trusted, so none is written; what nobody needs any more goes all the same.
                let planned = steps.len();
                steps.retain(|step| matches!(step, Step::Revoke(_) | Step::ResetPrimaryGroup));
                let activating = sessions.iter().any(|s| s.state == State::Activating);
                if activating || (steps.is_empty() && planned > 0) {
                    return Err(trouble(skew_problem(skew)));
                }
            }
            if !steps.is_empty() && !is_read {
                // What was carried out does not show, or something else is due: not by rows that others may have changed meanwhile.
                continue;
            }
            looks += 1;
            if steps.is_empty() {
                return match self
                    .settle(held, (&account, is_news), &sessions, &observed, &corrected, now)
                    .await
                {
                    // As the ledger has it now: what is live is active, and nothing is left to be tried again.
                    Ok(()) => {
                        let live = sessions.into_iter().filter(|s| s.is_live(now));
                        let open: Vec<_> = live.map(|s| Session { state: State::Active, ..s }).collect();
                        self.remembered.keep(&account, &open);
                        let own = own_until(&wanted, &seen).map(|at| at - skew + OWN_IS_OVER);
                        let next = next_due(&Account { settled: true, ..account }, &open);
                        Ok(own.into_iter().chain(next).min())
                    }
                    Err(LedgerError::Conflict(row)) => {
                        passes.push(Pass::Ledger(row));
                        continue;
                    }
                    Err(LedgerError::LeaseLost(_)) => Err(trouble(unheld_problem(Unheld::Lost))),
                    Err(error) => {
                        // The outcome cannot be recorded, so it must not stand.
                        self.abandon(&sessions);
                        self.undo(held, directory.as_ref(), &account, &sessions, now).await;
                        Err(Trouble { problem: ledger_problem(&error), attempted: true, sent })
                    }
                };
            }
            let account = if account.settled {
                let names: Vec<_> = steps.iter().map(described).collect();
                let closed = steps.iter().any(|s| matches!(s, Step::Create(_) | Step::Open { .. }));
                match self.note_difference(held, &account, &sessions, &names, closed).await {
                    Ok(_) if closed => continue,
                    Ok(account) => {
                        corrected = names;
                        account
                    }
                    Err(LedgerError::Conflict(row)) => {
                        passes.push(Pass::Ledger(row));
                        continue;
                    }
                    Err(error) => return Err(trouble(ledger_problem(&error))),
                }
            } else if is_news {
                match self.learn(held, &account).await {
                    Ok(Some(account)) => account,
                    Ok(None) => {
                        passes.push(Pass::Ledger(account.key.0.clone()));
                        continue;
                    }
                    Err(LedgerError::LeaseLost(_)) => {
                        return Err(trouble(unheld_problem(Unheld::Lost)));
                    }
                    Err(error) => {
                        self.abandon(&sessions);
                        self.undo(held, directory.as_ref(), &account, &sessions, now).await;
                        return Err(trouble(ledger_problem(&error)));
                    }
                }
            } else {
                account
            };
            self.touched(&sessions);
            match self.carry_out(held, directory.as_ref(), &account, &observed, &steps, &mut sent).await {
                Carried::Whole => {
                    passes.push(Pass::Steps(steps.iter().map(described).collect()));
                    // Whoever changes them meanwhile is told by the next write.
                    written = Some((account, sessions));
                    if wanted.until.is_none() {
                        held.lets_others_go_first().await;
                    }
                }
                Carried::Unknown(problem) => last = Some(problem),
                Carried::Refused(problem) => {
                    // What another broker has changed meanwhile is no refusal of the directory, nor is an end that has passed.
                    let is_over = wanted.until.is_some_and(|until| until <= self.clock.now());
                    let problem = match held.may_send().await {
                        Err(why) => unheld_problem(why),
                        Ok(()) if is_over => over_problem(),
                        Ok(()) => problem,
                    };
                    return Err(Trouble { problem, attempted: true, sent });
                }
                Carried::Unheld(why) => {
                    return Err(Trouble { problem: unheld_problem(why), attempted: true, sent });
                }
            }
        }
        tracing::warn!(account = %key.0, ?passes, "an account is not as wanted after {PASSES} looks");
        if let (None, Some(Pass::Ledger(row))) = (&last, passes.last()) {
            return Err(trouble(ledger_problem(&LedgerError::Conflict(row.clone())), &sent));
        }
        let problem = last.unwrap_or_else(|| {
            Problem::new(Code::DirectoryRefused, "The directory does not keep what is written to it.")
                .remedy(
                    "Somebody or something else may be changing the account at the same time; if it stays, tell an \
                     administrator: the broker's log names the steps that do not hold.",
                )
        });
        Err(trouble(problem, &sent))
    }

    /// What the ledger has for an account, read at one time or `written` by this call: with what is over marked as ending, and with
    /// what was over lately. Remembered before anything is done by it, since taking it back must not need the ledger.
    async fn known(
        &self,
        held: &Held,
        written: Option<Rows>,
    ) -> Result<Option<(Account, Vec<Session>, Vec<Session>, DateTime<Utc>)>, LedgerError> {
        let Some((account, sessions)) = self.due_marked(held, written).await? else { return Ok(None) };
        self.remembered.keep(&account, &sessions);
        let now = self.clock.now();
        let lately = self.over_lately(&account, now).await?;
        Ok(Some((account, sessions, lately, now)))
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

    /// The ledger cannot record that sessions are over, or cannot even be read. Their ends were recorded when they began, so
    /// what they brought goes now; they are called ended once that can be written.
    pub(super) async fn stop_what_is_over(&self, held: &Held) {
        let key = held.key();
        let asked = self.ledger.account(key);
        let known = match self.ledger.shared() {
            None => asked.await.ok(),
            // A database that hangs is as good as away.
            Some(_) => tokio::time::timeout(ANSWERS_IN, asked).await.ok().and_then(Result::ok),
        };
        let known = known.unwrap_or_else(|| self.remembered.of(key));
        let Some((account, sessions)) = known else { return };
        let now = self.clock.now();
        let over = |s: &Session| s.state == State::Ending || (s.is_open() && now >= s.until);
        if !sessions.iter().any(over) && self.abandoned_among(&sessions).is_empty() {
            return;
        }
        let Ok(directory) = Self::directory(&self.settings(), &account.directory) else { return };
        self.undo(held, directory.as_ref(), &account, &sessions, now).await;
    }

    /// The account and its open sessions, after everything whose time is over was marked as ending. They are read, unless the ledger
    /// has them as `written`.
    async fn due_marked(&self, held: &Held, mut written: Option<Rows>) -> Result<Option<Rows>, LedgerError> {
        let key = held.key();
        for _ in 0..PASSES {
            let rows = match written.take() {
                Some(rows) => Some(rows),
                None => self.ledger.account(key).await?,
            };
            let Some((account, sessions)) = rows else { return Ok(None) };
            let now = self.clock.now();
            let over = |s: &&Session| matches!(s.state, State::Activating | State::Active) && now >= s.until;
            let mut due: Vec<Session> = sessions.iter().filter(over).cloned().collect();
            let mut cause = EndCause::Expired;
            if due.is_empty() {
                let mut abandoned = self.abandoned_among(&sessions);
                let mut orphans = self.orphans(&sessions);
                orphans.retain(|(orphan, _)| abandoned.iter().all(|(known, _)| known.id != orphan.id));
                abandoned.extend(orphans);
                cause = abandoned.first().map_or(cause, |(_, cause)| *cause);
                due = abandoned.into_iter().filter(|(_, why)| *why == cause).map(|(s, _)| s).collect();
            }
            if due.is_empty() {
                return Ok(Some((account, sessions)));
            }
            let change = self.ending_whole(account.clone(), &sessions, &due, cause, "broker", now).await?;
            let change = Change { name: "ledger.session_due", leases: held.leases(), ..change };
            let rows = rows_after(&change, account, sessions);
            match self.commit_ending(change, key).await {
                Ok(()) => written = Some(rows),
                Err(LedgerError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Conflict(key.0.clone()))
    }

    pub(super) fn note_skew(&self, account: &Account, skew: TimeDelta) {
        self.skews.lock().unwrap_or_else(PoisonError::into_inner).insert(account.directory.clone(), skew);
    }
}

/// An account and its open sessions, as the ledger has them.
type Rows = (Account, Vec<Session>);

/// The rows once `change` is written, by which no session is over yet.
fn rows_after(change: &Change, account: Account, mut sessions: Vec<Session>) -> Rows {
    for row in &mut sessions {
        if let Some(new) = change.sessions.iter().find(|new| new.id == row.id) {
            *row = Session { version: new.version + 1, ..new.clone() };
        }
    }
    let new = change.accounts.iter().find(|new| new.key == account.key);
    let account = new.map_or(account, |new| Account { version: new.version + 1, ..new.clone() });
    (account, sessions)
}

/// What a look that settled nothing came to, for the log.
#[derive(Debug)]
enum Pass {
    /// These steps were carried out, and a look has to tell whether they hold.
    Steps(#[expect(dead_code, reason = "it is there to be printed")] Vec<String>),
    /// This row of the ledger was changed by somebody else meanwhile.
    Ledger(String),
}

/// When the directory told its time, by the broker's clock: somewhere between the question and the answer. A slow answer, or a
/// machine that was suspended meanwhile, is no skew; of the times in between it is the one that the account's end was written by.
pub(super) fn asked(observed: &Observed, question: DateTime<Utc>, answer: DateTime<Utc>) -> DateTime<Utc> {
    let (told, answer) = (observed.directory_time, answer.max(question));
    let written = observed.account.as_ref().and_then(|account| match account.end {
        DirectoryEnd::At(end) => Some(end - account.marker.as_ref()?.until?),
        DirectoryEnd::Never | DirectoryEnd::NotKept => None,
    });
    let by_end = written.map(|skew| told - skew).and_then(|at| {
        let possible = at.clamp(question, answer);
        ((at - possible).abs() <= END_TOLERANCE).then_some(possible)
    });
    by_end.unwrap_or_else(|| told.clamp(question, answer))
}

/// When the account has to be looked at next: its first end, or its next attempt.
pub(super) fn next_due(account: &Account, sessions: &[Session]) -> Option<DateTime<Utc>> {
    let ends =
        sessions.iter().filter(|s| matches!(s.state, State::Activating | State::Active)).map(|s| s.until);
    ends.chain(account.next_try.filter(|_| !account.settled)).min()
}
