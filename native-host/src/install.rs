//! `install` and `uninstall`: makes browsers find this host, and takes exactly that back.
//! Where browsers look is in [`browsers`], the manifest in [`manifest`], what was written in [`receipt`].

pub mod browsers;
mod entry;
#[cfg(target_os = "linux")]
pub mod local;
pub mod manifest;
mod receipt;
pub(crate) mod registry;
mod replace;
mod units;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ticketgate_protocol::EXTENSION_ID;

use self::browsers::{Browser, Scope};
use self::entry::Entry;
use self::receipt::Receipt;
use crate::places::{Surroundings, System, relay_beside};
use crate::relay::origin::{self, is_extension_id};

/// What can be said on the command line, for both commands.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// For this user, or for the whole machine (needs root).
    #[arg(long, value_enum, default_value_t = Scope::User)]
    pub scope: Scope,
    /// For this browser only; may be repeated. Without it: every browser this user has used, or all with `--scope system`.
    #[arg(long = "browser", value_enum)]
    pub browsers: Vec<Browser>,
    /// A further extension id that may start the host; may be repeated.
    #[arg(long = "extension-id", value_name = "ID", value_parser = extension_id)]
    pub extension_ids: Vec<String>,
    /// The host's binary; this one without it.
    #[arg(long, value_name = "PATH")]
    pub host_path: Option<PathBuf>,
    /// Also the systemd units of broker and sweep.
    #[arg(long)]
    pub service: bool,
    /// Replaces or removes files that somebody else wrote or edited.
    #[arg(long)]
    pub force: bool,
    /// Says what would be done and does nothing.
    #[arg(long)]
    pub dry_run: bool,
}

fn extension_id(text: &str) -> Result<String, String> {
    if is_extension_id(text) {
        Ok(text.to_owned())
    } else {
        Err("an extension's id is 32 letters from a to p; see chrome://extensions".into())
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The binary's path cannot stand in a manifest.
    #[error(
        "the host's path {0} is not usable: it has to be absolute and an executable file; name it with --host-path"
    )]
    HostPath(PathBuf),
    /// There is no home folder.
    #[error("no home folder is known; set HOME, or use --scope system")]
    NoHome,
    /// The units are systemd's.
    #[error(
        "--service works where systemd does, on Linux; on other systems start `ticketgate broker` by the system's own means"
    )]
    NoSystemd,
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}{}", if matches!(.error.kind(), std::io::ErrorKind::PermissionDenied) { "; run it as root, or use --scope user" } else { "" })]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The registry cannot be written.
    #[error("{0}")]
    Registry(String),
}

impl InstallError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

/// What became of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Written, also over an older one of ours.
    Written,
    /// Right already.
    Unchanged,
    /// Removed.
    Removed,
    /// There was nothing.
    Absent,
    /// Not ours, or edited: left alone.
    Left,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the place is for (`Chromium`, `systemd`).
    pub what: String,
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    pub done: Done,
}

