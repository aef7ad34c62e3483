//! Sessions, accounts and notes from PostgreSQL's rows. No statement is run here.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::{DirectoryId, SessionId};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::columns::{from_json, from_word, time};
use crate::{Given, LedgerError, Mark, NewNote, NoteQueue, OnTicket, Standing, WaitingNote, failure};

/// How many columns an account has.
pub(super) const OF_ACCOUNT: usize = 15;

/// How many columns a session has.
pub(super) const OF_SESSION: usize = 22;

/// A session from a row with the columns of one from the `first` on.
pub(super) fn session(row: &Row, first: usize) -> Result<Session, LedgerError> {
    let cell = Cells { row, first };
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
        end_cause: cell.get::<Option<String>>(17)?.map(from_word).transpose()?,
        ended_at: cell.optional_time(18)?,
        trouble: cell.optional_json(19)?,
        version: cell.number(20)?,
        whole: cell
            .get::<Option<String>>(21)?
            .map(|id| SessionId::try_from(id).map_err(|error| failure::unreadable("an id", error)))
            .transpose()?,
    })
}

/// An account from a row with the columns of one from the `first` on.
pub(super) fn account(row: &Row, first: usize) -> Result<Account, LedgerError> {
    let cell = Cells { row, first };
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
        attempts: cell.small(11)?,
        next_try: cell.optional_time(12)?,
        version: cell.number(13)?,
        gone: cell.get(14)?,
    })
}

/// What is known at a glance of an account: key, directory, settled, in use, first end.
pub(super) fn standing(row: &Row) -> Result<Standing, LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok(Standing {
        key: AccountKey(cell.get(0)?),
        directory: cell.parsed(1)?,
        settled: cell.get(2)?,
        in_use: cell.get(3)?,
        first_end: cell.optional_time(4)?,
    })
}

/// By what an account is known again: key, mode, token, identity, idle.
pub(super) fn mark(row: &Row) -> Result<Mark, LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok(Mark {
        key: AccountKey(cell.get(0)?),
        mode: cell.word(1)?,
        token: cell.get(2)?,
        identity: cell.get(3)?,
        idle: cell.get(4)?,
    })
}

/// A directory and a count.
pub(super) fn counted(row: &Row) -> Result<(DirectoryId, u64), LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok((cell.parsed(0)?, cell.number(1)?))
}

/// Who has what where.
pub(super) fn given(row: &Row) -> Result<Given, LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok(Given { technician: cell.parsed(0)?, directory: cell.parsed(1)?, rights: cell.json(2)? })
}

/// An active session with its ticket.
pub(super) fn on_ticket(row: &Row) -> Result<OnTicket, LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok(OnTicket { id: cell.parsed(0)?, of: cell.parsed(1)?, policy: cell.parsed(2)?, ticket: cell.json(3)? })
}

/// A directory, a state and a count.
pub(super) fn counted_by_state(row: &Row) -> Result<(DirectoryId, State, u64), LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok((cell.parsed(0)?, cell.word(1)?, cell.number(2)?))
}

/// A note that waits.
pub(super) fn note(row: &Row) -> Result<WaitingNote, LedgerError> {
    let cell = Cells { row, first: 0 };
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
        attempts: cell.small(7)?,
        sending: cell.get(8)?,
    })
}

/// A ticket system, how many notes wait for it, and since when.
pub(super) fn note_queue(row: &Row) -> Result<NoteQueue, LedgerError> {
    let cell = Cells { row, first: 0 };
    Ok(NoteQueue { psa: cell.parsed(0)?, waiting: cell.number(1)?, oldest: cell.time(2)? })
}

/// Columns of one row, counted from the first that matters.
pub(super) struct Cells<'a> {
    pub(super) row: &'a Row,
    pub(super) first: usize,
}

impl<'a> Cells<'a> {
    pub(super) fn get<T: FromSql<'a>>(&self, column: usize) -> Result<T, LedgerError> {
        self.row
            .try_get(self.first + column)
            .map_err(|error| failure::unreadable("a column", super::failure::with_causes(&error)))
    }

    pub(super) fn number(&self, column: usize) -> Result<u64, LedgerError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| failure::unreadable("a number", error))
    }

    fn small(&self, column: usize) -> Result<u32, LedgerError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|error| failure::unreadable("a number", error))
    }

    pub(super) fn parsed<T>(&self, column: usize) -> Result<T, LedgerError>
    where
        T: TryFrom<String>,
        T::Error: Display,
    {
        T::try_from(self.get(column)?).map_err(|error| failure::unreadable("an id", error))
    }

    fn word<T: DeserializeOwned>(&self, column: usize) -> Result<T, LedgerError> {
        from_word(self.get(column)?)
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: usize) -> Result<T, LedgerError> {
        from_json(self.get(column)?)
    }

    pub(super) fn optional_json<T: DeserializeOwned>(&self, column: usize) -> Result<Option<T>, LedgerError> {
        self.get::<Option<&str>>(column)?.map(from_json).transpose()
    }

    pub(super) fn time(&self, column: usize) -> Result<DateTime<Utc>, LedgerError> {
        time(self.get(column)?)
    }

    pub(super) fn optional_time(&self, column: usize) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.get::<Option<&str>>(column)?.map(time).transpose()
    }

    /// Bytes of one length.
    pub(super) fn fixed<const N: usize>(&self, column: usize) -> Result<[u8; N], LedgerError> {
        let bytes: &[u8] = self.get(column)?;
        bytes.try_into().map_err(|error| failure::unreadable("a hash", error))
    }
}
