//! How it stands with one lease, and the renewal of all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ticketgate_ledger::Lease;
use tokio::sync::OwnedMutexGuard;

use super::Leases;
use crate::broker::clock::since_boot;

/// For how long a lease counts as good since its renewal was asked for: shorter than the ledger's three seconds by what a write may
/// take to reach its directory.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// How often the leases are renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A renewal that takes longer is as good as none.
const RENEWAL_TAKES: Duration = Duration::from_millis(1_500);

/// One lease. When the last who uses it drops it, it is given back, and only then its lock let go: else the next in this process would
/// be given the same lease, and lose it.
pub(super) struct Stand {
    pub(super) lease: Lease,
    /// When the renewal that the ledger confirmed last was asked for, since boot.
    asked: Mutex<Duration>,
    lost: AtomicBool,
    /// Another broker may have had it since this one had.
    pub(super) was_elsewhere: bool,
    lock: Mutex<Option<OwnedMutexGuard<()>>>,
    leases: Arc<Leases>,
}

/// Why nothing may be sent to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Unheld {
    /// Another broker has the account now.
    Lost,
    /// The ledger cannot say who has it.
    Unknown,
}

impl Stand {
    pub(super) fn new(lease: Lease, asked: Duration, was_elsewhere: bool, leases: &Arc<Leases>) -> Self {
        let (lost, lock) = (AtomicBool::new(false), Mutex::default());
        Self { lease, asked: Mutex::new(asked), lost, was_elsewhere, lock, leases: Arc::clone(leases) }
    }

    pub(super) fn with(self: Arc<Self>, lock: OwnedMutexGuard<()>) -> Arc<Self> {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        self
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(super) fn is_good(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_lost() && since_boot().saturating_sub(asked) <= GOOD_FOR
    }

    /// Asks the ledger where the lease was not renewed in time.
    pub(super) async fn confirm(&self) -> Result<(), Unheld> {
        if !self.is_good() && !self.is_lost() {
            self.leases.renew().await;
        }
        match (self.is_lost(), self.is_good()) {
            (true, _) => Err(Unheld::Lost),
            (false, true) => Ok(()),
            (false, false) => Err(Unheld::Unknown),
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let lock = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let (leases, lease) = (Arc::clone(&self.leases), self.lease.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Also one that is lost: it is left to whoever has it, and no longer asked for by this broker.
            if let Some(shared) = leases.ledger.shared()
                && let Err(error) = shared.release(&lease).await
            {
                tracing::warn!(account = %lease.key.0, %error, "a lease could not be given back; it runs out by itself");
            }
            let mut held = leases.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.get(&lease).is_some_and(|stand| stand.strong_count() == 0) {
                held.remove(&lease);
            }
            drop(held);
            drop(lock);
            leases.heard();
        });
    }
}

impl Leases {
    /// Renews all leases from now on, for as long as the broker is there.
    pub(super) fn keep_renewed(self: &Arc<Self>) {
        if self.renews.swap(true, Ordering::SeqCst) {
            return;
        }
        let leases = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                let Some(leases) = leases.upgrade() else { return };
                leases.renew().await;
            }
        });
    }

    /// Renews all leases once, unless somebody else just did.
    async fn renew(&self) {
        let wanted = since_boot();
        let _one_at_a_time = self.renewal.lock().await;
        let Some(shared) = self.ledger.shared() else { return };
        let stands: Vec<_> = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.values().filter_map(std::sync::Weak::upgrade).collect()
        };
        let is_older =
            |stand: &&Arc<Stand>| *stand.asked.lock().unwrap_or_else(PoisonError::into_inner) < wanted;
        if !stands.iter().any(|stand| is_older(&stand)) {
            return;
        }
        let asked = since_boot();
        match tokio::time::timeout(RENEWAL_TAKES, shared.renew()).await {
            Ok(Ok(lost)) => {
                for stand in &stands {
                    if lost.contains(&stand.lease) {
                        tracing::warn!(account = %stand.lease.key.0, "another broker has taken an account over");
                        stand.lose();
                    } else {
                        *stand.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    }
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "the leases of accounts could not be renewed"),
            Err(_) => tracing::error!("the leases of accounts could not be renewed in time"),
        }
    }

    /// A commit under these was refused, since another broker has one of them now.
    pub(in crate::broker) fn lost(&self, leases: &[Lease]) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        for stand in leases.iter().filter_map(|lease| held.get(lease)?.upgrade()) {
            stand.lose();
        }
    }
}
