//! Files that are not, or no longer, a ledger to be opened; and who else can read one.

use std::fs;

use super::*;
use crate::{AuditQuery, Ledger, LedgerError};

/// The refusal says `what`, and the file is byte for byte as before.
fn refused(place: &Place, what: &str) {
    let before = fs::read(place.ledger()).unwrap();
    let refusal = place.refusal();
    assert!(refusal.contains(what), "{refusal}");
    assert_eq!(fs::read(place.ledger()).unwrap(), before, "the file was changed");
}

#[test]
fn files_and_folders_made_are_for_their_owner_alone() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new();
        let folder = place.folder.path().join("a/b");
        let ledger = SqliteLedger::open(&folder.join("ledger.sqlite"), &folder.join("ledger.key")).unwrap();
        runtime().block_on(ledger.commit(note(None, 0))).unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 4, "ledger, its two logs, the key: {names:?}");
        for path in names {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[test]
fn an_open_ledger_is_durable_at_every_commit() {
    let place = closed();
    let ledger = place.open();
    for connection in [&ledger.writer, &ledger.reader, &ledger.auditor] {
        let connection = connection.lock().unwrap();
        let value = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).unwrap();
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(value("journal_mode"), "wal");
        assert_eq!(number("synchronous"), 2, "full");
        assert_eq!(number("foreign_keys"), 1);
        assert_eq!(number("busy_timeout"), 5_000);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let place = Place::new();
    fs::write(place.ledger(), "Dear diary, this is certainly not a database of any kind.\n".repeat(20))
        .unwrap();
    own(&place.ledger());
    refused(&place, "not a ledger");
    assert!(!place.key().exists());
}

#[test]
fn a_database_of_another_program_is_refused() {
    let place = Place::new();
    place.stranger().execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    own(&place.ledger());
    refused(&place, "another program");
}

#[test]
fn a_ledger_of_a_newer_release_is_refused() {
    let place = closed();
    place.stranger().pragma_update(None, "user_version", 99).unwrap();
    refused(&place, "newer release");
}

#[test]
fn a_ledger_of_the_release_without_seals_gets_its_first_one_over_the_checkpoints_that_it_has() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open();
        ledger.commit(note(Some("acme"), 0)).await.unwrap();
        ledger.commit(note(None, 1)).await.unwrap();
        ledger.checkpoint(at(2)).await.unwrap();
    });
    let back = "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins; DELETE FROM facts WHERE name = 'shared_key'; DROP INDEX sessions_by_whole; ALTER TABLE sessions DROP COLUMN whole; DROP TABLE notes; DROP TABLE seal; ALTER TABLE checkpoints DROP COLUMN seal; PRAGMA user_version = 1";
    place.stranger().execute_batch(back).unwrap();
    runtime().block_on(async {
        let ledger = place.open();
        let verdict = ledger.verify(None).await.unwrap();
        assert!(verdict.whole, "{verdict:?}");
        assert_eq!((verdict.seal, verdict.checkpoints, verdict.sealed_at), (0, 2, Some(at(2))));
        ledger.commit(note(Some("acme"), 3)).await.unwrap();
        ledger.checkpoint(at(4)).await.unwrap();
        let verdict = ledger.verify(None).await.unwrap();
        assert_eq!((verdict.whole, verdict.seal), (true, 1));
    });
    place.stranger().execute_batch("DELETE FROM checkpoints WHERE chain = '-'").unwrap();
    assert!(!runtime().block_on(place.open().verify(None)).unwrap().whole);
}

#[test]
fn a_damaged_beginning_is_refused() {
    let place = closed();
    let mut bytes = fs::read(place.ledger()).unwrap();
    bytes[..16].fill(b'x');
    fs::write(place.ledger(), bytes).unwrap();
    refused(&place, "damaged");
}

#[test]
fn damage_in_the_middle_is_found_by_looking_through_the_file() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open();
        for n in 0..200 {
            ledger.commit(note(Some("acme"), n)).await.unwrap();
        }
        assert_eq!(ledger.integrity().await.unwrap(), Vec::<String>::new());
    });
    let mut bytes = fs::read(place.ledger()).unwrap();
    let last = bytes.len() / 4096 - 2;
    bytes[last * 4096..(last + 1) * 4096].fill(0xa5);
    fs::write(place.ledger(), bytes).unwrap();
    let found = runtime().block_on(place.open().integrity());
    assert!(found.as_ref().map_or(true, |found| !found.is_empty()), "{found:?}");
}

