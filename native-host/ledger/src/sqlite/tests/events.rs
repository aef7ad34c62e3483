//! Changes of sessions, counted for whoever was away.

use super::*;
use crate::EventRow;

fn change(sessions: Vec<Session>, seconds: i64) -> Change {
    Change { name: "ledger.test", at: at(seconds), sessions, ..Change::default() }
}

fn event(number: u64, id: &str, seconds: i64) -> EventRow {
    EventRow { number, session: SessionId::new(id).unwrap(), at: at(seconds) }
}

#[test]
fn each_change_of_a_technicians_sessions_is_counted_once_and_without_gaps() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open();
        let tech1 = technician("tech1");
        assert_eq!(ledger.last_event(&tech1).await.unwrap(), 0);
        assert_eq!(ledger.events_since(&tech1, 0, 10).await.unwrap(), Some(vec![]));
        let whole = Some(SessionId::new("s-1").unwrap());
        let mut part = session("s-1b", "tech1");
        part.whole.clone_from(&whole);
        let first = Session { whole, ..session("s-1", "tech1") };
        let begin = Change {
            accounts: vec![account("tech1"), account("tech2")],
            ..change(vec![first.clone(), part, session("s-2", "tech2")], 1)
        };
        ledger.commit(begin).await.unwrap();
        ledger.commit(note(None, 2)).await.unwrap();
        let stale = Session { version: 7, ..first.clone() };
        ledger.commit(change(vec![stale], 3)).await.unwrap_err();
        ledger.commit(change(vec![Session { version: 1, ..first }], 4)).await.unwrap();
        let all = [event(1, "s-1", 1), event(2, "s-1", 4)];
        assert_eq!(
            ledger.events_since(&tech1, 0, 10).await.unwrap().unwrap(),
            all,
            "two parts are one session"
        );
        assert_eq!(ledger.events_since(&tech1, 0, 1).await.unwrap().unwrap(), all[..1]);
        assert_eq!(ledger.events_since(&tech1, 1, 10).await.unwrap().unwrap(), all[1..]);
        assert_eq!(ledger.events_since(&tech1, 2, 10).await.unwrap(), Some(vec![]));
        assert_eq!(ledger.events_since(&tech1, 3, 10).await.unwrap(), None, "no such event was ever counted");
        assert_eq!(ledger.last_event(&tech1).await.unwrap(), 2);
        assert_eq!(ledger.last_event(&technician("tech2")).await.unwrap(), 1);
    });
}

#[test]
fn who_was_away_for_more_than_a_day_is_told_to_read_everything_anew() {
    let place = Place::new();
    runtime().block_on(async {
        let ledger = place.open();
        let tech1 = technician("tech1");
        let begin = Change { accounts: vec![account("tech1")], ..change(vec![session("s-1", "tech1")], 0) };
        ledger.commit(begin).await.unwrap();
        let again = |version, seconds| change(vec![Session { version, ..session("s-1", "tech1") }], seconds);
        ledger.commit(again(1, 86_399)).await.unwrap();
        assert_eq!(ledger.events_since(&tech1, 0, 10).await.unwrap().unwrap().len(), 2);
        ledger.commit(again(2, 86_400)).await.unwrap();
        assert_eq!(ledger.events_since(&tech1, 0, 10).await.unwrap(), None);
        assert_eq!(ledger.events_since(&tech1, 1, 10).await.unwrap().unwrap().len(), 2);
        ledger.commit(again(3, 500_000)).await.unwrap();
        assert_eq!(ledger.last_event(&tech1).await.unwrap(), 4, "the count goes on where it was");
        assert_eq!(ledger.events_since(&tech1, 4, 10).await.unwrap(), Some(vec![]));
    });
}
