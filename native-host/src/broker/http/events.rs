//! `GET /v1/events`: the changes of a technician's sessions, each once and in order, also over a connection that was cut. Each carries
//! its number as `id:`; who comes back with `Last-Event-ID`, to this broker or another one on the same ledger, goes on after it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::Stream;
use sha2::{Digest, Sha256};
use ticketgate_ledger::{AuditQuery, LedgerError};
use ticketgate_protocol::api;
use ticketgate_protocol::ids::TechnicianId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Refusal, Who, WithApi};
use crate::broker::events::Hint;
use crate::broker::monitor::Counted;
use crate::broker::{Broker, Caller};

/// Changes that are told one by one. Who missed more reads everything anew, which is less work for both.
const MOST: u32 = 256;

/// How often a comment goes out on a quiet stream, so that whatever is in between keeps it open; and how often is looked whether the
/// caller may still listen.
const BEAT: Duration = Duration::from_secs(15);

/// Server-sent events of the caller's sessions.
#[utoipa::path(get, path = "/v1/events", params(("Last-Event-ID" = Option<String>, Header)), responses((status = 200, description = "text/event-stream of Event"), (status = 403, body = ticketgate_protocol::problem::Problem)))]
pub(super) async fn events(
    axum::extract::State(api): WithApi,
    Who(caller): Who,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Refusal> {
    let technician = caller.technician()?.clone();
    let broker = Arc::clone(api.broker());
    // Listens before it reads, so that nothing is between the two.
    let mut feed = Feed {
        hints: broker.events().listen(),
        _counted: broker.monitor.metrics.stream(),
        stopping: api.stopping.clone(),
        tag: None,
        at: None,
        ready: VecDeque::new(),
        beat: interval(BEAT),
        broker,
        caller,
        technician,
    };
    feed.beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    feed.begin(headers.get("last-event-id").and_then(|id| id.to_str().ok())).await;
    let stream = futures_util::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(BEAT)))
}

/// One listener.
struct Feed {
    broker: Arc<Broker>,
    caller: Caller,
    technician: TechnicianId,
    hints: Receiver<Hint>,
    stopping: watch::Receiver<bool>,
    /// Whose numbers these are, once it is known.
    tag: Option<String>,
    /// The last number that is told; `None`: the listener has to read everything first.
    at: Option<u64>,
    ready: VecDeque<SseEvent>,
    beat: Interval,
    _counted: Counted,
}

impl Feed {
    /// Goes on after the event of this id, or tells the listener to read everything.
    async fn begin(&mut self, id: Option<&str>) {
        let begun = async {
            let tag = tag(&self.broker, &self.technician).await?;
            let known = id.and_then(|id| id.strip_prefix(tag.as_str())?.strip_prefix('-')?.parse().ok());
            self.tag = Some(tag);
            self.at = known;
            self.look().await
        };
        if begun.await.is_err() {
            self.lost();
        }
    }

    /// The next event; `None` when the stream is over.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let looks = tokio::select! {
                hint = self.hints.recv() => match hint {
                    Ok(Hint::Changed(whom)) if whom != self.technician => continue,
                    Ok(Hint::Changed(_)) => true,
                    Ok(Hint::Overview) => {
                        self.ready.push_back(sse(&api::Event::Overview));
                        false
                    }
                    Ok(Hint::Anything) => true,
                    Err(RecvError::Lagged(_)) => {
                        self.ready.push_back(sse(&api::Event::Overview));
                        true
                    }
                    Err(RecvError::Closed) => return None,
                },
                // Hints of other brokers are only hints.
                _ = self.beat.tick() => self.broker.ledger().shared().is_some(),
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            };
            // A new configuration may say that this login is another technician, or none; and a sign-in that was ended ends its
            // streams, also where nothing happens.
            if !self.broker.still_is(&self.caller).await {
                return None;
            }
            if looks {
                let looked = if self.tag.is_none() {
                    self.begin(None).await;
                    Ok(())
                } else {
                    self.look().await
                };
                if looked.is_err() {
                    self.lost();
                }
            }
        }
    }

    /// Puts what happened since into the queue.
    async fn look(&mut self) -> Result<(), LedgerError> {
        let missed = match self.at {
            None => None,
            Some(at) => self.broker.ledger().events_since(&self.technician, at, MOST + 1).await?,
        };
        let Some(rows) = missed.filter(|rows| u32::try_from(rows.len()).is_ok_and(|found| found <= MOST))
        else {
            let last = self.broker.ledger().last_event(&self.technician).await?;
            self.tell(&api::Event::Resync, last);
            return Ok(());
        };
        for row in rows {
            match self.broker.view(&row.session).await? {
                Some(view) => self.tell(&api::Event::Session(Box::new(view)), row.number),
                // Of one that is not there any more nothing can be shown; the number is used all the same.
                None => self.tell(&api::Event::Overview, row.number),
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: &api::Event, number: u64) {
        self.at = Some(number);
        let event = sse(event);
        self.ready.push_back(match &self.tag {
            Some(tag) => event.id(format!("{tag}-{number}")),
            None => event,
        });
    }

    /// The ledger cannot say what happened: the listener asks, meets the same, and shows it.
    fn lost(&mut self) {
        if self.at.take().is_some() || self.tag.is_none() {
            self.ready.push_back(sse(&api::Event::Resync));
        }
    }
}

/// Tells this technician's numbers in this ledger from those of another one: a ledger begun anew counts from the beginning.
async fn tag(broker: &Broker, technician: &TechnicianId) -> Result<String, LedgerError> {
    let first = broker.ledger().audit(AuditQuery { limit: 1, ..AuditQuery::default() }).await?;
    let first = first.first().map(|record| record.hash.clone()).unwrap_or_default();
    let digest =
        Sha256::new().chain_update(first).chain_update([0]).chain_update(technician.as_str()).finalize();
    Ok(hex::encode(digest).chars().take(12).collect())
}

fn sse(event: &api::Event) -> SseEvent {
    let value = serde_json::to_value(event).unwrap_or_default();
    let name = value.get("event").and_then(|v| v.as_str()).unwrap_or("unknown").to_owned();
    SseEvent::default()
        .event(name)
        .data(value.get("data").map(ToString::to_string).unwrap_or_else(|| "null".into()))
}
