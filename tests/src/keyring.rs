//! A desktop's key store of its own: a message bus and GNOME Keyring on it, unlocked, with all files in a private folder.

use crate::Result;
use crate::leash::Leashed;
use crate::patience::wait_for;
use crate::product::{self, Said};
use crate::world::Folder;
use anyhow::{Context, bail};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A bus that starts nothing by itself: a store that it started would use the home of whoever runs the test.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=SOCKET</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running key store. Dropping it ends store and bus.
#[derive(Debug)]
pub struct Keyring {
    address: String,
    store: Option<Leashed>,
    _bus: Leashed,
    folder: Folder,
}

impl Keyring {
    /// Starts one, empty and unlocked.
    ///
    /// # Errors
    /// dbus-daemon or gnome-keyring-daemon is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let folder = Folder::new("keyring")?;
        let socket = folder.join("bus").display().to_string();
        let settings = folder.write("bus.conf", BUS.replace("SOCKET", &socket))?;
        let mut command = Command::new("dbus-daemon");
        command.args(["--nofork", "--print-address=1", "--config-file"]).arg(settings);
        let mut bus = Leashed::start(&command, &folder.join("bus.log"))?;
        let address = wait_for("a message bus", START_LIMIT, || {
            if bus.exited()?.is_some() {
                bail!("dbus-daemon ended at once: {}", bus.log());
            }
            Ok(bus.log().lines().find(|line| line.starts_with("unix:")).map(str::to_owned))
        })?;
        let mut keyring = Self { address, store: None, _bus: bus, folder };
        keyring.start_store()?;
        Ok(keyring)
    }

    /// The value for `DBUS_SESSION_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends the store; the bus stays.
    pub fn stop_store(&mut self) {
        drop(self.store.take());
    }

    /// Starts the store on the files that it has, unlocked.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_store(&mut self) -> Result<()> {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "printf unlocked | exec gnome-keyring-daemon --foreground --unlock --components=secrets",
            ])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("HOME", self.folder.path())
            .env("XDG_DATA_HOME", self.folder.join("data"))
            .env("XDG_RUNTIME_DIR", self.folder.path());
        let mut store = Leashed::start(&command, &self.folder.join("store.log"))?;
        wait_for("the key store", START_LIMIT, || {
            if store.exited()?.is_some() {
                bail!("gnome-keyring-daemon ended at once: {}", store.log());
            }
            let mut ask = Command::new("dbus-send");
            ask.args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"])
                .args(["org.freedesktop.DBus.GetNameOwner", "string:org.freedesktop.secrets"])
                .env("DBUS_SESSION_BUS_ADDRESS", &self.address);
            Ok(ask.output()?.status.success().then_some(()))
        })?;
        self.store = Some(store);
        Ok(())
    }

    /// Runs `ticketgate secret …` on this key store, with `input` on its standard input.
    ///
    /// # Errors
    /// The program was not built. A refusal is an answer.
    pub fn secret(&self, arguments: &[&str], input: &str) -> Result<Said> {
        let mut command = Command::new(product::binary()?);
        command.arg("secret").args(arguments).env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn()?;
        child.stdin.take().context("no pipe")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }
}
