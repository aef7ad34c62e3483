//! The request being answered: its id, which its log lines and audit records carry, and whether it has left a record. One that was
//! refused before any part of the broker recorded it is recorded at the door (`http/recording.rs`), so that no refusal depends on
//! somebody thinking of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use ticketgate_ledger::NewAudit;
use tracing::Instrument;

use super::traces;

tokio::task_local! {
    static REQUEST: Arc<Request>;
}

#[derive(Debug)]
struct Request {
    id: String,
    recorded: AtomicBool,
}

/// Does a request's work. Everything that it records and logs carries this id.
pub(super) fn request<T>(id: String, work: impl Future<Output = T>) -> impl Future<Output = T> {
    REQUEST.scope(Arc::new(Request { id, recorded: AtomicBool::new(false) }), work)
}

/// Work that goes on in a task of its own still counts as the request's.
pub(super) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let request = REQUEST.try_with(Arc::clone).ok();
    let work = traces::within(traces::here(), work.in_current_span());
    async move {
        match request {
            Some(request) => REQUEST.scope(request, work).await,
            None => work.await,
        }
    }
}

/// The id of the request that is being answered.
pub(super) fn id() -> Option<String> {
    REQUEST.try_with(|request| request.id.clone()).ok()
}

/// A record was written.
pub(super) fn note() {
    // Outside a request (the clock's own work) nobody asks.
    let _ = REQUEST.try_with(|request| request.recorded.store(true, Ordering::Relaxed));
}

/// Whether one was.
pub(super) fn is_noted() -> bool {
    REQUEST.try_with(|request| request.recorded.load(Ordering::Relaxed)).unwrap_or_default()
}

/// Says in records which request they come from.
pub(super) fn sign(records: &mut [NewAudit]) {
    let _ = REQUEST.try_with(|request| {
        for record in records {
            record.details.insert("request", json!(request.id));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_counts_for_its_request_also_from_another_task() {
        let noted_by = |work: fn()| {
            request("r-1".into(), async move {
                tokio::spawn(carried(async move { work() })).await.unwrap();
                is_noted()
            })
        };
        assert!(!noted_by(|| {}).await);
        assert!(noted_by(note).await);
        note();
        assert!(!is_noted(), "outside a request nobody asks");
    }

    #[tokio::test]
    async fn records_say_which_request_they_come_from() {
        let mut records = [super::super::records::record(None, "a", "b", "ok", Default::default())];
        sign(&mut records);
        assert!(records[0].details.is_empty());
        request("r-1".into(), async { sign(&mut records) }).await;
        assert_eq!(records[0].details["request"], "r-1");
    }
}
