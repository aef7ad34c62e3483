//! The file is deleted, or exchanged, under an open ledger.
#![cfg(unix)]

use std::fs;

use super::*;
use crate::{AuditQuery, Ledger};

#[test]
fn a_ledger_deleted_while_it_is_open_is_written_anew_with_all_it_held() {
    let place = closed();
    let ledger = place.open();
    runtime().block_on(async {
        ledger.commit(Change { accounts: vec![account("tech1")], ..note(None, 1) }).await.unwrap();
        for entry in fs::read_dir(place.folder.path()).unwrap().flatten() {
            if entry.path() != place.key() {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        // What ends does not wait for it.
        ledger.commit(note(None, 2)).await.unwrap();
        assert!(!place.ledger().exists());
        assert!(ledger.trouble().is_some_and(|trouble| trouble.contains("deleted")));
        ledger.commit(Change { widens: true, ..note(None, 3) }).await.unwrap();
        assert_eq!(ledger.trouble(), None);
        ledger.checkpoint(at(4)).await.unwrap();
        ledger.commit(note(None, 5)).await.unwrap();
    });
    drop(ledger);
    let ledger = place.open();
    runtime().block_on(async {
        assert!(ledger.account(&account("tech1").key).await.unwrap().is_some());
        assert_eq!(ledger.audit(AuditQuery::default()).await.unwrap().len(), 5);
        assert!(ledger.verify(None).await.unwrap().whole);
        assert_eq!(ledger.integrity().await.unwrap(), Vec::<String>::new());
    });
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(place.ledger()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn another_file_in_the_place_of_the_open_ledger_is_not_touched_and_nothing_begins() {
    let place = closed();
    let ledger = place.open();
    let other = place.folder.path().join("other");
    fs::write(&other, "not a ledger").unwrap();
    fs::rename(&other, place.ledger()).unwrap();
    runtime().block_on(async {
        let refusal = ledger.commit(Change { widens: true, ..note(None, 1) }).await.unwrap_err().to_string();
        assert!(refusal.contains("another file stands in the place"), "{refusal}");
        ledger.commit(note(None, 2)).await.unwrap();
    });
    assert_eq!(fs::read_to_string(place.ledger()).unwrap(), "not a ledger");
}

#[test]
fn what_was_written_anew_and_could_not_be_opened_is_written_anew_again_with_what_came_since() {
    let place = closed();
    let ledger = place.open();
    runtime().block_on(async {
        fs::remove_file(place.ledger()).unwrap();
        // As far as it comes where no new connection can be had.
        ledger.place.lock().unwrap().rebuild(&ledger.writer.lock().unwrap()).unwrap();
        ledger.commit(note(None, 1)).await.unwrap();
        assert!(
            ledger.trouble().is_some_and(|trouble| trouble.contains("deleted")),
            "{:?}",
            ledger.trouble()
        );
        ledger.commit(Change { widens: true, ..note(None, 2) }).await.unwrap();
        assert_eq!(ledger.trouble(), None);
    });
    drop(ledger);
    assert_eq!(records(&place), 3);
}

#[test]
fn what_was_written_anew_by_a_process_that_was_killed_then_is_taken() {
    let place = closed();
    fs::rename(place.ledger(), place.folder.path().join("ledger.rebuilt")).unwrap();
    assert!(SqliteLedger::is_begun(&place.ledger()));
    assert_eq!(damage(&place), Vec::<String>::new());
    assert_eq!(records(&place), 1);
    assert!(!place.folder.path().join("ledger.rebuilt").exists());
}

#[test]
fn what_was_not_yet_whole_is_not_taken() {
    let place = closed();
    fs::rename(place.ledger(), place.folder.path().join("ledger.rebuilding")).unwrap();
    assert!(!SqliteLedger::is_begun(&place.ledger()));
}

/// How many the next process finds.
fn records(place: &Place) -> usize {
    let ledger = place.open();
    runtime().block_on(async {
        assert!(ledger.verify(None).await.unwrap().whole);
        ledger.audit(AuditQuery::default()).await.unwrap().len()
    })
}
