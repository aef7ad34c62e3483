//! What can happen, how it is drawn at random, and its text: a history is a line of JSON per event, to be read, shortened and
//! replayed.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};
use ticketgate_tests::Result;

use crate::rules::{DIRECTORIES, POLICIES, Rules, policy};

/// Somebody asks the broker for something. `pick` chooses among the sessions that are live then, so that a history of which
/// a part was left out can still be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    Activate {
        who: usize,
        policy: usize,
        for_s: u32,
    },
    Extend {
        pick: usize,
        by_s: u32,
    },
    End {
        pick: usize,
    },
    /// The password of a session; `renew`: a new one.
    Password {
        pick: usize,
        renew: bool,
    },
}

/// What befalls a directory or the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outage {
    /// Connections are refused.
    Refusing,
    /// The network carries nothing.
    Silent,
    /// The network takes so long each way.
    Slow { ms: u64 },
    /// Connections break after so many bytes of answers.
    Cut { bytes: usize },
    /// The server is killed, and started again afterwards.
    Crash,
    /// The server is stopped, and goes on afterwards.
    Hang,
}

/// Which directories it befalls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Away {
    #[default]
    First,
    Second,
    Both,
}

impl Away {
    pub(crate) fn is(self, place: usize) -> bool {
        self == Self::Both || (self == Self::First) == (place == 0)
    }
}

/// What somebody does to an account in the directory, past the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// A JIT account gets a right that no session gave.
    AddsRight,
    /// A session's right is taken away.
    TakesRight,
    /// A JIT account in use is disabled.
    Disables,
    /// A JIT account in use is deleted.
    Deletes,
    /// A closed JIT account is opened, with a password of the culprit's own.
    Opens,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Ask(Ask),
    /// At the same moment.
    Together(Vec<Ask>),
    /// Time passes, on every clock: also a machine that sleeps.
    Pass {
        seconds: u32,
    },
    /// The wall clock of the broker's machine is set.
    Wall {
        seconds: i64,
    },
    /// A directory's clock is set.
    Directory {
        seconds: i64,
        #[serde(default)]
        place: usize,
    },
    /// All clocks are put right.
    Agree,
    /// The configuration is written anew: each bit is a change of the rules.
    Rules {
        bits: u8,
    },
    /// The configuration is written with a fault in it, and put right again.
    BadRules,
    /// The broker is killed, and started again.
    Kill {
        during: Option<Ask>,
        after_ms: u64,
    },
    /// The broker is stopped and started again, as at an upgrade.
    Stop,
    /// A broker that meets a fault at the `passage` of a point is asked something.
    Fault {
        at: String,
        passage: u32,
        fault: String,
        ask: Ask,
    },
    /// Something is asked while a directory is out of reach for a while, in which time passes.
    Outage {
        #[serde(default)]
        of: Away,
        what: Outage,
        ask: Option<Ask>,
        for_ms: u64,
        pass_s: u32,
    },
    ByHand {
        pick: usize,
        deed: Deed,
    },
}

/// The points that matter most are drawn more often than the others.
const OFTEN: [&str; 3] = ["directory.open", "directory.close", "directory.observe"];

/// Whichever write it is, by its number.
pub(crate) const WRITE: &str = "write";

/// A start and what is asked for then are at most so many writes, mostly.
const NUMBERED: u32 = 14;

/// Those that kill the broker.
pub(crate) const DEADLY: [&str; 2] = ["before", "after"];

/// So many policies give in one directory; the others in several.
const ALONE: usize = 7;

const FAULTS: [&str; 5] = [DEADLY[0], DEADLY[1], "error", "timeout-applied", "timeout-not-applied"];

fn ask() -> impl Strategy<Value = Ask> {
    let policies = prop_oneof![3 => 0..ALONE, 2 => ALONE..POLICIES.len()];
    let activate = (0..3_usize, policies, select(&[60, 300, 1800, 3600, 7200, 14_400][..]))
        .prop_map(|(who, policy, for_s)| Ask::Activate { who, policy, for_s });
    let extend =
        (0..64_usize, select(&[60, 300, 1800, 7200][..])).prop_map(|(pick, by_s)| Ask::Extend { pick, by_s });
    let end = (0..64_usize).prop_map(|pick| Ask::End { pick });
    let password = (0..64_usize, any::<bool>()).prop_map(|(pick, renew)| Ask::Password { pick, renew });
    prop_oneof![6 => activate, 2 => extend, 3 => end, 1 => password]
}

fn clock() -> impl Strategy<Value = i64> {
    select(
        &[
            -250_000_i64,
            -100_000,
            -7200,
            -4000,
            -1000,
            -200,
            -45,
            -7,
            7,
            45,
            200,
            1000,
            4000,
            7200,
            100_000,
            250_000,
        ][..],
    )
}

