//! A technician's stream of events, as a relay keeps it: broken off by whatever befalls the brokers, and taken up at the next one after
//! the last event that was heard. What was heard in the end has to be all that happened, each once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ticketgate_tests::postgres::Pair;
use ticketgate_tests::team::listening::Told;
use ticketgate_tests::team::relay::Relay;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ledger::{self, Row};
use crate::told::name;

/// A stream that does not begin within this is tried at another broker.
const BEGINS_IN: Duration = Duration::from_secs(5);
/// Nothing was heard for so long: the other end may be gone without a word.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);

/// Who listens, seen from outside.
pub(crate) struct Listener {
    technician: usize,
    relay: Arc<Relay>,
    /// The number of the last event that was heard.
    at: Arc<AtomicU64>,
}

/// What was heard.
pub(crate) struct Listened {
    technician: usize,
    /// How many streams began.
    pub(crate) streams: usize,
    pub(crate) events: Vec<Told>,
}

impl Listener {
    pub(crate) fn new(technician: usize, relay: &Arc<Relay>) -> Self {
        Self { technician, relay: Arc::clone(relay), at: Arc::default() }
    }

    /// How far it is, also while it listens.
    pub(crate) fn progress(&self) -> (String, Arc<AtomicU64>) {
        (name(self.technician), Arc::clone(&self.at))
    }

    /// Listens until it is told that the day is over.
    pub(crate) async fn listens(self, mut over: watch::Receiver<bool>) -> Listened {
        let mut listened = Listened { technician: self.technician, streams: 0, events: Vec::new() };
        let mut last = None;
        for turn in self.technician.. {
            let broker = turn % self.relay.brokers();
            let stream = timeout(BEGINS_IN, self.relay.listen_after(broker, last.as_deref()));
            if let Ok(Ok(mut stream)) = stream.await {
                listened.streams += 1;
                loop {
                    let next = tokio::select! {
                        next = timeout(SILENCE_MAX, stream.next()) => next,
                        _ = over.wait_for(|over| *over) => return listened,
                    };
                    let Ok(Ok(Some(told))) = next else { break };
                    last = told.id.clone().or(last);
                    self.at.fetch_max(told.number.unwrap_or_default(), Ordering::Relaxed);
                    listened.events.push(told);
                }
            }
            if timeout(PAUSE, over.wait_for(|over| *over)).await.is_ok() {
                break;
            }
        }
        listened
    }
}

/// Whether everybody has heard of everything that happened.
pub(crate) fn all_is_heard(db: &Pair, progress: &[(String, Arc<AtomicU64>)]) -> Result<bool> {
    let last = ledger::last_events(db)?;
    Ok(progress.iter().all(|(who, at)| last.get(who).is_none_or(|last| at.load(Ordering::Relaxed) >= *last)))
}

impl Listened {
    /// All of it once and in order, and of each session what became of it.
    pub(crate) fn is_whole(&self, last: &BTreeMap<String, u64>, rows: &BTreeMap<String, Row>) -> Result<()> {
        let who = name(self.technician);
        let (mut at, mut states) = (None, BTreeMap::new());
        for told in &self.events {
            let Some(number) = told.number else {
                ensure!(told.name != "session", "{who} heard of a session without a number: {told:?}");
                continue;
            };
            if told.name == "resync" {
                // It reads everything now.
                ensure!(at.is_none_or(|at| number >= at), "{who} was sent back from {at:?}: {told:?}");
                states.clear();
            } else {
                let before = at.with_context(|| format!("{who} was not told to read first: {told:?}"))?;
                ensure!(number == before + 1, "{who} heard {number} after {before}");
            }
            at = Some(number);
            if told.name == "session" {
                let view: Value = serde_json::from_str(&told.data)?;
                let text = |field: &str| view.get(field).and_then(Value::as_str).unwrap_or_default();
                states.insert(text("id").to_owned(), text("state").to_owned());
            }
        }
        let last = last.get(&who).copied();
        ensure!(last.is_none_or(|last| at == Some(last)), "{who} heard up to {at:?} of {last:?} events");
        for (id, state) in states {
            let row = rows.get(&id).with_context(|| format!("{who} heard of {id}, which is nowhere"))?;
            ensure!(row.technician == who, "{who} heard of another's session: {row:?}");
            ensure!(row.state == state, "{who} heard last that a session is {state}: {row:?}");
        }
        Ok(())
    }
}
