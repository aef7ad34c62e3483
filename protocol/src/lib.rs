//! Every type that crosses a process boundary, and the stable error codes. No I/O, no clock, no randomness.
//!
//! - [`page`]: what a ticket page reports to the extension's worker (untrusted).
//! - [`native`]: frames between the extension and the relay over native messaging.
//! - [`api`]: bodies between relay or command line and the broker (HTTP + JSON).
//! - [`problem`]: errors with a stable code, a plain sentence and a remedy.
//! - [`likeness`]: which names of customers are alike, for suggestions on both sides.
//! - [`tree`]: how the WASM core reads and writes all of these, small.
//!
//! Wire types are plain and permissive in what they hold; whoever receives one checks it once
//! ([`text`], [`ids`]) before it is used. `docs/protocol.md` describes the wire; `protocol/golden/` holds
//! one JSON file per message that both the WASM core and the host read in their tests.

pub mod api;
pub mod ids;
pub mod likeness;
pub mod native;
pub mod page;
pub mod problem;
pub mod text;
pub mod ticket;
pub mod tree;

// What is derived names this crate from outside, also in here.
extern crate self as ticketgate_protocol;

/// The protocol that this build speaks between extension and relay, and between relay and broker.
pub const PROTOCOL: u32 = 1;
/// The oldest protocol that this build still speaks. One release back always works.
pub const PROTOCOL_MIN: u32 = 1;
/// The native messaging host's name, as in the browser's host manifest.
pub const HOST_NAME: &str = "com.ticketgate.host";
/// The extension's id. It follows from the public key under `key` in `manifest.json`
/// (`cargo xtask dist` checks that it does), so it is the same however the extension is loaded.
pub const EXTENSION_ID: &str = "lbfibeghakllgmffiobpojelaomllkid";
