//! The native binary's parts: relay, broker client, clipboard, installation. `main.rs` only chooses among them.

pub mod broker;
pub mod cli;
pub mod client;
pub mod clipboard;
pub mod doctor;
pub mod faults;
pub mod handover;
pub mod install;
pub mod places;
pub mod platform;
pub mod random;
pub mod relay;
