//! The right to work on an account. Within the process it is a lock; where several brokers share a ledger it is a lease of the ledger's
//! beside it, which is renewed for as long as it is held and given back when it is dropped. In a ledger of one broker the lock is all
//! there is, and nothing here asks the ledger for anything.
//!
//! A lease is good for three seconds of the database's clock. Here it counts as good for two since its renewal was *asked for*, by a
//! clock that nobody sets and that goes on while the machine sleeps. What was sent in good time can still arrive late, so a broker
//! that finds its lease gone has the account looked at again (`overtaken.rs`).

mod stand;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ticketgate_access::desired::Step;
use ticketgate_access::session::AccountKey;
use ticketgate_ledger::{Lease, Ledger, LedgerError};
use tokio::sync::{Notify, OwnedMutexGuard, oneshot};

use self::stand::Stand;
pub(super) use self::stand::Unheld;
use super::carrying::described;
use super::clock::since_boot;
use super::ends::Turn;

/// Between two questions for a lease that another broker has; longer from one to the next.
const ASK_AGAIN: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// Between two looks whether what one broker does at a time is still this one's.
const LOST_WITHIN: Duration = Duration::from_millis(500);

/// Accounts of which it is known whether another broker had them since. With more it is forgotten, which costs looks.
const HAD: usize = 20_000;

/// The leases of this broker.
pub(super) struct Leases {
    ledger: Arc<dyn Ledger>,
    held: Mutex<HashMap<Lease, Weak<Stand>>>,
    /// Claimed for accounts whose lock somebody in this process may have: whoever gets to work on the account first takes them along.
    offered: Mutex<HashMap<AccountKey, Arc<Stand>>>,
    renews: AtomicBool,
    /// The number of the last lease on each account that this broker had lately.
    had: Mutex<HashMap<AccountKey, u64>>,
    /// One renewal at a time.
    renewal: tokio::sync::Mutex<()>,
    /// Something was given back, or heard of.
    freed: Notify,
}

/// The right to work on an account, or to do what one broker does at a time, for as long as this is kept.
pub(super) struct Held {
    key: AccountKey,
    right: Right,
    /// What was sent to a directory under it that no commit has confirmed yet.
    sent: Mutex<Vec<String>>,
    /// Another broker may have sent something that shows late.
    late: AtomicBool,
    /// This is the look that was made because of that.
    second_look: AtomicBool,
    /// The turn that was waited for.
    turn: tokio::sync::Mutex<Option<Turn>>,
}

enum Right {
    /// Nobody else has the ledger.
    Lock(#[expect(dead_code, reason = "it is there to be dropped")] OwnedMutexGuard<()>),
    Lease(Arc<Stand>),
    /// Several have the ledger, and it gave no lease: it does not know the account yet, or cannot be reached.
    None(OwnedMutexGuard<()>),
}

impl Leases {
    pub(super) fn new(ledger: Arc<dyn Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            held: Mutex::default(),
            offered: Mutex::default(),
            renews: AtomicBool::new(false),
            had: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Waits until nobody else works on the account, in this process or at another broker. One that the ledger does not know yet
    /// is held by its lock alone.
    ///
    /// # Errors
    /// The ledger cannot be asked.
    pub(super) async fn hold(
        self: &Arc<Self>,
        lock: Arc<tokio::sync::Mutex<()>>,
        key: &AccountKey,
    ) -> Result<Held, LedgerError> {
        self.with_lease(self.by_lock(lock.lock_owned().await, key)).await
    }

    /// Holds it by its lock alone: what is over has to end also where the ledger cannot be asked.
    pub(super) fn by_lock(&self, lock: OwnedMutexGuard<()>, key: &AccountKey) -> Held {
        let right = if self.ledger.shared().is_some() { Right::None(lock) } else { Right::Lock(lock) };
        Held::new(key.clone(), right)
    }

    /// Adds the lease where there has to be one and was none.
    ///
    /// # Errors
    /// The ledger cannot be asked.
    pub(super) async fn with_lease(self: &Arc<Self>, held: Held) -> Result<Held, LedgerError> {
        let Held { key, right: Right::None(lock), turn, .. } = held else { return Ok(held) };
        let (tell, told) = oneshot::channel();
        // A task that nobody drops half-way: a lease that came and was not noticed would be renewed for nobody.
        tokio::spawn(Arc::clone(self).wait_for_lease(key, lock, tell));
        let held = told.await.unwrap_or_else(|_| Err(LedgerError::Unavailable("the broker stops".into())))?;
        Ok(held.in_turn(turn.into_inner()))
    }

    async fn wait_for_lease(
        self: Arc<Self>,
        key: AccountKey,
        lock: OwnedMutexGuard<()>,
        mut tell: oneshot::Sender<Result<Held, LedgerError>>,
    ) {
        let mut pauses = ASK_AGAIN.iter();
        let mut pause = Duration::ZERO;
        let stand = loop {
            let freed = self.freed.notified();
            // One that was claimed meanwhile is the same.
            let asked = match self.offered(&key) {
                Some(stand) => Ok(Some(stand)),
                None => self.ask_for(&key).await,
            };
            match asked {
                Ok(Some(stand)) => {
                    drop(self.offered(&key).filter(|offered| Arc::ptr_eq(offered, &stand)));
                    break Ok(Some(stand));
                }
                Ok(None) => {}
                Err(LedgerError::Conflict(_)) => break Ok(None),
                Err(error) => break Err(error),
            }
            pause = pauses.next().copied().unwrap_or(pause);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = freed => {}
                () = tell.closed() => return,
            }
        };
        let held = stand.map(|stand| {
            let right = match stand {
                Some(stand) => Right::Lease(stand.with(lock)),
                None => Right::None(lock),
            };
            Held::new(key, right)
        });
        // Whoever went away meanwhile drops it, which gives it back.
        drop(tell.send(held));
    }

