//! Random histories. Activations, extensions, ends, overlaps, changes of the rules, kills, faults, outages, moved clocks and
//! changes by hand, for several technicians in every account mode, in one directory or in two, against real directories and the
//! real broker. After each event everything is let settle; then a small model, and a witness that shares no code with the
//! product, say what has to be there. What fails is shortened and written as a text that can be replayed (`cargo xtask torture`).
//!
//! `TICKETGATE_TORTURE_SECONDS`, `_SEED`, `_REPLAY` (a file) and `_LENGTH` (events at most in one history) say what is played;
//! with `_SHOW` each event is printed with its time.
#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may panic: that is how it fails"
)]

mod check;
mod hear;
mod history;
mod model;
mod play;
mod rules;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use history::{Event, KINDS};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stage::{Faults, Stage, Wholes};
use ticketgate_tests::world::workspace;
use ticketgate_tests::{Outcome, points};

/// The seed of a run of the tests.
const SEED: u64 = 3;
/// What `cargo xtask test` plays.
const SECONDS: u64 = 120;
/// Events in one history, at most.
const LENGTH: usize = 40;
/// Shortening a failed history ends after this.
const SHORTENING: Duration = Duration::from_secs(600);

/// Histories played side by side, each with directories of its own: half of each is waiting.
const SIDE_BY_SIDE: usize = 2;

/// From this time on a run has to show all that a history can have.
const WHOLE: Duration = Duration::from_secs(60);

/// How often each kind of event was played, and each fault.
#[derive(Debug, Default)]
struct Counts {
    kinds: BTreeMap<&'static str, usize>,
    faults: Faults,
    wholes: Wholes,
}

/// Where histories come from, and how many there were.
struct Drawing {
    runner: TestRunner,
    histories: usize,
    points: BTreeSet<String>,
    counts: Counts,
    /// Somebody found one that fails.
    over: bool,
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?} is no number")),
        Err(_) => Ok(otherwise),
    }
}

/// Plays a history from a clean world on. Where something does not hold, answers after how many events, and what.
fn play(stage: &mut Stage, history: &[Event]) -> Result<(), (usize, anyhow::Error)> {
    let mut scene = stage.scene().map_err(|error| (0, error.context("no clean world")))?;
    let events = history.iter().map(Some).chain([None]);
    for (at, event) in events.enumerate() {
        let was_open = scene.model.live().next().is_some();
        let began = Instant::now();
        let held = match event {
            Some(event) => scene.play(event).and_then(|()| scene.holds(was_open)),
            None => scene.ends(),
        };
        if std::env::var_os("TICKETGATE_TORTURE_SHOW").is_some() {
            eprintln!("{:>6} ms  {event:?}", began.elapsed().as_millis());
        }
        if let Err(error) = held {
            let log = scene.product.broker_log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(60)..].join("\n");
            let after = (at + 1).min(history.len());
            return Err((after, error.context(format!("broker:\n{end}\n\nafter {event:?}"))));
        }
    }
    Ok(())
}

/// Plays histories that are drawn from a seed until the time is over.
fn play_random(seed: u64, time: Duration, length: usize) -> Result<Drawing> {
    let began = Instant::now();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runner = TestRunner::new_with_rng(Config::default(), rng);
    let (points, counts) = (points::all()?, Counts::default());
    let drawing = Mutex::new(Drawing { runner, histories: 0, points, counts, over: false });
    let draw = || {
        let mut drawing = drawing.lock().expect("no panic");
        if drawing.over || began.elapsed() >= time {
            return Ok(None);
        }
        let some = history::histories(length, &drawing.points);
        let drawn = some.new_tree(&mut drawing.runner).map_err(|why| anyhow!("{why}"))?;
        drawing.histories += 1;
        Ok::<_, anyhow::Error>(Some((drawing.histories, drawn.current())))
    };
    let worker = || {
        let mut stage = Stage::new()?;
        while let Some((number, history)) = draw()? {
            let mut played = play(&mut stage, &history);
            if let Err((_, error)) = &played {
                let damage = stage.damage()?;
                if !damage.is_empty() {
                    // Samba's, not the product's: the same history has to hold in a world that is whole.
                    eprintln!(
                        "the directory contradicts itself: {damage:?}\nhistory {number} once more, in a new one, after: {error:#}"
                    );
                    stage = Stage::new()?;
                    played = play(&mut stage, &history);
                }
            }
            let mut drawing = drawing.lock().expect("no panic");
            for event in &history[..played.as_ref().map_or_else(|(after, _)| *after, |()| history.len())] {
                *drawing.counts.kinds.entry(event.kind()).or_default() += 1;
            }
            let Faults { asked_for, met } = std::mem::take(&mut stage.faults);
            drawing.counts.faults.asked_for += asked_for;
            for (point, times) in met {
                *drawing.counts.faults.met.entry(point).or_default() += times;
            }
            let Wholes { granted, taken_back } = std::mem::take(&mut stage.wholes);
            drawing.counts.wholes.granted += granted;
            drawing.counts.wholes.taken_back += taken_back;
            let Err((after, error)) = played else { continue };
            drawing.over = true;
            drop(drawing);
            eprintln!("history {number} of seed {seed} fails after {after} events: {error:#}\nshortening it");
            let failed = shorten(&mut stage, Failed { history: history[..after].to_vec(), error });
            let text = history::write(&failed.history)?;
            let file = workspace().join(format!("target/torture-{seed}-{number}.history"));
            std::fs::write(&file, &text)?;
            let shown = file.display();
            bail!("{:#}\n\nThis history fails; cargo xtask torture --replay {shown}\n{text}", failed.error);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
        ended.into_iter().collect::<Result<()>>()
    })?;
    Ok(drawing.into_inner().expect("no panic"))
}

