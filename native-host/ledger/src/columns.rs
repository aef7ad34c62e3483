//! What the columns of every ledger hold: their order, and times, words, lists and numbers as text or integers, both ways.
//! Both databases keep the very same texts, so that what is copied from one to the other keeps its hashes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{LedgerError, failure};

/// Columns of a session in the order of every reader.
pub(crate) const SESSION: &str = r#"id, state, technician, customer, directory, policy, policy_name, mode, account, rights, reason, ticket, requested_at, "from", until, latest_end, active_at, end_cause, ended_at, trouble, version, whole"#;

/// Columns of an account in the order of every reader.
pub(crate) const ACCOUNT: &str = "key, directory, mode, technician, name, identity, display_name, token, password_generation, standing, settled, attempts, next_try, version, gone";

/// Columns of a note in the order of every reader.
pub(crate) const NOTE: &str = "mark, session, psa, ticket, text, next_try, at, attempts, sending";

/// A time as text of one width, so that texts sort as times do.
pub(crate) fn time_text(at: DateTime<Utc>) -> Result<String, LedgerError> {
    let text = at.to_rfc3339_opts(SecondsFormat::Nanos, true);
    if text.len() == "2026-01-02T03:04:05.000000000Z".len() && text.starts_with(|c: char| c.is_ascii_digit())
    {
        Ok(text)
    } else {
        Err(LedgerError::Unavailable(format!("it keeps times of the years 0 to 9999 only, not {text}")))
    }
}

/// The time that a text of the ledger says.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, LedgerError> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|error| failure::unreadable(&format!("the time {text:?}"), error))
}

/// The word that a state, mode or cause has on the wire.
pub(crate) fn word(value: &impl Serialize) -> Result<String, LedgerError> {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => Ok(word),
        Ok(other) => Err(failure::unreadable("a word", other)),
        Err(error) => Err(failure::unreadable("a word", error)),
    }
}

/// A list or record as JSON text.
pub(crate) fn json(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| failure::unreadable("a list", error))
}

/// A number as a database keeps it.
pub(crate) fn integer(number: u64) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|error| failure::unreadable("a number", error))
}

/// What such a word stands for.
pub(crate) fn from_word<T: DeserializeOwned>(word: String) -> Result<T, LedgerError> {
    serde_json::from_value(Value::String(word)).map_err(|error| failure::unreadable("a word", error))
}

/// What such a text holds.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| failure::unreadable("a list", error))
}
