//! The broker's ways in. The local socket: a file per platform opens it and tells who is at the other end. For a team: HTTPS, and
//! where monitoring asks.

mod elsewhere;
mod https;
pub(super) mod monitoring;
pub(super) use elsewhere::Elsewhere;

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
