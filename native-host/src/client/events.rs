//! The broker's events: one connection's stream, and a feed that reconnects for ever.

use std::collections::VecDeque;
use std::time::Duration;

use ticketgate_protocol::api::Event;
use ticketgate_protocol::problem::Problem;

use super::Client;
use super::connections::Answer;
use super::sse::{Parser, RawEvent};

/// The pauses before the next attempts to connect; the last one is repeated.
pub const PAUSES: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// The events of one connection.
#[derive(Debug)]
pub struct EventStream {
    answer: Answer,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl EventStream {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next event; `None` when the connection is over, for whatever reason.
    pub async fn next(&mut self) -> Option<RawEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let piece = self.answer.chunk().await.ok().flatten()?;
            self.ready.extend(self.parser.feed(&piece).ok()?);
        }
    }
}

/// What a feed tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something happened.
    Event(Event),
    /// The connection is lost or cannot be made; it is tried again after a pause. Told once per gap.
    Lost(Box<Problem>),
}

/// Events without an end: reconnects with growing pauses and says [`Event::Resync`] after every gap.
#[derive(Debug)]
pub struct EventFeed {
    client: Client,
    stream: Option<EventStream>,
    last_id: Option<String>,
    failures: usize,
    gap: bool,
}

impl EventFeed {
    /// A feed that connects at the first [`EventFeed::next`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, stream: None, last_id: None, failures: 0, gap: false }
    }

    /// The next news. Waits as long as it takes; may be dropped at any time and asked again.
    pub async fn next(&mut self) -> News {
        loop {
            let Some(stream) = &mut self.stream else {
                if let Some(news) = self.connect().await {
                    return news;
                }
                continue;
            };
            let Some(raw) = stream.next().await else {
                self.stream = None;
                self.failures = self.failures.max(1);
                if !std::mem::replace(&mut self.gap, true) {
                    return News::Lost(Box::new(super::transport::gone()));
                }
                continue;
            };
            self.failures = 0;
            if raw.id.is_some() {
                self.last_id.clone_from(&raw.id);
            }
            match raw.decode() {
                Event::Unknown => {}
                event => return News::Event(event),
            }
        }
    }

    async fn connect(&mut self) -> Option<News> {
        if let Some(pause) = self.failures.checked_sub(1) {
            let pause = PAUSES.get(pause).or(PAUSES.last()).copied().unwrap_or_default();
            tokio::time::sleep(pause).await;
        }
        match self.client.events(self.last_id.as_deref()).await {
            Ok(stream) => {
                self.stream = Some(stream);
                std::mem::take(&mut self.gap).then_some(News::Event(Event::Resync))
            }
            Err(problem) => {
                self.failures += 1;
                (!std::mem::replace(&mut self.gap, true)).then(|| News::Lost(Box::new(problem)))
            }
        }
    }
}
