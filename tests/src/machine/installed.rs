//! The program under test, installed in a machine of the test's own: a broker that runs there as root, its configuration, its
//! command line. What is elsewhere in `product` for brokers of this machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::Machine;
use crate::Result;
use crate::http::{self, Response};
use crate::patience::{LIMIT, until};
use crate::product::asking::new_key;
use crate::product::{Activated, Said, binary};

/// Where it is there, as a package puts it.
pub const PROGRAM: &str = "/usr/bin/ticketgate";
const CONFIG: &str = "/etc/ticketgate/ticketgate.toml";
const STATE: &str = "/var/lib/ticketgate";
const SOCKET: &str = "/run/ticketgate/broker.sock";
const LOG: &str = "/var/log/ticketgate.log";
const PID: &str = "/run/ticketgate/broker.pid";
const ENVIRONMENT: [(&str, &str); 4] = [
    ("TICKETGATE_CONFIG", CONFIG),
    ("TICKETGATE_STATE", STATE),
    ("TICKETGATE_SOCKET", SOCKET),
    ("TICKETGATE_START", "never"),
];

/// A configuration with this machine as `here`, with a policy for each thing that tests ask for.
pub const HERE: &str = r#"
[broker]
rate = { per_minute = 1000, per_hour = 1000, per_day = 1000 }
sessions_at_once = 20

[[technician]]
id = "tech1"
login = "root"

[[customer]]
id = "acme"

[[directory]]
id = "here"
customer = "acme"
kind = "local"
machine = "here"
processes = "all"

[[policy]]
id = "all"
directory = "here"
rights = ["sudo:ALL"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }

[[policy]]
id = "docker"
directory = "here"
rights = ["group:docker"]
duration = { default = "2h", max = "4h" }
eligible = { technicians = ["tech1"] }

[[policy]]
id = "burner"
directory = "here"
mode = "burner"
rights = ["sudo:ALL", "group:docker"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }

[[policy]]
id = "burner-sudo"
directory = "here"
mode = "burner"
rights = ["sudo:ALL"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }
"#;

/// A machine with a broker of its own.
#[derive(Debug)]
pub struct Installed {
    /// Where it is installed.
    pub machine: Machine,
    /// `nsenter`, which ends with the broker.
    broker: Option<Child>,
    /// As whom broker and command line run.
    user: Option<String>,
}

impl Machine {
    /// Makes it ready for [`HERE`]: a group that is a right, and a PAM that lets nobody wait after a wrong password.
    ///
    /// # Errors
    /// A program of it fails.
    pub fn prepare(&self) -> Result<()> {
        self.sh("groupadd --system docker; sed -i 's/pam_unix.so/& nodelay/' /etc/pam.d/common-auth")
            .map(drop)
    }

    /// Puts the program under test where a package would.
    ///
    /// # Errors
    /// It was not built.
    pub fn install_product(&self) -> Result<()> {
        self.install(&binary()?, PROGRAM)
    }
}

impl Installed {
    /// Installs the program with a configuration, and starts its broker.
    ///
    /// # Errors
    /// The program was not built, or its broker does not start.
    pub fn start(machine: Machine, configuration: &str) -> Result<Self> {
        let mut installed = Self::prepare(machine, configuration)?;
        installed.start_broker(&[])?;
        Ok(installed)
    }

    /// The same without a broker.
    ///
    /// # Errors
    /// The program was not built.
    pub fn prepare(machine: Machine, configuration: &str) -> Result<Self> {
        machine.install_product()?;
        machine.sh(&format!("mkdir -p /etc/ticketgate /run/ticketgate {STATE} && chmod 700 {STATE}"))?;
        let installed = Self { machine, broker: None, user: None };
        installed.configure(configuration)?;
        Ok(installed)
    }

    /// From now on broker and command line run as this user of the machine, not as root.
    pub fn run_as(&mut self, user: &str) {
        self.user = Some(user.to_owned());
    }

