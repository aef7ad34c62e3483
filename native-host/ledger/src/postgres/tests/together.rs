//! Several connections at once: the same chain, the same person's limits, the same request, each other's rows; and what is read
//! while others write.

use std::collections::BTreeMap;

use ticketgate_access::config::RateLimits;
use ticketgate_protocol::ids::IdempotencyKey;

use super::server::Place;
use crate::tests::*;
use crate::{Answer, AuditQuery, Guard, Ledger, LedgerError, Limit, PostgresLedger};

async fn handles(place: &Place, count: usize) -> Vec<std::sync::Arc<PostgresLedger>> {
    let mut handles = Vec::new();
    for _ in 0..count {
        handles.push(std::sync::Arc::new(place.open().await));
    }
    handles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_stay_whole_and_a_reader_who_pages_along_misses_no_record() {
    let place = Place::new();
    let writers = handles(&place, 4).await;
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let ledger = std::sync::Arc::clone(&writers[n % 4]);
            tokio::spawn(async move {
                for i in 0..15i64 {
                    // Two chains in one change, named in another order by every second writer.
                    let mut change = note(Some(if n % 2 == 0 { "acme" } else { "globex" }), i);
                    change.audit.push(record(Some(if n % 2 == 0 { "globex" } else { "acme" }), "x.y"));
                    ledger.commit(change).await.unwrap();
                }
            })
        })
        .collect();
    let reader = place.open().await;
    let mut seen = Vec::new();
    loop {
        let over = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        let after = seen.last().map(|record: &ticketgate_protocol::api::AuditRecord| record.position);
        let page = reader.audit(AuditQuery { after, limit: 7, ..AuditQuery::default() }).await.unwrap();
        if page.is_empty() && over {
            break;
        }
        seen.extend(page);
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut by_chain: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in &seen {
        by_chain.entry(record.chain.clone()).or_default().push(record.seq);
    }
    let all = (1..=120).collect::<Vec<_>>();
    assert_eq!(by_chain, [("acme".to_owned(), all.clone()), ("globex".to_owned(), all)].into());
    assert!(seen.windows(2).all(|two| two[0].position + 1 == two[1].position));
    reader.checkpoint(at(99)).await.unwrap();
    let verdict = reader.verify(None).await.unwrap();
    assert!(verdict.whole, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_for_all_brokers_together() {
    let place = Place::new();
    let handles = handles(&place, 3).await;
    let rate = RateLimits { per_minute: 7, per_hour: 100, per_day: 100 };
    let tasks = (0..18).map(|n: usize| {
        let ledger = std::sync::Arc::clone(&handles[n % 3]);
        tokio::spawn(async move {
            let name = format!("s-{n}");
            let change = Change {
                accounts: vec![Account { key: AccountKey(format!("d/burner/{name}")), ..account("tech1") }],
                sessions: vec![Session {
                    account: AccountKey(format!("d/burner/{name}")),
                    ..session(&name, "tech1")
                }],
                guard: Some(Guard {
                    technician: technician("tech1"),
                    rate: Some(rate),
                    sessions_at_once: Some(5),
                }),
                ..note(Some("acme"), 0)
            };
            match ledger.commit(change).await {
                Ok(()) => "passed",
                Err(LedgerError::TooMany { limit: Limit::Sessions, .. }) => "sessions",
                Err(LedgerError::TooMany { .. }) => "rate",
                Err(error) => panic!("{error}"),
            }
        })
    });
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for task in tasks.collect::<Vec<_>>() {
        *counts.entry(task.await.unwrap()).or_default() += 1;
    }
    assert_eq!(counts, [("passed", 5), ("sessions", 13)].into());
    assert_eq!(place.open().await.last_event(&technician("tech1")).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_sent_to_several_brokers_at_once_is_carried_out_once() {
    let place = Place::new();
    let handles = handles(&place, 3).await;
    for round in 0..5 {
        let tasks = (0..6).map(|n: usize| {
            let ledger = std::sync::Arc::clone(&handles[n % 3]);
            tokio::spawn(async move {
                let owner = format!("tech{round}");
                let id = format!("s-{round}-{n}");
                let answer = Answer {
                    technician: technician(&owner),
                    key: IdempotencyKey::new("k-1").unwrap(),
                    request: [7; 32],
                    session: SessionId::new(&*id).unwrap(),
                };
                let key = AccountKey(format!("d/burner/{id}"));
                let change = Change {
                    accounts: vec![Account { key: key.clone(), ..account(&owner) }],
                    sessions: vec![Session { account: key, ..session(&id, &owner) }],
                    answers: Some(answer),
                    ..note(None, 0)
                };
                (id, ledger.commit(change).await)
            })
        });
        let (mut won, mut seen) = (Vec::new(), Vec::new());
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                (id, Ok(())) => won.push(id),
                (_, Err(LedgerError::Seen(answered))) => seen.push(answered.session.to_string()),
                (_, Err(error)) => panic!("{error}"),
            }
        }
        assert_eq!((won.len(), seen.len()), (1, 5));
        assert!(seen.iter().all(|id| *id == won[0]), "all others are told the one that was made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_named_in_opposite_orders_never_get_stuck_in_each_other() {
    let place = Place::new();
    let handles = handles(&place, 2).await;
    let names = ["a", "b", "c"];
    let accounts: Vec<_> = names.iter().map(|name| account(name)).collect();
    let sessions: Vec<_> = names.iter().map(|name| session(&format!("s-{name}"), name)).collect();
    handles[0].commit(Change { accounts, sessions, ..note(None, 0) }).await.unwrap();
    let tasks = (0..8).map(|n: usize| {
        let ledger = std::sync::Arc::clone(&handles[n % 2]);
        tokio::spawn(async move {
            let mut done = 0;
            while done < 8 {
                let mut accounts = ledger.accounts().await.unwrap();
                let mut sessions = ledger.sessions(crate::SessionFilter::default()).await.unwrap();
                if n.is_multiple_of(2) {
                    accounts.reverse();
                    sessions.reverse();
                }
                match ledger.commit(Change { accounts, sessions, ..note(Some("acme"), 1) }).await {
                    Ok(()) => done += 1,
                    Err(LedgerError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(place.open().await.accounts().await.unwrap()[0].version, 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_counted_without_gaps_in_the_order_of_the_commits() {
    let place = Place::new();
    let handles = handles(&place, 3).await;
    let accounts = vec![account("tech1")];
    let sessions = (0..9).map(|n| session(&format!("s-{n}"), "tech1")).collect();
    handles[0].commit(Change { accounts, sessions, ..note(None, 0) }).await.unwrap();
    let tasks = (0..9).map(|n: usize| {
        let ledger = std::sync::Arc::clone(&handles[n % 3]);
        tokio::spawn(async move {
            for version in 1..=10 {
                let row = Session { version, ..session(&format!("s-{n}"), "tech1") };
                ledger.commit(Change { sessions: vec![row], ..note(None, 1) }).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let (reader, of) = (place.open().await, technician("tech1"));
    let mut last = 0;
    while last < 99 {
        for event in reader.events_since(&of, last, 5).await.unwrap().unwrap() {
            assert_eq!(event.number, last + 1);
            last = event.number;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(reader.last_event(&of).await.unwrap(), 99);
}
