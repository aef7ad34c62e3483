//! Ledgers that cannot be used: what is wrong with them, and what can still be read.

use std::fs;

use super::*;
use crate::Ledger;
use crate::LedgerError;

#[test]
fn what_can_be_read_of_a_damaged_ledger_is_salvaged_and_the_file_is_kept_as_it_was() {
    const MANY: usize = 400;
    let place = Place::new();
    let ledger = place.open();
    runtime().block_on(async {
        for n in 0..MANY {
            let name = format!("tech{n}");
            let change = Change {
                accounts: vec![account(&name)],
                sessions: vec![session(&format!("s-{n}"), &name)],
                ..Change::default()
            };
            ledger.commit(change).await.unwrap();
        }
    });
    drop(ledger);
    let mut bytes = fs::read(place.ledger()).unwrap();
    // A page in the middle of the file with rows of sessions in it (13: a table's leaf); an index is not read at all.
    let has_rows = |page: &usize| {
        let page = &bytes[*page..*page + 4096];
        page[0] == 13 && page.windows(17).any(|text| text == b"acme-domain-admin")
    };
    let page = (bytes.len() / 4096 / 3 * 4096..bytes.len()).step_by(4096).find(has_rows).unwrap();
    bytes[page..page + 4096].fill(0xa5);
    fs::write(place.ledger(), &bytes).unwrap();
    let found = SqliteLedger::salvage(&place.ledger()).unwrap();
    assert!(!found.whole);
    assert!(
        found.accounts.len() + found.sessions.len() > MANY,
        "{}, {}",
        found.accounts.len(),
        found.sessions.len()
    );
    assert!(found.accounts.len() < MANY || found.sessions.len() < MANY, "the damage met neither");
    assert_eq!(fs::read(place.ledger()).unwrap(), bytes);
    let names: Vec<_> = fs::read_dir(place.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("salvage")), "{names:?}");
}

#[test]
fn a_row_that_cannot_be_read_is_a_part_that_was_missed() {
    for (harm, accounts, sessions, whole) in [
        ("UPDATE sessions SET until = 'soon' WHERE id = 's-1'", 2, 1, false),
        // Not known to be over.
        ("UPDATE sessions SET state = 'half' WHERE id = 's-1'", 2, 2, true),
        ("UPDATE accounts SET standing = '[1]' WHERE technician = 'tech1'", 1, 2, false),
    ] {
        let place = two_open();
        let before = SqliteLedger::salvage(&place.ledger()).unwrap();
        assert_eq!((before.accounts.len(), before.sessions.len(), before.whole), (2, 2, true));
        let stranger = place.stranger();
        stranger.execute_batch(&format!("PRAGMA ignore_check_constraints = on; {harm}")).unwrap();
        drop(stranger);
        let found = SqliteLedger::salvage(&place.ledger()).unwrap();
        let read = (found.accounts.len(), found.sessions.len(), found.whole);
        assert_eq!(read, (accounts, sessions, whole), "{harm}");
    }
}

#[test]
fn where_no_copy_can_be_made_it_is_not_said_that_there_was_nothing() {
    let place = two_open();
    // In the way of the copy, as a full disk would be.
    let folder = place.folder.path().join("ledger.sqlite-salvage");
    fs::write(&folder, "").unwrap();
    let found = SqliteLedger::salvage(&place.ledger());
    assert!(matches!(found, Err(LedgerError::Unavailable(_))), "{found:?}");
    fs::remove_file(folder).unwrap();
    assert!(SqliteLedger::salvage(&place.ledger()).unwrap().whole);
}

#[test]
fn a_log_that_lost_its_file_is_read_as_far_as_it_goes() {
    let place = Place::new();
    let ledger = place.open();
    runtime().block_on(ledger.commit(open("s-1", "tech1"))).unwrap();
    let log = fs::read(place.log()).unwrap();
    drop(ledger);
    for empty in [true, false] {
        place.keep_only_the_log(&log, empty);
        let found = SqliteLedger::salvage(&place.ledger()).unwrap();
        assert_eq!((found.accounts.len(), found.sessions.len(), found.whole), (1, 1, true));
    }
}

#[test]
fn damage_is_found_without_touching_anything() {
    let place = closed();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(place.folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(damage(&place), Vec::<String>::new());
    fs::remove_file(place.key()).unwrap();
    let found = damage(&place);
    assert!(matches!(found.as_slice(), [one] if one.contains("put it back from a backup")), "{found:?}");
    let mut bytes = fs::read(place.ledger()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(place.ledger(), &bytes).unwrap();
    let found = damage(&place);
    assert!(found.iter().any(|one| !one.contains("put it back from a backup")), "{found:?}");
    fs::write(place.ledger(), "something else altogether").unwrap();
    assert!(!damage(&place).is_empty());
    fs::write(place.ledger(), "").unwrap();
    assert!(damage(&place).is_empty(), "the beginning of a new one");
    fs::write(place.key(), [7; 32]).unwrap();
    let found = damage(&place);
    assert!(matches!(found.as_slice(), [one] if one.contains("gone or empty")), "a key had one: {found:?}");
    fs::remove_file(place.key()).unwrap();
    assert_eq!(names(), before.into_iter().filter(|name| *name != "ledger.key").collect::<Vec<_>>());
}

/// A ledger with two open sessions, closed.
pub(super) fn two_open() -> Place {
    let place = Place::new();
    let ledger = place.open();
    for n in ["1", "2"] {
        runtime().block_on(ledger.commit(open(&format!("s-{n}"), &format!("tech{n}")))).unwrap();
    }
    drop(ledger);
    place
}

fn open(id: &str, owner: &str) -> Change {
    Change { accounts: vec![account(owner)], sessions: vec![session(id, owner)], ..Change::default() }
}
