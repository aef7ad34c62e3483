//! The golden messages of `protocol/golden/`, as this side reads and writes them. The WASM core's tests read the same.

use std::path::Path;

use serde_json::Value;
use ticketgate_protocol::api::{Overview, Preview, Session, TicketTold};
use ticketgate_protocol::native::{Activated, Clipboard, Diagnosis, Frame, SignedIn, Welcome};

use super::frames::{self, Inbound};

fn all(kind: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(kind) && name.ends_with(".json") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            found.push((name, serde_json::from_str(&text).unwrap()));
        }
    }
    assert!(!found.is_empty(), "no golden message of the kind {kind}");
    found
}

/// Reads as `T` and writes again: nothing may be lost or added.
fn round<T: serde::Serialize + serde::de::DeserializeOwned>(name: &str, value: &Value) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(&serde_json::to_value(read).unwrap(), value, "{name}");
}

#[test]
fn every_golden_request_is_understood_and_written_alike() {
    for (name, value) in all("request.") {
        match frames::parse(&value.to_string()) {
            Inbound::Request(request) => assert_eq!(serde_json::to_value(*request).unwrap(), value, "{name}"),
            Inbound::Fault { problem, .. } => panic!("{name}: {problem}"),
        }
    }
}

#[test]
fn every_golden_reply_is_written_alike() {
    for (name, value) in all("reply.") {
        round::<Frame>(&name, &value);
        let ok = &value["ok"];
        match name.split('.').nth(1).unwrap() {
            "hello" => round::<Welcome>(&name, ok),
            "overview" => round::<Overview>(&name, ok),
            "ticket" => round::<TicketTold>(&name, ok),
            "preview" => round::<Preview>(&name, ok),
            "activate" => round::<Activated>(&name, ok),
            "extend" | "end" => round::<Session>(&name, ok),
            "copy_password" => round::<Clipboard>(&name, ok),
            "diagnose" => round::<Diagnosis>(&name, ok),
            "sign_in" => round::<SignedIn>(&name, ok),
            other => panic!("{name}: no method {other}"),
        }
    }
}

#[test]
fn every_golden_event_and_error_is_written_alike() {
    for (name, value) in all("event.").into_iter().chain(all("error.")) {
        round::<Frame>(&name, &value);
    }
}

#[test]
fn every_error_code_has_its_number_in_the_document() {
    use ticketgate_protocol::problem::Code;
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ") && l.contains(" | `")).collect();
    let mut documented = rows.iter().filter_map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let number = cells.next()?.parse::<usize>().ok()?;
        Some((number, cells.next()?.trim_matches('`'), cells.next()?.parse::<u16>().ok()?))
    });
    for (index, code) in Code::ALL.iter().enumerate() {
        assert_eq!(
            documented.next(),
            Some((index + 1, code.as_str(), code.status())),
            "docs/protocol.md, error codes"
        );
    }
    assert_eq!(documented.next(), None, "a documented code that is not there");
}
