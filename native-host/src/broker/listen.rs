//! The broker's socket: a file per platform opens it and tells who is at the other end.

#[cfg(unix)]
mod seats;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::{listen, own_login, remove, serve};

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(super) use other::{listen, own_login, remove, serve};
