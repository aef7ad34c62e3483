//! Accounts of a Linux machine itself, with `sudo` rules, groups and SSH keys as their rights.
//!
//! The side that acts needs root and is a program of its own there: it reads one request a line ([`request`]) and answers each
//! ([`serve`]). Beside it a timer of the machine ends what is over ([`sweep`]). Neither knows a broker, a network, or a file of
//! state: what was opened for whom until when stands at the account.

#[cfg(target_os = "linux")]
mod far;
#[cfg(unix)]
mod machine;
#[cfg(unix)]
mod reach;
pub mod request;

#[cfg(all(target_os = "linux", feature = "fuzzing"))]
pub use far::fuzzing;
#[cfg(target_os = "linux")]
pub use far::{FarError, Places, Swept, may_ask, serve, sweep};
#[cfg(unix)]
pub use machine::LocalMachine;
#[cfg(unix)]
pub use reach::SOCKET;
pub use ticketgate_access::local::{
    AccountName, BadName, BadRight, GroupName, LocalRight, PublicKey, SudoCommand, Token,
};
