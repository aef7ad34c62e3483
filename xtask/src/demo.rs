//! `cargo xtask demo`: the whole product on a private directory, ticket system and browser. Here everything is made
//! ready; `ticketgate-demo` (in `tests/`, whose harness it uses) plays it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build::{self, Native};
use crate::cargo::native;
use crate::ports::Ports;
use crate::setup;
use crate::steps::Steps;
use crate::tree::Tree;
use crate::wasm::Core;

/// Options of the demo.
#[derive(clap::Args)]
#[command(
    after_help = "Everything runs on loopback addresses and keeps its files under target/. Ctrl-C ends it all."
)]
pub(crate) struct Args {
    /// Play the technician's minute without a display and leave pictures in target/demo/
    #[arg(long)]
    headless: bool,
}

/// Makes everything ready and becomes the demo, so that a Ctrl-C is for the demo alone, which takes its world down.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<ExitCode> {
    let ports = Ports::find()?;
    if !args.headless {
        ports.reach(std::env::var("DISPLAY").ok().as_deref())?;
    }
    setup::ensure(tree, steps, setup::Purpose::Demo)?;
    steps.heading("build");
    let binary = build::binary(tree, steps, Native::Debug)?;
    let extension = build::extension(tree, steps, Core::Small)?;
    let mut cargo = native(tree);
    cargo.args(["build", "--package", "ticketgate-tests", "--bin", "ticketgate-demo", "--locked"]);
    steps.program("the demo", &mut cargo, "")?;
    steps.heading("demo");
    if let Some(note) = ports.note() {
        steps.note(note);
    }
    let mut demo = ports.command(tree.target().join("debug").join("ticketgate-demo"));
    demo.env("TICKETGATE_BIN", binary).env("TICKETGATE_EXTENSION", extension);
    if args.headless {
        demo.arg("--headless");
    }
    become_it(&mut demo)
}

#[cfg(unix)]
fn become_it(demo: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let error = demo.exec();
    Err(error).with_context(|| format!("cannot start {demo:?}"))
}

#[cfg(not(unix))]
fn become_it(demo: &mut Command) -> Result<ExitCode> {
    let status = demo.status().with_context(|| format!("cannot start {demo:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
