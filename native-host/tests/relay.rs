//! The relay as the browser starts it: a child process on pipes, with a small broker made for the test behind it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

#[path = "relay/clipboard.rs"]
mod clipboard;
#[path = "relay/faults.rs"]
mod faults;
#[path = "relay/fixture.rs"]
mod fixture;
#[path = "relay/life.rs"]
mod life;
#[path = "relay/requests.rs"]
mod requests;
