//! `cargo xtask torture`: random histories against the real directory and broker, for as long as wanted. The playing is
//! `tests/tests/torture`; `cargo xtask test` plays two minutes of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::cargo::{native, native_on};
use crate::ports::Ports;
use crate::setup;
use crate::steps::Steps;
use crate::tree::Tree;

const TEST: &str = "no_random_history_leaves_a_right_behind_or_loses_a_session";

/// Options of `torture`.
#[derive(clap::Args)]
#[command(
    after_help = "A history that fails is shortened, shown, and written to target/ as a text, a line per event, \
which --replay plays again. Put it into tests/tests/torture/histories/ when what it found is mended: it is played ever after."
)]
pub(crate) struct Args {
    /// How long new histories are begun
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Draw the histories from this number; one and the same seed draws the same ones [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Events in one history, at most
    #[arg(long, default_value_t = 40)]
    length: usize,
    /// Play this history and no other
    #[arg(long, value_name = "FILE", conflicts_with_all = ["minutes", "seed", "length"])]
    replay: Option<PathBuf>,
    /// Show each event, with how long it took
    #[arg(long)]
    show: bool,
}

/// Runs the chore. The test's exit code is ours.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<ExitCode> {
    let ports = Ports::find()?;
    setup::ensure(tree, steps, setup::Purpose::Test)?;
    steps.heading("build");
    let mut binary = native(tree);
    binary.args(["build", "--package", "ticketgate", "--features", "fault-points", "--locked"]);
    steps.program("native binary with fault points", &mut binary, "")?;
    let the_test = ["test", "--package", "ticketgate-tests", "--test", "torture", "--locked"];
    let mut tests = native(tree);
    tests.args(the_test).arg("--no-run");
    steps.program("random histories", &mut tests, "")?;
    steps.heading("torture");
    if let Some(note) = ports.note() {
        steps.note(note);
    }
    let mut run = native_on(tree, &ports);
    run.args(the_test).args(["--quiet", "--", "--exact", TEST, "--nocapture"]);
    run.env("TICKETGATE_BIN", tree.target().join("debug").join("ticketgate"));
    run.env("TICKETGATE_TORTURE_SECONDS", (args.minutes * 60).to_string());
    run.env("TICKETGATE_TORTURE_LENGTH", args.length.to_string());
    // Without one, other histories each time; the test prints it.
    let of_now =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let seed = args.seed.unwrap_or_else(|| of_now().into());
    run.env("TICKETGATE_TORTURE_SEED", seed.to_string());
    if let Some(file) = &args.replay {
        let file = file.canonicalize().with_context(|| format!("no history {}", file.display()))?;
        run.env("TICKETGATE_TORTURE_REPLAY", file);
    }
    if args.show {
        run.env("TICKETGATE_TORTURE_SHOW", "1");
    }
    let status = run.status().with_context(|| format!("cannot start {run:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::TEST;

    #[test]
    fn the_test_that_is_run_by_its_exact_name_is_there() {
        // A runner that finds no test of the name is content.
        let played = include_str!("../../tests/tests/torture/main.rs");
        assert!(played.contains(&format!("#[test]\nfn {TEST}()")), "tests/tests/torture has no test {TEST}");
    }
}
