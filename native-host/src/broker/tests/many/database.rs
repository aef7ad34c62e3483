//! A PostgreSQL of a test's own, from the machine's binaries, that is gone with the test.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use ticketgate_ledger::{PostgresLedger, PostgresPlace};

use super::*;

/// The server, and where the brokers have the key of the audit log.
pub(super) struct Database {
    folder: TempDir,
    server: Child,
}

/// Where the machine has PostgreSQL.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is not installed");
    let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|path| path.join("initdb").exists());
    found.sort();
    found.pop().expect("PostgreSQL's server is not installed")
}

/// PostgreSQL does not run as root.
fn command(program: &str) -> Command {
    let mut command = Command::new(binaries().join(program));
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let user = nix::unistd::User::from_name("postgres").unwrap().expect("there is no user postgres");
    Some((user.uid.as_raw(), user.gid.as_raw()))
}

impl Database {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
            std::os::unix::fs::chown(&data, Some(user), Some(group)).unwrap();
        }
        let made =
            command("initdb").args(["-N", "-A", "trust", "-U", "ticketgate", "-D"]).arg(&data).status();
        assert!(made.unwrap().success());
        let server = command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.path().display()))
            .spawn()
            .unwrap();
        Self { folder, server }
    }

    /// A handle of its own.
    pub(super) async fn open(&self) -> Arc<dyn Ledger> {
        let place = PostgresPlace {
            address: format!("host={} user=ticketgate dbname=postgres", self.folder.path().display()),
            key: self.key(),
            ..PostgresPlace::default()
        };
        let mut last = None;
        for _ in 0..LOOKS {
            match PostgresLedger::open(&place).await {
                Ok(ledger) => return Arc::new(ledger),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the database does not answer: {last:?}");
    }

    /// As an administrator makes it, or as a standby is: nobody can write to it any more.
    pub(super) fn is_only_read(&self) {
        let done = command("psql")
            .args(["-h".as_ref(), self.folder.path().as_os_str()])
            .args(["-U", "ticketgate", "-d", "postgres", "-c"])
            .arg("ALTER SYSTEM SET default_transaction_read_only = on")
            .args(["-c", "SELECT pg_reload_conf()"])
            .status();
        assert!(done.unwrap().success());
    }

    fn key(&self) -> PathBuf {
        Path::join(self.folder.path(), "audit.key")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let server = Pid::from_raw(i32::try_from(self.server.id()).unwrap()).unwrap();
        // At once, with all of its processes.
        let _ = kill_process(server, Signal::QUIT);
        let _ = self.server.wait();
    }
}
