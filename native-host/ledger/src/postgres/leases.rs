//! Leases: which broker works on an account, on a note or on named work. They run out by the database's clock, and every new
//! holder has a higher number, so that whoever was stopped meanwhile can write nothing any more.

use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use ticketgate_access::session::AccountKey;
use ticketgate_protocol::ids::PsaId;
use tokio_postgres::Row;

use super::failure::Trouble;
use super::put;
use super::query::{all, run};
use super::rows::{self, Cells};
use crate::columns::{NOTE, integer, time_text};
use crate::{BrokerEpoch, Lease, LedgerError, WaitingNote};

/// Whether it names work that belongs to no account; an account's key has two `/`.
pub(super) fn is_name(key: &AccountKey) -> bool {
    !key.0.contains('/')
}

pub(super) async fn fence_of_name(
    transaction: &Transaction<'_>,
    name: &AccountKey,
) -> Result<Option<u64>, Trouble> {
    let sql = "SELECT fence FROM names WHERE name = $1 FOR SHARE";
    let read = |row: &Row| Cells { row, first: 0 }.number(0);
    Ok(all(transaction, sql, &[&name.0], read).await?.pop())
}

pub(super) async fn time<C: GenericClient>(client: &C) -> Result<DateTime<Utc>, Trouble> {
    let read = |row: &Row| Cells { row, first: 0 }.get(0);
    let now = all(client, "SELECT clock_timestamp()", &[], read).await?.pop();
    now.ok_or_else(|| LedgerError::Unavailable("its database has no clock".to_owned()).into())
}

/// A new run of a broker. Runs that nobody has seen for a month are forgotten.
pub(super) async fn enlist<C: GenericClient>(client: &C, name: &str) -> Result<BrokerEpoch, Trouble> {
    let forget = "DELETE FROM brokers WHERE epoch = ANY (ARRAY(
         SELECT epoch FROM brokers WHERE seen < clock_timestamp() - interval '30 days' FOR UPDATE SKIP LOCKED))";
    run(client, forget, &[]).await?;
    let sql = "INSERT INTO brokers (name, since, seen) VALUES ($1, clock_timestamp(), clock_timestamp()) RETURNING epoch";
    let read = |row: &Row| Cells { row, first: 0 }.number(0);
    let epoch = all(client, sql, &[&name], read).await?.pop();
    let epoch = epoch.ok_or_else(|| LedgerError::Unavailable("its database answered nothing".to_owned()))?;
    Ok(BrokerEpoch(epoch))
}

/// Writes the time into this broker's own row, which a fail-over may have lost.
pub(super) async fn confirm<C: GenericClient>(client: &C, epoch: BrokerEpoch) -> Result<(), Trouble> {
    let sql =
        "INSERT INTO brokers (epoch, name, since, seen) VALUES ($1, '', clock_timestamp(), clock_timestamp())
         ON CONFLICT (epoch) DO UPDATE SET seen = clock_timestamp()";
    run(client, sql, &[&integer(epoch.0)?]).await?;
    Ok(())
}

fn lease(row: &Row) -> Result<Lease, LedgerError> {
    let cells = Cells { row, first: 0 };
    Ok(Lease { key: AccountKey(cells.get(0)?), fence: cells.number(1)? })
}

pub(super) async fn claim<C: GenericClient>(
    client: &C,
    epoch: BrokerEpoch,
    now: DateTime<Utc>,
    most: u32,
) -> Result<Vec<Lease>, Trouble> {
    // A look at what is settled counts, and the next one is due after it.
    let sql = format!(
        "UPDATE accounts SET lease_holder = $1, lease_until = clock_timestamp() + interval '3 seconds', fence = fence + 1,
             due = CASE WHEN settled THEN {due} ELSE due END,
             looks = CASE WHEN settled THEN greatest(looks - 1, 0) ELSE {looks} END
         WHERE key = ANY (ARRAY(
             SELECT key FROM accounts WHERE due <= $2 AND (lease_until IS NULL OR lease_until < clock_timestamp())
             ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED))
         RETURNING key, fence",
        due = put::due("$2", "$4", 1),
        looks = put::looks("$1"),
    );
    let (holder, look) = (integer(epoch.0)?, put::next_look(now)?);
    all(client, &sql, &[&holder, &time_text(now)?, &i64::from(most), &look], lease).await
}

/// `None`: another has it.
pub(super) async fn take<C: GenericClient>(
    client: &C,
    epoch: BrokerEpoch,
    key: &AccountKey,
) -> Result<Option<Lease>, Trouble> {
    let (table, column) = if is_name(key) { ("names", "name") } else { ("accounts", "key") };
    let looks = if is_name(key) { String::new() } else { format!(", looks = {}", put::looks("$1")) };
    if is_name(key) {
        run(client, "INSERT INTO names (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", &[&key.0]).await?;
    }
    let sql = format!(
        "UPDATE {table} SET lease_holder = $1::bigint, lease_until = clock_timestamp() + interval '3 seconds',
             fence = CASE WHEN lease_holder = $1 THEN fence ELSE fence + 1 END{looks}
         WHERE {column} = $2 AND (lease_holder = $1 OR lease_until IS NULL OR lease_until < clock_timestamp())
         RETURNING {column}, fence"
    );
    let taken = all(client, &sql, &[&integer(epoch.0)?, &key.0], lease).await?.pop();
    if taken.is_none() && !is_name(key) {
        let there = all(client, "SELECT key, fence FROM accounts WHERE key = $1", &[&key.0], lease).await?;
        if there.is_empty() {
            return Err(LedgerError::Conflict(format!("there is no account {}", key.0)).into());
        }
    }
    Ok(taken)
}

