//! The time of several brokers on one ledger: that of its database, told at the start and compared every minute, and counted between
//! by the machine's time since boot. No broker's wall clock matters.
//!
//! It never runs backwards. A machine that counts a little fast is slowed down until the database has caught up; a database whose
//! clock is set forward is followed at once, by all brokers, and one that is set back is not. What another broker wrote "later" is
//! the time, too: so a broker that starts then does not lengthen what others began.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_ledger::{Ledger, LedgerError};

use super::{Clock, SLEW, SystemTime};

/// An answer that took longer does not say the time.
const TELLS_IN: Duration = Duration::from_secs(1);

/// So often it is asked anew where an answer took longer.
const QUESTIONS: usize = 5;

/// One part in this many is a machine slowed down whose clock is ahead.
const SLOWED: i32 = 20;

/// For how long it is told that the database's clock was set forward.
const TOLD_FOR: Duration = Duration::from_secs(15 * 60);

/// A clock that follows the database of a shared ledger.
pub struct AnchoredClock<S> {
    ledger: Arc<dyn Ledger>,
    system: S,
    anchor: Mutex<Anchor>,
}

/// Where the time stood when it was compared last.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: DateTime<Utc>,
    boot: Duration,
    /// By how much it was ahead of the database then, and is to be slowed down.
    ahead: TimeDelta,
    /// By how much the database's clock was set back.
    behind: TimeDelta,
    /// When the database's clock was seen to have been set forward, and by how much.
    jumped: Option<(Duration, TimeDelta)>,
}

impl Anchor {
    fn now(&self, boot: Duration) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(boot.saturating_sub(self.boot)).unwrap_or(TimeDelta::MAX);
        let passed = passed - (passed / SLOWED).min(self.ahead);
        self.at.checked_add_signed(passed).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Takes in the database's time, `told`, and the latest that was ever written.
    fn compared(self, boot: Duration, told: DateTime<Utc>, written: Option<DateTime<Utc>>) -> Self {
        let own = self.now(boot);
        let written = written.filter(|written| *written > told + SLEW);
        let at = own.max(told).max(written.unwrap_or(told));
        let ahead = at - told;
        let is_small = ahead <= SLEW;
        Self {
            at,
            boot,
            ahead: if is_small { ahead } else { TimeDelta::zero() },
            behind: if is_small { TimeDelta::zero() } else { ahead },
            jumped: if at - own > SLEW { Some((boot, at - own)) } else { self.jumped },
        }
    }
}

impl<S: SystemTime> AnchoredClock<S> {
    /// A clock that starts at the database's time, or at the latest that a broker on it wrote.
    ///
    /// # Errors
    /// The database cannot be asked, or answers too slowly to tell the time.
    pub async fn new(ledger: Arc<dyn Ledger>, system: S) -> Result<Self, LedgerError> {
        let (boot, told) = ask(&ledger, &system).await?;
        let written = ledger.high_water().await?;
        let none = TimeDelta::zero();
        let begun = Anchor { at: told, boot, ahead: none, behind: none, jumped: None };
        let anchor = Anchor { jumped: None, ..begun.compared(boot, told, written) };
        Ok(Self { ledger, system, anchor: Mutex::new(anchor) })
    }

