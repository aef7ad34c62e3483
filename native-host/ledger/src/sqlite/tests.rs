//! Tests of the ledger in real files, by subject; here is what they share.

mod crashes;
mod older;
mod opening;
mod places;
mod salvaging;

use std::fs;

use serde_json::json;
use tempfile::TempDir;
use ticketgate_access::session::{Account, Session};
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::SessionId;

use super::SqliteLedger;
use crate::tests::*;
use crate::{Change, Ledger};

/// A private folder for one test; gone with it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn ledger(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    fn key(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.key")
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.sqlite-wal")
    }

    /// Leaves this log there, and of its ledger nothing, or an empty file.
    fn keep_only_the_log(&self, log: &[u8], empty: bool) {
        if empty {
            fs::write(self.ledger(), "").unwrap();
        } else {
            fs::remove_file(self.ledger()).unwrap();
        }
        fs::write(self.log(), log).unwrap();
    }

    fn open(&self) -> SqliteLedger {
        SqliteLedger::open(&self.ledger(), &self.key()).unwrap()
    }

    /// What the sentence says when the ledger cannot be opened.
    fn refusal(&self) -> String {
        SqliteLedger::open(&self.ledger(), &self.key()).unwrap_err().to_string()
    }

    /// A connection of somebody else, without any of the ledger's care.
    fn stranger(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.ledger()).unwrap()
    }
}

/// A ledger with one record, closed.
fn closed() -> Place {
    let place = Place::new();
    runtime().block_on(place.open().commit(note(None, 0))).unwrap();
    place
}

/// What is said to be wrong with it.
fn damage(place: &Place) -> Vec<String> {
    SqliteLedger::damage(&place.ledger(), &place.key()).iter().map(ToString::to_string).collect()
}
