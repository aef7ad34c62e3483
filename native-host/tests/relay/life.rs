//! The port's life: its end, the broker's events, the broker's restarts.

use std::time::Duration;

use serde_json::json;

use crate::fixture::{World, activation, golden};

/// The browser kills a host that lives longer after its port closed (Chromium, `NativeProcessLauncher`).
const KILLED_AFTER: Duration = Duration::from_secs(2);

#[test]
fn the_end_of_the_port_ends_the_relay_before_the_browser_would_kill_it() {
    let world = World::new();
    let _broker = world.broker();
    let relay = world.greeted();
    let (status, took) = relay.close();
    assert!(status.success());
    assert!(took < KILLED_AFTER, "{took:?}");
}

#[test]
fn a_request_that_hangs_does_not_keep_the_relay() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&activation("1", "k1", "hang"));
    crate::fixture::wait_for("the request", || !world.memory.keys.lock().unwrap().is_empty());
    let (status, took) = relay.close();
    assert!(status.success());
    assert!(took < KILLED_AFTER, "{took:?}");
}

#[test]
fn the_whole_binary_is_the_same_relay_where_it_stands_alone() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.whole_binary();
    assert_eq!(relay.greet(), world.relay().greet());
    assert!(relay.close().0.success());
}

#[test]
fn the_relays_own_binary_says_of_what_version_it_is() {
    let said =
        std::process::Command::new(env!("CARGO_BIN_EXE_ticketgate-relay")).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("ticketgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_connection_that_a_restarted_broker_closed_is_not_asked_again() {
    let world = World::new();
    let broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&json!({"id": "1", "method": "overview"}));
    assert!(relay.reply()["ok"].is_object());
    drop(broker);
    relay.event("resync");
    let _broker = world.broker();
    relay.send(&json!({"id": "2", "method": "overview"}));
    let reply = relay.reply();
    assert!(reply["ok"].is_object(), "{reply}");
}

#[test]
fn a_port_that_never_said_a_word_ends_in_order() {
    let world = World::new();
    let _broker = world.broker();
    assert!(world.relay().close().0.success());
}

#[test]
fn the_brokers_events_are_passed_on_as_they_are() {
    let world = World::new();
    let broker = world.broker();
    let mut relay = world.greeted();
    let event = golden("event.session");
    broker.send_event(event.clone());
    assert_eq!(relay.event("session"), event);
    broker.send_event(json!({"event": "something_newer", "data": {"a": 1}}));
    broker.send_event(json!({"event": "overview", "data": null}));
    assert_eq!(relay.frame()["event"], "overview", "what is not known is left out");
}

#[test]
fn after_a_restart_of_the_broker_the_extension_is_told_to_ask_again() {
    let world = World::new();
    let broker = world.broker();
    let mut relay = world.greeted();
    broker.send_event(golden("event.session"));
    relay.event("session");
    drop(broker);
    relay.event("resync");
    let broker = world.broker();
    relay.event("resync");
    broker.send_event(golden("event.session.ended"));
    assert_eq!(relay.event("session"), golden("event.session.ended"));
}
