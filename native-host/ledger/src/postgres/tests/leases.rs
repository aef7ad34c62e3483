//! Leases: one broker at a time, also when one was stopped for longer than it knows.

use std::collections::BTreeSet;
use std::time::Duration;

use super::server::Place;
use crate::tests::*;
use crate::{Heard, Lease, Ledger, LedgerError, PostgresLedger, Shared};

async fn broker(place: &Place, name: &str) -> PostgresLedger {
    let ledger = place.open().await;
    ledger.enlist(name).await.unwrap();
    ledger
}

/// Accounts that are settled and have one active session each, that ends after so many seconds.
async fn ending(ledger: &impl Ledger, names: &[(&str, i64)]) {
    let accounts = names.iter().map(|(name, _)| Account { settled: true, next_try: None, ..account(name) });
    let sessions = names.iter().map(|(name, end)| Session {
        state: State::Active,
        until: at(*end),
        ..session(&format!("s-{name}"), name)
    });
    let (accounts, sessions) = (accounts.collect(), sessions.collect());
    ledger.commit(Change { accounts, sessions, ..note(None, 0) }).await.unwrap();
}

fn key(name: &str) -> AccountKey {
    account(name).key
}

#[tokio::test]
async fn what_is_due_is_claimed_once_and_the_longest_due_first() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    assert_eq!(one.next_due().await.unwrap(), None);
    ending(&place.open().await, &[("a", 30), ("b", 20), ("c", 10), ("d", 99)]).await;
    assert_eq!(one.next_due().await.unwrap(), Some(at(10)));
    assert_eq!(one.claim(at(9), 10).await.unwrap(), []);
    let first = one.claim(at(50), 2).await.unwrap();
    let keys: BTreeSet<_> = first.iter().map(|lease| lease.key.clone()).collect();
    assert_eq!(keys, [key("b"), key("c")].into());
    let second = two.claim(at(50), 10).await.unwrap();
    assert_eq!(second.iter().map(|lease| &lease.key).collect::<Vec<_>>(), [&key("a")]);
    assert_eq!(two.next_due().await.unwrap(), Some(at(99)));
    one.release(&first[0]).await.unwrap();
    let again = two.claim(at(50), 10).await.unwrap();
    assert_eq!((&again[0].key, again[0].fence), (&first[0].key, first[0].fence + 1));
}

