//! The way to a team's broker, over real TLS on loopback: brokers that die, come back, are slow, silent or not to be trusted.

pub(crate) mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ticketgate_protocol::api::{Activate, Event};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::{Code, Problem};

use self::stage::{Authority, Broker, Heard, Made, Reply, say, showing, team};
use super::events::{EventFeed, News};
use super::{Client, Endpoint};

fn golden(name: &str) -> serde_json::Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../protocol/golden")
        .join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Answers as a broker does.
fn honest(heard: &Heard) -> Reply {
    match heard.path.as_str() {
        "/v1/broker" => say(200, &golden("reply.hello")["ok"]["broker"].to_string()),
        "/v1/sessions" => say(200, &golden("reply.activate")["ok"]["session"].to_string()),
        _ => say(200, &golden("reply.overview")["ok"].to_string()),
    }
}

fn client(authority: &Authority, ports: &[u16]) -> Client {
    Client::new(Endpoint::Https(Arc::new(team(authority, ports)))).with_limit(Duration::from_secs(20))
}

fn wish() -> (Activate, IdempotencyKey) {
    let wish = serde_json::from_value(golden("request.activate")["params"].clone()).unwrap();
    (wish, "k-1".parse().unwrap())
}

/// A port at which nobody listens.
async fn nobody() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A port at which connections are taken, and nothing more.
async fn half_open() -> (u16, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

fn unreached(problem: &Problem, words: &str) {
    assert_eq!(problem.code, Code::BrokerUnreachable, "{problem:?}");
    assert!(problem.detail.contains(words) && !problem.remedy.is_empty(), "{problem:?}");
    // It may be shown in a browser, which is to know no server.
    let said = problem.to_string();
    assert!(!said.contains("127.0.0.1") && !said.contains("https://"), "{said}");
}

#[tokio::test]
async fn calls_share_a_verified_connection_that_is_kept() {
    let authority = Authority::new();
    let broker = Broker::start(&authority, &Made::with(authority.good()), honest).await;
    let client = client(&authority, &[broker.port]);
    for _ in 0..3 {
        client.broker().await.unwrap();
        client.overview().await.unwrap();
    }
    let (wish, key) = wish();
    client.activate(&wish, &key).await.unwrap();
    assert_eq!(broker.connections(), 1);
    let heard = broker.heard();
    assert_eq!(heard.len(), 7);
    assert_eq!(heard[0].header("host"), Some(format!("127.0.0.1:{}", broker.port).as_str()));
    assert_eq!(heard[6].header("idempotency-key"), Some("k-1"));
    assert!(heard[6].body.contains("acme-domain-admin") && heard[6].method == "POST");
    assert_eq!(heard[0].header("authorization"), None, "nobody signed in");
}

#[tokio::test]
async fn a_certificate_that_is_expired_for_another_name_or_of_an_unknown_authority_is_refused_and_nothing_is_sent()
 {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("old", "IP:127.0.0.1", "210101000000Z");
    authority.issue("elsewhere", "DNS:broker.example", "490101000000Z");
    let old = Broker::start(&authority, &Made::with("old"), honest).await;
    let elsewhere = Broker::start(&authority, &Made::with("elsewhere"), honest).await;
    let foreign = Broker::start(&other, &Made::with(other.good()), honest).await;
    for (broker, words) in [
        (&old, "has expired"),
        (&elsewhere, "for another name"),
        (&foreign, "nobody whom this machine trusts"),
    ] {
        let client = client(&authority, &[broker.port]);
        unreached(&client.overview().await.unwrap_err(), words);
        let (wish, key) = wish();
        unreached(&client.activate(&wish, &key).await.unwrap_err(), words);
        assert!(broker.heard().is_empty());
    }
    // What can be mended is said before what passes; and a good one beside them is used.
    let mixed = client(&authority, &[nobody().await, old.port]);
    unreached(&mixed.overview().await.unwrap_err(), "has expired");
    let good = Broker::start(&authority, &Made::with(authority.good()), honest).await;
    client(&authority, &[old.port, good.port]).overview().await.unwrap();
}

#[tokio::test]
async fn an_authority_that_is_replaced_on_disk_counts_without_a_restart_and_a_bad_file_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = Broker::start(&other, &Made::with(other.good()), honest).await;
    let client = client(&authority, &[broker.port]);
    unreached(&client.overview().await.unwrap_err(), "nobody whom this machine trusts");
    let file = authority.folder.path().join("ca.crt");
    std::fs::copy(other.folder.path().join("ca.crt"), &file).unwrap();
    client.overview().await.unwrap();
    let fresh = self::client(&authority, &[broker.port]);
    std::fs::write(&file, "nothing").unwrap();
    let problem = fresh.overview().await.unwrap_err();
    assert!(problem.detail.contains("ca.crt") && problem.detail.contains("no certificate"), "{problem:?}");
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_gets_the_machines_and_says_when_there_is_none() {
    let authority = Authority::new();
    authority.issue("machine", "DNS:machine", "490101000000Z");
    let made = Made { wants_certificate: true, ..Made::with(authority.good()) };
    let broker = Broker::start(&authority, &made, honest).await;
    let team = team(&authority, &[broker.port]);
    let without = Client::new(Endpoint::Https(Arc::new(team.clone())));
    unreached(&without.overview().await.unwrap_err(), "certificate, or wants one");
    let with = Client::new(Endpoint::Https(Arc::new(showing(team.clone(), &authority, "machine"))));
    with.overview().await.unwrap();
    // A key that everybody of the machine can read is nobody's.
    use std::os::unix::fs::PermissionsExt;
    let key = authority.folder.path().join("machine.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = Client::new(Endpoint::Https(Arc::new(showing(team, &authority, "machine"))));
    let problem = open.overview().await.unwrap_err();
    assert!(problem.detail.contains("others may read"), "{problem:?}");
}

#[tokio::test]
async fn one_of_two_dies_and_the_other_goes_on() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let (one, two) =
        (Broker::start(&authority, &made, honest).await, Broker::start(&authority, &made, honest).await);
    let client = client(&authority, &[one.port, two.port]);
    client.overview().await.unwrap();
    assert_eq!((one.connections(), two.connections()), (1, 0), "the first one first");
    drop(one);
    let began = Instant::now();
    client.overview().await.unwrap();
    client.overview().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(two.connections(), 1, "and stays with it");
}

#[tokio::test]
async fn both_die_and_come_back() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let (one, two) =
        (Broker::start(&authority, &made, honest).await, Broker::start(&authority, &made, honest).await);
    let ports = [one.port, two.port];
    let client = client(&authority, &ports);
    client.overview().await.unwrap();
    drop((one, two));
    // A question says so at once; what carries a key waits a little for them to return.
    let began = Instant::now();
    unreached(&client.overview().await.unwrap_err(), "went away");
    unreached(&client.overview().await.unwrap_err(), "nobody answers");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let (wish, key) = wish();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.activate(&wish, &key).await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let back = Broker::start(&authority, &Made { port: ports[1], ..made.clone() }, honest).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(back.heard().len(), 1);
    client.overview().await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_lost_or_cut_in_the_middle_is_asked_for_again_with_the_same_key() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let cuts = |heard: &Heard| match honest(heard) {
        Reply::Say { body, .. } => Reply::Cut(body),
        other => other,
    };
    for broken in [cuts, |_: &Heard| Reply::HangUp] {
        let one = Broker::start(&authority, &made, broken).await;
        let two = Broker::start(&authority, &made, honest).await;
        let client = client(&authority, &[one.port, two.port]);
        let (wish, key) = wish();
        client.activate(&wish, &key).await.unwrap();
        let keys = |broker: &Broker| {
            let heard = broker.heard();
            heard
                .iter()
                .filter_map(|heard| heard.header("idempotency-key").map(str::to_owned))
                .collect::<Vec<_>>()
        };
        assert_eq!((keys(&one), keys(&two)), (vec!["k-1".to_owned()], vec!["k-1".to_owned()]));
        client.overview().await.unwrap();
    }
}

