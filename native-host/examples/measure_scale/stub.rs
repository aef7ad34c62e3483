//! A directory that answers after a set time and knows what an account looks like that nobody changed without keeping it: what
//! is measured is the broker, not its directory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate::broker::BuildConnectors;
use ticketgate_access::config;
use ticketgate_access::desired::{DirectoryEnd, Marker, Observed, ObservedAccount, SelfEnding, Step};
use ticketgate_access::session::{Account, AccountKey, Right};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, ListedAccount, Listing, Promises, RightUse};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_psa::Psa;

/// The one right that there is.
pub(crate) const RIGHT: &str = "CN=Server Admins,CN=Users,DC=acme,DC=example";

/// What the stub says to whoever measures.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    /// This account was opened.
    Opened,
    /// This account was closed.
    Closed,
    /// The unit was listed: the sweep at the start is as good as over.
    Listed,
}

/// The accounts that are there before anybody changes one.
pub(crate) trait Untouched: Send + Sync {
    /// How this one is; `None`: there is none.
    fn seen(&self, account: &Account) -> Option<ObservedAccount>;

    /// All of them, one after the other.
    fn accounts(&self) -> Box<dyn Iterator<Item = Account> + Send + '_>;
}

pub(crate) struct Stub {
    answers_after: Duration,
    untouched: Box<dyn Untouched>,
    /// Accounts that are not as they were, by their key; `None`: deleted.
    changed: Mutex<HashMap<String, Option<ObservedAccount>>>,
    say: fn(Said, Option<&AccountKey>),
}

impl Stub {
    pub(crate) fn new(
        answers_after: Duration,
        untouched: impl Untouched + 'static,
        say: fn(Said, Option<&AccountKey>),
    ) -> Arc<Self> {
        Arc::new(Self { answers_after, untouched: Box::new(untouched), changed: Mutex::default(), say })
    }

    async fn pass(&self) {
        if !self.answers_after.is_zero() {
            tokio::time::sleep(self.answers_after).await;
        }
    }

    fn seen(&self, account: &Account) -> Option<ObservedAccount> {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        match changed.get(&account.key.0) {
            Some(known) => known.clone(),
            None => self.untouched.seen(account),
        }
    }
}

/// An account with this right, open until then.
pub(crate) fn open_account(account: &Account, identity: String, until: DateTime<Utc>) -> ObservedAccount {
    ObservedAccount {
        identity,
        display_name: format!("ACME\\{}", account.name),
        enabled: true,
        end: DirectoryEnd::At(until),
        rights: BTreeSet::from([Right(RIGHT.into())]),
        right_ends: Vec::new(),
        marker: Some(Marker {
            token: account.token.clone(),
            owner: account.technician.to_string(),
            generation: account.password_generation,
            until: Some(until),
        }),
        own: BTreeSet::new(),
        ordinary_primary_group: true,
        place: format!("CN={},OU=JIT,DC=acme,DC=example", account.name),
    }
}

#[async_trait]
impl Directory for Stub {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.pass().await;
        Ok(Observed {
            directory_time: Utc::now(),
            behind: false,
            self_ending: SelfEnding::None,
            account: self.seen(account),
        })
    }

    async fn apply(
        &self,
        account: &Account,
        _seen: &Observed,
        step: &Step,
        _password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.pass().await;
        let mut seen = self.seen(account);
        if let Step::Create(marker) = step {
            let mut made = open_account(account, account.key.0.clone(), DateTime::UNIX_EPOCH);
            made.enabled = false;
            made.rights.clear();
            made.marker = Some(marker.clone());
            seen = Some(made);
        } else if let Some(there) = &mut seen {
            match step {
                Step::Grant { right, .. } => drop(there.rights.insert(right.clone())),
                Step::Revoke(right) => drop(there.rights.remove(right)),
                Step::Open { until, marker } | Step::SetEnd { until, marker } => {
                    there.enabled = true;
                    there.end = DirectoryEnd::At(*until);
                    there.marker = Some(marker.clone());
                    if matches!(step, Step::Open { .. }) {
                        (self.say)(Said::Opened, Some(&account.key));
                    }
                }
                Step::Close => {
                    there.enabled = false;
                    there.end = DirectoryEnd::At(Utc::now());
                    (self.say)(Said::Closed, Some(&account.key));
                }
                Step::Rotate(marker) => there.marker = Some(marker.clone()),
                Step::Delete => seen = None,
                Step::Create(_) | Step::ResetPrimaryGroup => {}
            }
        }
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(account.key.0.clone(), seen);
        Ok(())
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.pass().await;
        let accounts = self
            .untouched
            .accounts()
            .filter_map(|account| {
                let seen = self.seen(&account)?;
                Some(ListedAccount { name: account.name, seen })
            })
            .collect();
        (self.say)(Said::Listed, None);
        Ok(Listing { directory_time: Utc::now(), accounts })
    }

    async fn check(&self, _rights: &[RightUse]) -> Vec<Finding> {
        Vec::new()
    }

    async fn rehearse(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn promises(&self, _mode: Mode) -> Promises {
        Promises {
            guarantee: "The directory disables the account.".into(),
            limits: "Tickets live on.".into(),
        }
    }

    fn right_name(&self, right: &Right) -> String {
        right.0.clone()
    }

    fn right_key(&self, right: &Right) -> String {
        right.0.to_lowercase()
    }
}

/// Builds the one stub for every configured directory.
pub(crate) struct Only(pub(crate) Arc<Stub>);

impl BuildConnectors for Only {
    fn directory(
        &self,
        _directory: &config::Directory,
        _known_rights: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        Ok(Arc::clone(&self.0) as Arc<dyn Directory>)
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        Err(format!("{} is not measured here", psa.id))
    }
}
