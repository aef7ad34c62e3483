//! The connections to a broker: one for each call under way, kept for the calls after it. HTTP/1 by `hyper`, without the layers of a
//! client for any server: there is one broker here, and neither redirect, proxy nor cookie. Over a network they go by [`Network`].

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderName;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::network::{Network, Unreached, turns_away};

/// Connections kept for the next calls. A relay has one or two calls under way.
const KEPT: usize = 4;
/// A connection over a network that nobody used for so long is not used again: what stands in between may have forgotten it.
const KEPT_FOR: Duration = Duration::from_secs(50);

/// A connection broke off before the answer was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    /// The broker does not take this machine's certificate.
    pub(super) turned_away: bool,
}

/// How a request ended that went over a connection that was there.
#[derive(Debug)]
pub(super) enum Sent {
    /// There is an answer.
    Answered(Answer),
    /// It may have been seen.
    Broken(Broken),
    /// A broker that ended, or closed the connection while nobody used it, has not seen it.
    Unsent(Box<Request<String>>),
}

/// Where connections go to.
#[derive(Debug)]
enum Way {
    Socket(PathBuf),
    Network(Box<Network>),
}

/// The connections of one client.
#[derive(Debug)]
pub(super) struct Connections {
    way: Way,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    sender: SendRequest<String>,
    at: usize,
    since: Instant,
}

/// One connection, on which one request at a time is under way.
pub(super) struct Connection {
    sender: SendRequest<String>,
    at: usize,
    home: Arc<Connections>,
}

/// An answer's head, and its body as it comes in.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Incoming>,
    connection: Option<Connection>,
}

impl Connections {
    /// To a socket of this machine. Nothing is connected yet.
    pub(super) fn new(socket: PathBuf) -> Arc<Self> {
        Arc::new(Self { way: Way::Socket(socket), kept: Mutex::default() })
    }

    /// To a team's broker. Nothing is connected yet.
    pub(super) fn over(network: Network) -> Arc<Self> {
        Arc::new(Self { way: Way::Network(Box::new(network)), kept: Mutex::default() })
    }

    /// The way over the network, where they go that way.
    pub(super) fn network(&self) -> Option<&Network> {
        match &self.way {
            Way::Network(network) => Some(network),
            Way::Socket(_) => None,
        }
    }

    /// The socket; of a way over the network there is none.
    pub(super) fn socket(&self) -> &Path {
        match &self.way {
            Way::Socket(socket) => socket,
            Way::Network(_) => Path::new(""),
        }
    }

    /// A connection that was kept and can be used, to none of the addresses to `skip`.
    pub(super) async fn ready(self: &Arc<Self>, skip: &[usize]) -> Option<Connection> {
        while let Some(Kept { mut sender, at, .. }) = self.take(skip) {
            if sender.ready().await.is_ok() {
                return Some(Connection { sender, at, home: Arc::clone(self) });
            }
        }
        None
    }

    /// Sends over a connection that was kept. The request comes back unsent where there is none.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<String>,
    ) -> Result<Result<Answer, Broken>, Request<String>> {
        while let Some(connection) = self.ready(&[]).await {
            match connection.try_send(request).await {
                Sent::Answered(answer) => return Ok(Ok(answer)),
                Sent::Broken(broken) => return Ok(Err(broken)),
                Sent::Unsent(unsent) => request = *unsent,
            }
        }
        Err(request)
    }

    /// Makes a connection to the socket. On one of this machine that succeeds or fails at once, whatever the broker does; a pipe of
    /// somebody else is refused.
    pub(super) async fn connect(self: &Arc<Self>) -> io::Result<Connection> {
        let socket = self.socket();
        #[cfg(unix)]
        let stream = tokio::net::UnixStream::connect(socket).await?;
        #[cfg(windows)]
        let stream = super::pipe::connect(socket).await?;
        self.begin(0, stream).await
    }

    /// Makes a connection over the network, to none of the addresses to `skip`.
    pub(super) async fn reach(
        self: &Arc<Self>,
        network: &Network,
        skip: &[usize],
    ) -> Result<Connection, Unreached> {
        let (at, stream) = network.connect(skip).await?;
        self.begin(at, stream).await.map_err(|_| Unreached::Refused)
    }

    pub(super) async fn begin<S>(self: &Arc<Self>, at: usize, stream: S) -> io::Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when the broker closes it, or nobody has a use for it any more; what broke is told to whoever waits for an answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, at, home: Arc::clone(self) })
    }

    fn take(&self, skip: &[usize]) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Way::Network(_) = &self.way else { return kept.pop() };
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        let at = kept.iter().rposition(|kept| !skip.contains(&kept.at))?;
        Some(kept.swap_remove(at))
    }

    fn keep(&self, sender: SendRequest<String>, at: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !sender.is_closed() {
            kept.push(Kept { sender, at, since: Instant::now() });
        }
    }

    /// Forgets what was kept to an address that proved dead.
    pub(super) fn give_up(&self, at: usize) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| kept.at != at);
    }
}

