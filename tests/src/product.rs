//! The program under test as its users meet it: a broker with its configuration, the command line, the relay that the
//! browser starts, the assembled extension. What the configuration says is in [`configuration`].

pub mod asking;
mod built;
pub mod configuration;
mod faults;
pub mod relay;
pub mod scripted;
pub mod users;

use crate::Result;
use crate::chromium::{self, Chromium, NativeHost};
use crate::http::{self, Response};
use crate::leash::{Exit, Leashed};
use crate::patience::{LIMIT, until};
use crate::world::Folder;
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use ticketgate_protocol::HOST_NAME;

pub use built::{binary, extension, package, relay_binary};
pub use configuration::{Configuration, Policy};
pub use relay::Relay;
pub use scripted::ScriptedHost;

/// Longer names do not fit into the address of a Unix socket (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// One installation of the product: its own configuration, ledger, socket and home folder. Dropping it ends every
/// process that belongs to it.
#[derive(Debug)]
pub struct Product {
    binary: PathBuf,
    broker: Option<Leashed>,
    folder: Folder,
    for_everyone: bool,
}

/// What a command of the program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// An active session with its password.
#[derive(Debug, Clone, PartialEq)]
pub struct Activated {
    /// Its id.
    pub id: String,
    /// The account to log on with, as the product says it: `ACME\jit-tech1`.
    pub account: String,
    /// The account's password.
    pub password: String,
    /// The session as the API shows it.
    pub session: Value,
}

impl Activated {
    /// The account's name without its domain, as [`crate::samba::SambaAd::bind`] takes it.
    pub fn name(&self) -> &str {
        self.account.rsplit('\\').next().unwrap_or_default()
    }
}

impl Said {
    /// Whether it reported success.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output as JSON.
    ///
    /// # Errors
    /// It is something else; the sentence shows all that was said.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }
}

impl Product {
    /// Writes the configuration and starts a broker.
    ///
    /// # Errors
    /// The program was not built, or its broker does not start.
    pub fn start(configuration: &Configuration) -> Result<Self> {
        let mut product = Self::install(configuration)?;
        product.start_broker()?;
        Ok(product)
    }

    /// Writes the configuration and starts nothing.
    ///
    /// # Errors
    /// The program was not built.
    pub fn install(configuration: &Configuration) -> Result<Self> {
        let product =
            Self { binary: binary()?, broker: None, folder: Folder::new("product")?, for_everyone: false };
        if product.socket().as_os_str().len() > SOCKET_PATH_MAX {
            bail!(
                "{} is too long for a socket; build in a folder with a shorter path",
                product.socket().display()
            );
        }
        for part in ["state", "home"] {
            std::fs::create_dir(product.folder.join(part))?;
        }
        product.configure(configuration)?;
        product.write_host(false)?;
        Ok(product)
    }

