//! Faults as a seed draws them: which, when, for how long. Pure. One seed draws one plan, at the same offsets; what becomes of a request
//! that is under way then is up to threads and the kernel.

use std::time::Duration;

use anyhow::{Result, anyhow};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use ticketgate_tests::postgres::Restart;

/// How many brokers there are.
pub(crate) const BROKERS: usize = 3;

/// The hosts of the database, the first its primary at the beginning.
pub(crate) const DATABASES: [&str; 2] = ["db1", "db2"];

/// The hosts between any two of which the wire can be cut, by their names. Whoever watches has no part in it.
pub(crate) const HOSTS: [&str; 8] =
    ["db1", "db2", "broker1", "broker2", "broker3", "directory", "provider", "relays"];

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill,
    Stop,
    Pause,
    Restart,
    FailOver,
    Cut,
    Clock,
    FullDisk,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Restart,
        Self::FailOver,
        Self::Cut,
        Self::Clock,
        Self::FullDisk,
    ];

    /// The word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::FailOver => "fail-over",
            Self::Cut => "cut",
            Self::Clock => "clock",
            Self::FullDisk => "full-disk",
        }
    }
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A broker is killed, and started again when it is over.
    Kill(usize),
    /// A broker is asked to end, as for an upgrade, and started again when it is over.
    Stop(usize),
    /// A broker is stopped where it stands, and goes on when it is over.
    Pause(usize),
    /// The database is restarted.
    Restart(Restart),
    /// The database's host dies, the standby takes its place, and a new standby is made when it is over.
    FailOver,
    /// Two hosts hear nothing of each other.
    Cut(&'static str, &'static str),
    /// A broker's wall clock is wrong by so many seconds.
    Clock(usize, i64),
    /// Nothing more fits on the database's disk.
    FullDisk,
}

impl Fault {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::Stop(_) => Kind::Stop,
            Self::Pause(_) => Kind::Pause,
            Self::Restart(_) => Kind::Restart,
            Self::FailOver => Kind::FailOver,
            Self::Cut(..) => Kind::Cut,
            Self::Clock(..) => Kind::Clock,
            Self::FullDisk => Kind::FullDisk,
        }
    }

    /// Whether it befalls the database's servers. Those come one after the other.
    pub(crate) const fn is_of_database(self) -> bool {
        matches!(self, Self::Restart(_) | Self::FailOver | Self::FullDisk)
    }
}

/// A fault with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) fault: Fault,
}

/// What numbers are drawn from.
pub(crate) fn drawing(seed: u64, of: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&of.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// One value.
pub(crate) fn draw<S: Strategy>(runner: &mut TestRunner, from: &S) -> Result<S::Value> {
    Ok(from.new_tree(runner).map_err(|why| anyhow!("{why}"))?.current())
}

/// The faults of a run: round by round each of these kinds once, in another order each time.
pub(crate) fn plan(seed: u64, length: Duration, kinds: &[Kind]) -> Result<Vec<Event>> {
    let mut runner = drawing(seed, 0);
    let (mut at, mut events) = (Duration::ZERO, Vec::new());
    while !kinds.is_empty() {
        for kind in draw(&mut runner, &Just(kinds.to_vec()).prop_shuffle())? {
            at += Duration::from_millis(draw(&mut runner, &(1_500..7_000_u64))?);
            let lasts = Duration::from_millis(draw(&mut runner, &lasts(kind))?);
            if at + lasts > length {
                return Ok(events);
            }
            events.push(Event { at, lasts, fault: draw(&mut runner, &fault(kind))? });
        }
    }
    Ok(events)
}

/// In milliseconds.
fn lasts(kind: Kind) -> std::ops::Range<u64> {
    match kind {
        // What a supervisor takes to start it again.
        Kind::Kill | Kind::Stop => 500..6_000,
        Kind::Restart => 1..2,
        Kind::FailOver => 500..5_000,
        Kind::FullDisk => 2_000..10_000,
        Kind::Pause | Kind::Cut => 1_000..20_000,
        Kind::Clock => 5_000..30_000,
    }
}

fn fault(kind: Kind) -> BoxedStrategy<Fault> {
    let broker = 0..BROKERS;
    match kind {
        Kind::Kill => broker.prop_map(Fault::Kill).boxed(),
        Kind::Stop => broker.prop_map(Fault::Stop).boxed(),
        Kind::Pause => broker.prop_map(Fault::Pause).boxed(),
        Kind::Restart => select(vec![Restart::Fast, Restart::Immediate]).prop_map(Fault::Restart).boxed(),
        Kind::FailOver => Just(Fault::FailOver).boxed(),
        Kind::Cut => {
            let pairs = HOSTS
                .iter()
                .enumerate()
                .flat_map(|(place, one)| HOSTS.iter().skip(place + 1).map(|other| Fault::Cut(one, other)));
            select(pairs.collect::<Vec<_>>()).boxed()
        }
        Kind::Clock => (broker, select(vec![-600, -240, -30, 30, 240, 600]))
            .prop_map(|(broker, seconds)| Fault::Clock(broker, seconds))
            .boxed(),
        Kind::FullDisk => Just(Fault::FullDisk).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn one_seed_draws_one_plan_and_another_one_another() {
        let drawn = |seed| plan(seed, LONG, &Kind::ALL).unwrap();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }

    #[test]
    fn two_minutes_have_every_kind_and_are_over_in_time() {
        for seed in 0..50 {
            let drawn = plan(seed, LONG, &Kind::ALL).unwrap();
            let kinds: BTreeSet<_> = drawn.iter().map(|event| event.fault.kind()).collect();
            assert_eq!(kinds.len(), Kind::ALL.len(), "seed {seed}: {kinds:?}");
            assert!(drawn.iter().all(|event| event.at + event.lasts <= LONG));
        }
    }

    #[test]
    fn a_plan_of_no_kind_is_a_run_without_faults() {
        assert_eq!(plan(1, LONG, &[]).unwrap(), []);
    }
}
