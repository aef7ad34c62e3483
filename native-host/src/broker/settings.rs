//! The configuration in force and the connectors made from it. A bad new file keeps the old one in force and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};
use ticketgate_access::config::{self, Config};
use ticketgate_access::session::Right;
use ticketgate_directory::Directory;
use ticketgate_ledger::Change;
use ticketgate_protocol::api::Notice;
use ticketgate_protocol::ids::{DirectoryId, PsaId};
use ticketgate_psa::Psa;

use super::monitor::Metered;
use super::rules::RulesInForce;
use super::{Broker, records};

/// Makes the connectors of what is configured.
pub trait BuildConnectors: Send + Sync {
    /// A directory's connector, or why there can be none, in one sentence. `known_rights` are those of policies and open sessions.
    ///
    /// # Errors
    /// One sentence for the person who wrote the configuration.
    fn directory(
        &self,
        directory: &config::Directory,
        known_rights: BTreeSet<Right>,
    ) -> Result<Arc<dyn Directory>, String>;

    /// A ticket system's connector, or why there can be none, in one sentence.
    ///
    /// # Errors
    /// One sentence for the person who wrote the configuration.
    fn psa(&self, psa: &config::Psa) -> Result<Arc<dyn Psa>, String>;
}

/// The settings in force.
pub struct Snapshot {
    /// The configuration; `None` while there has been no valid one.
    pub config: Option<Config>,
    /// A connector per directory.
    pub directories: BTreeMap<DirectoryId, Arc<dyn Directory>>,
    /// A connector per ticket system; none for one that could not be connected, which the notices tell.
    pub psas: BTreeMap<PsaId, Arc<dyn Psa>>,
    /// What everybody should know about the configuration.
    pub notices: Vec<Notice>,
    /// The administrator's recognition rules.
    pub rules: Arc<RulesInForce>,
}

impl Snapshot {
    pub(super) fn none() -> Self {
        Self {
            config: None,
            directories: BTreeMap::new(),
            psas: BTreeMap::new(),
            notices: vec![error("The broker has not read a configuration yet.")],
            rules: Arc::default(),
        }
    }
}

impl Broker {
    /// Reads a configuration and puts it into force, or keeps the old one and says why.
    ///
    /// # Errors
    /// The faults, as text for people. The old configuration is then still in force.
    pub async fn load_settings(&self, text: &str) -> Result<(), String> {
        let _alone = self.reload.write().await;
        match self.prepare(text).await {
            Ok(snapshot) => {
                let details = records::details([
                    ("policies", snapshot.config.as_ref().map_or(0, |c| c.policies.len()).into()),
                    ("directories", snapshot.directories.len().into()),
                    ("sha256", hex::encode(Sha256::digest(text)).into()),
                ]);
                self.audit_settings("broker.config_loaded", "ok", details).await;
                self.replace(snapshot);
                tracing::info!("configuration loaded");
                Ok(())
            }
            Err(faults) => {
                tracing::error!(%faults, "configuration refused; the old one stays in force");
                let details = records::details([("faults", faults.clone().into())]);
                self.audit_settings("broker.config_refused", "refused", details).await;
                self.refuse_settings(&faults);
                Err(faults)
            }
        }
    }

    /// Puts a configuration into force for one sweep, which grants nothing: a timer's sweep that changes nothing leaves no record.
    ///
    /// # Errors
    /// The faults, as text for people.
    pub(super) async fn adopt_settings(&self, text: &str) -> Result<(), String> {
        let _alone = self.reload.write().await;
        let snapshot = self.prepare(text).await.inspect_err(|faults| self.refuse_settings(faults))?;
        self.replace(snapshot);
        Ok(())
    }

    /// The same where the file cannot even be read.
    pub(super) async fn settings_unreadable(&self, fault: &str) {
        tracing::error!(%fault, "the configuration cannot be read; the old one stays in force");
        let details = records::details([("faults", fault.into())]);
        self.audit_settings("broker.config_refused", "refused", details).await;
        self.refuse_settings(fault);
    }

    /// Keeps what is in force and tells everybody that a newer file was refused.
    pub(super) fn refuse_settings(&self, faults: &str) {
        let old = self.settings();
        let first = faults.lines().next().unwrap_or_default();
        let text = if old.config.is_some() {
            format!("The configuration file has faults, so the previous one is still in force: {first}")
        } else {
            format!("The configuration file has faults, so nothing can be granted: {first}")
        };
        self.replace(Snapshot {
            config: old.config.clone(),
            directories: old.directories.clone(),
            psas: old.psas.clone(),
            notices: vec![error(&format!("{text} Run `ticketgate check` for all of them."))],
            rules: Arc::clone(&old.rules),
        });
    }

