//! The audit log in PostgreSQL: records at the ends of their chains, their places in the whole log, and what signs them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use deadpool_postgres::{Client, GenericClient, Transaction};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use ticketgate_protocol::api::AuditRecord;
use ticketgate_protocol::ids::CustomerId;
use tokio_postgres::Row;

use super::failure::{self, Trouble};
use super::query::{Conditions, all, query, run};
use super::rows::Cells;
use crate::chain::{self, BEGINNING, Hash, OWN_CHAIN};
use crate::columns::{integer, time_text};
use crate::limits;
use crate::seal::Seal;
use crate::{AuditQuery, LedgerError, NewAudit};

/// What an audit query without a limit answers at most.
const AUDIT_LIMIT: u32 = 1_000;

/// Puts records at the ends of their chains. Nothing that takes a lock may come after it: whoever writes to one of these chains
/// waits from here to the COMMIT.
pub(super) async fn append(
    transaction: &Transaction<'_>,
    records: &[NewAudit],
    at: &str,
) -> Result<(), Trouble> {
    if records.is_empty() {
        return Ok(());
    }
    let chain_of =
        |record: &NewAudit| record.customer.as_ref().map_or(OWN_CHAIN.to_owned(), CustomerId::to_string);
    let mut heads = lock(transaction, records.iter().map(chain_of).collect()).await?;
    let mut rows = Rows::default();
    for record in records {
        let chain = chain_of(record);
        let head = heads.entry(chain.clone()).or_insert((0, BEGINNING));
        let seq = head.0 + 1;
        let (details, hash) = chain::next(record, &chain, seq, at, &head.1);
        *head = (seq, hash);
        rows.chains.push(chain);
        rows.seqs.push(integer(seq)?);
        rows.actions.push(record.action);
        rows.actors.push(&record.actor);
        rows.outcomes.push(record.outcome);
        rows.details.push(details);
        rows.hashes.push(hash.to_vec());
        rows.about.push(record.details.get("technician").and_then(Value::as_str));
    }
    let sql = "WITH put AS (
             INSERT INTO audit (chain, seq, at, action, actor, outcome, details, hash, about)
             SELECT chain, seq, $3, action, actor, outcome, details, hash, about
             FROM unnest($1::text[], $2::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[])
                 WITH ORDINALITY AS new(chain, seq, action, actor, outcome, details, hash, about, n) ORDER BY n)
         UPDATE chains SET seq = new.seq, hash = new.hash
         FROM unnest($10::text[], $11::bigint[], $12::bytea[]) AS new(chain, seq, hash) WHERE chains.chain = new.chain";
    let (chains, ends): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
    let (seqs, hashes): (Vec<_>, Vec<_>) = ends.into_iter().map(|(seq, hash)| (seq, hash.to_vec())).unzip();
    let seqs: Vec<_> = seqs.into_iter().map(integer).collect::<Result<_, _>>()?;
    let new: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
        &rows.chains,
        &rows.seqs,
        &at,
        &rows.actions,
        &rows.actors,
        &rows.outcomes,
        &rows.details,
        &rows.hashes,
        &rows.about,
        &chains,
        &seqs,
        &hashes,
    ];
    run(transaction, sql, &new).await?;
    Ok(())
}

/// Records by their columns.
#[derive(Default)]
struct Rows<'a> {
    chains: Vec<String>,
    seqs: Vec<i64>,
    actions: Vec<&'a str>,
    actors: Vec<&'a str>,
    outcomes: Vec<&'a str>,
    details: Vec<String>,
    hashes: Vec<Vec<u8>>,
    about: Vec<Option<&'a str>>,
}

