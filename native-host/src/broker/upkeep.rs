//! What the broker does without being asked: recovery at the start, the periodic sweep, and `check`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::config::Config;
use ticketgate_access::session::Session;
use ticketgate_directory::RightUse;
use ticketgate_ledger::{Change, LedgerError, SessionFilter, Standing};
use ticketgate_protocol::api::{EndCause, Finding, Mode, State};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::{Code, Problem};

use super::parts::goes_on;
use super::{Broker, By, Caller, Scope, ledger_problem, records};

/// How often every account is compared with the directory though nothing is due: finds rights that somebody added by hand.
const SWEEP_EVERY: Duration = Duration::from_secs(15 * 60);

/// Accounts of one directory that a sweep looks at side by side.
const AT_ONCE: usize = 16;

/// How often the audit log's heads are signed.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Sessions that the record of a start or stop names. With more the record would grow for ever; the log has them all.
const NAMED: u32 = 1_000;

/// A wall clock this far behind the ledger's latest write was set back.
const SET_BACK: TimeDelta = TimeDelta::seconds(2);

impl Broker {
    /// Takes up what an earlier broker left: everything not settled is due now, and activations that nobody waits for any
    /// more are taken back. Answers how many accounts are due.
    ///
    /// # Errors
    /// Ledger down.
    pub async fn recover(self: &Arc<Self>) -> Result<usize, Problem> {
        // What nobody works on is found by whoever claims it, and what a live broker works on is that one's.
        if self.ledger.shared().is_some() {
            return Ok(0);
        }
        let now = self.clock.now();
        let was = self.ledger.high_water().await.map_err(|e| ledger_problem(&e))?;
        // Nobody can tell how long a session really ran when the clock was set back meanwhile: it ends now.
        let set_back = was.is_some_and(|was| now < was - SET_BACK);
        if set_back {
            tracing::warn!("the clock was set back since the last write; open sessions end now");
        }
        let mut unrecorded = HashSet::new();
        let mut not_to_go_on = self.in_state(State::Activating, EndCause::GrantFailed).await?;
        if set_back {
            not_to_go_on.extend(self.in_state(State::Active, EndCause::ClockSetBack).await?);
        }
        for (session, cause) in not_to_go_on {
            let Some((account, sessions)) =
                self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?
            else {
                continue;
            };
            // What another part of its session took along is ending already.
            let Some(session) = sessions.iter().find(|s| s.id == session.id && goes_on(s)).cloned() else {
                continue;
            };
            let going = std::slice::from_ref(&session);
            let change = self.ending_whole(account.clone(), &sessions, going, cause, "broker", now).await;
            let written = match change {
                Ok(change) => {
                    self.commit_ending(Change { name: "ledger.recovered", ..change }, &account.key).await
                }
                Err(error) => Err(error),
            };
            match written {
                Ok(()) | Err(LedgerError::Conflict(_)) => {}
                // A full disk must not keep rights: what is given up or over is taken away, and recorded when it can be.
                Err(error) => {
                    tracing::error!(%error, session = %session.id, "what became of a session could not be recorded yet");
                    self.abandon_for(&session, cause);
                    unrecorded.insert(session.account);
                }
            }
        }
        if let Some(was) = was.filter(|_| set_back) {
            self.note_clock_set_back(was);
            self.record_clock_set_back().await;
        }
        let mut due = 0;
        for account in self.ledger.standings().await.map_err(|e| ledger_problem(&e))? {
            if account.settled && !unrecorded.contains(&account.key) {
                self.ends.set(&account.key, account.first_end);
            } else {
                self.ends.set(&account.key, Some(now));
                due += 1;
            }
        }
        Ok(due)
    }

    /// The clock was at `was`, and is followed back.
    pub(super) fn note_clock_set_back(&self, was: DateTime<Utc>) {
        let mut noted = self.clock_was.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (*noted).max(Some(was));
    }

