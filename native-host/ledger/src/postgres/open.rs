//! Opens the ledger's database: is it ours, whole, of a schema that this release may use, and is its key the one that the broker
//! has. Everything is looked at before anything is changed, and a migration is one transaction.

use std::collections::BTreeSet;
use std::path::Path;

use deadpool_postgres::{Client, GenericClient, Transaction};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::copy::COPYING;
use super::failure::{self, Trouble};
use super::query::{all, fact, run};
use super::rows::Cells;
use super::{audit, tokens};
use crate::columns::time_text;
use crate::seal::{self, Seal};
use crate::{LedgerError, key};

/// Brings the schema one version on.
struct Migration {
    sql: &'static str,
    /// The oldest version that a release may know which goes on using the database afterwards.
    oldest: i32,
}

/// Each brings the schema from the version of its index to the next. Only ever append; what a release of the version before
/// does not survive raises `oldest`.
const MIGRATIONS: [Migration; 2] = [
    Migration { sql: include_str!("schema.sql"), oldest: 1 },
    // A broker of schema 1 beside it looks at what it takes over once, and leaves the rest to the others.
    Migration { sql: include_str!("schema2.sql"), oldest: 1 },
];

/// The version of this release.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Any number that nothing else in the database locks; `TkGt`.
const MIGRATION_LOCK: i64 = 0x546b_4774;

/// The table that tells a ledger from any other database, and its version.
const OURS: &str = "CREATE TABLE IF NOT EXISTS ticketgate_schema (
         version INTEGER NOT NULL PRIMARY KEY,
         oldest  INTEGER NOT NULL,
         release TEXT NOT NULL,
         at      TIMESTAMPTZ NOT NULL
     )";

/// How a database was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing is in it.
    Empty,
    /// A ledger of this version.
    Ledger(i32),
}

/// What a ledger that is open has to sign with.
pub(super) async fn open(client: &mut Client, key_path: &Path) -> Result<SigningKey, Trouble> {
    let key = open_to_copy(client, key_path).await?;
    if fact(client, COPYING).await?.is_some() {
        return Err(LedgerError::Damaged(
            "not all of the ledger was copied into this database; run `ticketgate ledger copy` once more"
                .to_owned(),
        )
        .into());
    }
    Ok(key)
}

/// The same of one that is not all there yet.
pub(super) async fn open_to_copy(client: &mut Client, key_path: &Path) -> Result<SigningKey, Trouble> {
    let found = look(client).await?;
    // Read first: a bad key leaves no new ledger behind.
    let mut key = key::read(key_path)?;
    if found != Found::Ledger(VERSION) {
        let may_begin = found == Found::Empty;
        key = migrate(client, key_path, key, may_begin).await?;
    }
    if key.is_none() {
        // Another process of this machine may have begun the ledger meanwhile.
        key = key::read(key_path)?;
    }
    refuse_if_not_whole(client).await?;
    let public = fact(client, "public_key").await?;
    let public = public.ok_or_else(|| crate::failure::unreadable("the public key", "it is gone"))?;
    let public = public_key(&public)?;
    match key {
        Some(key) if key.verifying_key() == public => Ok(key),
        Some(_) => Err(LedgerError::Damaged(format!(
            "{} is not the key that signs the audit log in this database: another cluster's brokers have it, or the key is; \
             name this cluster's own database in [ledger], or give this broker the key of the others",
            key_path.display()
        ))
        .into()),
        None => Err(LedgerError::Damaged(format!(
            "the key that signs the audit log is not at {}; copy it there from another broker, or from the backup",
            key_path.display()
        ))
        .into()),
    }
}

/// The same look, changing nothing.
pub(super) async fn check(client: &mut Client, key_path: &Path) -> Result<(), Trouble> {
    match look(client).await? {
        Found::Ledger(VERSION) => open(client, key_path).await.map(drop),
        // The next broker makes it, or brings it up to its release.
        Found::Ledger(_) | Found::Empty => key::read(key_path).map(drop).map_err(Trouble::from),
    }
}

fn public_key(text: &str) -> Result<VerifyingKey, LedgerError> {
    let unreadable = || crate::failure::unreadable("the public key", "it is none");
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(unreadable)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| unreadable())
}

/// Whether a ledger is here, and which.
async fn look<C: GenericClient>(client: &C) -> Result<Found, Trouble> {
    let sql = "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let read = |row: &Row| Cells { row, first: 0 }.get::<String>(0);
    let tables: BTreeSet<_> = all(client, sql, &[], read).await?.into_iter().collect();
    if tables.is_empty() {
        return Ok(Found::Empty);
    }
    if !tables.contains("ticketgate_schema") {
        let some: Vec<_> = tables.into_iter().take(3).collect();
        return Err(LedgerError::Damaged(format!(
            "this is a database of another program (it has {}); name an empty one, or the ledger's, in [ledger]",
            some.join(", ")
        ))
        .into());
    }
    let sql = "SELECT version, oldest, release FROM ticketgate_schema ORDER BY version DESC LIMIT 1";
    let read = |row: &Row| {
        let cells = Cells { row, first: 0 };
        Ok((cells.get::<i32>(0)?, cells.get::<i32>(1)?, cells.get::<String>(2)?))
    };
    let Some((version, oldest, release)) = all(client, sql, &[], read).await?.pop() else {
        return Err(not_whole("it has no version"));
    };
    if oldest > VERSION {
        return Err(LedgerError::Unavailable(format!(
            "it was brought to schema {version} by release {release}, and this one knows {VERSION}; update Ticketgate on this broker"
        ))
        .into());
    }
    Ok(Found::Ledger(version.min(VERSION)))
}

