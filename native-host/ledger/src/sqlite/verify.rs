//! Reads the audit log of an SQLite file for a check, in one snapshot and without copies. What is looked at stands in
//! `crate::verify`.

use ed25519_dalek::VerifyingKey;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction};
use ticketgate_protocol::api::{AuditFault, AuditVerdict};

use super::seals;
use crate::chain::{Fields, Hash};
use crate::verify::{Check, CheckpointRow, Gap, Wrong};
use crate::{LedgerError, failure};

/// Checks every chain, or the one named; the seal is over the checkpoints of all.
pub(super) fn verify(
    connection: &mut Connection,
    key: &VerifyingKey,
    only: Option<&str>,
) -> Result<AuditVerdict, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let mut check = Check::new(key, only, seals::read(&snapshot)?);
    let found = first_fault(&snapshot, only, &mut check)?;
    Ok(check.end(found))
}

fn first_fault(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    check: &mut Check<'_>,
) -> Result<Option<AuditFault>, LedgerError> {
    if let Some(fault) = read_checkpoints(snapshot, check)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = read_heads(snapshot, only, check)? {
        return Ok(Some(fault));
    }
    check.begin();
    read_records(snapshot, only, check)
}

fn read_checkpoints(
    snapshot: &Transaction<'_>,
    check: &mut Check<'_>,
) -> Result<Option<AuditFault>, LedgerError> {
    // Those of all chains, in the order in which they were sealed.
    let mut statement = snapshot
        .prepare("SELECT chain, seq, hash, at, signature, seal FROM checkpoints ORDER BY seal, chain, seq")
        .map_err(failure::database)?;
    let mut rows = statement.query([]).map_err(failure::database)?;
    while let Some(row) = rows.next().map_err(failure::database)? {
        let read = CheckpointRow {
            chain: bytes(row, 0)?,
            seq: number(row, 1),
            hash: fixed(row, 2)?,
            at: bytes(row, 3)?,
            signature: fixed(row, 4)?,
            seal: number(row, 5),
        };
        if let Err(fault) = check.checkpoint(&read) {
            return Ok(Some(AuditFault { chain: lossy(row, 0), ..fault }));
        }
    }
    Ok(None)
}

fn read_heads(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    check: &mut Check<'_>,
) -> Result<Option<AuditFault>, LedgerError> {
    let mut statement = snapshot
        .prepare("SELECT chain, seq, hash FROM chains WHERE ?1 IS NULL OR chain = ?1")
        .map_err(failure::database)?;
    let mut rows = statement.query([only]).map_err(failure::database)?;
    while let Some(row) = rows.next().map_err(failure::database)? {
        if let Err(fault) = check.head(bytes(row, 0)?, number(row, 1), fixed(row, 2)?) {
            return Ok(Some(AuditFault { chain: lossy(row, 0), ..fault }));
        }
    }
    Ok(None)
}

fn read_records(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    check: &mut Check<'_>,
) -> Result<Option<AuditFault>, LedgerError> {
    // In the order of the whole log, so that a record that was moved is noticed, and the file is read from front to back.
    let mut statement = snapshot
        .prepare(
            "SELECT chain, seq, at, action, actor, outcome, details, hash FROM audit NOT INDEXED
             WHERE ?1 IS NULL OR chain = ?1 ORDER BY position",
        )
        .map_err(failure::database)?;
    let mut rows = statement.query([only]).map_err(failure::database)?;
    while let Some(row) = rows.next().map_err(failure::database)? {
        let Some((fields, hash)) = fields(row)? else {
            return Ok(Some(check.spoilt(lossy(row, 0).as_bytes(), number(row, 1).unwrap_or(0))));
        };
        match check.record(&fields, &hash) {
            Ok(()) => {}
            Err(Wrong::Fault(fault)) => return Ok(Some(fault)),
            Err(Wrong::Before(gap)) => return elsewhere(snapshot, &gap).map(|is| Some(gap.fault(is))),
        }
    }
    Ok(None)
}

/// Whether a record that did not come stands elsewhere in the log.
fn elsewhere(snapshot: &Transaction<'_>, gap: &Gap) -> Result<bool, LedgerError> {
    snapshot
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM audit NOT INDEXED WHERE CAST(chain AS BLOB) = ?1 AND seq = ?2)",
            rusqlite::params![gap.chain, i64::try_from(gap.seq).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )
        .map_err(failure::database)
}

/// The record's fields where they lie, without copies; `None` when one is not of its kind.
fn fields<'a>(row: &'a Row<'_>) -> Result<Option<(Fields<'a>, Hash)>, LedgerError> {
    let read = (
        (bytes(row, 0)?, number(row, 1), bytes(row, 2)?, bytes(row, 3)?),
        (bytes(row, 4)?, bytes(row, 5)?, bytes(row, 6)?, fixed(row, 7)?),
    );
    let (
        (Some(chain), Some(seq), Some(at), Some(action)),
        (Some(actor), Some(outcome), Some(details), Some(hash)),
    ) = read
    else {
        return Ok(None);
    };
    Ok(Some((Fields { chain, seq, at, action, actor, outcome, details }, hash)))
}

fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a [u8]>, LedgerError> {
    match row.get_ref(column).map_err(failure::database)? {
        ValueRef::Text(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn fixed<const N: usize>(row: &Row<'_>, column: usize) -> Result<Option<[u8; N]>, LedgerError> {
    match row.get_ref(column).map_err(failure::database)? {
        ValueRef::Blob(blob) => Ok(blob.try_into().ok()),
        _ => Ok(None),
    }
}

fn number(row: &Row<'_>, column: usize) -> Option<u64> {
    row.get::<_, i64>(column).ok().and_then(|number| u64::try_from(number).ok())
}

fn lossy(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}
