//! One call over the socket: trust it, send, read the answer within bounds, turn every failure into a problem.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
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
/// The address in requests; only the path matters on a socket.
const BASE: &str = "http://ticketgate";

/// A client bound to the socket: whatever an address says, nothing else can be meant.
pub(super) fn http(endpoint: &Endpoint) -> Result<reqwest::Client, Problem> {
    let Endpoint::Socket(path) = endpoint;
    // With ticket systems in the binary every client is one that could speak TLS, and none is made without a provider.
    super::starting::install_tls_provider();
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(KEPT);
    #[cfg(unix)]
    let builder = builder.unix_socket(path.as_path());
    #[cfg(windows)]
    let builder = builder.windows_named_pipe(path.as_os_str());
    builder.build().map_err(|e| Problem::new(Code::Internal, format!("No client can be made: {e}.")))
}

impl Client {
    /// Sends to an endpoint that may be trusted; starts a broker when told to and none answers.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Problem> {
        supported(System::here())?;
        let Endpoint::Socket(path) = &self.endpoint;
        match (Here::trust_socket(path), &self.starter) {
            (Ok(()), _) | (Err(Distrust::Missing), Some(_)) => {}
            (Err(why), _) => return Err(distrusted(&why)),
        }
        let again = self.starter.as_ref().and_then(|starter| Some((starter, request.try_clone()?)));
        match (request.send().await, again) {
            (Err(error), Some((starter, again))) if nobody_listens(&error) => {
                starter.start().await?;
                Here::trust_socket(path).map_err(|why| distrusted(&why))?;
                again.send().await.map_err(|e| lost(&e))
            }
            (answer, _) => answer.map_err(|e| lost(&e)),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{BASE}{path}"))
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
            let mut request = self.request(method, path);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key.as_str());
            }
            let response = self.send(request).await?;
            let succeeded = response.status().is_success();
            let status = response.status().as_u16();
            let answer = whole(response).await?;
            if !succeeded {
                return Err(refused(status, &answer));
            }
            serde_json::from_slice(&answer).map_err(|_| strange())
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// One call whose answer goes to `to` piece by piece.
    pub(super) async fn download<W: Write>(&self, path: &str, to: &mut W) -> Result<u64, Problem> {
        let mut response = self.stream(path, None).await?;
        let mut written = 0;
        while let Some(piece) = response.chunk().await.map_err(|e| lost(&e))? {
            to.write_all(&piece).map_err(|e| {
                Problem::new(Code::Internal, format!("The export cannot be written: {e}."))
                    .remedy("Check the disk and the file's permissions.")
            })?;
            written += piece.len() as u64;
        }
        Ok(written)
    }

    /// Opens a stream; the time limit holds until its head is there.
    pub(super) async fn stream(&self, path: &str, last_id: Option<&str>) -> Result<Response, Problem> {
        let work = async {
            let mut request = self.request(Method::GET, path);
            if let Some(id) = last_id {
                request = request.header("Last-Event-ID", id);
            }
            let response = self.send(request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let status = response.status().as_u16();
            Err(refused(status, &whole(response).await?))
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Reads a body whole, into a buffer that is wiped: it may hold a password.
async fn whole(mut response: Response) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // Room for every answer with a password at once, so that growing leaves no copy of it behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(8 * 1024));
    while let Some(piece) = response.chunk().await.map_err(|e| lost(&e))? {
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

/// A call that got no answer.
fn lost(error: &reqwest::Error) -> Problem {
    if error.is_timeout() {
        return late();
    }
    if !error.is_connect() {
        return gone();
    }
    match io_kind(error) {
        Some(ErrorKind::PermissionDenied) => {
            Problem::new(Code::BrokerUnreachable, "This user may not reach the broker's socket.")
                .remedy("Run `ticketgate doctor`; it names the socket and who may use it.")
        }
        _ => nobody(),
    }
}

/// Whether the socket is there for us, and no broker behind it.
fn nobody_listens(error: &reqwest::Error) -> bool {
    error.is_connect() && !error.is_timeout() && io_kind(error) != Some(ErrorKind::PermissionDenied)
}

/// The kind of the input/output error at the bottom, if there is one.
fn io_kind(error: &reqwest::Error) -> Option<ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
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
