//! `cargo xtask demo`'s second half: the world is built, the program is built; here they meet. With a display a person
//! takes over; without one the technician's minute is played. This file is the order of things.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person in a terminal")]

mod further;
mod minute;
mod northwind;
mod settings;
mod stage;
mod standins;

use std::process::ExitCode;

use anyhow::bail;
use ticketgate_tests::interrupt;

use crate::stage::{Stage, Teller};

fn main() -> ExitCode {
    let outcome = run();
    if is_interrupted(&outcome) {
        eprintln!("Everything has ended.");
        return interrupt::exit_code();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo stopped: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_interrupted(outcome: &anyhow::Result<()>) -> bool {
    if outcome.is_err() { interrupt::explains_failure() } else { interrupt::asked() }
}

fn run() -> anyhow::Result<()> {
    let mut headless = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--headless" => headless = true,
            other => bail!("unknown argument {other:?}; run `cargo xtask demo [--headless]`"),
        }
    }
    let display = std::env::var("DISPLAY").ok().filter(|display| !display.is_empty() && !headless);
    northwind::know_the_name()?;
    interrupt::listen()?;
    let teller = Teller::new();
    let stage = Stage::set(&teller, display)?;
    let played =
        if stage.is_for_a_person() { stage.wait_for_the_person(&teller) } else { play(&stage, &teller) };
    if is_interrupted(&played) {
        eprintln!("\nEnding everything …");
    } else if played.is_err() {
        stage.leave_evidence();
    }
    played
}

fn play(stage: &Stage, teller: &Teller) -> anyhow::Result<()> {
    minute::play(stage, teller)?;
    further::play(stage, teller)?;
    minute::the_record(stage, teller)
}
