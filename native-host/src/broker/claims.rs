//! The ends where several brokers share a ledger: each takes from the ledger what is due and nobody works on, so that they share it
//! out, and what a dead one had is taken over once its leases have run out. Nothing is loaded at a start.
//!
//! The queue in memory (`ends.rs`) is there for a ledger that cannot be asked: what this broker remembers as over is taken away then,
//! as long as it lasts. It gives nothing, and it leaves alone what another broker has written since.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use ticketgate_access::session::AccountKey;
use ticketgate_ledger::{Heard, LedgerError};
use ticketgate_protocol::api::Notice;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::clock::since_boot;
use super::converge::code_of;
use super::ends::Rooms;
use super::{Broker, traces};

/// Accounts taken at once: few, so that brokers who all wake at one time share out what is due then.
const AT_ONCE: u32 = 16;

/// With so many in hand a broker lets others have their turn before it takes more.
const BUSY: usize = 32;

/// For how long.
const OTHERS_TURN: Duration = Duration::from_millis(5);

/// Accounts that may wait for their turn. They hang in a directory that does not answer.
const WAITING: usize = 1_000;

/// The longest pause between two looks at what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A pause after a look that found nothing, or others at it.
const BREATH: Duration = Duration::from_millis(25);

/// An answer of the ledger that takes longer is none.
pub(super) const ANSWERS_IN: Duration = Duration::from_secs(5);

/// A ledger that cannot be asked for so long is away, and what is over is taken away without it. A database that changes its server
/// takes less.
const AWAY_AFTER: Duration = Duration::from_secs(10);

/// Between two attempts to take away what is over while the ledger is away.
const WITHOUT_LEDGER: TimeDelta = TimeDelta::seconds(30);

/// How long after an end another broker's word on it is read.
const SETTLED_BY: TimeDelta = TimeDelta::seconds(60);

/// Since when the shared ledger cannot be asked, since boot.
#[derive(Default)]
pub(super) struct Away(Mutex<Option<Duration>>);

impl Away {
    /// Takes in how a question went; answers whether what everybody is told of it changed.
    fn note<T>(&self, answer: &Result<T, LedgerError>) -> bool {
        let before = self.is_away();
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if answer.is_ok() { None } else { since.or_else(|| Some(since_boot())) };
        drop(since);
        before != self.is_away()
    }

    /// Whether it has been for long enough to go on without it.
    fn is_away(&self) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since_boot() - since >= AWAY_AFTER)
    }

    /// What everybody should know.
    pub(super) fn notice(&self) -> Option<Notice> {
        self.is_away().then(|| Notice {
            level: "error".into(),
            text: "The ledger's database cannot be reached or written. Nothing is granted or extended; what is over is still taken away, as far as this broker knows of it."
                .into(),
        })
    }
}

/// A question to the ledger that outlives whoever asked it.
type Claiming = JoinHandle<Result<Vec<AccountKey>, LedgerError>>;

