//! The requests of the broker's API that tests make over and over, and the waiting for what it says.

use super::Product;
use crate::Result;
use crate::http::Response;
use crate::patience::{LIMIT, wait_for};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

/// A wish that the standard configuration grants: an hour at `acme`, for ticket 4711.
pub fn wish(policy: &str) -> Value {
    json!({
        "customer": "acme", "policy": policy, "duration_s": 3600,
        "reason": "#4711 Outlook crashes on start", "ticket": {"number": "4711"},
    })
}

/// The reason on the command line.
pub const REASON: [&str; 2] = ["--reason", "#4711 Outlook crashes on start"];

/// An idempotency key that no other request has.
pub fn new_key() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-key-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Product {
    /// Sends a wish; a refusal is an answer.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ask_for(&self, wish: &Value) -> Result<Response> {
        self.api("POST", "/v1/sessions", Some(&new_key()), wish)
    }

    /// Sends a wish that is granted, and answers the session's id.
    ///
    /// # Errors
    /// It is refused; the sentence shows why.
    pub fn granted(&self, wish: &Value) -> Result<String> {
        let answer = self.ask_for(wish)?;
        let session = answer.json()?;
        match (answer.status, session.get("state"), session.get("id").and_then(Value::as_str)) {
            (200..300, Some(state), Some(id)) if state == "active" => Ok(id.to_owned()),
            _ => bail!("not granted ({}): {session}", answer.status),
        }
    }

    /// A session as the broker shows it now.
    ///
    /// # Errors
    /// There is none, or nobody answers.
    pub fn session(&self, id: &str) -> Result<Value> {
        let answer = self.api("GET", &format!("/v1/sessions/{id}"), None, &Value::Null)?;
        match answer.status {
            200 => answer.json(),
            status => bail!("no session {id} ({status}): {}", answer.text()),
        }
    }

    /// Waits until a session is in a state: `active`, `ending`, `ended`, `failed`.
    ///
    /// # Errors
    /// It never is; the sentence shows the session.
    pub fn session_becomes(&self, id: &str, state: &str) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait_for(&format!("the session to be {state}"), LIMIT, || {
            last = self.session(id)?;
            Ok((last.get("state") == Some(&json!(state))).then(|| last.clone()))
        });
        found.with_context(|| format!("it is {last}"))
    }

    /// Every session of the technician, past ones too, newest first.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn sessions(&self) -> Result<Vec<Value>> {
        let mut sessions = list(&self.api("GET", "/v1/sessions?open=false", None, &Value::Null)?)?;
        // Ids sort by the time of their request; the broker lists by the end.
        sessions.sort_by(|a, b| b["id"].as_str().cmp(&a["id"].as_str()));
        Ok(sessions)
    }

    /// The audit log that the caller may read, oldest first.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn audit(&self) -> Result<Vec<Value>> {
        let mut records = list(&self.api("GET", "/v1/audit?limit=500", None, &Value::Null)?)?;
        records.sort_by_key(|record| record.get("position").and_then(Value::as_u64));
        Ok(records)
    }

    /// What the audit log says was done about a session, oldest first: `activation.requested`, `activation.granted` …
    ///
    /// # Errors
    /// Nobody answers.
    pub fn actions(&self, session: &str) -> Result<Vec<String>> {
        let about = |record: &&Value| record.pointer("/details/session") == Some(&json!(session));
        let action = |record: &Value| Some(record.get("action")?.as_str()?.to_owned());
        Ok(self.audit()?.iter().filter(about).filter_map(action).collect())
    }
}

fn list(answer: &Response) -> Result<Vec<Value>> {
    match (answer.status, answer.json()?) {
        (200, Value::Array(items)) => Ok(items),
        (status, other) => bail!("no list ({status}): {other}"),
    }
}
