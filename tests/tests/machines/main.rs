//! Accounts of Linux machines through a real broker: its own machine, and another one by SSH. Every machine is one of the test's
//! own (`ticketgate_tests::machine`).

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

mod account;
mod faults;
mod here;
mod install;
mod packaged;
mod several;
mod ssh;
mod systemd;
