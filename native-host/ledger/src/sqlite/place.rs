//! The ledger's file under an open ledger: whether it is still the one in its place. One that was deleted is written anew
//! from what is open; another one in its place is not touched.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::open::{LOGS, beside};
use crate::{LedgerError, failure};

/// What the system calls a file, whatever its name.
type Identity = (u64, u64);

/// Where the ledger's file was when it was opened.
pub(super) struct Place {
    pub(super) path: PathBuf,
    identity: Option<Identity>,
    /// The file that was written anew for this place and is not open yet.
    rebuilt: Option<Identity>,
}

/// What stands in the place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InPlace {
    /// The file that is open.
    Right,
    /// Nothing, or what was written anew and could not be opened: less than what is open by now.
    Gone,
    /// Another file.
    Another,
}

impl Place {
    /// Where the file stands now.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path), rebuilt: None }
    }

    /// Looks. A system that cannot tell files apart does not let an open one be deleted.
    pub(super) fn standing(&self) -> InPlace {
        match (self.identity, identity(&self.path)) {
            (None, _) => InPlace::Right,
            (Some(_), None) => InPlace::Gone,
            (Some(before), Some(now)) if before == now => InPlace::Right,
            (Some(_), now) if now == self.rebuilt => InPlace::Gone,
            (Some(_), Some(_)) => InPlace::Another,
        }
    }

    /// Why nothing may begin while this stands there.
    pub(super) fn trouble(&self) -> Option<String> {
        let path = self.path.display();
        match self.standing() {
            InPlace::Right => None,
            InPlace::Gone => Some(format!("the ledger {path} was deleted while it was open")),
            InPlace::Another => Some(format!(
                "another file stands in the place of the ledger {path}; stop the broker, put the right one there, and start it again"
            )),
        }
    }

    /// Writes everything that is open to a new file in the place of the deleted one. The caller opens that one then, and
    /// writes to the old one no more; until it could, this can be done again.
    pub(super) fn rebuild(&mut self, open: &Connection) -> Result<(), LedgerError> {
        let unfinished = self.path.with_extension("rebuilding");
        let whole = rebuilt(&self.path);
        let failed = |error: io::Error| failure::file("the ledger's file", &unfinished, &error);
        remove(&unfinished).map_err(failed)?;
        super::open::make_file(&unfinished).map_err(failed)?;
        let name = unfinished.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        open.execute("VACUUM INTO ?1", [name]).map_err(failure::database)?;
        File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, &whole).map_err(failed)?;
        self.rebuilt = identity(&whole);
        // The old connections must not clear away the new one's logs when they close.
        open.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failure::database)?;
        put_in_place(&self.path)
    }
}

/// What a ledger that was written anew is called once it is whole, before it is in its place.
pub(super) fn rebuilt(path: &Path) -> PathBuf {
    path.with_extension("rebuilt")
}

/// Completes what a process was killed in the middle of: nothing is in the place, and what was written anew is whole.
pub(super) fn take_rebuilt(path: &Path) -> Result<(), LedgerError> {
    if super::open::is_empty(path) && rebuilt(path).exists() { put_in_place(path) } else { Ok(()) }
}

fn put_in_place(path: &Path) -> Result<(), LedgerError> {
    let failed = |error: io::Error| failure::file("the ledger's file", path, &error);
    // The logs belong to the deleted file: read into the new one they would spoil it.
    for log in LOGS {
        remove(&beside(path, log)).map_err(failed)?;
    }
    fs::rename(rebuilt(path), path).map_err(failed)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}
