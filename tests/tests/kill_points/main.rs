//! Every point of every story in every account mode, with every fault. A first run notes which points a story passes; then
//! each of them is killed before, killed after, refused, lost after it was done, and lost before. Each time the broker is
//! restarted and everything is left to settle; then the witness (`tests/src/witness.rs`) looks for what was left behind.
//!
//! `TICKETGATE_CASES=burner/end` plays only the cases whose name contains this.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

mod coverage;
mod story;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow, ensure};
use story::Play;
use ticketgate_tests::ldap::View;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result, witness};

/// Cases played at once: most of each is waiting.
const AT_ONCE: usize = 16;

const FAULTS: [&str; 5] = ["before", "after", "error", "timeout-applied", "timeout-not-applied"];

/// What a broker does at its start. Only a recovery, which is one, is about it.
const AT_START: [&str; 3] = ["ledger.life", "ledger.settings", "ledger.checkpoint"];

/// What it does at times of its own, at the start or not.
const ANY_TIME: &str = "ledger.time";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Dedicated,
    Burner,
    Membership,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    Activation,
    /// An activation that the directory refuses when half of it is done.
    Failure,
    /// A new password for a session.
    Renewal,
    Extension,
    End,
    Expiry,
    Recovery,
}

impl Mode {
    /// As a policy names it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dedicated => "dedicated",
            Self::Burner => "burner",
            Self::Membership => "membership",
        }
    }
}

impl Story {
    /// Those that wait longest first, so that the others fill the time.
    const ALL: [Self; 7] = [
        Self::Expiry,
        Self::Activation,
        Self::Failure,
        Self::Renewal,
        Self::Extension,
        Self::End,
        Self::Recovery,
    ];
}

/// A story, and the fault that it meets.
#[derive(Debug, Clone)]
struct Case {
    mode: Mode,
    story: Story,
    /// The point, the passage of it, the fault.
    fault: Option<(String, usize, &'static str)>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{}", self.mode, self.story, self.wanted())
    }
}

impl Case {
    /// The fault as the broker takes it, empty for none.
    fn wanted(&self) -> String {
        let fault = self.fault.as_ref();
        fault.map_or_else(String::new, |(point, passage, fault)| format!("{point}#{passage}:{fault}"))
    }

    /// Plays it without a fault, and answers the same case with each fault at each point that it passed.
    fn with_every_fault(&self, ad: &SambaAd, look: &mut View, number: usize) -> Result<Vec<Self>> {
        let mut play = Play::new(ad, look, self.mode, self.story, &format!("p{number}"))?;
        let before = play.begin("")?;
        let granted = play.act("")?;
        play.settles()?;
        play.check(look, granted.as_ref())?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut cases = Vec::new();
        for (at, point) in play.points().into_iter().enumerate() {
            let passage = seen.entry(point.clone()).or_default();
            *passage += 1;
            let of_the_story = self.story == Story::Recovery || !AT_START.contains(&point.as_str());
            if at >= before && of_the_story && point != ANY_TIME {
                let with = |fault| Self { fault: Some((point.clone(), *passage, fault)), ..self.clone() };
                cases.extend(FAULTS.map(with));
            }
        }
        Ok(cases)
    }

    fn play(&self, ad: &SambaAd, look: &mut View, number: usize) -> Result<()> {
        let mut play = Play::new(ad, look, self.mode, self.story, &format!("k{number}"))?;
        let said = self.meets_its_fault(&mut play, look);
        said.map_err(|error| anyhow!("{self}: {error:#}\n{}", play.log()))
    }

    fn meets_its_fault(&self, play: &mut Play<'_>, look: &mut View) -> Result<()> {
        let (point, passage, fault) = self.fault.as_ref().context("no fault")?;
        play.begin(&self.wanted())?;
        let granted = play.act(&self.wanted())?;
        play.fault_is_met(point, *passage, ["before", "after"].contains(fault))?;
        play.restart()?;
        play.check(look, granted.as_ref())?;
        let again = play.asks_again()?;
        play.check(look, granted.or(again).as_ref())?;
        play.live_sessions_are_usable()?;
        play.check(look, None)
    }
}

/// Does this with every item, several at once, each with its own look into the directory; answers all that failed.
fn for_each<T: Sync, R: Send>(
    ad: &SambaAd,
    items: &[T],
    work: impl Fn(&T, &mut View, usize) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (done, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let worker = || {
        let mut look = ad.look()?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return Ok::<_, anyhow::Error>(()) };
            match work(item, &mut look, number) {
                Ok(result) => done.lock().expect("no panic").push(result),
                Err(error) => failed.lock().expect("no panic").push(format!("{error:#}")),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;
    let failed = failed.into_inner().expect("no panic");
    ensure!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), items.len(), failed.join("\n\n"));
    Ok(done.into_inner().expect("no panic"))
}

#[test]
fn no_fault_at_any_point_leaves_a_right_behind_or_loses_a_session() -> Outcome {
    let ad = SambaAd::start(Options { audit: true, ..Options::default() })?;
    let mut stories = Vec::new();
    for mode in [Mode::Dedicated, Mode::Burner, Mode::Membership] {
        for story in Story::ALL {
            if story != Story::Renewal || mode != Mode::Membership {
                stories.push(Case { mode, story, fault: None });
            }
        }
    }
    let cases = for_each(&ad, &stories, |case, look, number| case.with_every_fault(&ad, look, number))?;
    let mut cases: Vec<_> = cases.into_iter().flatten().collect();
    let points = cases.iter().filter_map(|case| Some(case.fault.as_ref()?.0.as_str()));
    coverage::every_point_is_played(points)?;

    let only = std::env::var("TICKETGATE_CASES").unwrap_or_default().to_lowercase();
    cases.retain(|case| case.to_string().to_lowercase().contains(&only));
    for_each(&ad, &cases, |case, look, number| case.play(&ad, look, number))?;
    assert!(witness::every_opening_had_its_end(&ad)? > 0, "the directory noted no opening");
    Ok(())
}
