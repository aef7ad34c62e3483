//! Wakes whoever passes on to browsers what changed. What happened stands in the ledger, counted for each technician; here is only
//! said that it is worth looking.

use ticketgate_protocol::ids::TechnicianId;
use tokio::sync::broadcast;

/// Hints kept for a slow listener before it has to look at everything.
const BACKLOG: usize = 256;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Sessions of this technician changed.
    Changed(TechnicianId),
    /// What everybody may do changed.
    Overview,
    /// Anything may have.
    Anything,
}

/// The broker's hints.
pub struct Events(broadcast::Sender<Hint>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    /// Every hint from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.0.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Sessions of this technician changed, by whatever broker.
    pub(super) fn changed(&self, technician: TechnicianId) {
        self.send(Hint::Changed(technician));
    }

    /// What everybody may do changed.
    pub(super) fn overview(&self) {
        self.send(Hint::Overview);
    }

    /// Hints of others may have been missed.
    #[allow(dead_code, reason = "several brokers on one ledger hear of each other")]
    pub(super) fn anything(&self) {
        self.send(Hint::Anything);
    }

    fn send(&self, hint: Hint) {
        // An error means that nobody listens.
        let _ = self.0.send(hint);
    }
}
