//! Tests that every ledger has to pass, whatever it is kept in, and what all tests of ledgers share. Each file of `suite` is
//! compiled once for each kind of ledger.

mod on_postgres;
mod on_sqlite;

pub(crate) use chrono::{DateTime, TimeDelta, Utc};
pub(crate) use serde_json::json;
pub(crate) use ticketgate_access::session::{Account, AccountKey, Right, Session};
pub(crate) use ticketgate_protocol::api::{Mode, State};
pub(crate) use ticketgate_protocol::ids::{CustomerId, DirectoryId, PolicyId, SessionId, TechnicianId};

pub(crate) use crate::{Change, Ledger, NewAudit};

/// A runtime like the broker's, for tests that block in between.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// `seconds` after an arbitrary beginning.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045, 123_456_789).unwrap() + TimeDelta::seconds(seconds)
}

pub(crate) fn technician(name: &str) -> TechnicianId {
    TechnicianId::new(name).unwrap()
}

pub(crate) fn account(owner: &str) -> Account {
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

pub(crate) fn session(id: &str, owner: &str) -> Session {
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

pub(crate) fn record(customer: Option<&str>, action: &'static str) -> NewAudit {
    NewAudit {
        customer: customer.map(|id| CustomerId::new(id).unwrap()),
        action,
        actor: "broker".to_owned(),
        outcome: "ok",
        details: [("technician", json!("tech1")), ("reason", json!("ünï\n\"x\""))].into(),
    }
}

/// A change that only leaves one record.
pub(crate) fn note(customer: Option<&str>, seconds: i64) -> Change {
    Change {
        name: "ledger.note",
        at: at(seconds),
        audit: vec![record(customer, "directory.step")],
        ..Change::default()
    }
}

pub(crate) fn elsewhere() -> Account {
    let key = AccountKey("acme-entra/dedicated/tech1".to_owned());
    Account { key, directory: DirectoryId::new("acme-entra").unwrap(), ..account("tech1") }
}

/// A session in two directories.
pub(crate) fn in_two(id: &str) -> Vec<Session> {
    let whole = Some(SessionId::new(id).unwrap());
    let first = Session { whole: whole.clone(), ..session(id, "tech1") };
    // Its id sorts before the first's: the order is that of their making.
    let second = Session { whole, account: elsewhere().key, ..session(&format!("a-{id}"), "tech1") };
    vec![first, second]
}
