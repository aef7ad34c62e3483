//! Sessions on the broker's own machine, over the pipe, with what the account library was told.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::machine::Machine;

const OWN: &str = "S-1-5-21-1000000001-1000000002-1000000003";

fn id(session: &Value) -> &str {
    session["id"].as_str().unwrap_or_else(|| panic!("{session}"))
}

/// When a session ends, in seconds since 1970.
fn end_of(session: &Value) -> i64 {
    DateTime::parse_from_rfc3339(session["expires_at"].as_str().unwrap()).unwrap().timestamp()
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_broker_opens_extends_and_ends_a_session_on_its_own_machine() {
    let machine = Machine::new();
    let _broker = machine.broker();
    let begun = machine.json(&["activate", "admin", "--reason", "the disk is full"]);
    assert_eq!(begun["state"], "active");
    assert_eq!(
        machine.calls(),
        [
            "NetUserAdd jit-tech1 flags 515 = 0".to_owned(),
            "NetUserSetInfo jit-tech1 expires 86400 = 0".into(),
            format!("NetLocalGroupAddMembers Administrators {OWN}-1001 0 = 0"),
            "NetUserSetInfo jit-tech1 password-closed 0 = 0".into(),
            "NetUserSetInfo jit-tech1 comment 0 = 0".into(),
            format!("NetUserSetInfo jit-tech1 expires {} = 0", end_of(&begun)),
            "NetUserSetInfo jit-tech1 flags 513 = 0".into(),
        ]
    );
    let told = String::from_utf8(machine.run(&["password", id(&begun)]).stdout).unwrap();
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("FILES1\\jit-tech1"));
    assert_eq!(lines.next().map(str::len), Some(24), "a password of the session");
    let later = machine.json(&["extend", id(&begun), "--by", "30m"]);
    assert_eq!(end_of(&later) - end_of(&begun), 30 * 60);
    assert_eq!(
        machine.calls().last().unwrap(),
        &format!("NetUserSetInfo jit-tech1 expires {} = 0", end_of(&later)),
        "then Windows ends it by itself"
    );
    assert_eq!(machine.json(&["end", id(&begun)])["state"], "ended");
    assert_eq!(
        machine.calls(),
        [
            "NetUserSetInfo jit-tech1 flags 515 = 0".to_owned(),
            "NetUserSetInfo jit-tech1 expires 86400 = 0".into(),
            format!("NetLocalGroupDelMembers Administrators {OWN}-1001 0 = 0"),
            "NetUserSetInfo jit-tech1 password-closed 0 = 0".into(),
            "NetUserSetInfo jit-tech1 comment 0 = 0".into(),
        ]
    );
    let verdict = machine.run(&["audit", "verify"]);
    assert!(verdict.status.success(), "{verdict:?}");
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_session_outlives_a_broker_that_is_killed_and_the_next_one_ends_it() {
    let machine = Machine::new();
    let broker = machine.broker();
    let begun = machine.json(&["activate", "burner", "--reason", "the printer"]);
    broker.kill();
    assert!(machine.refusal(&["status"]).contains("No broker is running"));
    machine.calls();
    let _next = machine.broker();
    let open = machine.json(&["sessions"]);
    assert_eq!((id(&open[0]), &open[0]["state"]), (id(&begun), &"active".into()));
    assert_eq!(machine.calls(), Vec::<String>::new(), "nothing of it is touched");
    assert_eq!(machine.json(&["end", id(&begun)])["state"], "ended");
    let calls = machine.calls();
    assert!(calls.first().unwrap().ends_with(" flags 515 = 0"), "{calls:?}");
    assert!(calls.contains(&format!("DeleteProfile {OWN}-1001")), "{calls:?}");
    assert!(calls.last().unwrap().starts_with("NetUserDel jit-tech1-"), "{calls:?}");
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn what_was_over_while_no_broker_ran_is_taken_away_by_the_next_one() {
    let machine = Machine::new();
    let broker = machine.broker();
    let begun = machine.json(&["activate", "admin", "--reason", "a minute", "--for", "1m"]);
    assert_eq!(begun["state"], "active");
    broker.kill();
    let left = end_of(&begun) + 1 - DateTime::<Utc>::from(std::time::SystemTime::now()).timestamp();
    std::thread::sleep(std::time::Duration::from_secs(left.max(0).unsigned_abs()));
    machine.calls();
    let _next = machine.broker();
    // It answers before it has taken everything away, and says so.
    let mut over = machine.json(&["sessions", "--past"]);
    for _ in 0..50 {
        if over[0]["state"] != "ending" {
            break;
        }
        over = machine.json(&["sessions", "--past"]);
    }
    assert_eq!((id(&over[0]), &over[0]["state"]), (id(&begun), &"ended".into()));
    let calls = machine.calls();
    assert!(calls.contains(&format!("NetLocalGroupDelMembers Administrators {OWN}-1001 0 = 0")), "{calls:?}");
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_check_asks_the_machine_and_says_what_it_is_told() {
    let machine = Machine::new();
    let _broker = machine.broker();
    let findings = machine.json(&["check"]);
    let has = |level: &str, text: &str| {
        let mut all = findings.as_array().unwrap().iter();
        let found = all.any(|one| one["level"] == level && one["text"].as_str().unwrap().contains(text));
        assert!(found, "{text}: {findings}");
    };
    has("ok", "its own side answers");
    has("ok", "its own side acts as an administrator");
    has("ok", "group:S-1-5-32-555 is the group Remote Desktop Users");
    has("warning", "no task of the machine ends what is over");
}
