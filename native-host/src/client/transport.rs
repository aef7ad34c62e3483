//! One call over the socket: trust it, send, read the answer within bounds, turn every failure into a problem.

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::{Code, Problem};
use zeroize::{Zeroize, Zeroizing};

use super::{Client, Endpoint};
use crate::places::System;
use crate::platform::{Distrust, Here, Platform};

/// The largest answer read into memory. An overview is some ten kilobytes; a page of audit records some hundred.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// How long a local socket may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Connections kept for the next calls. A relay has one or two calls under way.
const KEPT: usize = 4;
/// The host in requests; only the path matters on a socket.
const HOST: &str = "ticketgate";

/// One connection's sending half.
type Connection = SendRequest<Full<Bytes>>;

/// Connections that wait for the next call.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Vec<Connection>>>);

impl Connections {
    /// One that is still open. What the other side closed meanwhile is forgotten.
    fn take(&self) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|connection| !connection.is_closed());
        kept.pop()
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !connection.is_closed() {
            kept.push(connection);
        }
    }
}

/// An answer whose body is still to come, on the connection that brings it.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response<Incoming>,
    connection: Connection,
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        while let Some(frame) = self.response.body_mut().frame().await {
            if let Ok(piece) = frame.map_err(|_| gone())?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

#[cfg(unix)]
async fn open(path: &Path) -> io::Result<tokio::net::UnixStream> {
    tokio::net::UnixStream::connect(path).await
}

#[cfg(windows)]
async fn open(path: &Path) -> io::Result<tokio::net::windows::named_pipe::NamedPipeClient> {
    tokio::net::windows::named_pipe::ClientOptions::new().open(path)
}

impl Client {
    /// A new connection to an endpoint that may be trusted; starts a broker when told to and none answers.
    async fn connect(&self) -> Result<Connection, Problem> {
        supported(System::here())?;
        let Endpoint::Socket(path) = &self.endpoint;
        match (Here::trust_socket(path), &self.starter) {
            (Ok(()), _) | (Err(Distrust::Missing), Some(_)) => {}
            (Err(why), _) => return Err(distrusted(&why)),
        }
        let stream = match (open_in_time(path).await, &self.starter) {
            (Err(error), Some(starter)) if error.kind() != ErrorKind::PermissionDenied => {
                starter.start().await?;
                Here::trust_socket(path).map_err(|why| distrusted(&why))?;
                open_in_time(path).await
            }
            (first, _) => first,
        };
        let stream = stream.map_err(|error| unreached(&error))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| gone())?;
        // Ends when the other side closes it, or when nobody can send on it any more.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends on a kept connection or a new one. A kept one that was closed before the request was on it is no failure.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Problem> {
        let mut request = request;
        while let Some(mut connection) = self.connections.take() {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok(Answer { response, connection }),
                Err(mut error) => request = error.take_message().ok_or_else(gone)?,
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request).await.map_err(|_| gone())?;
        Ok(Answer { response, connection })
    }

    /// One call with a JSON answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&IdempotencyKey>,
    ) -> Result<T, Problem> {
        let work = async {
            let mut request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key.as_str());
            }
            let mut bytes = Vec::new();
            if let Some(body) = body {
                serde_json::to_writer(&mut bytes, body).map_err(|_| unsendable())?;
                request = request.header(header::CONTENT_TYPE, "application/json");
            }
            let request = request.body(Full::new(bytes.into())).map_err(|_| unsendable())?;
            let mut answer = self.send(request).await?;
            let status = answer.response.status();
            let body = whole(&mut answer).await?;
            self.connections.keep(answer.connection);
            if !status.is_success() {
                return Err(refused(status.as_u16(), &body));
            }
            serde_json::from_slice(&body).map_err(|_| strange())
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// One call whose answer goes to `to` piece by piece.
    pub(super) async fn download<W: Write>(&self, path: &str, to: &mut W) -> Result<u64, Problem> {
        let mut answer = self.stream(path, None).await?;
        let mut written = 0;
        while let Some(piece) = answer.chunk().await? {
            to.write_all(&piece).map_err(|e| {
                Problem::new(Code::Internal, format!("The export cannot be written: {e}."))
                    .remedy("Check the disk and the file's permissions.")
            })?;
            written += piece.len() as u64;
        }
        Ok(written)
    }

    /// Opens a stream; the time limit holds until its head is there.
    pub(super) async fn stream(&self, path: &str, last_id: Option<&str>) -> Result<Answer, Problem> {
        let work = async {
            let mut request = Request::get(path).header(header::HOST, HOST);
            if let Some(id) = last_id {
                request = request.header("Last-Event-ID", id);
            }
            let request = request.body(Full::default()).map_err(|_| unsendable())?;
            let mut answer = self.send(request).await?;
            if answer.response.status().is_success() {
                return Ok(answer);
            }
            let status = answer.response.status().as_u16();
            Err(refused(status, &whole(&mut answer).await?))
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Connects, but does not wait for ever for a socket that does not accept.
async fn open_in_time(
    path: &Path,
) -> io::Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static> {
    tokio::time::timeout(CONNECT_LIMIT, open(path)).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Reads a body whole, into a buffer that is wiped: it may hold a password.
async fn whole(from: &mut Answer) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // Room for every answer with a password at once, so that growing leaves no copy of it behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(8 * 1024));
    while let Some(piece) = from.chunk().await? {
        if answer.len() + piece.len() > ANSWER_MAX {
            return Err(Problem::new(Code::TooLarge, "The broker's answer is too large.")
                .remedy("Ask for less, for example with a limit."));
        }
        answer.extend_from_slice(&piece);
        // Sole owner of the piece: wipe it. A shared one is left to the runtime, whose memory is never dumped.
        if let Ok(mut piece) = piece.try_into_mut() {
            piece.as_mut().zeroize();
        }
    }
    Ok(answer)
}

/// The problem that the broker sent, or one that says that it sent something else.
fn refused(status: u16, answer: &[u8]) -> Problem {
    serde_json::from_slice(answer).unwrap_or_else(|_| {
        let mut problem = match status {
            404 => Problem::new(Code::UnknownMethod, "The broker does not know this request.")
                .remedy("Update and restart the broker; it is older than this program."),
            _ => strange(),
        };
        problem.status = status;
        problem
    })
}

fn strange() -> Problem {
    Problem::new(Code::Internal, "The broker's answer cannot be read.")
        .remedy("Update and restart the broker so that both have the same version.")
}

fn late() -> Problem {
    Problem::new(Code::TimedOut, "The broker did not answer in time.")
        .remedy("Try again: the same request is never carried out twice.")
        .retry_after(1)
}

/// Whether a broker can run here at all: waiting for one that cannot would end in a remedy that helps nobody.
fn supported(system: System) -> Result<(), Problem> {
    if system.has_broker() {
        return Ok(());
    }
    Err(Problem::new(Code::Unsupported, "The broker does not run on this operating system yet.")
        .remedy("Run Ticketgate's broker and browser on Linux."))
}

fn distrusted(why: &Distrust) -> Problem {
    match why {
        Distrust::Missing => nobody(),
        why => Problem::new(Code::BrokerUnreachable, format!("The broker's socket is not trusted: {why}."))
            .remedy("Run `ticketgate doctor`; it names the folder and how to mend it."),
    }
}

fn nobody() -> Problem {
    Problem::new(Code::BrokerUnreachable, "No broker is running.")
        .remedy("Start it with `systemctl --user start ticketgate-broker` or `ticketgate broker`.")
        .retry_after(2)
}

/// The connection broke off.
pub(super) fn gone() -> Problem {
    Problem::new(Code::BrokerUnreachable, "The broker went away before it answered.")
        .remedy("Try again: the same request is never carried out twice.")
        .retry_after(1)
}

/// Nobody could be reached at the socket.
fn unreached(error: &io::Error) -> Problem {
    match error.kind() {
        ErrorKind::TimedOut => late(),
        ErrorKind::PermissionDenied => {
            Problem::new(Code::BrokerUnreachable, "This user may not reach the broker's socket.")
                .remedy("Run `ticketgate doctor`; it names the socket and who may use it.")
        }
        _ => nobody(),
    }
}

fn unsendable() -> Problem {
    Problem::new(Code::Internal, "The request cannot be written.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_a_broker_is_named_at_once() {
        assert_eq!(supported(System::Linux), Ok(()));
        let problem = supported(System::Windows).unwrap_err();
        assert_eq!(problem.code, Code::Unsupported);
        assert!(problem.remedy.contains("Linux"), "{problem:?}");
    }
}