    fn anchor(&self) -> Anchor {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The database's time, and the time since boot at which it was that.
async fn ask(
    ledger: &Arc<dyn Ledger>,
    system: &impl SystemTime,
) -> Result<(Duration, DateTime<Utc>), LedgerError> {
    let unavailable = |why: &str| LedgerError::Unavailable(why.into());
    let shared = ledger.shared().ok_or_else(|| unavailable("it has no clock of its own"))?;
    for _ in 0..QUESTIONS {
        let asked = system.read().boot;
        let told = shared.time().await?;
        let took = system.read().boot.saturating_sub(asked);
        if took <= TELLS_IN {
            return Ok((asked + took / 2, told));
        }
    }
    Err(unavailable("it answers too slowly to tell the time"))
}

#[async_trait]
impl<S: SystemTime> Clock for AnchoredClock<S> {
    fn now(&self) -> DateTime<Utc> {
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        anchor.now(self.system.read().boot)
    }

    async fn wait_until(&self, at: DateTime<Utc>) {
        if let Ok(time) = (at - self.now()).to_std() {
            self.system.wait(time).await;
        }
    }

    /// Follows the database's clock back.
    fn follow_wall_clock(&self) {
        let boot = self.system.read().boot;
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = Anchor { at: anchor.now(boot) - anchor.behind, boot, behind: TimeDelta::zero(), ..*anchor };
    }

    fn set_back_by(&self) -> TimeDelta {
        self.anchor().behind
    }

    async fn compare(&self) {
        let read = async {
            let (boot, told) = ask(&self.ledger, &self.system).await?;
            Ok::<_, LedgerError>((boot, told, self.ledger.high_water().await?))
        };
        match read.await {
            Ok((boot, told, written)) => {
                let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
                // Of now: what was the time since the answer has been said to somebody, perhaps.
                let since = self.system.read().boot;
                let told =
                    told + TimeDelta::from_std(since.saturating_sub(boot)).unwrap_or(TimeDelta::zero());
                let boot = since;
                *anchor = anchor.compared(boot, told, written);
                if anchor.jumped.is_some_and(|(at, _)| at == boot) || anchor.behind > TimeDelta::zero() {
                    tracing::warn!(anchor = ?*anchor, "the database's clock was set");
                }
            }
            Err(error) => tracing::error!(%error, "the database's time could not be read"),
        }
    }

    fn notice(&self) -> Option<String> {
        let (anchor, boot) = (self.anchor(), self.system.read().boot);
        if anchor.behind > TimeDelta::zero() {
            return Some(format!(
                "The clock of the ledger's database was set back by {} seconds while sessions were open. They end as if it had not been.",
                anchor.behind.num_seconds()
            ));
        }
        let (_, by) = anchor.jumped.filter(|(at, _)| boot.saturating_sub(*at) < TOLD_FOR)?;
        Some(format!(
            "The clock of the ledger's database was set forward by {} seconds. Sessions that were open end that much sooner.",
            by.num_seconds()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn begun() -> (Anchor, DateTime<Utc>) {
        let at = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let none = TimeDelta::zero();
        (Anchor { at, boot: START, ahead: none, behind: none, jumped: None }, at)
    }

    fn after(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_machine_that_counts_fast_is_slowed_down_and_never_goes_back() {
        let (anchor, start) = begun();
        let told = start + TimeDelta::milliseconds(59_000);
        let slowed = anchor.compared(after(60), told, None);
        assert_eq!(slowed.now(after(60)), start + TimeDelta::seconds(60));
        assert_eq!(slowed.now(after(70)), start + TimeDelta::milliseconds(69_500));
        assert_eq!(slowed.now(after(160)), start + TimeDelta::seconds(159), "as the database has it");
        assert!(slowed.behind.is_zero() && slowed.jumped.is_none());
    }

    #[test]
    fn a_database_that_is_set_forward_is_followed_and_told() {
        let (anchor, start) = begun();
        let forward = anchor.compared(after(60), start + TimeDelta::seconds(660), None);
        assert_eq!(forward.now(after(61)), start + TimeDelta::seconds(661));
        assert_eq!(forward.jumped.map(|(_, by)| by), Some(TimeDelta::seconds(600)));
    }

    #[test]
    fn a_database_that_is_set_back_does_not_take_time_back() {
        let (anchor, start) = begun();
        let back = anchor.compared(after(60), start - TimeDelta::seconds(240), None);
        assert_eq!(back.now(after(120)), start + TimeDelta::seconds(120));
        assert_eq!(back.behind, TimeDelta::seconds(300));
    }

    #[test]
    fn what_another_broker_wrote_later_is_the_time() {
        let (anchor, start) = begun();
        let later = start + TimeDelta::seconds(360);
        let joined = anchor.compared(after(60), start + TimeDelta::seconds(60), Some(later));
        assert_eq!(joined.now(after(60)), later);
        assert_eq!(joined.behind, TimeDelta::seconds(300));
        let close = start + TimeDelta::milliseconds(60_900);
        let joined = anchor.compared(after(60), start + TimeDelta::seconds(60), Some(close));
        assert_eq!(
            joined.now(after(60)),
            start + TimeDelta::seconds(60),
            "others' inaccuracy does not add up"
        );
    }
}