    async fn prepare(&self, text: &str) -> Result<Snapshot, String> {
        let config = config::read(text).map_err(|faults| faults.to_string())?;
        let mut directories = BTreeMap::new();
        // Where the ledger cannot say it, they are found all the same, some of them without their own ends.
        let given = self.ledger.given().await.unwrap_or_default();
        let old = self.settings();
        let to_lose = !given.is_empty() || old.config.as_ref().is_some_and(|old| !old.directories.is_empty());
        if to_lose && names_nothing(&config) {
            return Err(EMPTIED.to_owned());
        }
        for (id, directory) in &config.directories {
            let granted = config.grants_in(id).flat_map(|grant| &grant.rights);
            // What no policy names any more is still a session's.
            let in_use = given.iter().filter(|given| given.directory == *id).flat_map(|given| &given.rights);
            let in_use = in_use.filter(|right| directory.kind.has_right(right));
            let connector = self
                .build
                .directory(directory, granted.chain(in_use).cloned().collect())
                .map_err(|e| format!("directory {id}: {e}"))?;
            directories.insert(id.clone(), Metered::wrap(connector, id, &self.monitor));
        }
        let mut notices: Vec<_> = config
            .warnings
            .iter()
            .map(|w| Notice { level: "warning".into(), text: format!("Configuration, {w}") })
            .collect();
        // A directory that has left the file is still needed for the ends of its sessions. Where the ledger cannot say
        // which have any, each is.
        let needed: BTreeSet<_> = match self.ledger.open_by_directory().await {
            Ok(open) => open.into_keys().collect(),
            Err(_) => old.directories.keys().cloned().collect(),
        };
        for id in needed {
            if directories.contains_key(&id) {
                continue;
            }
            let left =
                format!("The directory {id} has left the configuration while sessions in it are open.");
            if let Some(connector) = old.directories.get(&id) {
                notices.push(error(&format!("{left} It is kept until they have ended.")));
                directories.insert(id, Arc::clone(connector));
            } else {
                notices.push(error(&format!("{left} They cannot be ended: put it back until they are.")));
            }
        }
        notices.extend(self.monitor.notice_of(&config.service));
        let psas = self.psas(&config, &old, &mut notices);
        let rules = Arc::new(RulesInForce::read(Some(&config)));
        Ok(Snapshot { config: Some(config), directories, psas, notices, rules })
    }

    /// A connector per ticket system: the one before, with its connections and what it was told for a while, where nothing about
    /// it has changed. One that cannot be made stops what asks it, and nothing else: open sessions have to end.
    fn psas(
        &self,
        config: &Config,
        old: &Snapshot,
        notices: &mut Vec<Notice>,
    ) -> BTreeMap<PsaId, Arc<dyn Psa>> {
        let mut psas = BTreeMap::new();
        for (id, settings) in &config.psas {
            let unchanged = old.config.as_ref().and_then(|c| c.psas.get(id)) == Some(settings);
            let connector = match old.psas.get(id).filter(|_| unchanged) {
                Some(connector) => Ok(Arc::clone(connector)),
                None => self.build.psa(settings),
            };
            match connector {
                Ok(connector) => drop(psas.insert(id.clone(), connector)),
                Err(why) => notices.push(error(&format!(
                    "The ticket system {id} cannot be asked, so no policy that verifies its tickets grants anything: {why}"
                ))),
            }
        }
        psas
    }

    pub(super) fn replace(&self, snapshot: Snapshot) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.events.overview();
        self.deliveries.try_anew();
        self.closing.wake();
    }

    pub(super) async fn audit_settings(
        &self,
        action: &'static str,
        outcome: &'static str,
        details: records::Details,
    ) {
        let change = Change {
            name: "ledger.settings",
            at: self.clock.now(),
            audit: vec![records::record(None, action, "broker", outcome, details)],
            ..Change::default()
        };
        if let Err(error) = self.commit(change).await {
            tracing::error!(%error, "a change of the configuration could not be audited");
        }
    }
}

/// What an editor that empties a file before it writes it leaves for a moment, and a full disk for longer. To take it for a configuration
/// would end everybody's sessions.
fn names_nothing(config: &Config) -> bool {
    let Config { technicians, customers, directories, policies, .. } = config;
    technicians.is_empty() && customers.is_empty() && directories.is_empty() && policies.is_empty()
}

const EMPTIED: &str = "it names no technician, customer, directory or policy any more; write it again, or, where that is meant, end what is \
     open and restart the broker.";

fn error(text: &str) -> Notice {
    Notice { level: "error".into(), text: text.to_owned() }
}
