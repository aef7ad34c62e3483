//! The ledger's reads. Nothing is written here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::types::Value as Parameter;
use rusqlite::{Connection, OptionalExtension, Params, Row, params_from_iter};
use serde_json::Value;
use ticketgate_access::session::{Account, AccountKey, Session};
use ticketgate_protocol::api::{AuditRecord, State};
use ticketgate_protocol::ids::{DirectoryId, IdempotencyKey, PsaId, SessionId, TechnicianId};

use super::rows::{self, ACCOUNT, NOTE, SESSION, integer, time, time_text};
use crate::chain::Hash;
use crate::{
    Answered, AuditQuery, Given, LedgerError, Mark, NoteQueue, OnTicket, SessionFilter, Standing,
    WaitingNote, failure,
};

/// Sessions that are not over. The same as `is_not_over` says of a change's sessions.
const OPEN: &str = "state IN ('pending', 'approved', 'activating', 'active', 'ending')";

/// What an audit query without a limit answers at most.
const AUDIT_LIMIT: u32 = 1_000;

pub(super) fn session(connection: &Connection, id: &SessionId) -> Result<Option<Session>, LedgerError> {
    let sql = format!("SELECT {SESSION} FROM sessions WHERE id = ?1");
    Ok(all(connection, &sql, [id.as_str()], rows::session)?.pop())
}

pub(super) fn sessions(connection: &Connection, filter: &SessionFilter) -> Result<Vec<Session>, LedgerError> {
    let mut wanted = Conditions::default();
    if let Some(technician) = &filter.technician {
        wanted.and("technician = ?", [technician.as_str().to_owned().into()]);
    }
    if let Some(customer) = &filter.customer {
        wanted.and("customer = ?", [customer.as_str().to_owned().into()]);
    }
    if let Some(account) = &filter.account {
        wanted.and("account = ?", [account.0.clone().into()]);
    }
    if filter.open {
        wanted.and(OPEN, []);
    }
    if let Some(state) = &filter.state {
        wanted.and("state = ?", [rows::word(state)?.into()]);
    }
    if let Some(since) = filter.over_since {
        wanted.and("ended_at > ?", [time_text(since)?.into()]);
    }
    let limit = filter.limit.map_or(-1, i64::from);
    let sql = format!("SELECT {SESSION} FROM sessions{} ORDER BY until, id LIMIT {limit}", wanted.sql);
    all(connection, &sql, params_from_iter(wanted.parameters), rows::session)
}

pub(super) fn account(
    connection: &mut Connection,
    key: &AccountKey,
) -> Result<Option<(Account, Vec<Session>)>, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let sql = format!("SELECT {ACCOUNT} FROM accounts WHERE key = ?1");
    let Some(account) = all(&snapshot, &sql, [&key.0], rows::account)?.pop() else { return Ok(None) };
    let sql = format!("SELECT {SESSION} FROM sessions WHERE account = ?1 AND {OPEN} ORDER BY until, id");
    let sessions = all(&snapshot, &sql, [&key.0], rows::session)?;
    Ok(Some((account, sessions)))
}

pub(super) fn parts(
    connection: &mut Connection,
    whole: &SessionId,
) -> Result<Vec<(Session, Account)>, LedgerError> {
    let snapshot = connection.transaction().map_err(failure::database)?;
    let sql = format!(
        "SELECT {SESSION} FROM sessions WHERE whole = ?1 OR (id = ?1 AND whole IS NULL) ORDER BY rowid"
    );
    let mut parts = Vec::new();
    for session in all(&snapshot, &sql, [whole.as_str()], rows::session)? {
        let sql = format!("SELECT {ACCOUNT} FROM accounts WHERE key = ?1");
        let account = all(&snapshot, &sql, [&session.account.0], rows::account)?.pop();
        parts.extend(account.map(|account| (session, account)));
    }
    Ok(parts)
}

pub(super) fn accounts(connection: &Connection) -> Result<Vec<Account>, LedgerError> {
    all(connection, &format!("SELECT {ACCOUNT} FROM accounts ORDER BY key"), [], rows::account)
}

