//! What Windows has instead of owners, modes and sockets: access lists, named pipes with the caller's token, a clock of its own.
//!
//! [`access_list`], [`login`] and [`pipe_rights`] decide and are tested wherever the tests run. The other files are calls of Windows with their
//! `unsafe`, and decide nothing. Run under Wine (`cargo xtask test --windows`); never yet on Windows.

// A test may panic; product code is checked without `test`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access_list;
pub mod login;
pub mod pipe_rights;

#[cfg(windows)]
pub mod account;
#[cfg(windows)]
mod calls;
#[cfg(windows)]
pub mod files;
#[cfg(all(windows, feature = "pipes"))]
pub mod pipe;

/// The SID of the operating system itself: what root is elsewhere.
pub const SYSTEM: &str = "S-1-5-18";
/// The SID of the local group of administrators, whatever it is called.
pub const ADMINISTRATORS: &str = "S-1-5-32-544";

/// Keeps this process's standard streams out of the processes that it starts from here on, unless one is given them. Else a broker
/// that a browser's host or a pipeline started would hold them open, and whoever reads them would wait for the broker's end.
#[cfg(windows)]
pub fn keep_standard_streams() {
    calls::keep_standard_streams();
}

/// How long this machine has been on, standby and hibernation included.
#[cfg(windows)]
#[must_use]
pub fn since_boot() -> std::time::Duration {
    calls::since_boot()
}
