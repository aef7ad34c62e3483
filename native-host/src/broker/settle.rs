//! What a look at the directory makes of the ledger: what was learned, what differs, and what became of the sessions. Each
//! is one durable write with its audit records; the looking and changing is in `converge.rs`.

use chrono::{DateTime, Utc};
use serde_json::json;
use ticketgate_access::desired::{Observed, is_ours};
use ticketgate_access::session::{Account, Session, state_of};
use ticketgate_ledger::{Change, LedgerError, NewAudit};
use ticketgate_protocol::api::{EndCause, Mode, State};

use super::leases::Held;
use super::notes::Told;
use super::parts::rows_of;
use super::{Broker, records};

impl Broker {
    /// Nothing is due, and yet the directory is not as it was left: somebody else changed it. Recorded before it is put
    /// right, and from now on retried like everything that is not settled. Whoever closed or deleted an account in use wanted
    /// its sessions to end, so they do: it is not opened again.
    pub(super) async fn note_difference(
        &self,
        held: &Held,
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
            let why = EndCause::Administrator;
            change = self.ending_whole(account.clone(), sessions, &live, why, "directory", now).await?;
            put_right = &[];
        }
        change.audit.insert(0, self.about_account(account, sessions, "account.differs", put_right));
        let change = Change { name: "ledger.account_differs", leases: held.leases(), ..change };
        self.commit_ending(change, &account.key).await?;
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

    /// Records what the directory taught about an account ([`taught`]) before it is changed there: a right that was given
    /// must be found again under any name. `None`: the ledger's row changed meanwhile, look again.
    pub(super) async fn learn(&self, held: &Held, known: &Account) -> Result<Option<Account>, LedgerError> {
        let change = Change {
            name: "ledger.account_known",
            at: self.clock.now(),
            accounts: vec![known.clone()],
            leases: held.leases(),
            ..Change::default()
        };
        match self.commit(change).await {
            Ok(()) => Ok(Some(Account { version: known.version + 1, ..known.clone() })),
            Err(LedgerError::Conflict(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the directory ends by itself, as its people were told.
    fn guarantee(&self, account: &Account) -> Option<String> {
        let directory = Self::directory(&self.settings(), &account.directory).ok()?;
        Some(directory.promises(account.mode).guarantee)
    }

    /// Everything is as wanted and was read back: says so in the ledger, and what the directory `taught` about the account.
    pub(super) async fn settle(
        &self,
        held: &Held,
        (account, taught): (&Account, bool),
        sessions: &[Session],
        observed: &Observed,
        corrected: &[String],
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let mut change =
            Change { name: "ledger.settled", at: now, leases: held.leases(), ..Change::default() };
        if account.mode != Mode::Membership && !sessions.iter().any(|s| s.is_live(now)) {
            // Also where somebody else closed or deleted the account.
            self.passwords.forget(&account.key);
        }
        if !corrected.is_empty() {
            change.audit.push(self.about_account(account, sessions, "account.corrected", corrected));
        }
        let moves =
            |s: &&Session| s.state == State::Ending || (s.state == State::Activating && s.is_live(now));
        let moving: Vec<_> = sessions.iter().filter(moves).cloned().collect();
        let one_of_its_parts_at_a_time = self.whole_locks(&moving).await?;
        change.leases.extend(one_of_its_parts_at_a_time.iter().flat_map(Held::leases));
        for mut session in moving {
            if session.state == State::Activating {
                change.name = "ledger.session_active";
                session.state = State::Active;
                session.active_at = Some(now);
                session.trouble = None;
                let parts = self.parts_with(&session, account).await?;
                let is_whole = state_of(&rows_of(&parts)) == State::Active;
                let more = records::details([
                    ("directory_end", json!(observed.account.as_ref().map(|a| format!("{:?}", a.end)))),
                    ("guarantee", json!(self.guarantee(account))),
                ]);
                let record = if is_whole {
                    change.notes.new.extend(self.note(&rows_of(&parts), Told::Start, now));
                    records::about_whole(&parts, "activation.granted", "broker", "ok", more)
                } else {
                    Some(records::about(&session, Some(account), "part.granted", "broker", "ok", more))
                };
                change.audit.extend(record);
            } else {
                change.name = "ledger.session_ended";
                let failed = session.end_cause == Some(EndCause::GrantFailed);
                session.state = if failed { State::Failed } else { State::Ended };
                session.ended_at = Some(now);
                if !failed {
                    session.trouble = None;
                }
                let parts = self.parts_with(&session, account).await?;
                // What never began is not said to be over.
                if is_over(&parts) && parts.iter().all(|(part, _)| part.active_at.is_some()) {
                    change.notes.new.extend(self.note(&rows_of(&parts), Told::End, now));
                }
                change.audit.extend(over(&session, account, &parts, now));
            }
            self.touched(std::slice::from_ref(&session));
            change.sessions.push(session);
        }
        if taught || !account.settled || account.attempts > 0 || !change.sessions.is_empty() {
            change.accounts.push(Account { settled: true, attempts: 0, next_try: None, ..account.clone() });
        }
        if change.accounts.is_empty() {
            return Ok(());
        }
        self.commit(change).await?;
        held.confirmed();
        Ok(())
    }
}

/// Whether no part of a session is left.
fn is_over(parts: &[(Session, Account)]) -> bool {
    !parts.iter().any(|(part, _)| part.is_open())
}

/// The record of a part that is over: the whole session's where it was the last.
pub(super) fn over(
    part: &Session,
    account: &Account,
    parts: &[(Session, Account)],
    now: DateTime<Utc>,
) -> Option<NewAudit> {
    let code = parts.iter().find_map(|(part, _)| part.trouble.as_ref()).or(part.trouble.as_ref());
    let began = parts.iter().map(|(part, _)| part.active_at).max().flatten();
    let more = records::details([
        ("cause", json!(part.end_cause)),
        ("held_s", json!(began.map(|from| (now - from).num_seconds()))),
        ("late_ms", json!((now - part.until).num_milliseconds().max(0))),
        ("code", json!(code.map(|problem| problem.code))),
    ]);
    let failed = parts.iter().any(|(part, _)| part.state == State::Failed);
    let outcome = if failed { "failed" } else { "ok" };
    if !is_over(parts) {
        return Some(records::about(part, Some(account), "part.ended", "broker", outcome, more));
    }
    let action = if failed { "activation.failed" } else { "session.ended" };
    records::about_whole(parts, action, "broker", outcome, more)
}

/// The account with what the directory teaches about it: its identity and its full name.
pub(super) fn taught(account: &Account, live: bool, observed: &Observed) -> Account {
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
    known
}

/// The change that marks `going` as ending in their own directory ([`Broker::ending_whole`] takes their other parts along). When no session is left, the password becomes another one.
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
        // Of one whose ticket was closed it is known already why its time is over.
        let cause = match (cause, session.end_cause) {
            (EndCause::Expired, Some(EndCause::TicketClosed)) => EndCause::TicketClosed,
            (cause, _) => cause,
        };
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
