//! What a collector of traces is told, where `[service]` names one: a span for each request and for each piece of work that is due
//! without one, and below it for each write to the ledger and each call to a directory. A span holds names of ours, ids and words for
//! failures, never what somebody wrote. Nothing waits for a collector ([`sending`]); without one, nothing is made.

mod caller;
mod otlp;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use prometheus_client::metrics::counter::Counter;
use ticketgate_access::session::{AccountKey, Session};
use tokio::sync::mpsc;

pub(super) use self::otlp::STATUS;
pub(super) use self::sending::Sending;

/// Spans that wait to be sent. One more is dropped, and counted.
const WAITING: usize = 2048;

/// Values of one kind in a span: a session has a few parts, and a request that ends everything names some of it.
const NOTED: usize = 16;

/// What a span is about: what came in, what was asked of somebody else, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Internal,
    Server,
    Client,
}

/// A span that is over.
#[derive(Debug)]
struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: String,
    kind: Kind,
    began: SystemTime,
    took: Duration,
    known: Known,
    failure: Option<&'static str>,
}

/// What is known of a span, by the attribute's name.
type Known = BTreeMap<&'static str, BTreeSet<String>>;

/// Where a piece of work stands in its trace.
#[derive(Debug, Clone)]
pub(super) struct Place {
    trace: [u8; 16],
    span: [u8; 8],
    /// What is learned on the way about the span at the top of this broker's part of the trace.
    top: Arc<Mutex<Known>>,
}

tokio::task_local! {
    static HERE: Place;
}

/// Where the work that asks stands. Nowhere, where nothing is collected.
pub(super) fn here() -> Option<Place> {
    HERE.try_with(Clone::clone).ok()
}

/// Does work at a place.
pub(super) async fn within<T>(place: Option<Place>, work: impl Future<Output = T>) -> T {
    match place {
        Some(place) => HERE.scope(place, work).await,
        None => work.await,
    }
}

/// Does work in a span, where there is one. `failure` is a word of ours for what went wrong.
pub(super) async fn spanned<T>(
    going: Option<Going>,
    failure: impl FnOnce(&T) -> Option<&'static str>,
    work: impl Future<Output = T>,
) -> T {
    let Some(going) = going else { return work.await };
    let outcome = HERE.scope(going.place.clone(), work).await;
    going.over(failure(&outcome));
    outcome
}

/// Notes an id at the request, or the work that is due, which this is done for.
pub(super) fn note(what: &'static str, id: &impl Display) {
    let _ = HERE.try_with(|place| {
        let mut top = place.top.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = top.entry(what).or_default();
        if ids.len() < NOTED {
            ids.insert(id.to_string());
        }
    });
}

/// The same of what it is about.
pub(super) fn note_sessions(sessions: &[Session]) {
    for session in sessions {
        note("ticketgate.session", session.of());
        note("ticketgate.customer", &session.customer);
        note("ticketgate.policy", &session.policy);
    }
}

/// Where spans go. Nowhere unless it was opened.
#[derive(Debug, Default)]
pub(super) struct Traces(OnceLock<Queue>);

#[derive(Debug, Clone)]
struct Queue {
    to: mpsc::Sender<Span>,
    dropped: Counter,
}

impl Traces {
    /// From now on there are spans, for whoever has the other end. Once.
    fn open(&self, dropped: Counter) -> Option<mpsc::Receiver<Span>> {
        let (to, from) = mpsc::channel(WAITING);
        self.0.set(Queue { to, dropped }).ok().map(|()| from)
    }

    /// A request's span. Its headers may name a span of the caller's, which is its parent then, or say that none is wanted.
    pub(super) fn request(&self, method: &str, route: Option<&str>, headers: &HeaderMap) -> Option<Going> {
        let queue = self.0.get()?;
        let method = caller::known_method(method);
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let (trace, parent) = match caller::of(headers) {
            None => (random()?, None),
            Some(caller) if caller.sampled => (caller.trace, Some(caller.span)),
            Some(_) => return None,
        };
        let going = Going::begin(queue, name, Kind::Server, (trace, parent), None)?;
        let going = going.with("http.request.method", &method);
        Some(match route {
            Some(route) => going.with("http.route", &route),
            None => going,
        })
    }

    /// The span of work on an account that nobody asked for.
    pub(super) fn due(&self, account: &AccountKey) -> Option<Going> {
        let going = Going::begin(self.0.get()?, "due".into(), Kind::Internal, (random()?, None), None)?;
        Some(going.with("ticketgate.directory", &directory_of(account)))
    }

    /// The span of work on an account, below the one that it is a part of.
    pub(super) fn converge(&self, account: &AccountKey) -> Option<Going> {
        let going = self.below("converge", Kind::Internal)?;
        Some(going.with("ticketgate.directory", &directory_of(account)))
    }

    /// The span of something that the ledger or a directory is asked for, below the one that it is a part of.
    pub(super) fn call(&self, name: &str) -> Option<Going> {
        self.below(name, Kind::Client)
    }

    fn below(&self, name: &str, kind: Kind) -> Option<Going> {
        let (queue, at) = (self.0.get()?, here()?);
        Going::begin(queue, name.to_owned(), kind, (at.trace, Some(at.span)), Some(at.top))
    }
}

/// A span under way. It is over when this is dropped: then whoever waited has given up, unless [`Going::over`] says how it went.
#[derive(Debug)]
pub(super) struct Going {
    queue: Queue,
    place: Place,
    is_top: bool,
    since: Instant,
    span: Option<Span>,
}

impl Going {
    fn begin(
        queue: &Queue,
        name: String,
        kind: Kind,
        (trace, parent): ([u8; 16], Option<[u8; 8]>),
        top: Option<Arc<Mutex<Known>>>,
    ) -> Option<Self> {
        let id = random()?;
        let span = Span {
            trace,
            id,
            parent,
            name,
            kind,
            began: SystemTime::now(),
            took: Duration::ZERO,
            known: Known::new(),
            failure: Some("given_up"),
        };
        let is_top = top.is_none();
        let place = Place { trace, span: id, top: top.unwrap_or_default() };
        Some(Self { queue: queue.clone(), place, is_top, since: Instant::now(), span: Some(span) })
    }

    /// The place of what is done in it.
    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The same with something that is known of it: an id or a word, never what somebody wrote.
    pub(super) fn with(mut self, what: &'static str, is: &impl Display) -> Self {
        if let Some(span) = &mut self.span {
            span.known.entry(what).or_default().insert(is.to_string());
        }
        self
    }

    /// It went well, or failed for this reason.
    pub(super) fn over(mut self, failure: Option<&'static str>) {
        if let Some(span) = &mut self.span {
            span.failure = failure;
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        span.took = self.since.elapsed();
        if self.is_top {
            let mut noted = self.place.top.lock().unwrap_or_else(PoisonError::into_inner);
            span.known.append(&mut noted);
        }
        if self.queue.to.try_send(span).is_err() {
            self.queue.dropped.inc();
        }
    }
}

/// An account's key begins with its directory. The rest would say whose it is.
fn directory_of(account: &AccountKey) -> &str {
    account.0.split('/').next().unwrap_or_default()
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
