//! Handing a session's password over, and setting a new one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_access::session::{Account, Session, state_of};
use ticketgate_ledger::{Change, LedgerError};
use ticketgate_protocol::api::{self, Mode, State};
use ticketgate_protocol::ids::{DirectoryId, SessionId};
use ticketgate_protocol::problem::{Code, Problem};

use super::leases::Held;
use super::parts::{in_time, rows_of, too_late};
use super::service::{PATIENCE, TRIES, wrong_state};
use super::{Broker, Caller, Snapshot, ledger_problem, records};
use crate::handover::PasswordHandOver;

impl Broker {
    /// Hands over the password of an open session, or sets a new one first.
    ///
    /// # Errors
    /// Not this technician's session; none or several of its parts are meant; not open; no password in this mode; no longer held; directory or ledger down.
    pub async fn password(
        self: &Arc<Self>,
        caller: &Caller,
        id: &SessionId,
        wish: api::PasswordWanted,
    ) -> Result<PasswordHandOver, Problem> {
        let (parts, snapshot) = (self.own(caller, id).await?, self.settings());
        let state = state_of(&rows_of(&parts));
        let (session, account) = named_part(&snapshot, parts, wish.directory.as_ref())?;
        if session.mode == Mode::Membership {
            return Err(Problem::new(
                Code::NoPassword,
                "This session uses your own account, so there is no password of ours.",
            )
            .remedy("Log on with your own password."));
        }
        if state != State::Active {
            return Err(wrong_state(state));
        }
        if is_over(&session, self.clock.now()) {
            return Err(wrong_state(State::Ended));
        }
        if !Self::directory(&snapshot, &session.directory)?.has_passwords() {
            return Err(Problem::new(
                Code::NoPassword,
                "This session has no password: the machine takes your SSH key.",
            )
            .remedy("Log on by SSH with your own key."));
        }
        let account =
            if wish.renew { self.renew_password(caller, &session, account).await? } else { account };
        let Some(password) = self.passwords.get(&account.key, account.password_generation) else {
            let gone =
                Problem::new(Code::PasswordGone, "The broker no longer holds this session's password.")
                    .remedy("Ask for a new one; the old one then stops working.");
            return Err(self.unless_over(&session, gone).await);
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

    /// Forgets the passwords that other brokers on the same ledger took out of use.
    pub(super) async fn forget_passwords(&self) {
        if self.ledger.shared().is_none() {
            return;
        }
        for key in self.passwords.accounts() {
            let Ok(known) = self.ledger.account(&key).await else { return };
            let in_use = known.is_some_and(|(account, sessions)| {
                !sessions.is_empty() && self.passwords.holds(&key, account.password_generation)
            });
            if !in_use {
                self.passwords.forget(&key);
            }
        }
    }

    async fn renew_password(
        self: &Arc<Self>,
        caller: &Caller,
        session: &Session,
        account: Account,
    ) -> Result<Account, Problem> {
        let keys = [account.key.clone()];
        // Else another broker on the same ledger could set the password, and have it.
        let held = match self.ledger.shared() {
            None => Vec::new(),
            Some(_) => {
                let holding = tokio::time::timeout(PATIENCE, self.hold_all(&self.locks, &keys)).await;
                holding.map_err(|_| too_late())?.map_err(|e| ledger_problem(&e))?
            }
        };
        let mut account = account;
        for left in (0..TRIES).rev() {
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
                leases: held.iter().flat_map(Held::leases).collect(),
                ..Change::default()
            };
            match self.commit(change).await {
                Ok(()) => break,
                Err(LedgerError::TooMany { limit, retry_after_s }) => {
                    return Err(self.flooded(&session.technician, limit, retry_after_s).await);
                }
                // Something else about the account was written meanwhile; what was asked for still stands while the session does.
                Err(LedgerError::Conflict(_)) if left > 0 => account = self.still_open(session).await?,
                Err(error) => return Err(ledger_problem(&error)),
            }
        }
        let broker = Arc::clone(self);
        let work = async move { broker.converge_held(&keys, held).await };
        match in_time(work, Duration::ZERO).await {
            Some(problem) => Err(self.unless_over(session, problem).await),
            None => Ok(account),
        }
    }

    /// Why there is no password: that the session's end came meanwhile, where it did, and else this.
    async fn unless_over(&self, session: &Session, problem: Problem) -> Problem {
        match self.open_after(session, LAST_INSTANT).await {
            Err(over) if over.code == Code::WrongState => over,
            _ => problem,
        }
    }

    /// The account as it is now, if the session still is.
    async fn still_open(&self, session: &Session) -> Result<Account, Problem> {
        self.open_after(session, TimeDelta::zero()).await
    }

    /// The account as it is now, if the session is open for longer than this.
    async fn open_after(&self, session: &Session, left: TimeDelta) -> Result<Account, Problem> {
        let known = self.ledger.account(&session.account).await.map_err(|e| ledger_problem(&e))?;
        let (account, sessions) = known.ok_or_else(|| wrong_state(State::Ended))?;
        let known = sessions.iter().find(|open| open.id == session.id);
        match known.map_or(State::Ended, |open| open.state) {
            State::Active if known.is_some_and(|open| is_over(open, self.clock.now() + left)) => {
                Err(wrong_state(State::Ended))
            }
            State::Active => Ok(account),
            state => Err(wrong_state(state)),
        }
    }
}

/// So long before a session's end its directory may say that there is no time left: some count whole seconds.
const LAST_INSTANT: TimeDelta = TimeDelta::seconds(2);

/// Whether a session's time is over, also where nobody has marked it yet.
fn is_over(session: &Session, now: DateTime<Utc>) -> bool {
    session.until <= now
}

/// The part whose password is meant: that of the directory named, else the only one that has any.
fn named_part(
    snapshot: &Snapshot,
    mut parts: Vec<(Session, Account)>,
    directory: Option<&DirectoryId>,
) -> Result<(Session, Account), Problem> {
    if let Some(directory) = directory {
        let found = parts.into_iter().find(|(part, _)| part.directory == *directory);
        return found.ok_or_else(|| {
            Problem::new(Code::MalformedRequest, "This session grants nothing in that directory.")
                .remedy("`ticketgate sessions` lists where it does.")
        });
    }
    let has_password = |part: &Session| {
        let directory = snapshot.directories.get(&part.directory);
        part.mode != Mode::Membership && directory.is_none_or(|directory| directory.has_passwords())
    };
    let with: Vec<_> = parts.iter().map(|(part, _)| part).filter(|part| has_password(part)).collect();
    let meant = match with.as_slice() {
        // It is said of the first why there is none.
        [] => 0,
        [only] => parts.iter().position(|(part, _)| part.id == only.id).unwrap_or(0),
        several => {
            let names: Vec<_> = several.iter().map(|part| part.directory.as_str()).collect();
            let detail = format!("This session has several passwords: in {}.", names.join(", "));
            return Err(Problem::new(Code::MalformedRequest, detail).remedy("Name the directory."));
        }
    };
    Ok(parts.swap_remove(meant))
}
