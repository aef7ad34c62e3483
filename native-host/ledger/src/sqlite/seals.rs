//! The seal in SQLite's file.

use rusqlite::{Connection, OptionalExtension, params};

use crate::seal::Seal;
use crate::{LedgerError, failure};

/// The ledger's seal; `None` when it is gone, or holds something that was never written there.
pub(super) fn read(connection: &Connection) -> Result<Option<Seal>, LedgerError> {
    let read = |row: &rusqlite::Row<'_>| {
        let number: i64 = row.get(0)?;
        Ok(Seal::kept(u64::try_from(number).unwrap_or(0), row.get(1)?, row.get(2)?, row.get(3)?))
    };
    // A row of another kind would stand beside the next seal, and be read in its place.
    let sql = "SELECT number, at, digest, signature FROM seal WHERE one = 1";
    match connection.query_row(sql, [], read).optional() {
        Err(rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)) => {
            Ok(None)
        }
        found => found.map_err(failure::database),
    }
}

/// Puts it in the place of the one before.
pub(super) fn put(connection: &Connection, seal: &Seal) -> Result<(), LedgerError> {
    let number =
        i64::try_from(seal.number).map_err(|error| failure::unreadable("the seal's number", error))?;
    connection
        .execute(
            "INSERT OR REPLACE INTO seal (one, number, at, digest, signature) VALUES (1, ?1, ?2, ?3, ?4)",
            params![number, seal.at, seal.digest, seal.signature()],
        )
        .map_err(failure::database)?;
    Ok(())
}
