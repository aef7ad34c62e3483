//! `cargo xtask test`: what CI runs. Its last lines are the test runner's own.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::cargo::{PRODUCT, native, native_on};
use crate::lint::{self, FAULT_POINTS};
use crate::ports::Ports;
use crate::steps::{Steps, output};
use crate::tree::{Tree, program};
use crate::wasm::Core;
use crate::{build, container, fuzz, package, setup, windows};

/// Options of `test`.
#[derive(clap::Args)]
#[command(after_help = "End-to-end tests find what was built by TICKETGATE_BIN, TICKETGATE_EXTENSION and \
TICKETGATE_PACKAGE, which this command sets. cargo-nextest is used where it is installed, otherwise cargo test.")]
pub(crate) struct Args {
    /// Leave out lint
    #[arg(long)]
    no_lint: bool,
    /// Build what the tests need, and run nothing
    #[arg(long, conflicts_with_all = ["only", "package"])]
    build_only: bool,
    /// Only tests whose name contains this; it is an error when none does
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Only this package's tests, for example ticketgate-tests
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only the Windows binary, under Wine with a stand-in for the library that changes accounts; in no other run
    #[arg(long, conflicts_with_all = ["no_lint", "build_only", "only", "package"])]
    windows: bool,
    /// Only the team's container, built and run by podman; in no other run
    #[arg(long, conflicts_with_all = ["no_lint", "build_only", "only", "package", "windows"])]
    container: bool,
}

/// How many tests run at once when cargo itself runs them: each end-to-end test starts a browser, a directory server
/// and a broker, and two of these sets are what a machine with two cores carries.
const THREADS: &str = "2";

/// Runs the chore. The runner's exit code is ours.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<ExitCode> {
    if args.windows {
        return windows::test(tree, steps);
    }
    if args.container {
        return container::test(tree, steps);
    }
    let ports = Ports::find()?;
    setup::ensure(tree, steps, setup::Purpose::Test)?;
    steps.heading("build");
    let extension = build::extension(tree, steps, Core::Small)?;
    let binary = everything(tree, steps)?;
    let packed = package::assemble(tree, steps, &binary, build::Native::Debug, &tree.made("package"))?;
    if args.build_only {
        steps.note(&format!(
            "run tests with TICKETGATE_BIN={} TICKETGATE_EXTENSION={} TICKETGATE_PACKAGE={}",
            binary.display(),
            extension.display(),
            packed.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
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
    let runner = Runner::find();
    if let (Runner::Cargo, Some(filter)) = (runner, &args.only) {
        // Cargo itself is content with none.
        let listed = output(runner.command(tree, args, &ports).args(["--list", "--format", "terse"]))?;
        if !lists_a_test(&listed) {
            bail!("no test has `{filter}` in its name");
        }
    }
    let mut run = runner.command(tree, args, &ports);
    run.env("TICKETGATE_BIN", binary).env("TICKETGATE_EXTENSION", extension);
    run.env("TICKETGATE_PACKAGE", packed);
    let status = run.status().with_context(|| format!("cannot start {run:?}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What tests are and need.
const TARGETS: [&str; 3] = ["--lib", "--bins", "--tests"];

/// The one example that a test starts. The others measure: they are not built here, and clippy reads them.
const STARTED: [&str; 2] = ["--example", "local_far"];

/// Builds binary and tests in one go: the same packages, targets and features as the runner asks for, so that nothing
/// is compiled twice.
fn everything(tree: &Tree, steps: &mut Steps) -> Result<PathBuf> {
    let mut cargo = native(tree);
    cargo
        .arg("build")
        .args(TARGETS)
        .args(STARTED)
        .args(["--locked", "--features", FAULT_POINTS])
        .args(PRODUCT);
    steps.program("native binary and all tests", &mut cargo, "")?;
    Ok(tree.target().join("debug").join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)))
}

/// What runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    fn find() -> Self {
        if program("cargo-nextest").is_some() { Self::Nextest } else { Self::Cargo }
    }

    fn command(self, tree: &Tree, args: &Args, ports: &Ports) -> Command {
        let mut cargo = native_on(tree, ports);
        cargo.args(match self {
            Self::Nextest => ["nextest", "run"],
            Self::Cargo => ["test", "--no-fail-fast"],
        });
        match &args.package {
            // Features of a package can only be named where that package is selected.
            Some(package) if package == "ticketgate" => {
                cargo.args(["--package", package, "--features", "fault-points"])
            }
            Some(package) => cargo.args(["--package", package]),
            None => cargo.args(PRODUCT).args(["--features", FAULT_POINTS]),
        };
        cargo.arg("--locked");
        match self {
            Self::Nextest if args.package.is_none() => {
                cargo.args(TARGETS).args(["--no-fail-fast", "--no-tests=fail"]).args(&args.only)
            }
            Self::Nextest => cargo.args(["--no-fail-fast", "--no-tests=fail"]).args(&args.only),
            Self::Cargo => cargo.args(&args.only).args(["--", "--test-threads", THREADS]),
        };
        cargo
    }
}

/// Whether cargo's list of tests names one (`module::name: test`).
fn lists_a_test(listed: &str) -> bool {
    listed.lines().any(|line| line.ends_with(": test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(runner: Runner) -> Vec<String> {
        let args = Args {
            no_lint: true,
            build_only: false,
            only: Some("x".to_owned()),
            package: None,
            windows: false,
            container: false,
        };
        let command = runner.command(&Tree::at(std::path::Path::new("/")), &args, &Ports::Allowed);
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_filter_that_no_test_fits_fails_with_either_runner() {
        assert!(said(Runner::Nextest).contains(&"--no-tests=fail".to_owned()));
        assert!(lists_a_test("a::b_c: test\nd: benchmark\n"));
        assert!(!lists_a_test("\nd: benchmark\n"));
    }
}
