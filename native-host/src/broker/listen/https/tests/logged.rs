//! What stands in the log of requests: enough to follow one, and no secret.

use std::io::Write;
use std::sync::Mutex;

use serde_json::Value;
use ticketgate_ledger::AuditQuery;
use tracing_subscriber::EnvFilter;

use super::feeding::service;
use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn all(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// As the broker logs, with this much.
fn logging(filter: &str) -> (Lines, tracing::subscriber::DefaultGuard) {
    let lines = Lines::default();
    let to = lines.clone();
    let log = crate::logging::json(EnvFilter::new(filter), move || to.clone());
    (lines, tracing::subscriber::set_default(log))
}

fn post(path: &str, body: &str) -> Request<Bytes> {
    Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("x-request-id", "from-the-relay-7")
        .header("authorization", "DPoP tgt-secret-of-a-sign-in")
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn no_secret_stands_in_the_log_however_much_is_logged() {
    let (lines, _guard) = logging("trace");
    let service = service().await;
    let session = service.world.activate("domain", "k1").await;
    let path = format!("/v1/sessions/{}/password?token=tgt-secret-of-a-query", session.id);
    let client = service.client();
    let over_1 = client.http_1().await.unwrap().send_request(post(&path, "{}")).await.unwrap();
    assert_eq!(
        (over_1.status(), &over_1.headers()["connection"]),
        (StatusCode::OK, &"close".parse().unwrap())
    );
    let told: Value = serde_json::from_str(&text(over_1).await.unwrap()).unwrap();
    let over_2 = client.http_2().await.unwrap().send_request(post(&path, "{}")).await.unwrap();
    assert_eq!((over_2.status(), over_2.headers().get("connection")), (StatusCode::OK, None));
    text(over_2).await.unwrap();
    let key = std::fs::read_to_string(service.folder.path().join("server.key")).unwrap();
    let log = lines.text();
    assert!(log.contains("from-the-relay-7"), "it was logged at all");
    let password = told["password"].as_str().unwrap();
    for secret in [password, "tgt-secret", key.lines().nth(1).unwrap()] {
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{secret} is in {found:?}");
    }
}

#[tokio::test]
async fn a_requests_lines_and_records_carry_its_id_technician_and_route() {
    let (lines, _guard) = logging("debug");
    let service = service().await;
    let session = service.world.activate("domain", "k1").await;
    let path = format!("/v1/sessions/{}/password", session.id);
    let client = service.client();
    client.http_2().await.unwrap().send_request(post(&path, "{}")).await.unwrap();
    let refused = client.http_2().await.unwrap().send_request(post("/v1/end-all", "no json")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let problem: Value = serde_json::from_str(&text(refused).await.unwrap()).unwrap();
    assert_eq!(problem["request_id"], "from-the-relay-7", "{problem}");
    // Of one that came without an id the answer has the one that was made for it.
    let unknown = client.http_2().await.unwrap().send_request(question("/v1/nothing")).await.unwrap();
    let id = unknown.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: Value = serde_json::from_str(&text(unknown).await.unwrap()).unwrap();
    assert_eq!(problem["request_id"], id, "{problem}");
    let answered: Vec<_> = lines.all().into_iter().filter(|line| line["message"] == "answered").collect();
    let [told, refused, unknown] = answered.as_slice() else { panic!("{answered:?}") };
    assert_eq!(told["span"]["id"], "from-the-relay-7", "{told}");
    assert_eq!(told["span"]["technician"], "tech1", "{told}");
    assert_eq!(told["span"]["route"], "/v1/sessions/{id}/password", "{told}");
    assert_eq!(told["status"], 200, "{told}");
    assert!(told["ms"].is_u64() && told["timestamp"].is_string(), "{told}");
    assert_eq!(refused["code"], "malformed_request", "{refused}");
    assert_eq!(unknown["span"]["id"], id, "{unknown}");
    let records = service.world.broker.ledger().audit(AuditQuery::default()).await.unwrap();
    let of = |action: &str| &records.iter().find(|r| r.action == action).unwrap().details["request"];
    assert_eq!(of("password.delivered"), "from-the-relay-7");
    assert_eq!(of("request.refused"), "from-the-relay-7");
}
