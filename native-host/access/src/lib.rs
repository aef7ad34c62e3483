//! Access rules and desired state. Pure: no I/O, no `async`, no clock of its own (the time is a parameter),
//! no randomness. Everything that decides who may have what, and what a directory has to look like, is here.
//!
//! - [`config`]: the checked configuration (customers, directories, policies, technicians).
//! - [`decide`]: may this technician have this policy now? One function for preview and enforcement.
//! - [`entra`]: rights in an Entra ID tenant, as they are written.
//! - [`local`]: rights on a machine with accounts of its own, as they are written.
//! - [`ticket`]: a ticket as its system tells it.
//! - [`roles`]: what somebody may do, and at which customers.
//! - [`session`]: the ledger's records of sessions and accounts.
//! - [`desired`](mod@desired): what an account has to look like now, what the directory has, and the shortest way between.

pub mod config;
pub mod decide;
pub mod desired;
pub mod entra;
pub mod local;
pub mod roles;
pub mod session;
pub mod ticket;
