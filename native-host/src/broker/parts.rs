//! Sessions in several directories of one customer. Each part is a row with an account of its own, and is converged like every
//! other; what holds them together is here: no part is left alone. What ends one ends all, in the same write, and the session is
//! active only when every part was read back.
//!
//! Order of locks: an account's, then a session's ([`Broker::whole_locks`]); of several of one kind in the order of their keys.
//! Nobody who holds a session's asks for an account's.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use ticketgate_access::session::{Account, AccountKey, Session, state_of};
use ticketgate_ledger::{Change, LedgerError};
use ticketgate_protocol::api::{EndCause, State};
use ticketgate_protocol::ids::SessionId;
use ticketgate_protocol::problem::{Code, Problem};
use tokio::sync::OwnedMutexGuard;

use super::accounts::AccountLocks;

use super::service::{PATIENCE, fault};
use super::settle::ending;
use super::{Broker, ledger_problem};
use super::{on_record, records};

/// The accounts of a session's parts, in their order.
pub(super) fn accounts_of(parts: &[(Session, Account)]) -> Vec<AccountKey> {
    parts.iter().map(|(_, account)| account.key.clone()).collect()
}

/// The rows of a session's parts, in their order.
pub(super) fn rows_of(parts: &[(Session, Account)]) -> Vec<Session> {
    parts.iter().map(|(part, _)| part.clone()).collect()
}

/// The locks of several accounts, in the order of their keys, whatever the order in which they are named.
pub(super) async fn lock_all(locks: &AccountLocks, keys: &[AccountKey]) -> Vec<OwnedMutexGuard<()>> {
    let mut held = Vec::new();
    for key in keys.iter().collect::<BTreeSet<_>>() {
        held.push(locks.of(key).lock_owned().await);
    }
    held
}

impl Broker {
    /// Every part of a session that is known to be there.
    ///
    /// # Errors
    /// Ledger down; no such session any more.
    pub(super) async fn parts(&self, session: &Session) -> Result<Vec<(Session, Account)>, Problem> {
        let parts = self.ledger.parts(session.of()).await.map_err(|e| ledger_problem(&e))?;
        if parts.is_empty() { Err(super::service::unknown_session()) } else { Ok(parts) }
    }

