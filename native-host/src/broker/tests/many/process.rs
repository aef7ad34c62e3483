//! A broker's process as a test holds it in its hands: stopped in the middle of a call, as by SIGSTOP, or cut off from the database.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ticketgate_access::desired::{Observed, Step};
use ticketgate_access::session::{Account, AccountKey};
use ticketgate_access::{self as access, config};
use ticketgate_credentials::Secret;
use ticketgate_directory::{Directory, DirectoryError, Listing, Promises, RightUse};
use ticketgate_ledger::{BrokerEpoch, Heard, Lease, LedgerError, Shared};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_psa::Psa;
use tokio::sync::broadcast;

use super::*;
use crate::broker::BuildConnectors;

/// Where the ledger knows no account to have a lease on.
pub(super) const NO_LEASE: &str = "no lease";

/// A process that a test stops and wakes.
#[derive(Default)]
pub(super) struct Process {
    stopped: AtomicBool,
    /// It stops in the middle of the next step of this name, where everything was checked and nothing sent; or with [`NO_LEASE`] once the
    /// ledger has told it that there is no account to have a lease on.
    stops_in: Mutex<Option<&'static str>>,
    /// The database cannot be reached from it.
    cut_off: AtomicBool,
    /// Its standby has not what it shows.
    standby_lacks: AtomicBool,
    /// By how much the database's clock is set, in seconds.
    clock_set: Arc<AtomicI64>,
}

impl Process {
    pub(super) fn new(clock_set: Arc<AtomicI64>) -> Arc<Self> {
        Arc::new(Self { clock_set, ..Self::default() })
    }

    /// Goes on when the process does.
    async fn runs(&self) {
        while self.stopped.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn reaches(&self) -> Result<(), LedgerError> {
        self.runs().await;
        match self.cut_off.load(Ordering::SeqCst) {
            true => Err(LedgerError::Unavailable("cut off".into())),
            false => Ok(()),
        }
    }

    pub(super) fn stop_in(&self, step: &'static str) {
        *self.stops_in.lock().unwrap() = Some(step);
    }

    /// Stops here if it was to, and goes on when it is woken.
    async fn comes_to(&self, name: &str) {
        if self.stops_in.lock().unwrap().take_if(|stop| *stop == name).is_some() {
            self.stop();
        }
        self.runs().await;
    }

    pub(super) fn stops_nowhere(&self) {
        *self.stops_in.lock().unwrap() = None;
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    pub(super) fn standby_lacks(&self, does: bool) {
        self.standby_lacks.store(does, Ordering::SeqCst);
    }

    pub(super) fn cut_off(&self, is: bool) {
        self.cut_off.store(is, Ordering::SeqCst);
    }
}

/// What a process has of the shared ledger.
pub(in crate::broker::tests) struct Through {
    pub(super) inner: Arc<dyn Ledger>,
    pub(super) process: Arc<Process>,
}

impl Through {
    fn shared(&self) -> &dyn Shared {
        self.inner.shared().unwrap()
    }

    pub(in crate::broker::tests) async fn pass(&self) -> Result<(), LedgerError> {
        self.process.reaches().await
    }
}

#[async_trait]
impl Shared for Through {
    async fn time(&self) -> Result<DateTime<Utc>, LedgerError> {
        self.pass().await?;
        let set = TimeDelta::seconds(self.process.clock_set.load(Ordering::SeqCst));
        Ok(self.shared().time().await? + set)
    }

    async fn enlist(&self, name: &str) -> Result<BrokerEpoch, LedgerError> {
        self.shared().enlist(name).await
    }

    async fn confirm(&self) -> Result<(), LedgerError> {
        self.pass().await?;
        if self.process.standby_lacks.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("the standby does not answer".into()));
        }
        self.shared().confirm().await
    }

    async fn claim(&self, now: DateTime<Utc>, most: u32) -> Result<Vec<Lease>, LedgerError> {
        self.pass().await?;
        self.shared().claim(now, most).await
    }

    async fn lease(&self, key: &AccountKey) -> Result<Option<Lease>, LedgerError> {
        self.pass().await?;
        let lease = self.shared().lease(key).await;
        if matches!(lease, Err(LedgerError::Conflict(_))) {
            self.process.comes_to(NO_LEASE).await;
        }
        lease
    }

    async fn renew(&self) -> Result<Vec<Lease>, LedgerError> {
        self.pass().await?;
        self.shared().renew().await
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.pass().await?;
        self.shared().release(lease).await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.pass().await?;
        self.shared().next_due().await
    }

    async fn free_in(&self, now: DateTime<Utc>) -> Result<Option<Duration>, LedgerError> {
        self.pass().await?;
        self.shared().free_in(now).await
    }

    async fn accounts_of(
        &self,
        keys: &[AccountKey],
    ) -> Result<Vec<(Account, Vec<access::session::Session>)>, LedgerError> {
        self.pass().await?;
        self.shared().accounts_of(keys).await
    }

    fn changes(&self) -> broadcast::Receiver<Heard> {
        self.shared().changes()
    }
}

/// A process's way to the directory.
struct Way {
    to: Arc<Model>,
    process: Arc<Process>,
    steps: Arc<AtomicU32>,
}

#[async_trait]
impl Directory for Way {
    async fn observe(&self, account: &Account) -> Result<Observed, DirectoryError> {
        self.process.runs().await;
        self.to.observe(account).await
    }

    async fn apply(
        &self,
        account: &Account,
        seen: &Observed,
        step: &Step,
        password: Option<&Secret>,
    ) -> Result<(), DirectoryError> {
        self.process.runs().await;
        self.process.comes_to(step.name()).await;
        self.steps.fetch_add(1, Ordering::SeqCst);
        self.to.apply(account, seen, step, password).await
    }

    async fn list(&self) -> Result<Listing, DirectoryError> {
        self.process.runs().await;
        self.to.list().await
    }

    async fn check(&self, rights: &[RightUse]) -> Vec<Finding> {
        self.to.check(rights).await
    }

    async fn rehearse(&self) -> Vec<Finding> {
        self.to.rehearse().await
    }

    fn promises(&self, mode: Mode) -> Promises {
        self.to.promises(mode)
    }

    fn right_name(&self, right: &Right) -> String {
        self.to.right_name(right)
    }

    fn right_key(&self, right: &Right) -> String {
        self.to.right_key(right)
    }
}

/// A process's ways to what is outside.
pub(super) struct Ways {
    pub(super) to: Arc<Model>,
    pub(super) second: Arc<Model>,
    pub(super) process: Arc<Process>,
    pub(super) steps: Arc<AtomicU32>,
    pub(super) psa: Arc<Scripted>,
}

impl BuildConnectors for Ways {
    fn directory(&self, of: &config::Directory, _: BTreeSet<Right>) -> Result<Arc<dyn Directory>, String> {
        let to = if of.id.as_str() == "acme-two" { &self.second } else { &self.to };
        Ok(Arc::new(Way {
            to: Arc::clone(to),
            process: Arc::clone(&self.process),
            steps: Arc::clone(&self.steps),
        }))
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        self.psa.connected(&psa.id)
    }
}
