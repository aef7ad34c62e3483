//! The queue of what is due when: the next end, or the next attempt, of every account that has one. Nothing polls.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ticketgate_access::session::AccountKey;
use ticketgate_protocol::problem::Problem;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::converge::code_of;
use super::{Broker, traces};

/// Accounts of one directory taken up at once. More would only queue in the directory; and one that does not answer must
/// not keep the ends in the others.
const AT_ONCE: usize = 32;

/// Of those whose right is taken away so many go on beside the others. They have their accounts in hand, and whoever has a turn may wait
/// for one of these.
const BESIDE: usize = 4;

/// After this long as many go on as are taken up: somebody may want one of their accounts again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The places to work in, by directory.
#[derive(Default)]
pub(super) struct Rooms(HashMap<String, Arc<Room>>);

/// Where work on one directory's accounts waits for its turn.
pub(super) struct Room {
    turns: Arc<Semaphore>,
    beside: Arc<Semaphore>,
    late: Arc<Semaphore>,
}

/// A turn to work on an account at a time of the broker's own.
pub(super) struct Turn {
    room: Arc<Room>,
    has: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    pub(super) fn of(&mut self, key: &AccountKey) -> Arc<Room> {
        let directory = key.0.split('/').next().unwrap_or_default();
        if let Some(room) = self.0.get(directory) {
            return Arc::clone(room);
        }
        let room = Arc::new(Room {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            beside: Arc::new(Semaphore::new(BESIDE)),
            late: Arc::new(Semaphore::new(AT_ONCE)),
        });
        self.0.insert(directory.to_owned(), Arc::clone(&room));
        room
    }
}

impl Room {
    pub(super) async fn turn(self: Arc<Self>) -> Turn {
        // A room is never closed.
        let has = Arc::clone(&self.turns).acquire_owned().await.ok();
        Turn { room: self, has }
    }
}

impl Turn {
    /// Lets all go first who wait by now, for a while.
    pub(super) async fn again(&mut self) {
        self.has = None;
        let late = async {
            tokio::time::sleep(PATIENCE).await;
            Arc::clone(&self.room.late).acquire_owned().await
        };
        let turn = tokio::select! {
            biased;
            turn = Arc::clone(&self.room.turns).acquire_owned() => turn,
            turn = Arc::clone(&self.room.beside).acquire_owned() => turn,
            turn = late => turn,
        };
        self.has = turn.ok();
    }
}

/// When each account is due next.
#[derive(Default)]
pub(super) struct Ends {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    by_time: BTreeSet<(DateTime<Utc>, Arc<AccountKey>)>,
    /// Shares its keys with the other: there can be very many.
    by_account: HashMap<Arc<AccountKey>, DateTime<Utc>>,
}

impl Queue {
    fn set(&mut self, key: &AccountKey, at: Option<DateTime<Utc>>) {
        let known = self.by_account.remove_entry(key);
        if let Some((key, old)) = &known {
            self.by_time.remove(&(*old, Arc::clone(key)));
        }
        if let Some(at) = at {
            let key = known.map_or_else(|| Arc::new(key.clone()), |(key, _)| key);
            self.by_account.insert(Arc::clone(&key), at);
            self.by_time.insert((at, key));
        }
    }
}

impl Ends {
    /// Sets when the account is due next; `None`: nothing is due.
    pub(super) fn set(&self, key: &AccountKey, at: Option<DateTime<Utc>>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).set(key, at);
        self.changed.notify_one();
    }

    /// Makes the account due no later than `at`.
    pub(super) fn at_latest(&self, key: &AccountKey, at: DateTime<Utc>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.by_account.get(key).is_none_or(|due| *due > at) {
            queue.set(key, Some(at));
            self.changed.notify_one();
        }
    }

    /// Makes everything due now: the times were of a clock that was wrong.
    pub(super) fn all_now(&self, now: DateTime<Utc>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: Vec<_> = queue.by_account.keys().cloned().collect();
        waiting.iter().for_each(|key| queue.set(key, Some(now)));
        self.changed.notify_one();
    }

    /// Waits until something that was set meanwhile is due by then.
    pub(super) async fn due_by(&self, by: DateTime<Utc>) {
        loop {
            self.changed.notified().await;
            if self.first().is_some_and(|first| first <= by) {
                return;
            }
        }
    }

    fn first(&self) -> Option<DateTime<Utc>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).by_time.first().map(|(at, _)| *at)
    }

    /// Whether anything is waiting.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).by_time.is_empty()
    }

    /// Takes everything that is due at `now`; else says when the next is.
    pub(super) fn take_due(&self, now: DateTime<Utc>) -> Result<Vec<AccountKey>, Option<DateTime<Utc>>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while let Some((at, key)) = queue.by_time.first().cloned() {
            if at > now {
                return if due.is_empty() { Err(Some(at)) } else { Ok(due) };
            }
            queue.set(&key, None);
            due.push(Arc::unwrap_or_clone(key));
        }
        if due.is_empty() { Err(None) } else { Ok(due) }
    }
}

