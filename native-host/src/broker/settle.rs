//! What a look at the directory makes of the ledger: what was learned, what differs, and what became of the sessions. Each
//! is one durable write with its audit records; the looking and changing is in `converge.rs`.

use chrono::{DateTime, Utc};
use serde_json::json;
use ticketgate_access::desired::{Observed, is_ours};
use ticketgate_access::session::{Account, Session};
use ticketgate_ledger::{Change, LedgerError, NewAudit};
use ticketgate_protocol::api::{EndCause, Mode, State};

use super::notes::Told;
use super::{Broker, records};

impl Broker {
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

    /// Records what the directory taught about an account ([`taught`]) before it is changed there: a right that was given
    /// must be found again under any name. `None`: the ledger's row changed meanwhile, look again.
    pub(super) async fn learn(&self, known: &Account) -> Result<Option<Account>, LedgerError> {
        let change = Change {
            name: "ledger.account_known",
            at: self.clock.now(),
            accounts: vec![known.clone()],
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
        account: &Account,
        taught: bool,
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
                    change.notes.new.extend(self.note(&session, Told::Start, now));
                    let more = records::details([
                        ("directory_end", json!(observed.account.as_ref().map(|a| format!("{:?}", a.end)))),
                        ("guarantee", json!(self.guarantee(account))),
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
                    // What never began is not said to be over.
                    if session.active_at.is_some() {
                        change.notes.new.extend(self.note(&session, Told::End, now));
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
        if taught || !account.settled || account.attempts > 0 || !change.sessions.is_empty() {
            change.accounts.push(Account { settled: true, attempts: 0, next_try: None, ..account.clone() });
        }
        if change.accounts.is_empty() {
            return Ok(());
        }
        self.commit(change).await
    }
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
