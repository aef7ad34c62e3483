//! What monitoring is told, over a real socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::broker::listen::monitoring as listener;
use crate::broker::monitor::Part;

/// A broker and where its monitoring asks.
struct Asked {
    world: World,
    address: std::net::SocketAddr,
    stopped: watch::Sender<bool>,
}

impl Asked {
    async fn new() -> Self {
        Self::of(World::new().await).await
    }

    async fn of(world: World) -> Self {
        // Free a moment ago; nobody else on the machine asks for ports of this range by number.
        let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (stopped, is_stopped) = watch::channel(false);
        tokio::spawn(listener::serve(address, Arc::clone(&world.broker), is_stopped));
        Self { world, address, stopped }
    }

    /// The status and the body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The number of a line of the metrics that begins so.
    async fn number(&self, line: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("{line} is not in\n{text}"))
    }
}

#[tokio::test]
async fn a_broker_that_works_is_healthy_and_ready_and_answers_nothing_else() {
    let asked = Asked::new().await;
    let (status, body) = asked.get("/healthz").await;
    assert_eq!((status, body.contains("\"status\":\"ok\"")), (200, true), "{body}");
    let (status, body) = asked.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"acme-ad\":{\"last\":\"unknown\"}"), "{body}");
    for other in ["/", "/v1/broker", "/v1/overview"] {
        assert_eq!(asked.get(other).await.0, 404, "{other}");
    }
    asked.stopped.send(true).unwrap();
    while TcpStream::connect(asked.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_keeps_a_broker_from_its_work_is_a_reason_and_what_does_not_is_said_beside() {
    let asked = Asked::new().await;
    asked.world.broker.monitor.broken(Part::Certificate, "the new certificate is not used");
    let (status, body) = asked.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("the new certificate is not used"), "{body}");
    asked.world.refusing.readable.store(0, Ordering::SeqCst);
    let (status, body) = asked.get("/readyz").await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("the ledger cannot be used"), "{body}");
    asked.world.refusing.readable.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(asked.get("/readyz").await.0, 200);
    asked.world.broker.monitor.stop();
    let (status, body) = asked.get("/readyz").await;
    assert_eq!((status, body.contains("is stopping")), (503, true), "{body}");
    assert_eq!(asked.get("/healthz").await.0, 200, "it still runs");
}

#[tokio::test]
async fn a_directory_that_does_not_answer_is_named_and_only_the_strict_question_fails_for_it() {
    let asked = Asked::new().await;
    asked.world.directory.set(Mood::Down);
    asked.world.try_activate("domain", "k1", 3600).await.unwrap_err();
    let (status, body) = asked.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("the directory acme-ad did not answer: unreachable"), "{body}");
    let (status, body) = asked.get("/readyz?strict=1").await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn the_numbers_follow_sessions_from_activation_to_end() {
    let asked = Asked::new().await;
    assert_eq!(asked.number("ticketgate_build_info{version=\"0.1.0\"}").await, 1.0);
    asked.world.activate("domain", "k1").await;
    let active = "ticketgate_sessions{directory=\"acme-ad\",state=\"active\"}";
    assert_eq!(asked.number(active).await, 1.0);
    assert_eq!(asked.number("ticketgate_activation_seconds_count{directory=\"acme-ad\"}").await, 1.0);
    assert!(asked.number("ticketgate_ledger_write_seconds_count{outcome=\"ok\"}").await >= 2.0);
    let observed =
        "ticketgate_directory_call_seconds_count{directory=\"acme-ad\",call=\"observe\",outcome=\"ok\"}";
    assert!(asked.number(observed).await >= 1.0);
    asked.world.clock.pass(3660);
    assert!(asked.number("ticketgate_oldest_overdue_seconds").await >= 59.0);
    asked.world.broker.sweep().await.unwrap();
    let late = "ticketgate_end_lateness_seconds_sum{directory=\"acme-ad\"}";
    assert!(asked.number(late).await >= 59.0);
    assert_eq!(asked.number("ticketgate_oldest_overdue_seconds").await, 0.0);
    let (_, text) = asked.get("/metrics").await;
    assert!(!text.contains(active), "{text}");
    assert!(text.ends_with("# EOF\n"), "OpenMetrics");
    let guide = include_str!("../../../../docs/team.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(guide.contains(&format!("`{name}")), "{name} is not in docs/team.md");
    }
    for person in ["tech1", "jit-", "T1"] {
        assert!(!text.contains(person), "{person} is in\n{text}");
    }
}
