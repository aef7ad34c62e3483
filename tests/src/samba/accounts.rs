//! Whether anything is open in a directory: what most tests ask it in the end.

use super::SambaAd;
use crate::Result;
use crate::ldap::{Account, Expiry};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use ticketgate_protocol::api::Session;

/// The directory counts whole seconds, by a clock that is read once a session.
const ROUNDING: Duration = Duration::from_secs(2);

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

    /// Whether the directory stops the account when `length` is over since this session began, the session as the API
    /// shows it. It does not matter how long a test has waited meanwhile.
    pub fn ends_after(&self, length: Duration, session: &Value) -> bool {
        let began = serde_json::from_value::<Session>(session.clone()).ok().and_then(|session| session.from);
        let (Expiry::At(at), Some(began)) = (self.expires, began) else { return false };
        let end = SystemTime::from(began) + length;
        at.duration_since(end).unwrap_or_else(|early| early.duration()) <= ROUNDING
    }

    /// Whether the directory does not let the account in any more.
    pub fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}