impl Broker {
    /// Does what is due for as long as the broker runs.
    pub(super) async fn run_claims(self: Arc<Self>) {
        let Some(shared) = self.ledger.shared() else { return };
        let mut changes = shared.changes();
        let mut rooms = Rooms::default();
        let mut waiting: Vec<JoinHandle<()>> = Vec::new();
        let mut claiming = None;
        loop {
            waiting.retain(|work| !work.is_finished());
            let claimed =
                if waiting.len() < WAITING { self.claim(&mut claiming).await } else { Ok(Vec::new()) };
            if self.away.note(&claimed) {
                self.events.overview();
            }
            self.remember_ends(claimed.is_ok());
            let mut pause = LOOK_EVERY;
            match claimed {
                Ok(keys) if keys.is_empty() => {
                    if let Ok(Some(next)) = shared.next_due().await {
                        let left = (next - self.clock.now()).to_std().unwrap_or_default();
                        pause = left.clamp(BREATH, LOOK_EVERY);
                    }
                    // Whoever lives renews long before: what comes sooner than the next look is a dead broker's.
                    if let Ok(Some(left)) = shared.free_in(self.clock.now()).await {
                        pause = left.clamp(BREATH, pause);
                    }
                }
                Ok(keys) => {
                    for key in keys {
                        waiting.push(tokio::spawn(Arc::clone(&self).work_on(key, &mut rooms)));
                    }
                    if waiting.len() >= BUSY {
                        tokio::time::sleep(OTHERS_TURN).await;
                    }
                    continue;
                }
                Err(error) => tracing::error!(%error, "what is due cannot be read"),
            }
            let by = self.clock.now() + pause;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = due_sooner(&mut changes, &self) => {}
                // What was remembered meanwhile as due much later, as at every activation, is nothing to wake for.
                () = self.ends.due_by(by) => {}
            }
        }
    }

    /// Asks for what is due. An answer that takes too long is waited for the next time.
    async fn claim(
        self: &Arc<Self>,
        claiming: &mut Option<Claiming>,
    ) -> Result<Vec<AccountKey>, LedgerError> {
        let asked = claiming.get_or_insert_with(|| {
            let broker = Arc::clone(self);
            tokio::spawn(async move { broker.leases.claim(broker.clock.now(), AT_ONCE).await })
        });
        let unavailable = |why: &str| Err(LedgerError::Unavailable(why.into()));
        match tokio::time::timeout(ANSWERS_IN, asked).await {
            Err(_) => unavailable("no answer in time"),
            Ok(answer) => {
                *claiming = None;
                answer.unwrap_or_else(|_| unavailable("the broker stops"))
            }
        }
    }

    /// Works on an account that was claimed, in its turn.
    fn work_on(self: Arc<Self>, key: AccountKey, rooms: &mut Rooms) -> impl Future<Output = ()> + use<> {
        let room = rooms.of(&key);
        async move {
            let turn = room.turn().await;
            let Some(held) = self.leases.take(self.locks.of(&key), &key).await else { return };
            let held = held.in_turn(turn);
            let span = self.monitor.traces.due(&key);
            if let Err(problem) = traces::spanned(span, code_of, self.converge_under(held)).await {
                tracing::warn!(account = %key.0, %problem, "an account is not settled yet");
            }
        }
    }

    /// Looks through what this broker remembers as due. While the ledger can be asked that is somebody's work already; while it is
    /// away, what is over is taken away without it.
    fn remember_ends(self: &Arc<Self>, is_there: bool) {
        let now = self.clock.now();
        if !is_there && !self.away.is_away() {
            return;
        }
        for key in self.ends.take_due(now).unwrap_or_default() {
            let sessions = self.remembered.of(&key).map(|(_, sessions)| sessions).unwrap_or_default();
            if !is_there {
                self.ends.set(&key, Some(now + WITHOUT_LEDGER));
                tokio::spawn(Arc::clone(self).stop_without_ledger(key));
            } else if !sessions.iter().any(|session| session.until <= now) {
                // Not at its end: this broker changed it, and has it looked at.
                tokio::spawn(Arc::clone(self).look_at(key));
            } else if sessions.iter().all(|session| session.until + SETTLED_BY > now) {
                self.ends.set(&key, Some(now + SETTLED_BY));
            } else {
                tokio::spawn(Arc::clone(self).remember_anew(key));
            }
        }
    }

    pub(super) async fn look_at(self: Arc<Self>, key: AccountKey) {
        if let Err(problem) = self.converge_due(&key, None).await {
            tracing::warn!(account = %key.0, %problem, "an account is not settled yet");
        }
    }

    async fn stop_without_ledger(self: Arc<Self>, key: AccountKey) {
        // Whoever works on it in this process meets the same ledger, and stops.
        let held = self.leases.by_lock(self.locks.of(&key).lock_owned().await, &key);
        self.stop_what_is_over(&held).await;
        let sent = held.unconfirmed();
        if !sent.is_empty() {
            self.have_looked_at(key, sent);
        }
    }

    /// Forgets an account that another broker has brought to its end, or remembers what became of it.
    async fn remember_anew(self: Arc<Self>, key: AccountKey) {
        let again = match self.ledger.account(&key).await {
            Ok(Some((account, sessions))) => {
                self.remembered.keep(&account, &sessions);
                sessions.iter().map(|session| session.until).min()
            }
            Ok(None) => None,
            Err(_) => Some(self.clock.now()),
        };
        self.ends.set(&key, again.map(|at| at.max(self.clock.now() + SETTLED_BY)));
    }
}

/// Waits until something may be due sooner than was known.
async fn due_sooner(changes: &mut tokio::sync::broadcast::Receiver<Heard>, broker: &Broker) {
    loop {
        match changes.recv().await {
            Ok(Heard::Technician(_)) => {}
            Ok(Heard::Due | Heard::Gap) | Err(RecvError::Lagged(_)) => {
                broker.leases.heard();
                // Many commits in a row are one reason to look.
                return tokio::time::sleep(BREATH).await;
            }
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
