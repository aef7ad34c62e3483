//! What an administrator of a team's broker does, with the real binary, a real PostgreSQL, a real directory and a provider by others: a
//! ledger moves into a database, mistakes are refused in a sentence and lose nothing, keys and passwords are changed.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

mod mistaken;
mod moving;
mod rotating;
mod stage;
