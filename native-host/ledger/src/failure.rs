//! SQLite's and the system's errors as sentences that say what the person can do. No other errors are made here.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::LedgerError;

/// A database call failed.
#[expect(clippy::needless_pass_by_value, reason = "taken by value so that it can be named in map_err")]
pub(crate) fn database(error: rusqlite::Error) -> LedgerError {
    let said = sentence(&error);
    if is_damage(&error) { LedgerError::Damaged(said) } else { LedgerError::Unavailable(said) }
}

/// Whether it is what the file holds, and not the machine or a program, that is in the way.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted
                | ErrorCode::ConstraintViolation
        )
    )
}

/// A file or folder could not be used.
pub(crate) fn file(what: &str, path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unavailable(format!("{what} {} cannot be used: {error}", path.display()))
}

/// What the database holds makes no sense to this release.
pub(crate) fn unreadable(what: &str, why: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(format!(
        "{what} in the ledger cannot be read ({why}); restore the ledger from a backup"
    ))
}

fn sentence(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free some space, then try again".to_owned(),
        Some(ErrorCode::ReadOnly) => {
            "it can only be read; give its file and folder back to the broker's user, writable".to_owned()
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it for more than 5 seconds; end that program, then try again".to_owned()
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("its file is damaged ({error}); keep a copy of it, then restore it from a backup, or see `ticketgate recover`")
        }
        Some(ErrorCode::NotADatabase) => {
            "the file is not a ledger, or its beginning is damaged; name the right file, restore it from a backup, or see `ticketgate recover`"
                .to_owned()
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            format!("its file cannot be opened ({error}); check that it belongs to the broker's user")
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!("the disk does not answer as it should ({error}); check the disk and its free space")
        }
        Some(ErrorCode::ConstraintViolation) => {
            format!("the change does not fit what it holds ({error}); this is a fault of the broker, please report it")
        }
        _ => error.to_string(),
    }
}