struct Failed {
    history: Vec<Event>,
    error: anyhow::Error,
}

/// Leaves out what the failure does not need, large parts before small ones, each time from a clean world.
fn shorten(stage: &mut Stage, mut failed: Failed) -> Failed {
    let began = Instant::now();
    let mut part = failed.history.len() / 2;
    while part > 0 {
        let mut from = 0;
        while from < failed.history.len() && began.elapsed() < SHORTENING {
            let mut history = failed.history.clone();
            history.drain(from..(from + part).min(history.len()));
            match play(stage, &history) {
                Ok(()) => from += part,
                // What comes after the failure does not matter.
                Err((after, error)) => failed = Failed { history: history[..after].to_vec(), error },
            }
        }
        part /= 2;
    }
    failed
}

#[test]
fn no_random_history_leaves_a_right_behind_or_loses_a_session() -> Outcome {
    if let Some(file) = std::env::var_os("TICKETGATE_TORTURE_REPLAY") {
        let history = history::read(&std::fs::read_to_string(&file)?)?;
        let played = play(&mut Stage::new()?, &history);
        return Ok(played.map_err(|(after, error)| error.context(format!("after {after} events")))?);
    }
    // The same histories in every run of the tests: what is new in one that fails is the product. The chore draws others.
    let seed = number("TICKETGATE_TORTURE_SEED", SEED)?;
    let time = Duration::from_secs(number("TICKETGATE_TORTURE_SECONDS", SECONDS)?);
    let length = usize::try_from(number("TICKETGATE_TORTURE_LENGTH", LENGTH as u64)?)?;
    eprintln!("seed {seed}");
    let began = Instant::now();
    let Drawing { histories, counts, .. } = play_random(seed, time, length)?;
    let events: usize = counts.kinds.values().sum();
    let a_second = events as f64 / began.elapsed().as_secs_f64();
    eprintln!("{histories} histories, {events} events, {a_second:.1} a second: {:?}", counts.kinds);
    let Faults { asked_for, met } = &counts.faults;
    eprintln!("{} of {asked_for} faults met: {met:?}", met.values().sum::<usize>());
    eprintln!("of sessions in several directories: {:?}", counts.wholes);
    if time >= WHOLE {
        counts.are_whole()?;
    }
    Ok(())
}

impl Counts {
    /// Whether a run of [`WHOLE`] or more played what it is there for.
    fn are_whole(&self) -> Result<()> {
        let kinds: BTreeSet<_> = self.kinds.keys().copied().collect();
        ensure!(kinds == KINDS.into(), "not all kinds of events were played: {kinds:?}");
        let Faults { asked_for, met } = &self.faults;
        let enough = met.values().sum::<usize>() * 4 >= *asked_for;
        ensure!(enough, "of {asked_for} faults only these were met: {met:?}");
        let Wholes { granted, taken_back } = &self.wholes;
        ensure!(*granted > 0 && *taken_back > 0, "in several directories: {:?}", self.wholes);
        Ok(())
    }
}

#[test]
fn histories_that_failed_once_hold() -> Outcome {
    let mut stage = Stage::new()?;
    let folder = workspace().join("tests/tests/torture/histories");
    let mut files: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    for file in files {
        let history = history::read(&std::fs::read_to_string(&file)?)?;
        if let Err((after, error)) = play(&mut stage, &history) {
            return Err(error.context(format!("{}, after {after} events", file.display())).into());
        }
    }
    Ok(())
}