#[test]
fn a_read_only_file_is_refused() {
    let place = closed();
    let mut permissions = fs::metadata(place.ledger()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(place.ledger(), permissions).unwrap();
    refused(&place, "can only be read");
}

#[cfg(unix)]
#[test]
fn a_ledger_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = closed();
    fs::set_permissions(place.ledger(), fs::Permissions::from_mode(0o640)).unwrap();
    refused(&place, "chmod 600");
    fs::set_permissions(place.ledger(), fs::Permissions::from_mode(0o600)).unwrap();
    place.open();
}

/// The ledger opens without its key: what ends is written, what begins is refused and says `what`, and nothing is signed.
fn only_ends(place: &Place, what: &str) {
    let ledger = place.open();
    runtime().block_on(async {
        let begins = Change {
            accounts: vec![account("late")],
            sessions: vec![session("late", "late")],
            widens: true,
            ..note(None, 1)
        };
        let refusal = ledger.commit(begins).await.unwrap_err().to_string();
        assert!(refusal.contains(what), "{refusal}");
        assert_eq!(ledger.session(&session("late", "late").id).await.unwrap(), None);
        assert!(ledger.trouble().is_some_and(|trouble| trouble.contains(what)), "{:?}", ledger.trouble());
        let before = ledger.audit(AuditQuery::default()).await.unwrap().len();
        ledger.commit(note(None, 2)).await.unwrap();
        assert_eq!(ledger.audit(AuditQuery::default()).await.unwrap().len(), before + 1);
        assert!(ledger.checkpoint(at(3)).await.unwrap_err().to_string().contains(what));
    });
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_signs_nothing_until_it_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let place = closed();
    fs::set_permissions(place.key(), fs::Permissions::from_mode(0o640)).unwrap();
    only_ends(&place, "chmod 600");
}

#[test]
fn a_key_that_is_put_back_signs_again_without_a_new_start() {
    let place = closed();
    let away = place.folder.path().join("elsewhere");
    fs::rename(place.key(), &away).unwrap();
    let ledger = place.open();
    runtime().block_on(async {
        let begins = Change { widens: true, ..note(None, 1) };
        assert!(ledger.commit(begins.clone()).await.is_err());
        fs::rename(&away, place.key()).unwrap();
        ledger.commit(begins).await.unwrap();
        assert_eq!(ledger.trouble(), None);
        ledger.checkpoint(at(2)).await.unwrap();
        assert!(ledger.verify(None).await.unwrap().whole);
    });
}

#[test]
fn a_folder_in_the_ledgers_place_is_refused() {
    let place = Place::new();
    fs::create_dir(place.ledger()).unwrap();
    assert!(place.refusal().contains("not a file"), "{}", place.refusal());
}

#[test]
fn a_missing_key_is_not_quietly_replaced() {
    let place = closed();
    fs::remove_file(place.key()).unwrap();
    only_ends(&place, "put it back from a backup");
    assert!(!place.key().exists());
}

#[test]
fn a_key_of_another_size_signs_nothing() {
    let place = closed();
    for size in [0, 31, 33, 4_096] {
        fs::write(place.key(), vec![7; size]).unwrap();
        only_ends(&place, "not a key of 32 bytes");
    }
}

