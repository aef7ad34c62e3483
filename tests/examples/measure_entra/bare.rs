//! The requests of a session, sent once more for another user by somebody without the product: one connection, one after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use ticketgate_tests::figures::timed;
use ticketgate_tests::tenant::{Asked, Tenant};
use ticketgate_tests::{Result, http};

/// Who sends them.
pub(crate) struct Bare {
    graph: SocketAddr,
    token: String,
}

impl Bare {
    /// Signs in as the application, by its secret.
    pub(crate) fn new(tenant: &Tenant, login: &str, graph: SocketAddr) -> Result<Self> {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default",
            tenant.client_id(),
            tenant.secret().replace('~', "%7E"),
        );
        let at = login.strip_prefix("http://").context("the stand-in's address")?.parse()?;
        let path = format!("/{}/oauth2/v2.0/token", tenant.id());
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = http::ask(at, "POST", &path, &kind, form.as_bytes())?.json()?;
        let token = answer["access_token"].as_str().with_context(|| answer.to_string())?.to_owned();
        Ok(Self { graph, token })
    }

    /// Sends what was asked for one user for another; in milliseconds, without the connection.
    pub(crate) fn replay(&mut self, asked: &[Asked], ours: &str, theirs: &str) -> Result<f64> {
        let requests: Vec<Vec<u8>> = asked.iter().map(|one| self.request(one, ours, theirs)).collect();
        let mut there = TcpStream::connect(self.graph)?;
        there.set_nodelay(true)?;
        let mut back = BufReader::new(there.try_clone()?);
        timed(|| {
            for (request, asked) in requests.iter().zip(asked) {
                there.write_all(request)?;
                let status = answer(&mut back)?;
                ensure!(status == asked.status, "{}: {status} for the bare request", asked.line());
            }
            Ok(())
        })
    }

    fn request(&self, asked: &Asked, ours: &str, theirs: &str) -> Vec<u8> {
        let body = match &asked.body {
            Value::Null => String::new(),
            body => body.to_string().replace(ours, theirs),
        };
        let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let request = format!(
            "{} {}{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: */*\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            asked.method,
            asked.path.replace(ours, theirs),
            query.replace(ours, theirs),
            self.graph,
            self.token,
            body.len(),
        );
        request.into_bytes()
    }
}

/// Reads one answer whole; its status.
fn answer(from: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(|| line.clone())?;
    let (mut length, mut chunked) = (0, false);
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    if !chunked {
        std::io::copy(&mut from.take(length), &mut std::io::sink())?;
        return Ok(status);
    }
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Ok(size) = u64::from_str_radix(line.trim(), 16) else { bail!("no size of a chunk: {line:?}") };
        // With the end of its line.
        std::io::copy(&mut from.take(size + 2), &mut std::io::sink())?;
        if size == 0 {
            return Ok(status);
        }
    }
}
