//! The end-to-end world: real servers and a real browser, each private to one test, nothing left behind.
//!
//! `tests/README.md` is the guide. The same library carries `cargo xtask demo`.
//!
//! - [`world`]: where state lives on disk; templates that are made once.
//! - [`leash`]: child processes that cannot outlive their owner.
//! - [`outcome`]: how a test ends; [`patience`]: waiting for something, with a limit and a sentence.
//! - [`interrupt`]: Ctrl-C, for the demo.
//! - [`samba`]: an Active Directory domain controller; [`ldap`]: an independent look into it.
//! - [`proxy`]: a loopback proxy that hangs, cuts or refuses; [`forger`]: one that forges a directory's answers; [`witness`]: what has to hold in directory and ledger.
//! - [`points`]: where a broker can meet a fault; [`disk`]: a disk that is full or takes no writes.
//! - [`rt`]: Request Tracker with tickets of three customers; [`site`]: pages of our own; [`http`]: asking either.
//! - [`chromium`]: the browser, driven over its DevTools protocol; [`xvfb`]: a display with a clipboard.
//! - [`keyring`]: a desktop's key store. [`collector`]: a collector of traces.
//! - [`prism`]: a proxy that holds a client, and the server that a test plays, to a vendor's API description; [`description`]: such a one, cut to size.
//! - [`tenant`]: a stand-in for Entra ID behind Microsoft's description; [`oidc`]: an OpenID provider with Entra ID's addresses.
//! - [`person`]: somebody who signs in at either.
//! - [`machine`]: a Linux machine with accounts of its own.
//! - [`hosts`]: several networks and a wire between any two that can be cut; [`authority`]: certificates for their servers.
//! - [`postgres`]: a database with a standby that takes its place, or one alone.
//! - [`team`]: several brokers on one ledger, and their technicians.
//! - [`product`]: the program under test, with its configuration.
//! - [`secrets`]: looking for a secret where it must not be; [`processes`]: other processes, their memory and sockets.
//! - [`workplace`]: all of that at once, with a ticket open.

pub mod authority;
pub mod chromium;
pub mod collector;
pub mod description;
pub mod disk;
pub mod figures;
pub mod forger;
pub mod hosts;
pub mod http;
pub mod interrupt;
pub mod keyring;
pub mod ldap;
pub mod leash;
pub mod machine;
pub mod oidc;
pub mod outcome;
pub mod patience;
pub mod person;
pub mod points;
pub mod postgres;
pub mod prism;
pub mod processes;
pub mod product;
pub mod proxy;
pub mod rt;
pub mod samba;
pub mod secrets;
pub mod site;
pub mod team;
pub mod tenant;
pub mod witness;
pub mod workplace;
pub mod world;
pub mod xvfb;

pub use outcome::Outcome;

/// What every fallible function here answers. Tests answer [`Outcome`], into which `?` turns it.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;
