//! The golden frames of `protocol/golden/`: every file is read by the type that it stands for and written back the same.
//! The relay's tests read the same files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic: that is how it fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use ticketgate_protocol::api::{Event, Overview, Preview, Session, TicketTold};
use ticketgate_protocol::native::{
    Activated, Clipboard, Diagnosis, Frame, Method, Request, SignedIn, Welcome,
};
use ticketgate_protocol::tree::{FromJson, ToTree};

fn golden() -> Vec<(String, Value)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/golden"));
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// As native programs read and write it.
fn by_serde<T: serde::de::DeserializeOwned + serde::Serialize>(name: &str, value: &Value) -> Value {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::to_value(&read).unwrap()
}

/// As the core and native programs read and write it, which has to be the same.
fn again<T>(name: &str, value: &Value) -> Value
where
    T: serde::de::DeserializeOwned + serde::Serialize + FromJson + ToTree + PartialEq + std::fmt::Debug,
{
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(T::parse(&value.to_string()).as_ref(), Ok(&read), "{name}");
    let written: Value = serde_json::from_str(&read.to_tree().to_json()).unwrap();
    assert_eq!(&written, value, "{name}");
    by_serde::<T>(name, value)
}

fn answer(method: &str, name: &str, ok: &Value) -> Value {
    match method {
        "hello" => again::<Welcome>(name, ok),
        "overview" => again::<Overview>(name, ok),
        "ticket" => again::<TicketTold>(name, ok),
        "preview" => by_serde::<Preview>(name, ok),
        "activate" => again::<Activated>(name, ok),
        "extend" | "end" => again::<Session>(name, ok),
        "copy_password" => again::<Clipboard>(name, ok),
        "diagnose" => by_serde::<Diagnosis>(name, ok),
        "sign_in" => again::<SignedIn>(name, ok),
        other => panic!("{name}: no such method {other}"),
    }
}

#[test]
fn every_golden_frame_is_read_and_written_back_the_same() {
    for (name, value) in golden() {
        let written = if name.starts_with("request.") {
            let request: Request = serde_json::from_value(value.clone()).unwrap();
            let written: Value = serde_json::from_str(&request.to_tree().to_json()).unwrap();
            assert_eq!(written, value, "{name}");
            by_serde::<Request>(&name, &value)
        } else {
            if name.starts_with("event.") {
                again::<Event>(&name, &value);
            }
            by_serde::<Frame>(&name, &value)
        };
        assert_eq!(written, value, "{name}");
        if let Some(method) = name.strip_prefix("reply.") {
            let method = method.split('.').next().unwrap();
            assert_eq!(answer(method, &name, &value["ok"]), value["ok"], "{name}");
        }
    }
}

#[test]
fn every_method_has_a_golden_request_and_reply() {
    let names: BTreeSet<String> = golden().into_iter().map(|(name, _)| name).collect();
    for method in Method::NAMES {
        for kind in ["request", "reply"] {
            assert!(names.contains(&format!("{kind}.{method}")), "no {kind}.{method}.json");
        }
    }
}

#[test]
fn changes_carry_a_key_and_questions_do_not() {
    for (name, value) in golden().into_iter().filter(|(name, _)| name.starts_with("request.")) {
        let request: Request = serde_json::from_value(value).unwrap();
        assert_eq!(request.method.mutates(), request.key.is_some(), "{name}");
    }
}

#[test]
fn what_a_newer_broker_sends_does_not_break_reading() {
    let frame: Frame = serde_json::from_str(r#"{"event":"weather"}"#).unwrap();
    assert_eq!(frame, Frame::Event(Event::Unknown));
    let mut session =
        golden().into_iter().find(|(name, _)| name == "event.session").unwrap().1["data"].clone();
    session["state"] = "hibernating".into();
    session["mood"] = "good".into();
    let session: Session = serde_json::from_value(session).unwrap();
    assert_eq!(session.state, ticketgate_protocol::api::State::Unknown);
}
