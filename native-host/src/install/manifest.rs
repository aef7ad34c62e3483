//! The host manifest that browsers read (Chrome, "Native messaging"), written and judged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use ticketgate_protocol::HOST_NAME;

/// A host manifest. Fields that we do not write are kept out of sight: browsers ignore them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostManifest {
    /// The host's name, which has to be the file's.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The binary.
    pub path: PathBuf,
    /// `stdio`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Extensions that may start it, as `chrome-extension://ID/`.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
}

/// The origin of an extension as it stands in a manifest, with the slash at the end that browsers insist on.
#[must_use]
pub fn origin(id: &str) -> String {
    format!("chrome-extension://{id}/")
}

/// The text of our manifest for this binary and these extensions; an id named twice stands once.
#[must_use]
pub fn render(host: &Path, ids: &[String]) -> String {
    let mut allowed_origins: Vec<String> = Vec::new();
    for id in ids {
        let origin = origin(id);
        if !allowed_origins.contains(&origin) {
            allowed_origins.push(origin);
        }
    }
    let manifest = HostManifest {
        name: HOST_NAME.into(),
        description: "Ticketgate: administrator rights for one ticket".into(),
        path: host.to_owned(),
        kind: "stdio".into(),
        allowed_origins,
    };
    // A struct of texts, and a path that was checked to be one, always becomes JSON.
    let mut text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    text.push('\n');
    text
}