#[tokio::test]
async fn when_an_account_is_due_follows_what_is_written_of_it() {
    let place = Place::new();
    let ledger = broker(&place, "one").await;
    ending(&place.open().await, &[("a", 30)]).await;
    let (mut kept, mut open) = ledger.account(&key("a")).await.unwrap().unwrap();
    let put = async |account: &Account, sessions: Vec<Session>, seconds| {
        let change = Change { accounts: vec![account.clone()], sessions, ..note(None, seconds) };
        place.open().await.commit(change).await.unwrap();
    };
    kept.settled = false;
    put(&kept, vec![], 5).await;
    assert_eq!(ledger.next_due().await.unwrap(), Some(at(5)), "to be seen to at once");
    kept = Account { next_try: Some(at(17)), version: kept.version + 1, ..kept };
    put(&kept, vec![], 6).await;
    assert_eq!(ledger.next_due().await.unwrap(), Some(at(17)));
    kept = Account { next_try: None, settled: true, version: kept.version + 1, ..kept };
    let mut session = open.pop().unwrap();
    session.until = at(44);
    put(&kept, vec![session.clone()], 7).await;
    assert_eq!(ledger.next_due().await.unwrap(), Some(at(44)));
    session = Session { state: State::Ended, version: session.version + 1, ..session };
    place.open().await.commit(Change { sessions: vec![session], ..note(None, 8) }).await.unwrap();
    assert_eq!(ledger.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_is_its_holders_until_it_runs_out_and_its_number_tells_who_came_later() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    ending(&place.open().await, &[("a", 30)]).await;
    let held = one.lease(&key("a")).await.unwrap().unwrap();
    assert_eq!(one.lease(&key("a")).await.unwrap(), Some(held.clone()), "the one that it has");
    assert_eq!(two.lease(&key("a")).await.unwrap(), None);
    let unknown = two.lease(&key("nobody")).await;
    assert!(matches!(unknown, Err(LedgerError::Conflict(_))), "{unknown:?}");
    // For longer than a lease lasts.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(one.renew().await.unwrap(), []);
        assert_eq!(two.lease(&key("a")).await.unwrap(), None);
    }
    // Now it is stopped, as by SIGSTOP.
    tokio::time::sleep(Duration::from_millis(2_600)).await;
    assert_eq!(two.lease(&key("a")).await.unwrap(), None, "not before its three seconds are over");
    tokio::time::sleep(Duration::from_millis(700)).await;
    let under = |lease: &Lease, seconds| Change { leases: vec![lease.clone()], ..note(None, seconds) };
    one.commit(under(&held, 1)).await.unwrap();
    let taken = two.lease(&key("a")).await.unwrap().unwrap();
    assert_eq!(taken.fence, held.fence + 1);
    let refused = one.commit(under(&held, 2)).await;
    assert!(matches!(&refused, Err(LedgerError::LeaseLost(of)) if *of == key("a").0), "{refused:?}");
    assert_eq!(one.renew().await.unwrap(), std::slice::from_ref(&held), "it is told what it lost");
    assert_eq!(one.renew().await.unwrap(), [], "once");
    one.release(&held).await.unwrap();
    assert_eq!(one.lease(&key("a")).await.unwrap(), None, "what is another's is not given back");
    two.commit(under(&taken, 3)).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_from_a_broker_that_had_not_finished_is_looked_at_for_two_minutes() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    ending(&place.open().await, &[("a", 1_000), ("b", 1_000)]).await;
    // Of one account it wrote down that something is to be done for it, of the other it had only the lease.
    let (unfinished, _) = one.account(&key("a")).await.unwrap().unwrap();
    let unfinished = Account { settled: false, next_try: None, ..unfinished };
    one.commit(Change { accounts: vec![unfinished.clone()], ..note(None, 0) }).await.unwrap();
    one.lease(&key("b")).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    let mut taken = two.claim(at(1), 10).await.unwrap();
    taken.extend(two.lease(&key("b")).await.unwrap());
    assert_eq!(taken.iter().map(|lease| &lease.key).collect::<Vec<_>>(), [&key("a"), &key("b")]);
    let finished = Account { settled: true, version: unfinished.version + 1, ..unfinished };
    let done = Change { accounts: vec![finished], leases: vec![taken[0].clone()], ..note(None, 2) };
    two.commit(done).await.unwrap();
    for lease in &taken {
        two.release(lease).await.unwrap();
    }
    let mut looks = Vec::new();
    while let Some(due) = two.next_due().await.unwrap().filter(|due| *due < at(1_000)) {
        // Whoever looks, and writes nothing.
        assert!(looks.len() < 100, "{looks:?}");
        let by = if looks.len() % 2 == 0 { &one } else { &two };
        let leases = by.claim(due, 10).await.unwrap();
        assert_eq!(leases.iter().map(|lease| &lease.key).collect::<Vec<_>>(), [&key("a")]);
        by.release(&leases[0]).await.unwrap();
        looks.push(due);
    }
    assert_eq!(looks, (0..24).map(|n| at(7 + 5 * n)).collect::<Vec<_>>());
    assert_eq!(two.next_due().await.unwrap(), Some(at(1_000)), "its session's end");
}