/// `ticketgate install`.
///
/// # Errors
/// [`InstallError`], or `out` cannot be written.
pub fn command(out: &mut dyn Write, around: &Surroundings, how: &Options) -> anyhow::Result<ExitCode> {
    let steps = install(around, how)?;
    report(
        out,
        &steps,
        how.dry_run,
        "No browser of this user was found. Name one with --browser, or use --scope system.",
    )?;
    for id in how.extension_ids.iter().filter(|id| !origin::serves(id, around)) {
        writeln!(
            out,
            "The browser may now start the host for {id}; the host itself serves it once an administrator lists it:\n    {}",
            origin::how_to_serve(id, around)
        )?;
    }
    if how.service && !how.dry_run {
        writeln!(out, "{}", units::how_to_enable(how.scope))?;
    }
    Ok(if steps.iter().any(|s| s.done == Done::Left) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `ticketgate uninstall`.
///
/// # Errors
/// [`InstallError`], or `out` cannot be written.
pub fn uninstall_command(
    out: &mut dyn Write,
    around: &Surroundings,
    how: &Options,
) -> anyhow::Result<ExitCode> {
    if how.service && !how.dry_run {
        writeln!(out, "{}", units::how_to_disable(how.scope))?;
    }
    let steps = uninstall(around, how)?;
    report(out, &steps, how.dry_run, "Nothing is installed.")?;
    Ok(if steps.iter().any(|s| s.done == Done::Left) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(out: &mut dyn Write, steps: &[Step], dry_run: bool, nothing: &str) -> std::io::Result<()> {
    for step in steps {
        let word = match (step.done, dry_run) {
            (Done::Written, false) => "written",
            (Done::Written, true) => "would be written",
            (Done::Removed, false) => "removed",
            (Done::Removed, true) => "would be removed",
            (Done::Unchanged, _) => "is right already",
            (Done::Absent, _) => "is not there",
            (Done::Left, _) => "was written or edited by somebody else; left alone (--force overrides)",
        };
        writeln!(out, "{}: {} {word}", step.what, step.path.display())?;
    }
    if steps.is_empty() && !nothing.is_empty() {
        writeln!(out, "{nothing}")?;
    } else if !steps.is_empty() && steps.iter().all(|s| matches!(s.done, Done::Unchanged | Done::Absent)) {
        writeln!(out, "Nothing to do.")?;
    }
    Ok(())
}

/// Writes host manifests (and units). A second call changes nothing.
///
/// # Errors
/// [`InstallError`]; what was written until then is in the receipt and can be uninstalled.
pub fn install(around: &Surroundings, how: &Options) -> Result<Vec<Step>, InstallError> {
    let host = host_path(around, how)?;
    let mut ids = vec![EXTENSION_ID.to_owned()];
    ids.extend(how.extension_ids.iter().cloned());
    // Browsers start the relay's own binary where it was put beside: each port keeps one in memory.
    let text = manifest::render(&relay_beside(&host).unwrap_or_else(|| host.clone()), &ids);
    let mut receipt = Receipt::read(around, how.scope)?;
    let mut steps = Vec::new();
    let every_browser = how.scope == Scope::System || !how.browsers.is_empty();
    for entry in entry::all(around, how, |place| every_browser || place.browser_is_used())? {
        let step = receipt.write(&entry.browsers(), &entry.manifest, &text, how)?;
        // A key that led to somebody else's manifest would put that before every browser.
        if !how.dry_run && step.done != Done::Left {
            entry.places.iter().try_for_each(|place| registry::point(place, how.scope))?;
        }
        steps.push(step);
    }
    if how.service {
        for (path, text) in units::files(around, how.scope, &host)? {
            steps.push(receipt.write("systemd", &path, &text, how)?);
        }
    }
    Ok(steps)
}

/// Removes what [`install`] wrote and nothing else. Browsers that were not named are taken too.
///
/// # Errors
/// [`InstallError`]
pub fn uninstall(around: &Surroundings, how: &Options) -> Result<Vec<Step>, InstallError> {
    let mut receipt = Receipt::read(around, how.scope)?;
    let mut steps = Vec::new();
    for entry in entry::all(around, how, |_| true)? {
        let step = remove(&mut receipt, around, &entry, how)?;
        if step.done != Done::Absent {
            steps.push(step);
        }
    }
    if how.service || how.browsers.is_empty() {
        for path in receipt.units() {
            steps.push(receipt.remove("systemd", &path, how)?);
        }
    }
    Ok(steps)
}

/// Removes an entry's keys, then its manifest, unless the key of a browser that was not named still leads to it.
fn remove(
    receipt: &mut Receipt,
    around: &Surroundings,
    entry: &Entry,
    how: &Options,
) -> Result<Step, InstallError> {
    let browsers = entry.browsers();
    let would_be = receipt.remove(&browsers, &entry.manifest, &Options { dry_run: true, ..how.clone() })?;
    if how.dry_run || would_be.done != Done::Removed {
        return receipt.remove(&browsers, &entry.manifest, how);
    }
    entry.places.iter().try_for_each(|place| registry::forget(place, how.scope))?;
    for other in entry::all(around, &Options { browsers: Vec::new(), ..how.clone() }, |_| true)? {
        for place in other.places.iter().filter(|place| place.manifest == entry.manifest) {
            if registry::leads_to(place, how.scope) {
                return Ok(would_be);
            }
        }
    }
    receipt.remove(&browsers, &entry.manifest, how)
}

fn host_path(around: &Surroundings, how: &Options) -> Result<PathBuf, InstallError> {
    use crate::platform::{Here, Platform};
    let path = match &how.host_path {
        Some(path) => std::path::absolute(path).map_err(InstallError::file(path))?,
        None => around.exe.clone(),
    };
    // Another system's path cannot be tried here; that happens in tests only.
    let usable = around.system != System::here() || (path.is_absolute() && Here::may_execute(&path));
    if usable && path.to_str().is_some() { Ok(path) } else { Err(InstallError::HostPath(path)) }
}

#[cfg(all(test, unix))]
mod tests;
