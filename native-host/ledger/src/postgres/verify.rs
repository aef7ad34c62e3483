//! Reads the audit log of PostgreSQL for a check, in one snapshot, as a stream. What is looked at stands in `crate::verify`.

use std::collections::BTreeMap;
use std::pin::pin;

use deadpool_postgres::{Client, Transaction};
use ed25519_dalek::VerifyingKey;
use futures_util::TryStreamExt;
use ticketgate_protocol::api::{AuditFault, AuditVerdict};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row, RowStream};

use super::audit;
use super::failure::Trouble;
use super::query::query;
use crate::chain::Fields;
use crate::verify::{self, Check, CheckpointRow, Gap, Wrong};

/// Checks every chain, or the one named; the seal is over the checkpoints of all.
pub(super) async fn verify(
    client: &mut Client,
    key: &VerifyingKey,
    only: Option<&str>,
) -> Result<AuditVerdict, Trouble> {
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // A long log takes longer than any other statement may.
    snapshot.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let mut check = Check::new(key, only, audit::seal(&snapshot, false).await?);
    let found = first_fault(&snapshot, only, &mut check).await?;
    Ok(check.end(found))
}

async fn first_fault(
    snapshot: &Transaction<'_>,
    only: Option<&str>,
    check: &mut Check<'_>,
) -> Result<Option<AuditFault>, Trouble> {
    let sql = "SELECT chain, seq, hash, at, signature, seal FROM checkpoints ORDER BY seal, chain, seq";
    let mut rows = pin!(stream(snapshot, sql, &[]).await?);
    while let Some(row) = rows.try_next().await? {
        let read = CheckpointRow {
            chain: text(&row, 0),
            seq: number(&row, 1),
            hash: fixed(&row, 2),
            at: text(&row, 3),
            signature: fixed(&row, 4),
            seal: number(&row, 5),
        };
        if let Err(fault) = check.checkpoint(&read) {
            return Ok(Some(fault));
        }
    }
    let sql = "SELECT chain, seq, hash FROM chains WHERE $1::text IS NULL OR chain = $1 ORDER BY chain";
    for row in query(snapshot, sql, &[&only]).await? {
        if let Err(fault) = check.head(text(&row, 0), number(&row, 1), fixed(&row, 2)) {
            return Ok(Some(fault));
        }
    }
    check.begin();
    // In the order in which they were written, so that a record that was moved is noticed.
    let sql = "SELECT a.chain, a.seq, a.at, a.action, a.actor, a.outcome, a.details, a.hash, p.position
         FROM audit a LEFT JOIN positions p ON p.id = a.id WHERE $1::text IS NULL OR a.chain = $1 ORDER BY a.id";
    let mut rows = pin!(stream(snapshot, sql, &[&only]).await?);
    let mut places = Places::default();
    while let Some(row) = rows.try_next().await? {
        match record(&row, check) {
            Ok(()) => {}
            Err(Wrong::Fault(fault)) => return Ok(Some(fault)),
            Err(Wrong::Before(gap)) => return elsewhere(snapshot, &gap).await.map(|is| Some(gap.fault(is))),
        }
        if let Some(fault) = places.fault(&row) {
            return Ok(Some(fault));
        }
    }
    Ok(None)
}

fn record(row: &Row, check: &mut Check<'_>) -> Result<(), Wrong> {
    let columns = (
        (text(row, 0), number(row, 1), text(row, 2), text(row, 3)),
        (text(row, 4), text(row, 5), text(row, 6), fixed(row, 7)),
    );
    let (
        (Some(chain), Some(seq), Some(at), Some(action)),
        (Some(actor), Some(outcome), Some(details), Some(hash)),
    ) = columns
    else {
        let chain = text(row, 0).unwrap_or_default();
        return Err(Wrong::Fault(check.spoilt(chain, number(row, 1).unwrap_or(0))));
    };
    check.record(&Fields { chain, seq, at, action, actor, outcome, details }, &hash)
}

/// Places in the whole log: those of a chain are in its order, and only the newest records may wait for theirs.
#[derive(Default)]
struct Places {
    last: BTreeMap<Vec<u8>, Option<u64>>,
}

impl Places {
    fn fault(&mut self, row: &Row) -> Option<AuditFault> {
        let chain = text(row, 0)?;
        let place = number(row, 8);
        let before = self.last.insert(chain.to_vec(), place);
        let what = match (before, place) {
            (Some(None), Some(_)) => "the record before it lost its place in the whole log",
            (Some(Some(before)), Some(place)) if place <= before => {
                "the record's place in the whole log is before that of an earlier one"
            }
            _ => return None,
        };
        Some(verify::fault(chain, number(row, 1).unwrap_or(0), what))
    }
}

/// Whether a record that did not come stands elsewhere in the log.
async fn elsewhere(snapshot: &Transaction<'_>, gap: &Gap) -> Result<bool, Trouble> {
    let chain = String::from_utf8_lossy(&gap.chain).into_owned();
    let seq = i64::try_from(gap.seq).unwrap_or(i64::MAX);
    let sql = "SELECT 1 FROM audit WHERE chain = $1 AND seq = $2";
    Ok(!query(snapshot, sql, &[&chain, &seq]).await?.is_empty())
}

async fn stream(
    snapshot: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<RowStream, Trouble> {
    let statement = snapshot.prepare_cached(sql).await?;
    Ok(snapshot.query_raw(&statement, parameters.iter().copied()).await?)
}

fn text(row: &Row, column: usize) -> Option<&[u8]> {
    row.try_get::<_, &str>(column).ok().map(str::as_bytes)
}

fn number(row: &Row, column: usize) -> Option<u64> {
    row.try_get::<_, i64>(column).ok().and_then(|number| u64::try_from(number).ok())
}

fn fixed<const N: usize>(row: &Row, column: usize) -> Option<[u8; N]> {
    row.try_get::<_, &[u8]>(column).ok().and_then(|bytes| bytes.try_into().ok())
}
