//! The browser's end of a native messaging port, without a browser: for frames that no browser would send, and for
//! origins that none would let through.

use crate::Result;
use crate::patience::wait_for;
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Chromium refuses a longer answer (Chrome developers, "Native messaging").
const REPLY_MAX: usize = 1024 * 1024;

/// A relay with our hands on its pipes. Dropping it closes the port, then kills what is left.
#[derive(Debug)]
pub struct Relay {
    process: Child,
    to: Option<ChildStdin>,
    replies: Receiver<Result<Value>>,
}

impl Relay {
    pub(super) fn start(host: &Path, extension_id: &str) -> Result<Self> {
        let mut command = Command::new(host);
        command
            .arg(format!("chrome-extension://{extension_id}/"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn()?;
        let to = process.stdin.take();
        let mut from = process.stdout.take().context("no pipe from the relay")?;
        let (send, replies) = channel();
        std::thread::spawn(move || {
            while let Some(reply) = frame(&mut from).transpose() {
                let last = reply.is_err();
                if send.send(reply).is_err() || last {
                    return;
                }
            }
        });
        Ok(Self { process, to, replies })
    }

    /// Sends a message as the browser frames it: its length in this machine's byte order, then UTF-8 JSON.
    ///
    /// # Errors
    /// The relay has ended.
    pub fn send(&mut self, message: &Value) -> Result<()> {
        let text = message.to_string();
        let length = u32::try_from(text.len())?.to_ne_bytes();
        self.send_raw(&[length.as_slice(), text.as_bytes()].concat())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The relay has ended.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        let to = self.to.as_mut().context("the port is closed")?;
        to.write_all(bytes)?;
        Ok(to.flush()?)
    }

    /// The next message, or `None` when the relay closed its end or said nothing for so long.
    ///
    /// # Errors
    /// What came is no frame.
    pub fn receive(&self, limit: Duration) -> Result<Option<Value>> {
        match self.replies.recv_timeout(limit) {
            Ok(reply) => reply.map(Some),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// Closes the port, as a browser does that stops a worker.
    pub fn close(&mut self) {
        self.to = None;
    }

    /// Waits for the relay's end and answers its exit code; `None` when a signal ended it.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<i32>> {
        Ok(wait_for("the relay to end", limit, || Ok(self.process.try_wait()?))?.code())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
        // Closing is enough for a relay that works; the rest is for one that does not.
        let _ = self.wait(Duration::from_secs(3));
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One frame; `None` at the end of the stream.
fn frame(from: &mut impl Read) -> Result<Option<Value>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let length = usize::try_from(u32::from_ne_bytes(length))?;
    if length > REPLY_MAX {
        bail!("a reply of {length} bytes, which a browser would refuse");
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}