/// Renews these, and answers those that another took. One whose row is being written just now is left to the next time, so that
/// a broker that was stopped in the middle of a write holds up nobody's leases.
pub(super) async fn renew<C: GenericClient>(
    client: &C,
    epoch: BrokerEpoch,
    held: &[Lease],
) -> Result<Vec<Lease>, Trouble> {
    let holder = integer(epoch.0)?;
    run(client, "UPDATE brokers SET seen = clock_timestamp() WHERE epoch = $1", &[&holder]).await?;
    let mut lost = Vec::new();
    for (table, column) in [("accounts", "key"), ("names", "name")] {
        let held = held.iter().filter(|lease| is_name(&lease.key) == (table == "names"));
        let (keys, fences): (Vec<_>, Vec<_>) = held.map(|lease| (lease.key.0.as_str(), lease.fence)).unzip();
        if keys.is_empty() {
            continue;
        }
        let fences: Vec<_> = fences.into_iter().map(integer).collect::<Result<_, _>>()?;
        let sql = format!(
            "WITH held AS (SELECT * FROM unnest($2::text[], $3::bigint[]) AS held(name, fence)),
             free AS (
                 SELECT t.{column} FROM {table} t JOIN held ON held.name = t.{column}
                 WHERE t.lease_holder = $1 AND t.fence = held.fence ORDER BY 1 FOR UPDATE OF t SKIP LOCKED),
             renewed AS (
                 UPDATE {table} SET lease_until = clock_timestamp() + interval '3 seconds'
                 WHERE {column} = ANY (ARRAY(SELECT {column} FROM free)))
             SELECT held.name, held.fence FROM held LEFT JOIN {table} t ON t.{column} = held.name
             WHERE t.fence IS DISTINCT FROM held.fence OR t.lease_holder IS DISTINCT FROM $1"
        );
        lost.extend(all(client, &sql, &[&holder, &keys, &fences], lease).await?);
    }
    Ok(lost)
}

pub(super) async fn release<C: GenericClient>(
    client: &C,
    epoch: BrokerEpoch,
    lease: &Lease,
) -> Result<(), Trouble> {
    let (table, column) = if is_name(&lease.key) { ("names", "name") } else { ("accounts", "key") };
    let sql = format!(
        "UPDATE {table} SET lease_holder = NULL, lease_until = NULL
         WHERE {column} = $1 AND lease_holder = $2 AND fence = $3"
    );
    run(client, &sql, &[&lease.key.0, &integer(epoch.0)?, &integer(lease.fence)?]).await?;
    Ok(())
}

pub(super) async fn next_due<C: GenericClient>(client: &C) -> Result<Option<DateTime<Utc>>, Trouble> {
    let sql = "SELECT due FROM accounts WHERE due IS NOT NULL AND (lease_until IS NULL OR lease_until < clock_timestamp())
         ORDER BY due LIMIT 1";
    let read = |row: &Row| Cells { row, first: 0 }.time(0);
    Ok(all(client, sql, &[], read).await?.pop())
}

/// By the database's clock, whatever the broker's is.
pub(super) async fn free_in<C: GenericClient>(
    client: &C,
    now: DateTime<Utc>,
) -> Result<Option<Duration>, Trouble> {
    let sql = "SELECT (1000 * extract(epoch FROM min(lease_until) - clock_timestamp()))::bigint FROM accounts
         WHERE due <= $1 AND lease_until >= clock_timestamp()";
    let read = |row: &Row| Cells { row, first: 0 }.get::<Option<i64>>(0);
    let left = all(client, sql, &[&time_text(now)?], read).await?.pop().flatten();
    Ok(left.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or_default() + 1)))
}

/// The next note for a system. A broker has it for half a minute, which is enough to say that it is about to be sent; from then on
/// the note is due again only when that can have gone wrong. Who is no broker only looks.
pub(super) async fn next_note<C: GenericClient>(
    client: &C,
    epoch: Option<BrokerEpoch>,
    psa: &PsaId,
) -> Result<Option<WaitingNote>, Trouble> {
    let first = "psa = $1 AND NOT EXISTS (
             SELECT 1 FROM notes AS earlier WHERE earlier.session = notes.session AND earlier.position < notes.position)";
    let Some(epoch) = epoch else {
        let sql = format!("SELECT {NOTE} FROM notes WHERE {first} ORDER BY next_try, position LIMIT 1");
        return Ok(all(client, &sql, &[&psa.as_str()], rows::note).await?.pop());
    };
    let sql = format!(
        "UPDATE notes SET lease_holder = $2, lease_until = clock_timestamp() + interval '30 seconds'
         WHERE position = (
             SELECT position FROM notes WHERE {first}
                 AND (lease_holder = $2 OR lease_until IS NULL OR lease_until < clock_timestamp())
             ORDER BY next_try, position LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING {NOTE}"
    );
    Ok(all(client, &sql, &[&psa.as_str(), &integer(epoch.0)?], rows::note).await?.pop())
}
