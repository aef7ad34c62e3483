//! The pipe: who serves it, and who is believed.

use std::time::{Duration, Instant};

use crate::machine::{Machine, seen};

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_second_broker_is_refused_on_the_same_state_and_on_the_same_pipe() {
    let machine = Machine::new();
    let _broker = machine.broker();
    assert!(machine.refusal(&["broker"]).contains("another broker already runs"));
    let said = machine.refusal(&["broker", "--state", &seen(&machine.path("other-state"))]);
    assert!(said.contains("another broker serves it"), "{said}");
    assert!(machine.run(&["status"]).status.success(), "the first goes on");
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_pipe_of_another_user_is_not_believed_and_no_broker_joins_it() {
    let machine = Machine::new();
    let _other = machine.other(&["serve", &machine.pipe(), "O:S-1-5-21-9-9-9-1000D:(A;;GA;;;WD)"]);
    let said = machine.refusal(&["status"]);
    assert!(said.contains("it belongs to another user (S-1-5-21-9-9-9-1000)"), "{said}");
    assert!(machine.refusal(&["broker"]).contains("another broker serves it"));
    let said = String::from_utf8(machine.run(&["doctor"]).stdout).unwrap();
    assert!(said.contains("S-1-5-21-9-9-9-1000"), "{said}");
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_pipe_of_the_system_is_believed() {
    let machine = Machine::new();
    let _other = machine.other(&["serve", &machine.pipe(), "O:SYD:(A;;GA;;;WD)"]);
    let mut asked = machine.command(&["status"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(asked.try_wait().unwrap().is_none(), "it waits for an answer");
    asked.kill().unwrap();
    asked.wait().unwrap();
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn callers_that_say_nothing_hold_up_nobody() {
    let machine = Machine::new();
    let _broker = machine.broker();
    let _silent = machine.other(&["silent", &machine.pipe(), "100"]);
    let began = Instant::now();
    assert!(machine.run(&["status"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