fn outage() -> impl Strategy<Value = Event> {
    let what = prop_oneof![
        Just(Outage::Refusing),
        Just(Outage::Silent),
        (5..120_u64).prop_map(|ms| Outage::Slow { ms }),
        (0..3000_usize).prop_map(|bytes| Outage::Cut { bytes }),
        Just(Outage::Crash),
        Just(Outage::Hang),
    ];
    let pass = prop_oneof![4 => Just(0_u32), 1 => 10..8000_u32];
    let long = prop_oneof![19 => 0..400_u64, 1 => 3000..3400_u64];
    let of = prop_oneof![2 => Just(Away::First), 2 => Just(Away::Second), 1 => Just(Away::Both)];
    (of, what, option::weighted(0.9, ask()), long, pass)
        .prop_map(|(of, what, ask, for_ms, pass_s)| Event::Outage { of, what, ask, for_ms, pass_s })
}

fn event(points: &BTreeSet<String>) -> impl Strategy<Value = Event> + use<> {
    let deed = select(&[Deed::AddsRight, Deed::TakesRight, Deed::Disables, Deed::Deletes, Deed::Opens][..]);
    let points: Vec<_> = points.iter().cloned().chain(OFTEN.map(Into::into)).collect();
    // Most points are not passed when something is asked for; one that is is met by its number.
    let place = prop_oneof![
        1 => (select(points), prop_oneof![3 => Just(1_u32), 1 => 2..4_u32]),
        1 => (Just(WRITE.to_owned()), 1..=NUMBERED),
    ];
    let fault = (place, select(&FAULTS[..]), ask()).prop_map(|((at, passage), fault, ask)| Event::Fault {
        at,
        passage,
        fault: fault.into(),
        ask,
    });
    prop_oneof![
        30 => ask().prop_map(Event::Ask),
        8 => vec(ask(), 2..5).prop_map(Event::Together),
        10 => (5..5000_u32).prop_map(|seconds| Event::Pass { seconds }),
        3 => clock().prop_map(|seconds| Event::Wall { seconds }),
        3 => (clock(), 0..DIRECTORIES.len()).prop_map(|(seconds, place)| Event::Directory { seconds, place }),
        4 => Just(Event::Agree),
        2 => (0..Rules::ALL).prop_map(|bits| Event::Rules { bits }),
        2 => Just(Event::BadRules),
        4 => (option::weighted(0.8, ask()), 0..120_u64).prop_map(|(during, after_ms)| Event::Kill { during, after_ms }),
        2 => Just(Event::Stop),
        8 => fault,
        8 => outage(),
        4 => (0..64_usize, deed).prop_map(|(pick, deed)| Event::ByHand { pick, deed }),
    ]
}

/// A history of at most so many events, in which these points meet faults.
pub(crate) fn histories(most: usize, points: &BTreeSet<String>) -> impl Strategy<Value = Vec<Event>> + use<> {
    vec(event(points), 1..=most)
}

/// What [`Event::kind`] answers.
pub(crate) const KINDS: [&str; 18] = [
    "activation",
    "activation in several directories",
    "extension",
    "end",
    "password",
    "several at once",
    "time passes",
    "wall clock set",
    "directory's clock set",
    "clocks put right",
    "rules changed",
    "faulty rules",
    "broker killed",
    "broker stopped",
    "fault at a point",
    "outage",
    "outage of one of two directories",
    "change by hand",
];

impl Event {
    /// What kind of event it is, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Ask(Ask::Activate { policy: number, .. }) => match policy(*number) {
                Ok(policy) if policy.is_for_several() => "activation in several directories",
                _ => "activation",
            },
            Self::Ask(Ask::Extend { .. }) => "extension",
            Self::Ask(Ask::End { .. }) => "end",
            Self::Ask(Ask::Password { .. }) => "password",
            Self::Together(_) => "several at once",
            Self::Pass { .. } => "time passes",
            Self::Wall { .. } => "wall clock set",
            Self::Directory { .. } => "directory's clock set",
            Self::Agree => "clocks put right",
            Self::Rules { .. } => "rules changed",
            Self::BadRules => "faulty rules",
            Self::Kill { .. } => "broker killed",
            Self::Stop => "broker stopped",
            Self::Fault { .. } => "fault at a point",
            Self::Outage { of: Away::Both, .. } => "outage",
            Self::Outage { .. } => "outage of one of two directories",
            Self::ByHand { .. } => "change by hand",
        }
    }
}

/// A history as text.
pub(crate) fn write(history: &[Event]) -> Result<String> {
    let lines: Vec<_> = history.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(lines.join("\n") + "\n")
}

/// A history from its text; empty lines and those that begin with `#` are left out.
pub(crate) fn read(text: &str) -> Result<Vec<Event>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}
