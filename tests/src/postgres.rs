//! PostgreSQL from the installed binaries: a primary and a standby that has everything acknowledged ([`Pair`]), each on a
//! [`Host`] of its own with a small disk of its own. Clients come by TLS and password; a test looks by the server's
//! socket, which no cut reaches, with `psql`. [`Alone`] is one server on loopback, with many databases, for what an administrator does.

mod alone;
mod pair;

use crate::Result;
use crate::authority::{Authority, Issued};
use crate::disk::SmallDisk;
use crate::hosts::{Host, Network};
use crate::leash::{Exit, Leashed};
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::{Context, bail};
use rustix::process::Signal;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use alone::Alone;
pub use pair::{Pair, Restart};

/// Whom the server runs as: it refuses root.
const USER: &str = "postgres";
/// Clients' user and database.
pub const CLIENT: &str = "ticketgate";
/// Clients' port.
pub const PORT: u16 = 5432;
/// A disk for what a run of some minutes writes, with its log segments.
const DISK_MIB: u32 = 320;
/// A busy machine replays what a crash left in a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Less than the time for which anything here is cut: a look that does not come is given up.
const LOOK_LIMIT: &str = "10";

/// One server, running or not, and its data.
#[derive(Debug)]
pub struct Server {
    process: Option<Leashed>,
    programs: PathBuf,
    network: Network,
    name: &'static str,
    address: Ipv4Addr,
    shown: Issued,
    /// None: the data is on this machine's.
    disk: Option<SmallDisk>,
    folder: Folder,
}

/// Where a server's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// A small one of its own, in memory: it can be filled, and a commit waits for nothing.
    Small,
    /// This machine's: a commit is on it before it is acknowledged.
    OfMachine,
}

impl Disk {
    /// What is written before an old segment of the log may be used again, and how it is kept for a standby.
    const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // The rest of the disk is room for data.
            Self::Small => &[
                ("max_wal_size", "48MB"),
                ("min_wal_size", "16MB"),
                ("max_slot_wal_keep_size", "64MB"),
                ("wal_keep_size", "32MB"),
            ],
            // So that who measures can ask when a row was committed.
            Self::OfMachine => &[("track_commit_timestamp", "on")],
        }
    }
}

impl Server {
    /// A place for one, with no data yet.
    fn prepare(host: &Host, authority: &Authority, disk: Disk) -> Result<Self> {
        let folder = Folder::for_everyone(&format!("postgres-{}", host.name()))?;
        let (name, address) = (host.name(), host.address());
        let data = folder.join("data");
        std::fs::create_dir(&data)?;
        let shown = authority.issue(name, address)?;
        let (user, group) = user()?;
        let disk = match disk {
            Disk::Small => {
                let small = SmallDisk::for_user(&data, DISK_MIB, USER)?;
                Some(small.context("a disk for a database takes root: run this as root")?)
            }
            Disk::OfMachine => {
                chown(&data, Some(user), Some(group))?;
                None
            }
        };
        chown(&shown.key, Some(user), Some(group))?;
        let socket = folder.join("socket");
        std::fs::create_dir(&socket)?;
        chown(&socket, Some(user), Some(group))?;
        let network = host.network().clone();
        Ok(Self { process: None, programs: programs()?, network, name, address, shown, disk, folder })
    }

    /// Makes a new cluster with the clients' database in it.
    fn initialise(&self) -> Result<()> {
        let mut make = self.command("initdb");
        make.args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust"]);
        if self.disk.is_some() {
            make.arg("--wal-segsize=1");
        }
        world::run(make.arg("--pgdata").arg(self.data()))?;
        let access = "local all all trust\nhostssl all all 10.214.0.0/16 scram-sha-256\nhostssl replication all 10.214.0.0/16 trust\n";
        Ok(std::fs::write(self.data().join("pg_hba.conf"), access)?)
    }