#[test]
fn a_key_that_cannot_be_read_is_refused_and_no_ledger_is_begun() {
    let place = Place::new();
    fs::create_dir(place.key()).unwrap();
    #[cfg(unix)]
    fs::set_permissions(place.key(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert!(place.refusal().contains("signing key"), "{}", place.refusal());
    assert!(!place.ledger().exists());
}

#[test]
fn a_log_without_its_ledger_is_refused_and_kept() {
    let place = Place::new();
    let ledger = place.open();
    runtime().block_on(ledger.commit(note(None, 0))).unwrap();
    // What a process that is killed leaves: everything is in the log.
    let log = fs::read(place.log()).unwrap();
    drop(ledger);
    for empty in [true, false] {
        place.keep_only_the_log(&log, empty);
        assert!(place.refusal().contains("gone or empty"), "{}", place.refusal());
        assert_eq!(fs::read(place.log()).unwrap(), log, "the log was changed");
    }
}

#[test]
fn what_only_a_backup_helps_against_is_told_from_what_can_be_mended() {
    type Harm = fn(&Place);
    let harms: [(Harm, bool); 8] = [
        (|place| fs::write(place.ledger(), vec![0xa5; 8192]).unwrap(), true),
        (|place| place.stranger().execute_batch("DROP TABLE facts").unwrap(), true),
        (|place| fs::remove_file(place.key()).unwrap(), true),
        (|place| fs::write(place.key(), [7; 32]).unwrap(), true),
        (|place| fs::write(place.key(), [7; 5]).unwrap(), true),
        (|place| place.stranger().pragma_update(None, "user_version", 99).unwrap(), false),
        (|place| open_to_others(&place.ledger()), false),
        (|place| open_to_others(&place.key()), false),
    ];
    for (n, (harm, is_damage)) in harms.into_iter().enumerate() {
        let place = closed();
        harm(&place);
        let opened = SqliteLedger::open(&place.ledger(), &place.key());
        let error = opened.and_then(|ledger| runtime().block_on(ledger.check())).unwrap_err();
        assert_eq!(matches!(error, LedgerError::Damaged(_)), is_damage, "{n}: {error}");
    }
}

fn open_to_others(path: &std::path::Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
}

#[test]
fn another_key_signs_nothing() {
    let place = closed();
    fs::write(place.key(), [7; 32]).unwrap();
    only_ends(&place, "is not the key");
}

#[test]
fn a_full_disk_refuses_the_change_whole_and_the_ledger_goes_on_when_there_is_room() {
    let place = Place::new();
    let ledger = place.open();
    let pages: i64 = {
        let writer = ledger.writer.lock().unwrap();
        let pages = writer.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        pages
    };
    runtime().block_on(async {
        let mut written = 0;
        let refusal = loop {
            match ledger.commit(note(Some("acme"), written)).await {
                Ok(()) => written += 1,
                Err(refusal) => break refusal.to_string(),
            }
            assert!(written < 10_000, "the disk never filled up");
        };
        assert!(refusal.contains("the disk is full"), "{refusal}");
        let verdict = ledger.verify(None).await.unwrap();
        assert!(verdict.whole, "{verdict:?}");
        assert_eq!(i64::try_from(verdict.records).unwrap(), written);
        let expected = (written > 0).then(|| at(written - 1));
        assert_eq!(ledger.high_water().await.unwrap(), expected);

        let more = pages + 1_000;
        let allow = |writer: &rusqlite::Connection| {
            writer.pragma_update_and_check(None, "max_page_count", more, |_| Ok(())).unwrap();
        };
        allow(&ledger.writer.lock().unwrap());
        ledger.commit(note(Some("acme"), written)).await.unwrap();
        assert!(ledger.verify(None).await.unwrap().whole);
    });
}

#[test]
fn a_lock_held_too_long_is_said_and_nothing_is_written() {
    let place = closed();
    let ledger = place.open();
    ledger.writer.lock().unwrap().busy_timeout(std::time::Duration::from_millis(50)).unwrap();
    let stranger = place.stranger();
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    runtime().block_on(async {
        let refusal = ledger.commit(note(None, 1)).await.unwrap_err().to_string();
        assert!(refusal.contains("another program holds it"), "{refusal}");
        assert_eq!(ledger.audit(AuditQuery::default()).await.unwrap().len(), 1, "reads go on");
        stranger.execute_batch("ROLLBACK").unwrap();
        ledger.commit(note(None, 1)).await.unwrap();
    });
}

#[test]
fn many_who_open_a_new_ledger_at_once_get_the_same_one() {
    let place = Place::new();
    let keys: Vec<String> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| place.open().public_key_hex())).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 64), "{keys:?}");
}

/// As the ledger would have made it, so that only what the test is about is refused.
fn own(path: &std::path::Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
