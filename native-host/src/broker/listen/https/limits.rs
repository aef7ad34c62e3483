//! The bounds of a connection from elsewhere: time for the handshake, for a request's head, and how much a head may hold. Those of
//! bodies and answers are `http`'s, for every way in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Bytes of a request's head. Ours have under two kilobytes, the proof of a sign-in among them.
const HEAD_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Requests at once on one HTTP/2 connection. A relay takes at most 32 from its browser, and listens to events.
const STREAMS_MAX: u32 = 64;

/// Times. A value, so that tests need not wait for minutes.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker::listen) struct Limits {
    /// For the whole TLS handshake.
    pub(in crate::broker::listen) handshake: Duration,
    /// For a request's head, and until a connection's first request. Over HTTP/1.1 also between requests: a client that comes later
    /// makes a new connection.
    pub(in crate::broker::listen) head: Duration,
    /// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
    pub(in crate::broker::listen) ping: Duration,
    /// The pause after a connection could not be taken.
    pub(in crate::broker::listen) after_failure: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            ping: Duration::from_secs(20),
            after_failure: Duration::from_millis(200),
        }
    }
}

impl Limits {
    pub(in crate::broker::listen) fn http_1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_MAX);
        builder
    }

    pub(super) fn http_2(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping)
            .keep_alive_timeout(self.ping)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX));
        builder
    }

    /// Serves a connection to its end, or until it has asked nothing in the time for a head: a client that says nothing at all is not
    /// one whose head is slow, and the protocols' own limits do not begin before their first byte.
    pub(super) async fn until_asked<E: std::fmt::Display>(
        &self,
        connection: impl Future<Output = Result<(), E>>,
        asked: &AtomicBool,
    ) {
        let mut connection = std::pin::pin!(connection);
        let first = tokio::select! {
            ended = &mut connection => Some(ended),
            () = sleep(self.head) => None,
        };
        let ended = match first {
            Some(ended) => ended,
            None if asked.load(Ordering::Relaxed) => connection.await,
            None => return,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

/// Lets the system notice an other end that is no longer there: one that is silent, and one that takes nothing that it is sent.
pub(super) fn keep_honest(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt;
        let _ = sockopt::set_socket_keepalive(stream, true);
        let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(60));
        let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10));
        let _ = sockopt::set_tcp_user_timeout(stream, 60_000);
    }
}
