//! One broker of a team: a process on a host of its own, with a folder of its own, and the same configuration and ledger as the others.

use crate::Result;
use crate::authority::{Authority, Issued};
use crate::hosts::{Host, Network};
use crate::http::{self, Response};
use crate::leash::{Exit, Leashed};
use crate::product::asking::new_key;
use crate::product::binary;
use crate::world::Folder;
use anyhow::Context;
use rustix::process::Signal;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where relays reach it.
pub const PORT: u16 = 8443;

/// A broker, running or not.
#[derive(Debug)]
pub struct Broker {
    process: Option<Leashed>,
    /// When it was started last.
    started: Instant,
    /// Whoever watches over it starts it again when it ends: not before this.
    not_before: Instant,
    network: Network,
    address: Ipv4Addr,
    name: &'static str,
    shown: Issued,
    folder: Folder,
}

/// A request may take half a minute, and one that was begun is finished.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// Until a process that was started takes signals, on a busy machine.
const BEGINNING: Duration = Duration::from_secs(1);

/// As systemd waits for what ended.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

impl Broker {
    /// A place for one, with nothing in it but a certificate.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn prepare(host: &Host, authority: &Authority) -> Result<Self> {
        let folder = Folder::new(host.name())?;
        for part in ["state", "home"] {
            std::fs::create_dir(folder.join(part))?;
        }
        let shown = authority.issue(host.name(), host.address())?;
        let (network, address, name) = (host.network().clone(), host.address(), host.name());
        let now = Instant::now();
        Ok(Self { process: None, started: now, not_before: now, network, address, name, shown, folder })
    }

    /// Replaces its configuration; `[service]` is added, which is this broker's own.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, shared: &str) -> Result<()> {
        let Issued { certificate, key } = &self.shown;
        let own = format!(
            "\n[service]\nlisten = \"{}:{PORT}\"\ncertificate = {certificate:?}\nkey = {{ file = {key:?} }}\n",
            self.address
        );
        let new = self.folder.write("ticketgate.toml.new", format!("{shared}{own}"))?;
        Ok(std::fs::rename(new, self.folder.join("ticketgate.toml"))?)
    }

    /// Takes over the key with which all brokers of the ledger sign the audit log.
    ///
    /// # Errors
    /// The other has none.
    pub fn takes_key_of(&self, other: &Self) -> Result<()> {
        let [from, to] = [other, self].map(|broker| broker.state().join("audit.key"));
        std::fs::copy(from, to).map(drop).context("no key of the audit log")
    }

    /// Starts it, and does not wait until it answers.
    ///
    /// # Errors
    /// The program was not built.
    pub fn start(&mut self) -> Result<()> {
        let binary = binary()?.display().to_string();
        let mut command = self.network.command(&binary);
        command.arg("broker").arg("--config").arg(self.folder.join("ticketgate.toml"));
        command.arg("--state").arg(self.state()).arg("--socket").arg(self.socket());
        command.env("TICKETGATE_CLOCK", self.folder.join("clock"));
        command.env("TICKETGATE_START", "never").env("HOME", self.folder.join("home"));
        command.env("XDG_CONFIG_HOME", self.folder.join("home/.config"));
        command.env("XDG_STATE_HOME", self.folder.join("home/.local/state"));
        self.process = Some(Leashed::start(&command, &self.log_file())?);
        self.started = Instant::now();
        Ok(())
    }

    /// Starts it again where it ended by itself, as a supervisor does. Answers how it had ended.
    ///
    /// # Errors
    /// The program was not built.
    pub fn supervise(&mut self) -> Result<Option<Exit>> {
        let Some(process) = &mut self.process else { return Ok(None) };
        let Some(exit) = process.exited()? else { return Ok(None) };
        if self.not_before > Instant::now() {
            return Ok(None);
        }
        self.start()?;
        self.not_before = Instant::now() + RESTART_PAUSE;
        Ok(Some(exit))
    }

    /// SIGKILL. It stays dead until it is started.
    ///
    /// # Errors
    /// It does not go.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Waits until what was started last takes signals: one that comes before ends any process.
    pub fn takes_signals(&self) {
        std::thread::sleep(BEGINNING.saturating_sub(self.started.elapsed()));
    }

    /// SIGTERM, and its answer, once it has finished what it began. It stays dead until it is started.
    ///
    /// # Errors
    /// It goes on.
    pub fn stop(&mut self) -> Result<Option<Exit>> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        if process.exited()?.is_none() {
            process.signal(Signal::TERM)?;
        }
        process.wait(STOP_LIMIT).map(Some)
    }

    /// SIGSTOP and SIGCONT.
    ///
    /// # Errors
    /// There is none.
    pub fn pause(&self, paused: bool) -> Result<()> {
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        self.process.as_ref().context("no broker runs")?.signal(signal)
    }

    /// Sets its machine's wall clock, in seconds from the true time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_clock(&self, ahead: i64) -> Result<()> {
        let new = self.folder.write("clock.new", format!("{ahead} 0\n"))?;
        Ok(std::fs::rename(new, self.folder.join("clock"))?)
    }

    /// Asks it by its socket, as whoever runs the test.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let key = new_key();
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Idempotency-Key", key.as_str()),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http::ask_socket(&self.socket(), method, path, &headers, body.as_bytes())
    }

    /// Where relays reach it.
    pub fn url(&self) -> String {
        format!("https://{}:{PORT}", self.address)
    }

    /// Its host's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process, where one runs.
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(Leashed::pid)
    }

    /// The folder of its state.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("broker.sock")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}
