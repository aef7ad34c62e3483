//! The machine's own side of local accounts on a real Debian: each test has a machine of its own (`ticketgate_tests::machine`),
//! with real accounts, real `sudo` and real processes, of which nothing is left outside.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]
#![allow(unreachable_pub, reason = "a test has no outside")]

mod far;

mod cuts;
mod ends;
mod names;
mod processes;
mod sudo;
mod traces;
