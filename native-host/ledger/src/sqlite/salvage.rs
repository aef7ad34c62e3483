//! What can still be read of a ledger that cannot be used any more. The file itself is put aside and never changed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row};
use ticketgate_access::session::{Account, Session};

use super::rows::{self, ACCOUNT, SESSION};
use super::signer::Signer;
use crate::{LedgerError, Salvage, failure, key};

/// The logs that belong to a ledger's file.
const LOGS: [&str; 2] = ["-wal", "-shm"];

/// Renames a ledger with its logs, so that a new one can begin in its place.
pub(super) fn put_aside(path: &Path, to: &Path) -> Result<(), LedgerError> {
    let failed = |error: io::Error| failure::file("the ledger's file", path, &error);
    // The file last: as long as it stands there, this can be done again.
    for log in LOGS {
        match fs::rename(with(path, log), with(to, log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(path, to).map_err(failed)
}

/// What is wrong with a ledger that nobody has open: nothing is made or changed, not even a log beside it. What only stands in the
/// log is not seen.
pub(super) fn damage(path: &Path, key_path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(error) = look(path, key_path, &mut found) {
        found.push(error.to_string());
    }
    found
}

fn look(path: &Path, key_path: &Path, found: &mut Vec<String>) -> Result<(), LedgerError> {
    if fs::metadata(path).map_err(|error| failure::file("the ledger's file", path, &error))?.len() == 0 {
        return Ok(());
    }
    let name: String = path.to_string_lossy().chars().flat_map(in_uri).collect();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags);
    let connection = connection.map_err(failure::database)?;
    found.extend(super::query::integrity(&connection)?);
    super::open::version(&connection, path)?;
    let known =
        connection.query_row("SELECT value FROM facts WHERE name = 'public_key'", [], |row| row.get(0));
    let known: String = known.map_err(failure::database)?;
    let signer = Signer::new(key_path, super::open::public_key(&known)?, key::read(key_path));
    found.extend(signer.trouble());
    Ok(())
}

/// A character of a path as it stands in a `file:` URI.
fn in_uri(c: char) -> Vec<char> {
    match c {
        '%' | '?' | '#' => format!("%{:02X}", u32::from(c)).chars().collect(),
        c => vec![c],
    }
}

/// Reads what can be read, from a copy that is deleted again.
pub(super) fn salvage(path: &Path) -> Salvage {
    let mut found = Salvage::default();
    let folder = with(path, "-salvage");
    let copied = copy(path, &folder);
    if let Ok(connection) = copied.and_then(|copy| super::open::connect(&copy).map_err(io::Error::other)) {
        let accounts = format!("SELECT {ACCOUNT} FROM accounts NOT INDEXED ORDER BY rowid");
        let sessions = format!(
            "SELECT {SESSION} FROM sessions NOT INDEXED
             WHERE state IN ('pending', 'approved', 'activating', 'active', 'ending') ORDER BY rowid"
        );
        found.whole =
            readable(&connection, &accounts, rows::account, &mut found.accounts, |a: &Account| {
                a.key.0.clone()
            }) & readable(&connection, &sessions, rows::session, &mut found.sessions, |s: &Session| {
                s.id.to_string()
            });
    }
    let _ = fs::remove_dir_all(folder);
    found
}

/// From the front up to the first damage, then from the back. Answers whether there was none.
fn readable<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
    found: &mut Vec<T>,
    name: impl Fn(&T) -> String,
) -> bool {
    let mut names = BTreeSet::new();
    for sql in [sql.to_owned(), format!("{sql} DESC")] {
        let mut whole = false;
        let _ = connection.prepare(&sql).and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let Ok(one) = read(row) else { continue };
                if names.insert(name(&one)) {
                    found.push(one);
                }
            }
            whole = true;
            Ok(())
        });
        if whole {
            return true;
        }
    }
    false
}

fn copy(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    super::open::make_folder(folder)?;
    let copy = folder.join("ledger.sqlite");
    fs::copy(path, &copy)?;
    // The shared index is made anew from the log.
    match fs::copy(with(path, "-wal"), with(&copy, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    Ok(copy)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
