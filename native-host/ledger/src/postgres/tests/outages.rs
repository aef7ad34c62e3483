//! A server that goes away, is stopped, or has no room; and a broker that was stopped in the middle of a write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::server::Server;
use crate::tests::*;
use crate::{Ledger, LedgerError, Shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_between_two_writes_is_not_noticed() {
    let place = Arc::new(Server::start("")).database();
    let ledger = place.open().await;
    ledger.commit(note(Some("acme"), 0)).await.unwrap();
    place.server.end();
    place.server.begin();
    ledger.commit(note(Some("acme"), 1)).await.unwrap();
    assert_eq!(ledger.verify(None).await.unwrap().records, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_while_the_server_is_killed_again_and_again_are_there_where_they_were_answered() {
    let place = Arc::new(Server::start("fsync = on")).database();
    let ledger = Arc::new(place.open().await);
    ledger.commit(Change { accounts: vec![account("tech1")], ..note(None, 0) }).await.unwrap();
    let writer = {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let (mut sure, mut unsure) = (Vec::new(), Vec::new());
            let until = Instant::now() + Duration::from_secs(6);
            for n in 0.. {
                if Instant::now() > until {
                    break;
                }
                let id = format!("s-{n}");
                let change = Change { sessions: vec![session(&id, "tech1")], ..note(Some("acme"), 1) };
                match ledger.commit(change).await {
                    Ok(()) => sure.push(id),
                    Err(LedgerError::Unavailable(_)) => unsure.push(id),
                    Err(error) => panic!("{error}"),
                }
            }
            (sure, unsure)
        })
    };
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(900)).await;
        tokio::task::block_in_place(|| {
            place.server.end();
            place.server.begin();
        });
    }
    let (sure, unsure) = writer.await.unwrap();
    assert!(sure.len() > 10, "{} and {}", sure.len(), unsure.len());
    for id in &sure {
        assert!(ledger.session(&SessionId::new(id.as_str()).unwrap()).await.unwrap().is_some(), "{id}");
    }
    let mut there = sure.len();
    for id in &unsure {
        there += usize::from(ledger.session(&SessionId::new(id.as_str()).unwrap()).await.unwrap().is_some());
    }
    let verdict = ledger.verify(None).await.unwrap();
    assert!(verdict.whole, "{verdict:?}");
    assert_eq!(verdict.records, u64::try_from(there).unwrap() + 1, "each with its record, once");
    assert_eq!(ledger.last_event(&technician("tech1")).await.unwrap(), u64::try_from(there).unwrap());
}

/// A server that was restarted shows what its standby has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_standby_has_is_not_called_written_nor_shown_after_a_restart() {
    let place = Arc::new(Server::start("")).database();
    let ledger = place.open().await;
    ledger.enlist("one").await.unwrap();
    ledger.commit(Change { accounts: vec![account("tech1")], ..note(None, 0) }).await.unwrap();
    let waits_for = |standby: &str| {
        place.server.sql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'"));
        place.server.sql("postgres", "SELECT pg_reload_conf()");
    };
    waits_for("nobody");
    let began = Instant::now();
    let change = Change { sessions: vec![session("s-1", "tech1")], ..note(Some("acme"), 1) };
    let said = ledger.commit(change).await.unwrap_err().to_string();
    assert!(said.contains("whether it was written is not known"), "after {:?}: {said}", began.elapsed());
    tokio::task::block_in_place(|| {
        place.server.end();
        place.server.begin();
    });
    let shown = "SELECT count(*) FROM sessions";
    assert_eq!(place.server.sql(&place.name, shown), ["1"], "the server shows it to anybody else");
    let id = SessionId::new("s-1").unwrap();
    let said = ledger.session(&id).await.unwrap_err().to_string();
    assert!(said.contains("waits for a standby that has not what it has"), "{said}");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert_eq!(place.server.sql("postgres", waiting), ["0"], "no connection stays behind");
    waits_for("");
    assert!(ledger.session(&id).await.unwrap().is_some());
}

/// Also while the server was not restarted: what somebody broke off is shown before its standby has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_that_no_standby_has() {
    let place = Arc::new(Server::start("")).database();
    let ledger = place.open().await;
    ledger.enlist("one").await.unwrap();
    ledger.confirm().await.unwrap();
    place.server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    place.server.sql("postgres", "SELECT pg_reload_conf()");
    let mut waits = false;
    // The server takes a moment to read its settings again.
    for _ in 0..200 {
        if waits {
            break;
        }
        waits = tokio::time::timeout(Duration::from_secs(1), ledger.confirm()).await.is_err();
    }
    assert!(waits);
    place.server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
    place.server.sql("postgres", "SELECT pg_reload_conf()");
    ledger.confirm().await.unwrap();
    // A fail-over can lose the broker's own row.
    place.alter("DELETE FROM brokers").unwrap();
    ledger.confirm().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_gone_that_is_said_and_it_is_found_again() {
    let place = Arc::new(Server::start("")).database();
    let ledger = place.open().await;
    let mut heard = ledger.changes();
    place.server.end();
    let said = ledger.commit(note(None, 0)).await.unwrap_err().to_string();
    assert!(said.contains("does not answer"), "{said}");
    assert!(ledger.trouble().unwrap().contains("does not answer"));
    place.server.begin();
    ledger.commit(note(None, 0)).await.unwrap();
    assert_eq!(ledger.trouble(), None);
    let again = async { while heard.recv().await.unwrap() != crate::Heard::Gap {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stopped_in_the_middle_of_a_write_holds_up_the_others_for_two_seconds_at_most() {
    let place = Arc::new(Server::start("")).database();
    let (one, two) = (place.open().await, place.open().await);
    one.commit(Change { accounts: vec![account("a")], ..note(Some("acme"), 0) }).await.unwrap();
    // A connection that has the account and the chain's head and does nothing: its process was stopped.
    let (client, connection) =
        tokio_postgres::connect(&place.address(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let stuck = "SET idle_in_transaction_session_timeout = '2s'; BEGIN;
         SELECT 1 FROM accounts FOR UPDATE; SELECT 1 FROM chains FOR UPDATE";
    client.batch_execute(stuck).await.unwrap();
    let began = Instant::now();
    two.enlist("two").await.unwrap();
    let claimed = two.claim(at(99), 9).await.unwrap();
    assert!(claimed.is_empty() && began.elapsed() < Duration::from_secs(1), "what is locked is passed over");
    two.commit(note(Some("acme"), 1)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(two.claim(at(99), 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_caller_went_away_is_whole() {
    let place = Arc::new(Server::start("")).database();
    let ledger = place.open().await;
    for n in 0..20 {
        let commit = ledger.commit(note(Some("acme"), n));
        let _ = tokio::time::timeout(Duration::from_micros(300 * u64::try_from(n).unwrap()), commit).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let verdict = ledger.verify(None).await.unwrap();
    assert!(verdict.whole && verdict.records == 20, "{verdict:?}");
}
