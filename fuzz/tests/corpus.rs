//! The kept inputs of every target, run once each. A finding that was mended has its input here, so that it stays mended.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic: that is how it fails")]

use ticketgate_fuzz::{Counting, TARGETS, quieten, target};

#[global_allocator]
static MEMORY: Counting = Counting;

fn replay(name: &str) {
    let target = target(name).unwrap();
    quieten();
    let inputs = target.inputs();
    assert!(inputs.len() > 3, "{name}: only {} inputs", inputs.len());
    for input in inputs {
        let data = std::fs::read(&input).unwrap();
        if std::panic::catch_unwind(|| target.check(&data)).is_err() {
            panic!("{name}: {}", input.display());
        }
    }
}

#[test]
fn every_kept_frame_keeps_the_readers_promises() {
    replay("frame");
}

#[test]
fn every_kept_request_keeps_the_readers_promises() {
    replay("request");
}

#[test]
fn every_kept_rule_keeps_the_readers_promises() {
    replay("rules");
}

#[test]
fn every_kept_fact_keeps_the_readers_promises() {
    replay("facts");
}

#[test]
fn every_kept_page_keeps_the_readers_promises() {
    replay("page");
}

#[test]
fn every_kept_configuration_keeps_the_readers_promises() {
    replay("config");
}

#[test]
fn every_kept_ledger_keeps_the_readers_promises() {
    replay("ledger");
}

#[test]
fn every_kept_answer_of_a_directory_keeps_the_readers_promises() {
    replay("ldap");
}

#[test]
fn every_kept_answer_of_a_tenant_keeps_the_readers_promises() {
    replay("graph");
}

#[test]
fn every_kept_file_of_a_machine_keeps_the_readers_promises() {
    replay("local");
}

#[test]
fn no_corpus_is_without_a_target_and_none_is_large() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    for folder in std::fs::read_dir(corpus).unwrap().flatten() {
        let name = folder.file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "{name}");
        let sizes: Vec<u64> = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|f| f.metadata().unwrap().len())
            .collect();
        assert!(
            sizes.len() <= 150 && sizes.iter().all(|size| *size <= 4096),
            "{name}: {} files",
            sizes.len()
        );
    }
}
