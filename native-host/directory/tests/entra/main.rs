//! The connector against the stand-in tenant, through a proxy that holds both sides to Microsoft's own description. One proxy and many
//! cases in each test: it costs two seconds and 175 MB.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic: that is how it fails"
)]

mod by_oneself;
mod checking;
mod failures;
mod late;
mod life;
mod passes;
mod people;
mod world;
