//! What a collector of traces is told by a team's broker: which span is a part of which, what is in one and what is not; and what a
//! collector that is away or hangs costs.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ticketgate_tests::collector::{Collector, Span};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::secrets::forms;
use ticketgate_tests::world::Folder;
use ticketgate_tests::{Outcome, Result, http};

/// The line of the log for a collector that takes nothing.
const DROPPED: &str = "the collector of traces does not take all spans";

/// A configuration that tells this collector, and where its monitoring asks.
fn told(ad: &SambaAd, collector: SocketAddr, more: &str) -> Result<(Configuration, SocketAddr)> {
    // Free a moment ago.
    let monitor = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let service = format!("[service]\nmonitor = \"{monitor}\"\ntraces = \"http://{collector}\"\n{more}");
    Ok((Configuration::standard(ad).generous().with(&service), monitor))
}

/// How many spans were `sent` or `dropped`.
fn counted(monitor: SocketAddr, outcome: &str) -> Result<u64> {
    let text = http::ask(monitor, "GET", "/metrics", &[], b"")?.text();
    let line = format!("ticketgate_trace_spans_total{{outcome=\"{outcome}\"}} ");
    Ok(text.lines().find_map(|said| said.strip_prefix(&line)?.parse().ok()).unwrap_or_default())
}

fn below<'a>(spans: &'a [Span], top: &Span) -> BTreeMap<&'a str, &'a Span> {
    let of_trace = spans.iter().filter(|span| span.trace == top.trace && span.id != top.id);
    of_trace.map(|span| (span.name.as_str(), span)).collect()
}

#[test]
fn a_session_is_a_tree_of_spans_from_the_callers_own_and_its_end_another_with_no_secret_in_them() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let collector = Collector::start()?;
    let folder = Folder::new("collector")?;
    let header = folder.write("header", "X-Api-Key: of-the-collector-8Zk4q\n")?;
    fs::set_permissions(&header, fs::Permissions::from_mode(0o600))?;
    let more = format!("traces_header = {{ file = \"{}\" }}\n", header.display());
    let (configuration, monitor) = told(&ad, collector.address(), &more)?;
    let mut product = Product::start(&configuration)?;
    let mut wish = wish("acme-server-admin");
    wish["duration_s"] = json!(8);
    wish["reason"] = json!("#4711 the-reason-is-Ub3rGeheim");
    let key = new_key();
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let parent = format!("00-{trace}-{span}-01");
    let headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", key.as_str()),
        ("X-Request-Id", "of-this-test-7"),
        ("Traceparent", parent.as_str()),
    ];
    let body = wish.to_string();
    let answer = http::ask_socket(&product.socket(), "POST", "/v1/sessions", &headers, body.as_bytes())?;
    let session = answer.json()?;
    assert_eq!((answer.status, &session["state"]), (201, &json!("active")), "{session}");
    let id = session["id"].as_str().expect("an id");
    let password = product.cli_json(&["password", id])?["password"].as_str().expect("one").to_owned();
    let refused = product.api("POST", "/v1/no-such/Ub3rGeheim", Some(&key), &Value::Null)?.json()?;
    assert!(refused["request_id"].is_string(), "{refused}");
    product.session_becomes(id, "ended")?;
    let of_the_end = |spans: &[Span]| {
        let dues: Vec<&Span> = spans.iter().filter(|span| span.name == "due").collect();
        dues.into_iter().find(|due| below(spans, due).contains_key("ledger.session_ended")).cloned()
    };
    wait_for("the end's spans", LIMIT, || Ok(of_the_end(&collector.spans()?)))?;
    let sent = counted(monitor, "sent")?;
    product.stop_broker()?;
    let spans = collector.spans()?;
    assert!(0 < sent && sent <= spans.len() as u64, "{sent} of {}", spans.len());

    let top = spans.iter().find(|found| found.parent == span).expect("the caller's span has a child");
    assert_eq!((top.name.as_str(), top.trace.as_str(), top.kind), ("POST /v1/sessions", trace, 2));
    let known = |name: &str| top.attributes.get(name).map(String::as_str);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/sessions"),
        ("http.response.status_code", "201"),
        ("ticketgate.request", "of-this-test-7"),
        ("ticketgate.session", id),
        ("ticketgate.customer", "acme"),
        ("ticketgate.policy", "acme-server-admin"),
    ] {
        assert_eq!(known(name), Some(value), "{top:?}");
    }
    let parts = below(&spans, top);
    let names: BTreeSet<&str> = parts.keys().copied().collect();
    let converge = parts["converge"];
    assert_eq!((&converge.parent, converge.kind), (&top.id, 1));
    assert_eq!(parts["ledger.session_begin"].parent, top.id);
    for call in [
        "directory.observe",
        "directory.create",
        "directory.grant",
        "directory.open",
        "ledger.session_active",
    ] {
        let call = parts.get(call).unwrap_or_else(|| panic!("{call} is not in {names:?}"));
        assert_eq!((&call.parent, call.kind, call.failed), (&converge.id, 3, false), "{call:?}");
    }
    assert_eq!(parts["directory.open"].attributes["ticketgate.directory"], "acme-ad");

    let due = of_the_end(&spans).expect("it was there");
    assert!(due.parent.is_empty() && due.trace != top.trace, "nobody asked for it: {due:?}");
    assert_eq!(due.attributes["ticketgate.session"], id, "{due:?}");
    assert!(below(&spans, &due).contains_key("directory.close"), "{spans:?}");
    assert!(spans.iter().any(|span| span.name == "POST /v1/sessions/{id}/password"), "{spans:?}");
    let unknown =
        spans.iter().find(|s| s.attributes.get("ticketgate.problem").is_some_and(|p| p == "unknown_method"));
    assert!(unknown.is_some_and(|s| s.name == "POST" && !s.failed), "the caller's own fault: {unknown:?}");

    let mut secrets = forms("the session's password", &password);
    secrets.extend(forms("the service account's password", ad.password("jit-svc")?));
    secrets.extend(forms("the collector's key", "of-the-collector-8Zk4q"));
    for (name, word) in [
        ("the reason, or a path of the caller's", "Ub3rGeheim"),
        ("the key", &key),
        ("the technician", "tech1"),
        ("an account", "jit-"),
        ("a right", "CN="),
    ] {
        secrets.extend(forms(name, word).into_iter().take(1));
    }
    for taken in collector.taken() {
        assert_eq!(taken.headers.get("x-api-key").map(String::as_str), Some("of-the-collector-8Zk4q"));
        let found: Vec<_> = secrets.iter().filter(|secret| secret.is_in(&taken.body)).collect();
        assert!(found.is_empty(), "{found:?} in {}", String::from_utf8_lossy(&taken.body));
    }
    Ok(())
}

