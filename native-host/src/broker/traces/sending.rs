//! Sends spans to the collector, some at a time, OTLP over HTTP. What it does not take is dropped and counted, with one line in the
//! log until it takes some again: a trace is not worth a broker's memory or time.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use ticketgate_access::config;
use ticketgate_credentials::{MachineSecrets, ReadSecret as _, Secret};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::monitor::Monitor;
use super::{Span, otlp};

/// Spans in a request.
const BATCH: usize = 512;

/// How long the first of them waits for more.
const GATHER: Duration = Duration::from_secs(1);

/// How long the collector may take. Meanwhile others wait in the queue.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a broker that stops waits for its last spans to go out.
const LAST: Duration = Duration::from_secs(2);

/// The task that sends.
pub(in crate::broker) struct Sending {
    task: JoinHandle<()>,
}

impl Sending {
    /// Collects spans from now on. `stopped` turns true when the last was made.
    pub(in crate::broker) fn begin(
        monitor: &Monitor,
        collector: config::Traces,
        instance: String,
        stopped: watch::Receiver<bool>,
    ) -> Option<Self> {
        let (sent, dropped) = monitor.metrics.spans();
        let queue = monitor.traces.open(dropped.clone())?;
        let sender = Sender { collector, instance, client: None, sent, dropped, failed: 0, fails: false };
        Some(Self { task: tokio::spawn(sender.run(queue, stopped)) })
    }

    /// Waits until the last spans are sent, but not for long.
    pub(in crate::broker) async fn finished(mut self) {
        if timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Sender {
    collector: config::Traces,
    /// Which broker this is.
    instance: String,
    /// Made when it is needed: the file of authorities may come later.
    client: Option<reqwest::Client>,
    sent: Counter,
    dropped: Counter,
    /// How many were dropped when that was looked at last.
    failed: u64,
    /// Whether the log says that some are.
    fails: bool,
}

impl Sender {
    async fn run(mut self, mut queue: mpsc::Receiver<Span>, mut stopped: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let gathering = gather(&mut queue, &mut batch);
            tokio::select! {
                () = gathering => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            self.send(&mut batch).await;
        }
        queue.close();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            self.send(&mut batch).await;
        }
        self.send(&mut batch).await;
    }

    /// Sends what there is, once, and counts it.
    async fn send(&mut self, batch: &mut Vec<Span>) {
        let count = u64::try_from(batch.len()).unwrap_or_default();
        if count == 0 {
            return;
        }
        let body = otlp::body(&self.instance, batch);
        batch.clear();
        let taken = self.post(body).await;
        let refused = taken.as_ref().map_or(count, |refused| (*refused).min(count));
        self.sent.inc_by(count - refused);
        self.dropped.inc_by(refused);
        let dropped = self.dropped.get();
        let lost = dropped > self.failed;
        self.failed = dropped;
        if lost && !self.fails {
            let why = taken.err().unwrap_or_else(|| "it takes fewer than there are".into());
            tracing::warn!(
                why,
                "the collector of traces does not take all spans; what it does not take is dropped"
            );
        } else if !lost && self.fails {
            tracing::info!(dropped, "the collector of traces takes all spans again");
        }
        self.fails = lost;
    }

    /// How many spans of a body the collector did not want.
    ///
    /// # Errors
    /// It took none. The sentence names no address.
    async fn post(&mut self, body: Vec<u8>) -> Result<u64, String> {
        let client = match &self.client {
            Some(client) => client,
            None => {
                let made = ticketgate_https::client(self.collector.ca_file.as_deref(), LIMIT);
                self.client.insert(made.map_err(|error| error.to_string())?)
            }
        };
        let url = format!("{}/v1/traces", self.collector.url);
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(place) = &self.collector.header {
            let secret = MachineSecrets.read(place).map_err(|error| error.to_string())?;
            let (name, value) = header(&secret).ok_or("`traces_header` is not kept as NAME: VALUE")?;
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| ticketgate_https::failure(&error).to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let said = ticketgate_https::body(answer).await.map_err(|error| error.to_string())?;
        Ok(refused(&said))
    }
}

/// Waits for a span, and a while for others.
async fn gather(queue: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    if batch.is_empty() && queue.recv_many(batch, BATCH).await == 0 {
        // Nobody makes any more.
        return std::future::pending().await;
    }
    let more =
        async { while batch.len() < BATCH && queue.recv_many(batch, BATCH - batch.len()).await > 0 {} };
    let _ = timeout(GATHER, more).await;
}

/// `partial_success` of an `ExportTraceServiceResponse`: a 64-bit number, so a text in JSON; some write a number.
fn refused(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let Some(rejected) = answer.pointer("/partialSuccess/rejectedSpans") else { return 0 };
    rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0)
}

/// A header as it is kept: its name, a colon, its value.
fn header(kept: &Secret) -> Option<(HeaderName, HeaderValue)> {
    // Into the request to the collector, which asks for it.
    let (name, value) = kept.expose().split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_kept_whole() {
        let of = |text: &str| header(&Secret::new(text.into()));
        let (name, value) = of("Authorization: Bearer a:b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer a:b"));
        assert!(value.is_sensitive());
        assert!(of("no colon").is_none() && of("no name\u{1}: x").is_none());
    }

    #[test]
    fn what_a_collector_refuses_is_counted_however_it_writes_numbers() {
        for (answer, expected) in [
            ("{}", 0),
            ("", 0),
            ("{\"partialSuccess\":{}}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"7\",\"errorMessage\":\"x\"}}", 7),
            ("{\"partialSuccess\":{\"rejectedSpans\":7}}", 7),
        ] {
            assert_eq!(refused(answer.as_bytes()), expected, "{answer}");
        }
    }
}
