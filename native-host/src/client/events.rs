//! The broker's events: one connection's stream, and a feed that reconnects for ever.

use std::collections::VecDeque;
use std::time::Duration;

use ticketgate_protocol::api::Event;
use ticketgate_protocol::problem::{Code, Problem};

use super::connections::Answer;
use super::sse::{Parser, RawEvent};
use super::{Client, Endpoint};

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

/// A broker says something at least every 15 seconds, if only that it is there. Over a network that is silent for longer the
/// connection is as good as gone; on a socket of this machine the system says so.
const SILENCE: Duration = Duration::from_secs(50);
/// Relays that lost one broker do not all come to the next in the same instant: each pause is up to so much longer, in percent.
const SPREAD: u64 = 50;

/// The events of one connection.
#[derive(Debug)]
pub struct EventStream {
    answer: Answer,
    silence: Option<Duration>,
    parser: Parser,
    ready: VecDeque<RawEvent>,
}

impl EventStream {
    pub(super) fn new(answer: Answer, is_over_network: bool) -> Self {
        let silence = is_over_network.then_some(SILENCE);
        Self { answer, silence, parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next event; `None` when the connection is over, for whatever reason.
    pub async fn next(&mut self) -> Option<RawEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let piece = match self.silence {
                None => self.answer.chunk().await,
                Some(limit) => tokio::time::timeout(limit, self.answer.chunk()).await.ok()?,
            };
            let piece = piece.ok().flatten()?;
            self.ready.extend(self.parser.feed(&piece).ok()?);
        }
    }
}

/// What a feed tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something happened.
    Event(Event),
    /// The connection is lost or cannot be made; it is tried again after a pause. Told once per gap, and once more
    /// where it is for another reason: somebody may have signed out meanwhile.
    Lost(Box<Problem>),
}

/// Events without an end: reconnects with growing pauses and says [`Event::Resync`] after every gap.
#[derive(Debug)]
pub struct EventFeed {
    client: Client,
    stream: Option<EventStream>,
    last_id: Option<String>,
    failures: usize,
    /// Since the last stream: why there is none, as it was told last.
    gap: Option<Code>,
    /// The first attempt after a stream that broke is under way, of which nobody has to hear.
    unseen: bool,
}

impl EventFeed {
    /// A feed that connects at the first [`EventFeed::next`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, stream: None, last_id: None, failures: 0, gap: None, unseen: false }
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
                if self.goes_on_unseen() {
                    continue;
                }
                self.failures = self.failures.max(1);
                match self.is_lost(super::transport::gone()) {
                    Some(news) => return news,
                    None => continue,
                }
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
            self.wait(pause).await;
        }
        match self.client.events(self.last_id.as_deref()).await {
            Ok(stream) => {
                self.stream = Some(stream);
                self.unseen = false;
                self.gap.take().map(|_| News::Event(Event::Resync))
            }
            Err(problem) => {
                self.unseen = false;
                self.failures += 1;
                self.is_lost(problem)
            }
        }
    }

    /// That there is no stream for this reason, unless that was told.
    fn is_lost(&mut self, problem: Problem) -> Option<News> {
        let told = self.gap.replace(problem.code);
        (told != Some(problem.code)).then(|| News::Lost(Box::new(problem)))
    }

    /// Whether a stream that broke may be followed by one of another broker as if nothing had been: where the events have numbers, that
    /// one goes on behind the last. Once; a stream that breaks before it said anything is a gap.
    fn goes_on_unseen(&mut self) -> bool {
        let is_over_network = matches!(self.client.endpoint(), Endpoint::Https(_));
        let goes_on = is_over_network && self.last_id.is_some() && self.failures == 0 && !self.unseen;
        self.unseen |= goes_on;
        goes_on
    }

    /// A pause; over a network until somebody signs in at most, and a little longer for some than for others.
    async fn wait(&self, pause: Duration) {
        let Some(identity) = self.client.identity() else { return tokio::time::sleep(pause).await };
        let more = u64::try_from(pause.as_millis()).unwrap_or_default() * SPREAD / 100;
        let more = Duration::from_millis(crate::random::up_to(more));
        let _ = tokio::time::timeout(pause + more, identity.changed()).await;
    }
}
