//! Accounts of a machine itself: of Linux with `sudo` rules, groups and SSH keys as their rights, of Windows with groups.
//!
//! The side that acts needs root (or an administrator) and is a program of its own there: it reads one request a line ([`request`]) and answers each
//! ([`serve`]). Beside it a timer of the machine ends what is over ([`sweep`]). Neither knows a broker, a network, or a file of
//! state: what was opened for whom until when stands at the account.

#[cfg(any(target_os = "linux", windows))]
mod far;
mod machine;
mod promises;
mod reach;
pub mod request;

#[cfg(all(target_os = "linux", feature = "fuzzing"))]
pub use far::linux::fuzzing;
#[cfg(target_os = "linux")]
pub use far::linux::{Places, may_ask, sweep};
#[cfg(windows)]
pub use far::windows::{ThisMachine, sweep};
#[cfg(any(target_os = "linux", windows))]
pub use far::{FarError, Side, Swept, serve};
pub use machine::LocalMachine;
#[cfg(unix)]
pub use reach::SOCKET;
pub use ticketgate_access::local::{
    AccountName, BadName, BadRight, GroupName, LocalRight, PublicKey, Sid, SudoCommand, System, Token,
};
