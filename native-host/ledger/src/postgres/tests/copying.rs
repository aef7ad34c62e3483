//! From one machine's file into a database.

use ticketgate_protocol::ids::PsaId;

use super::server::Place;
use crate::tests::*;
use crate::{
    AuditQuery, Ledger, NewNote, NoteChange, PostgresLedger, PostgresPlace, SessionFilter, Shared,
    SqliteLedger,
};

/// A file with something of everything in it, and how it is called.
async fn file(folder: &std::path::Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (path, key) = (folder.join("ledger.sqlite"), folder.join("audit.key"));
    let ledger = SqliteLedger::open(&path, &key).unwrap();
    let new = NewNote {
        mark: "m-1".to_owned(),
        session: SessionId::new("s-1").unwrap(),
        psa: PsaId::new("rt").unwrap(),
        ticket: "4711".to_owned(),
        text: "für \"x\"".to_owned(),
        due: at(1),
    };
    let change = Change {
        accounts: vec![
            account("tech1"),
            Account { gone: true, settled: true, ..account("tech2") },
            elsewhere(),
        ],
        sessions: [in_two("s-1"), vec![session("s-2", "tech2")]].concat(),
        notes: NoteChange { new: vec![new], ..NoteChange::default() },
        ..note(Some("acme"), 0)
    };
    ledger.commit(change).await.unwrap();
    for n in 0..30 {
        ledger.commit(note(if n % 3 == 0 { None } else { Some("globex") }, n)).await.unwrap();
    }
    ledger.checkpoint(at(40)).await.unwrap();
    ledger.commit(note(Some("acme"), 50)).await.unwrap();
    (path, key)
}

fn with_key(place: &Place, key: &std::path::Path) -> PostgresPlace {
    PostgresPlace { key: key.to_owned(), ..place.place() }
}

#[tokio::test]
async fn everything_is_there_and_goes_on_where_it_was() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let (path, key) = file(folder.path()).await;
    let to = with_key(&place, &key);
    let copied = PostgresLedger::copy(&path, &to, |_| {}).await.unwrap();
    assert_eq!((copied.records, copied.accounts, copied.sessions, copied.seal), (32, 3, 3, 1));
    let (old, new) = (SqliteLedger::open(&path, &key).unwrap(), PostgresLedger::open(&to).await.unwrap());
    let (a, b) =
        (old.audit(AuditQuery::default()).await.unwrap(), new.audit(AuditQuery::default()).await.unwrap());
    assert_eq!(a, b);
    let all = SessionFilter::default;
    assert_eq!(old.sessions(all()).await.unwrap(), new.sessions(all()).await.unwrap());
    assert_eq!(old.accounts().await.unwrap(), new.accounts().await.unwrap());
    assert_eq!(old.high_water().await.unwrap(), new.high_water().await.unwrap());
    let (a, b) = (old.tokens().shared_key().await.unwrap(), new.tokens().shared_key().await.unwrap());
    assert_eq!(a, b);
    let rt = PsaId::new("rt").unwrap();
    assert_eq!(old.next_note(&rt).await.unwrap(), new.next_note(&rt).await.unwrap());
    assert_eq!(new.parts(&SessionId::new("s-1").unwrap()).await.unwrap().len(), 2);
    assert_eq!(new.next_due().await.unwrap(), Some(at(5)), "what is to be done is known");
    // It goes on: chains, positions, events and numbers.
    let more = Change { sessions: vec![session("s-9", "tech1")], ..note(Some("acme"), 60) };
    new.commit(more).await.unwrap();
    let last = new.audit(AuditQuery { newest: true, limit: 1, ..AuditQuery::default() }).await.unwrap();
    assert_eq!((last[0].position, last[0].seq), (33, 3));
    assert_eq!(new.last_event(&technician("tech1")).await.unwrap(), 2);
    new.checkpoint(at(61)).await.unwrap();
    assert!(new.verify(None).await.unwrap().whole);
}

#[tokio::test]
async fn a_copy_that_was_broken_off_is_no_ledger_yet_and_takes_along_what_came_since() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let (path, key) = file(folder.path()).await;
    let to = with_key(&place, &key);
    PostgresLedger::copy(&path, &to, |_| {}).await.unwrap();
    // As it stands in the middle.
    place
        .alter("INSERT INTO facts VALUES ('copying', 'x'); DELETE FROM positions WHERE position > 20; DELETE FROM audit WHERE id > 20; DELETE FROM notes")
        .unwrap();
    let said = PostgresLedger::open(&to).await.unwrap_err().to_string();
    assert!(said.contains("once more"), "{said}");
    let old = SqliteLedger::open(&path, &key).unwrap();
    let seen = old.session(&SessionId::new("s-2").unwrap()).await.unwrap().unwrap();
    let ends = Session { state: State::Ended, ..seen };
    old.commit(Change { sessions: vec![ends], ..note(Some("acme"), 70) }).await.unwrap();
    let copied = PostgresLedger::copy(&path, &to, |_| {}).await.unwrap();
    assert_eq!(copied.records, 33);
    let again = PostgresLedger::copy(&path, &to, |_| {}).await.unwrap();
    assert_eq!(again, copied, "the same once more is only compared");
    assert!(PostgresLedger::open(&to).await.unwrap().verify(None).await.unwrap().whole);
}

#[tokio::test]
async fn a_ledger_that_is_used_is_never_written_over() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let (path, key) = file(folder.path()).await;
    let to = with_key(&place, &key);
    PostgresLedger::open(&to).await.unwrap().commit(note(None, 0)).await.unwrap();
    let said = PostgresLedger::copy(&path, &to, |_| {}).await.unwrap_err().to_string();
    assert!(said.contains("not this one"), "{said}");
    let other = Place::new();
    drop(other.open().await);
    let said = PostgresLedger::copy(&path, &with_key(&other, &key), |_| {}).await.unwrap_err().to_string();
    assert!(said.contains("another cluster"), "{said}");
}
