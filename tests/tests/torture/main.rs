//! Random histories. Activations, extensions, ends, overlaps, changes of the rules, kills, faults, outages, moved clocks and
//! changes by hand, for several technicians in every account mode, against a real directory and the real broker. After each
//! event everything is let settle; then a small model, and a witness that shares no code with the product, say what has to
//! be there. What fails is shortened and written as a text that can be replayed (`cargo xtask torture`).
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
mod stage;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use history::Event;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use stage::Stage;
use ticketgate_tests::Outcome;
use ticketgate_tests::world::workspace;

/// What `cargo xtask test` plays.
const SECONDS: u64 = 120;
/// Events in one history, at most.
const LENGTH: usize = 40;
/// Shortening a failed history ends after this.
const SHORTENING: Duration = Duration::from_secs(600);

/// How often each kind of event was played.
type Counts = BTreeMap<&'static str, usize>;

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?} is no number")),
        Err(_) => Ok(otherwise),
    }
}

/// Plays a history from a clean world on. Where something does not hold, answers after how many events, and what.
fn play(
    stage: &mut Stage,
    history: &[Event],
    counts: &RefCell<Counts>,
) -> Result<(), (usize, anyhow::Error)> {
    let mut scene = stage.scene().map_err(|error| (0, error.context("no clean world")))?;
    for (at, event) in history.iter().enumerate() {
        *counts.borrow_mut().entry(event.kind()).or_default() += 1;
        let was_open = scene.model.live().next().is_some();
        let began = Instant::now();
        let held = scene.play(event).and_then(|()| scene.holds(was_open));
        if std::env::var_os("TICKETGATE_TORTURE_SHOW").is_some() {
            eprintln!("{:>6} ms  {event:?}", began.elapsed().as_millis());
        }
        if let Err(error) = held {
            let log = scene.product.broker_log();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(60)..].join("\n");
            return Err((at + 1, error.context(format!("broker:\n{end}\n\nafter {event:?}"))));
        }
    }
    Ok(())
}

/// Plays histories that are drawn from a seed until the time is over.
fn play_random(
    stage: &mut Stage,
    seed: u64,
    time: Duration,
    length: usize,
    counts: &RefCell<Counts>,
) -> Result<usize> {
    let began = Instant::now();
    let mut histories = 0;
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    while began.elapsed() < time {
        let drawn = history::histories(length).new_tree(&mut runner).map_err(|why| anyhow!("{why}"))?;
        let played = drawn.current();
        histories += 1;
        if let Err((after, error)) = play(stage, &played, counts) {
            eprintln!(
                "history {histories} of seed {seed} fails after {after} events: {error:#}\nshortening it"
            );
            let failed = shorten(stage, Failed { history: played[..after].to_vec(), error });
            let text = history::write(&failed.history)?;
            let file = workspace().join(format!("target/torture-{seed}-{histories}.history"));
            std::fs::write(&file, &text)?;
            let shown = file.display();
            bail!("{:#}\n\nThis history fails; cargo xtask torture --replay {shown}\n{text}", failed.error);
        }
    }
    Ok(histories)
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
            match play(stage, &history, &RefCell::default()) {
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
    let mut stage = Stage::new()?;
    let counts = RefCell::default();
    if let Some(file) = std::env::var_os("TICKETGATE_TORTURE_REPLAY") {
        let history = history::read(&std::fs::read_to_string(&file)?)?;
        return Ok(play(&mut stage, &history, &counts)
            .map_err(|(after, error)| error.context(format!("after {after} events")))?);
    }
    let of_now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
    let seed = number("TICKETGATE_TORTURE_SEED", of_now.into())?;
    let time = Duration::from_secs(number("TICKETGATE_TORTURE_SECONDS", SECONDS)?);
    let length = usize::try_from(number("TICKETGATE_TORTURE_LENGTH", LENGTH as u64)?)?;
    eprintln!("seed {seed}");
    let began = Instant::now();
    let histories = play_random(&mut stage, seed, time, length, &counts)?;
    let counts = counts.into_inner();
    let events: usize = counts.values().sum();
    let a_second = events as f64 / began.elapsed().as_secs_f64();
    eprintln!("{histories} histories, {events} events, {a_second:.1} a second: {counts:?}");
    Ok(())
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
        if let Err((after, error)) = play(&mut stage, &history, &RefCell::default()) {
            return Err(error.context(format!("{}, after {after} events", file.display())).into());
        }
    }
    Ok(())
}
