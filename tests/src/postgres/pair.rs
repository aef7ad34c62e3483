//! A primary and its standby. A commit is acknowledged only when the standby has it on its disk, so that nothing acknowledged is lost in a
//! fail-over. Without a standby the primary goes on alone, as whoever watches over such a pair tells it to; here that is the test.

use super::{CLIENT, Disk, PORT, Server, USER, owned};
use crate::Result;
use crate::authority::Authority;
use crate::hosts::Host;
use crate::patience::until;
use crate::world::{self, Folder};
use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Copying and catching up.
const LIMIT: Duration = Duration::from_secs(60);

/// How a primary is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Connections are broken off, everything is written down.
    Fast,
    /// It stops where it stands and mends at its start what that left.
    Immediate,
}

/// Primary and standby.
#[derive(Debug)]
pub struct Pair {
    servers: [Server; 2],
    primary: usize,
    password: String,
    secrets: Folder,
    authority: PathBuf,
}

impl Pair {
    /// Starts both, with an empty database for clients.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or this is not root.
    pub fn start(one: &Host, other: &Host, authority: &Authority) -> Result<Self> {
        let mut pair = Self::start_alone(one, other, authority, Disk::Small)?;
        pair.renew_standby()?;
        Ok(pair)
    }

    /// Starts the primary only: nothing waits for a standby.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_alone(one: &Host, other: &Host, authority: &Authority, disk: Disk) -> Result<Self> {
        let servers = [Server::prepare(one, authority, disk)?, Server::prepare(other, authority, disk)?];
        let password = crate::tenant::random_id();
        let secrets = Folder::new("postgres-secrets")?;
        secrets.write("password", &password)?;
        let mut pair = Self { servers, primary: 0, password, secrets, authority: authority.file() };
        let first = pair.primary_mut();
        first.initialise()?;
        first.start()?;
        let role = format!("CREATE ROLE {CLIENT} LOGIN PASSWORD '{}'", pair.password);
        let first = pair.primary();
        first.execute(&role)?;
        first.execute(&format!("CREATE DATABASE {CLIENT} OWNER {CLIENT}"))?;
        for server in &pair.servers {
            std::fs::write(server.folder.join("made"), "")?;
        }
        Ok(pair)
    }

    /// What libpq calls a connection string: both hosts, and only the one that takes writes.
    pub fn words(&self) -> String {
        let [one, other] = [0, 1].map(|index| self.servers.get(index).map(Server::address));
        let hosts: Vec<_> = [one, other].into_iter().flatten().map(|address| address.to_string()).collect();
        format!(
            "host={} port={PORT} dbname={CLIENT} user={CLIENT} target_session_attrs=read-write",
            hosts.join(",")
        )
    }

    /// A file with the clients' password, for its owner alone.
    pub fn password_file(&self) -> PathBuf {
        self.secrets.join("password")
    }

    /// Whom a client has to trust.
    pub fn authority(&self) -> PathBuf {
        self.authority.clone()
    }

    /// The one that takes writes.
    pub fn primary(&self) -> &Server {
        let [first, second] = &self.servers;
        if self.primary & 1 == 0 { first } else { second }
    }

    /// The one that takes writes.
    pub fn primary_mut(&mut self) -> &mut Server {
        let [first, second] = &mut self.servers;
        if self.primary & 1 == 0 { first } else { second }
    }

    /// The other.
    pub fn standby(&self) -> &Server {
        let [first, second] = &self.servers;
        if self.primary & 1 == 0 { second } else { first }
    }

    fn standby_mut(&mut self) -> &mut Server {
        let [first, second] = &mut self.servers;
        if self.primary & 1 == 0 { second } else { first }
    }

    /// What a query at the primary finds.
    ///
    /// # Errors
    /// As [`Server::sql`].
    pub fn sql(&self, query: &str) -> Result<Vec<Value>> {
        self.primary().sql(query)
    }

    /// Restarts the primary.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, how: Restart) -> Result<()> {
        let signal = if how == Restart::Fast { Signal::INT } else { Signal::QUIT };
        let primary = self.primary_mut();
        primary.stop(signal)?;
        primary.start()
    }

    /// The primary's host dies, for good, and the standby takes its place, alone.
    ///
    /// # Errors
    /// It does not take it.
    pub fn fail_over(&mut self) -> Result<()> {
        self.primary_mut().kill()?;
        let standby = self.standby();
        let mut promote = standby.command("pg_ctl");
        world::run(promote.arg("promote").arg("-D").arg(standby.data()))?;
        self.primary = (self.primary + 1) & 1;
        until("the standby to be the primary", LIMIT, || {
            let found = self.sql("SELECT pg_is_in_recovery() AS waits");
            Ok(found.is_ok_and(|rows| rows.first().is_some_and(|row| row["waits"] == false)))
        })
    }

    /// A new standby from a copy of the primary; from now on commits wait for it.
    ///
    /// # Errors
    /// It does not catch up.
    pub fn renew_standby(&mut self) -> Result<()> {
        self.commits_wait(false)?;
        self.standby_mut().kill()?;
        let (primary, standby) = (self.primary(), self.standby());
        standby.clear()?;
        let name = standby.name();
        let words = format!(
            "host={} port={PORT} user={USER} sslmode=verify-ca sslrootcert={} application_name={name}",
            primary.address(),
            self.authority.display()
        );
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]);
        world::run(copy.args(["--dbname", &words, "--pgdata"]).arg(standby.data()))?;
        // Once it is the primary it has no standby. What stands last counts.
        let settings = standby.data().join("postgresql.auto.conf");
        let copied = std::fs::read_to_string(&settings)?;
        owned(&settings, &format!("{copied}synchronous_standby_names = ''\n"))?;
        self.standby_mut().start()?;
        self.commits_wait(true)?;
        until("the standby to have what the primary has", LIMIT, || {
            let found = self.sql("SELECT sync_state AS state FROM pg_stat_replication")?;
            Ok(found.iter().any(|row| row["state"] == "sync"))
        })
    }

    /// Whether a commit waits for the standby.
    fn commits_wait(&self, wait: bool) -> Result<()> {
        let names = if wait { "*" } else { "" };
        let primary = self.primary();
        primary.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"))?;
        primary.execute("SELECT pg_reload_conf()")
    }

    /// Whether both run.
    ///
    /// # Errors
    /// One does not: with what it said last.
    pub fn both_run(&mut self) -> Result<()> {
        for server in &mut self.servers {
            let ended = server.exited().context(server.name())?;
            ensure!(ended.is_none(), "{} ended ({ended:?}): {}", server.name(), server.log());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Wire;

    #[test]
    fn what_was_acknowledged_is_there_after_a_fail_over_a_restart_and_a_full_disk() {
        let authority = Authority::new().unwrap();
        let wire = Wire::between(&["db1", "db2"]).unwrap();
        let host = |name| wire.host(name).unwrap();
        let mut pair = Pair::start(host("db1"), host("db2"), &authority).unwrap();
        let count = |pair: &Pair| pair.sql("SELECT count(*) AS rows FROM kept").unwrap()[0]["rows"].clone();
        pair.primary().execute("CREATE TABLE kept (number int)").unwrap();
        pair.primary().execute("INSERT INTO kept VALUES (1)").unwrap();
        pair.fail_over().unwrap();
        assert_eq!((pair.primary().name(), count(&pair)), ("db2", 1.into()));
        pair.primary().execute("INSERT INTO kept VALUES (2)").unwrap();
        pair.renew_standby().unwrap();
        assert_eq!(pair.standby().name(), "db1");

        // What the standby cannot have is not acknowledged.
        wire.cut("db1", "db2").unwrap();
        assert!(pair.primary().execute("INSERT INTO kept VALUES (3)").is_err());
        wire.mend_all().unwrap();
        for how in [Restart::Immediate, Restart::Fast] {
            pair.restart(how).unwrap();
        }
        pair.both_run().unwrap();

        pair.primary().fill_disk().unwrap();
        let much = "INSERT INTO kept SELECT generate_series(1, 100000)";
        assert!(pair.primary().execute(much).is_err());
        pair.primary_mut().make_room().unwrap();
        until("the server to take writes again", LIMIT, || Ok(pair.primary().execute(much).is_ok())).unwrap();
        pair.both_run().unwrap();
    }
}
