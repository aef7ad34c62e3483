//! What becomes of work that several brokers on one ledger could do: an activation whose broker is no more is taken back by whoever
//! has the account now, and a broker that lost an account half-way has it looked at once more.
//!
//! A write can always be on its way while its broker's lease runs out: the process is stopped, or the network slow. No directory can
//! tell that it is late. So whoever sent it makes the account due again as soon as it notices, and the account's holder, whose next
//! commit then fails, looks once more and undoes what came late. Of one that died nobody is told; so the ledger makes an account that
//! was taken from a broker before it had finished due every five seconds for two minutes, whoever looks then.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Observed, is_ours};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_ledger::{Change, LedgerError};
use ticketgate_protocol::api::{EndCause, Mode, State};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::{Code, Problem};

use super::Broker;
use super::leases::{Held, Unheld};

/// Between two attempts to have an account looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// When an account is looked at once more whose directory shows only after a while what another broker wrote shortly before.
const SHOWN_AFTER: Duration = Duration::from_secs(120);

impl Broker {
    /// This broker grants these.
    pub(super) fn granting(&self, parts: &[Session]) {
        let mut granting = self.granting.lock().unwrap_or_else(PoisonError::into_inner);
        granting.extend(parts.iter().map(|part| part.id.clone()));
    }

    /// It does so no longer.
    pub(super) fn not_granting(&self, parts: &[Session]) {
        let mut granting = self.granting.lock().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            granting.remove(&part.id);
        }
    }

    /// The account of a session that begins is due now, also where an earlier end waited for its next try: else a broker that dies over
    /// the session would be missed for as long.
    pub(super) fn make_due_now(&self, account: &mut Account) {
        if self.ledger.shared().is_some() {
            account.next_try = None;
        }
    }

    /// Activations under way whose broker does not work on their account any more, since this one does: nobody waits for them.
    pub(super) fn orphans(&self, sessions: &[Session]) -> Vec<(Session, EndCause)> {
        if self.ledger.shared().is_none() {
            return Vec::new();
        }
        let granting = self.granting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_orphan = |s: &&Session| s.state == State::Activating && !granting.contains(&s.id);
        sessions.iter().filter(is_orphan).map(|s| (s.clone(), EndCause::GrantFailed)).collect()
    }

    /// Whether the directory shows only after a while what another broker wrote to it: what a connector remembers of its own writes
    /// (Entra ID) it does not know of others'.
    pub(super) fn shows_late(&self, held: &Held) -> bool {
        if !held.was_elsewhere() {
            return false;
        }
        let id = held.key().0.split('/').next().and_then(|id| DirectoryId::new(id).ok());
        let snapshot = self.settings();
        let directory = id.and_then(|id| snapshot.directories.get(&id));
        directory.is_some_and(|directory| directory.entra().is_some())
    }

    /// Looks at an account once more: another broker's last write may not show yet.
    pub(super) fn look_again_later(self: &Arc<Self>, key: &AccountKey) {
        let (broker, key) = (Arc::downgrade(self), key.clone());
        tokio::spawn(async move {
            tokio::time::sleep(SHOWN_AFTER).await;
            let Some(broker) = broker.upgrade() else { return };
            let looked = match broker.leases.hold(broker.locks.of(&key), &key).await {
                Ok(held) => {
                    held.is_second_look();
                    broker.converge_under(held).await
                }
                Err(error) => Err(super::ledger_problem(&error)),
            };
            if let Err(problem) = looked {
                tracing::warn!(account = %key.0, %problem, "an account is not settled yet");
            }
        });
    }

    /// Another broker has the account. Whatever this one sent may have come after that one's look: so it looks again.
    pub(super) fn overtaken(self: &Arc<Self>, held: Held) {
        let (key, sent) = (held.key().clone(), held.unconfirmed());
        self.passwords.forget(&key);
        drop(held);
        if !sent.is_empty() {
            tracing::warn!(account = %key.0, ?sent, "another broker took an account over while this one changed it");
            self.have_looked_at(key, sent);
        }
    }

    /// Has an account looked at by whoever has it, as soon as the ledger can be told so: `sent` was sent to its directory without
    /// the right to do so, or without the ledger's knowledge.
    pub(super) fn have_looked_at(self: &Arc<Self>, key: AccountKey, sent: Vec<String>) {
        let broker = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let Some(broker) = broker.upgrade() else { return };
                match broker.make_due(&key, &sent).await {
                    Ok(()) => return broker.look_at(key).await,
                    // Its holder is at work: soon enough there is a moment between two of its commits.
                    Err(LedgerError::Conflict(_)) => {
                        drop(broker);
                        tokio::time::sleep(AGAIN / 100).await;
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(account = %key.0, %error, "an account that has to be looked at again could not be marked so yet");
                    }
                }
                drop(broker);
                tokio::time::sleep(AGAIN).await;
            }
        });
    }

    /// Makes an account due now, whoever works on it.
    async fn make_due(&self, key: &AccountKey, sent: &[String]) -> Result<(), LedgerError> {
        let Some((account, sessions)) = self.ledger.account(key).await? else { return Ok(()) };
        let change = Change {
            name: "ledger.account_overtaken",
            at: self.clock.now(),
            audit: vec![self.about_account(&account, &sessions, "account.overtaken", sent)],
            accounts: vec![Account { settled: false, attempts: 0, next_try: None, ..account }],
            ..Change::default()
        };
        self.commit(change).await
    }
}

/// Whether what is seen was written by another broker after the ledger was read: by a session that this one does not know of, or
/// with a later end. Of a person's own account nobody can tell.
pub(super) fn is_newer(
    account: &Account,
    sessions: &[Session],
    looked: &Observed,
    now: DateTime<Utc>,
) -> bool {
    let Some(seen) = looked.account.as_ref().filter(|_| account.mode != Mode::Membership) else {
        return false;
    };
    let Some(note) = seen.marker.as_ref().filter(|_| is_ours(account, seen)) else { return false };
    let known = sessions.iter().map(|session| session.until).max();
    note.generation > account.password_generation
        || note.until.is_some_and(|until| until > now && Some(until) > known)
}

pub(super) fn unheld_problem(why: Unheld) -> Problem {
    match why {
        Unheld::Lost => Problem::new(Code::TimedOut, "Another broker has taken this over.")
            .remedy("Look at your sessions in a moment, and try again where it is not there."),
        Unheld::Unknown => super::ledger_problem(&LedgerError::Unavailable("no lease".into())),
    }
}
