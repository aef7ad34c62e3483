//! Sessions in several directories: rows that belong together.

use super::*;
use crate::{Guard, Ledger, LedgerError, Limit};

fn at_once(most: u32) -> Option<Guard> {
    Some(Guard { technician: technician("tech1"), rate: None, sessions_at_once: Some(most) })
}

#[tokio::test]
async fn the_parts_of_a_session_are_found_together_in_their_order() {
    let place = Place::new();
    let ledger = place.open().await;
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
    let ledger = place.open().await;
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
