//! The connector against a real Active Directory (Samba), one domain controller per test. Time-limited membership is not
//! here: Samba has none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]
#![allow(unreachable_pub, reason = "a test has no outside")]

mod checking;
mod faults;
mod life;
mod names;
mod passwords;
mod world;
