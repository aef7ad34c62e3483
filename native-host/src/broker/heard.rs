//! What other brokers on the same ledger do, as far as somebody here waits for it: browsers that listen, and work that one broker
//! does at a time.

use std::sync::Arc;
use std::time::Duration;

use ticketgate_access::config::{DirectoryKind, Machine};
use ticketgate_access::session::AccountKey;
use ticketgate_ledger::Heard;
use ticketgate_protocol::api::Notice;
use tokio::sync::broadcast::error::RecvError;

use super::leases::Held;
use super::{Broker, Snapshot};

/// Between two attempts to be the one who does what one broker does at a time.
const LEAD_AGAIN: Duration = Duration::from_secs(5);

impl Broker {
    /// Passes on what is heard of others, for as long as the broker runs.
    pub(super) async fn run_hearing(self: Arc<Self>) {
        let Some(shared) = self.ledger.shared() else { return };
        let mut changes = shared.changes();
        loop {
            match changes.recv().await {
                Ok(Heard::Technician(technician)) => self.events.changed(technician),
                Ok(Heard::Due) => {}
                Ok(Heard::Gap) | Err(RecvError::Lagged(_)) => self.events.anything(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Waits until this broker is the one that does what stands behind this name. Of one broker it always is.
    pub(super) async fn lead(&self, name: &str) -> Held {
        let key = AccountKey(name.to_owned());
        loop {
            let lock = self.locks.of(&key).lock_owned().await;
            match self.leases.hold_if_free(lock, &key).await {
                Ok(Some(held)) => return held,
                Ok(None) => {}
                Err(error) => tracing::error!(%error, name, "who does this cannot be read from the ledger"),
            }
            tokio::time::sleep(LEAD_AGAIN).await;
        }
    }
}

/// Directories that are another one for each broker.
pub(super) fn not_for_several(snapshot: &Snapshot) -> Vec<Notice> {
    let directories = snapshot.config.iter().flat_map(|config| config.directories.values());
    let own = directories.filter(|directory| {
        matches!(&directory.kind, DirectoryKind::Local(machine) if machine.machine == Machine::Here)
    });
    let told = own.map(|directory| Notice {
        level: "warning".into(),
        text: format!(
            "The directory {} is the accounts of the broker's own machine, and this broker shares its ledger with brokers on other machines: each would work on its own. Name the machine and reach it by ssh.",
            directory.id
        ),
    });
    told.collect()
}
