//! A directory that answers after a set time and knows what a prepared session's account looks like without keeping it: what
//! is measured is the broker, not its directory.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate::broker::BuildConnectors;
use ticketgate_access::config;
use ticketgate_access::desired::{DirectoryEnd, Marker, Observed, ObservedAccount, SelfEnding, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, ListedAccount, Listing, Promises, RightUse};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_psa::Psa;

use super::prepare::{Prepared, RIGHT};

/// What the stub says on stdout to whoever measures.
#[derive(Clone, Copy)]
pub(super) enum Said {
    /// A prepared session's account was closed.
    Closed,
    /// The unit was listed: the sweep at the start is as good as over.
    Listed,
}

pub(super) struct Stub {
    pub(super) answers_after: Duration,
    pub(super) prepared: Prepared,
    /// Accounts that are not as they were prepared, by their key; `None`: deleted.
    pub(super) changed: Mutex<HashMap<String, Option<ObservedAccount>>>,
    pub(super) say: fn(Said, usize),
}

impl Stub {
    pub(super) fn new(answers_after: Duration, prepared: Prepared, say: fn(Said, usize)) -> Arc<Self> {
        Arc::new(Self { answers_after, prepared, changed: Mutex::default(), say })
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
            None => {
                let number = Prepared::number(&account.key)?;
                let note = |until| Marker {
                    token: account.token.clone(),
                    owner: account.technician.to_string(),
                    generation: account.password_generation,
                    until: Some(until),
                };
                Some(open_account(
                    &account.name,
                    account.identity.clone()?,
                    note,
                    self.prepared.until(number),
                ))
            }
        }
    }
}

fn open_account(
    name: &str,
    identity: String,
    note: impl Fn(DateTime<Utc>) -> Marker,
    until: DateTime<Utc>,
) -> ObservedAccount {
    ObservedAccount {
        identity,
        display_name: format!("ACME\\{name}"),
        enabled: true,
        end: DirectoryEnd::At(until),
        rights: BTreeSet::from([Right(RIGHT.into())]),
        right_ends: Vec::new(),
        marker: Some(note(until)),
        own: BTreeSet::new(),
        ordinary_primary_group: true,
        place: format!("CN={name},OU=JIT,DC=acme,DC=example"),
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
            let mut made =
                open_account(&account.name, account.key.0.clone(), |_| marker.clone(), DateTime::UNIX_EPOCH);
            made.enabled = false;
            made.rights.clear();
            seen = Some(made);
        } else if let Some(there) = &mut seen {
            match step {
                Step::Grant { right, .. } => drop(there.rights.insert(right.clone())),
                Step::Revoke(right) => drop(there.rights.remove(right)),
                Step::Open { until, marker } | Step::SetEnd { until, marker } => {
                    there.enabled = true;
                    there.end = DirectoryEnd::At(*until);
                    there.marker = Some(marker.clone());
                }
                Step::Close => {
                    there.enabled = false;
                    there.end = DirectoryEnd::At(Utc::now());
                    if let Some(number) = Prepared::number(&account.key) {
                        (self.say)(Said::Closed, number);
                    }
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
        let accounts = (0..self.prepared.sessions)
            .filter_map(|number| {
                let account = self.prepared.account(number);
                let seen = self.seen(&account)?;
                Some(ListedAccount { name: account.name, seen })
            })
            .collect();
        (self.say)(Said::Listed, 0);
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
pub(super) struct Only(pub(super) Arc<Stub>);

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

/// Says it on stdout, for another process.
pub(super) fn aloud(said: Said, number: usize) {
    let mut out = std::io::stdout().lock();
    let _ = match said {
        Said::Closed => writeln!(out, "closed {number}"),
        Said::Listed => writeln!(out, "listed"),
    };
    let _ = out.flush();
}
