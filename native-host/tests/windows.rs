//! The broker of Windows itself under Wine, with the machine's own accounts: a real broker, real clients and a real named pipe, and stand-ins
//! for the libraries of accounts (`directory/tests/windows`). Run by `cargo xtask test --windows`, which builds and places all of it.
//!
//! What Wine cannot show: who may open a pipe, since Wine does not hold to its access list; and another user at the other end, since there
//! is one user only. Files' access lists it makes of their modes.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

#[path = "windows/machine.rs"]
mod machine;
#[path = "windows/pipes.rs"]
mod pipes;
#[path = "windows/places.rs"]
mod places;
#[path = "windows/sessions.rs"]
mod sessions;
