//! The queue of notes to tickets.

use ticketgate_protocol::ids::PsaId;

use super::*;
use crate::{LedgerError, NewNote, NoteChange, NoteQueue, NoteTry};

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

fn change(notes: NoteChange) -> Change {
    Change { name: "ledger.test", at: at(1), notes, ..Change::default() }
}

fn queued(new: &[NewNote]) -> Change {
    change(NoteChange { new: new.to_vec(), ..NoteChange::default() })
}

/// A ledger with two sessions.
async fn with_sessions(place: &Place) -> SqliteLedger {
    let ledger = place.open();
    let sessions = vec![session("s-1", "tech1"), session("s-2", "tech1")];
    let begin = Change { sessions, accounts: vec![account("tech1")], ..change(NoteChange::default()) };
    ledger.commit(begin).await.unwrap();
    ledger
}

#[test]
fn notes_come_out_in_the_order_of_their_session_and_the_soonest_due_first() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = with_sessions(&place).await;
        let (first, second) = (waiting("s-1", "start", "rt"), waiting("s-1", "end", "rt"));
        let later = NewNote { due: at(9), ..first.clone() };
        ledger.commit(queued(&[later.clone(), second.clone()])).await.unwrap();
        let next = async || ledger.next_note(&psa("rt")).await.unwrap().map(|next| next.note);
        assert_eq!(next().await, Some(later), "the end waits for the start, though it is due before it");
        let other = waiting("s-2", "start", "rt");
        ledger.commit(queued(std::slice::from_ref(&other))).await.unwrap();
        assert_eq!(next().await, Some(other.clone()), "another session's does not wait for it");
        assert_eq!(ledger.next_note(&psa("cw")).await.unwrap(), None);
        let queues = ledger.note_queues().await.unwrap();
        assert_eq!(queues, [NoteQueue { psa: psa("rt"), waiting: 3, oldest: at(1) }]);
        let sent = NoteChange { sent: vec![other.mark, first.mark], ..NoteChange::default() };
        ledger.commit(change(sent.clone())).await.unwrap();
        ledger.commit(change(sent)).await.unwrap();
        assert_eq!(next().await, Some(second), "told once more, nothing else happens");
        assert_eq!(ledger.notes_sent().await.unwrap(), 2);
    });
}

#[test]
fn what_may_be_in_the_ticket_already_is_known_after_a_restart_and_is_not_withdrawn() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = with_sessions(&place).await;
        let note = waiting("s-1", "extension 2", "rt");
        let withdrawn = change(NoteChange { withdrawn: vec![note.mark.clone()], ..NoteChange::default() });
        ledger.commit(queued(std::slice::from_ref(&note))).await.unwrap();
        ledger.commit(withdrawn.clone()).await.unwrap();
        assert_eq!(ledger.next_note(&psa("rt")).await.unwrap(), None, "nobody had tried yet");
        ledger.commit(queued(std::slice::from_ref(&note))).await.unwrap();
        let sending = vec![NoteTry { mark: note.mark.clone(), again: at(30) }];
        ledger.commit(change(NoteChange { sending, ..NoteChange::default() })).await.unwrap();
        ledger.commit(withdrawn).await.unwrap();
        drop(ledger);
        let next = place.open().next_note(&psa("rt")).await.unwrap().unwrap();
        assert_eq!((next.sending, next.attempts, next.note.due, next.at), (true, 1, at(30), at(1)));
        assert_eq!(next.note.text, note.text);
    });
}

#[test]
fn a_note_is_there_with_what_it_tells_or_not_at_all() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = with_sessions(&place).await;
        let stale = Session { version: 7, ..session("s-1", "tech1") };
        let notes = NoteChange { new: vec![waiting("s-1", "start", "rt")], ..NoteChange::default() };
        let refused = ledger.commit(Change { sessions: vec![stale], ..change(notes) }).await;
        assert!(matches!(refused, Err(LedgerError::Conflict(_))), "{refused:?}");
        assert_eq!(ledger.note_queues().await.unwrap(), []);
        let unknown = ledger.commit(queued(&[waiting("s-9", "start", "rt")])).await;
        assert!(unknown.is_err(), "of a session that there is not: {unknown:?}");
    });
}

#[test]
fn a_ledger_of_the_release_without_notes_keeps_everything_and_takes_them() {
    let place = Place::new();
    let before = runtime().block_on(async {
        let ledger = with_sessions(&place).await;
        ledger.commit(note(Some("acme"), 2)).await.unwrap();
        ledger.sessions(Default::default()).await.unwrap()
    });
    place.stranger().execute_batch(
            "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins; DELETE FROM facts WHERE name = 'shared_key'; DROP INDEX sessions_by_whole; ALTER TABLE sessions DROP COLUMN whole; DROP TABLE notes; PRAGMA user_version = 2",
        ).unwrap();
    runtime().block_on(async {
        let ledger = place.open();
        assert_eq!(ledger.sessions(Default::default()).await.unwrap(), before);
        ledger.commit(queued(&[waiting("s-1", "start", "rt")])).await.unwrap();
        assert!(ledger.next_note(&psa("rt")).await.unwrap().is_some());
        assert!(ledger.verify(None).await.unwrap().whole);
    });
}

#[test]
fn a_clock_that_was_far_ahead_once_keeps_no_note_waiting() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = with_sessions(&place).await;
        let ahead = NewNote { due: at(90_000), ..waiting("s-1", "start", "rt") };
        ledger.commit(Change { at: at(90_000), ..queued(&[ahead]) }).await.unwrap();
        ledger.commit(Change { follows_clock: true, ..change(NoteChange::default()) }).await.unwrap();
        let next = ledger.next_note(&psa("rt")).await.unwrap().unwrap();
        assert_eq!((next.note.due, next.at), (at(1), at(1)));
    });
}
