//! A ledger that somebody or something else wrote to: bytes of the file changed anywhere, or any value in any column. Whatever
//! the file holds, opening and reading it end with rows or an error, never with a panic; and an audit log that is called whole
//! is the one that was written, record by record.

use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use tempfile::TempDir;
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_ledger::{AuditQuery, Change, Ledger, NewAudit, SessionFilter, SqliteLedger};
use ticketgate_protocol::api::{AuditVerdict, Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, IdempotencyKey, PolicyId, SessionId, TechnicianId};

/// A sound ledger as a file and its key, and the audit log that is in it.
struct Sound {
    file: Vec<u8>,
    key: Vec<u8>,
    audit: Vec<Vec<Value>>,
    /// Every column that can hold something strange.
    columns: Vec<(String, String)>,
}

static SOUND: LazyLock<Sound> = LazyLock::new(|| crate::ldap::runtime().block_on(sound()));

pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let folder = folder();
    let (path, key) = (folder.path().join("ledger.sqlite"), folder.path().join("audit.key"));
    write_private(&key, &SOUND.key);
    if kind % 2 == 0 {
        write_private(&path, &spoilt(rest));
    } else {
        write_private(&path, &SOUND.file);
        if spoil_columns(&path, rest).is_err() {
            return;
        }
    }
    let records = audit_of(&path);
    crate::ldap::runtime().block_on(async {
        let Ok(ledger) = SqliteLedger::open(&path, &key) else { return };
        read_all(&ledger).await;
        // A file without anything in it is a new ledger; that one was lost is told by the number of its seal (docs/audit.md).
        let new = |verdict: &AuditVerdict| verdict.records == 0 && verdict.seal == 0;
        let whole = ledger.verify(None).await.is_ok_and(|verdict| verdict.whole && !new(&verdict));
        if whole {
            // Read by other means, in the order and with the columns that it was written with.
            assert!(records.is_ok(), "{records:?}");
            assert_eq!(
                records.as_ref().ok(),
                Some(&SOUND.audit),
                "an audit log that was changed is called whole"
            );
        }
        let note = Change {
            name: "ledger.note",
            at: at(9),
            audit: vec![record(Some("acme"), "after")],
            ..Change::default()
        };
        let written = ledger.commit(note).await.is_ok();
        let sealed = ledger.checkpoint(at(10)).await.is_ok();
        if written && sealed && whole {
            let after = ledger.verify(None).await;
            let still = after.as_ref().is_ok_and(|verdict| verdict.whole);
            assert!(still, "a whole log was made unsound by a record: {after:?}");
        }
    });
}

async fn read_all(ledger: &SqliteLedger) {
    let technician = TechnicianId::new("tech1").unwrap();
    for filter in [
        SessionFilter::default(),
        SessionFilter { open: true, technician: Some(technician.clone()), ..SessionFilter::default() },
    ] {
        for session in ledger.sessions(filter).await.unwrap_or_default() {
            assert!(serde_json::to_string(&session).is_ok());
            let _ = (session.is_live(at(0)), session.is_open());
            let _ = ledger.account(&session.account).await;
        }
    }
    let _ = ledger.accounts().await;
    let _ = ledger.account(&AccountKey("acme-ad/dedicated/tech1".into())).await;
    let _ = ledger.answered(&technician, &IdempotencyKey::new("k1").unwrap()).await;
    let _ = ledger.high_water().await;
    let _ = ledger.integrity().await;
    if let Ok(records) = ledger.audit(AuditQuery::default()).await {
        let (mut lines, mut table) = (Vec::new(), Vec::new());
        assert!(ticketgate_ledger::export::json_lines(&mut lines, &records).is_ok());
        assert!(ticketgate_ledger::export::csv(&mut table, &records).is_ok());
        let lines = String::from_utf8(lines).unwrap();
        assert_eq!(lines.lines().count(), records.len(), "a record breaks out of its line");
        assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}

/// The sound file with changes: place (three bytes), how many (one byte), the bytes; again and again. The last change may be
/// a cut: nothing after the place.
fn spoilt(mut edits: &[u8]) -> Vec<u8> {
    let mut file = SOUND.file.clone();
    while let Some(([a, b, c, length], rest)) = edits.split_first_chunk::<4>() {
        let place = (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c)) % file.len().max(1);
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        if bytes.is_empty() {
            file.truncate(place);
        }
        for (old, new) in file.iter_mut().skip(place).zip(bytes) {
            *old = *new;
        }
        edits = rest;
    }
    file
}

