//! A team: several brokers on one ledger, and technicians who reach them by HTTPS.
//!
//! - [`provider`]: where technicians sign in; [`relay`]: what a technician's relay does, in this process; [`proof`]: its key.

pub mod proof;
pub mod provider;
pub mod relay;
