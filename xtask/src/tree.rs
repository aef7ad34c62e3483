//! Where things lie in this repository, and which files belong to it. Knows paths only; builds nothing.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The checkout that xtask works on.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Finds the checkout from where cargo says xtask's manifest is.
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask lies in no workspace")?.to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!(
                "{} is not a checkout of Ticketgate: start xtask with `cargo xtask` inside one",
                root.display()
            );
        }
        Ok(Self { root })
    }

    /// A checkout at a known place, for tests.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Cargo's target folder of the native build. `CARGO_TARGET_DIR` moves it, as for cargo itself.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |dir| self.root.join(dir))
    }

    /// Where xtask keeps what it made itself.
    pub(crate) fn made(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.target().join(relative)
    }

    /// The version of the workspace, as every package and the extension's manifest carry it.
    pub(crate) fn version(&self) -> Result<String> {
        let text = read(&self.path("Cargo.toml"))?;
        let manifest: toml::Table = text.parse().context("Cargo.toml is not TOML")?;
        manifest
            .get("workspace")
            .and_then(|workspace| workspace.get("package"))
            .and_then(|package| package.get("version"))
            .and_then(toml::Value::as_str)
            .map(str::to_owned)
            .context("Cargo.toml has no [workspace.package] version")
    }

    /// Files of the repository, relative to the root and sorted: what git tracks or would track,
    /// or all but made files where there is no git.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output();
        let mut files: Vec<PathBuf> = match listed {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
                .split_terminator('\0')
                .map(PathBuf::from)
                .filter(|path| self.root.join(path).is_file())
                .collect(),
            _ => files_below(&self.root)?
                .into_iter()
                .filter(|path| {
                    !path.iter().any(|part| {
                        [".git", "target", "dist", "node_modules"].map(OsStr::new).contains(&part)
                    })
                })
                .collect(),
        };
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// All files below a folder, relative to it, sorted; an absent folder has none.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn walk(base: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                walk(base, &entry.path(), found)?;
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(base)?.to_path_buf());
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    if folder.is_dir() {
        walk(folder, folder, &mut found)?;
    }
    found.sort();
    Ok(found)
}

/// Reads a text file; the error names it.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file with its folders, but only when its content changes, so that nothing downstream looks newer than it is.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Finds a program in `PATH`, or in the folders for administrators that an ordinary `PATH` leaves out.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
