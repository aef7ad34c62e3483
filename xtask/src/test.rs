//! `cargo xtask test`: what CI runs. Its last lines are the test runner's own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo::{PRODUCT, native, native_on};
use crate::lint::{self, FAULT_POINTS};
use crate::ports::Ports;
use crate::steps::Steps;
use crate::tree::{Tree, program};
use crate::wasm::Core;
use crate::{build, fuzz, setup};

/// Options of `test`.
#[derive(clap::Args)]
#[command(
    after_help = "End-to-end tests find what was built by TICKETGATE_BIN and TICKETGATE_EXTENSION, which this \
command sets. cargo-nextest is used where it is installed, otherwise cargo test."
)]
pub(crate) struct Args {
    /// Leave out lint
    #[arg(long)]
    no_lint: bool,
    /// Only tests whose name contains this
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Only this package's tests, for example ticketgate-tests
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
}

/// How many tests run at once when cargo itself runs them: each end-to-end test starts a browser, a directory server
/// and a broker, and two of these sets are what a machine with two cores carries.
const THREADS: &str = "2";

/// Runs the chore. The runner's exit code is ours.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<ExitCode> {
    let ports = Ports::find()?;
    setup::ensure(tree, steps, setup::Purpose::Test)?;
    steps.heading("build");
    let extension = build::extension(tree, steps, Core::Small)?;
    let binary = everything(tree, steps)?;
    if !args.no_lint {
        lint::checks(tree, steps, &lint::Args::default())?;
    }
    if args.only.is_none() && args.package.is_none() {
        let mut own = native(tree);
        own.args(["test", "--package", "xtask", "--locked"]);
        steps.program("tests of xtask itself", &mut own, "")?;
        fuzz::short(tree, steps)?;
    }
    steps.table();
    steps.heading("test");
    if let Some(note) = ports.note() {
        steps.note(note);
    }
    let mut runner = runner(tree, args, &ports);
    runner.env("TICKETGATE_BIN", binary).env("TICKETGATE_EXTENSION", extension);
    let status = runner.status().with_context(|| format!("cannot start {runner:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds binary and tests in one go: the same packages, targets and features as the runner asks for, so that nothing
/// is compiled twice.
fn everything(tree: &Tree, steps: &mut Steps) -> Result<PathBuf> {
    let mut cargo = native(tree);
    cargo.args(["build", "--all-targets", "--locked", "--features", FAULT_POINTS]).args(PRODUCT);
    steps.program("native binary and all tests", &mut cargo, "")?;
    Ok(tree.target().join("debug").join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)))
}

fn runner(tree: &Tree, args: &Args, ports: &Ports) -> Command {
    let mut cargo = native_on(tree, ports);
    let nextest = program("cargo-nextest").is_some();
    cargo.args(if nextest { ["nextest", "run"].as_slice() } else { ["test", "--no-fail-fast"].as_slice() });
    match &args.package {
        // Features of a package can only be named where that package is selected.
        Some(package) if package == "ticketgate" => {
            cargo.args(["--package", package, "--features", "fault-points"])
        }
        Some(package) => cargo.args(["--package", package]),
        None => cargo.args(PRODUCT).args(["--features", FAULT_POINTS]),
    };
    cargo.arg("--locked");
    if nextest {
        cargo.args(["--no-fail-fast", "--no-tests=pass"]);
        cargo.args(&args.only);
    } else {
        cargo.args(&args.only).args(["--", "--test-threads", THREADS]);
    }
    cargo
}