#[tokio::test]
async fn it_is_known_when_what_a_dead_broker_had_is_free() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    ending(&place.open().await, &[("a", 30), ("b", 99)]).await;
    assert_eq!(two.free_in(at(50)).await.unwrap(), None, "nobody works on any");
    one.lease(&key("b")).await.unwrap().unwrap();
    assert_eq!(two.free_in(at(50)).await.unwrap(), None, "it is not due");
    one.lease(&key("a")).await.unwrap().unwrap();
    let left = two.free_in(at(50)).await.unwrap().unwrap();
    assert!((2_000..=3_001).contains(&left.as_millis()), "{left:?}");
    assert_eq!(two.claim(at(50), 9).await.unwrap(), []);
    tokio::time::sleep(left).await;
    let claimed = two.claim(at(50), 9).await.unwrap();
    assert_eq!(claimed.iter().map(|lease| &lease.key).collect::<Vec<_>>(), [&key("a")]);
}

#[tokio::test]
async fn three_share_out_what_is_due_and_nothing_is_done_twice_or_left() {
    let place = Place::new();
    let names: Vec<_> = (0..60).map(|n| format!("t{n:02}")).collect();
    let due: Vec<_> = names.iter().map(|name| (name.as_str(), 10)).collect();
    ending(&place.open().await, &due).await;
    let mut tasks = Vec::new();
    for name in ["one", "two", "three"] {
        let ledger = broker(&place, name).await;
        tasks.push(tokio::spawn(async move {
            let mut done = Vec::new();
            let mut idle = 0;
            while idle < 3 {
                let claimed = ledger.claim(at(20), 4).await.unwrap();
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                for lease in claimed {
                    let (account, open) = ledger.account(&lease.key).await.unwrap().unwrap();
                    let ended = open.into_iter().map(|session| Session { state: State::Ended, ..session });
                    let change = Change {
                        accounts: vec![account],
                        sessions: ended.collect(),
                        leases: vec![lease.clone()],
                        ..note(Some("acme"), 20)
                    };
                    ledger.commit(change).await.unwrap();
                    ledger.release(&lease).await.unwrap();
                    done.push(lease.key);
                }
            }
            done
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        let done = task.await.unwrap();
        assert!(!done.is_empty(), "each had its share");
        all.extend(done);
    }
    all.sort();
    assert_eq!(all, names.iter().map(|name| key(name)).collect::<Vec<_>>());
    assert_eq!(place.open().await.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn whoever_writes_down_what_is_to_be_done_has_the_first_turn() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    let begin = Change {
        accounts: vec![Account { next_try: None, ..account("a") }],
        sessions: vec![session("s-a", "a")],
        ..note(None, 0)
    };
    one.commit(begin).await.unwrap();
    assert_eq!(two.claim(at(9), 9).await.unwrap(), []);
    assert_eq!(two.lease(&key("a")).await.unwrap(), None);
    assert_eq!(one.lease(&key("a")).await.unwrap().map(|lease| lease.fence), Some(1));
    // Where it does not take its turn, another does.
    let (kept, _) = one.account(&key("a")).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    let taken = two.claim(at(9), 9).await.unwrap();
    assert_eq!(taken[0].fence, 2);
    one.commit(Change { accounts: vec![kept], ..note(None, 1) }).await.unwrap();
    two.commit(Change { leases: taken, ..note(None, 2) }).await.unwrap();
}

#[tokio::test]
async fn named_work_is_done_by_one_broker_at_a_time() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    let sweep = AccountKey("sweep".to_owned());
    let held = one.lease(&sweep).await.unwrap().unwrap();
    assert_eq!(two.lease(&sweep).await.unwrap(), None);
    assert_eq!(one.renew().await.unwrap(), []);
    one.release(&held).await.unwrap();
    let taken = two.lease(&sweep).await.unwrap().unwrap();
    let refused = one.commit(Change { leases: vec![held], ..note(None, 1) }).await;
    assert!(matches!(refused, Err(LedgerError::LeaseLost(_))), "{refused:?}");
    two.commit(Change { leases: vec![taken], ..note(None, 1) }).await.unwrap();
}

#[tokio::test]
async fn a_note_is_sent_by_one_broker() {
    use crate::{NewNote, NoteChange, NoteTry};
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    let psa = ticketgate_protocol::ids::PsaId::new("rt").unwrap();
    let note_of = |id: &str| NewNote {
        mark: format!("mark {id}"),
        session: SessionId::new(id).unwrap(),
        psa: psa.clone(),
        ticket: "1".to_owned(),
        text: "text".to_owned(),
        due: at(1),
    };
    let begin = Change {
        accounts: vec![account("a")],
        sessions: vec![session("s-1", "a"), session("s-2", "a")],
        notes: NoteChange { new: vec![note_of("s-1"), note_of("s-2")], ..NoteChange::default() },
        ..note(None, 0)
    };
    one.commit(begin).await.unwrap();
    let first = one.next_note(&psa).await.unwrap().unwrap().note;
    let second = two.next_note(&psa).await.unwrap().unwrap().note;
    assert_ne!(first.mark, second.mark);
    assert_eq!(one.next_note(&psa).await.unwrap().unwrap().note, first, "its own it finds again");
    let sending = |note: &NewNote| {
        let sending = vec![NoteTry { mark: note.mark.clone(), again: at(60) }];
        Change { notes: NoteChange { sending, ..NoteChange::default() }, ..note_change() }
    };
    one.commit(sending(&first)).await.unwrap();
    let refused = one.commit(sending(&second)).await;
    assert!(matches!(refused, Err(LedgerError::Conflict(_))), "{refused:?}");
    two.commit(sending(&second)).await.unwrap();
}

fn note_change() -> Change {
    Change { name: "ledger.test", at: at(2), ..Change::default() }
}

#[tokio::test]
async fn what_one_broker_changes_another_hears_of() {
    let place = Place::new();
    let (one, two) = (broker(&place, "one").await, broker(&place, "two").await);
    let mut heard = two.changes();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // What is due in half a minute is found by looking: only the technician's own is told.
    ending(&one, &[("b", 30)]).await;
    let mut told = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_millis(500), heard.recv()).await {
        told.push(next.unwrap());
    }
    assert!(told.contains(&Heard::Technician(technician("b"))) && !told.contains(&Heard::Due), "{told:?}");
    ending(&one, &[("a", 1)]).await;
    let mut missing = vec![Heard::Technician(technician("a")), Heard::Due];
    while !missing.is_empty() {
        let next = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await.unwrap().unwrap();
        missing.retain(|heard| *heard != next);
    }
    // What somebody wrote who told nobody is found by looking.
    place.alter("UPDATE technicians SET last_event = last_event + 1, moved = clock_timestamp()").unwrap();
    let looks = async { while heard.recv().await.unwrap() != Heard::Technician(technician("a")) {} };
    tokio::time::timeout(Duration::from_secs(3), looks).await.unwrap();
}

#[tokio::test]
async fn one_question_tells_of_several_accounts_what_each_alone_is_told() {
    let place = Place::new();
    let one = broker(&place, "one").await;
    ending(&one, &[("b", 30), ("a", 20)]).await;
    let more = Change { sessions: vec![session("s-more", "a")], ..note(None, 1) };
    one.commit(more).await.unwrap();
    let idle = Change { accounts: vec![account("idle")], ..note(None, 2) };
    one.commit(idle).await.unwrap();
    let keys = ["idle", "b", "nobody", "a"].map(key);
    let told = one.accounts_of(&keys).await.unwrap();
    let counts: Vec<_> =
        told.iter().map(|(account, sessions)| (account.key.clone(), sessions.len())).collect();
    assert_eq!(counts, [(key("a"), 2), (key("b"), 1), (key("idle"), 0)]);
    for (account, sessions) in told {
        assert_eq!(one.account(&account.key).await.unwrap(), Some((account, sessions)));
    }
}

#[tokio::test]
async fn the_clock_is_the_databases() {
    let place = Place::new();
    let ledger = place.open().await;
    let (first, second) = (ledger.time().await.unwrap(), ledger.time().await.unwrap());
    assert!(first <= second);
    assert!((chrono::Utc::now() - second).num_seconds().abs() < 5, "one machine");
}