#[tokio::test]
async fn what_could_be_done_twice_is_never_repeated() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let one = Broker::start(&authority, &made, |_| Reply::HangUp).await;
    let two = Broker::start(&authority, &made, honest).await;
    let client = client(&authority, &[one.port, two.port]);
    unreached(&client.sweep().await.unwrap_err(), "went away");
    assert_eq!((one.heard().len(), two.heard().len()), (1, 0));
}

#[tokio::test]
async fn a_broker_that_is_stopping_or_missing_behind_its_proxy_is_passed_over() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let stopping = serde_json::to_string(&Problem::new(Code::Stopping, "The broker is stopping.")).unwrap();
    for reply in [say(503, &stopping), say(502, "<html>Bad Gateway</html>"), say(504, "")] {
        let told = reply.clone();
        let one = Broker::start(&authority, &made, move |_| told.clone()).await;
        let two = Broker::start(&authority, &made, honest).await;
        client(&authority, &[one.port, two.port]).overview().await.unwrap();
        // Alone, it is said.
        let alone = client(&authority, &[one.port]).overview().await.unwrap_err();
        assert!(matches!(alone.code, Code::Stopping | Code::BrokerUnreachable), "{alone:?}");
    }
    // What a broker says of a directory is its answer, and no reason to ask another.
    let down = serde_json::to_string(&Problem::new(Code::DirectoryDown, "It is down.")).unwrap();
    let one = Broker::start(&authority, &made, move |_| say(503, &down)).await;
    let two = Broker::start(&authority, &made, honest).await;
    let (wish, key) = wish();
    let problem = client(&authority, &[one.port, two.port]).activate(&wish, &key).await.unwrap_err();
    assert_eq!((problem.code, two.heard().len()), (Code::DirectoryDown, 0));
}