    fn command(&self, program: &str) -> Command {
        self.user
            .as_ref()
            .map_or_else(|| self.machine.command(program), |user| self.machine.command_as(user, program))
    }

    /// Replaces the configuration file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        let new = self.machine.path(&format!("{CONFIG}.new"));
        fs::write(&new, configuration)?;
        Ok(fs::rename(new, self.machine.path(CONFIG))?)
    }

    /// Starts the broker with further environment, and returns when it answers, or has ended where a fault is to end it.
    ///
    /// # Errors
    /// It ends at once (the sentence shows its log) or never answers.
    pub fn start_broker(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command("sh");
        command.args(["-c", &format!("echo $$ > {PID}; exec {PROGRAM} broker >> {LOG} 2>&1")]);
        command.envs(ENVIRONMENT).envs(environment.iter().copied());
        let mut broker = command.spawn()?;
        until("the broker to answer", LIMIT, || match broker.try_wait()? {
            Some(_) if !environment.is_empty() => Ok(true),
            Some(exit) => bail!("the broker ended at once ({exit}): {}", self.log()),
            None => Ok(http::ask_socket(&self.socket(), "GET", "/v1/broker", &[], b"").is_ok()),
        })?;
        self.broker = Some(broker);
        Ok(())
    }

    /// SIGKILL, and whatever was being asked for goes on by itself.
    ///
    /// # Errors
    /// There is no broker.
    pub fn kill_broker(&mut self) -> Result<()> {
        self.machine.sh(&format!("kill -KILL $(cat {PID})"))?;
        self.wait_for_broker_to_end()
    }

    /// Waits for a broker that a fault ends.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait_for_broker_to_end(&mut self) -> Result<()> {
        let mut broker = self.broker.take().context("no broker was started")?;
        until("the broker to end", LIMIT, || Ok(broker.try_wait()?.is_some()))
    }

    /// What brokers logged there.
    pub fn log(&self) -> String {
        fs::read_to_string(self.machine.path(LOG)).unwrap_or_default()
    }

    /// The command line there, as root.
    ///
    /// # Errors
    /// It cannot be started. A refusal is an answer.
    pub fn cli(&self, arguments: &[&str]) -> Result<Said> {
        said(self.command(PROGRAM).args(arguments).envs(ENVIRONMENT))
    }

    /// [`Installed::cli`] with `--json`, where only success will do.
    ///
    /// # Errors
    /// It fails; the sentence shows all that was said.
    pub fn cli_json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.cli(&[&["--json"], arguments].concat())?;
        if !said.succeeded() {
            bail!("ticketgate {} failed: {said:?}; the broker: {}", arguments.join(" "), self.log());
        }
        said.json()
    }

    /// Asks the broker's API as root.
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

    /// Activates a policy with its standard duration, and fetches the password where there is one.
    ///
    /// # Errors
    /// It is refused; the sentence shows all that was said.
    pub fn activate(&self, policy: &str) -> Result<Activated> {
        let session = self.cli_json(&["activate", policy, "--reason", "#4711 nginx does not answer"])?;
        let text = |value: &Value, field: &str| {
            value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let id = text(&session, "id");
        let password = self.cli(&["--json", "password", &id])?;
        let over = if password.succeeded() { password.json()? } else { Value::Null };
        Ok(Activated { account: text(&session, "account"), password: text(&over, "password"), id, session })
    }

    fn socket(&self) -> PathBuf {
        self.machine.path(SOCKET)
    }
}

impl Drop for Installed {
    #[allow(
        clippy::print_stderr,
        reason = "shown by the test runner below the failure that it helps to explain"
    )]
    fn drop(&mut self) {
        if crate::outcome::failing() {
            eprintln!("broker: {}", self.log());
        }
        if let Some(mut broker) = self.broker.take() {
            let _ = self.machine.sh(&format!("kill -KILL $(cat {PID})"));
            let _ = broker.wait();
        }
    }
}

/// A command to its end.
pub(super) fn said(command: &mut Command) -> Result<Said> {
    let output = command.stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}