/// Puts values into columns: column (one byte), kind (one byte), length (one byte), the bytes; again and again.
fn spoil_columns(path: &Path, mut edits: &[u8]) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF",
    )?;
    while let Some(([column, kind, length], rest)) = edits.split_first_chunk::<3>() {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let Some((table, column)) = SOUND.columns.get(usize::from(*column) % SOUND.columns.len()) else {
            return Ok(());
        };
        let number = bytes.iter().take(8).fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        let value = match kind % 4 {
            0 => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            1 => Value::Blob(bytes.to_vec()),
            2 => Value::Integer(number),
            _ => Value::Null,
        };
        // What the column's type does not let in is not in it.
        let sql =
            format!("UPDATE {table} SET \"{column}\" = ?1 WHERE rowid = (SELECT min(rowid) FROM {table})");
        let _ = connection
            .execute(&sql, [value.clone()])
            .or_else(|_| connection.execute(&format!("UPDATE {table} SET \"{column}\" = ?1"), [value]));
        edits = rest;
    }
    Ok(())
}

/// The audit log as plain SQL reads it.
fn audit_of(path: &Path) -> rusqlite::Result<Vec<Vec<Value>>> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare(
        "SELECT chain, seq, at, action, actor, outcome, details, hash FROM audit ORDER BY position",
    )?;
    let rows = statement.query_map([], |row| (0..8).map(|column| row.get(column)).collect())?;
    rows.collect()
}

async fn sound() -> Sound {
    let folder = folder();
    let (path, key) = (folder.path().join("ledger.sqlite"), folder.path().join("audit.key"));
    let ledger = SqliteLedger::open(&path, &key).unwrap();
    let (first, second) = (session("s-1", "tech1", State::Active), session("s-2", "tech2", State::Ending));
    let change = Change {
        name: "ledger.begin",
        at: at(1),
        sessions: vec![first.clone(), second],
        accounts: vec![account("tech1"), account("tech2")],
        audit: vec![record(Some("acme"), "activation.requested"), record(None, "broker.started")],
        answers: Some(ticketgate_ledger::Answer {
            technician: first.technician,
            key: IdempotencyKey::new("k1").unwrap(),
            request: [7; 32],
            session: first.id,
        }),
        ..Change::default()
    };
    ledger.commit(change).await.unwrap();
    let more = Change {
        name: "ledger.more",
        at: at(2),
        audit: vec![record(Some("acme"), "activation.granted")],
        ..Change::default()
    };
    ledger.commit(more).await.unwrap();
    ledger.checkpoint(at(3)).await.unwrap();
    drop(ledger);
    let connection = Connection::open(&path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut statement = connection
        .prepare("SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, c.cid")
        .unwrap();
    let columns = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    drop(statement);
    drop(connection);
    let audit = audit_of(&path).unwrap();
    Sound { file: std::fs::read(&path).unwrap(), key: std::fs::read(&key).unwrap(), audit, columns }
}

/// In memory where the system has a place for that.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045, 123_456_789).unwrap() + TimeDelta::seconds(seconds)
}

fn record(customer: Option<&str>, action: &'static str) -> NewAudit {
    NewAudit {
        customer: customer.map(|id| CustomerId::new(id).unwrap()),
        action,
        actor: "tech1".into(),
        outcome: "ok",
        details: [("technician", json!("tech1")), ("reason", json!("ünï\n\"x\""))].into(),
    }
}

fn account(owner: &str) -> Account {
    Account {
        key: AccountKey(format!("acme-ad/dedicated/{owner}")),
        directory: DirectoryId::new("acme-ad").unwrap(),
        mode: Mode::Dedicated,
        technician: TechnicianId::new(owner).unwrap(),
        name: format!("jit-{owner}"),
        identity: Some("0123abcd-4567-89ab-cdef-0123456789ab".into()),
        display_name: Some(format!("ACME\\jit-{owner}")),
        token: "b3f1".into(),
        password_generation: 3,
        standing: vec![Right("CN=Ops,DC=acme".into())],
        settled: false,
        attempts: 2,
        next_try: Some(at(5)),
        gone: false,
        version: 0,
    }
}

fn session(id: &str, owner: &str, state: State) -> Session {
    Session {
        id: SessionId::new(id).unwrap(),
        state,
        technician: TechnicianId::new(owner).unwrap(),
        customer: CustomerId::new("acme").unwrap(),
        directory: DirectoryId::new("acme-ad").unwrap(),
        policy: PolicyId::new("acme-domain-admin").unwrap(),
        policy_name: "Domain Admin".into(),
        mode: Mode::Dedicated,
        account: AccountKey(format!("acme-ad/dedicated/{owner}")),
        rights: vec![Right("CN=Domain Admins,CN=Users,DC=acme".into())],
        reason: "#4711 it's \"down\"".into(),
        ticket: serde_json::from_value(json!({"number": "4711", "summary": "Outlook"})).ok(),
        requested_at: at(0),
        from: at(1),
        until: at(3_601),
        whole: None,
        latest_end: at(7_201),
        active_at: Some(at(2)),
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 0,
    }
}
