//! The broker's events: one connection's stream, and a feed that reconnects for ever.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

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

/// A broker says something every 15 seconds. Where nothing came for so long, the connection is not one any more.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection that lasted so long was one. A shorter one is counted as a failure, so that who hangs up at once is not asked on and on.
const LASTED: Duration = Duration::from_secs(1);

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
            let piece = tokio::time::timeout(SILENCE, self.answer.chunk()).await.ok()?.ok().flatten()?;
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

/// Events without an end. A connection that breaks off is made again at once, and where the broker goes on after the last event nothing
/// is missed and nothing told. Otherwise it is tried with growing pauses, and [`Event::Resync`] is said when the broker is back.
#[derive(Debug)]
pub struct EventFeed {
    client: Client,
    stream: Option<EventStream>,
    last_id: Option<String>,
    failures: usize,
    gap: bool,
    since: Option<Instant>,
}

impl EventFeed {
    /// A feed that connects at the first [`EventFeed::next`].
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, stream: None, last_id: None, failures: 0, gap: false, since: None }
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
                let lasted = self.since.take().is_some_and(|since| since.elapsed() >= LASTED);
                self.failures = if lasted { 1 } else { self.failures + 1 };
                if lasted && self.last_id.is_some() && !self.gap {
                    continue;
                }
                if !std::mem::replace(&mut self.gap, true) {
                    return News::Lost(Box::new(super::transport::gone()));
                }
                continue;
            };
            if self.since.is_some_and(|since| since.elapsed() >= LASTED) {
                self.failures = 0;
            }
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
                self.since = Some(Instant::now());
                std::mem::take(&mut self.gap).then_some(News::Event(Event::Resync))
            }
            Err(problem) => {
                self.failures += 1;
                (!std::mem::replace(&mut self.gap, true)).then(|| News::Lost(Box::new(problem)))
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::client::Endpoint;

    /// Answers one request for events with these, says what was asked, and hangs up after a while.
    async fn answer(listener: &UnixListener, events: &str, lasts: Duration) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let read = stream.read(&mut asked).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("{:x}\r\n{events}\r\n", events.len());
        stream.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
        tokio::time::sleep(lasts).await;
        String::from_utf8_lossy(&asked[..read]).into_owned()
    }

    #[tokio::test]
    async fn who_is_back_at_once_goes_on_after_the_last_event_and_tells_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let mut feed = EventFeed::new(Client::new(Endpoint::Socket(socket)));
        let served = tokio::spawn(async move {
            let first = answer(&listener, "event: resync\nid: t-4\ndata: null\n\n", LASTED).await;
            let second = answer(&listener, "event: overview\nid: t-5\ndata: null\n\n", LASTED).await;
            drop(listener);
            (first, second)
        });
        assert_eq!(feed.next().await, News::Event(Event::Resync));
        assert_eq!(feed.next().await, News::Event(Event::Overview));
        let (first, second) = (async { served.await.unwrap() }, feed.next());
        let ((first, second), lost) = tokio::join!(first, second);
        assert!(!first.to_lowercase().contains("last-event-id"), "{first}");
        assert!(second.to_lowercase().contains("last-event-id: t-4"), "{second}");
        assert!(matches!(lost, News::Lost(_)), "{lost:?}");
    }
}
