//! One server on loopback, with as many databases as a test wants. Clients come by password; a test looks by the server's socket.

use super::{CLIENT, USER, hand_over, owned, programs};
use crate::Result;
use crate::leash::Leashed;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use rustix::process::{Signal, geteuid};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// How its data are made; `fsync` is off in all of this, since no test here cuts the power.
const INITDB: [&str; 6] =
    ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--wal-segsize=1", "--username"];

/// Who comes in by which door.
const ACCESS: &str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct Alone {
    process: Option<Leashed>,
    port: u16,
    secrets: Folder,
    folder: Folder,
}

impl Alone {
    /// Starts one, with the clients' user and an empty database of theirs, [`CLIENT`].
    ///
    /// # Errors
    /// PostgreSQL is not installed.
    pub fn start() -> Result<Self> {
        let folder = Folder::for_everyone("postgres-alone")?;
        world::run(Command::new("cp").arg("-a").arg(template()?.join("data")).arg(folder.join("data")))?;
        owned(&folder.join("data/pg_hba.conf"), ACCESS)?;
        std::fs::create_dir(folder.join("socket"))?;
        hand_over(&folder.join("socket"), 0o700)?;
        // Free a moment ago; the server listens there.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = Self { process: None, port, secrets: Folder::new("postgres-secrets")?, folder };
        server.begin()?;
        let password = crate::tenant::random_id();
        server.execute("postgres", &format!("CREATE ROLE {CLIENT} LOGIN PASSWORD '{password}'"))?;
        server.secrets.write("password", password)?;
        server.create(CLIENT)?;
        Ok(server)
    }

    fn begin(&mut self) -> Result<()> {
        let mut command = command("postgres")?;
        command.current_dir(self.folder.path()).env("LC_ALL", "C").arg("-D").arg(self.folder.join("data"));
        let port = self.port.to_string();
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}"), "-c", "fsync=off"]);
        command.args(["-c", "max_connections=60", "-c", "shared_buffers=16MB", "-c"]);
        command.arg(format!("unix_socket_directories={}", self.folder.join("socket").display()));
        self.process = Some(Leashed::start(&command, &self.folder.join("log"))?);
        until("the server to take connections", LIMIT, || {
            if let Some(process) = &mut self.process
                && process.exited()?.is_some()
            {
                bail!("the server ended at once: {}", process.log());
            }
            Ok(self.sql("postgres", "SELECT 1 AS one").is_ok())
        })
    }

    /// Starts it again as a standby, which can only be read; or, where it was one, as a server that writes.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, standby: bool) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::INT)?;
            process.wait(LIMIT)?;
        }
        let signal = self.folder.join("data/standby.signal");
        if standby {
            owned(&signal, "")?;
        } else {
            std::fs::remove_file(&signal)?;
        }
        self.begin()
    }

    /// A new database of the clients', with nothing in it.
    ///
    /// # Errors
    /// There is one of this name.
    pub fn create(&self, database: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE DATABASE {database} OWNER {CLIENT}"))
    }

    /// A database that is the same as another one, which nobody has open.
    ///
    /// # Errors
    /// Somebody has.
    pub fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.hang_up(from)?;
        self.execute("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from} OWNER {CLIENT}"))
    }

    /// Ends every connection to a database.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn hang_up(&self, database: &str) -> Result<()> {
        let all = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        self.execute("postgres", &all)
    }

    /// What libpq calls a connection string.
    pub fn words(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} dbname={database} user={CLIENT}", self.port)
    }

    /// A file with the clients' password, for its owner alone.
    pub fn password_file(&self) -> PathBuf {
        self.secrets.join("password")
    }

    /// `[ledger]` as a broker's configuration has it.
    pub fn section(&self, database: &str) -> String {
        let (words, password) = (self.words(database), self.password_file());
        format!("[ledger]\npostgres = {words:?}\npassword = {{ file = {password:?} }}\n")
    }

    /// What a query finds, an object a row.
    ///
    /// # Errors
    /// No answer, or a refusal: with the server's own words.
    pub fn sql(&self, database: &str, query: &str) -> Result<Vec<Value>> {
        let said =
            self.psql(database, &format!("SELECT coalesce(json_agg(found), '[]') FROM ({query}) found"))?;
        serde_json::from_str(said.trim()).with_context(|| format!("no JSON: {said}"))
    }

    /// Carries out what answers nothing.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub fn execute(&self, database: &str, statement: &str) -> Result<()> {
        self.psql(database, statement).map(drop)
    }

    fn psql(&self, database: &str, text: &str) -> Result<String> {
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1"]);
        let said = world::run(self.near(&mut command, database).args(["--command", text]))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// All that is in a database, as text.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn dump(&self, database: &str) -> Result<String> {
        let said = world::run(self.near(&mut Command::new("pg_dump"), database))?;
        // It draws a new word for this each time.
        let lines = String::from_utf8_lossy(&said).into_owned();
        Ok(lines.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n"))
    }

    fn near<'a>(&self, command: &'a mut Command, database: &str) -> &'a mut Command {
        command.args(["--username", USER, "--dbname", database, "--port", &self.port.to_string(), "--host"]);
        command.arg(self.folder.join("socket"))
    }
}

/// A server's data as `initdb` makes them.
fn template() -> Result<PathBuf> {
    let release = programs()?.display().to_string();
    world::template("postgres", &[&release, &INITDB.join(" ")], |making| {
        let place = Folder::for_everyone("postgres-making")?;
        let data = place.join("data");
        std::fs::create_dir(&data)?;
        hand_over(&data, 0o700)?;
        let mut make = command("initdb")?;
        world::run(make.current_dir(place.path()).args(INITDB).arg(USER).arg("--pgdata").arg(&data))?;
        world::run(Command::new("cp").arg("-a").arg(&data).arg(making)).map(drop)
    })
}

/// A program of the server's own, as its user where the test is root's: the server refuses root.
fn command(program: &str) -> Result<Command> {
    let program = programs()?.join(program);
    if !geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--init-groups"]).arg(program);
    Ok(command)
}
