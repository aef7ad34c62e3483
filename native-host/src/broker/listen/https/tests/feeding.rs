//! Events over connections that are cut.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;

use axum::middleware;
use ticketgate_ledger::Change;
use ticketgate_protocol::api::Event;

use super::*;
use crate::client::sse::{Parser, RawEvent};

/// How often the listener is cut off.
const CUTS: usize = 100;

/// The real API for a technician who is signed in.
pub(super) async fn service() -> Service {
    let signed_in = async |mut request: axum::extract::Request, next: middleware::Next| {
        let login =
            request.headers().get("login").map_or("tech1", |login| login.to_str().unwrap()).to_owned();
        let peer = Peer::Local { login, superuser: false, own: false };
        request.extensions_mut().insert(ConnectInfo(peer));
        next.run(request).await
    };
    let app = |broker: &Arc<Broker>, told: &watch::Receiver<bool>| {
        router(Arc::clone(broker), told.clone()).layer(middleware::from_fn(signed_in))
    };
    Service::serving(|_| {}, app).await
}

/// One connection's events.
struct Listening {
    body: Bytes,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl Listening {
    async fn begin(client: &Client<'_>, over_2: bool, last: Option<&str>) -> Self {
        let mut request = question("/v1/events");
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().unwrap());
        }
        let answer = if over_2 {
            client.http_2().await.unwrap().send_request(request).await.unwrap()
        } else {
            client.http_1().await.unwrap().send_request(request).await.unwrap()
        };
        assert_eq!(answer.status(), StatusCode::OK);
        Self { body: Bytes::new(answer.into_body()), parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next whole event, within what is soon; `None` where the stream is over.
    async fn next(&mut self) -> Option<RawEvent> {
        use hyper::body::Body;
        while self.ready.is_empty() {
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut self.body).poll_frame(cx));
            let frame = tokio::time::timeout(SOON, frame).await.expect("nothing came")?.ok()?;
            self.ready.extend(self.parser.feed(&frame.into_data().ok()?).unwrap());
        }
        self.ready.pop_front()
    }
}

fn number(event: &RawEvent) -> u64 {
    event.id.as_ref().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
}

/// The session changes so many times more.
async fn change(broker: &Arc<Broker>, times: usize) {
    for _ in 0..times {
        let mut sessions = broker.ledger().sessions(Default::default()).await.unwrap();
        sessions.truncate(1);
        let at = broker.clock().now();
        broker.commit(Change { name: "ledger.test", at, sessions, ..Change::default() }).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_listener_that_is_cut_off_a_hundred_times_hears_each_change_once_and_in_order() {
    let service = service().await;
    let client = service.client();
    let mut listening = Listening::begin(&client, false, None).await;
    let first = listening.next().await.unwrap();
    assert_eq!(first.decode(), Event::Resync, "who is new reads everything");
    service.world.activate("domain", "k1").await;
    let tech1 = ticketgate_protocol::ids::TechnicianId::new("tech1").unwrap();
    let begun = service.world.broker.ledger().last_event(&tech1).await.unwrap();
    let begun = usize::try_from(begun).unwrap();
    let broker = Arc::clone(&service.world.broker);
    let all = begun + CUTS * 10;
    // Who is further behind than what is told one by one reads everything anew: the writer stays within that.
    let told = Arc::new(AtomicUsize::new(0));
    let (mut heard, mut last) = (Vec::new(), first.id);
    let writer = tokio::spawn({
        let told = Arc::clone(&told);
        async move {
            for written in begun..all {
                while written > told.load(Ordering::Relaxed) + 200 {
                    sleep(Duration::from_millis(1)).await;
                }
                change(&broker, 1).await;
            }
        }
    });
    let mut cuts = 0;
    while heard.len() < all {
        // Cut after some events, between two pieces, wherever that is in one: what was not whole comes again.
        for _ in 0..=(cuts % 13) {
            let Some(event) = listening.next().await else { break };
            assert!(matches!(event.decode(), Event::Session(_)), "{event:?}");
            heard.push(number(&event));
            told.store(heard.len(), Ordering::Relaxed);
            last = event.id;
            if heard.len() == all {
                break;
            }
        }
        if cuts < CUTS {
            cuts += 1;
            listening = Listening::begin(&client, cuts % 2 == 0, last.as_deref()).await;
        }
    }
    writer.await.unwrap();
    assert_eq!(cuts, CUTS);
    assert_eq!(heard, (1..=u64::try_from(all).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_comes_back_without_an_id_of_ours_or_after_too_much_reads_everything_anew() {
    let service = service().await;
    let client = service.client();
    service.world.activate("domain", "k1").await;
    let mut listening = Listening::begin(&client, true, None).await;
    let first = listening.next().await.unwrap();
    change(&service.world.broker, 1).await;
    let last = listening.next().await.unwrap();
    assert_eq!(number(&last), number(&first) + 1);
    let id = last.id.clone().unwrap();
    let other_ledger = format!("0123456789ab-{}", number(&last));
    let never_counted = format!("{}-{}", id.rsplit_once('-').unwrap().0, number(&last) + 1);
    for foreign in ["", "7", "x-y", &other_ledger, &never_counted, &"9".repeat(400)] {
        let mut again = Listening::begin(&client, true, Some(foreign)).await;
        let told = again.next().await.unwrap();
        assert_eq!((told.decode(), told.id), (Event::Resync, Some(id.clone())), "{foreign}");
    }
    change(&service.world.broker, 257).await;
    let mut again = Listening::begin(&client, true, Some(&id)).await;
    assert_eq!(again.next().await.unwrap().decode(), Event::Resync, "257 changes at once");
}

#[tokio::test]
async fn a_stop_ends_the_streams_and_with_them_the_listener() {
    let service = service().await;
    let client = service.client();
    let mut over_1 = Listening::begin(&client, false, None).await;
    let mut over_2 = Listening::begin(&client, true, None).await;
    for listening in [&mut over_1, &mut over_2] {
        assert_eq!(listening.next().await.unwrap().decode(), Event::Resync);
    }
    service.stop.send(true).unwrap();
    for listening in [&mut over_1, &mut over_2] {
        assert_eq!(listening.next().await, None);
    }
    tokio::time::timeout(SOON, service.served).await.unwrap().unwrap();
}
