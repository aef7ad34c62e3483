//! Sessions in several directories: rows that belong together, and ledgers from before there were any.

use super::salvaging::two_open;
use super::*;
use crate::{Guard, Ledger, LedgerError, Limit};

/// What brings a ledger back to the schema before parts.
const WITHOUT_PARTS: &str = "DROP TABLE events; DROP TABLE technicians; ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins; DELETE FROM facts WHERE name = 'shared_key'; DROP INDEX sessions_by_whole; ALTER TABLE sessions DROP COLUMN whole; PRAGMA user_version = 3";

fn elsewhere() -> Account {
    let key = AccountKey("acme-entra/dedicated/tech1".to_owned());
    Account { key, directory: DirectoryId::new("acme-entra").unwrap(), ..account("tech1") }
}

/// A session in two directories.
fn in_two(id: &str) -> Vec<Session> {
    let whole = Some(SessionId::new(id).unwrap());
    let first = Session { whole: whole.clone(), ..session(id, "tech1") };
    // Its id sorts before the first's: the order is that of their making.
    let second = Session { whole, account: elsewhere().key, ..session(&format!("a-{id}"), "tech1") };
    vec![first, second]
}

fn at_once(most: u32) -> Option<Guard> {
    Some(Guard { technician: technician("tech1"), rate: None, sessions_at_once: Some(most) })
}

#[tokio::test]
async fn the_parts_of_a_session_are_found_together_in_their_order() {
    let place = Place::new();
    let ledger = place.open();
    let accounts = vec![account("tech1"), elsewhere()];
    let sessions = [in_two("s-1"), vec![session("s-2", "tech1")]].concat();
    ledger.commit(Change { accounts, sessions, ..note(None, 0) }).await.unwrap();
    let seen = async |id: &str| {
        let parts = ledger.parts(&SessionId::new(id).unwrap()).await.unwrap();
        parts.into_iter().map(|(part, account)| (part.id.to_string(), account.key.0)).collect::<Vec<_>>()
    };
    let (ad, entra) = ("acme-ad/dedicated/tech1".to_owned(), "acme-entra/dedicated/tech1".to_owned());
    assert_eq!(seen("s-1").await, [("s-1".to_owned(), ad.clone()), ("a-s-1".to_owned(), entra)]);
    assert_eq!(seen("s-2").await, [("s-2".to_owned(), ad)], "one that is all of its session");
    assert!(seen("a-s-1").await.is_empty(), "a part is no session");
    assert!(seen("s-3").await.is_empty());
}

#[tokio::test]
async fn the_parts_of_a_session_count_as_one() {
    let place = Place::new();
    let ledger = place.open();
    let accounts = vec![account("tech1"), elsewhere()];
    let two = Change { accounts, sessions: in_two("s-1"), guard: at_once(1), ..note(None, 0) };
    ledger.commit(two).await.unwrap();
    let another = |most| Change { sessions: in_two("s-2"), guard: at_once(most), ..note(None, 1) };
    let refused = ledger.commit(another(1)).await;
    assert!(matches!(refused, Err(LedgerError::TooMany { limit: Limit::Sessions, .. })), "{refused:?}");
    ledger.commit(another(2)).await.unwrap();
    // One part that is over does not make room: its session is not.
    let mut part = ledger.session(&SessionId::new("s-1").unwrap()).await.unwrap().unwrap();
    part.state = State::Ended;
    ledger.commit(Change { sessions: vec![part], ..note(None, 2) }).await.unwrap();
    let third = Change { sessions: vec![session("s-3", "tech1")], guard: at_once(2), ..note(None, 3) };
    assert!(matches!(ledger.commit(third).await, Err(LedgerError::TooMany { .. })));
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
