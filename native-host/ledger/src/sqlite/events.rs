//! Changes of sessions, counted for each technician.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use ticketgate_access::session::Session;
use ticketgate_protocol::ids::{SessionId, TechnicianId};

use super::rows::{integer, time};
use crate::{EventRow, LedgerError, failure};

/// One event for each session that was changed, however many of its parts were.
pub(super) fn note(transaction: &Transaction<'_>, sessions: &[Session], at: &str) -> Result<(), LedgerError> {
    let changed: BTreeSet<_> = sessions.iter().map(|session| (&session.technician, session.of())).collect();
    for (technician, session) in changed {
        let number: i64 = transaction
            .prepare_cached(
                "INSERT INTO technicians (technician, last_event) VALUES (?1, 1)
                 ON CONFLICT (technician) DO UPDATE SET last_event = last_event + 1 RETURNING last_event",
            )
            .and_then(|mut statement| statement.query_row([technician.as_str()], |row| row.get(0)))
            .map_err(failure::database)?;
        transaction
            .prepare_cached("INSERT INTO events (technician, number, session, at) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| {
                statement.execute(params![technician.as_str(), number, session.as_str(), at])
            })
            .map_err(failure::database)?;
    }
    Ok(())
}

pub(super) fn since(
    connection: &mut Connection,
    technician: &TechnicianId,
    number: u64,
    most: u32,
) -> Result<Option<Vec<EventRow>>, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let last = last(&snapshot, technician)?;
    if number >= last {
        return Ok((number == last).then(Vec::new));
    }
    let mut statement = snapshot
        .prepare_cached(
            "SELECT number, session, at FROM events WHERE technician = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )
        .map_err(failure::database)?;
    let mut rows = statement
        .query(params![technician.as_str(), integer(number)?, most.max(1)])
        .map_err(failure::database)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failure::database)? {
        let read = (row.get(0), row.get::<_, String>(1), row.get::<_, String>(2));
        let (number, session, at): (i64, _, _) = (
            read.0.map_err(failure::database)?,
            read.1.map_err(failure::database)?,
            read.2.map_err(failure::database)?,
        );
        found.push(EventRow {
            number: u64::try_from(number).map_err(|error| failure::unreadable("an event's number", error))?,
            session: SessionId::new(session).map_err(|error| failure::unreadable("an id", error))?,
            at: time(&at)?,
        });
    }
    // What comes right after it is kept no longer.
    let is_next = found.first().is_some_and(|first| first.number == number + 1);
    Ok(is_next.then_some(found))
}

pub(super) fn last(connection: &Connection, technician: &TechnicianId) -> Result<u64, LedgerError> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT last_event FROM technicians WHERE technician = ?1")
        .and_then(|mut statement| statement.query_row([technician.as_str()], |row| row.get(0)).optional())
        .map_err(failure::database)?;
    u64::try_from(last.unwrap_or(0)).map_err(|error| failure::unreadable("an event's number", error))
}
