//! Tells open browsers what changed. Best effort: whoever missed something is told to fetch everything again.

use ticketgate_protocol::api::{Event, Session};
use ticketgate_protocol::ids::TechnicianId;
use tokio::sync::broadcast;

/// Events kept for a slow listener before it has to fetch everything again.
const BACKLOG: usize = 256;

/// One event and whom it is for; `None`: everybody.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whom it is for.
    pub technician: Option<TechnicianId>,
    /// What happened.
    pub event: Event,
}

/// The broker's events.
pub struct Events(broadcast::Sender<Delivery>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    /// Everything from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Delivery> {
        self.0.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn session(&self, session: Session) {
        let technician = Some(session.technician.clone());
        self.send(Delivery { technician, event: Event::Session(Box::new(session)) });
    }

    /// Sessions of this technician changed, at another broker.
    pub(super) fn changed(&self, technician: TechnicianId) {
        self.send(Delivery { technician: Some(technician), event: Event::Overview });
    }

    /// Hints of others may have been missed.
    pub(super) fn anything(&self) {
        self.resync();
    }

    pub(super) fn overview(&self) {
        self.send(Delivery { technician: None, event: Event::Overview });
    }

    pub(super) fn resync(&self) {
        self.send(Delivery { technician: None, event: Event::Resync });
    }

    fn send(&self, delivery: Delivery) {
        // An error means that nobody listens.
        let _ = self.0.send(delivery);
    }
}
