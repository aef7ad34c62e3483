//! Faults on request, for tests only: with the feature `fault-points` every ledger write, every move of a
//! ledger's files and every directory call is a named point, and `TICKETGATE_FAULT` names one of them, the fault that is met there and at which passage:
//!
//! | value | what happens |
//! | --- | --- |
//! | `directory.open:before` | the process is killed before the call, as by a power cut |
//! | `directory.open:after` | the same after it |
//! | `directory.open:error` | the call is refused and does nothing |
//! | `directory.open:timeout-applied` | it is done, and its answer is lost |
//! | `directory.open:timeout-not-applied` | it is lost on its way |
//! | `directory.open:pause=FILE` | it waits until FILE is there |
//!
//! `directory.grant#3:error` is the third passage; without a number it is the first. `write#12:error` is the twelfth write, to
//! ledger or directory, whatever its name. `TICKETGATE_POINTS=FILE` notes every passage there, a line each, so that a test can
//! go through all of them. `TICKETGATE_CLOCK=FILE` moves the broker's clocks by the two numbers of seconds in FILE, while it
//! runs: the wall clock's, and those that the machine seems to have slept. Without the feature nothing of this is built in.
//!
//! Calls to ticket systems have no points of their own: all but one change nothing, and that one, which adds a note, stands
//! between `ledger.note_sending` and `ledger.note_sent`.

use std::io;
use std::sync::Arc;

use ticketgate_directory::Directory;
use ticketgate_ledger::Ledger;

use crate::broker::clock::SystemTime;

#[cfg(feature = "fault-points")]
mod moved;
#[cfg(feature = "fault-points")]
mod plan;
#[cfg(feature = "fault-points")]
mod points;

/// The ledger, with its points where they are built in.
#[must_use]
pub fn ledger(ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
    #[cfg(feature = "fault-points")]
    return Arc::new(points::Pointed(ledger));
    #[cfg(not(feature = "fault-points"))]
    ledger
}

/// Work on files at a point of its own, where that is built in.
pub fn file_work(
    point: &'static str,
    work: impl Future<Output = io::Result<()>>,
) -> impl Future<Output = io::Result<()>> {
    #[cfg(feature = "fault-points")]
    return points::pass(point, work);
    #[cfg(not(feature = "fault-points"))]
    {
        let _ = point;
        work
    }
}

/// A directory, with its points where they are built in.
#[must_use]
pub fn directory(directory: Arc<dyn Directory>) -> Arc<dyn Directory> {
    #[cfg(feature = "fault-points")]
    return Arc::new(points::Pointed(directory));
    #[cfg(not(feature = "fault-points"))]
    directory
}

/// The operating system's clocks, moved where that is built in and asked for.
#[must_use]
pub fn time(system: impl SystemTime) -> impl SystemTime {
    #[cfg(feature = "fault-points")]
    return moved::Moved { system, file: std::env::var_os("TICKETGATE_CLOCK").map(Into::into) };
    #[cfg(not(feature = "fault-points"))]
    system
}
