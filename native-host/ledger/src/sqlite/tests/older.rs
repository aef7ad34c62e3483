//! Ledgers of earlier releases, and what only a file can have happen to it.

use ticketgate_protocol::ids::PsaId;

use super::salvaging::two_open;
use super::*;
use crate::{NewNote, NoteChange, TokenChange, Tokens};

/// What brings a ledger back to the schema before parts.
const WITHOUT_PARTS: &str = "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins; DELETE FROM facts WHERE name = 'shared_key'; DROP INDEX sessions_by_whole; ALTER TABLE sessions DROP COLUMN whole; PRAGMA user_version = 3";

fn psa(id: &str) -> PsaId {
    PsaId::new(id).unwrap()
}

fn waiting(session: &str, what: &str, system: &str) -> NewNote {
    NewNote {
        mark: format!("Ticketgate {session} {what}."),
        session: SessionId::new(session).unwrap(),
        psa: psa(system),
        ticket: "4711".to_owned(),
        text: format!("für {what}\n\nTicketgate {session} {what}."),
        due: at(1),
    }
}

/// A change with this note that waits.
fn queued(note: &NewNote) -> Change {
    let notes = NoteChange { new: vec![note.clone()], ..NoteChange::default() };
    Change { name: "ledger.test", at: at(1), notes, ..Change::default() }
}

#[test]
fn a_ledger_from_before_parts_goes_on_with_what_it_has_open() {
    let place = two_open();
    place.stranger().execute_batch(WITHOUT_PARTS).unwrap();
    runtime().block_on(async {
        let ledger = place.open();
        let old = ledger.session(&SessionId::new("s-1").unwrap()).await.unwrap().unwrap();
        assert_eq!((old.of(), &old.whole), (&old.id, &None));
        assert_eq!(ledger.parts(&old.id).await.unwrap().len(), 1);
        let ended = Session { state: State::Ended, ..old };
        ledger.commit(Change { sessions: vec![ended], ..note(None, 1) }).await.unwrap();
        assert!(ledger.verify(None).await.unwrap().whole);
    });
}

#[test]
fn what_a_ledger_from_before_parts_had_open_can_be_salvaged() {
    let place = two_open();
    place.stranger().execute_batch(WITHOUT_PARTS).unwrap();
    let found = SqliteLedger::salvage(&place.ledger()).unwrap();
    assert_eq!((found.accounts.len(), found.sessions.len(), found.whole), (2, 2, true));
    assert!(found.sessions.iter().all(|session| session.whole.is_none()));
}

#[test]
fn what_belongs_together_is_salvaged_together() {
    let place = Place::new();
    let accounts = vec![account("tech1"), elsewhere()];
    let change = Change { accounts, sessions: in_two("s-1"), ..note(None, 0) };
    runtime().block_on(place.open().commit(change)).unwrap();
    let found = SqliteLedger::salvage(&place.ledger()).unwrap();
    let wholes: Vec<_> = found.sessions.iter().map(|session| session.of().as_str()).collect();
    assert_eq!(wholes, ["s-1", "s-1"]);
}

#[test]
fn a_ledger_of_the_release_without_notes_keeps_everything_and_takes_them() {
    let place = Place::new();
    let before = runtime().block_on(async {
        let ledger = place.open();
        let sessions = vec![session("s-1", "tech1"), session("s-2", "tech1")];
        ledger.commit(Change { sessions, accounts: vec![account("tech1")], ..note(None, 1) }).await.unwrap();
        ledger.commit(note(Some("acme"), 2)).await.unwrap();
        ledger.sessions(Default::default()).await.unwrap()
    });
    place.stranger().execute_batch(
            "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins; DELETE FROM facts WHERE name = 'shared_key'; DROP INDEX sessions_by_whole; ALTER TABLE sessions DROP COLUMN whole; DROP TABLE notes; PRAGMA user_version = 2",
        ).unwrap();
    runtime().block_on(async {
        let ledger = place.open();
        assert_eq!(ledger.sessions(Default::default()).await.unwrap(), before);
        ledger.commit(queued(&waiting("s-1", "start", "rt"))).await.unwrap();
        assert!(ledger.next_note(&psa("rt")).await.unwrap().is_some());
        assert!(ledger.verify(None).await.unwrap().whole);
    });
}

#[test]
fn a_ledger_of_the_release_before_gets_its_tables_and_keeps_its_accounts() {
    let place = Place::new();
    runtime().block_on(async {
        let begin = Change { accounts: vec![account("tech1")], ..note(None, 0) };
        place.open().commit(begin).await.unwrap();
        let back = "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins;
            DELETE FROM facts WHERE name = 'shared_key'; PRAGMA user_version = 4";
        place.stranger().execute_batch(back).unwrap();
        let salvaged = SqliteLedger::salvage(&place.ledger()).unwrap();
        assert!(salvaged.whole && salvaged.accounts.len() == 1, "{salvaged:?}");
        let ledger = place.open();
        let kept = ledger.accounts().await.unwrap().pop().unwrap();
        assert!(!kept.gone);
        let leaves = Account { gone: true, ..kept };
        ledger.commit(Change { accounts: vec![leaves], ..note(None, 1) }).await.unwrap();
        assert!(ledger.accounts().await.unwrap()[0].gone);
        let tokens = TokenChange { ended: vec![("nobody".to_owned(), "boss".to_owned())], ..TokenChange::default() };
        ledger.commit(Change { tokens, ..note(None, 1) }).await.unwrap();
        assert!(ledger.shared_key().await.is_ok());
    });
}

#[test]
fn a_record_of_another_kind_is_named_although_the_table_was_loosened() {
    let place = Place::new();
    runtime().block_on(async {
        for n in 0..3 {
            place.open().commit(note(Some("acme"), n)).await.unwrap();
        }
    });
    let stranger = place.stranger();
    stranger
        .execute_batch(
            "PRAGMA writable_schema = on;
             UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT', ''), 'CHECK (length(hash) = 32)', '')
             WHERE name = 'audit';
             PRAGMA writable_schema = reset;
             UPDATE audit SET hash = 'short' WHERE chain = 'acme' AND seq = 2;",
        )
        .unwrap();
    let fault = runtime().block_on(place.open().verify(None)).unwrap().first_fault.unwrap();
    assert_eq!((fault.chain.as_str(), fault.seq), ("acme", 2), "{}", fault.fault);
}