pub(super) fn marks(connection: &Connection) -> Result<Vec<Mark>, LedgerError> {
    let sql = format!(
        "SELECT key, mode, token, identity,
             settled AND NOT EXISTS (SELECT 1 FROM sessions WHERE account = accounts.key AND {OPEN})
         FROM accounts"
    );
    all(connection, &sql, [], rows::mark)
}

/// One pass over the open sessions, and one over the accounts.
pub(super) fn standings(connection: &Connection) -> Result<Vec<Standing>, LedgerError> {
    let sql = format!(
        "WITH open AS (
             SELECT account, min(CASE WHEN state IN ('activating', 'active') THEN until END) AS first_end
             FROM sessions WHERE {OPEN} GROUP BY account)
         SELECT key, directory, settled, open.account IS NOT NULL, first_end
         FROM accounts LEFT JOIN open ON open.account = key
         WHERE NOT settled OR mode != 'burner' OR open.account IS NOT NULL ORDER BY key"
    );
    all(connection, &sql, [], rows::standing)
}

pub(super) fn given(connection: &Connection) -> Result<Vec<Given>, LedgerError> {
    let sql = format!("SELECT DISTINCT technician, directory, rights FROM sessions WHERE {OPEN}");
    all(connection, &sql, [], rows::given)
}

pub(super) fn on_tickets(connection: &Connection) -> Result<Vec<OnTicket>, LedgerError> {
    let sql = "SELECT id, coalesce(whole, id), policy, ticket FROM sessions
         WHERE state = 'active' AND ticket IS NOT NULL AND end_cause IS NULL ORDER BY until, id";
    all(connection, sql, [], rows::on_ticket)
}

pub(super) fn open_by_directory(connection: &Connection) -> Result<BTreeMap<DirectoryId, u64>, LedgerError> {
    let sql = format!("SELECT directory, count(*) FROM sessions WHERE {OPEN} GROUP BY directory");
    Ok(all(connection, &sql, [], rows::counted)?.into_iter().collect())
}

pub(super) fn open_by_state(connection: &Connection) -> Result<Vec<(DirectoryId, State, u64)>, LedgerError> {
    let sql =
        format!("SELECT directory, state, count(*) FROM sessions WHERE {OPEN} GROUP BY directory, state");
    all(connection, &sql, [], rows::counted_by_state)
}

/// The technician's rows that are not over: their ids, and those of the sessions that they are parts of.
pub(super) fn open_sessions(
    connection: &Connection,
    technician: &TechnicianId,
) -> Result<Vec<(String, String)>, LedgerError> {
    let sql = format!("SELECT id, coalesce(whole, id) FROM sessions WHERE technician = ?1 AND {OPEN}");
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    all(connection, &sql, [technician.as_str()], |row| read(row).map_err(failure::database))
}

pub(super) fn answered(
    connection: &Connection,
    technician: &TechnicianId,
    key: &IdempotencyKey,
) -> Result<Option<Answered>, LedgerError> {
    let sql = "SELECT request, session FROM requests WHERE technician = ?1 AND key = ?2";
    let read = |row: &Row<'_>| {
        let session: String = row.get(1).map_err(failure::database)?;
        Ok(Answered {
            request: row.get(0).map_err(failure::database)?,
            session: SessionId::new(session).map_err(|error| failure::unreadable("an id", error))?,
        })
    };
    Ok(all(connection, sql, [technician.as_str(), key.as_str()], read)?.pop())
}

pub(super) fn high_water(connection: &Connection) -> Result<Option<DateTime<Utc>>, LedgerError> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM facts WHERE name = 'high_water'", [], |row| row.get(0))
        .optional()
        .map_err(failure::database)?;
    text.map(|text| time(&text)).transpose()
}

pub(super) fn note_queues(connection: &Connection) -> Result<Vec<NoteQueue>, LedgerError> {
    let sql = "SELECT psa, count(*), min(at) FROM notes GROUP BY psa ORDER BY psa";
    all(connection, sql, [], rows::note_queue)
}

