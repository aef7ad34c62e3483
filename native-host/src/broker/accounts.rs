//! What the broker keeps in memory per account: the lock that makes its work one at a time, and the password until it is
//! no longer valid. Losing both costs nothing but a new password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_directory::Secret;

/// One lock per account that is being worked on.
#[derive(Default)]
pub(super) struct AccountLocks(Mutex<HashMap<AccountKey, Arc<tokio::sync::Mutex<()>>>>);

impl AccountLocks {
    /// The account's lock. Locks that nobody holds are forgotten as others are asked for.
    pub(super) fn of(&self, key: &AccountKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.len() > 1_000 {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(key.clone()).or_default())
    }
}

/// What the ledger last said of accounts with open sessions: what is over can be taken away by it when the ledger cannot be
/// read any more.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<AccountKey, (Account, Vec<Session>)>>);

impl Remembered {
    /// Keeps what an end takes; nothing where no session is open.
    pub(super) fn keep(&self, account: &Account, sessions: &[Session]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.is_empty() {
            kept.remove(&account.key);
            return;
        }
        let bare = |session: &Session| Session {
            reason: String::new(),
            policy_name: String::new(),
            ticket: None,
            trouble: None,
            ..session.clone()
        };
        kept.insert(account.key.clone(), (account.clone(), sessions.iter().map(bare).collect()));
    }

    pub(super) fn of(&self, key: &AccountKey) -> Option<(Account, Vec<Session>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

/// Passwords of open accounts, by generation.
#[derive(Default)]
pub(super) struct Passwords(Mutex<HashMap<AccountKey, (u64, Secret)>>);

impl Passwords {
    pub(super) fn put(&self, key: &AccountKey, generation: u64, password: Secret) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), (generation, password));
    }

    /// The password, if it is the one that this generation has.
    pub(super) fn get(&self, key: &AccountKey, generation: u64) -> Option<Secret> {
        let passwords = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passwords.get(key).filter(|(held, _)| *held == generation).map(|(_, password)| password.clone())
    }

    pub(super) fn holds(&self, key: &AccountKey, generation: u64) -> bool {
        let passwords = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passwords.get(key).is_some_and(|(held, _)| *held == generation)
    }

    pub(super) fn forget(&self, key: &AccountKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
