//! `cargo xtask torture`: random histories against the real directory and broker, for as long as wanted. The playing is
//! `tests/tests/torture`, and with `--team` that of several brokers on one database, `tests/tests/team`; `cargo xtask test` plays two
//! minutes of the former and one of the latter.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::cargo::{native, native_on};
use crate::ports::Ports;
use crate::setup;
use crate::steps::Steps;
use crate::tree::Tree;

const TEST: &str = "no_random_history_leaves_a_right_behind_or_loses_a_session";
const TEAM: &str = "a_teams_day_full_of_faults_leaves_no_right_behind_and_loses_no_session";

/// Options of `torture`.
#[derive(clap::Args)]
#[command(
    after_help = "A history that fails is shortened, shown, and written to target/ as a text, a line per event, \
which --replay plays again. Put it into tests/tests/torture/histories/ when what it found is mended: it is played ever after.\n\n\
With --team one seed draws the same faults and the same requests at the same offsets. What becomes of a request that is under way when a \
fault comes is up to threads and the kernel, so a run that fails may have to be played more than once to fail again."
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
    /// Three brokers on one PostgreSQL with a standby, technicians who come by HTTPS, killed processes, fail-overs, cuts, full disks
    #[arg(long, conflicts_with_all = ["length", "replay"])]
    team: bool,
    /// How many technicians
    #[arg(long, requires = "team", default_value_t = 200)]
    technicians: usize,
    /// Only these faults, or `none`: kill, stop, pause, restart, fail-over, cut, clock, full-disk
    #[arg(long, requires = "team", value_name = "WORD,WORD")]
    faults: Option<String>,
}

/// Runs the chore. The test's exit code is ours.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<ExitCode> {
    let ports = Ports::find()?;
    setup::ensure(tree, steps, setup::Purpose::Test)?;
    steps.heading("build");
    let mut product = native(tree);
    product.args(["build", "--package", "ticketgate", "--features", "fault-points", "--locked"]);
    steps.program("native binary with fault points", &mut product, "")?;
    let (binary, name) = if args.team { ("team", TEAM) } else { ("torture", TEST) };
    let the_test = ["test", "--package", "ticketgate-tests", "--test", binary, "--locked"];
    let mut tests = native(tree);
    tests.args(the_test).arg("--no-run");
    steps.program("what is played", &mut tests, "")?;
    steps.heading("torture");
    if let Some(note) = ports.note() {
        steps.note(note);
    }
    let mut run = native_on(tree, &ports);
    run.args(the_test).args(["--quiet", "--", "--exact", name, "--nocapture", "--include-ignored"]);
    run.env("TICKETGATE_BIN", tree.target().join("debug").join("ticketgate"));
    // Without one, other histories each time; the test prints it.
    let of_now =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let seed = args.seed.unwrap_or_else(|| of_now().into());
    let tell = |run: &mut Command, what: &str, value: String| {
        run.env(format!("TICKETGATE_{}_{what}", binary.to_uppercase()), value);
    };
    tell(&mut run, "SEED", seed.to_string());
    tell(&mut run, "SECONDS", (args.minutes * 60).to_string());
    if args.show {
        tell(&mut run, "SHOW", "1".to_owned());
    }
    if args.team {
        tell(&mut run, "TECHNICIANS", args.technicians.to_string());
        if let Some(faults) = &args.faults {
            tell(&mut run, "FAULTS", faults.clone());
        }
    } else {
        tell(&mut run, "LENGTH", args.length.to_string());
    }
    if let Some(file) = &args.replay {
        let file = file.canonicalize().with_context(|| format!("no history {}", file.display()))?;
        run.env("TICKETGATE_TORTURE_REPLAY", file);
    }
    let status = run.status().with_context(|| format!("cannot start {run:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::{TEAM, TEST};

    #[test]
    fn the_tests_that_are_run_by_their_exact_names_are_there() {
        // A runner that finds no test of the name is content.
        let played = [
            (TEST, include_str!("../../tests/tests/torture/main.rs")),
            (TEAM, include_str!("../../tests/tests/team/main.rs")),
        ];
        for (name, file) in played {
            let at = file.find(&format!("\nfn {name}()"));
            let before = at.and_then(|at| file.get(..at)).and_then(|before| before.rsplit("\n\n").next());
            assert!(before.is_some_and(|before| before.contains("#[test]")), "there is no test {name}");
        }
    }
}
