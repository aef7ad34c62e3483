//! A PostgreSQL of a run's own, with every commit on the disk, that is gone with the run, and `psql` at it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Result;

/// The database that is there from the beginning.
pub(crate) const FIRST: &str = "postgres";

/// As every server of a run is set: statements are logged where a database asks for it, whole and with their parameters.
const SETTINGS: &str = "listen_addresses = ''\nmax_connections = 300\nmax_wal_size = 2GB\nlogging_collector = on\n\
     log_destination = 'jsonlog'\nlog_filename = 'said'\nlog_rotation_size = 0\nlog_rotation_age = 0\n";

/// A server; gone when it is dropped.
pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tg-pg-").tempdir()?;
        let data = folder.path().join("data");
        let mut make = as_user("initdb")?;
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(OTHER_USER), Some(OTHER_USER))?;
        }
        make.args(["-U", "ticketgate", "--auth=trust", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync", "-D"]);
        let made = make.arg(&data).stdout(Stdio::null()).current_dir("/").status()?;
        if !made.success() {
            return Err("initdb failed".into());
        }
        let socket = folder.path().display();
        let further = format!("unix_socket_directories = '{socket}'\nlog_directory = '{socket}'\n{SETTINGS}");
        let path = data.join("postgresql.conf");
        fs::write(&path, format!("{}\n{further}", fs::read_to_string(&path)?))?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("sh");
        // The shell outlives its input by no longer than it takes to end the server.
        command.args(["-c", "\"$@\" & server=$!; read -r _; kill -QUIT $server; wait $server", "sh"]);
        let server = as_user("postgres")?;
        command.arg(server.get_program()).args(server.get_args()).arg("-D").arg(&data);
        let process =
            command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).current_dir("/").spawn()?;
        let server = Self { folder, process };
        for _ in 0..500 {
            let mut ready = Command::new(program("pg_isready")?);
            if ready.arg("-q").arg("-h").arg(server.folder.path()).status()?.success() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not start".into())
    }

    /// As a broker has it.
    pub(crate) fn address(&self, database: &str) -> String {
        format!("host={} dbname={database} user=ticketgate", self.folder.path().display())
    }

    /// What a statement answers, a row a line, its columns separated by `|`.
    pub(crate) fn sql(&self, database: &str, text: &str) -> Result<String> {
        let mut psql = self.client("psql")?;
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text]);
        let ran = psql.output()?;
        if !ran.status.success() {
            return Err(format!("{text}: {}", String::from_utf8_lossy(&ran.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&ran.stdout).trim().to_owned())
    }

    /// A database as another one is, which nobody has open.
    pub(crate) fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.sql(FIRST, &format!("CREATE DATABASE {to} TEMPLATE {from}"))?;
        // What is to be written anyway is written before it is measured.
        self.sql(FIRST, "CHECKPOINT").map(drop)
    }

    pub(crate) fn client(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(program(name)?);
        command.args(["-U", "ticketgate", "-h"]).arg(self.folder.path());
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// PostgreSQL refuses root; `nobody` runs it then.
const OTHER_USER: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn as_user(name: &str) -> Result<Command> {
    let program = program(name)?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={OTHER_USER}"), format!("--regid={OTHER_USER}")]);
    command.args(["--clear-groups", "--"]).arg(program);
    Ok(command)
}

/// Of the newest PostgreSQL that is installed.
fn program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql")?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    let newest = found.pop().ok_or("PostgreSQL is not installed; run `cargo xtask setup`")?;
    Ok(newest.join("bin").join(name))
}