impl Connection {
    /// The number of the address that it leads to.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Sends the first request on a new connection.
    pub(super) async fn send(mut self, request: Request<String>) -> Result<Answer, Broken> {
        let response = self.sender.send_request(request).await.map_err(|why| Broken::of(&why))?;
        Ok(Answer { response, connection: Some(self) })
    }

    /// Sends over a connection that the broker may have closed meanwhile.
    pub(super) async fn try_send(mut self, request: Request<String>) -> Sent {
        match self.sender.try_send_request(request).await {
            Ok(response) => Sent::Answered(Answer { response, connection: Some(self) }),
            Err(mut why) => match why.take_message() {
                Some(unsent) => Sent::Unsent(Box::new(unsent)),
                None => Sent::Broken(Broken::of(why.error())),
            },
        }
    }
}

impl Broken {
    /// What the certificate of this side is not taken for comes with TLS 1.3 only after the handshake, in an answer's place.
    fn of(why: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(why);
        while let Some(error) = next {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::AlertReceived(alert)) = tls.or_else(|| error.downcast_ref()) {
                return Self { turned_away: turns_away(*alert) };
            }
            next = error.source();
        }
        Self { turned_away: false }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Answer {
    /// Whether the broker did what was asked, and how else it ended.
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header's text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end. With that the connection is kept for the next call; where an answer is dropped
    /// before, its connection is closed.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match poll_fn(|cx| Pin::new(self.response.body_mut()).poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    // Trailers are of no interest.
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
                Some(Err(why)) => return Err(Broken::of(&why)),
                None => {
                    if let Some(Connection { sender, at, home }) = self.connection.take() {
                        home.keep(sender, at);
                    }
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    fn request() -> Request<String> {
        Request::builder().uri("/v1/broker").body(String::new()).unwrap()
    }

    /// Sends, reads the body to its end, and answers how many connections had to be made for it.
    async fn ask(connections: &Arc<Connections>) -> usize {
        let (made, answer) = match connections.send(request()).await {
            Ok(answer) => (0, answer),
            Err(request) => (1, connections.connect().await.unwrap().send(request).await),
        };
        let mut answer = answer.unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), "{}");
        assert_eq!(answer.chunk().await, Ok(None));
        made
    }

    /// How many connections each of three calls makes to a broker that answers so, and hangs up after so many answers.
    fn made(head: &'static str, answers: usize) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = UnixListener::bind(folder.path().join("s")).unwrap();
            let connections = Connections::new(folder.path().join("s"));
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut buffer = [0; 1024];
                    for _ in 0..answers {
                        if stream.read(&mut buffer).await.unwrap() == 0 {
                            break;
                        }
                        let answer = format!("HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\n{{}}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
            vec![ask(&connections).await, ask(&connections).await, ask(&connections).await]
        })
    }

    #[test]
    fn a_connection_is_kept_for_the_next_calls() {
        assert_eq!(made("", 9), [1, 0, 0]);
    }

    #[test]
    fn a_connection_that_the_broker_closes_after_its_answer_is_not_used_again() {
        assert_eq!(made("connection: close\r\n", 1), [1, 1, 1]);
    }

    #[test]
    fn a_request_that_meets_a_connection_closed_meanwhile_goes_over_a_new_one() {
        assert_eq!(made("", 2), [1, 0, 1]);
    }
}
