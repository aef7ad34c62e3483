//! The suite, with ledgers in SQLite files.

#[path = "suite/commits.rs"]
mod commits;
#[path = "suite/events.rs"]
mod events;
#[path = "suite/interleavings.rs"]
mod interleavings;
#[path = "suite/notes.rs"]
mod notes;
#[path = "suite/parts.rs"]
mod parts;
#[path = "suite/tampering.rs"]
mod tampering;
#[path = "suite/tokens.rs"]
mod tokens;

use super::*;
use crate::SqliteLedger as Ours;

/// A private folder for one test; gone with it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::unused_async, reason = "other ledgers open by waiting")]
    async fn open(&self) -> Ours {
        Ours::open(&self.file("ledger.sqlite"), &self.file("ledger.key")).unwrap()
    }

    /// What somebody else does to it, without any of the ledger's care.
    fn alter(&self, sql: &str) -> Result<(), String> {
        let stranger = rusqlite::Connection::open(self.file("ledger.sqlite")).unwrap();
        stranger.execute_batch(sql).map_err(|error| error.to_string())
    }

    /// What a statement answers, one text a row.
    fn texts(&self, sql: &str) -> Vec<String> {
        let stranger = rusqlite::Connection::open(self.file("ledger.sqlite")).unwrap();
        let mut statement = stranger.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The same ledger and key in another place. Nobody has it open.
    fn copy(&self) -> Self {
        let other = Self::new();
        for name in ["ledger.sqlite", "ledger.key"] {
            std::fs::copy(self.file(name), other.file(name)).unwrap();
        }
        other
    }

    /// Bytes in a statement.
    fn blob(hex: &str) -> String {
        format!("x'{hex}'")
    }

    fn understands(_sql: &str) -> bool {
        true
    }
}
