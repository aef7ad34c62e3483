//! Named stops for tests: with the feature `fault-points`, `TICKETGATE_STOP_AT=directory.open:before` (or `:after`, and
//! `#3` for the third time) kills the process there, as a power cut would. Without the feature nothing of this is built in.

use std::sync::Arc;

use ticketgate_directory::Directory;
use ticketgate_ledger::Ledger;

#[cfg(feature = "fault-points")]
mod points;

/// The ledger, with stops where they are built in.
#[must_use]
pub fn ledger(ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
    #[cfg(feature = "fault-points")]
    return Arc::new(points::Stopping(ledger));
    #[cfg(not(feature = "fault-points"))]
    ledger
}

/// A directory, with stops where they are built in.
#[must_use]
pub fn directory(directory: Arc<dyn Directory>) -> Arc<dyn Directory> {
    #[cfg(feature = "fault-points")]
    return Arc::new(points::Stopping(directory));
    #[cfg(not(feature = "fault-points"))]
    directory
}