/// Locks the heads of these chains; a chain that there is not yet is begun.
async fn lock(
    transaction: &Transaction<'_>,
    mut chains: Vec<String>,
) -> Result<BTreeMap<String, (u64, Hash)>, Trouble> {
    chains.sort_unstable();
    chains.dedup();
    let sql = "SELECT chain, seq, hash FROM chains WHERE chain = ANY($1) ORDER BY chain FOR UPDATE";
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok((cells.get(0)?, (cells.number(1)?, cells.fixed(2)?)))
    };
    let found = all(transaction, sql, &[&chains], read).await?;
    if found.len() == chains.len() {
        return Ok(found.into_iter().collect());
    }
    // Also those that are locked already are named again: the rows then are in hand in the order of their names.
    let begin = "INSERT INTO chains (chain, seq, hash) SELECT chain, 0, $2 FROM unnest($1::text[]) AS new(chain) ORDER BY chain
         ON CONFLICT (chain) DO NOTHING";
    run(transaction, begin, &[&chains, &BEGINNING.as_slice()]).await?;
    Ok(all(transaction, sql, &[&chains], read).await?.into_iter().collect())
}

/// Gives every record that was committed its place in the whole log. A record that is committed later comes later, so whoever
/// reads on from the last place that they saw misses none.
pub(super) async fn place(client: &mut Client) -> Result<(), Trouble> {
    let waiting =
        "SELECT 1 FROM chains c LEFT JOIN placed p USING (chain) WHERE c.seq > coalesce(p.seq, 0) LIMIT 1";
    if query(client, waiting, &[]).await?.is_empty() {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    let last = "SELECT value FROM facts WHERE name = 'position' FOR UPDATE";
    let read = |row: &Row| Cells { row, first: 0 }.get::<String>(0);
    let last = all(&transaction, last, &[], read).await?.pop().and_then(|text| text.parse::<i64>().ok());
    let last = last.ok_or_else(|| crate::failure::unreadable("the last position", "it is gone"))?;
    // A statement of its own: it has to see what was placed by whoever had the lock before.
    let sql = "WITH new AS (
             SELECT a.id, a.chain, a.seq FROM chains c LEFT JOIN placed p USING (chain)
             JOIN audit a ON a.chain = c.chain AND a.seq > coalesce(p.seq, 0)
             WHERE c.seq > coalesce(p.seq, 0)),
         put AS (
             INSERT INTO positions (position, id) SELECT $1::bigint + row_number() OVER (ORDER BY id), id FROM new
             RETURNING position),
         ends AS (
             INSERT INTO placed AS p (chain, seq) SELECT chain, max(seq) FROM new GROUP BY chain
             ON CONFLICT (chain) DO UPDATE SET seq = excluded.seq)
         UPDATE facts SET value = coalesce((SELECT max(position) FROM put), $1::bigint)::text WHERE name = 'position'";
    run(&transaction, sql, &[&last]).await?;
    transaction.commit().await.map_err(|error| failure::at_commit(&error))
}

/// Records that match, in the order of their places.
pub(super) async fn read<C: GenericClient>(
    client: &C,
    query: &AuditQuery,
) -> Result<Vec<AuditRecord>, Trouble> {
    let mut wanted = Conditions::default();
    if let Some(chain) = &query.chain {
        wanted.and("a.chain = $", chain.clone());
    }
    if let Some(from) = query.from {
        wanted.and("a.at >= $", time_text(from)?);
    }
    if let Some(until) = query.until {
        wanted.and("a.at < $", time_text(until)?);
    }
    if let Some(technician) = &query.technician {
        wanted.and("$ IN (a.actor, a.about)", technician.as_str().to_owned());
    }
    if let Some(after) = query.after {
        wanted.and_plain(&format!("p.position > {}", integer(after)?));
    }
    let limit = if query.limit == 0 { AUDIT_LIMIT } else { query.limit };
    let order = if query.newest { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT p.position, a.chain, a.seq, a.at, a.action, a.actor, a.outcome, a.details, a.hash
         FROM positions p JOIN audit a ON a.id = p.id{} ORDER BY p.position {order} LIMIT {limit}",
        wanted.sql
    );
    // Not kept prepared: with a position in its text hardly any is asked twice.
    let rows = client.query(&sql, &wanted.parameters()).await?;
    let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    if query.newest {
        records.reverse();
    }
    Ok(records)
}

