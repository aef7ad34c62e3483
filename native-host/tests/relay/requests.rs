//! Many requests at once: by id, out of order, within bounds, each carried out once.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fixture::{World, activation, golden};

#[test]
fn hello_tells_versions_and_the_broker() {
    let world = World::new();
    let _broker = world.broker();
    let welcome = world.relay().greet();
    assert_eq!(welcome["ok"]["protocol"], 1);
    assert_eq!(welcome["ok"]["host_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(welcome["ok"]["broker"], golden("reply.hello")["ok"]["broker"]);
}

#[test]
fn without_a_broker_hello_says_so_with_a_remedy() {
    let world = World::new();
    let welcome = world.relay().greet();
    assert_eq!(welcome["ok"]["broker_problem"]["code"], "broker_unreachable");
    assert!(!welcome["ok"]["broker_problem"]["remedy"].as_str().unwrap().is_empty());
}

#[test]
fn a_broker_that_hangs_is_named_before_the_extension_gives_up_this_program() {
    let world = World::new();
    let _hung = std::os::unix::net::UnixListener::bind(world.socket()).unwrap();
    let asked = Instant::now();
    let welcome = world.relay().greet();
    assert_eq!(welcome["ok"]["broker_problem"]["code"], "timed_out", "{welcome}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_slow_request_does_not_hold_up_the_next() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&activation("slow", "k1", "slow"));
    relay.send(&json!({"id": "fast", "method": "overview"}));
    assert_eq!(relay.reply()["id"], "fast");
    let slow = relay.reply();
    assert_eq!((&slow["id"], &slow["ok"]["session"]["id"]), (&json!("slow"), &json!("s-k1")));
}

#[test]
fn more_than_32_requests_at_once_are_refused_and_none_is_queued() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    for n in 0..33 {
        relay.send(&activation(&format!("r{n}"), &format!("k{n}"), "slow"));
    }
    let refused = relay.reply();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("r32"), &json!("rate_limited")));
    for _ in 0..32 {
        assert!(relay.reply()["ok"].is_object());
    }
    relay.send(&activation("r32", "k32", "work"));
    assert!(relay.reply()["ok"].is_object(), "there is room again");
}

#[test]
fn for_a_browser_that_does_not_read_no_more_is_asked_than_has_room_and_everything_is_answered_once_it_reads()
{
    let world = World::new();
    world.memory.notice.store(400 * 1024, Ordering::SeqCst);
    let _broker = world.broker();
    let mut relay = world.unread();
    relay.send(&golden("request.hello"));
    let asked = || world.memory.overviews.load(Ordering::SeqCst);
    for n in 0..60 {
        relay.send(&json!({"id": format!("o{n}"), "method": "overview"}));
        // Each is asked for, and its answer made, before the next comes: as long as there is room.
        let next = Instant::now() + Duration::from_millis(if asked() < n { 0 } else { 500 });
        while asked() <= n && Instant::now() < next {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!((31..=32).contains(&asked()), "{} were asked for", asked());
    let mut relay = relay.read();
    let answered: std::collections::BTreeSet<_> =
        (0..61).map(|_| relay.reply()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answered.len(), 61, "each once");
}

#[test]
fn an_id_under_way_is_not_taken_twice() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&activation("same", "k1", "slow"));
    relay.send(&json!({"id": "same", "method": "overview"}));
    assert_eq!(relay.reply()["error"]["code"], "malformed_request");
    assert!(relay.reply()["ok"]["session"].is_object());
    relay.send(&json!({"id": "same", "method": "overview"}));
    assert!(relay.reply()["ok"].is_object(), "afterwards it is free again");
}

#[test]
fn a_brokers_problem_arrives_as_it_is() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&golden("request.extend"));
    let reply = relay.reply();
    assert_eq!(reply["error"]["code"], "at_maximum");
    assert_eq!(reply["error"]["remedy"], "Activate anew.");
}

#[test]
fn a_ticket_is_looked_up_without_a_key() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&golden("request.ticket"));
    assert_eq!(relay.reply()["ok"], golden("reply.ticket")["ok"]);
    relay.send(&json!({"id": "2", "method": "ticket", "params": {"number": "3079"}}));
    assert_eq!(relay.reply()["error"]["code"], "malformed_request");
}

#[test]
fn an_answer_over_the_cap_becomes_a_problem_and_the_port_lives() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    world.memory.notice.store(600 * 1024, Ordering::SeqCst);
    relay.send(&json!({"id": "1", "method": "overview"}));
    let reply = relay.reply();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!("1"), &json!("too_large")));
    relay.send(&json!({"id": "2", "method": "preview", "params": golden("request.preview")["params"]}));
    assert_eq!(relay.reply()["ok"], golden("reply.preview")["ok"]);
}

#[test]
fn diagnose_answers_findings() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send(&json!({"id": "1", "method": "diagnose"}));
    let reply = relay.reply();
    let findings = reply["ok"]["findings"].as_array().unwrap();
    assert!(findings.iter().any(|f| f["subject"] == "broker" && f["level"] == "ok"), "{reply}");
    assert!(findings.iter().any(|f| f["subject"] == "configuration" && f["level"] == "error"), "{reply}");
}

#[test]
fn a_repeat_with_the_same_key_after_a_lost_broker_finds_the_first_result() {
    let world = World::new();
    let broker = world.broker();
    let mut relay = world.greeted();
    let started = Instant::now();
    relay.send(&activation("1", "k-lost", "die"));
    broker.wait_for_death_wish();
    drop(broker);
    let lost = relay.reply();
    assert_eq!(lost["error"]["code"], "broker_unreachable", "{lost}");
    assert!(started.elapsed() < Duration::from_secs(5), "it is said at once, not after the time limit");
    relay.send(&activation("2", "k-lost", "die"));
    assert_eq!(relay.reply()["error"]["code"], "broker_unreachable", "no broker yet");
    let _broker = world.broker();
    relay.send(&activation("3", "k-lost", "die"));
    let reply = relay.reply();
    assert_eq!(reply["ok"]["session"]["id"], "s-k-lost", "{reply}");
    assert_eq!(*world.memory.keys.lock().unwrap(), ["k-lost", "k-lost"]);
    assert_eq!(world.memory.sessions.lock().unwrap().len(), 1);
}