#[tokio::test]
async fn an_address_that_takes_connections_and_says_nothing_costs_less_than_a_second() {
    let authority = Authority::new();
    let (port, _listener) = half_open().await;
    let two = Broker::start(&authority, &Made::with(authority.good()), honest).await;
    let client = client(&authority, &[port, two.port]);
    for limit in [1_000, 300] {
        let began = Instant::now();
        client.overview().await.unwrap();
        assert!(began.elapsed() < Duration::from_millis(limit), "{:?}", began.elapsed());
    }
    // Alone, it is given up in time.
    let began = Instant::now();
    let problem = self::client(&authority, &[port]).overview().await.unwrap_err();
    unreached(&problem, "nothing came within 4 seconds");
    assert!(began.elapsed() < Duration::from_millis(4_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_broker_that_hangs_is_told_from_one_whose_directory_is_slow() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    // Slow, but there: it is waited for.
    let slow = Broker::start(&authority, &made, |heard| match heard.path.as_str() {
        "/v1/sessions" => {
            Reply::Late(Duration::from_secs(5), golden("reply.activate")["ok"]["session"].to_string())
        }
        _ => honest(heard),
    })
    .await;
    let two = Broker::start(&authority, &made, honest).await;
    let (wish, key) = wish();
    client(&authority, &[slow.port, two.port]).activate(&wish, &key).await.unwrap();
    assert!(two.heard().is_empty());
    assert!(slow.heard().iter().any(|heard| heard.path == "/v1/broker"), "it was looked at meanwhile");
    // Hanging: the other has it within some seconds.
    let hangs = Broker::start(&authority, &made, |_| Reply::Silence).await;
    let began = Instant::now();
    client(&authority, &[hangs.port, two.port]).activate(&wish, &key).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(two.heard().len(), 1);
}

#[tokio::test]
async fn no_call_takes_longer_than_its_limit() {
    let authority = Authority::new();
    let broker = Broker::start(&authority, &Made::with(authority.good()), |_| Reply::Silence).await;
    let client = client(&authority, &[broker.port]).with_limit(Duration::from_millis(500));
    assert_eq!(client.overview().await.unwrap_err().code, Code::TimedOut);
}

#[tokio::test]
async fn a_server_that_is_no_broker_or_no_tls_is_said_so() {
    let authority = Authority::new();
    let page = Broker::start(&authority, &Made::with(authority.good()), |_| say(200, "<html>")).await;
    let problem = client(&authority, &[page.port]).overview().await.unwrap_err();
    assert!(problem.detail.contains("cannot be read"), "{problem:?}");
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    unreached(&client(&authority, &[port]).overview().await.unwrap_err(), "does not speak TLS");
    let mut nowhere = team(&authority, &[1]);
    nowhere.addresses = vec!["https://no-such-host.invalid".parse().unwrap()];
    let problem = Client::new(Endpoint::Https(Arc::new(nowhere))).overview().await.unwrap_err();
    unreached(&problem, "name is not known");
}

#[tokio::test]
async fn events_go_on_at_another_broker_behind_the_last_one_and_nobody_hears_of_it() {
    let authority = Authority::new();
    let made = Made::with(authority.good());
    let first = "id: 7\nevent: overview\ndata:\n\n";
    let one = Broker::start(&authority, &made, move |_| Reply::Stream(first.into(), true)).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&seen);
    let two = Broker::start(&authority, &made, move |heard| {
        counts.fetch_add(1, Ordering::SeqCst);
        let after = heard.header("last-event-id").unwrap_or("none");
        Reply::Stream(
            format!("id: 8\nevent: {}\ndata:\n\n", if after == "7" { "overview" } else { "resync" }),
            false,
        )
    })
    .await;
    let mut feed = EventFeed::new(client(&authority, &[one.port, two.port]));
    assert_eq!(feed.next().await, News::Event(Event::Overview));
    drop(one);
    assert_eq!(feed.next().await, News::Event(Event::Overview), "no gap: number 8 follows number 7");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    // With nobody left it is a gap, told once, and told again when somebody is back.
    let port = two.port;
    drop(two);
    let News::Lost(problem) = feed.next().await else { panic!("nothing was lost") };
    unreached(&problem, "");
    // Another reason is news: somebody may have signed out while nobody could say so.
    let asked = AtomicUsize::new(0);
    let back = Broker::start(&authority, &Made { port, ..made }, move |_| {
        let detail = "You are not signed in to the broker.";
        let refusal = serde_json::json!({"code": "sign_in_needed", "status": 401, "detail": detail});
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => say(401, &refusal.to_string()),
            _ => Reply::Stream(String::new(), false),
        }
    })
    .await;
    let News::Lost(problem) = feed.next().await else { panic!("nothing was lost") };
    assert_eq!(problem.code, Code::SignInNeeded, "{problem:?}");
    assert_eq!(feed.next().await, News::Event(Event::Resync));
    assert_eq!(back.heard()[1].header("last-event-id"), Some("8"));
}
