//! A ledger from one machine's SQLite file into PostgreSQL: exactly, in steps that can be broken off, and compared before it
//! counts. Until then no broker opens the database.

mod tables;

use std::path::Path;
use std::pin::pin;

use deadpool_postgres::{Client, GenericClient, Transaction};
use futures_util::TryStreamExt;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::tables::Kind::{Bytes, Number, Text, Truth};
use self::tables::{AUDIT, REST, Table};
use super::failure::{self, Trouble};
use super::link::Link;
use super::query::{all, fact, query, run};
use super::rows::Cells;
use super::{PostgresLedger, PostgresPlace, open};
use crate::chain::Hash;
use crate::{Ledger, LedgerError, SqliteLedger};

/// Rows in one statement.
const AT_ONCE: usize = 2_000;

/// The name of the fact that stands there while not everything is.
pub(super) const COPYING: &str = "copying";

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Audit records.
    pub records: u64,
    /// Accounts.
    pub accounts: u64,
    /// Sessions, parts counted each.
    pub sessions: u64,
    /// The number of the seal.
    pub seal: u64,
}

/// Facts that are the ledger's and not the database's.
const FACTS: [&str; 3] = ["high_water", "notes_sent", "shared_key"];

/// One value of either database.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Nothing,
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

impl PostgresLedger {
    /// Copies the ledger of an SQLite file that nobody has open into this database, and compares all of it. What was broken off goes
    /// on when it is called again; a database that holds exactly this ledger already is only compared. `tells` is told how many
    /// audit records are there.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`] and [`PostgresLedger::open`] have; [`LedgerError::Damaged`] when the database holds another
    /// ledger, or when what was copied does not compare: then no broker opens it.
    pub async fn copy(
        file: &Path,
        to: &PostgresPlace,
        mut tells: impl FnMut(u64),
    ) -> Result<Copied, LedgerError> {
        let from = SqliteLedger::open(file, &to.key)?;
        from.check().await?;
        let before = from.verify(None).await?;
        let source = crate::sqlite::reader(file)?;
        let link = Link::new(to)?;
        let mut tries = link.tries();
        let mut client = tries.client().await?;
        // A long log takes as long as it takes.
        client.batch_execute("SET statement_timeout = 0").await.map_err(|error| said(error.into()))?;
        let copied = async {
            open::open_to_copy(&mut client, &to.key).await?;
            if may_write(&client, &source).await? {
                copy_audit(&mut client, &source, &mut tells).await?;
                copy_rest(&mut client, &source).await?;
            }
            compare(&client, &source).await
        };
        copied.await.map_err(said)?;
        let after = super::verify::verify(&mut client, &from.public_key(), None).await.map_err(said)?;
        if after != before {
            return Err(LedgerError::Damaged(format!(
                "the audit log in the database is not the one of the file ({:?} instead of {:?})",
                after.first_fault, before.first_fault
            )));
        }
        run(&client, "DELETE FROM facts WHERE name = $1", &[&COPYING]).await.map_err(said)?;
        let count = async |table| -> Result<u64, LedgerError> {
            let read = |row: &Row| Cells { row, first: 0 }.number(0);
            let count =
                all(&client, &format!("SELECT count(*) FROM {table}"), &[], read).await.map_err(said)?;
            Ok(count.first().copied().unwrap_or(0))
        };
        let (accounts, sessions) = (count("accounts").await?, count("sessions").await?);
        Ok(Copied { records: after.records, accounts, sessions, seal: after.seal })
    }
}

fn said(trouble: Trouble) -> LedgerError {
    match trouble {
        Trouble::Said(error) => error,
        Trouble::Again(why) | Trouble::Elsewhere(why) => LedgerError::Unavailable(why),
    }
}

/// Whether this is a new ledger, or a copy that was not finished. A ledger that is used is only compared.
async fn may_write(client: &Client, source: &rusqlite::Connection) -> Result<bool, Trouble> {
    if fact(client, COPYING).await?.is_some() {
        return Ok(true);
    }
    let used = "SELECT 1 WHERE EXISTS (SELECT 1 FROM audit) OR EXISTS (SELECT 1 FROM accounts)
         OR EXISTS (SELECT 1 FROM sign_ins) OR EXISTS (SELECT 1 FROM api_tokens)";
    if query(client, used, &[]).await?.is_empty() {
        run(client, "INSERT INTO facts (name, value) VALUES ($1, 'from SQLite')", &[&COPYING]).await?;
        return Ok(true);
    }
    match compare(client, source).await {
        Ok(()) => Ok(false),
        Err(Trouble::Said(LedgerError::Damaged(_))) => Err(LedgerError::Damaged(
            "the database holds a ledger that is used, and not this one; name an empty database".to_owned(),
        )
        .into()),
        Err(error) => Err(error),
    }
}

