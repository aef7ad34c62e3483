//! Makes connectors to directories and ticket systems from the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ticketgate_access::config::{self, DirectoryKind};
use ticketgate_access::session::Right;
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_psa::Psa;

use super::BuildConnectors;

/// The connectors of this build, with those that it made before: what they know of their servers outlives a new configuration.
pub(super) struct Connectors {
    /// Where it is kept which server took a directory's last write.
    state: PathBuf,
    made: Mutex<Vec<Weak<ActiveDirectory>>>,
}

impl Connectors {
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), made: Mutex::default() }
    }

    fn active_directory(
        &self,
        id: &DirectoryId,
        settings: &config::ActiveDirectory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Arc<ActiveDirectory>, DirectoryError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|connector| connector.strong_count() > 0);
        let mut found = None;
        for before in made.iter().filter_map(Weak::upgrade) {
            found = before.reread(settings, known_rights.clone())?;
            if found.is_some() {
                break;
            }
        }
        let connector = match found {
            Some(connector) => connector,
            None => {
                let last_write = self.state.join(format!("{id}.last-write"));
                ActiveDirectory::remembering(settings, known_rights, &last_write)?
            }
        };
        let connector = Arc::new(connector);
        made.push(Arc::downgrade(&connector));
        Ok(connector)
    }
}

impl BuildConnectors for Connectors {
    fn directory(
        &self,
        directory: &config::Directory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        match &directory.kind {
            DirectoryKind::ActiveDirectory(settings) => {
                let connector = self
                    .active_directory(&directory.id, settings, known_rights)
                    .map_err(|e| e.to_string())?;
                Ok(crate::faults::directory(connector))
            }
        }
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        ticketgate_psa::connect(psa).map(Arc::from).map_err(|e| e.to_string())
    }
}
