//! Accounts of a Linux machine itself, with `sudo` rules, groups and SSH keys as their rights.
//!
//! The side that acts needs root and is a program of its own there: it reads one request a line ([`request`]) and answers each.

mod name;
pub mod request;
mod right;

pub use name::{AccountName, BadName, GroupName, Token};
pub use right::{BadRight, LocalRight, PublicKey, SudoCommand};
