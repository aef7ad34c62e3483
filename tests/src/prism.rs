//! A proxy that holds both sides to a vendor's own [`Description`]: what a client of ours asks, and what the server that a test plays
//! answers. `@stoplight/prism-cli`, which `xtask/npm` pins.
//!
//! It refuses what is not described: methods, paths, missing headers and credentials (401), names, types and formats (422), and an
//! answer that is not as described (500 instead of it). It does not see query options that nobody described, what an expression in a
//! query means, whether somebody may do this, or what was there before.

use crate::Result;
use crate::description::Description;
use crate::leash::Leashed;
use crate::patience::wait_for;
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Some two seconds on a quiet machine, most of it Node.js reading the proxy's own two hundred packages.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What its log says before its address, once it takes connections.
const LISTENING: &str = "Prism is listening on http://";

/// What it calls its own answers, as opposed to those of the server.
const OWN_ANSWER: &str = "{\"type\":\"https://stoplight.io/prism/errors#";
/// A header's name before what was not as described in a server's answer.
const VIOLATIONS: &str = "sl-violations: ";

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Prism {
    address: SocketAddr,
    said: Said,
    _proxy: Leashed,
    _folder: Folder,
}

/// An answer of the server with this header does not arrive: the connection breaks instead, as when a network fails after the work
/// was done.
pub(crate) const LOST_ANSWER: &str = "ticketgate-lost-answer";

/// What it answered, by connection. Its log has no word of what exactly was wrong.
type Said = Arc<Mutex<Vec<Vec<u8>>>>;

impl Prism {
    /// Starts one on a free port of loopback before the server at `upstream`, whose requests have the paths of the description.
    ///
    /// # Errors
    /// It is not installed, or cannot read the description.
    pub fn start(description: &Description, upstream: &str) -> Result<Self> {
        Self::start_written("description.json", &description.text(), upstream)
    }

    /// The same with a description as its vendor wrote it, whose kind (JSON, YAML) the file's name says.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_written(name: &str, description: &str, upstream: &str) -> Result<Self> {
        let program = world::target().join("npm/node_modules/@stoplight/prism-cli/dist/index.js");
        if !program.exists() {
            bail!("{} is not there; run `cargo xtask setup`", program.display());
        }
        let folder = Folder::new("prism")?;
        let file = folder.write(name, description)?;
        let mut command = Command::new("node");
        command.arg(program).arg("proxy").arg(file).arg(upstream);
        // Port 0: the system's choice, which it then tells.
        command.args(["--errors", "--host", "127.0.0.1", "--port", "0"]);
        // What would make it several processes, or change Node.js.
        command.env_remove("NODE_ENV").env_remove("NODE_OPTIONS");
        let mut proxy = Leashed::start(&command, &folder.join("log"))?;
        let listens = wait_for("Prism to listen", START_LIMIT, || {
            if proxy.exited()?.is_some() {
                bail!("Prism ended at once: {}", proxy.log());
            }
            let log = proxy.log();
            let said = log.lines().find_map(|line| line.split_once(LISTENING));
            Ok(said.map(|(_, address)| address.trim().to_owned()))
        })?;
        let said = Said::default();
        let address = listen_in(listens.parse().with_context(|| format!("no address: {listens}"))?, &said)?;
        Ok(Self { address, said, _proxy: proxy, _folder: folder })
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an address for clients, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was not as described in what was asked and answered so far: place and sentence, or the sentence alone.
    ///
    /// # Errors
    /// It said so in a way that is not known here.
    pub fn violations(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for said in self.said.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let said = String::from_utf8_lossy(said);
            for (at, _) in said.match_indices(OWN_ANSWER) {
                let answer = first_value(said.get(at..).unwrap_or_default())?;
                match answer.get("validation").and_then(Value::as_array) {
                    Some(list) => found.extend(list.iter().map(sentence)),
                    None => found.push(format!("{}: {}", text(&answer, "title"), text(&answer, "detail"))),
                }
            }
            for (at, _) in said.match_indices(VIOLATIONS) {
                let list = first_value(said.get(at + VIOLATIONS.len()..).unwrap_or_default())?;
                // The proxy's own answer to a server's wrong one has them, too.
                let sentences = list.as_array().into_iter().flatten().map(sentence);
                let new: Vec<_> = sentences.filter(|sentence| !found.contains(sentence)).collect();
                found.extend(new);
            }
        }
        Ok(found)
    }
}

/// The JSON value at the beginning of a text.
fn first_value(text: &str) -> Result<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    Ok(values.next().context("nothing was said")??)
}

fn sentence(violation: &Value) -> String {
    let steps = violation.get("location").and_then(Value::as_array);
    let place: Vec<_> = steps.into_iter().flatten().filter_map(Value::as_str).collect();
    format!("{}: {}", place.join("."), text(violation, "message"))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An address whose connections go on to another, and a copy of what comes back: it is there before whoever asked has it. It
/// goes with the process.
fn listen_in(to: SocketAddr, said: &Said) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let said = Arc::clone(said);
    thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let said = Arc::clone(&said);
            // A connection that breaks is its two ends' own matter.
            thread::spawn(move || pass(&from, to, &said));
        }
    });
    Ok(address)
}

fn pass(mut from: &TcpStream, to: SocketAddr, said: &Said) -> Result<()> {
    let (mut there, mut back) = (TcpStream::connect(to)?, from.try_clone()?);
    let mut answers = there.try_clone()?;
    thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut there);
        let _ = there.shutdown(Shutdown::Write);
    });
    let place = {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(Vec::new());
        said.len() - 1
    };
    let mut piece = [0; 16 << 10];
    loop {
        let length = answers.read(&mut piece)?;
        let read = piece.get(..length).unwrap_or_default();
        if read.windows(LOST_ANSWER.len()).any(|piece| piece.eq_ignore_ascii_case(LOST_ANSWER.as_bytes())) {
            return Ok(from.shutdown(Shutdown::Both)?);
        }
        if read.is_empty() {
            return Ok(from.shutdown(Shutdown::Write)?);
        }
        if let Some(said) = said.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
            said.extend_from_slice(read);
        }
        from.write_all(read)?;
    }
}
