//! `pgbench` at the run's server, and the server's log of what it is to send.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Result;
use super::server::{FIRST, Server};

/// What `pgbench` came to.
pub(crate) struct Benched {
    pub(crate) a_second: f64,
    pub(crate) transactions: u64,
}

impl Server {
    /// Where the server's own files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The one number that a statement answers.
    pub(crate) fn count(&self, database: &str, text: &str) -> Result<u64> {
        Ok(self.sql(database, text)?.parse()?)
    }

    /// Statements in this database are logged from now on, on new connections.
    pub(crate) fn log_statements(&self, database: &str) -> Result<()> {
        self.sql(FIRST, &format!("ALTER DATABASE {database} SET log_statement = 'all'")).map(drop)
    }

    /// The script's transactions on so many connections for so long. A client begins with its variable `n` at 0.
    pub(crate) fn pgbench(
        &self,
        database: &str,
        script: &str,
        clients: usize,
        seconds: u64,
    ) -> Result<Benched> {
        let file = self.folder.path().join("pgbench.sql");
        fs::write(&file, script)?;
        let mut pgbench = self.client("pgbench")?;
        pgbench.args(["-n", "-M", "prepared", "-D", "n=0", "-j", "2", "-c", &clients.to_string()]);
        let ran = pgbench.args(["-T", &seconds.to_string(), "-f"]).arg(&file).arg(database).output()?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let number =
            |before: &str| said.lines().find_map(|line| line.strip_prefix(before)?.split(' ').next());
        let a_second = number("tps = ").and_then(|number| number.parse().ok());
        let transactions =
            number("number of transactions actually processed: ").and_then(|number| number.parse().ok());
        match (a_second, transactions) {
            (Some(a_second), Some(transactions)) if ran.status.success() => {
                Ok(Benched { a_second, transactions })
            }
            _ => Err(format!("pgbench: {said}{}", String::from_utf8_lossy(&ran.stderr)).into()),
        }
    }

    /// What the server logs while this is done, an object a line.
    pub(crate) fn logged(&self, work: impl FnOnce() -> Result<()>) -> Result<String> {
        let log = || -> Result<String> {
            // It is written by a process of its own, and what is given back afterwards counts as well.
            std::thread::sleep(Duration::from_millis(500));
            Ok(fs::read_to_string(self.folder.path().join("said.json"))?)
        };
        let before = log()?.len();
        work()?;
        Ok(log()?.get(before..).unwrap_or_default().to_owned())
    }
}
