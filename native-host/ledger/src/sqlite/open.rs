//! Opens the ledger's file: is it ours, is it of a schema that we know, can it be written, and who else can read it.
//! Everything is looked at before anything is changed. Nothing here knows what the tables hold.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ed25519_dalek::{SigningKey, VerifyingKey};
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, OptionalExtension, TransactionBehavior};

use super::rows::time_text;
use super::signer::Signer;
use crate::chain::{self, Hash};
use crate::seal::{self, Seal};
use crate::{LedgerError, failure, key};

/// `TkGt`: tells a ledger from any other SQLite file.
const APPLICATION_ID: i32 = 0x546b_4774;

/// Each brings the schema from the version of its index to the next. Only ever append.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
];

/// The version from which on a ledger has a seal.
const SEALED: usize = 2;

/// What the logs that belong to a ledger's file are called after it.
pub(super) const LOGS: [&str; 2] = ["-wal", "-shm"];

/// How long a call waits for another process's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts at what SQLite does not wait for by itself.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The connection that writes, with the schema brought up to date, and who signs.
pub(super) fn writer(path: &Path, key_path: &Path) -> Result<(Connection, Signer), LedgerError> {
    super::place::take_rebuilt(path)?;
    refuse_log_alone(path)?;
    // Read first: a bad key leaves no new ledger behind. An old one goes on without it, so that what is open can end.
    let key = match key::read(key_path) {
        Err(error) if !is_begun(path) => return Err(error),
        read => read,
    };
    make_room(path)?;
    let mut connection = connect(path)?;
    if connection.is_readonly(MAIN_DB).map_err(failure::database)? {
        return Err(read_only(path));
    }
    version(&connection, path)?;
    keep_log_beside(&connection, path)?;
    let signer = migrate(&mut connection, path, key_path, key)?;
    Ok((connection, signer))
}

/// The same connection to the same ledger, whose file was written anew.
pub(super) fn writer_again(path: &Path) -> Result<Connection, LedgerError> {
    let connection = connect(path)?;
    version(&connection, path)?;
    keep_log_beside(&connection, path)?;
    Ok(connection)
}

/// Whether a ledger stands here, or something of one: what opens a place without any begins a new one.
pub(super) fn is_begun(path: &Path) -> bool {
    !is_empty(path) || !is_empty(&beside(path, "-wal")) || super::place::rebuilt(path).exists()
}

/// Whether nothing is in a file, or there is none.
pub(super) fn is_empty(path: &Path) -> bool {
    fs::metadata(path).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |meta| meta.len() == 0)
}

/// A log that belongs to the ledger's file.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// SQLite would throw the log of an empty file away, and begin anew; it may be all that is left of the ledger.
pub(super) fn refuse_log_alone(path: &Path) -> Result<(), LedgerError> {
    let log = beside(path, "-wal");
    if is_empty(path) && !is_empty(&log) {
        return Err(LedgerError::Damaged(format!(
            "{} is gone or empty, and its log {} is not; restore it from a backup, or see `ticketgate recover`",
            path.display(),
            log.display()
        )));
    }
    Ok(())
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, LedgerError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true).map_err(failure::database)?;
    Ok(connection)
}

/// Write-ahead logging, for good: then readers and the writer do not wait for each other.
fn keep_log_beside(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(LedgerError::Unavailable(format!(
                    "the folder of {} cannot hold a shared log beside it; use a local disk",
                    path.display()
                )));
            }
            // SQLite's own patience does not cover this switch, which others may be making just now.
            Err(error) if is_busy(&error) && Instant::now() < patience => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(failure::database(error)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// In one transaction that also keeps a second process from making another key at the same time.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    key_path: &Path,
    key: Result<Option<SigningKey>, LedgerError>,
) -> Result<Signer, LedgerError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failure::database)?;
    let version = version(&transaction, path)?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration).map_err(failure::database)?;
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failure::database)?;
        transaction
            .pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))
            .map_err(failure::database)?;
    }
    let known: Option<String> = transaction
        .query_row("SELECT value FROM facts WHERE name = 'public_key'", [], |row| row.get(0))
        .optional()
        .map_err(failure::database)?;
    // Another process may have made it while this one waited for the lock.
    let key = match key {
        Ok(None) => key::read(key_path),
        read => read,
    };
    let signer = match known {
        Some(known) => Signer::new(key_path, public_key(&known)?, key),
        None => {
            let key = match key? {
                Some(key) => key,
                None => key::create(key_path)?,
            };
            let public = key.verifying_key();
            transaction
                .execute(
                    "INSERT INTO facts (name, value) VALUES ('public_key', ?1)",
                    [hex::encode(public.as_bytes())],
                )
                .map_err(failure::database)?;
            Signer::new(key_path, public, Ok(Some(key)))
        }
    };
    super::tokens::make_shared_key(&transaction)?;
    if version < SEALED {
        first_seal(&transaction, &signer.key()?)?;
    }
    transaction.commit().map_err(failure::database)?;
    Ok(signer)
}

