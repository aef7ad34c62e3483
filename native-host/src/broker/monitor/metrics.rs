//! The numbers of a broker, in the form that Prometheus reads. Names and labels are listed in `docs/team.md`. No label holds a person, an
//! account or a ticket.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chrono::TimeDelta;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use ticketgate_protocol::api::EndCause;
use ticketgate_protocol::ids::DirectoryId;

/// Seconds, for what a database or one call takes: from half a millisecond to the longest that is waited for.
const SHORT: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 40.0];
/// Seconds, for what a directory is waited for: from what is at once to an outage of a day.
const LONG: [f64; 13] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0, 900.0, 7_200.0, 86_400.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDirectory {
    directory: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    directory: String,
    call: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionsIn {
    directory: String,
    state: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of them, with where they are looked up by name.
#[derive(Debug)]
pub(in crate::broker) struct Metrics {
    registry: Registry,
    activations: Histograms<OfDirectory>,
    failures: Family<OfDirectory, Counter>,
    ends: Histograms<OfDirectory>,
    lateness: Histograms<OfDirectory>,
    retries: Family<OfDirectory, Counter>,
    calls: Histograms<Call>,
    refusals: Family<Refused, Counter>,
    requests: Histograms<Request>,
    writes: Histograms<Outcome>,
    connections: Gauge,
    turned_away: Family<Outcome, Counter>,
    streams: Gauge,
    certificate: Gauge,
    spans: Family<Outcome, Counter>,
    pub(super) sessions: Sessions,
}

/// What is counted in the ledger when somebody asks.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_state: Family<SessionsIn, Gauge>,
    overdue: Gauge<f64, AtomicU64>,
}

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(in crate::broker) struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        fn short<L: Clone + std::hash::Hash + Eq>() -> Histograms<L> {
            Family::new_with_constructor(|| Histogram::new(SHORT))
        }
        fn long<L: Clone + std::hash::Hash + Eq>() -> Histograms<L> {
            Family::new_with_constructor(|| Histogram::new(LONG))
        }
        let mut all = Self {
            registry: Registry::with_prefix("ticketgate"),
            activations: long(),
            failures: Family::default(),
            ends: long(),
            lateness: long(),
            retries: Family::default(),
            calls: short(),
            refusals: Family::default(),
            requests: short(),
            writes: short(),
            connections: Gauge::default(),
            turned_away: Family::default(),
            streams: Gauge::default(),
            certificate: Gauge::default(),
            spans: Family::default(),
            sessions: Sessions::default(),
        };
        all.register();
        all
    }
}

impl Metrics {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("build", "The broker that answers", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        all.register("sessions", "Open sessions in the ledger", self.sessions.by_state.clone());
        all.register(
            "oldest_overdue_seconds",
            "How long the longest overdue session is over without having been taken away",
            self.sessions.overdue.clone(),
        );
        all.register(
            "activation_seconds",
            "From a request until its rights were read back",
            self.activations.clone(),
        );
        all.register("activation_failures", "Activations that were taken back", self.failures.clone());
        all.register(
            "end_seconds",
            "From an early end until the rights were read back as gone",
            self.ends.clone(),
        );
        all.register(
            "end_lateness_seconds",
            "From a session's end until the rights were read back as gone",
            self.lateness.clone(),
        );
        all.register("retries", "Work in a directory that is tried again", self.retries.clone());
        all.register("directory_call_seconds", "Calls to directories", self.calls.clone());
        all.register("refusals", "Requests refused", self.refusals.clone());
        all.register("request_seconds", "Requests until their answer's head", self.requests.clone());
        all.register("ledger_write_seconds", "Writes to the ledger", self.writes.clone());
        all.register("https_connections", "Open connections of HTTPS", self.connections.clone());
        all.register("https_turned_away", "Connections that were not served", self.turned_away.clone());
        all.register("event_streams", "Relays that listen to events", self.streams.clone());
        all.register(
            "https_certificate_ends_timestamp_seconds",
            "When the certificate of HTTPS ends; 0 without one",
            self.certificate.clone(),
        );
        all.register("trace_spans", "Spans for the collector of traces", self.spans.clone());
    }

    /// Everything, as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn activated(&self, directory: &DirectoryId, took: TimeDelta) {
        self.activations.get_or_create(&of(directory)).observe(seconds(took));
    }

    pub(super) fn failed(&self, directory: &DirectoryId) {
        self.failures.get_or_create(&of(directory)).inc();
    }

    pub(super) fn ended(&self, directory: &DirectoryId, cause: Option<EndCause>, took: TimeDelta) {
        let by_itself = matches!(cause, Some(EndCause::Expired | EndCause::TicketClosed));
        let histograms = if by_itself { &self.lateness } else { &self.ends };
        histograms.get_or_create(&of(directory)).observe(seconds(took));
    }

    pub(super) fn retried(&self, directory: &DirectoryId) {
        self.retries.get_or_create(&of(directory)).inc();
    }

    pub(super) fn directory_call(
        &self,
        directory: &DirectoryId,
        call: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let call = Call { directory: directory.to_string(), call, outcome };
        self.calls.get_or_create(&call).observe(took.as_secs_f64());
    }

    pub(super) fn ledger_write(&self, outcome: &'static str, took: Duration) {
        self.writes.get_or_create(&Outcome { outcome }).observe(took.as_secs_f64());
    }

    /// A request was answered. `route` is one of ours, never what was sent.
    pub(in crate::broker) fn answered(&self, route: &str, status: u16, took: Duration) {
        let request = Request { route: route.to_owned(), status };
        self.requests.get_or_create(&request).observe(took.as_secs_f64());
    }

    pub(in crate::broker) fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&Refused { code }).inc();
    }

    pub(in crate::broker) fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    pub(in crate::broker) fn connection_refused(&self, outcome: &'static str) {
        self.turned_away.get_or_create(&Outcome { outcome }).inc();
    }

    pub(in crate::broker) fn stream(&self) -> Counted {
        self.streams.inc();
        Counted(self.streams.clone())
    }

    /// What counts the spans that the collector of traces took, and those that it did not.
    pub(in crate::broker) fn spans(&self) -> (Counter, Counter) {
        let of = |outcome| self.spans.get_or_create_owned(&Outcome { outcome });
        (of("sent"), of("dropped"))
    }

    pub(in crate::broker) fn certificate_ends(&self, unix_seconds: i64) {
        self.certificate.set(unix_seconds);
    }
}

impl Sessions {
    /// Replaces what was counted before.
    pub(super) fn set(
        &self,
        counted: impl IntoIterator<Item = (String, &'static str, u64)>,
        overdue: TimeDelta,
    ) {
        self.by_state.clear();
        for (directory, state, count) in counted {
            let gauge = self.by_state.get_or_create_owned(&SessionsIn { directory, state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.overdue.set(seconds(overdue));
    }
}

fn of(directory: &DirectoryId) -> OfDirectory {
    OfDirectory { directory: directory.to_string() }
}

fn seconds(time: TimeDelta) -> f64 {
    time.to_std().unwrap_or_default().as_secs_f64()
}
