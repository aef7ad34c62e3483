//! A team: several brokers on one ledger, and technicians who reach them by HTTPS.
//!
//! - [`site`]: the hosts, and what runs on them: database, directory, provider, brokers.
//! - [`broker`]: one broker on its host; [`provider`]: where technicians sign in.
//! - [`relay`]: what a technician's relay does, in this process; [`proof`]: its key; [`asking`]: what it asks for; [`listening`]: the events that it hears.

pub mod asking;
pub mod broker;
pub mod listening;
pub mod proof;
pub mod provider;
pub mod relay;
pub mod site;
