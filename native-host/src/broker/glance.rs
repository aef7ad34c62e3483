//! A look at accounts by somebody who has no right to work on them, for the sweep over a ledger that several brokers share: most
//! accounts are as they should be, and then nothing is written and nothing sent. A lease for each would be two writes to the database
//! for nothing. Whatever is not as it should be is looked at again under the lease, by [`Broker::converge`].

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use ticketgate_access::desired::{desired, own_until, plan};
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_directory::alike;
use ticketgate_protocol::api::{Mode, State};

use super::Broker;
use super::converge::{asked, next_due};
use super::settle::taught;

impl Broker {
    /// Those of these accounts that are settled and that the directory has as the ledger wants them. None of which that cannot be told.
    pub(super) async fn as_wanted(&self, keys: impl Iterator<Item = &AccountKey>) -> BTreeSet<AccountKey> {
        // What one broker has by itself costs nothing to hold.
        let Some(shared) = self.ledger.shared() else { return BTreeSet::new() };
        // What is remembered below is not to take the place of what somebody in this process has just done; whoever is at it now sees to
        // the account himself.
        let mut locks: HashMap<_, _> =
            keys.filter_map(|key| Some((key.clone(), self.locks.of(key).try_lock_owned().ok()?))).collect();
        let free: Vec<_> = locks.keys().cloned().collect();
        let Ok(found) = shared.accounts_of(&free).await else { return BTreeSet::new() };
        let looks = found.into_iter().map(|(account, sessions)| {
            let lock = locks.remove(&account.key);
            async move {
                let _one_at_a_time = lock?;
                self.is_as_wanted(&account, &sessions).await.then_some(account.key)
            }
        });
        join_all(looks.collect::<Vec<_>>()).await.into_iter().flatten().collect()
    }

    /// The account is locked, and the ledger has this of it.
    async fn is_as_wanted(&self, account: &Account, sessions: &[Session]) -> bool {
        let now = self.clock.now();
        let goes_on = |s: &Session| s.state == State::Active && s.is_live(now);
        if !account.settled || !sessions.iter().all(goes_on) || !self.abandoned_among(sessions).is_empty() {
            return false;
        }
        let Ok(lately) = self.over_lately(account, now).await else { return false };
        let snapshot = self.settings();
        let Ok(directory) = Self::directory(&snapshot, &account.directory) else { return false };
        // One that shows late what another broker wrote is looked at by whoever knows that another broker had the account.
        if directory.entra().is_some() {
            return false;
        }
        let Ok(observed) = directory.observe(account).await else { return false };
        if observed.behind || taught(account, !sessions.is_empty(), &observed) != *account {
            return false;
        }
        let asked = asked(&observed, now, self.clock.now());
        let answering = [sessions, &lately].concat();
        let (spelled, spelled_sessions, seen) = alike(directory.as_ref(), account, &answering, &observed);
        let wanted = desired(&spelled, &spelled_sessions, now);
        self.note_skew(account, observed.directory_time - asked);
        let is_as_wanted = plan(&spelled, &wanted, &seen, asked).is_ok_and(|steps| steps.is_empty());
        if !is_as_wanted || own_until(&wanted, &seen).is_some() {
            return false;
        }
        if account.mode != Mode::Membership && sessions.is_empty() {
            // Also where another broker closed it.
            self.passwords.forget(&account.key);
        }
        self.remembered.keep(account, sessions);
        self.ends.set(&account.key, next_due(account, sessions));
        true
    }
}
