//! A collector of traces: takes what it is sent over OTLP/HTTP, and holds it to OpenTelemetry's own description ([`shape`]).

pub mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::Result;

/// More than a request of ours ever has.
const LARGEST_BODY: usize = 4 << 20;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its method and path.
    pub asked: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
}

/// A span, as the collector understands it.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace's id.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// The span that it is a part of; empty at the top.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// `SpanKind`.
    pub kind: u64,
    /// Attributes; numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is that of an error.
    pub failed: bool,
}

/// A running collector. Dropping it closes its port.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// On a free port of this machine.
    ///
    /// # Errors
    /// None is free.
    pub fn start() -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// At an address where one was before.
    ///
    /// # Errors
    /// Somebody else is there.
    pub fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        let taken = Arc::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&taken));
        let serve = move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = ended => {}
                }
            });
        };
        let thread =
            std::thread::Builder::new().name("collector".to_owned()).spawn(serve).context("no thread")?;
        Ok(Self { address, taken, end: Some(end), thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that it was sent so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every span so far.
    ///
    /// # Errors
    /// Something that it was sent is not as OpenTelemetry describes it.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let shape = shape::Shape::of_opentelemetry()?;
        let mut spans = Vec::new();
        for taken in self.taken() {
            ensure!(taken.asked == "POST /v1/traces", "asked for {}", taken.asked);
            let kind = taken.headers.get("content-type").map(String::as_str);
            ensure!(kind == Some("application/json"), "the body is said to be {kind:?}");
            let body: Value = serde_json::from_slice(&taken.body)?;
            shape.check(&body, "ExportTraceServiceRequest").with_context(|| body.to_string())?;
            for of_resource in list(&body, "resourceSpans") {
                for of_scope in list(of_resource, "scopeSpans") {
                    for span in list(of_scope, "spans") {
                        spans.push(read(span)?);
                    }
                }
            }
        }
        let ids: BTreeSet<_> = spans.iter().map(|span: &Span| &span.id).collect();
        ensure!(ids.len() == spans.len(), "an id is used twice: {spans:?}");
        Ok(spans)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn take(State(taken): State<Arc<Mutex<Vec<Taken>>>>, request: Request) -> &'static str {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let asked = format!("{} {}", head.method, head.uri.path());
    let one = Taken { asked, headers: headers.collect(), body };
    taken.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    "{}"
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What [`shape`] cannot say, since it stands in the description's comments, is held here.
fn read(span: &Value) -> Result<Span> {
    let text = |name: &str| span.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let moment = |name: &str| text(name).parse::<u64>().with_context(|| format!("no {name} in {span}"));
    let (begin, end) = (moment("startTimeUnixNano")?, moment("endTimeUnixNano")?);
    ensure!(0 < begin && begin <= end, "it ends before it begins: {span}");
    let mut attributes = BTreeMap::new();
    for one in list(span, "attributes") {
        let key = one.get("key").and_then(Value::as_str).unwrap_or_default();
        let value = one.pointer("/value/stringValue").or_else(|| one.pointer("/value/intValue"));
        let value = value.and_then(Value::as_str).with_context(|| format!("no value of {key} in {span}"))?;
        let before = attributes.insert(key.to_owned(), value.to_owned());
        ensure!(before.is_none() && !key.is_empty(), "{key:?} twice, or without a name: {span}");
    }
    let found = Span {
        trace: text("traceId"),
        id: text("spanId"),
        parent: text("parentSpanId"),
        name: text("name"),
        kind: span.get("kind").and_then(Value::as_u64).unwrap_or_default(),
        attributes,
        failed: span.pointer("/status/code").and_then(Value::as_u64) == Some(2),
    };
    let is_id = |id: &str, length| id.len() == length && id.bytes().any(|digit| digit != b'0');
    ensure!(is_id(&found.trace, 32) && is_id(&found.id, 16), "no ids: {span}");
    ensure!(found.parent.is_empty() || is_id(&found.parent, 16), "no parent's id: {span}");
    ensure!(!found.name.is_empty(), "no name: {span}");
    Ok(found)
}
