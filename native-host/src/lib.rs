//! The native binary's parts: relay, broker client, clipboard, installation. `main.rs` only chooses among them.

// A test may panic; product code is checked without `test`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod broker;
pub mod cli;
pub mod client;
pub mod clipboard;
pub mod doctor;
pub mod faults;
pub mod handover;
pub mod install;
pub mod logging;
pub mod places;
pub mod platform;
pub mod random;
pub mod relay;
pub mod rules;
pub mod saved_page;
pub mod sign_in;
pub mod team;
