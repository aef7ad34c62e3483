//! A person at a browser, as far as a sign-in needs one: goes where pages send it, with cookies, until it is sent back to this machine.

use crate::Result;
use crate::http::ask;
use anyhow::{Context, bail};
use std::net::SocketAddr;

/// So often a sign-in sends a browser on at most.
const STEPS_MAX: usize = 10;

/// Opens a sign-in's address. Answers where the browser was sent back to, with code and state; it was not opened yet.
///
/// # Errors
/// A page that sends it nowhere: the sentence shows it.
pub fn sign_in_at(address: &str) -> Result<String> {
    let (at, mut path) = split(address)?;
    let origin = format!("http://{at}");
    let mut cookies: Vec<(String, String)> = Vec::new();
    for _ in 0..STEPS_MAX {
        let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = ask(at, "GET", &path, &[("Cookie", jar.join("; ").as_str())], &[])?;
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                cookies.retain(|(known, _)| known != name);
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let Some(location) = answer.header("location") else {
            bail!("{}: {}", answer.status, answer.text().chars().take(300).collect::<String>())
        };
        if location.starts_with("http://localhost:") {
            return Ok(location.to_owned());
        }
        path = location.trim_start_matches(&origin).to_owned();
    }
    bail!("it goes round in circles")
}

/// Opens the address to which the browser was sent back. Answers the page's status and text.
///
/// # Errors
/// Nobody is there.
pub fn come_back(address: &str) -> Result<(u16, String)> {
    let rest = address.strip_prefix("http://localhost:").context("not an address of this machine")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (port, path) = rest.split_at(end);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let answer = ask(SocketAddr::from(([127, 0, 0, 1], port.parse()?)), "GET", &path, &[], &[])?;
    Ok((answer.status, answer.text()))
}

/// A value of an address's query, as it stands there.
#[must_use]
pub fn value<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn split(address: &str) -> Result<(SocketAddr, String)> {
    let rest = address.strip_prefix("http://").context("an address of this world has no TLS")?;
    let (host, path) = rest.split_once('/').context("no path")?;
    Ok((host.parse()?, format!("/{path}")))
}
