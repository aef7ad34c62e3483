//! Tests of the ledger in real files, by subject; here is what they share.

mod commits;
mod crashes;
mod events;
mod interleavings;
mod notes;
mod opening;
mod parts;
mod places;
mod salvaging;
mod tampering;
mod tokens;

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_protocol::api::{Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};

use super::SqliteLedger;
use crate::{Change, Ledger, NewAudit};

/// A private folder for one test; gone with it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn ledger(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    fn key(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.key")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.sqlite-wal")
    }

    /// Leaves this log there, and of its ledger nothing, or an empty file.
    fn keep_only_the_log(&self, log: &[u8], empty: bool) {
        if empty {
            fs::write(self.ledger(), "").unwrap();
        } else {
            fs::remove_file(self.ledger()).unwrap();
        }
        fs::write(self.log(), log).unwrap();
    }

    fn open(&self) -> SqliteLedger {
        SqliteLedger::open(&self.ledger(), &self.key()).unwrap()
    }

    /// What the sentence says when the ledger cannot be opened.
    fn refusal(&self) -> String {
        SqliteLedger::open(&self.ledger(), &self.key()).unwrap_err().to_string()
    }

    /// A connection of somebody else, without any of the ledger's care.
    fn stranger(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.ledger()).unwrap()
    }
}

/// A ledger with one record, closed.
fn closed() -> Place {
    let place = Place::new();
    runtime().block_on(place.open().commit(note(None, 0))).unwrap();
    place
}

/// What is said to be wrong with it.
fn damage(place: &Place) -> Vec<String> {
    SqliteLedger::damage(&place.ledger(), &place.key()).iter().map(ToString::to_string).collect()
}

/// A runtime like the broker's, for tests that block in between.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// `seconds` after an arbitrary beginning.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045, 123_456_789).unwrap() + TimeDelta::seconds(seconds)
}

fn technician(name: &str) -> TechnicianId {
    TechnicianId::new(name).unwrap()
}

fn account(owner: &str) -> Account {
    Account {
        key: AccountKey(format!("acme-ad/dedicated/{owner}")),
        directory: DirectoryId::new("acme-ad").unwrap(),
        mode: Mode::Dedicated,
        technician: technician(owner),
        name: format!("jit-{owner}"),
        identity: None,
        display_name: Some(format!("ACME\\jit-{owner}")),
        token: "b3f1".to_owned(),
        password_generation: 3,
        standing: vec![Right("CN=Büro \\, \"A\",DC=acme".to_owned())],
        settled: false,
        attempts: 2,
        next_try: Some(at(5)),
        gone: false,
        version: 0,
    }
}

fn session(id: &str, owner: &str) -> Session {
    Session {
        id: SessionId::new(id).unwrap(),
        state: State::Activating,
        technician: technician(owner),
        customer: CustomerId::new("acme").unwrap(),
        directory: DirectoryId::new("acme-ad").unwrap(),
        policy: PolicyId::new("acme-domain-admin").unwrap(),
        policy_name: "Domain Admin".to_owned(),
        mode: Mode::Dedicated,
        account: account(owner).key,
        rights: vec![Right("CN=Domain Admins,CN=Users,DC=acme".to_owned())],
        reason: "#4711 it's \"down\" — für alle".to_owned(),
        ticket: Some(serde_json::from_value(json!({"number": "4711", "summary": "Outlook"})).unwrap()),
        requested_at: at(0),
        from: at(1),
        until: at(3_601),
        whole: None,
        latest_end: at(7_201),
        active_at: None,
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 0,
    }
}

fn record(customer: Option<&str>, action: &'static str) -> NewAudit {
    NewAudit {
        customer: customer.map(|id| CustomerId::new(id).unwrap()),
        action,
        actor: "broker".to_owned(),
        outcome: "ok",
        details: [("technician", json!("tech1")), ("reason", json!("ünï\n\"x\""))].into(),
    }
}

/// A change that only leaves one record.
fn note(customer: Option<&str>, seconds: i64) -> Change {
    Change {
        name: "ledger.note",
        at: at(seconds),
        audit: vec![record(customer, "directory.step")],
        ..Change::default()
    }
}
