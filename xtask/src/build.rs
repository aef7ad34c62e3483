//! `cargo xtask build`: native binary, WASM core, unpacked extension. Packing for others is `dist.rs`.

use std::path::PathBuf;

use anyhow::Result;

use crate::cargo::{native, remap_flags};
use crate::steps::Steps;
use crate::tree::Tree;
use crate::wasm::{self, Core};
use crate::{extension, setup};

/// Options of `build`.
#[derive(clap::Args)]
#[command(after_help = "The binary lands in target/debug/ticketgate (or target/release/), the extension in \
target/extension-dev/: load that folder in chrome://extensions with \"Load unpacked\".")]
pub(crate) struct Args {
    /// As shipped: an optimised binary without this machine's paths in it, and a small WASM core
    #[arg(long)]
    release: bool,
    /// Only the WASM core and the extension
    #[arg(long)]
    only_extension: bool,
    /// Leave out the search for missing packages
    #[arg(long)]
    no_setup: bool,
}

/// How the native binary is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Native {
    /// For development: quick to build, nothing left out.
    Debug,
    /// For people.
    Release,
}

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    if !args.no_setup {
        setup::ensure(tree, steps, setup::Purpose::Build)?;
    }
    steps.heading("build");
    if !args.only_extension {
        let kind = if args.release { Native::Release } else { Native::Debug };
        let binary = binary(tree, steps, kind)?;
        steps.note(&binary.display().to_string());
    }
    let core = if args.release { Core::Small } else { Core::Plain };
    let extension = extension(tree, steps, core)?;
    steps.note(&extension.display().to_string());
    Ok(())
}

/// Builds the native binary.
pub(crate) fn binary(tree: &Tree, steps: &mut Steps, kind: Native) -> Result<PathBuf> {
    let mut cargo = native(tree);
    cargo.args(["build", "--package", "ticketgate", "--bins"]);
    let (title, folder) = match kind {
        Native::Debug => ("native binary (debug)", "debug"),
        Native::Release => {
            cargo.arg("--release").env("CARGO_ENCODED_RUSTFLAGS", remap_flags(tree));
            ("native binary (release)", "release")
        }
    };
    steps.program(title, &mut cargo, "")?;
    Ok(tree.target().join(folder).join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)))
}

/// Builds the WASM core and puts the unpacked extension together.
pub(crate) fn extension(tree: &Tree, steps: &mut Steps, core: Core) -> Result<PathBuf> {
    let glue = wasm::build(tree, steps, core)?;
    let out = tree.made("extension-dev");
    steps.work("extension", || {
        let files = extension::assemble(tree, &glue, &out)?;
        Ok(((), format!("{files} files")))
    })?;
    Ok(out)
}
