//! Where what is under test lies: the program, the relay, the extension, the package.

use crate::Result;
use crate::world::target;
use anyhow::{Context, bail};
use std::path::PathBuf;

/// The program under test: `TICKETGATE_BIN`, or the debug build.
///
/// # Errors
/// It was not built.
pub fn binary() -> Result<PathBuf> {
    built("TICKETGATE_BIN", "debug/ticketgate")
}

/// What browsers start: the relay beside the program under test, as it is installed.
///
/// # Errors
/// It was not built.
pub fn relay_binary() -> Result<PathBuf> {
    let path = binary()?.with_file_name("ticketgate-relay");
    anyhow::ensure!(path.exists(), "{} does not exist", path.display());
    Ok(path)
}

/// The folder of the extension under test: `TICKETGATE_EXTENSION`, or the last one assembled.
///
/// # Errors
/// It was not built.
pub fn extension() -> Result<PathBuf> {
    built("TICKETGATE_EXTENSION", "extension-dev")
}

/// The Debian package of the program under test: `TICKETGATE_PACKAGE`, or the last one made.
///
/// # Errors
/// It was not made.
pub fn package() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TICKETGATE_PACKAGE") {
        return Ok(path.into());
    }
    let made = std::fs::read_dir(target().join("package")).into_iter().flatten().flatten();
    let package = made.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "deb"));
    package.context("there is no package; run `cargo xtask test`, or `cargo xtask package --debug`")
}

fn built(variable: &str, place: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| target().join(place), PathBuf::from);
    if !path.exists() {
        bail!("{} is not there; run `cargo xtask test`, which builds it first", path.display());
    }
    Ok(path)
}
