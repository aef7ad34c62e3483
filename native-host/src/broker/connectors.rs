//! Makes connectors to directories and ticket systems from the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ticketgate_access::config::{self, DirectoryKind};
use ticketgate_access::session::Right;
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError, EntraTenant, LocalMachine, SignIns};
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_psa::Psa;

use super::BuildConnectors;

/// The connectors of this build, with those that it made before: what they know of their servers outlives a new configuration.
pub(super) struct Connectors {
    /// Where it is kept which server took a directory's last write.
    state: PathBuf,
    domains: Kept<ActiveDirectory>,
    tenants: Kept<EntraTenant>,
    /// Those of people, which tenants share.
    sign_ins: Arc<SignIns>,
    machines: Kept<LocalMachine>,
}

/// Connectors of one kind that somebody still holds.
struct Kept<T>(Mutex<Vec<Weak<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// What `fits` makes of an earlier one, else a new one.
    fn or_new(
        &self,
        fits: impl Fn(&Arc<T>) -> Result<Option<Arc<T>>, DirectoryError>,
        new: impl FnOnce() -> Result<T, DirectoryError>,
    ) -> Result<Arc<T>, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|connector| connector.strong_count() > 0);
        let earlier = kept.iter().filter_map(Weak::upgrade).find_map(|earlier| fits(&earlier).transpose());
        let connector = earlier.unwrap_or_else(|| new().map(Arc::new)).map_err(|e| e.to_string())?;
        kept.push(Arc::downgrade(&connector));
        Ok(connector)
    }
}

impl Connectors {
    pub(super) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            domains: Kept::default(),
            tenants: Kept::default(),
            sign_ins: Arc::default(),
            machines: Kept::default(),
        }
    }

    fn domain(
        &self,
        id: &DirectoryId,
        settings: &config::ActiveDirectory,
        known_rights: &BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        let connector = self.domains.or_new(
            |earlier| Ok(earlier.reread(settings, known_rights.clone())?.map(Arc::new)),
            || {
                let last_write = self.state.join(format!("{id}.last-write"));
                ActiveDirectory::remembering(settings, known_rights.clone(), &last_write)
            },
        )?;
        Ok(connector)
    }

    fn tenant(
        &self,
        settings: &config::Entra,
        known_rights: &BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        let connector = self.tenants.or_new(
            |earlier| Ok(earlier.reread(settings, known_rights)?.map(Arc::new)),
            || EntraTenant::with_people(settings, known_rights, Arc::clone(&self.sign_ins)),
        )?;
        Ok(connector)
    }

    fn machine(&self, settings: &config::Local) -> Result<Arc<dyn Directory>, String> {
        let connector = self.machines.or_new(
            |earlier| Ok(earlier.is_for(settings).then(|| Arc::clone(earlier))),
            || Ok(LocalMachine::new(settings)),
        )?;
        Ok(connector)
    }
}

impl BuildConnectors for Connectors {
    fn directory(
        &self,
        directory: &config::Directory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String> {
        let connector = match &directory.kind {
            DirectoryKind::ActiveDirectory(settings) => self.domain(&directory.id, settings, &known_rights),
            DirectoryKind::Local(settings) => self.machine(settings),
            DirectoryKind::Entra(settings) => self.tenant(settings, &known_rights),
        }?;
        Ok(crate::faults::directory(connector))
    }

    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String> {
        ticketgate_psa::connect(psa).map(Arc::from).map_err(|e| e.to_string())
    }
}
