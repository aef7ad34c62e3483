//! The JavaScript type checker, the WASM optimiser, the validating proxy and the OpenID provider: npm packages pinned by `xtask/npm/package-lock.json`, installed
//! into `target/npm` without running any of their scripts. Nothing of it is shipped. What is checked stands in `lint/javascript.rs`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::fingerprint::{self, Fingerprint};
use crate::steps::Steps;
use crate::tree::{Tree, program};

const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Where the packages are installed.
pub(crate) fn folder(tree: &Tree) -> PathBuf {
    tree.made("npm")
}

/// Whether what is installed is what the lock file names.
pub(crate) fn is_current(tree: &Tree) -> Result<bool> {
    Ok(fingerprint::is_current(&mark(tree), &pinned(tree)?))
}

/// Installs the packages where they are not current.
pub(crate) fn ensure(tree: &Tree, steps: &mut Steps) -> Result<()> {
    if is_current(tree)? {
        return Ok(());
    }
    let folder = folder(tree);
    fs::create_dir_all(&folder)?;
    for file in FILES {
        fs::copy(tree.path("xtask/npm").join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    let npm = program("npm").context("there is no npm; run `cargo xtask setup`")?;
    let mut command = Command::new(npm);
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder);
    steps.program(
        "type checker, WASM optimiser, proxy, OpenID provider (npm ci)",
        &mut command,
        "is the npm registry reachable?",
    )?;
    fs::write(mark(tree), pinned(tree)?)?;
    Ok(())
}

fn mark(tree: &Tree) -> PathBuf {
    folder(tree).join("installed.fingerprint")
}

fn pinned(tree: &Tree) -> Result<String> {
    let mut fingerprint = Fingerprint::new();
    for file in FILES {
        fingerprint = fingerprint.path(&tree.path("xtask/npm"), file)?;
    }
    Ok(fingerprint.finish())
}
