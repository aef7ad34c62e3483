//! The administrator's recognition rules in force: read with the configuration, and again when one of their files changes. One
//! at fault is left out and said; nothing else depends on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use ticketgate_access::config::Config;
use ticketgate_protocol::api::Notice;

use super::{Broker, Snapshot, records};
use crate::rules::{Reading, stamp};

/// Rules as they are handed to the extension.
#[derive(Debug, Default)]
pub struct RulesInForce {
    /// Each as JSON, without its sources.
    pub texts: Vec<String>,
    /// What is to be said about those that are left out.
    pub(super) notice: Option<Notice>,
    faults: usize,
    /// The folder's state before it was read.
    stamp: Vec<(PathBuf, Option<SystemTime>, u64)>,
}

impl RulesInForce {
    /// Reads the configured folder; nothing where none is.
    pub(super) fn read(config: Option<&Config>) -> Self {
        let Some(folder) = config.and_then(|config| config.broker.rules.as_deref()) else {
            return Self::default();
        };
        let stamp = stamp(Some(folder));
        let reading = Reading::of_folder(folder);
        for fault in &reading.faults {
            tracing::error!(file = %fault.place(), fault = %fault.text, "a recognition rule is left out");
        }
        let notice = reading.faults.first().map(|first| Notice {
            level: "warning".into(),
            text: format!(
                "Recognition rules, {}: {}. What is at fault is left out; `ticketgate rules check` names every fault.",
                first.short_place(),
                first.text
            ),
        });
        Self { texts: reading.handed(), notice, faults: reading.faults.len(), stamp }
    }
}

impl Broker {
    /// Reads the rules again where a file of theirs changed.
    pub(super) async fn follow_rules(&self) {
        let seen = self.settings();
        let folder = seen.config.as_ref().and_then(|config| config.broker.rules.as_deref());
        if stamp(folder) == seen.rules.stamp {
            return;
        }
        let _alone = self.reload.write().await;
        let now = self.settings();
        let rules = RulesInForce::read(now.config.as_ref());
        let mut digest = Sha256::new();
        for text in &rules.texts {
            digest.update(text);
        }
        let outcome = if rules.faults == 0 { "ok" } else { "refused" };
        let details = records::details([
            ("rules", rules.texts.len().into()),
            ("faults", rules.faults.into()),
            ("sha256", hex::encode(digest.finalize()).into()),
        ]);
        self.audit_settings("broker.rules_loaded", outcome, details).await;
        self.replace(Snapshot {
            config: now.config.clone(),
            directories: now.directories.clone(),
            psas: now.psas.clone(),
            notices: now.notices.clone(),
            rules: Arc::new(rules),
        });
        tracing::info!("recognition rules loaded");
    }
}
