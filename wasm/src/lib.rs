//! The extension's core: what its worker decides. Chrome's interfaces are JavaScript's (`extension/worker.js`);
//! everything here but `browser` is pure and runs in native tests.
//!
//! - [`recognise`], [`reason`]: what a ticket page means, and the reason made from it.
//! - [`worker`]: the state machine behind toolbar, popup, notifications and native port.

#[cfg(target_arch = "wasm32")]
pub mod browser;
mod letters;
pub mod reason;
pub mod recognise;
pub mod worker;
