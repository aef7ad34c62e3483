//! Sessions as they stand in the ledger's file, by plain SQL.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OpenFlags};

use super::Clocks;
use crate::Result;

/// A session as it stands in the ledger's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, or that of a part.
    pub id: String,
    /// The session that it is a part of, where that is in several directories.
    pub whole: Option<String>,
    /// In which directory.
    pub directory: String,
    /// Where it stands, as on the wire: `active`, `ending` …
    pub state: String,
    /// Whose it is.
    pub technician: String,
    /// By which policy.
    pub policy: String,
    /// The logon name of its account.
    pub account: String,
    /// The DNs of the groups that it gives, sorted.
    pub rights: Vec<String>,
    /// Its end by the broker's clock, in whole seconds.
    pub until: SystemTime,
}

impl Session {
    /// The id by which people know the session.
    #[must_use]
    pub fn of(&self) -> &str {
        self.whole.as_ref().unwrap_or(&self.id)
    }

    /// Whether its rights should be held.
    #[must_use]
    pub fn is_live(&self, clocks: &Clocks) -> bool {
        self.state == "active" && clocks.broker < self.until
    }

    /// Whether something of it may be in the directory.
    #[must_use]
    pub fn is_open(&self) -> bool {
        ["activating", "active", "ending"].contains(&self.state.as_str())
    }
}

/// The ledger's file, which may be open in a broker.
#[derive(Debug)]
pub struct Ledger(Connection);

impl Ledger {
    /// Opens it for reading.
    ///
    /// # Errors
    /// There is none.
    pub fn open(state: &Path) -> Result<Self> {
        let file = state.join("ledger.sqlite");
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self(connection))
    }

    /// Whether nothing is under way.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_settled(&self) -> Result<bool> {
        let sql = "SELECT (SELECT count(*) FROM sessions WHERE state IN ('activating', 'ending'))
                        + (SELECT count(*) FROM accounts WHERE settled = 0)";
        Ok(self.count(sql)? == 0)
    }

    /// Whether nothing is under way, but in these directories, whose clocks are too far apart from the broker's: there an account
    /// need not be settled, and a session may be ending whose JIT account is another's, too, once all was tried; the earlier end that
    /// is left to the other cannot be written.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_settled_but_for(&self, apart: &[&str]) -> Result<bool> {
        let sql = "WITH apart AS (SELECT value FROM json_each(?1))
                   SELECT (SELECT count(*) FROM sessions s JOIN accounts a ON a.key = s.account
                            WHERE state = 'activating' OR state = 'ending' AND NOT (
                                  s.directory IN apart AND a.mode = 'dedicated' AND a.attempts > 0 AND EXISTS
                                  (SELECT 1 FROM sessions o WHERE o.account = s.account AND o.state = 'active')))
                        + (SELECT count(*) FROM accounts WHERE settled = 0 AND directory NOT IN apart)";
        let apart = serde_json::to_string(apart)?;
        let moving: i64 = self.0.query_row(sql, [apart], |row| row.get(0))?;
        Ok(moving == 0)
    }

    /// Every session, the oldest first.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let sql =
            "SELECT id, state, s.technician, policy, a.name, rights, unixepoch(until), whole, s.directory
                   FROM sessions s JOIN accounts a ON a.key = s.account ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let (rights, until): (String, i64) = (row.get(5)?, row.get(6)?);
            let mut rights: Vec<String> = serde_json::from_str(&rights).unwrap_or_default();
            rights.sort();
            Ok(Session {
                id: row.get(0)?,
                whole: row.get(7)?,
                directory: row.get(8)?,
                state: row.get(1)?,
                technician: row.get(2)?,
                policy: row.get(3)?,
                account: row.get(4)?,
                rights,
                until: SystemTime::UNIX_EPOCH + Duration::from_secs(until.unsigned_abs()),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A time as texts have it, in whole seconds as [`Session::until`] has it.
    ///
    /// # Errors
    /// It is no time.
    pub fn time(&self, text: &str) -> Result<SystemTime> {
        let seconds: i64 = self.0.query_row("SELECT unixepoch(?1)", [text], |row| row.get(0))?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs()))
    }

    /// The number that a query answers.
    ///
    /// # Errors
    /// It answers none.
    pub fn count(&self, sql: &str) -> Result<i64> {
        Ok(self.0.query_row(sql, [], |row| row.get(0))?)
    }

    /// The last hash of each chain.
    pub(super) fn heads(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut statement = self.0.prepare("SELECT chain, hash FROM chains")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// What holds at every instant of sessions in several directories, also right after a broker was killed: either all parts of one are
/// being granted or granted, or none is, and they have one end.
///
/// # Errors
/// A part is left alone.
pub fn parts_stand_together(rows: &[Session]) -> Result<()> {
    let mut wholes: BTreeMap<&str, Vec<&Session>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.whole.is_some()) {
        wholes.entry(row.of()).or_default().push(row);
    }
    let goes_on = |row: &Session| ["activating", "active"].contains(&row.state.as_str());
    for (whole, parts) in wholes {
        ensure!(parts.len() > 1, "a part without another: {parts:?}");
        ensure!(parts.iter().any(|part| part.id == whole), "a session that no part names: {parts:?}");
        let first = parts.first().context("no part")?;
        let alike = parts.iter().all(|part| goes_on(part) == goes_on(first) && part.until == first.until);
        ensure!(alike, "a part is left alone: {parts:?}");
    }
    Ok(())
}