pub(super) fn public_key(text: &str) -> Result<VerifyingKey, LedgerError> {
    let unreadable = || failure::unreadable("the public key", "it is none");
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(unreadable)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| unreadable())
}

/// Over the checkpoints from before there were seals. From now on a ledger without one was tampered with.
fn first_seal(connection: &Connection, key: &SigningKey) -> Result<(), LedgerError> {
    let mut statement = connection
        .prepare("SELECT chain, seq, hash, at FROM checkpoints ORDER BY seal, chain, seq")
        .map_err(failure::database)?;
    let mut rows = statement.query([]).map_err(failure::database)?;
    let mut digest = seal::NOTHING;
    while let Some(row) = rows.next().map_err(failure::database)? {
        let read = || -> rusqlite::Result<(String, i64, Hash, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (chain, seq, hash, at) = read().map_err(failure::database)?;
        let seq = u64::try_from(seq).map_err(|error| failure::unreadable("a chain's length", error))?;
        digest =
            chain::taken_in(&digest, &chain::checkpoint_bytes(chain.as_bytes(), seq, &hash, at.as_bytes()));
    }
    let high_water = connection
        .query_row("SELECT value FROM facts WHERE name = 'high_water'", [], |row| row.get(0))
        .optional()
        .map_err(failure::database)?;
    let at: String = match high_water {
        Some(at) => at,
        None => time_text(chrono::DateTime::UNIX_EPOCH)?,
    };
    Seal::sign(key, 0, &at, digest).put(connection)
}

/// The schema's version; 0 for a file without anything in it.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<usize, LedgerError> {
    // One statement, so that another process's first migration is seen whole or not at all.
    let (application, version, objects): (i32, i32, i64) = connection
        .query_row(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id, pragma_user_version",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(failure::database)?;
    match usize::try_from(version) {
        Ok(0) if application == 0 && objects == 0 => Ok(0),
        Ok(version) if application == APPLICATION_ID && (1..=MIGRATIONS.len()).contains(&version) => {
            Ok(version)
        }
        Ok(version) if application == APPLICATION_ID && version > MIGRATIONS.len() => {
            Err(LedgerError::Unavailable(format!(
                "{} was written by a newer release (schema {version}, this one knows {}); update Ticketgate",
                path.display(),
                MIGRATIONS.len()
            )))
        }
        _ => Err(LedgerError::Damaged(format!(
            "{} is a database of another program, or its beginning is damaged; name the right file",
            path.display()
        ))),
    }
}

pub(super) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    // Neither CREATE (the file is made with its mode before) nor URI (a path is a path).
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure::database)?;
    connection.busy_timeout(LOCK_PATIENCE).map_err(failure::database)?;
    for (name, value) in [
        ("foreign_keys", "on"),
        ("trusted_schema", "off"),
        ("cell_size_check", "on"),
        // Every answered write survives a power cut; `fullfsync` is what that takes on macOS.
        ("synchronous", "full"),
        ("fullfsync", "on"),
        ("checkpoint_fullfsync", "on"),
    ] {
        connection.pragma_update(None, name, value).map_err(failure::database)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Sees to folder and file: both exist, made for their owner alone. An empty file is the beginning of a ledger.
fn make_room(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        make_folder(folder).map_err(|error| failure::file("the ledger's folder", folder, &error))?;
    }
    match make_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata =
                fs::metadata(path).map_err(|error| failure::file("the ledger's file", path, &error))?;
            if !metadata.is_file() {
                return Err(LedgerError::Unavailable(format!(
                    "{} is not a file; name a file",
                    path.display()
                )));
            }
            if metadata.permissions().readonly() {
                return Err(read_only(path));
            }
            refuse_if_shared(path, &metadata)
        }
        Err(error) => Err(failure::file("the ledger's file", path, &error)),
    }
}

/// Makes a new, empty file that only its owner can use.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn refuse_if_shared(path: &Path, metadata: &fs::Metadata) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(LedgerError::Unavailable(format!(
        "{0} can be used by other users; run `chmod 600 {0}`",
        path.display()
    )))
}

#[cfg(not(unix))]
fn refuse_if_shared(_path: &Path, _metadata: &fs::Metadata) -> Result<(), LedgerError> {
    Ok(())
}

fn read_only(path: &Path) -> LedgerError {
    LedgerError::Unavailable(format!(
        "{} can only be read; make it writable for the broker's user",
        path.display()
    ))
}
