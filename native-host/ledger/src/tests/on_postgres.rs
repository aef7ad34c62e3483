//! The suite, with ledgers in databases of a PostgreSQL server of the tests' own.

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
use crate::PostgresLedger as Ours;
use crate::postgres::tests::server::Place;
