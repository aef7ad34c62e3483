//! Notes to tickets with several brokers: each once.

use super::*;
use crate::broker::tests::tickets::{ALWAYS, asking};

#[tokio::test]
async fn each_note_is_in_its_ticket_once_whoever_sends_it() {
    let many = Many::new(asking(ALWAYS).replace("per_minute = 20", "per_minute = 1000")).await;
    let (a, b, c) = (many.broker().await, many.broker().await, many.broker().await);
    for member in [&a, &b, &c] {
        member.run();
    }
    for n in 0..10 {
        let member = [&a, &b, &c][n % 3];
        let session = member.activate("domain", &format!("k{n}")).await;
        member.end(&session, &format!("e{n}")).await;
    }
    let delivered = async || {
        many.clock.pass(1);
        many.ledger.note_queues().await.unwrap().is_empty()
    };
    many.until("all notes to be delivered", delivered).await;
    let notes = many.psa.notes.lock().unwrap();
    let marks: std::collections::BTreeSet<_> = notes.iter().map(|note| note.mark.clone()).collect();
    assert_eq!((notes.len(), marks.len()), (20, 20));
}