#[test]
fn a_collector_that_is_away_or_hangs_costs_counted_spans_and_one_line() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    // Taken by nobody once this is dropped.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let (configuration, monitor) = told(&ad, address, "")?;
    let mut product = Product::start(&configuration)?;
    let before = product.activate("acme-server-admin", &["--reason", "#4711 it is away"])?;
    until("spans to be dropped", LIMIT, || Ok(counted(monitor, "dropped")? > 0))?;
    product.cli_json(&["end", &before.id])?;
    let dropped = counted(monitor, "dropped")?;
    until("more to be dropped", LIMIT, || Ok(counted(monitor, "dropped")? > dropped))?;
    assert_eq!(counted(monitor, "sent")?, 0);
    let lines = |product: &Product, said: &str| product.broker_log().matches(said).count();
    assert_eq!(lines(&product, DROPPED), 1, "{}", product.broker_log());

    let collector = Collector::start_at(address)?;
    product.api("GET", "/v1/overview", None, &Value::Null)?;
    until("spans to be sent", LIMIT, || Ok(counted(monitor, "sent")? > 0))?;
    assert!(collector.spans()?.iter().any(|span| span.name == "GET /v1/overview"));
    until("the log to say so", LIMIT, || Ok(lines(&product, "takes all spans again") == 1))?;
    drop(collector);

    // Connections are made, and nothing is ever answered.
    let _hangs = TcpListener::bind(address)?;
    let begun = Instant::now();
    let during = product.activate("acme-server-admin", &["--reason", "#4711 it hangs"])?;
    assert_eq!(product.cli_json(&["end", &during.id])?["state"], "ended");
    assert!(begun.elapsed() < Duration::from_secs(8), "it waited: {:?}", begun.elapsed());
    let begun = Instant::now();
    product.stop_broker()?;
    assert!(begun.elapsed() < Duration::from_secs(8), "its stop waited: {:?}", begun.elapsed());
    Ok(())
}
