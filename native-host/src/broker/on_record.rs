//! Whether the request being answered has left an audit record. One that was refused before any part of the broker
//! recorded it is recorded at the door (`http/recording.rs`), so that no refusal depends on somebody thinking of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

tokio::task_local! {
    static RECORDED: Arc<AtomicBool>;
}

/// Does a request's work, and says whether it left a record.
pub(super) async fn watched<T>(work: impl Future<Output = T>) -> (T, bool) {
    let recorded = Arc::new(AtomicBool::new(false));
    let answer = RECORDED.scope(Arc::clone(&recorded), work).await;
    (answer, recorded.load(Ordering::Relaxed))
}

/// Work that goes on in a task of its own still counts as the request's.
pub(super) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let recorded = RECORDED.try_with(Arc::clone).unwrap_or_default();
    RECORDED.scope(recorded, work)
}

/// A record was written.
pub(super) fn note() {
    // Outside a request (the clock's own work) nobody asks.
    let _ = RECORDED.try_with(|recorded| recorded.store(true, Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_record_counts_for_its_request_also_from_another_task() {
        assert_eq!(watched(async { 1 }).await, (1, false));
        assert!(watched(async { note() }).await.1);
        let (_, recorded) = watched(async { tokio::spawn(carried(async { note() })).await }).await;
        assert!(recorded);
        note();
    }
}
