//! Tests of what only PostgreSQL has, with real servers; the rest is in `crate::tests`.

mod copying;
mod leases;
mod opening;
mod outages;
pub(crate) mod server;
mod together;
