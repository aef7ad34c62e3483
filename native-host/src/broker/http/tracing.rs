//! What every request gets: an id, a time limit, a line in the log, a span, and its place in the numbers. Bodies, headers and queries are never
//! logged.

use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ticketgate_protocol::problem::{Code, Problem};
use tracing::Instrument;
use tracing::field::Empty;

use super::{ANSWER_WITHIN, Api, Refusal};
use crate::broker::identity::Peer;
use crate::broker::on_record;
use crate::broker::traces::{self, Going};

/// The header of a request's id.
const ID: &str = "x-request-id";
/// The longest id that is taken from a request.
const ID_MAX: usize = 64;

/// Serves a request under its id: the one that it came with, where that is one, else a new one.
pub(super) async fn traced(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let given = request.headers().get(ID).and_then(|id| id.to_str().ok()).filter(|id| is_id(id));
    let id = given.map_or_else(|| crate::random::letters(12), str::to_owned);
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.clone());
    let (method, version) = (request.method().clone(), request.version());
    let span = tracing::info_span!("request", id, %method, route, technician = Empty);
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let going = api.broker.monitor.traces.request(method.as_str(), matched, request.headers());
    let answering = tokio::time::timeout(ANSWER_WITHIN, next.run(request));
    let answering = traces::within(going.as_ref().map(Going::place), answering);
    let work = on_record::request(id.clone(), answering);
    let mut response = match work.instrument(span.clone()).await {
        Ok(response) => response,
        Err(_) => late(&id).into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(ID, value);
    }
    if version == Version::HTTP_2 {
        // HTTP/2 has no such header (RFC 9113 §8.2.2).
        response.headers_mut().remove(header::CONNECTION);
    }
    let (status, took) = (response.status().as_u16(), started.elapsed());
    let metrics = &api.broker.monitor.metrics;
    metrics.answered(&route, status, took);
    let code = response.extensions().get::<Problem>().map(|problem| problem.code.as_str());
    if let Some(code) = code {
        metrics.refused(code);
    }
    if let Some(going) = going {
        ended(going, &id, status, code);
    }
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| match peer {
        // Who is elsewhere is named by where it came from; on this machine there would be a line for every click.
        Some(Peer::Remote { address, certificate }) => {
            tracing::info!(%address, certificate, status, code, ms, "answered");
        }
        _ => tracing::debug!(status, code, ms, "answered"),
    });
    response
}

fn late(id: &str) -> Refusal {
    let problem = Problem::new(Code::TimedOut, "The broker did not answer in time.")
        .remedy("Look at your sessions, then try again.");
    Refusal(Problem { request_id: Some(id.to_owned()), ..problem })
}

/// A request's span is over. What is the caller's own fault is no failure of the broker's.
fn ended(going: Going, id: &str, status: u16, code: Option<&'static str>) {
    let going = going.with("ticketgate.request", &id).with(traces::STATUS, &status);
    let going = match code {
        Some(code) => going.with("ticketgate.problem", &code),
        None => going,
    };
    going.over((status >= 500).then_some(code.unwrap_or("internal")));
}

/// Whether a text that came from outside is fit to stand in logs and records.
fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_short_and_plain() {
        assert!(is_id("4bf92f35-77b3.A_1"));
        for bad in ["", "a b", "a\"b", "a\n", "ä", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