    /// Nothing runs any more that a clock set back could lengthen, so from now on its time is the time: else one that was far
    /// ahead once would end every session at every start, and keep the limits of people, until that time comes. Called again
    /// until it is on record.
    pub(super) async fn record_clock_set_back(&self) {
        let ends = |cause: &EndCause| *cause == EndCause::ClockSetBack;
        if self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).values().any(ends) {
            return;
        }
        let Some(was) = self.clock_was.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let now = self.clock.now();
        let details = records::details([("was", was.to_rfc3339().into()), ("is", now.to_rfc3339().into())]);
        let change = Change {
            name: "ledger.clock_followed",
            at: now,
            follows_clock: true,
            audit: vec![records::record(None, "clock.set_back", "broker", "ok", details)],
            ..Change::default()
        };
        if let Err(error) = self.commit(change).await {
            tracing::error!(%error, "the clock that was set back could not be recorded yet");
            self.note_clock_set_back(was);
        }
    }

    /// The sessions in a state, with the cause that will be given for their end.
    async fn in_state(&self, state: State, cause: EndCause) -> Result<Vec<(Session, EndCause)>, Problem> {
        let filter = SessionFilter { state: Some(state), ..SessionFilter::default() };
        let found = self.ledger.sessions(filter).await.map_err(|e| ledger_problem(&e))?;
        Ok(found.into_iter().map(|session| (session, cause)).collect())
    }

    /// Converges every account that may exist in a directory, and says what could not be settled.
    ///
    /// # Errors
    /// Ledger down.
    pub async fn sweep(self: &Arc<Self>) -> Result<Vec<Finding>, Problem> {
        self.follow_clock_when_idle().await;
        let accounts = self.ledger.standings().await.map_err(|e| ledger_problem(&e))?;
        let snapshot = self.settings();
        // Nothing can be left of a deleted account, and nothing be asked of a directory that is no longer configured.
        let due = |a: &Standing| !a.settled || a.in_use || snapshot.directories.contains_key(&a.directory);
        let now: Vec<_> = accounts.into_iter().filter(due).collect();
        let count = now.len();
        let mut findings = self.rounds(&now).await;
        drop(now);
        let units = self.units(&snapshot).await;
        // A burner account that is over is gone, unless replication, or somebody, brought it back.
        let brought_back: Vec<_> = units
            .burners
            .iter()
            .map(|(directory, key)| Standing {
                key: key.clone(),
                directory: directory.clone(),
                settled: true,
                in_use: false,
                first_end: None,
            })
            .collect();
        findings.extend(self.rounds(&brought_back).await);
        findings.extend(units.strays());
        if findings.is_empty() {
            findings.push(finding(
                "ok",
                "accounts",
                &format!("{count} accounts are as the ledger wants them."),
            ));
        }
        Ok(findings)
    }

    /// All directories side by side.
    async fn rounds(self: &Arc<Self>, accounts: &[Standing]) -> Vec<Finding> {
        let mut rounds: BTreeMap<&DirectoryId, Vec<&Standing>> = BTreeMap::new();
        for account in accounts {
            rounds.entry(&account.directory).or_default().push(account);
        }
        let work = rounds.into_iter().map(|(directory, accounts)| self.round(directory, accounts));
        // What is due is tried by the queue of ends as well: a sweep only looks after it.
        ticketgate_directory::in_background(futures_util::future::join_all(work)).await.concat()
    }

    /// One directory's part of a sweep: what is due first. A directory that cannot be reached is left at once, so that
    /// neither the other directories nor the next sweep wait for it.
    async fn round(self: &Arc<Self>, directory: &DirectoryId, mut accounts: Vec<&Standing>) -> Vec<Finding> {
        accounts.sort_by_key(|account| account.settled);
        let mut findings = Vec::new();
        let mut left = accounts.len();
        for batch in accounts.chunks(AT_ONCE) {
            left -= batch.len();
            let as_wanted = self.as_wanted(batch.iter().map(|account| &account.key)).await;
            let others = batch.iter().filter(|account| !as_wanted.contains(&account.key));
            let work = others.map(async |account| (account, self.converge(&account.key).await));
            let mut away = false;
            for (account, result) in futures_util::future::join_all(work).await {
                let Err(problem) = result else { continue };
                away |= problem.code == Code::DirectoryDown;
                let mut found = finding("error", &format!("account {}", account.key.0), &problem.detail);
                found.remedy = problem.remedy;
                findings.push(found);
            }
            if away && left > 0 {
                let text = format!(
                    "{left} more accounts were not looked at; what is due of them is retried by itself."
                );
                findings.push(finding("warning", &format!("directory {directory}"), &text));
                break;
            }
        }
        findings
    }

    /// Looks for everything that sessions will need, changing nothing; with `rehearse`, directories also try with an account that
    /// is never enabled. It is on record and counts as a request.
    ///
    /// # Errors
    /// Neither a technician nor an administrator; too many requests; ledger down.
    pub async fn check(&self, caller: &Caller, rehearse: bool) -> Result<Vec<Finding>, Problem> {
        let by_token =
            matches!(&caller.by, By::Token { scopes, .. } if scopes.contains(&Scope::Check) && !rehearse);
        if !caller.administrator && !by_token {
            caller.technician()?;
        }
        let how = records::details([("rehearsed", rehearse.into())]);
        let record = records::record(None, "broker.checked", &caller.actor(), "ok", how);
        self.record_request(caller, record).await?;
        let snapshot = self.settings();
        let mut findings: Vec<_> = self
            .notices(&snapshot)
            .into_iter()
            .map(|notice| Finding {
                level: notice.level,
                subject: "broker".into(),
                text: notice.text,
                remedy: String::new(),
            })
            .collect();
        let Some(config) = &snapshot.config else { return Ok(findings) };
        if config.sign_in.is_some() {
            findings.push(self.check_sign_in().await);
        }
        for (id, directory) in &snapshot.directories {
            let rights = used_rights(config, id);
            let mut found = directory.check(&rights).await;
            if rehearse {
                found.extend(directory.rehearse().await);
            }
            findings.extend(found.into_iter().map(|mut finding| {
                if !finding.subject.contains(id.as_str()) {
                    finding.subject = format!("{id}: {}", finding.subject);
                }
                finding
            }));
        }
        findings.extend(self.check_ticket_systems(&snapshot).await);
        findings.extend(self.strays(&snapshot).await);
        Ok(findings)
    }

    /// The periodic part, for as long as the broker runs.
    pub(super) async fn run_upkeep(self: Arc<Self>) {
        // A sweep can take as long as its slowest directory; time and checkpoints do not wait for it.
        tokio::join!(self.run_sweeps(), self.run_checkpoints());
    }

    async fn run_sweeps(self: &Arc<Self>) {
        loop {
            let leading = self.lead("sweep").await;
            let mut due = tokio::time::interval(SWEEP_EVERY);
            loop {
                due.tick().await;
                if leading.is_lost() {
                    break;
                }
                if let Err(problem) = self.sweep().await {
                    tracing::error!(%problem, "the sweep could not be made");
                }
            }
        }
    }

    async fn run_checkpoints(&self) {
        let mut due = tokio::time::interval(CHECKPOINT_EVERY);
        loop {
            due.tick().await;
            self.clock.compare().await;
            self.forget_passwords().await;
            self.note_time().await;
            if let Err(error) = self.ledger.checkpoint(self.clock.now()).await {
                tracing::error!(%error, "the audit log's heads could not be signed");
            }
        }
    }

    /// While something is open the ledger knows the time to a minute, so that the next broker notices a clock that was set
    /// back while none ran.
    pub(super) async fn note_time(&self) {
        let open = match self.ledger.shared() {
            Some(shared) => shared.next_due().await.is_ok_and(|due| due.is_some()),
            None => !self.ends.is_empty(),
        };
        if !open {
            return;
        }
        let change = Change { name: "ledger.time", at: self.clock.now(), ..Change::default() };
        if let Err(error) = self.commit(change).await {
            tracing::error!(%error, "the time could not be noted");
        }
    }

    /// Records that the broker starts or stops, with the sessions that it leaves open: how many, and which of them end first.
    /// Answers both.
    ///
    /// # Errors
    /// Ledger down.
    pub async fn record_life(&self, action: &'static str) -> Result<(usize, Vec<Session>), Problem> {
        let counted = self.ledger.open_by_directory().await.map_err(|e| ledger_problem(&e))?;
        let open = usize::try_from(counted.values().sum::<u64>()).unwrap_or(usize::MAX);
        let named = SessionFilter { open: true, limit: Some(NAMED), ..SessionFilter::default() };
        let mut named = self.ledger.sessions(named).await.map_err(|e| ledger_problem(&e))?;
        // Of a session in several directories each part is a row, and it is one session.
        let (rows, mut wholes) = (named.len(), HashSet::new());
        named.retain(|session| wholes.insert(session.of().clone()));
        let open = open.saturating_sub(rows - named.len());
        let details = records::details([
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("open", open.into()),
            ("open_sessions", named.iter().map(|s| s.of().to_string()).collect::<Vec<_>>().into()),
        ]);
        let change = Change {
            name: "ledger.life",
            at: self.clock.now(),
            audit: vec![records::record(None, action, "broker", "ok", details)],
            ..Change::default()
        };
        self.commit(change).await.map_err(|e| ledger_problem(&e))?;
        Ok((open, named))
    }
}

/// The rights that policies of a directory grant, each once.
fn used_rights(config: &Config, directory: &DirectoryId) -> Vec<RightUse> {
    let mut uses = BTreeMap::new();
    for grant in config.grants_in(directory) {
        for right in &grant.rights {
            let used = uses.entry(right.clone()).or_insert((false, false));
            used.0 |= grant.mode == Mode::Dedicated;
            used.1 |= grant.mode != Mode::Membership;
        }
    }
    let uses = uses.into_iter();
    uses.map(|(right, (outlives_an_hour, on_jit_accounts))| RightUse {
        right,
        outlives_an_hour,
        on_jit_accounts,
    })
    .collect()
}

pub(super) fn finding(level: &str, subject: &str, text: &str) -> Finding {
    Finding { level: level.into(), subject: subject.into(), text: text.into(), remedy: String::new() }
}
