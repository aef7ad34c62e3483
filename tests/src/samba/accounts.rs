//! Whether anything is open in a directory: what most tests ask it in the end.

use super::SambaAd;
use crate::Result;
use crate::ldap::{Account, Expiry};
use std::time::{Duration, SystemTime};

impl SambaAd {
    /// The JIT accounts that somebody could use, or that still hold a right.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn open_accounts(&self) -> Result<Vec<Account>> {
        let mut accounts = self.look()?.accounts_below(self.account_unit())?;
        accounts.retain(|account| {
            account.enabled() || !account.groups.is_empty() || account.primary_group != 513
        });
        Ok(accounts)
    }
}

impl Account {
    /// How long the directory lets the account in from now on; `None` when for ever.
    pub fn left(&self) -> Option<Duration> {
        match self.expires {
            Expiry::Never => None,
            Expiry::At(at) => Some(at.duration_since(SystemTime::now()).unwrap_or_default()),
        }
    }

    /// Whether the directory stops the account within `about` ± 10 s from now.
    pub fn ends_in(&self, about: Duration) -> bool {
        self.left().is_some_and(|left| left.abs_diff(about) <= Duration::from_secs(10))
    }
}
