//! The connections to a broker's socket: one for each call under way, kept for the calls after it. HTTP/1 by `hyper`, without the
//! layers of a client for the network: there is one server here, and neither redirect, proxy, cookie nor TLS.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

/// Connections kept for the next calls. A relay has one or two calls under way.
const KEPT: usize = 4;

/// A connection broke off before the answer was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// The connections of one client.
#[derive(Debug)]
pub(super) struct Connections {
    socket: PathBuf,
    kept: Mutex<Vec<SendRequest<String>>>,
}

/// One connection, on which one request at a time is under way.
pub(super) struct Connection {
    sender: SendRequest<String>,
    home: Arc<Connections>,
}

/// An answer's head, and its body as it comes in.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Incoming>,
    connection: Option<Connection>,
}

impl Connections {
    /// Nothing is connected yet.
    pub(super) fn new(socket: PathBuf) -> Arc<Self> {
        Arc::new(Self { socket, kept: Mutex::default() })
    }

    /// Where they go to.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends over a connection that was kept. The request comes back unsent where there is none: a broker that ended, or closed the
    /// connection while nobody used it, has not seen the request.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<String>,
    ) -> Result<Result<Answer, Broken>, Request<String>> {
        while let Some(mut sender) = self.take() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let connection = Some(Connection { sender, home: Arc::clone(self) });
                    return Ok(Ok(Answer { response, connection }));
                }
                Err(mut why) => match why.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Ok(Err(Broken)),
                },
            }
        }
        Err(request)
    }

    /// Makes a connection. On a socket of this machine that succeeds or fails at once, whatever the broker does; a pipe of somebody
    /// else is refused.
    pub(super) async fn connect(self: &Arc<Self>) -> io::Result<Connection> {
        #[cfg(unix)]
        let stream = tokio::net::UnixStream::connect(&self.socket).await?;
        #[cfg(windows)]
        let stream = super::pipe::connect(&self.socket).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when the broker closes it, or nobody has a use for it any more; what broke is told to whoever waits for an answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, home: Arc::clone(self) })
    }

    fn take(&self) -> Option<SendRequest<String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sender: SendRequest<String>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !sender.is_closed() {
            kept.push(sender);
        }
    }
}

impl Connection {
    /// Sends the first request on a new connection.
    pub(super) async fn send(mut self, request: Request<String>) -> Result<Answer, Broken> {
        let response = self.sender.send_request(request).await.map_err(|_| Broken)?;
        Ok(Answer { response, connection: Some(self) })
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Answer {
    /// Whether the broker did what was asked, and how else it ended.
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
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
                Some(Err(_)) => return Err(Broken),
                None => {
                    if let Some(Connection { sender, home }) = self.connection.take() {
                        home.keep(sender);
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
