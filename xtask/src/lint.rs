//! `cargo xtask lint`: every check that needs no running system, one line each, all of them even when one fails.
//! The checks that no tool offers are in `lint/`.

mod dependencies;
mod javascript;
mod layers;
mod texts;

use anyhow::{Result, bail};

use crate::cargo::{Cross, PRODUCT, WASM, WINDOWS, native};
use crate::steps::Steps;
use crate::tree::Tree;
use crate::{setup, wasm};

/// Options of `lint`.
#[derive(clap::Args)]
#[command(
    after_help = "`cargo fmt --all` mends the first check. The same lint runs in CI, as part of `cargo xtask test`."
)]
pub(crate) struct Args {
    /// Leave out clippy for Windows, which takes minutes when nothing is built yet
    #[arg(long)]
    no_windows: bool,
    /// Only the checks without a compiler: formatting, dependencies, layers, texts
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// Every check.
    pub(crate) const ALL: Self = Self { no_windows: false, quick: false };
}

/// The cargo feature that tests need in the native binary.
pub(crate) const FAULT_POINTS: &str = "ticketgate/fault-points";

/// The packages that run on Windows.
const WINDOWS_PACKAGES: [&str; 5] =
    ["ticketgate", "ticketgate-protocol", "ticketgate-access", "ticketgate-ledger", "ticketgate-directory"];

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    if !args.quick {
        setup::ensure(tree, steps, setup::Purpose::Test)?;
    }
    checks(tree, steps, args)
}

/// The checks alone, on a machine that is ready.
pub(crate) fn checks(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    steps.heading("lint");
    let mut failed = Vec::new();
    let mut check = |result: Result<()>| {
        if let Err(error) = result {
            failed.push(format!("{error:#}"));
        }
    };

    let mut formatting = native(tree);
    formatting.args(["fmt", "--all", "--check"]);
    check(steps.program("formatting", &mut formatting, "run `cargo fmt --all`"));
    check(layers::check(tree, steps));
    check(texts::check(tree, steps));
    check(dependencies::check(tree, steps));
    if !args.quick {
        check(clippy_here(tree, steps, "clippy", &PRODUCT));
        let with_stops = [PRODUCT.as_slice(), &["--features", FAULT_POINTS]].concat();
        check(clippy_here(tree, steps, "clippy with fault points", &with_stops));
        check(clippy_here(tree, steps, "clippy of xtask", &["--package", "xtask"]));
        check(clippy_wasm(tree, steps));
        if !args.no_windows {
            check(clippy_windows(tree, steps));
        }
        check(
            wasm::build(tree, steps, wasm::Core::Plain)
                .and_then(|glue| javascript::check(tree, steps, &glue)),
        );
        let mut docs = native(tree);
        docs.args(["doc", "--no-deps", "--locked"]).args(PRODUCT).env("RUSTDOCFLAGS", "-D warnings");
        check(steps.program("documentation", &mut docs, ""));
    }

    if !failed.is_empty() {
        bail!("{} of the checks failed:\n\n{}", failed.len(), failed.join("\n\n"));
    }
    Ok(())
}

fn clippy_here(tree: &Tree, steps: &mut Steps, title: &str, packages: &[&str]) -> Result<()> {
    let mut cargo = native(tree);
    cargo.args(["clippy", "--all-targets", "--locked"]).args(packages).args(["--", "-D", "warnings"]);
    steps.program(title, &mut cargo, "")
}

fn clippy_wasm(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let cross = Cross::find(WASM)?;
    if !cross.has_clippy() {
        bail!("clippy for WASM: Debian's clippy is not there; run `cargo xtask setup`");
    }
    let mut cargo = cross.cargo(tree, "clippy");
    // The profile of the real build, so that both share the standard library.
    cargo.args([
        "--package",
        "ticketgate-wasm",
        "--package",
        "ticketgate-protocol",
        "--lib",
        "--profile",
        "wasm",
    ]);
    cargo.args(["--", "-D", "warnings"]);
    steps.program("clippy for WASM", &mut cargo, "")
}

fn clippy_windows(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let cross = Cross::find(WINDOWS)?;
    if !cross.has_clippy() {
        bail!("clippy for Windows: Debian's clippy is not there; run `cargo xtask setup`");
    }
    let mut cargo = cross.cargo(tree, "clippy");
    for package in WINDOWS_PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo.args(["--lib", "--bins", "--", "-D", "warnings"]);
    steps.program("clippy for Windows", &mut cargo, "")
}
