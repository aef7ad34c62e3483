//! PostgreSQL's errors: whether to try again, and the sentence that says what the person can do. No other errors are made here.

use tokio_postgres::error::{DbError, SqlState};

use crate::LedgerError;

/// Why some work with the database did not come to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The answer.
    Said(LedgerError),
    /// Nothing was written, and the same may succeed now: two got into each other's way, or the connection is gone.
    Again(String),
    /// The same, with another connection: this server is on its way out, or the second of two by now.
    Elsewhere(String),
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Said(error)
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            None if is_of_this_side(&error) => Self::Said(LedgerError::Unavailable(with_causes(&error))),
            // The connection broke.
            None => Self::Again(no_answer(&error)),
            Some(error) => said(error),
        }
    }
}

/// A statement or value that does not fit: no connection broke, and none will do better.
fn is_of_this_side(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    !error.is_closed()
        && (text.contains("serializ") || text.contains("deserializ") || text.contains("parameter"))
}

/// What failed at COMMIT: where no answer came, or one that also a server sends which had committed already, nobody knows.
pub(super) fn at_commit(error: &tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        None => Trouble::Said(LedgerError::Unavailable(format!(
            "whether it was written is not known: {}",
            no_answer(error)
        ))),
        Some(error) if error.code().code().starts_with("57P") => Trouble::Said(answer(error)),
        Some(error) => said(error),
    }
}

/// A connection could not be made, or none was free.
pub(super) fn pool(error: &deadpool_postgres::PoolError) -> Trouble {
    use deadpool_postgres::{HookError, PoolError};
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => connecting(error),
        PoolError::PostCreateHook(HookError::Message(why)) => Trouble::Again(why.to_string()),
        PoolError::Timeout(_) => Trouble::Again(
            "its database did not answer in time, or all connections to it are in use".to_owned(),
        ),
        error => Trouble::Again(with_causes(error)),
    }
}

/// A connection could not be made.
pub(super) fn connecting(error: &tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        None => Trouble::Again(no_answer(error)),
        Some(error) => said(error),
    }
}

fn passes_by_itself(code: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        // Another statement of the same round has failed, and says why.
        SqlState::IN_FAILED_SQL_TRANSACTION,
    ]
    .contains(code)
}

/// The next connection finds the server as it is then, or the one that took its place.
fn passes_elsewhere(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ]
    .contains(code)
}

/// What becomes of an error that the server said.
fn said(error: &DbError) -> Trouble {
    if passes_by_itself(error.code()) {
        Trouble::Again(sentence(error))
    } else if passes_elsewhere(error.code()) {
        Trouble::Elsewhere(sentence(error))
    } else {
        Trouble::Said(answer(error))
    }
}

fn answer(said: &DbError) -> LedgerError {
    let text = sentence(said);
    if said.code().code().starts_with("XX") {
        LedgerError::Damaged(text)
    } else {
        LedgerError::Unavailable(text)
    }
}

pub(super) fn sentence(said: &DbError) -> String {
    let code = said.code();
    let message = said.message();
    if *code == SqlState::DISK_FULL {
        "the disk of its database is full; free some space there, then try again".to_owned()
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        READ_ONLY.to_owned()
    } else if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        format!("its database does not let the broker in ({message}); look at user and password in [ledger]")
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        format!("there is no such database ({message}); make it, or name the right one in [ledger]")
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        format!("the database's user may not do this ({message}); make it the owner of the database")
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        "its database has no connection left; raise max_connections there".to_owned()
    } else if code.code().starts_with("XX") {
        format!("its database is damaged ({message}); restore it from a backup")
    } else if code.code().starts_with("23") {
        format!(
            "the change does not fit what it holds ({message}); this is a fault of the broker, please report it"
        )
    } else {
        format!("its database says: {message} ({})", code.code())
    }
}

const READ_ONLY: &str =
    "its database can only be read: it is a standby, or was made read-only; name the server that writes";

/// Why there is no connection.
pub(super) fn no_connection(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| no_answer(error), sentence)
}

fn no_answer(error: &tokio_postgres::Error) -> String {
    let why = with_causes(error);
    // What is said of a server that does not take writes, by whoever connects for writing only.
    if why.contains("does not allow writes") {
        return READ_ONLY.to_owned();
    }
    format!("its database does not answer ({why})")
}

/// What failed, and why, down to the first cause.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
