//! Sessions, accounts and notes from SQLite's rows. No statement is run here.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::{DirectoryId, SessionId};

pub(super) use crate::columns::{ACCOUNT, NOTE, SESSION, integer, json, time, time_text, word};
use crate::columns::{from_json, from_word};
use crate::{Given, LedgerError, Mark, NewNote, NoteQueue, OnTicket, Standing, WaitingNote, failure};

/// A session from a row with the columns [`SESSION`].
pub(super) fn session(row: &Row<'_>) -> Result<Session, LedgerError> {
    let cell = Cell { row };
    Ok(Session {
        id: cell.parsed(0)?,
        state: cell.word(1)?,
        technician: cell.parsed(2)?,
        customer: cell.parsed(3)?,
        directory: cell.parsed(4)?,
        policy: cell.parsed(5)?,
        policy_name: cell.get(6)?,
        mode: cell.word(7)?,
        account: AccountKey(cell.get(8)?),
        rights: cell.json(9)?,
        reason: cell.get(10)?,
        ticket: cell.optional_json(11)?,
        requested_at: cell.time(12)?,
        from: cell.time(13)?,
        until: cell.time(14)?,
        latest_end: cell.time(15)?,
        active_at: cell.optional_time(16)?,
        end_cause: match cell.get::<Option<String>>(17)? {
            Some(cause) => Some(from_word(cause)?),
            None => None,
        },
        ended_at: cell.optional_time(18)?,
        trouble: cell.optional_json(19)?,
        version: cell.number(20)?,
        whole: cell
            .get::<Option<String>>(21)?
            .map(|id| SessionId::try_from(id).map_err(|error| failure::unreadable("an id", error)))
            .transpose()?,
    })
}

/// An account from a row with the columns [`ACCOUNT`].
pub(super) fn account(row: &Row<'_>) -> Result<Account, LedgerError> {
    let cell = Cell { row };
    Ok(Account {
        key: AccountKey(cell.get(0)?),
        directory: cell.parsed(1)?,
        mode: cell.word(2)?,
        technician: cell.parsed(3)?,
        name: cell.get(4)?,
        identity: cell.get(5)?,
        display_name: cell.get(6)?,
        token: cell.get(7)?,
        password_generation: cell.number(8)?,
        standing: cell.json(9)?,
        settled: cell.get(10)?,
        attempts: cell.get(11)?,
        next_try: cell.optional_time(12)?,
        version: cell.number(13)?,
        gone: cell.get(14)?,
    })
}

/// What is known at a glance of an account: key, directory, settled, in use, first end.
pub(super) fn standing(row: &Row<'_>) -> Result<Standing, LedgerError> {
    let cell = Cell { row };
    Ok(Standing {
        key: AccountKey(cell.get(0)?),
        directory: cell.parsed(1)?,
        settled: cell.get(2)?,
        in_use: cell.get(3)?,
        first_end: cell.optional_time(4)?,
    })
}

/// By what an account is known again: key, mode, token, identity, idle.
pub(super) fn mark(row: &Row<'_>) -> Result<Mark, LedgerError> {
    let cell = Cell { row };
    Ok(Mark {
        key: AccountKey(cell.get(0)?),
        mode: cell.word(1)?,
        token: cell.get(2)?,
        identity: cell.get(3)?,
        idle: cell.get(4)?,
    })
}

/// A directory and a count.
pub(super) fn counted(row: &Row<'_>) -> Result<(DirectoryId, u64), LedgerError> {
    let cell = Cell { row };
    Ok((cell.parsed(0)?, cell.number(1)?))
}

/// Who has what where.
pub(super) fn given(row: &Row<'_>) -> Result<Given, LedgerError> {
    let cell = Cell { row };
    Ok(Given { technician: cell.parsed(0)?, directory: cell.parsed(1)?, rights: cell.json(2)? })
}

/// An active session with its ticket.
pub(super) fn on_ticket(row: &Row<'_>) -> Result<OnTicket, LedgerError> {
    let cell = Cell { row };
    Ok(OnTicket { id: cell.parsed(0)?, of: cell.parsed(1)?, policy: cell.parsed(2)?, ticket: cell.json(3)? })
}

/// A directory, a state and a count.
pub(super) fn counted_by_state(row: &Row<'_>) -> Result<(DirectoryId, State, u64), LedgerError> {
    let cell = Cell { row };
    Ok((cell.parsed(0)?, cell.word(1)?, cell.number(2)?))
}

/// A note that waits, from a row with the columns [`NOTE`].
pub(super) fn note(row: &Row<'_>) -> Result<WaitingNote, LedgerError> {
    let cell = Cell { row };
    Ok(WaitingNote {
        note: NewNote {
            mark: cell.get(0)?,
            session: cell.parsed(1)?,
            psa: cell.parsed(2)?,
            ticket: cell.get(3)?,
            text: cell.get(4)?,
            due: cell.time(5)?,
        },
        at: cell.time(6)?,
        attempts: cell.get(7)?,
        sending: cell.get(8)?,
    })
}

/// A ticket system, how many notes wait for it, and since when.
pub(super) fn note_queue(row: &Row<'_>) -> Result<NoteQueue, LedgerError> {
    let cell = Cell { row };
    Ok(NoteQueue { psa: cell.parsed(0)?, waiting: cell.number(1)?, oldest: cell.time(2)? })
}

/// Columns of one row, by number.
pub(super) struct Cell<'a> {
    pub(super) row: &'a Row<'a>,
}

impl Cell<'_> {
    pub(super) fn get<T: FromSql>(&self, column: usize) -> Result<T, LedgerError> {
        self.row.get(column).map_err(failure::database)
    }

    pub(super) fn number(&self, column: usize) -> Result<u64, LedgerError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| failure::unreadable("a number", error))
    }

    pub(super) fn parsed<T>(&self, column: usize) -> Result<T, LedgerError>
    where
        T: TryFrom<String>,
        T::Error: Display,
    {
        T::try_from(self.get(column)?).map_err(|error| failure::unreadable("an id", error))
    }

    pub(super) fn word<T: DeserializeOwned>(&self, column: usize) -> Result<T, LedgerError> {
        from_word(self.get(column)?)
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T, LedgerError> {
        from_json(&self.get::<String>(column)?)
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&self, column: usize) -> Result<Option<T>, LedgerError> {
        self.get::<Option<String>>(column)?.map(|text| from_json(&text)).transpose()
    }

    pub(super) fn time(&self, column: usize) -> Result<DateTime<Utc>, LedgerError> {
        time(&self.get::<String>(column)?)
    }

    pub(super) fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.get::<Option<String>>(column)?.map(|text| time(&text)).transpose()
    }
}
