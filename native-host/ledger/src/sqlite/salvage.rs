//! What can still be read of a ledger that cannot be used any more. The file itself is put aside and never changed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Row};
use ticketgate_access::session::{Account, Session};

use super::open::{self, beside};
use super::rows::{self, ACCOUNT, SESSION};
use super::signer::Signer;
use crate::{LedgerError, Salvage, failure, key};

/// The size of a page where nothing else was asked for.
const PAGE: usize = 4096;

/// What is wrong with a ledger that nobody has open. Nothing is made or changed, not even a log beside it; where something
/// stands in the log alone, a copy is looked at.
pub(super) fn damage(path: &Path, key_path: &Path) -> Vec<LedgerError> {
    let mut found = Vec::new();
    let folder = beside(path, "-look");
    if let Err(error) = look(path, key_path, &folder, &mut found) {
        found.push(error);
    }
    let _ = fs::remove_dir_all(folder);
    found
}

fn look(
    path: &Path,
    key_path: &Path,
    folder: &Path,
    found: &mut Vec<LedgerError>,
) -> Result<(), LedgerError> {
    if !open::is_begun(path) {
        if key_path.exists() {
            found.push(LedgerError::Damaged(format!(
                "{} is gone or empty, and the key that signs its audit log is there",
                path.display()
            )));
        }
        return Ok(());
    }
    if super::place::rebuilt(path).exists() && open::is_empty(path) {
        // The next broker takes it.
        return look(&super::place::rebuilt(path), key_path, folder, found);
    }
    open::refuse_log_alone(path)?;
    let connection = if open::is_empty(&beside(path, "-wal")) {
        let name: String = path.to_string_lossy().chars().flat_map(in_uri).collect();
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).map_err(failure::database)?
    } else {
        open::connect(&copy(path, folder)?)?
    };
    let lines = super::query::integrity(&connection)?;
    found.extend(lines.into_iter().map(LedgerError::Damaged));
    open::version(&connection, path)?;
    let known =
        connection.query_row("SELECT value FROM facts WHERE name = 'public_key'", [], |row| row.get(0));
    let known: String = known.map_err(failure::database)?;
    let signer = Signer::new(key_path, open::public_key(&known)?, key::read(key_path));
    found.extend(signer.key().err());
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
pub(super) fn salvage(path: &Path) -> Result<Salvage, LedgerError> {
    if !open::is_begun(path) {
        return Ok(Salvage::default());
    }
    let folder = beside(path, "-salvage");
    let found = copy(path, &folder).and_then(|copy| read(&copy));
    let _ = fs::remove_dir_all(folder);
    found
}

fn read(copy: &Path) -> Result<Salvage, LedgerError> {
    let mut found = Salvage::default();
    let connection = match open::connect(copy) {
        Err(LedgerError::Damaged(_)) => return Ok(found),
        connection => connection?,
    };
    let accounts = if connection.prepare("SELECT gone FROM accounts").is_ok() {
        ACCOUNT.to_owned()
    } else {
        // Of a release before it had one.
        ACCOUNT.replace(", gone", ", 0")
    };
    let accounts = format!("SELECT {accounts} FROM accounts NOT INDEXED ORDER BY rowid");
    // A state that cannot be read is not known to be over.
    let columns = if connection.prepare("SELECT whole FROM sessions").is_ok() {
        SESSION.to_owned()
    } else {
        // Of a release before it had one.
        SESSION.replace(", whole", ", NULL")
    };
    let sessions = format!(
        "SELECT {columns} FROM sessions NOT INDEXED
         WHERE (state IN ('ended', 'denied', 'lapsed', 'failed')) IS NOT TRUE ORDER BY rowid"
    );
    let all_accounts =
        readable(&connection, &accounts, rows::account, &mut found.accounts, |a: &Account| a.key.0.clone())?;
    let all_sessions =
        readable(&connection, &sessions, rows::session, &mut found.sessions, |s: &Session| s.id.to_string())?;
    found.whole = all_accounts && all_sessions;
    Ok(found)
}

/// From the front up to the first damage, then from the back. Answers whether there was none.
fn readable<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
    found: &mut Vec<T>,
    name: impl Fn(&T) -> String,
) -> Result<bool, LedgerError> {
    let mut names = BTreeSet::new();
    for sql in [sql.to_owned(), format!("{sql} DESC")] {
        let mut skipped = false;
        let through = connection.prepare(&sql).and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                match read(row) {
                    Ok(one) if names.insert(name(&one)) => found.push(one),
                    Ok(_) => {}
                    Err(_) => skipped = true,
                }
            }
            Ok(())
        });
        match through {
            Ok(()) => return Ok(!skipped),
            Err(error) if failure::is_damage(&error) => {}
            Err(error) => return Err(failure::database(error)),
        }
    }
    Ok(false)
}

/// A copy in a folder of its own.
fn copy(path: &Path, folder: &Path) -> Result<PathBuf, LedgerError> {
    copied(path, folder).map_err(|error| failure::file("a copy of the ledger's file in", folder, &error))
}

fn copied(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    open::make_folder(folder)?;
    let copy = folder.join("ledger.sqlite");
    let length = copied_if_there(path, &copy)?;
    // The shared index is made anew from the log.
    let logged = copied_if_there(&beside(path, "-wal"), &beside(&copy, "-wal"))?;
    if length == 0 && logged > 0 {
        // SQLite would throw the log of an empty file away. With a page in the file it reads the pages of the log.
        fs::write(&copy, [0; PAGE])?;
    }
    Ok(copy)
}

fn copied_if_there(from: &Path, to: &Path) -> io::Result<u64> {
    match fs::copy(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        copied => copied,
    }
}
