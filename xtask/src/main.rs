//! `cargo xtask`: one command per chore of this repository. This file is the command line; each chore has a file of its own.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "xtask talks to a person in a terminal; nothing reads its stdout"
)]

mod archive;
mod bench;
mod build;
mod cargo;
mod container;
mod demo;
mod dist;
mod extension;
mod fingerprint;
mod fuzz;
mod lint;
mod manifest;
mod package;
mod ports;
mod setup;
mod steps;
mod test;
mod torture;
mod tree;
mod wasm;
mod windows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::steps::Steps;
use crate::tree::Tree;

/// Every chore of Ticketgate's repository, one command each.
///
/// On a fresh checkout `cargo xtask demo` shows the product and `cargo xtask test` proves it; both install what is
/// missing first and say so. Everything that is made lies in `target/` and `dist/`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
struct Line {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Find what is missing on this machine and install only that (Debian 12; elsewhere it says what to run)
    Setup(setup::Args),
    /// Build the native binary, the WASM core and the unpacked extension for development
    Build(build::Args),
    /// Make what is shipped: dist/extension/, its zip, the release binary, and the Windows binary where possible
    Dist(dist::Args),
    /// Make the Debian package of broker, relay and command line
    Package(package::Args),
    /// Play the technician's minute on a private directory, ticket system and browser
    Demo(demo::Args),
    /// Everything CI runs: setup, build, lint, then all unit, property and end-to-end tests
    Test(test::Args),
    /// Random histories against a real directory and broker: what leaves a right behind is found, shortened and shown
    Torture(torture::Args),
    /// Measure what matters and write target/bench/summary.json
    Bench(bench::Args),
    /// Look for inputs that break a reader's promises, with libFuzzer
    Fuzz(fuzz::Args),
    /// Formatting, clippy for every target, JavaScript types, dependencies, documentation, house rules
    Lint(lint::Args),
}

fn main() -> ExitCode {
    if let Some(code) = fuzz::as_wrapper() {
        return code;
    }
    let line = Line::parse();
    match run(line.chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<ExitCode> {
    let tree = Tree::find()?;
    let mut steps = Steps::new(&tree)?;
    match chore {
        Chore::Setup(args) => setup::run(&tree, &mut steps, &args)?,
        Chore::Build(args) => build::run(&tree, &mut steps, &args)?,
        Chore::Dist(args) => dist::run(&tree, &mut steps, &args)?,
        Chore::Package(args) => package::run(&tree, &mut steps, &args)?,
        Chore::Demo(args) => return demo::run(&tree, &mut steps, &args),
        Chore::Test(args) => return test::run(&tree, &mut steps, &args),
        Chore::Torture(args) => return torture::run(&tree, &mut steps, &args),
        Chore::Bench(args) => bench::run(&tree, &mut steps, &args)?,
        Chore::Fuzz(args) => fuzz::run(&tree, &mut steps, &args)?,
        Chore::Lint(args) => lint::run(&tree, &mut steps, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
