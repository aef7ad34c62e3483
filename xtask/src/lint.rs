//! `cargo xtask lint`: every check that needs no running system, one line each, all of them even when one fails.
//! The checks that no tool offers are in `lint/`.

mod advisories;
mod attackers;
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
#[derive(clap::Args, Default)]
#[command(
    after_help = "`cargo fmt --all` mends the first check. The same lint runs in CI, as part of `cargo xtask test`. \
Known advisories come from the newest of xtask/advisories.toml and cargo-audit's or cargo-deny's copy of RustSec's database, or from \
the copy that TICKETGATE_ADVISORY_DB names."
)]
pub(crate) struct Args {
    /// Leave out clippy for Windows, which takes minutes when nothing is built yet
    #[arg(long)]
    no_windows: bool,
    /// Only the checks without a compiler
    #[arg(long)]
    quick: bool,
    /// Only checks whose name contains this; the names are in --list
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Keep what a copy of RustSec's database says of our crates in xtask/advisories.toml, and check nothing
    #[arg(long, value_name = "FOLDER")]
    take_advisories: Option<std::path::PathBuf>,
    /// List the checks and run none
    #[arg(long)]
    list: bool,
}

/// The cargo feature that tests need in the native binary.
pub(crate) const FAULT_POINTS: &str = "ticketgate/fault-points";

/// The packages that run on Windows.
const WINDOWS_PACKAGES: [&str; 8] = [
    "ticketgate",
    "ticketgate-protocol",
    "ticketgate-access",
    "ticketgate-https",
    "ticketgate-ledger",
    "ticketgate-directory",
    "ticketgate-credentials",
    "ticketgate-windows",
];

/// A check with its name.
struct Check {
    name: &'static str,
    what: &'static str,
    quick: bool,
    run: fn(&Tree, &mut Steps) -> Result<()>,
}

/// All checks, those without a compiler first.
const CHECKS: [Check; 11] = [
    Check { name: "format", what: "rustfmt", quick: true, run: format },
    Check {
        name: "layers",
        what: "dependencies between parts point one way",
        quick: true,
        run: layers::check,
    },
    Check {
        name: "texts",
        what: "no machine's paths, no way around TLS checks",
        quick: true,
        run: texts::check,
    },
    Check {
        name: "dependencies",
        what: "lock file, licences, sources, bans, reasons, known advisories",
        quick: true,
        run: dependencies::check,
    },
    Check {
        name: "attackers",
        what: "every test that docs/security.md names is there",
        quick: true,
        run: attackers::check,
    },
    Check {
        name: "clippy",
        what: "the product, warnings denied, without and with fault points",
        quick: false,
        run: clippy,
    },
    Check { name: "clippy-xtask", what: "xtask", quick: false, run: clippy_xtask },
    Check {
        name: "clippy-wasm",
        what: "the core for wasm32-unknown-unknown",
        quick: false,
        run: clippy_wasm,
    },
    Check {
        name: WINDOWS_CHECK,
        what: "the binary for x86_64-pc-windows-gnu",
        quick: false,
        run: clippy_windows,
    },
    Check { name: "javascript", what: "types of the extension's JavaScript", quick: false, run: types },
    Check { name: "docs", what: "rustdoc, warnings denied", quick: false, run: docs },
];

const WINDOWS_CHECK: &str = "clippy-windows";

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    if args.list {
        for check in &CHECKS {
            println!("{:<16} {}", check.name, check.what);
        }
        return Ok(());
    }
    if let Some(copy) = &args.take_advisories {
        return advisories::take(tree, steps, copy);
    }
    if !args.quick {
        setup::ensure(tree, steps, setup::Purpose::Test)?;
    }
    checks(tree, steps, args)
}

/// The checks alone, on a machine that is ready. One that fails does not stop the others.
pub(crate) fn checks(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    steps.heading("lint");
    let chosen: Vec<_> = CHECKS.iter().filter(|check| is_chosen(check, args)).collect();
    if chosen.is_empty() {
        bail!("no such check; `cargo xtask lint --list` lists them");
    }
    let mut failed = Vec::new();
    for check in chosen {
        if let Err(error) = (check.run)(tree, steps) {
            failed.push(format!("{}: {error:#}", check.name));
        }
    }
    if !failed.is_empty() {
        bail!("lint failed\n\n{}", failed.join("\n\n"));
    }
    Ok(())
}

fn is_chosen(check: &Check, args: &Args) -> bool {
    let left_out = args.no_windows && check.name == WINDOWS_CHECK || args.quick && !check.quick;
    !left_out && args.only.as_ref().is_none_or(|part| check.name.contains(part.as_str()))
}

fn format(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let mut cargo = native(tree);
    steps.program("formatting", cargo.args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

fn docs(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let mut cargo = native(tree);
    // Private items too: the documentation is for whoever opens the code, and its links lead there.
    cargo
        .args(["doc", "--no-deps", "--locked", "--document-private-items"])
        .args(PRODUCT)
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    steps.program("documentation", &mut cargo, "")
}

fn types(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let glue = wasm::build(tree, steps, wasm::Core::Plain)?;
    javascript::check(tree, steps, &glue)
}

fn clippy(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let with_stops = [PRODUCT.as_slice(), &["--all-targets", "--features", FAULT_POINTS]].concat();
    clippy_here(tree, steps, "clippy", &with_stops)?;
    // Tests need them. All packages, or cargo would choose other features for what they need and check that anew.
    let without = [PRODUCT.as_slice(), &["--lib", "--bins"]].concat();
    clippy_here(tree, steps, "clippy without fault points", &without)
}

fn clippy_xtask(tree: &Tree, steps: &mut Steps) -> Result<()> {
    clippy_here(tree, steps, "clippy of xtask", &["--package", "xtask", "--all-targets"])
}

fn clippy_here(tree: &Tree, steps: &mut Steps, title: &str, packages: &[&str]) -> Result<()> {
    let mut cargo = native(tree);
    cargo.args(["clippy", "--locked"]).args(packages).args(["--", "-D", "warnings"]);
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
