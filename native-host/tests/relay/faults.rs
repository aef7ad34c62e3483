//! What faulty input gets: a stable code with a remedy, and nothing lost that was well formed.

use serde_json::json;

use crate::fixture::World;

#[test]
fn a_faulty_frame_is_answered_with_its_code_and_the_port_goes_on() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    let table: [(&[u8], &str, &str); 6] = [
        (&[0xff, 0xfe, 0x00], "", "malformed_request"),
        (b"", "", "malformed_request"),
        (b"{\"id\":\"1\",", "", "malformed_request"),
        (b"{\"id\":\"1\",\"method\":\"run_command\"}", "1", "unknown_method"),
        (b"{\"id\":\"2\",\"method\":\"overview\",\"path\":\"/etc\"}", "2", "malformed_request"),
        (b"{\"id\":\"3\",\"method\":\"end\",\"params\":{\"session\":\"s-1\"}}", "3", "malformed_request"),
    ];
    for (body, id, code) in table {
        relay.send_frame(body);
        let reply = relay.reply();
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(id), &json!(code)));
        assert!(!reply["error"]["remedy"].as_str().unwrap_or_default().is_empty(), "{reply}");
    }
    relay.send(&json!({"id": "9", "method": "overview"}));
    assert_eq!(relay.reply()["ok"]["technician"], "tech1");
    assert!(relay.close().0.success());
}

#[test]
fn a_frame_that_is_too_long_is_refused_and_the_port_ends() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send_bytes(&(64 * 1024 + 1_u32).to_ne_bytes());
    let error = relay.reply()["error"].clone();
    assert_eq!(error["code"], "too_large");
    assert!(!error["remedy"].as_str().unwrap_or_default().is_empty(), "{error}");
    let (status, _) = relay.wait();
    assert_eq!(status.code(), Some(1), "it ends by itself, and in order");
}

#[test]
fn a_cut_frame_is_said_and_the_port_ends() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.greeted();
    relay.send_bytes(&[&100_u32.to_ne_bytes()[..], b"{\"id\":"].concat());
    relay.close_input();
    let error = relay.reply()["error"].clone();
    assert_eq!(error["code"], "frame_cut");
    assert!(!error["remedy"].as_str().unwrap_or_default().is_empty(), "{error}");
    assert_eq!(relay.wait().0.code(), Some(1));
}

#[test]
fn another_extension_is_turned_away() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.relay_for("chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", &[]);
    let reply = relay.frame();
    assert_eq!(reply["error"]["code"], "origin_refused");
    assert_eq!(relay.wait().0.code(), Some(1));
}

#[test]
fn nothing_is_done_before_hello_and_hello_is_said_once() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.relay();
    relay.send(&crate::fixture::activation("1", "k1", "work"));
    assert_eq!(relay.reply()["error"]["code"], "hello_first");
    assert!(world.memory.keys.lock().unwrap().is_empty());
    relay.greet();
    let again = relay.greet();
    assert_eq!(again["error"]["code"], "malformed_request");
}

#[test]
fn a_version_gap_says_which_side_to_update() {
    let world = World::new();
    let _broker = world.broker();
    let mut relay = world.relay();
    let hello = |id: &str, min: u32, max: u32| {
        json!({"id": id, "method": "hello",
               "params": {"protocol_min": min, "protocol_max": max, "extension_version": "9", "newer_field": 1}})
    };
    relay.send(&hello("1", 90, 91));
    let newer = relay.reply();
    assert_eq!(newer["error"]["code"], "protocol_mismatch");
    assert!(newer["error"]["remedy"].as_str().unwrap().contains("host"));
    relay.send(&hello("2", 0, 0));
    assert!(relay.reply()["error"]["remedy"].as_str().unwrap().contains("extension"));
    relay.send(&hello("3", 1, 91));
    assert_eq!(relay.reply()["ok"]["protocol"], 1, "a newer extension that still speaks ours is welcome");
}
