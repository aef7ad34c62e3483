//! How much is asked of a tenant at once, and for how long it is left alone when it says so: all of its requests wait, those of
//! other tenants do not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Requests under way at once.
const AT_ONCE: usize = 8;

/// Of these, as many stay free of what nobody waits for.
const FOR_PEOPLE: usize = 2;

tokio::task_local! {
    static IN_BACKGROUND: ();
}

/// Does work for which nobody waits: its requests give way to those of people.
pub fn in_background<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    IN_BACKGROUND.scope((), work)
}

pub(super) fn is_in_background() -> bool {
    IN_BACKGROUND.try_with(|()| ()).is_ok()
}

/// Pauses where a busy server names none; the last one goes on.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// A shorter pause than this is none: a proxy in between may name nothing, or a time that is over.
const LEAST: Duration = Duration::from_secs(1);

/// The way to one tenant.
pub(super) struct Gate {
    closed: Mutex<Closed>,
    seats: Semaphore,
    /// Seats of what nobody waits for.
    back_seats: Semaphore,
}

/// A place among the requests under way.
pub(super) struct Seat<'g> {
    _seat: Option<SemaphorePermit<'g>>,
    _back_seat: Option<SemaphorePermit<'g>>,
}

#[derive(Default)]
struct Closed {
    until: Option<Instant>,
    /// How often in a row it was closed for no time that the server named.
    times: usize,
}

impl Gate {
    pub(super) fn new() -> Self {
        let (seats, back_seats) = (Semaphore::new(AT_ONCE), Semaphore::new(AT_ONCE - FOR_PEOPLE));
        Self { closed: Mutex::default(), seats, back_seats }
    }

    /// Waits until the next request may go, at most for `patience`.
    ///
    /// # Errors
    /// How long it would have to wait on.
    pub(super) async fn pass(&self, patience: Duration, waited_for: bool) -> Result<Seat<'_>, Duration> {
        let give_up = Instant::now() + patience;
        // Nobody closes the seats, so there always is one some day.
        let back_seat = if waited_for { None } else { self.back_seats.acquire().await.ok() };
        let seat = Seat { _seat: self.seats.acquire().await.ok(), _back_seat: back_seat };
        loop {
            let Some(until) = self.state().until.filter(|until| *until > Instant::now()) else {
                return Ok(seat);
            };
            if until > give_up {
                return Err(until - Instant::now());
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// The server is busy: nothing goes for so long, or for a growing pause where it named none.
    pub(super) fn close(&self, named: Option<Duration>) -> Duration {
        let mut closed = self.state();
        let left = closed.until.map(|until| until.saturating_duration_since(Instant::now()));
        let named = named.filter(|named| *named >= LEAST);
        if let (None, Some(left)) = (named, left.filter(|left| !left.is_zero())) {
            // It went out before this was closed, with others: together they are told once.
            return left;
        }
        let pause = named.unwrap_or_else(|| {
            let pause = PAUSES_S.get(closed.times).or(PAUSES_S.last()).copied().unwrap_or(30);
            closed.times += 1;
            Duration::from_secs(pause) + scattered()
        });
        let until = Instant::now() + pause;
        closed.until = Some(closed.until.map_or(until, |known| known.max(until)));
        pause
    }

    /// It answered.
    pub(super) fn answered(&self) {
        self.state().times = 0;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Closed> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to half a second, so that those who wait do not all come back at once.
fn scattered() -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness they come back at once.
    let _ = getrandom::fill(&mut byte);
    Duration::from_millis(u64::from(byte[0]) * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_waits_as_long_as_the_server_says_to_the_fraction() {
        let gate = Gate::new();
        let before = Instant::now();
        assert_eq!(gate.close(Some(Duration::from_millis(2128))), Duration::from_millis(2128));
        // A shorter pause that comes later does not open it.
        gate.close(Some(Duration::from_millis(10)));
        assert!(gate.pass(Duration::from_secs(10), true).await.is_ok());
        assert!(before.elapsed() >= Duration::from_millis(2128), "{:?}", before.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_that_long_is_told_at_once_for_how_long() {
        let gate = Gate::new();
        gate.close(Some(Duration::from_secs(60)));
        let before = Instant::now();
        let left = gate.pass(Duration::from_secs(10), true).await.err().unwrap();
        assert!(left > Duration::from_secs(59) && before.elapsed() < Duration::from_secs(1), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_that_nobody_named_grow_until_an_answer_comes() {
        // A time that is over, or too short to be one, is none.
        for named in [None, Some(Duration::ZERO), Some(Duration::from_millis(10))] {
            let gate = Gate::new();
            let mut seconds = Vec::new();
            for _ in 0..7 {
                let pause = gate.close(named);
                // What was under way beside it counts no further.
                assert!((0..AT_ONCE).all(|_| gate.close(named) == pause));
                seconds.push(pause.as_secs());
                tokio::time::advance(pause).await;
            }
            assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
            gate.answered();
            assert_eq!(gate.close(named).as_secs(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_eight_requests_are_under_way() {
        let gate = Gate::new();
        let mut seats = Vec::new();
        for _ in 0..AT_ONCE {
            seats.push(gate.pass(Duration::from_secs(1), true).await.unwrap());
        }
        let ninth =
            tokio::time::timeout(Duration::from_secs(5), gate.pass(Duration::from_secs(1), true)).await;
        assert!(ninth.is_err());
        seats.pop();
        assert!(gate.pass(Duration::from_secs(1), true).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_leaves_seats_to_people() {
        let gate = Gate::new();
        let in_time = |waited_for| {
            tokio::time::timeout(Duration::from_secs(5), gate.pass(Duration::from_secs(1), waited_for))
        };
        let mut sweep = Vec::new();
        for _ in 0..AT_ONCE - FOR_PEOPLE {
            sweep.push(in_time(false).await.unwrap());
        }
        assert!(in_time(false).await.is_err());
        let people = [in_time(true).await.unwrap(), in_time(true).await.unwrap()];
        assert!(people.iter().all(Result::is_ok) && in_time(true).await.is_err());
        sweep.pop();
        assert!(in_time(true).await.is_ok());
        assert!(!is_in_background());
        assert!(in_background(async { is_in_background() }).await);
    }
}
