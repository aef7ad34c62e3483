//! Ends that are due at one time, and brokers that share them.

use super::*;

/// Ends that are due at one time. A broker works on 32 accounts of a directory at once.
const ENDS: u32 = 90;

fn crowded() -> String {
    configuration().replace(
        "rate = { per_minute = 20 }",
        "rate = { per_minute = 1000, per_hour = 1000, per_day = 1000 }\nsessions_at_once = 100",
    )
}

#[tokio::test]
async fn ends_are_shared_out_and_each_is_done_once() {
    let many = Many::new(crowded()).await;
    let (a, b, c) = (many.broker().await, many.broker().await, many.broker().await);
    // More than two brokers have hands for, while each step takes its time.
    for n in 0..ENDS {
        a.activate("burner", &format!("k{n}")).await;
    }
    let before = a.steps.load(Ordering::SeqCst);
    many.directory.takes_ms.store(200, Ordering::SeqCst);
    many.clock.pass(3601);
    for member in [&a, &b, &c] {
        member.run();
    }
    let over = async || {
        let open = ticketgate_ledger::SessionFilter { open: true, ..Default::default() };
        many.ledger.sessions(open).await.unwrap().is_empty()
    };
    many.until("all to be over", over).await;
    assert!(many.directory.accounts.lock().unwrap().is_empty());
    let done = [&a, &b, &c].map(|member| member.steps.load(Ordering::SeqCst));
    let done = [done[0] - before, done[1], done[2]];
    assert!(done.iter().all(|steps| *steps > 0), "{done:?}");
    let each = done.iter().sum::<u32>();
    assert_eq!(many.count("session.ended").await, usize::try_from(ENDS).unwrap());
    assert_eq!(each % ENDS, 0, "no step was done twice: {done:?}");
}

#[tokio::test]
async fn an_end_is_noticed_by_a_broker_that_did_not_begin_its_session() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    b.run();
    let session = a.activate("domain", "k1").await;
    let mut events = b.broker.events().listen();
    many.clock.pass(3601);
    many.becomes(&a, &session, State::Ended).await;
    assert!(many.is_closed());
    tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_happens_at_another_broker_is_heard() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    b.run();
    // Whatever it says when it begins to listen.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut events = b.broker.events().listen();
    a.activate("domain", "k1").await;
    tokio::time::timeout(Duration::from_secs(5), events.recv()).await.unwrap().unwrap();
}
