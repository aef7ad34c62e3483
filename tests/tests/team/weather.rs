//! Which faults there were, and when: whether a refusal or a delay had its reason.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ticketgate_tests::team::site::BROKERS as NAMES;

use crate::plan::{BROKERS, DATABASES, Fault};

/// After a fault those who were hit by it may need so long to find back: connections that hang are given up, a lease runs out, a pause
/// between two tries is over.
const RECOVERY: Duration = Duration::from_secs(10);
/// How finely time is looked at.
const TICK: Duration = Duration::from_millis(200);

/// A fault that was played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) from: SystemTime,
    /// `None`: it goes on.
    pub(crate) to: Option<SystemTime>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Weather(Mutex<Vec<Trouble>>);

impl Trouble {
    /// Whether it was there at some time between these, or not long before.
    fn touches(&self, from: SystemTime, to: SystemTime) -> bool {
        self.from <= to && self.to.is_none_or(|end| end + RECOVERY >= from)
    }
}

impl Weather {
    /// A fault begins. Answers its number.
    pub(crate) fn begins(&self, fault: Fault) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Trouble { fault, from: SystemTime::now(), to: None });
        all.len() - 1
    }

    /// It is over.
    pub(crate) fn ends(&self, number: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = all.get_mut(number) {
            trouble.to = Some(SystemTime::now());
        }
    }

    /// All so far.
    pub(crate) fn all(&self) -> Vec<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those that touch a span of time.
    pub(crate) fn between(&self, from: SystemTime, to: SystemTime) -> Vec<Fault> {
        self.all().iter().filter(|trouble| trouble.touches(from, to)).map(|trouble| trouble.fault).collect()
    }

    /// For how long, within a span, some broker could do its work: it ran, and had its ways to database and directory.
    pub(crate) fn fair(&self, from: SystemTime, to: SystemTime) -> Duration {
        let near: Vec<_> = self.all().into_iter().filter(|trouble| trouble.touches(from, to)).collect();
        if near.is_empty() {
            return to.duration_since(from).unwrap_or_default();
        }
        let (mut at, mut fair) = (from, Duration::ZERO);
        while at < to {
            let now: Vec<_> =
                near.iter().filter(|trouble| trouble.touches(at, at)).map(|trouble| trouble.fault).collect();
            if some_broker_can_work(&now) {
                fair += TICK;
            }
            at += TICK;
        }
        fair
    }
}

fn some_broker_can_work(now: &[Fault]) -> bool {
    let database = now.iter().any(|fault| match fault {
        Fault::Cut(one, other) => DATABASES.contains(one) && DATABASES.contains(other),
        _ => fault.is_of_database(),
    });
    !database && (0..BROKERS).any(|broker| !now.iter().any(|fault| hinders(*fault, broker)))
}

/// Whether a fault takes a broker's work from it.
fn hinders(fault: Fault, broker: usize) -> bool {
    let name = NAMES.get(broker).copied().unwrap_or_default();
    match fault {
        Fault::Kill(hit) | Fault::Stop(hit) | Fault::Pause(hit) => hit == broker,
        Fault::Cut(one, other) => {
            let needed = |host: &str| host == "directory" || DATABASES.contains(&host);
            (one == name && needed(other)) || (other == name && needed(one))
        }
        Fault::Clock(..) | Fault::Restart(_) | Fault::FailOver | Fault::FullDisk => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weather(fault: Fault, from: SystemTime, lasts: u64) -> Weather {
        let to = Some(from + Duration::from_secs(lasts));
        Weather(Mutex::new(vec![Trouble { fault, from, to }]))
    }

    #[test]
    fn one_dead_broker_of_three_takes_nobodys_time() {
        let now = SystemTime::now();
        let later = now + Duration::from_secs(60);
        let seen = weather(Fault::Kill(1), now, 30);
        assert!(seen.fair(now, later) >= Duration::from_secs(59));
        assert_eq!(seen.between(now, later), [Fault::Kill(1)]);
    }

    #[test]
    fn while_the_database_is_gone_and_finds_back_no_time_counts() {
        let now = SystemTime::now();
        let later = now + Duration::from_secs(60);
        for fault in [Fault::FailOver, Fault::Cut("db1", "db2")] {
            let fair = weather(fault, now, 20).fair(now, later);
            assert!(fair > Duration::from_secs(29) && fair < Duration::from_secs(31), "{fair:?}");
        }
    }
}