    async fn ask_for(self: &Arc<Self>, key: &AccountKey) -> Result<Option<Arc<Stand>>, LedgerError> {
        let Some(shared) = self.ledger.shared() else { return Ok(None) };
        let asked = since_boot();
        Ok(shared.lease(key).await?.map(|lease| self.entered(lease, asked)))
    }

    /// A lease on a name, if no other broker has it now.
    ///
    /// # Errors
    /// The ledger cannot be asked.
    pub(super) async fn hold_if_free(
        self: &Arc<Self>,
        lock: OwnedMutexGuard<()>,
        key: &AccountKey,
    ) -> Result<Option<Held>, LedgerError> {
        if self.ledger.shared().is_none() {
            return Ok(Some(self.by_lock(lock, key)));
        }
        let (leases, of) = (Arc::clone(self), key.clone());
        let asked = tokio::spawn(async move { leases.ask_for(&of).await });
        let stand =
            asked.await.unwrap_or_else(|_| Err(LedgerError::Unavailable("the broker stops".into())))?;
        Ok(stand.map(|stand| Held::new(key.clone(), Right::Lease(stand.with(lock)))))
    }

    /// Keeps a lease that was asked for then.
    fn entered(self: &Arc<Self>, lease: Lease, asked: Duration) -> Arc<Stand> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get(&lease).and_then(Weak::upgrade) {
            return known;
        }
        // One of this broker's own that ran out before: whoever works under it has lost it.
        let ran_out = held.iter().filter(|(known, _)| known.key == lease.key);
        ran_out.filter_map(|(_, stand)| stand.upgrade()).for_each(|stand| stand.lose());
        let was_elsewhere = self.was_elsewhere(&lease);
        let stand = Arc::new(Stand::new(lease.clone(), asked, was_elsewhere, self));
        held.insert(lease, Arc::downgrade(&stand));
        drop(held);
        self.keep_renewed();
        stand
    }

    /// Each new holder adds one, this broker as well.
    fn was_elsewhere(&self, lease: &Lease) -> bool {
        let mut had = self.had.lock().unwrap_or_else(PoisonError::into_inner);
        if had.len() >= HAD {
            had.clear();
        }
        let before = had.insert(lease.key.clone(), lease.fence);
        before.is_none_or(|before| before + 1 < lease.fence)
    }

