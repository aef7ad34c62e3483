//! What the directory server itself says about who changed what: Samba's JSON audit lines, an independent witness.

use crate::Result;
use anyhow::Context;
use chrono::DateTime;
use serde_json::Value;
use std::time::SystemTime;

/// One change or one logon, as the server noted it.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// An entry was added, modified or deleted.
    Change(Change),
    /// A logon was tried.
    Logon(Logon),
}

/// A write to one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `Add`, `Modify`, `Delete` or `Rename`.
    pub operation: String,
    /// The entry.
    pub dn: String,
    /// Who did it: a SID, `S-1-5-18` for the server itself.
    pub actor: String,
    /// Whether it was done.
    pub done: bool,
    /// Names of the attributes in the write. All of one write appear in one record.
    pub attributes: Vec<String>,
    /// The server's clock, as it writes it; [`Change::time`] reads it.
    pub at: String,
    /// The record as it was written, with the values.
    pub raw: Value,
}

/// A simple bind over LDAP, or a Kerberos logon.
#[derive(Debug, Clone, PartialEq)]
pub struct Logon {
    /// The name that was tried.
    pub login: String,
    /// Whether the server let it in.
    pub accepted: bool,
    /// The server's clock (RFC 3339).
    pub at: String,
}

impl Change {
    /// When it was made.
    ///
    /// # Errors
    /// It carries no time.
    pub fn time(&self) -> Result<SystemTime> {
        // Not quite RFC 3339: `2026-11-26T03:02:18.123456+0000`.
        let at = DateTime::parse_from_str(&self.at, "%Y-%m-%dT%H:%M:%S%.f%z");
        Ok(at.with_context(|| format!("no time: {self:?}"))?.into())
    }
}

/// The server's own SID in [`Change::actor`].
pub const SYSTEM: &str = "S-1-5-18";

/// Reads the audit records out of a server's log; every other line is left out.
pub(super) fn records(log: &str) -> Vec<Record> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line.trim()).ok())
        .filter_map(|line| record(&line))
        .collect()
}

fn record(line: &Value) -> Option<Record> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = text(line.get("timestamp")?);
    if let Some(change) = line.get("dsdbChange") {
        let attributes = change.get("attributes").and_then(Value::as_object);
        return Some(Record::Change(Change {
            operation: text(change.get("operation")?),
            dn: text(change.get("dn")?),
            actor: text(change.get("userSid")?),
            done: change.get("statusCode")?.as_i64()? == 0,
            attributes: attributes.map(|all| all.keys().cloned().collect()).unwrap_or_default(),
            at,
            raw: change.clone(),
        }));
    }
    if let Some(password) = line.get("passwordChange") {
        return Some(Record::Change(Change {
            operation: text(password.get("action")?),
            dn: text(password.get("dn")?),
            actor: text(password.get("userSid")?),
            done: password.get("statusCode")?.as_i64()? == 0,
            attributes: vec!["unicodePwd".to_owned()],
            at,
            raw: password.clone(),
        }));
    }
    let logon = line.get("Authentication")?;
    let accepted = logon.get("status")?.as_str()? == "NT_STATUS_OK";
    Some(Record::Logon(Logon { login: text(logon.get("clientAccount")?), accepted, at }))
}