async fn copy_audit(
    client: &mut Client,
    source: &rusqlite::Connection,
    tells: &mut impl FnMut(u64),
) -> Result<(), Trouble> {
    let read = |row: &Row| Cells { row, first: 0 }.get::<i64>(0);
    let mut last = all(client, "SELECT coalesce(max(id), 0) FROM audit", &[], read).await?.pop().unwrap_or(0);
    loop {
        let rows = sqlite_rows(
            source,
            &AUDIT,
            &format!("WHERE position > {last} ORDER BY position LIMIT {AT_ONCE}"),
        )?;
        let Some(Cell::Number(end)) = rows.last().and_then(|row| row.first()) else { return Ok(()) };
        last = *end;
        let transaction = client.transaction().await?;
        insert(&transaction, &AUDIT, &rows).await?;
        let places = "INSERT INTO positions (position, id) SELECT id, id FROM audit a
             WHERE NOT EXISTS (SELECT 1 FROM positions p WHERE p.id = a.id)";
        run(&transaction, places, &[]).await?;
        transaction.commit().await.map_err(|error| failure::at_commit(&error))?;
        tells(u64::try_from(last).unwrap_or(0));
    }
}

/// In one transaction: what an earlier call left may be older than the file is now.
async fn copy_rest(client: &mut Client, source: &rusqlite::Connection) -> Result<(), Trouble> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let names: Vec<_> = REST.iter().map(|table| table.name).collect();
    transaction.batch_execute(&format!("TRUNCATE {}, placed", names.join(", "))).await?;
    for table in &REST {
        let rows = sqlite_rows(source, table, &format!("ORDER BY {}", table.order_in_sqlite()))?;
        for rows in rows.chunks(AT_ONCE) {
            insert(&transaction, table, rows).await?;
        }
    }
    for name in FACTS {
        if let Some(value) = sqlite_fact(source, name)? {
            let sql =
                "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
            run(&transaction, sql, &[&name, &value]).await?;
        }
    }
    for table in REST.iter().chain([&AUDIT]) {
        if let Some(column) = table.counts {
            let name = table.name;
            let sql = format!(
                "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), coalesce(max({column}), 0) + 1, false) FROM {name}"
            );
            query(&transaction, &sql, &[]).await?;
        }
    }
    let now = sqlite_fact(source, "high_water")?.unwrap_or_default();
    for sql in [
        "INSERT INTO placed (chain, seq) SELECT chain, max(seq) FROM audit GROUP BY chain",
        "UPDATE facts SET value = (SELECT coalesce(max(position), 0)::text FROM positions) WHERE name = 'position'",
    ] {
        run(&transaction, sql, &[]).await?;
    }
    let sql = format!("UPDATE accounts SET due = {}", super::put::due("$1", "$1", 0));
    run(&transaction, &sql, &[&now]).await?;
    transaction.commit().await.map_err(|error| failure::at_commit(&error))
}

/// Every row of every table, in the same order, has to be the same.
async fn compare<C: GenericClient>(client: &C, source: &rusqlite::Connection) -> Result<(), Trouble> {
    for table in REST.iter().chain([&AUDIT]) {
        let mut ours = RowsDigest::default();
        each_sqlite_row(source, table, &format!("ORDER BY {}", table.order_in_sqlite()), |row| {
            ours.take(&row);
        })?;
        let theirs = postgres_digest(client, table).await?;
        let (ours, theirs) = (ours.end(), theirs.end());
        if ours != theirs {
            return Err(LedgerError::Damaged(format!(
                "{} of the file has {} rows, the database {}, or their content differs",
                table.name, ours.1, theirs.1
            ))
            .into());
        }
    }
    for name in FACTS {
        let (ours, theirs) = (sqlite_fact(source, name)?, fact(client, name).await?);
        if ours.unwrap_or_default() != theirs.unwrap_or_default() {
            return Err(LedgerError::Damaged(format!("{name} differs")).into());
        }
    }
    Ok(())
}

/// All rows of a table as one number, without holding them: a log can be larger than the memory.
#[derive(Default)]
struct RowsDigest {
    hash: Sha256,
    rows: u64,
}

impl RowsDigest {
    fn take(&mut self, row: &[Cell]) {
        self.rows += 1;
        for cell in row {
            let number;
            let (kind, bytes): (u8, &[u8]) = match cell {
                Cell::Nothing => (0, &[]),
                Cell::Text(text) => (1, text.as_bytes()),
                Cell::Number(value) => {
                    number = value.to_be_bytes();
                    (2, &number)
                }
                Cell::Bytes(bytes) => (3, bytes),
            };
            self.hash.update([kind]);
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        }
    }

