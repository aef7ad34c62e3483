//! What monitoring is told about a broker: numbers ([`metrics`]), which directories answer, and what of the service is broken.
//! Kept in memory only; nothing is decided by it.

mod answers;
mod metered;
mod metrics;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ticketgate_access::config::Service;
use ticketgate_ledger::LedgerError;
use ticketgate_protocol::api::{Notice, State};
use ticketgate_protocol::ids::DirectoryId;

pub(super) use self::answers::{health, metrics_text, readiness};
pub(super) use self::metered::Metered;
pub(super) use self::metrics::Counted;
use self::metrics::Metrics;
use super::Rows;
use super::traces::Traces;

/// What can break of the service beside ledger and directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The certificate of HTTPS.
    Certificate,
    /// The place where HTTPS is listened for.
    Listener,
    /// The place where monitoring asks.
    Monitor,
    /// The `[service]` table.
    Service,
}

/// What is known of one broker.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    pub(super) metrics: Metrics,
    pub(super) traces: Traces,
    broken: Mutex<BTreeMap<Part, String>>,
    reached: Mutex<BTreeMap<DirectoryId, Reached>>,
    opened: Mutex<Option<Service>>,
    stopping: AtomicBool,
}

/// How the last call to a directory went.
#[derive(Debug, Clone)]
struct Reached {
    at: Instant,
    /// What kind of failure it was, where it did not answer at all.
    failure: Option<&'static str>,
}

impl Monitor {
    /// Something does not work, and why; everybody who asks is told until it is mended.
    pub(super) fn broken(&self, part: Part, why: &str) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.get(&part).is_none_or(|known| known != why) {
            tracing::error!(?part, why, "a part of the service does not work");
            broken.insert(part, why.to_owned());
        }
    }

    /// It works again.
    pub(super) fn mended(&self, part: Part) {
        if self.broken.lock().unwrap_or_else(PoisonError::into_inner).remove(&part).is_some() {
            tracing::info!(?part, "a part of the service works again");
        }
    }

    /// What is broken, as everybody is told.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken
            .values()
            .map(|why| Notice { level: "error".into(), text: format!("The broker: {why}.") })
            .collect()
    }

    /// What `[service]` said when the broker started.
    pub(super) fn opened(&self, service: &Service) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(service.clone());
    }

    /// What has to be said of a newer one: it counts from the next start on.
    pub(super) fn notice_of(&self, service: &Service) -> Option<Notice> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().filter(|opened| *opened != service).map(|_| Notice {
            level: "warning".into(),
            text: "[service] of the configuration was changed: that counts once the broker is restarted."
                .into(),
        })
    }

    /// From now on the broker takes nothing new.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// A write to the ledger went through, or did not. `since`: when it was begun.
    pub(super) fn wrote(&self, outcome: &Result<(), LedgerError>, since: Instant) {
        self.metrics.ledger_write(refusal(outcome).unwrap_or("ok"), since.elapsed());
    }

    /// What a write that went through tells of sessions.
    pub(super) fn committed(&self, name: &str, rows: &Rows) {
        for session in &rows.sessions {
            match (name, session.state) {
                ("ledger.session_active", State::Active) => {
                    let took = session.active_at.map(|at| at - session.requested_at);
                    self.metrics.activated(&session.directory, took.unwrap_or_default());
                }
                ("ledger.session_ended", State::Failed) => self.metrics.failed(&session.directory),
                ("ledger.session_ended", State::Ended) => {
                    let took = session.ended_at.map(|at| at - session.until);
                    self.metrics.ended(&session.directory, session.end_cause, took.unwrap_or_default());
                }
                _ => {}
            }
        }
        if name == "ledger.retry" {
            for account in &rows.accounts {
                self.metrics.retried(&account.directory);
            }
        }
    }

    fn heard(&self, directory: &DirectoryId, failure: Option<&'static str>) {
        let heard = Reached { at: Instant::now(), failure };
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.clone(), heard);
    }
}

/// The kind of answer that a write got which did not go through.
pub(super) const fn refusal(outcome: &Result<(), LedgerError>) -> Option<&'static str> {
    Some(match outcome {
        Ok(()) => return None,
        Err(LedgerError::Conflict(_)) => "conflict",
        Err(LedgerError::TooMany { .. }) => "too_many",
        Err(LedgerError::Seen(_)) => "seen",
        Err(LedgerError::LeaseLost(_)) => "lease_lost",
        Err(LedgerError::Unavailable(_)) => "unavailable",
        Err(LedgerError::Damaged(_)) => "damaged",
    })
}
