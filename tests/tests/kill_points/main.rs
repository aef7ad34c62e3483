//! Every point of every story in every account mode, and in two directories at once, with every fault. A first run notes which points
//! a story passes; then each of them is killed before, killed after, refused, lost after it was done, and lost before. A broker that
//! lives on has to settle everything by itself; then it is killed, and each time the next one has to. After each step the witness
//! (`tests/src/witness.rs`) looks for what was left behind.
//!
//! `TICKETGATE_CASES=burner/end/ledger` plays only the cases whose name begins so; `several` all those of sessions in two directories, of
//! which otherwise only a part is played.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

mod checks;
mod coverage;
mod play;
mod recovery;
mod stories;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow, ensure};
use play::Play;
use stories::{Mode, Story};
use ticketgate_tests::ldap::View;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result, points, witness};

/// Cases played at once: most of each is waiting.
const AT_ONCE: usize = 16;

const DEADLY: [&str; 2] = ["before", "after"];
const FAULTS: [&str; 5] = [DEADLY[0], DEADLY[1], "error", "timeout-applied", "timeout-not-applied"];

/// What a broker writes once a minute while something is open. Only where one starts on an open session it is the story's.
const EACH_MINUTE: &str = "ledger.time";

/// A story, and the fault that it meets.
#[derive(Debug, Clone)]
struct Case {
    mode: Mode,
    story: Story,
    fault: Option<Fault>,
}

#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) point: String,
    /// Which passage of the point meets it, from 1.
    pub(crate) passage: usize,
    pub(crate) what: &'static str,
}

impl Fault {
    pub(crate) fn is_deadly(&self) -> bool {
        DEADLY.contains(&self.what)
    }

    pub(crate) fn is(&self, point: &str, what: &str) -> bool {
        self.point == point && self.what == what
    }
}

impl fmt::Display for Fault {
    /// As the broker takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}:{}", self.point, self.passage, self.what)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{}", self.mode, self.story, self.wanted())
    }
}

impl Case {
    fn begins_with(&self, name: &str) -> bool {
        self.to_string().to_lowercase().starts_with(name)
    }

    /// Whether it is played though nobody names it. Of one session in two directories that is every fault at the ledger's points, which
    /// are of both; what a directory's faults do to an account is played in one directory, so of those it is two.
    fn is_usual(&self) -> bool {
        let usual = |fault: &Fault| {
            fault.point.starts_with("ledger.")
                || (points::is_write(&fault.point) && ["after", "error"].contains(&fault.what))
        };
        self.mode != Mode::Several
            || (!matches!(self.story, Story::EndOfOne | Story::Recovery)
                && self.fault.as_ref().is_none_or(usual))
    }

    /// The fault as the broker takes it, empty for none.
    fn wanted(&self) -> String {
        self.fault.as_ref().map(Fault::to_string).unwrap_or_default()
    }

    /// Plays it without a fault, and answers the same case with each fault at each point that it passed, and how many
    /// accounts it opened.
    fn with_every_fault(
        &self,
        ads: [&SambaAd; 2],
        look: &mut View,
        number: usize,
    ) -> Result<(Vec<Self>, usize)> {
        let mut play = Play::new(ads, look, self.mode, self.story, &format!("p{number}"))?;
        let said = self.notes_its_points(&mut play, look);
        let cases = said.map_err(|error| anyhow!("{self}: {error:#}\n{}", play.log()))?;
        let opened = play.opened();
        play.clear(look)?;
        Ok((cases, opened))
    }

    fn notes_its_points(&self, play: &mut Play<'_>, look: &mut View) -> Result<Vec<Self>> {
        let before = play.begin(look, "")?;
        let heard = play.act("")?;
        play.settles()?;
        play.check(look, &heard)?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut cases = Vec::new();
        for (at, point) in play.points().into_iter().enumerate() {
            let passage = seen.entry(point.clone()).or_default();
            *passage += 1;
            if at >= before && (point != EACH_MINUTE || self.story == Story::Restart) {
                let with = |what| Self {
                    fault: Some(Fault { point: point.clone(), passage: *passage, what }),
                    ..self.clone()
                };
                cases.extend(FAULTS.map(with));
            }
        }
        Ok(cases)
    }

