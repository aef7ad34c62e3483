//! The extension's core: what its worker decides. Chrome's interfaces are JavaScript's (`extension/worker.js`);
//! everything here but `browser` is pure and runs in native tests.
//!
//! - [`recognise`] (a crate of its own), [`reason`]: what a ticket page means, and the reason made from it.
//! - [`worker`]: the state machine behind toolbar, popup, notifications and native port.

#[cfg(target_arch = "wasm32")]
pub mod browser;
pub mod reason;
pub mod worker;

pub use ticketgate_recognise as recognise;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