fn record(row: &Row) -> Result<AuditRecord, LedgerError> {
    let cells = Cells { row, first: 0 };
    let details: String = cells.get(7)?;
    Ok(AuditRecord {
        position: cells.number(0)?,
        chain: cells.get(1)?,
        seq: cells.number(2)?,
        at: cells.time(3)?,
        action: cells.get(4)?,
        actor: cells.get(5)?,
        outcome: cells.get(6)?,
        // Details that somebody spoilt are shown as they are; `verify` names the record.
        details: serde_json::from_str(&details).unwrap_or(Value::String(details)),
        hash: hex::encode(cells.fixed::<32>(8)?),
    })
}

/// The ledger's seal, locked against others who would write the next one; `None` when it is gone or was spoilt.
pub(super) async fn seal<C: GenericClient>(client: &C, lock: bool) -> Result<Option<Seal>, Trouble> {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT number, at, digest, signature FROM seal WHERE one = 1{lock}");
    let rows = query(client, &sql, &[]).await?;
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok::<_, LedgerError>(Seal::kept(cells.number(0)?, cells.get(1)?, cells.fixed(2)?, cells.fixed(3)?))
    };
    Ok(rows.first().and_then(|row| read(row).ok()))
}

pub(super) async fn put_seal<C: GenericClient>(client: &C, seal: &Seal) -> Result<(), Trouble> {
    let sql = "INSERT INTO seal (one, number, at, digest, signature) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (one) DO UPDATE SET number = $1, at = $2, digest = $3, signature = $4";
    let (digest, signature) = (seal.digest.as_slice(), seal.signature().as_slice());
    run(client, sql, &[&integer(seal.number)?, &seal.at, &digest, &signature]).await?;
    Ok(())
}

/// Signs the head of every chain that grew since its last checkpoint, and then all checkpoints together. Whichever broker has the
/// seal's row does; the next finds nothing that grew.
pub(super) async fn checkpoint(
    client: &mut Client,
    key: &SigningKey,
    at: DateTime<Utc>,
) -> Result<(), Trouble> {
    let transaction = client.transaction().await?;
    let before = seal(&transaction, true).await?;
    let sql = "SELECT chain, seq, hash FROM chains
         WHERE seq > coalesce((SELECT max(seq) FROM checkpoints WHERE checkpoints.chain = chains.chain), 0)
         ORDER BY chain";
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok((cells.get::<String>(0)?, cells.number(1)?, cells.fixed::<32>(2)?))
    };
    let grown = all(&transaction, sql, &[], read).await?;
    if grown.is_empty() {
        return Ok(());
    }
    // A log whose seal does not hold is not sealed anew: the new one would vouch for what was done to it.
    let before = before.filter(|seal| seal.is_signed_by(&key.verifying_key()));
    let before = before.ok_or_else(|| {
        LedgerError::Unavailable(
            "the seal of the audit log is gone or was changed, so nothing more is signed; run `ticketgate audit verify`"
                .to_owned(),
        )
    })?;
    let (number, mut digest) = (before.number + 1, before.digest);
    let at_text = time_text(at)?;
    for (chain, seq, hash) in grown {
        let bytes = chain::checkpoint_bytes(chain.as_bytes(), seq, &hash, at_text.as_bytes());
        let signature = key.sign(&bytes).to_bytes();
        digest = chain::taken_in(&digest, &bytes);
        let sql =
            "INSERT INTO checkpoints (chain, seq, hash, at, signature, seal) VALUES ($1, $2, $3, $4, $5, $6)";
        let (hash, signature) = (hash.as_slice(), signature.as_slice());
        run(&transaction, sql, &[&chain, &integer(seq)?, &hash, &at_text, &signature, &integer(number)?])
            .await?;
    }
    put_seal(&transaction, &Seal::sign(key, number, &at_text, digest)).await?;
    transaction.commit().await.map_err(|error| failure::at_commit(&error))
}

/// Takes away what is too old of technicians who do nothing any more; a few thousand rows at a time, and none that is in use.
pub(super) async fn forget_old<C: GenericClient>(client: &C, now: DateTime<Utc>) -> Result<(), Trouble> {
    let before = time_text(limits::kept_since(now))?;
    for table in ["requests", "attempts", "events"] {
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM {table} WHERE at <= $1 LIMIT 5000 FOR UPDATE SKIP LOCKED))"
        );
        run(client, &sql, &[&before]).await?;
    }
    Ok(())
}