pub(super) fn next_note(connection: &Connection, psa: &PsaId) -> Result<Option<WaitingNote>, LedgerError> {
    let sql = format!(
        "SELECT {NOTE} FROM notes WHERE psa = ?1 AND NOT EXISTS (
             SELECT 1 FROM notes AS earlier WHERE earlier.session = notes.session AND earlier.position < notes.position)
         ORDER BY next_try, position LIMIT 1"
    );
    Ok(all(connection, &sql, [psa.as_str()], rows::note)?.pop())
}

pub(super) fn notes_sent(connection: &Connection) -> Result<u64, LedgerError> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM facts WHERE name = 'notes_sent'", [], |row| row.get(0))
        .optional()
        .map_err(failure::database)?;
    let count = text.map_or(Ok(0), |text| text.parse::<u64>());
    count.map_err(|error| failure::unreadable("the count of notes", error))
}

pub(super) fn audit(connection: &Connection, query: &AuditQuery) -> Result<Vec<AuditRecord>, LedgerError> {
    let mut wanted = Conditions::default();
    if let Some(chain) = &query.chain {
        wanted.and("chain = ?", [chain.clone().into()]);
    }
    if let Some(from) = query.from {
        wanted.and("at >= ?", [time_text(from)?.into()]);
    }
    if let Some(until) = query.until {
        wanted.and("at < ?", [time_text(until)?.into()]);
    }
    if let Some(technician) = &query.technician {
        let technician = technician.as_str().to_owned();
        wanted.and(
            "(actor = ? OR details ->> '$.technician' = ?)",
            [technician.clone().into(), technician.into()],
        );
    }
    if let Some(after) = query.after {
        wanted.and("position > ?", [integer(after)?.into()]);
    }
    if let Some(beginning) = query.actions {
        wanted.and(
            "substr(action, 1, length(?)) = ?",
            [beginning.to_owned().into(), beginning.to_owned().into()],
        );
    }
    let limit = if query.limit == 0 { AUDIT_LIMIT } else { query.limit };
    let order = if query.newest { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT position, chain, seq, at, action, actor, outcome, details, hash FROM audit{}
         ORDER BY position {order} LIMIT {limit}",
        wanted.sql
    );
    let mut records = all(connection, &sql, params_from_iter(wanted.parameters), audit_record)?;
    if query.newest {
        records.reverse();
    }
    Ok(records)
}

pub(super) fn integrity(connection: &Connection) -> Result<Vec<String>, LedgerError> {
    let mut found =
        all(connection, "PRAGMA quick_check", [], |row| row.get::<_, String>(0).map_err(failure::database))?;
    found.retain(|line| line != "ok");
    Ok(found)
}

fn audit_record(row: &Row<'_>) -> Result<AuditRecord, LedgerError> {
    let number = |column| {
        let number: i64 = row.get(column).map_err(failure::database)?;
        u64::try_from(number).map_err(|error| failure::unreadable("a record's position", error))
    };
    let text = |column| row.get::<_, String>(column).map_err(failure::database);
    let details = text(7)?;
    Ok(AuditRecord {
        position: number(0)?,
        chain: text(1)?,
        seq: number(2)?,
        at: time(&text(3)?)?,
        action: text(4)?,
        actor: text(5)?,
        outcome: text(6)?,
        // Details that somebody spoilt are shown as they are; `verify` names the record.
        details: serde_json::from_str(&details).unwrap_or(Value::String(details)),
        hash: hex::encode(row.get::<_, Hash>(8).map_err(failure::database)?),
    })
}

/// `WHERE` with as many conditions as were asked for.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter>,
}

impl Conditions {
    pub(super) fn and<const N: usize>(&mut self, condition: &str, parameters: [Parameter; N]) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.parameters.extend(parameters);
    }
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, LedgerError>,
) -> Result<Vec<T>, LedgerError> {
    let mut statement = connection.prepare_cached(sql).map_err(failure::database)?;
    let mut rows = statement.query(parameters).map_err(failure::database)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failure::database)? {
        found.push(read(row)?);
    }
    Ok(found)
}