    fn end(self) -> (Hash, u64) {
        (self.hash.finalize().into(), self.rows)
    }
}

fn sqlite_rows(
    source: &rusqlite::Connection,
    table: &Table,
    which: &str,
) -> Result<Vec<Vec<Cell>>, LedgerError> {
    let mut found = Vec::new();
    each_sqlite_row(source, table, which, |row| found.push(row))?;
    Ok(found)
}

fn each_sqlite_row(
    source: &rusqlite::Connection,
    table: &Table,
    which: &str,
    mut take: impl FnMut(Vec<Cell>),
) -> Result<(), LedgerError> {
    let columns: Vec<_> = table.columns.iter().map(|(_, theirs, _)| *theirs).collect();
    let sql = format!("SELECT {} FROM {} {which}", columns.join(", "), table.name);
    let mut statement = source.prepare(&sql).map_err(crate::failure::database)?;
    let mut rows = statement.query([]).map_err(crate::failure::database)?;
    while let Some(row) = rows.next().map_err(crate::failure::database)? {
        let mut cells = Vec::with_capacity(columns.len());
        for column in 0..columns.len() {
            cells.push(match row.get_ref(column).map_err(crate::failure::database)? {
                ValueRef::Null => Cell::Nothing,
                ValueRef::Integer(number) => Cell::Number(number),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
                ValueRef::Real(_) => return Err(crate::failure::unreadable("a number", "it is a fraction")),
            });
        }
        take(cells);
    }
    Ok(())
}

fn sqlite_fact(source: &rusqlite::Connection, name: &str) -> Result<Option<String>, LedgerError> {
    use rusqlite::OptionalExtension;
    source
        .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(crate::failure::database)
}

async fn postgres_digest<C: GenericClient>(client: &C, table: &Table) -> Result<RowsDigest, Trouble> {
    let columns: Vec<_> = table.columns.iter().map(|(ours, ..)| *ours).collect();
    let sql = format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, table.order);
    let statement = client.prepare_cached(&sql).await?;
    let none: [&(dyn ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(&statement, none).await?);
    let mut digest = RowsDigest::default();
    while let Some(row) = rows.try_next().await? {
        let cells = Cells { row: &row, first: 0 };
        let mut read = Vec::with_capacity(table.columns.len());
        for (column, (.., kind)) in table.columns.iter().enumerate() {
            let cell = match kind {
                Text => cells.get::<Option<String>>(column)?.map(Cell::Text),
                Number => cells.get::<Option<i64>>(column)?.map(Cell::Number),
                Truth => cells.get::<Option<bool>>(column)?.map(|is| Cell::Number(is.into())),
                Bytes => cells.get::<Option<Vec<u8>>>(column)?.map(Cell::Bytes),
            };
            read.push(cell.unwrap_or(Cell::Nothing));
        }
        digest.take(&read);
    }
    Ok(digest)
}

/// One statement, with an array for each column.
async fn insert(transaction: &Transaction<'_>, table: &Table, rows: &[Vec<Cell>]) -> Result<(), Trouble> {
    let mut values: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
    let mut arrays = Vec::new();
    for (column, (.., kind)) in table.columns.iter().enumerate() {
        let cells = rows.iter().map(|row| row.get(column).unwrap_or(&Cell::Nothing));
        let text = |cell: &Cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None };
        let number = |cell: &Cell| if let Cell::Number(number) = cell { Some(*number) } else { None };
        let bytes = |cell: &Cell| if let Cell::Bytes(bytes) = cell { Some(bytes.clone()) } else { None };
        let (array, kind): (Box<dyn ToSql + Sync + Send>, _) = match kind {
            Text => (Box::new(cells.map(text).collect::<Vec<_>>()), "text"),
            Number => (Box::new(cells.map(number).collect::<Vec<_>>()), "bigint"),
            Truth => {
                let truths = cells.map(|cell| number(cell).map(|number| number != 0));
                (Box::new(truths.collect::<Vec<_>>()), "boolean")
            }
            Bytes => (Box::new(cells.map(bytes).collect::<Vec<_>>()), "bytea"),
        };
        values.push(array);
        arrays.push(format!("${}::{kind}[]", values.len()));
    }
    // What the file does not have.
    let (more, own) = match table.name {
        "technicians" => (", moved", ", clock_timestamp()"),
        "seal" => (", one", ", 1"),
        _ => ("", ""),
    };
    let columns: Vec<_> = table.columns.iter().map(|(ours, ..)| *ours).collect();
    let sql = format!(
        "INSERT INTO {} ({}{more}) SELECT new.*{own} FROM unnest({}) AS new",
        table.name,
        columns.join(", "),
        arrays.join(", ")
    );
    let parameters: Vec<_> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    run(transaction, &sql, &parameters).await?;
    Ok(())
}