    /// A program of the server's own, on its host and as its user.
    fn command(&self, program: &str) -> Command {
        let mut command = self.network.command("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--init-groups"]);
        command.arg(self.programs.join(program)).current_dir(self.folder.path());
        let own = self.folder.path().to_path_buf();
        command.envs([("PGHOST", self.socket()), ("HOME", own), ("LC_ALL", PathBuf::from("C"))]);
        command
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// It does not start; with what it said.
    pub fn start(&mut self) -> Result<()> {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        let place = |path: PathBuf| path.display().to_string();
        for (name, value) in [
            ("listen_addresses", self.address.to_string()),
            ("unix_socket_directories", place(self.socket())),
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", place(self.shown.certificate.clone())),
            ("ssl_key_file", place(self.shown.key.clone())),
            ("max_connections", "120".to_owned()),
            // A standby that was cut off is back soon after the cut is mended.
            ("wal_sender_timeout", "5s".to_owned()),
            ("wal_receiver_timeout", "5s".to_owned()),
            ("wal_retrieve_retry_interval", "500ms".to_owned()),
        ] {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let disk = if self.disk.is_some() { Disk::Small } else { Disk::OfMachine };
        for (name, value) in disk.settings() {
            command.args(["-c", &format!("{name}={value}")]);
        }
        self.process = Some(Leashed::start(&command, &self.folder.join("log"))?);
        until(&format!("{} to take connections", self.name), START_LIMIT, || {
            if self.exited()?.is_some() {
                bail!("{} ended at once: {}", self.name, self.log());
            }
            Ok(self.sql("SELECT 1 AS one").is_ok())
        })
    }

    /// Its end, when it has ended.
    ///
    /// # Errors
    /// Its leash cannot be asked.
    pub fn exited(&mut self) -> Result<Option<Exit>> {
        self.process.as_mut().map_or(Ok(None), Leashed::exited)
    }

    /// SIGKILL to the server and all its processes, as a power cut.
    ///
    /// # Errors
    /// They do not go.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Stops it: `Signal::INT` breaks connections off and writes everything down, `Signal::QUIT` leaves that to the next start.
    ///
    /// # Errors
    /// It goes on.
    pub fn stop(&mut self, how: Signal) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if process.exited()?.is_none() {
            process.signal(how)?;
        }
        // With a standby out of reach it waits for that first; then what is left is killed.
        let ended = process.wait(Duration::from_secs(10));
        if ended.is_err() { process.kill() } else { Ok(()) }
    }

    /// What a query finds, an object a row. Asked by the server's socket.
    ///
    /// # Errors
    /// No answer, or a refusal: with the server's own words.
    pub fn sql(&self, query: &str) -> Result<Vec<Value>> {
        let said = self.psql(&format!("SELECT coalesce(json_agg(found), '[]') FROM ({query}) found"))?;
        serde_json::from_str(said.trim()).with_context(|| format!("no JSON: {said}"))
    }

    /// Carries out what answers nothing.
    ///
    /// # Errors
    /// As [`Self::sql`].
    pub fn execute(&self, statement: &str) -> Result<()> {
        self.psql(statement).map(drop)
    }

    fn psql(&self, text: &str) -> Result<String> {
        let database = if text.contains(" DATABASE ") || !self.has_database() { "postgres" } else { CLIENT };
        let mut command = Command::new("timeout");
        command.args([LOOK_LIMIT, "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]);
        command.args(["--set", "ON_ERROR_STOP=1", "--username", USER, "--dbname", database, "--host"]);
        let said = world::run(command.arg(self.socket()).args(["--command", text]))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn has_database(&self) -> bool {
        self.folder.join("made").exists()
    }

    /// Fills the disk below its data to the last byte.
    ///
    /// # Errors
    /// It cannot be written, for another reason than that, or it is this machine's.
    pub fn fill_disk(&self) -> Result<()> {
        self.disk.as_ref().context("this machine's disk is not filled")?.fill()
    }

    /// Makes room again; starts the server where it ended for want of room.
    ///
    /// # Errors
    /// The disk was not filled; the server does not start.
    pub fn make_room(&mut self) -> Result<()> {
        self.disk.as_ref().context("this machine's disk is not filled")?.make_room()?;
        if self.exited()?.is_some() { self.start() } else { Ok(()) }
    }

    /// Its host's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its host's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Nothing is in its data folder any more.
    fn clear(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.data())?.flatten() {
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The newest PostgreSQL that Debian put here.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = versions.map(|entry| entry.path().join("bin"));
    let found = folders.filter(|path| path.join("initdb").exists()).max_by_key(|path| number(path));
    found.context("PostgreSQL is not there; run `cargo xtask setup`")
}

/// The number of the server's user, and of its group.
fn user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'));
    let mut fields = line.with_context(|| format!("no user {USER}"))?.split(':').skip(1);
    let mut number = || fields.next().and_then(|field| field.parse().ok()).context("no number");
    Ok((number()?, number()?))
}

/// A file that the server's user owns.
fn owned(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content)?;
    hand_over(path, 0o600)
}

/// Gives the server's user a file or folder, where that is another user than the test's.
fn hand_over(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = user()?;
        chown(path, Some(user), Some(group))?;
    }
    Ok(())
}
