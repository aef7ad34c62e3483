//! `cargo xtask setup`: finds what is missing on this machine and installs only that. What is needed and why stands in
//! `setup/needs.rs`, how Debian installs it in `setup/apt.rs`, tools written in JavaScript in `setup/npm.rs`, vendors' API descriptions in
//! `setup/descriptions.rs`.

mod apt;
mod descriptions;
mod needs;
pub(crate) mod npm;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{own_has, own_has_program};
use crate::steps::{Steps, output};
use crate::tree::{Tree, program};

pub(crate) use needs::Purpose;

/// Options of `setup`.
#[derive(clap::Args)]
#[command(
    after_help = "Nothing is installed that is there already, no service is started, and a command that needs \
sudo is shown before it runs. The other chores call this by themselves."
)]
pub(crate) struct Args {
    /// Only what this purpose needs
    #[arg(long = "for", value_enum, default_value = "test")]
    purpose: Purpose,
    /// Say what is missing and change nothing; fails when something is
    #[arg(long)]
    check: bool,
}

/// Runs the chore: everything is told, also what is there.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    steps.heading(&format!("setup for {}", args.purpose.name()));
    let installed = apt::Installed::look();
    for need in needs::needs(args.purpose) {
        let missing = missing(need, &installed);
        let state =
            if missing.is_empty() { "there".to_owned() } else { format!("missing: {}", missing.join(" ")) };
        steps.note(&format!("{:<22} {state}\n{:<22} {}", need.name, "", need.why));
    }
    if args.check {
        let missing = all_missing(args.purpose, &installed);
        if !missing.is_empty()
            || !missing_components(args.purpose).is_empty()
            || npm_missing(tree, args.purpose)
        {
            bail!("something is missing: run `cargo xtask setup --for {}`", args.purpose.name());
        }
        return Ok(());
    }
    ensure(tree, steps, args.purpose)
}

/// Makes sure that everything for a purpose is there. Says one line when it is.
pub(crate) fn ensure(tree: &Tree, steps: &mut Steps, purpose: Purpose) -> Result<()> {
    let packages = steps.work(&format!("look for what {} needs", purpose.name()), || {
        let packages = all_missing(purpose, &apt::Installed::look());
        let remark =
            if packages.is_empty() { "all there".to_owned() } else { format!("{} missing", packages.len()) };
        Ok((packages, remark))
    })?;
    if !packages.is_empty() {
        for need in needs::needs(purpose) {
            let mine: Vec<_> = need
                .packages
                .iter()
                .map(|package| package.name)
                .filter(|name| packages.contains(name))
                .collect();
            if !mine.is_empty() {
                steps.note(&format!("{}: {}", mine.join(" "), need.why));
            }
        }
        apt::install(steps, &packages)?;
        let still = all_missing(purpose, &apt::Installed::look());
        if !still.is_empty() {
            bail!(
                "apt-get ended well, but {} cannot be found afterwards; run `cargo xtask setup --check`",
                still.join(" ")
            );
        }
    }
    components(tree, steps, purpose)?;
    if purpose.covers(Purpose::Demo) {
        npm::ensure(tree, steps)?;
    }
    if purpose.covers(Purpose::Test) {
        descriptions::ensure(tree, steps)?;
    }
    Ok(())
}

fn npm_missing(tree: &Tree, purpose: Purpose) -> bool {
    let packages = purpose.covers(Purpose::Demo) && !npm::is_current(tree).unwrap_or(false);
    packages || (purpose.covers(Purpose::Test) && !descriptions::is_current(tree))
}

fn all_missing(purpose: Purpose, installed: &apt::Installed) -> Vec<&'static str> {
    let mut packages: Vec<_> = needs::needs(purpose).flat_map(|need| missing(need, installed)).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn missing(need: &needs::Need, installed: &apt::Installed) -> Vec<&'static str> {
    if need.unless_target.is_some_and(own_has) {
        return Vec::new();
    }
    need.packages
        .iter()
        .filter(|package| {
            !installed.has(package.name) && package.or_program.is_none_or(|tool| program(tool).is_none())
        })
        .map(|package| package.name)
        .collect()
}

/// Parts of rustup's toolchain that a minimal installation leaves out.
fn missing_components(purpose: Purpose) -> Vec<&'static str> {
    let wanted: &[(&str, &str)] = if purpose.covers(Purpose::Test) {
        &[("rustfmt", "rustfmt"), ("clippy", "cargo-clippy")]
    } else {
        &[]
    };
    wanted.iter().filter(|(_, tool)| !own_has_program(tool)).map(|(component, _)| *component).collect()
}

fn components(tree: &Tree, steps: &mut Steps, purpose: Purpose) -> Result<()> {
    let missing = missing_components(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let Some(rustup) = program("rustup") else {
        bail!(
            "this Rust toolchain lacks {}: install them the way the toolchain was installed",
            missing.join(" and ")
        );
    };
    steps.note(&format!("{}: cargo xtask lint needs them", missing.join(" ")));
    let mut command = Command::new(rustup);
    command.args(["component", "add"]).args(&missing).current_dir(tree.root());
    steps.program("rustup component add", &mut command, "is rustup's server reachable?")
}

/// Whether this process may install packages without asking.
pub(crate) fn is_root() -> Result<bool> {
    let id = output(Command::new("id").arg("-u")).context("cannot tell whose process this is")?;
    Ok(id.trim() == "0")
}
