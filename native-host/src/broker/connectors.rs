//! Makes directory connectors from the configuration.

use std::collections::BTreeSet;
use std::sync::Arc;

use ticketgate_access::config::{self, DirectoryKind};
use ticketgate_access::session::Right;
use ticketgate_directory::Directory;
use ticketgate_directory::active_directory::ActiveDirectory;

use super::BuildDirectory;

/// The connectors of this build.
pub(super) struct Connectors;

impl BuildDirectory for Connectors {
    fn build(
        &self,
        directory: &config::Directory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        match &directory.kind {
            DirectoryKind::ActiveDirectory(settings) => {
                let connector = ActiveDirectory::new(settings, known_rights).map_err(|e| e.to_string())?;
                Ok(crate::faults::directory(Arc::new(connector)))
            }
        }
    }
}
