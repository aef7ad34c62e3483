//! What the broker keeps in memory per account: the lock that makes its work one at a time, and the password until it is
//! no longer valid. Losing both costs nothing but a new password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ticketgate_access::session::AccountKey;
use ticketgate_credentials::Secret;

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

    /// Of which accounts there is one.
    pub(super) fn accounts(&self) -> Vec<AccountKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn forget(&self, key: &AccountKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