impl Broker {
    /// [`Broker::converge`] at a time of the broker's own, in its turn where it has to wait for one.
    pub(super) async fn converge_due(
        self: &Arc<Self>,
        key: &AccountKey,
        turn: Option<Turn>,
    ) -> Result<(), Problem> {
        traces::spanned(self.monitor.traces.due(key), code_of, self.converge_in(turn, key)).await
    }

    /// Does what is due, when it is due, for as long as the broker runs.
    pub(super) async fn run_ends(self: Arc<Self>) {
        if self.ledger.shared().is_some() {
            return self.run_claims().await;
        }
        let mut rooms = Rooms::default();
        loop {
            match self.ends.take_due(self.clock.now()) {
                Ok(due) => {
                    for key in due {
                        let (broker, room) = (Arc::clone(&self), rooms.of(&key));
                        tokio::spawn(async move {
                            let turn = room.turn().await;
                            if let Err(problem) = broker.converge_due(&key, Some(turn)).await {
                                tracing::warn!(account = %key.0, %problem, "an account is not settled yet");
                            }
                        });
                    }
                }
                Err(Some(next)) => tokio::select! {
                    () = self.clock.wait_until(next) => {}
                    () = self.ends.changed.notified() => {}
                },
                Err(None) => self.ends.changed.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_due_comes_out_in_order_and_once() {
        let ends = Ends::default();
        let t = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let key = |name: &str| AccountKey(name.into());
        ends.set(&key("b"), Some(t + TimeDelta::seconds(2)));
        ends.set(&key("a"), Some(t + TimeDelta::seconds(1)));
        ends.at_latest(&key("b"), t + TimeDelta::seconds(9));
        assert_eq!(ends.take_due(t), Err(Some(t + TimeDelta::seconds(1))));
        assert_eq!(ends.take_due(t + TimeDelta::seconds(5)), Ok(vec![key("a"), key("b")]));
        assert_eq!(ends.take_due(t + TimeDelta::seconds(9)), Err(None));
    }

    #[tokio::test]
    async fn who_waits_wakes_for_what_is_due_by_then_and_for_nothing_later() {
        let ends = Ends::default();
        let t = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let within = std::time::Duration::from_millis(50);
        ends.set(&AccountKey("later".into()), Some(t + TimeDelta::seconds(9)));
        assert!(tokio::time::timeout(within, ends.due_by(t + TimeDelta::seconds(1))).await.is_err());
        ends.set(&AccountKey("soon".into()), Some(t + TimeDelta::seconds(1)));
        tokio::time::timeout(within, ends.due_by(t + TimeDelta::seconds(1))).await.unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_does_not_answer_leaves_room_for_the_others() {
        let mut rooms = Rooms::default();
        let mut dead = Vec::new();
        for _ in 0..AT_ONCE {
            dead.push(rooms.of(&AccountKey("dead-ad/dedicated/a".into())).turn().await);
        }
        assert!(rooms.of(&AccountKey("dead-ad/burner/b".into())).turn().now_or_never().is_none());
        assert!(rooms.of(&AccountKey("acme-ad/dedicated/a".into())).turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_lets_others_go_first_comes_behind_them_and_a_few_go_on_beside_them() {
        let room = Rooms::default().of(&AccountKey("acme-ad/dedicated/a".into()));
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(Arc::clone(&room).turn().await);
        }
        let mut one = turns.pop().unwrap();
        assert!(one.again().now_or_never().is_some(), "nobody waits");
        turns.push(one);
        let mut waiting: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(Arc::clone(&room).turn())).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none());
        }
        let mut beside = 0;
        for turn in &mut turns {
            beside += usize::from(turn.again().now_or_never().is_some());
        }
        assert_eq!(beside, BESIDE);
        let mut taken_up = Vec::new();
        for turn in waiting {
            taken_up.push(turn.now_or_never().expect("those who waited have their turn"));
        }
        // Those who have theirs for long are not waited for.
        let begun = std::time::Instant::now();
        turns[AT_ONCE - 1].again().await;
        assert!(begun.elapsed() >= PATIENCE);
    }

    #[test]
    fn an_end_that_moves_is_due_at_its_new_time_only() {
        let ends = Ends::default();
        let t = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let key = AccountKey("a".into());
        ends.set(&key, Some(t));
        ends.set(&key, Some(t + TimeDelta::hours(1)));
        assert_eq!(ends.take_due(t), Err(Some(t + TimeDelta::hours(1))));
    }
}