    /// Replaces the configuration file as an editor does: a new file renamed over the old one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, configuration: &Configuration) -> Result<()> {
        let new = self.folder.write("ticketgate.toml.new", configuration.text())?;
        Ok(std::fs::rename(new, self.config())?)
    }

    /// Starts the broker and returns when it answers.
    ///
    /// # Errors
    /// It ends at once (the sentence shows its log) or never answers.
    pub fn start_broker(&mut self) -> Result<()> {
        self.start_broker_with(&[])
    }

    /// Starts the broker with further environment.
    ///
    /// # Errors
    /// As [`Product::start_broker`].
    pub fn start_broker_with(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        if self.broker_runs()? {
            bail!("a broker runs already");
        }
        let mut command = Command::new(&self.binary);
        command.arg("broker").arg("--config").arg(self.config()).arg("--state").arg(self.state());
        command.arg("--socket").arg(self.socket()).envs(self.environment()).envs(environment.iter().copied());
        command.env("TICKETGATE_CLOCK", self.folder.join("clock"));
        if self.for_everyone {
            command.arg("--for-everyone");
        }
        let mut broker = Leashed::start(&command, &self.folder.join("broker.log"))?;
        until("the broker to answer", LIMIT, || match broker.exited()? {
            Some(Exit::Signal(_)) if !environment.is_empty() => Ok(true),
            Some(exit) => bail!("the broker ended at once ({exit:?}): {}", broker.log()),
            None => Ok(http::ask_socket(&self.socket(), "GET", "/v1/broker", &[], b"").is_ok()),
        })?;
        self.broker = Some(broker);
        Ok(())
    }

    /// Whether the broker that was started here still runs.
    ///
    /// # Errors
    /// Its leash cannot be asked.
    pub fn broker_runs(&mut self) -> Result<bool> {
        Ok(match &mut self.broker {
            Some(broker) => broker.exited()?.is_none(),
            None => false,
        })
    }

    /// The broker's process.
    ///
    /// # Errors
    /// There is no broker.
    pub fn broker_pid(&self) -> Result<i32> {
        Ok(self.broker.as_ref().context("no broker was started")?.pid())
    }

    /// Every process of this installation: broker, relays, clipboard holders, commands.
    pub fn processes(&self) -> Vec<i32> {
        processes_of(self.folder.path()).into_iter().map(|pid| pid.as_raw_nonzero().get()).collect()
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// There is no broker.
    pub fn kill_broker(&mut self) -> Result<()> {
        self.broker.take().context("no broker was started")?.kill()
    }

    /// SIGTERM, and its answer.
    ///
    /// # Errors
    /// There is no broker, or it does not end.
    pub fn stop_broker(&mut self) -> Result<Exit> {
        self.broker.take().context("no broker was started")?.stop()
    }

    /// Waits for a broker that was told to stop at a point.
    ///
    /// # Errors
    /// It goes on: the point was never reached.
    pub fn wait_for_broker_to_end(&mut self) -> Result<Exit> {
        self.broker.take().context("no broker was started")?.wait(LIMIT)
    }

    /// SIGSTOP and SIGCONT: a broker that hangs, or a machine that sleeps.
    ///
    /// # Errors
    /// There is no broker.
    pub fn pause_broker(&self, paused: bool) -> Result<()> {
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        self.broker.as_ref().context("no broker was started")?.signal(signal)
    }

    /// Moves the clocks of the broker's machine, from the true time: the wall clock by `wall` seconds, and the time since boot by
    /// the `slept` seconds of suspensions. Brokers notice at once, running ones too. The binary needs the feature `fault-points`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn move_clocks(&self, wall: i64, slept: u32) -> Result<()> {
        let new = self.folder.write("clock.new", format!("{wall} {slept}\n"))?;
        Ok(std::fs::rename(new, self.folder.join("clock"))?)
    }

    /// From the next start on the broker serves every user of the machine, as a service of the system does.
    pub fn serve_everyone(&mut self) {
        self.for_everyone = true;
    }

    /// What brokers logged here so far.
    pub fn broker_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default()
    }

    /// Runs a command of the program to its end: `product.cli(&["status"])`.
    ///
    /// # Errors
    /// The program cannot be started. A refusal is an answer.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        self.cli_in(&[], arguments)
    }

    /// The same with further environment.
    ///
    /// # Errors
    /// As [`Product::cli`].
    pub fn cli_in(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Said> {
        let mut command = self.command(&self.binary);
        command.args(arguments).envs(environment.iter().copied());
        let output = command.output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// A command in this installation's surroundings, not started yet.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment()).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// [`Product::cli`] with `--json`, where only success will do.
    ///
    /// # Errors
    /// It fails; the sentence shows all that was said.
    pub fn cli_json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.cli(&[&["--json"], arguments].concat())?;
        if !said.succeeded() {
            bail!("ticketgate {} failed: {said:?}", arguments.join(" "));
        }
        said.json()
    }

    /// Activates a policy on the command line and fetches the password. `arguments` come after the policy, such as
    /// `["--reason", "…", "--for", "30m"]`.
    ///
    /// # Errors
    /// It is refused; the sentence shows all that was said.
    pub fn activate(&self, policy: &str, arguments: &[&str]) -> Result<Activated> {
        let session = self.cli_json(&[&["activate", policy], arguments].concat())?;
        let id = text(&session, "id")?;
        let over = self.cli_json(&["password", &id])?;
        Ok(Activated { account: text(&over, "account")?, password: text(&over, "password")?, id, session })
    }

    /// Asks the broker's API as the person who runs the test. A body that is not null is sent as JSON.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub fn api(&self, method: &str, path: &str, key: Option<&str>, body: &Value) -> Result<Response> {
        let mut headers = vec![("Content-Type", "application/json"), ("Accept", "application/json")];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http::ask_socket(&self.socket(), method, path, &headers, body.as_bytes())
    }

    /// Starts a browser with the extension under test and this installation's relay. `options` may add the rest; its
    /// own extensions are loaded after the product's.
    ///
    /// # Errors
    /// The extension was not built, or the browser does not start.
    pub fn browser(&self, mut options: chromium::Options) -> Result<Chromium> {
        options.extensions.insert(0, extension()?);
        options.native_host = Some(self.native_host());
        Chromium::start(&options)
    }

    /// The program that the browser starts as the relay.
    pub fn native_host(&self) -> NativeHost {
        NativeHost { name: HOST_NAME.to_owned(), program: self.folder.join("host") }
    }

    /// Starts a relay as a browser would for this extension id, to speak to it without a browser.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn relay(&self, extension_id: &str) -> Result<Relay> {
        Relay::start(&self.folder.join("host"), extension_id)
    }

    /// Whether a relay or a command starts a broker when none runs. At first they do not, so that a broker that a
    /// test killed stays dead.
    ///
    /// # Errors
    /// The relay's wrapper cannot be written.
    pub fn let_relay_start_broker(&self) -> Result<()> {
        self.write_host(true)
    }

    /// A script that sets what a relay needs to find this installation, then becomes what browsers start. A browser hands its
    /// own environment to hosts, but two installations may share a test.
    fn write_host(&self, starts_broker: bool) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mut script = "#!/bin/sh\n".to_owned();
        for (name, value) in self.environment() {
            if !(starts_broker && name == "TICKETGATE_START") {
                script.push_str(&format!("export {name}={}\n", quoted(&value)));
            }
        }
        script.push_str(&format!("exec {} \"$@\"\n", quoted(&relay_binary()?.display().to_string())));
        let file = self.folder.write("host", script)?;
        Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o700))?)
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: PathBuf| path.display().to_string();
        vec![
            ("TICKETGATE_CONFIG", path(self.config())),
            ("TICKETGATE_STATE", path(self.state())),
            ("TICKETGATE_SOCKET", path(self.socket())),
            ("TICKETGATE_START", "never".to_owned()),
            // Nothing of a test ends up in the home of whoever runs it.
            ("HOME", path(self.folder.join("home"))),
            ("XDG_CONFIG_HOME", path(self.folder.join("home/.config"))),
            ("XDG_STATE_HOME", path(self.folder.join("home/.local/state"))),
        ]
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("ticketgate.toml")
    }

    /// The folder of ledger, audit log and keys.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The broker's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("broker.sock")
    }

    /// The folder of everything above.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Product {
    #[allow(
        clippy::print_stderr,
        reason = "shown by the test runner below the failure that it helps to explain"
    )]
    fn drop(&mut self) {
        if crate::outcome::failing() {
            eprintln!("broker: {}", self.broker_log());
        }
        drop(self.broker.take());
        // Also what a relay or a command started and set apart: a broker, a clipboard holder.
        for pid in processes_of(self.folder.path()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The processes whose environment names this folder as their state.
fn processes_of(folder: &Path) -> Vec<Pid> {
    let mark = format!("TICKETGATE_STATE={}/", folder.display());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| String::from_utf8_lossy(&environment).contains(&mark))
    };
    pids.filter(named).filter_map(Pid::from_raw).collect()
}

fn text(value: &Value, field: &str) -> Result<String> {
    let found = value.get(field).and_then(Value::as_str);
    Ok(found.with_context(|| format!("no {field} in {value}"))?.to_owned())
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
