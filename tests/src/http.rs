//! One HTTP/1.0 request at a time over any stream, just enough to ask the servers of this world. No TLS, no keep-alive.

use crate::Result;
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A slow answer is a failed test, not a hanging one.
const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is something else; the sentence shows it.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON ({}): {}", self.status, self.text()))
    }
}

/// Asks a server on a TCP address.
///
/// # Errors
/// No connection, or no HTTP.
pub fn ask(
    at: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    let stream = TcpStream::connect_timeout(&at, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    over(stream, &at.to_string(), method, path, headers, body)
}

/// Asks a server on a Unix socket.
///
/// # Errors
/// No connection, or no HTTP.
pub fn ask_socket(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    let stream =
        UnixStream::connect(socket).with_context(|| format!("nobody answers at {}", socket.display()))?;
    ask_on(stream, method, path, headers, body)
}

/// Asks a server on a Unix socket that somebody else connected to.
///
/// # Errors
/// No HTTP.
pub fn ask_on(
    stream: UnixStream,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    stream.set_read_timeout(Some(LIMIT))?;
    over(stream, "localhost", method, path, headers, body)
}

fn over(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Response> {
    let mut request =
        format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    // A server may answer and close before it has read everything; what it said is there to be read all the same.
    let sent = stream.write_all(&[request.as_bytes(), body].concat());
    let mut answer = Vec::new();
    let received = stream.read_to_end(&mut answer);
    if answer.is_empty() || sent.is_ok() {
        sent.and(received.map(drop))?;
    }
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("the answer has no end of headers")?;
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let Some(status) = first.split(' ').nth(1).and_then(|code| code.parse().ok()) else {
        bail!("no HTTP answer: {first}")
    };
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Response { status, headers, body: body.get(4..).unwrap_or_default().to_vec() })
}
