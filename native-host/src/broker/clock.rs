//! The broker's time. It never runs backwards while a session is open, counts suspended time, and follows a wall clock
//! that is set forward. Waiting ends at the time asked for, or earlier when the wall clock was changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// The broker's clock; tests have their own.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The broker's time.
    fn now(&self) -> DateTime<Utc>;

    /// Waits until `at`, or until the wall clock was changed: look again at [`Clock::now`] afterwards.
    async fn wait_until(&self, at: DateTime<Utc>);

    /// Follows the wall clock again, also backwards. Only when no session is open: nothing can be lengthened then.
    fn follow_wall_clock(&self);

    /// How far the wall clock stands behind the broker's time because it was set back.
    fn set_back_by(&self) -> TimeDelta;

    /// Compares the time with the one that it follows, where that is another machine's.
    async fn compare(&self) {}

    /// What everybody should know of it.
    fn notice(&self) -> Option<String> {
        let behind = self.set_back_by();
        (behind > TimeDelta::zero()).then(|| {
            format!(
                "This machine's clock was set back by {} seconds while sessions were open. They end as if it had not been.",
                behind.num_seconds()
            )
        })
    }
}

/// What the operating system tells: the wall clock, and time since boot with suspended time included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Wall clock.
    pub wall: DateTime<Utc>,
    /// Since boot; never set, counts while suspended.
    pub boot: Duration,
}

/// Reading and waiting, a file per platform.
#[async_trait]
pub trait SystemTime: Send + Sync {
    /// Both clocks now.
    fn read(&self) -> Reading;
    /// Waits for this long since-boot time, or until the wall clock was changed.
    async fn wait(&self, time: Duration);
}

/// Time since boot: never set, and counted while the machine sleeps where the system can tell.
pub(super) fn since_boot() -> Duration {
    System.read().boot
}

/// A wall clock that is behind by less than this is being slewed, not set.
const SLEW: TimeDelta = TimeDelta::seconds(2);

/// The real clock.
pub struct BrokerClock<S> {
    system: S,
    anchor: Mutex<Reading>,
}

impl<S: SystemTime> BrokerClock<S> {
    /// A clock that starts at the wall clock.
    #[must_use]
    pub fn new(system: S) -> Self {
        let anchor = Mutex::new(system.read());
        Self { system, anchor }
    }
}

/// Wall time as it must be by the time since boot.
fn expected(anchor: Reading, boot: Duration) -> DateTime<Utc> {
    let elapsed = TimeDelta::from_std(boot.saturating_sub(anchor.boot)).unwrap_or(TimeDelta::MAX);
    anchor.wall.checked_add_signed(elapsed).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[async_trait]
impl<S: SystemTime> Clock for BrokerClock<S> {
    fn now(&self) -> DateTime<Utc> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.system.read();
        let expected = expected(*anchor, reading.boot);
        if reading.wall > expected {
            *anchor = reading;
            return reading.wall;
        }
        expected
    }

    async fn wait_until(&self, at: DateTime<Utc>) {
        if let Ok(time) = (at - self.now()).to_std() {
            self.system.wait(time).await;
        }
    }

    fn follow_wall_clock(&self) {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = self.system.read();
    }

    fn set_back_by(&self) -> TimeDelta {
        let anchor = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.system.read();
        let behind = expected(anchor, reading.boot) - reading.wall;
        if behind > SLEW { behind } else { TimeDelta::zero() }
    }
}

mod anchored;
pub use anchored::AnchoredClock;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::System;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub use portable::System;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone)]
    struct Fake(Arc<Mutex<Reading>>);

    #[async_trait]
    impl SystemTime for Fake {
        fn read(&self) -> Reading {
            *self.0.lock().unwrap()
        }
        async fn wait(&self, _: Duration) {
            tokio::task::yield_now().await;
        }
    }

    impl Fake {
        fn pass(&self, wall: i64, boot: u64) {
            let mut reading = self.0.lock().unwrap();
            reading.wall += TimeDelta::seconds(wall);
            reading.boot += Duration::from_secs(boot);
        }
    }

    fn clock() -> (Fake, BrokerClock<Fake>, DateTime<Utc>) {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let fake = Fake(Arc::new(Mutex::new(Reading { wall: start, boot: Duration::from_secs(100) })));
        (fake.clone(), BrokerClock::new(fake), start)
    }

    #[test]
    fn a_wall_clock_set_back_does_not_take_time_back() {
        let (fake, clock, start) = clock();
        fake.pass(-3600, 10);
        assert_eq!(clock.now(), start + TimeDelta::seconds(10));
        assert_eq!(clock.set_back_by(), TimeDelta::seconds(3610));
        clock.follow_wall_clock();
        assert_eq!(clock.now(), start - TimeDelta::seconds(3600));
    }

    #[test]
    fn a_wall_clock_set_forward_is_followed_at_once() {
        let (fake, clock, start) = clock();
        fake.pass(3600, 1);
        assert_eq!(clock.now(), start + TimeDelta::seconds(3600));
        fake.pass(1, 1);
        assert_eq!(clock.now(), start + TimeDelta::seconds(3601));
    }

    #[test]
    fn suspended_time_counts() {
        let (fake, clock, start) = clock();
        fake.pass(0, 7200);
        assert_eq!(clock.now(), start + TimeDelta::seconds(7200));
    }
}
