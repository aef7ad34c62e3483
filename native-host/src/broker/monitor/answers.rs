//! What monitoring is answered: whether the process lives, whether it can do its work, and its numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;
use ticketgate_ledger::SessionFilter;
use ticketgate_protocol::api::State;

use super::super::Broker;

/// How long the ledger may take to say that it is there.
const LEDGER_WITHIN: Duration = Duration::from_secs(2);

/// That the process runs.
#[derive(Debug, Serialize)]
pub(in crate::broker) struct Health {
    status: &'static str,
    version: &'static str,
}

/// Whether the broker can do its work.
#[derive(Debug, Serialize)]
pub(in crate::broker) struct Readiness {
    /// Whether requests should come here.
    pub(in crate::broker) ready: bool,
    /// Why not.
    pub(in crate::broker) reasons: Vec<String>,
    /// What does not work though requests should come here all the same.
    degraded: Vec<String>,
    directories: BTreeMap<String, Standing>,
}

/// How the last call to a directory went.
#[derive(Debug, Serialize)]
struct Standing {
    /// `ok`, `unknown` where it was not asked yet, or the kind of the failure.
    last: &'static str,
    /// How long ago that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_ago: Option<u64>,
}

pub(in crate::broker) fn health() -> Health {
    Health { status: "ok", version: env!("CARGO_PKG_VERSION") }
}

/// Asks the ledger, and looks at what is known of the rest. `strict`: also one directory that does not answer is a reason. Otherwise
/// only all of them together are: one customer's outage must not take the broker from all others.
pub(in crate::broker) async fn readiness(broker: &Broker, strict: bool) -> Readiness {
    let monitor = &broker.monitor;
    let (mut reasons, mut degraded) = (Vec::new(), Vec::new());
    if monitor.is_stopping() {
        reasons.push("the broker is stopping".to_owned());
    }
    let anything = SessionFilter { open: true, limit: Some(1), ..SessionFilter::default() };
    match tokio::time::timeout(LEDGER_WITHIN, broker.ledger().sessions(anything)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => reasons.push(error.to_string()),
        Err(_) => {
            let silent = || format!("the ledger did not answer within {} s", LEDGER_WITHIN.as_secs());
            reasons.push(broker.ledger().trouble().unwrap_or_else(silent));
        }
    }
    degraded.extend(broker.ledger().trouble().filter(|trouble| !reasons.contains(trouble)));
    let snapshot = broker.settings();
    if snapshot.config.is_none() {
        reasons.push("there is no valid configuration".to_owned());
    }
    degraded.extend(monitor.notices().into_iter().map(|notice| notice.text));
    let directories: BTreeMap<_, _> =
        snapshot.directories.keys().map(|id| (id.to_string(), monitor.standing(id))).collect();
    let silent: Vec<_> = directories
        .iter()
        .filter(|(_, s)| !["ok", "unknown"].contains(&s.last))
        .map(|(id, s)| (id, s.last))
        .collect();
    let said = silent.iter().map(|(id, why)| format!("the directory {id} did not answer: {why}"));
    if strict || (silent.len() > 1 && silent.len() == directories.len()) {
        reasons.extend(said);
    } else {
        degraded.extend(said);
    }
    Readiness { ready: reasons.is_empty(), reasons, degraded, directories }
}

/// Everything in the form that Prometheus reads. Where the ledger does not answer, its part keeps what it said last.
pub(in crate::broker) async fn metrics_text(broker: &Broker) -> String {
    let metrics = &broker.monitor.metrics;
    let counted = async {
        let counted = broker.ledger().open_by_state().await.ok()?;
        let first = SessionFilter { open: true, limit: Some(1), ..SessionFilter::default() };
        let first = broker.ledger().sessions(first).await.ok()?;
        let now = broker.clock().now();
        let overdue = first.first().map_or(TimeDelta::zero(), |s| (now - s.until).max(TimeDelta::zero()));
        Some((counted, overdue))
    };
    if let Ok(Some((counted, overdue))) = tokio::time::timeout(LEDGER_WITHIN, counted).await {
        let counted = counted.into_iter().map(|(id, state, count)| (id.to_string(), word(state), count));
        metrics.sessions.set(counted, overdue);
    }
    metrics.text()
}

const fn word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Approved => "approved",
        State::Activating => "activating",
        State::Active => "active",
        State::Ending => "ending",
        _ => "other",
    }
}

impl super::Monitor {
    fn is_stopping(&self) -> bool {
        self.stopping.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn standing(&self, id: &ticketgate_protocol::ids::DirectoryId) -> Standing {
        let reached = self.reached.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match reached.get(id) {
            None => Standing { last: "unknown", seconds_ago: None },
            Some(reached) => Standing {
                last: reached.failure.unwrap_or("ok"),
                seconds_ago: Some(reached.at.elapsed().as_secs()),
            },
        }
    }
}
