//! One call: over the socket (trust it, send, read the answer within bounds), or handed on to the way over the network; every failure
//! turned into a problem.

use std::io::{self, ErrorKind, Write};

use hyper::Request;
use serde::de::DeserializeOwned;
use ticketgate_protocol::problem::{Code, Problem};
use zeroize::{Zeroize, Zeroizing};

use super::Client;
use super::ask::Ask;
use super::connections::{Answer, Connection};
use crate::platform::{Distrust, Here, Platform};

/// The largest answer read into memory. An overview is some ten kilobytes; a page of audit records some hundred.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// The host in requests; on a socket nobody asks which.
const NAME: &str = "ticketgate";

impl Client {
    /// Sends over a connection that is there, or over a new one.
    async fn send(&self, request: Request<String>) -> Result<Answer, Problem> {
        let answer = match self.connections.send(request).await {
            Ok(answer) => answer,
            Err(request) => self.connect().await?.send(request).await,
        };
        answer.map_err(|_| gone())
    }

    /// Connects to a socket that may be trusted; starts a broker when told to and none answers.
    async fn connect(&self) -> Result<Connection, Problem> {
        let socket = self.connections.socket();
        match (Here::trust_socket(socket), &self.starter) {
            (Ok(()), _) | (Err(Distrust::Missing), Some(_)) => {}
            (Err(why), _) => return Err(distrusted(&why)),
        }
        match (self.connections.connect().await, &self.starter) {
            (Err(error), Some(starter)) if error.kind() != ErrorKind::PermissionDenied => {
                starter.start().await?;
                Here::trust_socket(socket).map_err(|why| distrusted(&why))?;
                self.connections.connect().await.map_err(|e| unconnected(&e))
            }
            (made, _) => made.map_err(|e| unconnected(&e)),
        }
    }

    /// One call with a JSON answer.
    pub(super) async fn call<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Problem> {
        let work = async {
            let (status, body) = match &self.over {
                Some(over) => over.whole(self, &ask).await?,
                None => {
                    let answer = self.send(ask.into_request(NAME)?).await?;
                    (answer.status(), whole(answer).await.map_err(Cut::problem)?)
                }
            };
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
        while let Some(piece) = answer.chunk().await.map_err(|_| gone())? {
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
        let ask = Ask::get(path).after(last_id);
        let work = async {
            let answer = match &self.over {
                Some(over) => over.head(self, &ask).await?,
                None => self.send(ask.into_request(NAME)?).await?,
            };
            let status = answer.status();
            if status.is_success() {
                return Ok(answer);
            }
            Err(refused(status.as_u16(), &whole(answer).await.map_err(Cut::problem)?))
        };
        tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| Err(late()))
    }
}

/// Why a body was not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The connection broke off.
    Off,
    /// It is larger than any answer.
    TooLarge,
}

impl Cut {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Off => gone(),
            Self::TooLarge => Problem::new(Code::TooLarge, "The broker's answer is too large.")
                .remedy("Ask for less, for example with a limit."),
        }
    }
}

/// Reads a body whole, into a buffer that is wiped: it may hold a password.
pub(super) async fn whole(mut body: Answer) -> Result<Zeroizing<Vec<u8>>, Cut> {
    // Room for every answer with a password at once, so that growing leaves no copy of it behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(8 * 1024));
    while let Some(piece) = body.chunk().await.map_err(|_| Cut::Off)? {
        if answer.len() + piece.len() > ANSWER_MAX {
            return Err(Cut::TooLarge);
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
pub(super) fn refused(status: u16, answer: &[u8]) -> Problem {
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

pub(super) fn unsayable() -> Problem {
    Problem::new(Code::Internal, "The request cannot be written.")
        .remedy("Update this program; if it happens again, report it.")
}

fn late() -> Problem {
    Problem::new(Code::TimedOut, "The broker did not answer in time.")
        .remedy("Try again: the same request is never carried out twice.")
        .retry_after(1)
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
        .remedy(format!("Run: {}", Here::HOW_TO_START))
        .retry_after(2)
}

/// The connection broke off.
pub(super) fn gone() -> Problem {
    Problem::new(Code::BrokerUnreachable, "The broker went away before it answered.")
        .remedy("Try again: the same request is never carried out twice.")
        .retry_after(1)
}

/// A connection that cannot be made.
fn unconnected(error: &io::Error) -> Problem {
    if let Some(why) = error.get_ref().and_then(|inner| inner.downcast_ref::<Distrust>()) {
        return distrusted(why);
    }
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Problem::new(Code::BrokerUnreachable, "This user may not reach the broker's socket.")
                .remedy("Run `ticketgate doctor`; it names the socket and who may use it.")
        }
        _ => nobody(),
    }
}
