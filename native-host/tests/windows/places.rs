//! Files that others can use, a broker that is started by the first request, and the service.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{Machine, program, seen, wine};

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn what_others_can_use_is_refused_with_the_command_that_closes_it() {
    let machine = Machine::new();
    machine.broker().kill();
    machine.set_mode("state/ledger.sqlite", 0o644);
    let said = machine.refusal(&["broker"]);
    assert!(said.contains("can be used by other users (S-1-1-0); run: icacls"), "{said}");
    machine.set_mode("state/ledger.sqlite", 0o600);
    machine.set_mode("state", 0o755);
    let said = machine.refusal(&["broker"]);
    assert!(said.contains("the state folder") && said.contains("can be used by other users"), "{said}");
    machine.set_mode("state", 0o700);
    machine.broker().kill();
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_configuration_that_others_can_change_grants_nothing() {
    let machine = Machine::new();
    machine.set_mode("ticketgate.toml", 0o666);
    let _broker = machine.broker();
    let said = machine.refusal(&["activate", "admin", "--reason", "the disk is full"]);
    assert!(said.contains("no valid configuration"), "{said}");
    assert!(fs::read_to_string(machine.path("log")).unwrap().contains("can be changed by other users"));
    assert_eq!(machine.calls(), Vec::<String>::new());
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn the_first_request_starts_a_broker() {
    let machine = Machine::new();
    let mut command = machine.command(&["activate", "admin", "--reason", "the disk is full"]);
    // Wine itself hands on its own standard error, whatever the program says; standard output has to come to its end.
    let done = command.env("TICKETGATE_START", "").stderr(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let log = fs::read_to_string(machine.path("state/broker.log")).unwrap();
    assert!(log.contains("the broker is ready"), "{log}");
    assert_eq!(machine.json(&["sessions"])[0]["state"], "active");
    end_those_of(&machine);
    assert!(machine.refusal(&["status"]).contains("No broker is running"));
}

/// Ends the broker that a request started: Wine made it nobody's child.
fn end_those_of(machine: &Machine) {
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let text = |what: &str| {
            String::from_utf8_lossy(&fs::read(process.path().join(what)).unwrap_or_default()).into_owned()
        };
        if text("cmdline").contains("--on-demand") && text("environ").contains(&machine.pipe()) {
            let ended = Command::new("kill").arg("-9").arg(process.file_name()).status().unwrap();
            assert!(ended.success());
        }
    }
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn the_service_manager_starts_and_stops_the_broker() {
    let machine = Machine::new();
    let of_wine = |words: &[&str]| {
        let (program, words) = words.split_first().unwrap();
        let done = wine(Path::new(program)).args(words).output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let command = format!(
        "\"{}\" --config {} --state {} --socket {} broker --service --for-everyone",
        seen(&program()),
        seen(&machine.path("ticketgate.toml")),
        seen(&machine.path("state")),
        machine.pipe()
    );
    // What a run that was broken off left.
    let _ = of_wine(&["sc", "delete", "ticketgate"]);
    let made = of_wine(&["sc", "create", "ticketgate", "binPath=", &command, "start=", "demand"]);
    assert!(made.0, "{made:?}");
    let started = of_wine(&["net", "start", "ticketgate"]);
    assert!(started.0 && started.1.contains("was started successfully"), "{started:?}");
    machine.until_it_answers();
    let log = || fs::read_to_string(machine.path("state/broker.log")).unwrap();
    assert!(log().contains("the broker is ready"));
    let stopped = of_wine(&["net", "stop", "ticketgate"]);
    assert!(stopped.0, "{stopped:?}: {}", log());
    assert!(machine.refusal(&["status"]).contains("No broker is running"));
    let removed = of_wine(&["sc", "delete", "ticketgate"]);
    assert!(removed.0, "{removed:?}");
}
