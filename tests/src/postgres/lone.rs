//! One server of a test's own on this machine: no standby, no host, no disk of its own. It is reached by its socket, by whoever runs the
//! test, and asks for no password.

use super::{CLIENT, START_LIMIT, USER, programs, user};
use crate::Result;
use crate::leash::Leashed;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::bail;
use rustix::process::geteuid;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

/// A running server with an empty database. Dropping it ends it.
#[derive(Debug)]
pub struct Lone {
    _process: Leashed,
    folder: Folder,
}

impl Lone {
    /// Starts one.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start; with what it said.
    pub fn start() -> Result<Self> {
        let folder = Folder::for_everyone("postgres")?;
        let (data, socket) = (folder.join("data"), folder.join("socket"));
        for place in [&data, &socket] {
            std::fs::create_dir(place)?;
            if geteuid().is_root() {
                let (user, group) = user()?;
                chown(place, Some(user), Some(group))?;
            }
        }
        let mut make = command("initdb")?;
        make.args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--username", CLIENT]);
        world::run(make.arg("--pgdata").arg(&data).current_dir(&socket))?;
        let mut serve = command("postgres")?;
        serve.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-c"]);
        serve.arg(format!("unix_socket_directories={}", socket.display())).current_dir(&socket);
        let mut process = Leashed::start(&serve, &folder.join("log"))?;
        until("PostgreSQL to take connections", START_LIMIT, || {
            if process.exited()?.is_some() {
                bail!("PostgreSQL ended at once: {}", process.log());
            }
            let mut ask = command("pg_isready")?;
            Ok(world::run(ask.arg("--quiet").arg("--host").arg(&socket)).is_ok())
        })?;
        Ok(Self { _process: process, folder })
    }

    /// `[ledger]` as a broker's configuration has it.
    pub fn section(&self) -> String {
        let socket: PathBuf = self.folder.join("socket");
        format!("[ledger]\npostgres = \"host={} user={CLIENT} dbname=postgres\"\n", socket.display())
    }
}

/// A program of the server's own, not as root, which it refuses.
fn command(program: &str) -> Result<Command> {
    let place = programs()?.join(program);
    if !geteuid().is_root() {
        return Ok(Command::new(place));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--init-groups"]).arg(place);
    Ok(command)
}
