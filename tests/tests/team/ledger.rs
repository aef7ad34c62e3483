//! The team's ledger, by plain SQL at the database's own socket.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;
use ticketgate_tests::postgres::Pair;

/// A session as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) technician: String,
    pub(crate) policy: String,
    /// The logon name of its account.
    pub(crate) account: String,
    /// The DNs of its groups, sorted.
    pub(crate) rights: Vec<String>,
    pub(crate) requested: SystemTime,
    pub(crate) until: SystemTime,
    pub(crate) active: Option<SystemTime>,
    pub(crate) ended: Option<SystemTime>,
    pub(crate) cause: Option<String>,
}

/// Every session that a condition finds, the oldest first.
pub(crate) fn sessions(db: &Pair, condition: &str) -> Result<Vec<Row>> {
    let found = db.sql(&format!(
        "SELECT s.id, s.state, s.technician, s.policy, a.name AS account, s.rights, s.requested_at, s.until, s.active_at,
                s.ended_at, s.end_cause
           FROM sessions s JOIN accounts a ON a.key = s.account WHERE {condition} ORDER BY s.id"
    ))?;
    found
        .iter()
        .map(|row| read(row).with_context(|| format!("a session that cannot be read: {row}")))
        .collect()
}

fn read(row: &Value) -> Result<Row> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let needed = |name: &str| text(name).with_context(|| format!("no {name}"));
    let at = |name: &str| text(name).map(|text| time(&text)).transpose();
    let mut rights: Vec<String> = match row.get("rights") {
        Some(Value::String(json)) => serde_json::from_str(json)?,
        Some(other) => serde_json::from_value(other.clone())?,
        None => Vec::new(),
    };
    rights.sort();
    Ok(Row {
        id: needed("id")?,
        state: needed("state")?,
        technician: needed("technician")?,
        policy: needed("policy")?,
        account: needed("account")?,
        requested: at("requested_at")?.context("no requested_at")?,
        until: at("until")?.context("no until")?,
        active: at("active_at")?,
        ended: at("ended_at")?,
        cause: text("end_cause"),
        rights,
    })
}

/// A time as the ledger writes it.
pub(crate) fn time(text: &str) -> Result<SystemTime> {
    let time: chrono::DateTime<chrono::Utc> = text.parse().with_context(|| format!("no time: {text}"))?;
    Ok(time.into())
}

/// When a session's end was begun, by the audit log.
pub(crate) fn ending_since(db: &Pair, session: &str) -> Result<Option<SystemTime>> {
    Ok(recorded(db, "session.ending", session)?.first().copied())
}

/// When a session was extended last, by the audit log.
pub(crate) fn extended(db: &Pair, session: &str) -> Result<Option<SystemTime>> {
    Ok(recorded(db, "session.extended", session)?.last().copied())
}

fn recorded(db: &Pair, action: &str, session: &str) -> Result<Vec<SystemTime>> {
    let found = db.sql(&format!(
        "SELECT at FROM audit WHERE action = '{action}' AND details::json ->> 'session' = '{session}' ORDER BY at"
    ))?;
    found.iter().filter_map(|row| row.get("at")?.as_str().map(time)).collect()
}

/// The number of each technician's last event.
pub(crate) fn last_events(db: &Pair) -> Result<BTreeMap<String, u64>> {
    let found = db.sql("SELECT technician, last_event FROM technicians")?;
    let read =
        |row: &Value| Some((row.get("technician")?.as_str()?.to_owned(), row.get("last_event")?.as_u64()?));
    found.iter().map(|row| read(row).with_context(|| format!("a count that cannot be read: {row}"))).collect()
}