fn not_whole(why: &str) -> Trouble {
    LedgerError::Damaged(format!(
        "only a part of a ledger is in its database ({why}); restore all of it from a backup, or name another database"
    ))
    .into()
}

/// Brings the database to this release's schema, or makes it. Others that want the same wait, and find it done.
async fn migrate(
    client: &mut Client,
    key_path: &Path,
    key: Option<SigningKey>,
    may_begin: bool,
) -> Result<Option<SigningKey>, Trouble> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'").await?;
    run(&transaction, "SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let from = match look(&transaction).await? {
        Found::Empty if may_begin => 0,
        Found::Empty => return Err(not_whole("it went away meanwhile")),
        Found::Ledger(version) => version,
    };
    let mut key = key;
    if from == 0 {
        // Another process of this machine may have made it meanwhile.
        key = match key {
            Some(key) => Some(key),
            None => key::read(key_path)?,
        };
    }
    transaction.batch_execute(OURS).await.map_err(may_not)?;
    for (migration, version) in MIGRATIONS.iter().zip(1..) {
        if version <= from {
            continue;
        }
        transaction.batch_execute(migration.sql).await.map_err(may_not)?;
        let sql = "INSERT INTO ticketgate_schema (version, oldest, release, at) VALUES ($1, $2, $3, clock_timestamp())";
        run(&transaction, sql, &[&version, &migration.oldest, &env!("CARGO_PKG_VERSION")]).await?;
    }
    if from == 0 {
        let signs = match key {
            Some(key) => key,
            None => key::create(key_path)?,
        };
        first_facts(&transaction, &signs).await?;
        key = Some(signs);
    }
    transaction.commit().await.map_err(|error| failure::at_commit(&error))?;
    Ok(key)
}

fn may_not(error: tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        Some(said) if *said.code() == SqlState::INSUFFICIENT_PRIVILEGE => LedgerError::Unavailable(format!(
            "the database's user may make no tables in it ({}); make it the database's owner",
            said.message()
        ))
        .into(),
        _ => error.into(),
    }
}

/// What a new ledger begins with.
async fn first_facts(transaction: &Transaction<'_>, key: &SigningKey) -> Result<(), Trouble> {
    let mut shared = [0; 32];
    getrandom::fill(&mut shared)
        .map_err(|error| LedgerError::Unavailable(format!("no randomness for its key: {error}")))?;
    for (name, value) in [
        ("public_key", hex::encode(key.verifying_key().as_bytes())),
        (tokens::SHARED_KEY, hex::encode(shared)),
        ("position", "0".to_owned()),
        // Before every time.
        ("high_water", String::new()),
    ] {
        run(transaction, "INSERT INTO facts (name, value) VALUES ($1, $2)", &[&name, &value]).await?;
    }
    let at = time_text(chrono::DateTime::UNIX_EPOCH)?;
    audit::put_seal(transaction, &Seal::sign(key, 0, &at, seal::NOTHING)).await
}

/// Every table and column that this release needs is there: a database that was restored in part is noticed before it is used.
async fn refuse_if_not_whole<C: GenericClient>(client: &C) -> Result<(), Trouble> {
    let sql = "SELECT table_name::text || '.' || column_name::text FROM information_schema.columns
         WHERE table_schema = current_schema()";
    let read = |row: &Row| Cells { row, first: 0 }.get::<String>(0);
    let there: BTreeSet<_> = all(client, sql, &[], read).await?.into_iter().collect();
    for (table, columns) in NEEDED {
        for column in columns.split(' ') {
            if !there.contains(&format!("{table}.{column}")) {
                return Err(not_whole(&format!("{table}.{column} is missing")));
            }
        }
    }
    for name in ["public_key", "position", "high_water", tokens::SHARED_KEY] {
        if fact(client, name).await?.is_none() {
            return Err(not_whole(&format!("its fact {name} is missing")));
        }
    }
    Ok(())
}

/// Of each table what was added last, or what nothing goes without.
const NEEDED: [(&str, &str); 18] = [
    ("facts", "name value"),
    ("brokers", "epoch name since seen"),
    ("names", "name lease_holder lease_until fence"),
    ("technicians", "technician last_event moved"),
    ("accounts", "key version gone due lease_holder lease_until fence looks"),
    ("sessions", "number id state account until version whole"),
    ("requests", "technician key request session at"),
    ("attempts", "number technician at"),
    ("events", "technician number session at"),
    ("audit", "id chain seq at action actor outcome details hash about"),
    ("positions", "position id"),
    ("placed", "chain seq"),
    ("chains", "chain seq hash"),
    ("checkpoints", "chain seq hash at signature seal"),
    ("seal", "one number at digest signature"),
    ("notes", "position mark session next_try sending lease_holder lease_until"),
    ("sign_ins", "id technician until ended"),
    ("api_tokens", "id token until ended"),
];