    /// Leases on what is due at other times than somebody asked for it: at most so many, to be worked on with [`Leases::take`].
    ///
    /// # Errors
    /// The ledger cannot be asked.
    pub(super) async fn claim(
        self: &Arc<Self>,
        now: chrono::DateTime<chrono::Utc>,
        most: u32,
    ) -> Result<Vec<AccountKey>, LedgerError> {
        let Some(shared) = self.ledger.shared() else { return Ok(Vec::new()) };
        let asked = since_boot();
        let mut keys = Vec::new();
        for lease in shared.claim(now, most).await? {
            let key = lease.key.clone();
            let stand = self.entered(lease, asked);
            let before =
                self.offered.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), stand);
            // One that ran out before anybody got to it.
            drop(before);
            keys.push(key);
        }
        self.freed.notify_waiters();
        Ok(keys)
    }

    /// The account that was claimed, once nobody in this process works on it; nothing where somebody else did, under that lease.
    pub(super) async fn take(
        self: &Arc<Self>,
        lock: Arc<tokio::sync::Mutex<()>>,
        key: &AccountKey,
    ) -> Option<Held> {
        let lock = lock.lock_owned().await;
        let stand = self.offered(key)?;
        Some(Held::new(key.clone(), Right::Lease(stand.with(lock))))
    }

    fn offered(&self, key: &AccountKey) -> Option<Arc<Stand>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }

    /// Some account may be free now.
    pub(super) fn heard(&self) {
        self.freed.notify_waiters();
    }

    /// Waits until everything is given back, but not longer than this.
    pub(super) async fn all_given_back(&self, within: Duration) {
        let in_use = || !self.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        let begun = since_boot();
        while in_use() && since_boot() - begun < within {
            // Nobody takes up any more what was claimed.
            self.offered.lock().unwrap_or_else(PoisonError::into_inner).clear();
            tokio::time::sleep(ASK_AGAIN[0]).await;
        }
    }
}

impl Held {
    fn new(key: AccountKey, right: Right) -> Self {
        let (late, second_look) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { key, right, sent: Mutex::default(), late, second_look, turn: tokio::sync::Mutex::default() }
    }

    /// The same in its turn.
    pub(super) fn in_turn(self, turn: impl Into<Option<Turn>>) -> Self {
        Self { turn: tokio::sync::Mutex::new(turn.into()), ..self }
    }

    /// What is left to do can wait: whoever waits for a turn has it before. Where nobody does, or this is no work that waits for one,
    /// it goes on at once.
    pub(super) async fn lets_others_go_first(&self) {
        if let Some(turn) = self.turn.lock().await.as_mut() {
            turn.again().await;
        }
    }

    /// What is held.
    pub(super) const fn key(&self) -> &AccountKey {
        &self.key
    }

    /// Under which lease to commit; none in a ledger of one broker.
    pub(super) fn leases(&self) -> Vec<Lease> {
        match &self.right {
            Right::Lease(stand) => vec![stand.lease.clone()],
            Right::Lock(_) | Right::None(_) => Vec::new(),
        }
    }

    /// Whether several brokers have the ledger, and this one has its lock alone.
    pub(super) const fn has_no_lease(&self) -> bool {
        matches!(&self.right, Right::None(_))
    }

    /// Whether another broker is known to have it.
    pub(super) fn is_lost(&self) -> bool {
        matches!(&self.right, Right::Lease(stand) if stand.is_lost())
    }

    /// Waits until another broker is known to have it.
    pub(super) async fn until_lost(&self) {
        while !self.is_lost() {
            tokio::time::sleep(LOST_WITHIN).await;
        }
    }

    /// Whether nobody else can have it. Asks nobody.
    pub(super) fn is_sure(&self) -> bool {
        match &self.right {
            Right::Lock(_) => true,
            Right::Lease(stand) => stand.is_good(),
            Right::None(_) => false,
        }
    }

    /// Whether something may be sent to a directory now. The ledger is asked where the lease was not renewed in time.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn may_send(&self) -> Result<(), Unheld> {
        match &self.right {
            Right::Lock(_) => Ok(()),
            Right::Lease(stand) => stand.confirm().await,
            Right::None(_) => Err(Unheld::Unknown),
        }
    }

    /// Something is about to be sent.
    pub(super) fn sends(&self, step: &Step) {
        if !matches!(self.right, Right::Lock(_)) {
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(described(step));
        }
    }

    /// A commit under the lease went through: whatever was sent before it was sent by the account's holder.
    pub(super) fn confirmed(&self) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What another broker sent may show only later.
    pub(super) fn expects_late_writes(&self) {
        self.late.store(true, Ordering::SeqCst);
    }

    /// The account is looked at because of that, and not once more.
    pub(super) fn is_second_look(&self) {
        self.second_look.store(true, Ordering::SeqCst);
    }

    /// Whether the account is to be looked at again when everything has arrived.
    pub(super) fn needs_second_look(&self) -> bool {
        self.late.load(Ordering::SeqCst) && !self.second_look.load(Ordering::SeqCst)
    }

    /// Whether another broker may have had it since this one had.
    pub(super) fn was_elsewhere(&self) -> bool {
        matches!(&self.right, Right::Lease(stand) if stand.was_elsewhere)
    }

    /// What was sent without a commit since.
    pub(super) fn unconfirmed(&self) -> Vec<String> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
