//! Spans as the rest of the broker makes them. What a collector gets of them is looked at end to end (`tests/tests/traces.rs`).

use super::super::on_record;
use super::*;

/// Traces that are collected, what they come out of, and what counts those that are dropped.
fn collected() -> (Traces, mpsc::Receiver<Span>, Counter) {
    let (traces, dropped) = (Traces::default(), Counter::default());
    let queue = traces.open(dropped.clone()).unwrap();
    (traces, queue, dropped)
}

fn request(traces: &Traces, parent: Option<&str>) -> Option<Going> {
    let mut headers = HeaderMap::new();
    if let Some(parent) = parent {
        headers.insert("traceparent", parent.parse().unwrap());
    }
    traces.request("POST", Some("/v1/sessions"), &headers)
}

const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

#[tokio::test]
async fn without_a_collector_there_are_none() {
    let traces = Traces::default();
    assert!(request(&traces, None).is_none() && traces.due(&AccountKey("a/b/c".into())).is_none());
    spanned(traces.call("ledger.session_begin"), |()| None, async { assert!(here().is_none()) }).await;
}

#[tokio::test]
async fn what_is_done_for_a_request_is_below_it_also_in_another_task() {
    let (traces, mut queue, _) = collected();
    let going = request(&traces, Some(&format!("00-{CALLER}-01"))).unwrap();
    let traces = Arc::new(traces);
    within(Some(going.place()), async {
        let traces = Arc::clone(&traces);
        let work = async move {
            note("ticketgate.session", &"s-1");
            spanned(traces.call("ledger.session_begin"), |()| Some("conflict"), async {}).await;
        };
        tokio::spawn(on_record::carried(work)).await.unwrap();
    })
    .await;
    going.over(None);
    let (write, request) = (queue.recv().await.unwrap(), queue.recv().await.unwrap());
    assert_eq!(format!("{}-{}", hex::encode(request.trace), hex::encode(request.parent.unwrap())), CALLER);
    assert_eq!((write.trace, write.parent), (request.trace, Some(request.id)));
    assert_eq!((write.failure, request.failure), (Some("conflict"), None));
    assert!(write.known.is_empty(), "{write:?}");
    assert!(request.known["ticketgate.session"].contains("s-1"), "{request:?}");
    assert!(traces.call("ledger.retry").is_none(), "what belongs to no request is no trace of its own");
}

#[tokio::test]
async fn a_caller_who_collects_nothing_gets_nothing() {
    let (traces, mut queue, _) = collected();
    assert!(request(&traces, Some(&format!("00-{CALLER}-00"))).is_none());
    drop(request(&traces, Some("00-not-a-trace")).unwrap());
    let span = queue.recv().await.unwrap();
    assert_eq!((span.parent, span.failure), (None, Some("given_up")), "nobody said how it went");
    assert!(queue.try_recv().is_err());
}

#[tokio::test]
async fn spans_that_nobody_takes_are_dropped_and_counted() {
    let (traces, _queue, dropped) = collected();
    for _ in 0..WAITING + 3 {
        drop(request(&traces, None));
    }
    assert_eq!(dropped.get(), 3);
}

#[tokio::test]
async fn a_span_takes_only_so_many_ids() {
    let (traces, mut queue, _) = collected();
    let going = request(&traces, None).unwrap();
    within(Some(going.place()), async {
        for n in 0..100 {
            note("ticketgate.session", &n);
        }
    })
    .await;
    drop(going);
    assert_eq!(queue.recv().await.unwrap().known["ticketgate.session"].len(), NOTED);
}
