//! The page side in a real browser: what the probe reads is recognised, and the in-page button takes a person's click
//! and no other. The worker is a small one of the tests' own, so that nothing but the page side is on trial.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

mod button;
mod hostile;
mod lures;
mod reading;
mod saved;
mod stage;
mod structure;
mod systems;