    /// The change that marks `going`, all of one account, as ending, and with them what is still going on of the same sessions
    /// elsewhere. One record for each session.
    pub(super) async fn ending_whole(
        &self,
        account: Account,
        sessions: &[Session],
        going: &[Session],
        cause: EndCause,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Change, LedgerError> {
        let key = account.key.clone();
        let mut change = ending(account, sessions, going, cause, actor, now);
        let wholes: BTreeSet<_> = going.iter().filter_map(|session| session.whole.clone()).collect();
        let mut elsewhere: Vec<(AccountKey, Vec<SessionId>)> = Vec::new();
        for whole in wholes {
            let parts = self.ledger.parts(&whole).await?;
            records::name_parts(&mut change.audit, &whole, &parts);
            let left = parts.into_iter().map(|(part, _)| part);
            for part in left.filter(|part| part.account != key && goes_on(part)) {
                match elsewhere.iter_mut().find(|(known, _)| *known == part.account) {
                    Some((_, ids)) => ids.push(part.id),
                    None => elsewhere.push((part.account, vec![part.id])),
                }
            }
        }
        for (key, ids) in elsewhere {
            let Some((account, sessions)) = self.ledger.account(&key).await? else { continue };
            let with: Vec<_> =
                sessions.iter().filter(|s| ids.contains(&s.id) && goes_on(s)).cloned().collect();
            let sibling = ending(account, &sessions, &with, cause, actor, now);
            change.sessions.extend(sibling.sessions);
            change.accounts.extend(sibling.accounts);
        }
        Ok(change)
    }

    /// Writes what [`Broker::ending_whole`] made, and sees to it that the other accounts are looked at now.
    pub(super) async fn commit_ending(&self, change: Change, own: &AccountKey) -> Result<(), LedgerError> {
        let (now, ended) = (change.at, change.sessions.clone());
        self.commit(change).await?;
        self.given_up(&ended);
        for session in ended.iter().filter(|session| session.account != *own) {
            self.ends.at_latest(&session.account, now);
        }
        Ok(())
    }

    /// The locks of the sessions of which these rows are parts: whoever holds them is the only one to find that a part was the
    /// last. None for sessions in one directory.
    pub(super) async fn whole_locks(&self, sessions: &[Session]) -> Vec<OwnedMutexGuard<()>> {
        let wholes = sessions.iter().filter_map(|session| session.whole.as_ref());
        let keys: Vec<_> = wholes.map(|whole| AccountKey(whole.to_string())).collect();
        lock_all(&self.wholes, &keys).await
    }

    /// The parts of a session with one of them as it is about to be written; that one alone where it is all of its session.
    pub(super) async fn parts_with(
        &self,
        row: &Session,
        account: &Account,
    ) -> Result<Vec<(Session, Account)>, LedgerError> {
        let Some(whole) = &row.whole else { return Ok(vec![(row.clone(), account.clone())]) };
        let mut parts = self.ledger.parts(whole).await?;
        for part in parts.iter_mut().filter(|(part, _)| part.id == row.id) {
            *part = (row.clone(), account.clone());
        }
        Ok(parts)
    }

    /// Converges accounts side by side. Answers the first problem, in their order.
    pub(super) async fn converge_all(self: &Arc<Self>, keys: &[AccountKey]) -> Option<Problem> {
        let work = keys.iter().map(|key| {
            let (broker, key) = (Arc::clone(self), key.clone());
            tokio::spawn(on_record::carried(async move { broker.converge(&key).await }))
        });
        let done = join_all(work).await;
        done.into_iter().find_map(|result| result.unwrap_or_else(|_| Err(fault())).err())
    }

    /// Grants what the ledger has as being granted: all of it, or nothing stays. Waits for it, but not for ever; the work goes on.
    pub(super) async fn grant_all(self: &Arc<Self>, parts: &[Session], waited: Duration) -> Option<Problem> {
        let keys: Vec<_> = parts.iter().map(|part| part.account.clone()).collect();
        let (broker, parts) = (Arc::clone(self), parts.to_vec());
        let work = async move {
            let problem = broker.converge_all(&keys).await;
            if problem.is_some() && parts.len() > 1 {
                broker.give_up_together(&parts).await;
                broker.converge_all(&keys).await;
            }
            problem
        };
        in_time(work, waited).await
    }

    /// A part was not granted. The ledger has the others as ending by that same write, unless it could not be written.
    async fn give_up_together(&self, parts: &[Session]) {
        let Some(first) = parts.first() else { return };
        if let Ok(known) = self.ledger.parts(first.of()).await {
            let known = rows_of(&known);
            if state_of(&known) == State::Active || !known.iter().any(goes_on) {
                return;
            }
        }
        for part in parts {
            self.abandon_for(part, EndCause::GrantFailed);
        }
    }

    /// Nothing was sent to the directories yet for these parts.
    pub(super) fn untouched(&self, parts: &[Session]) {
        let mut untouched = self.untouched.lock().unwrap_or_else(PoisonError::into_inner);
        untouched.extend(parts.iter().filter(|part| part.whole.is_some()).map(|part| part.id.clone()));
    }

    /// Something is about to be sent for these, or they are over.
    pub(super) fn touched(&self, parts: &[Session]) {
        let mut untouched = self.untouched.lock().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            untouched.remove(&part.id);
        }
    }

    /// Whether a part is being taken back though nothing was ever sent for it: then nothing is left of it.
    pub(super) fn never_began(&self, part: &Session) -> bool {
        let untouched = self.untouched.lock().unwrap_or_else(PoisonError::into_inner);
        part.state == State::Ending
            && part.end_cause == Some(EndCause::GrantFailed)
            && untouched.contains(&part.id)
    }
}

/// Waits for work that goes on when nobody waits any more. `waited` is what its caller has waited already.
pub(super) async fn in_time(
    work: impl Future<Output = Option<Problem>> + Send + 'static,
    waited: Duration,
) -> Option<Problem> {
    match tokio::time::timeout(PATIENCE.saturating_sub(waited), tokio::spawn(on_record::carried(work))).await
    {
        Ok(Ok(problem)) => problem,
        Ok(Err(_)) => Some(fault()),
        Err(_) => Some(
            Problem::new(Code::TimedOut, "The directory has not answered yet; the broker goes on trying.")
                .remedy("Look at your sessions in a moment.")
                .retry_after(5),
        ),
    }
}

/// Whether a part is being granted or granted.
pub(super) fn goes_on(part: &Session) -> bool {
    matches!(part.state, State::Activating | State::Active)
}