    /// Plays it, and answers how many accounts it opened, and whether the fault was met.
    fn play(&self, ads: [&SambaAd; 2], look: &mut View, number: usize) -> Result<(usize, bool)> {
        let mut play = Play::new(ads, look, self.mode, self.story, &format!("k{number}"))?;
        let said = self.meets_its_fault(&mut play, look);
        let met = said.map_err(|error| anyhow!("{self}: {error:#}\n{}", play.log()))?;
        let opened = play.opened();
        play.clear(look)?;
        Ok((opened, met))
    }

    fn meets_its_fault(&self, play: &mut Play<'_>, look: &mut View) -> Result<bool> {
        let fault = self.fault.as_ref().context("no fault")?;
        play.begin(look, &fault.to_string())?;
        let heard = play.act(&fault.to_string())?;
        if !play.fault_is_met(fault)? {
            play.check(look, &heard)?;
            return Ok(false);
        }
        if fault.is_deadly() {
            play.ends_by_itself(look)?;
        } else {
            play.settles_on_its_own()?;
            play.check(look, &heard)?;
            play.is_killed()?;
        }
        play.restart()?;
        play.check(look, &heard)?;
        play.password_is_good_while_needed()?;
        let heard = heard.and_then(play.asks_again()?);
        play.check(look, &heard)?;
        play.live_sessions_are_usable()?;
        play.check(look, &heard)?;
        if fault.is_deadly() {
            play.opens_again()?;
        }
        Ok(true)
    }
}

/// Does this with every item, several at once, each with its own look into the directory; answers all that failed.
fn for_each<T: Sync, R: Send>(
    ads: [&SambaAd; 2],
    items: &[T],
    work: impl Fn(&T, &mut View, usize) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let (done, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let worker = || {
        let mut look = ads[0].look()?;
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
    let second = SambaAd::start(Options { customer: "globex", audit: true, ..Options::default() })?;
    let ads = [&ad, &second];
    let only = std::env::var("TICKETGATE_CASES").unwrap_or_default().to_lowercase();
    let mut stories = Vec::new();
    for mode in Mode::ALL {
        for story in Story::ALL.into_iter().filter(|story| story.is_told_of(mode)) {
            stories.push(Case { mode, story, fault: None });
        }
    }
    stories.retain(|case| case.begins_with(&only) || only.starts_with(&case.to_string().to_lowercase()));
    stories.retain(|case| !only.is_empty() || case.is_usual());
    let noted = for_each(ads, &stories, |case, look, number| case.with_every_fault(ads, look, number))?;
    let (cases, mut opened): (Vec<_>, Vec<_>) = noted.into_iter().unzip();
    let mut cases: Vec<_> = cases.into_iter().flatten().collect();
    if only.is_empty() {
        coverage::every_point_is_played(
            cases.iter().filter_map(|case| Some(case.fault.as_ref()?.point.as_str())),
        )?;
    }
    cases.retain(|case| case.begins_with(&only) && (!only.is_empty() || case.is_usual()));
    assert!(!cases.is_empty(), "there is no {only}");
    let played = for_each(ads, &cases, |case, look, number| case.play(ads, look, number))?;
    let unmet = played.iter().filter(|(_, met)| !met).count();
    let several = cases.iter().filter(|case| case.mode == Mode::Several).count();
    assert!(unmet * 20 <= several, "{unmet} of {several} faults were not met");
    opened.extend(played.iter().map(|(opened, _)| opened));
    let (opened, noted) = (opened.iter().sum(), witness::every_opening_had_its_end(&ad, stories::LONGEST)?);
    assert!(noted >= opened, "{opened} accounts were opened, and the directory noted {noted}");
    witness::every_opening_had_its_end(&second, stories::LONGEST)?;
    Ok(())
}
