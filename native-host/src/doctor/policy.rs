//! Browser policies that forbid the host or the extension (Chrome Enterprise: `NativeMessagingBlocklist`,
//! `NativeMessagingAllowlist`, `NativeMessagingUserLevelHosts`, `ExtensionSettings`, `ExtensionInstallBlocklist`,
//! `ExtensionInstallAllowlist`). Read from Linux's policy folders; elsewhere `chrome://policy` shows them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use ticketgate_protocol::api::Finding;
use ticketgate_protocol::{EXTENSION_ID, HOST_NAME};

use super::{error, warning};
use crate::install::browsers::{self, Browser, Scope};
use crate::places::Surroundings;

pub(super) fn look(around: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for browser in Browser::ALL {
        let policy = Policy::of(around, *browser, &mut findings);
        findings.extend(policy.judge(around, *browser));
        findings.extend(policy.judge_extension(*browser));
    }
    findings
}

/// Whether the browser leaves users' own manifests out.
pub(super) fn forbids_user_level_hosts(around: &Surroundings, browser: Browser) -> bool {
    Policy::of(around, browser, &mut Vec::new()).forbids_user_level_hosts()
}

/// What all files of one browser say together; the last one read wins, and its file is what to mend.
#[derive(Default)]
struct Policy {
    values: Map<String, Value>,
    files: Vec<(String, PathBuf)>,
}

impl Policy {
    fn of(around: &Surroundings, browser: Browser, findings: &mut Vec<Finding>) -> Self {
        let mut policy = Self::default();
        for folder in browsers::policy_folders(around, browser) {
            policy.read_folder(&folder, &browser.to_string(), findings);
        }
        policy
    }

    fn forbids_user_level_hosts(&self) -> bool {
        self.values.get("NativeMessagingUserLevelHosts") == Some(&Value::Bool(false))
    }

    fn read_folder(&mut self, folder: &Path, browser: &str, findings: &mut Vec<Finding>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        files.sort();
        for file in files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
            let read =
                fs::read_to_string(&file).map(|text| serde_json::from_str::<Map<String, Value>>(&text));
            match read {
                Ok(Ok(values)) => {
                    self.files.extend(values.keys().map(|key| (key.clone(), file.clone())));
                    self.values.extend(values);
                }
                Ok(Err(_)) => findings.push(warning(
                    browser,
                    format!("The policy file {} is not JSON; the browser ignores it.", file.display()),
                    format!("An administrator has to mend it: python3 -m json.tool '{}'", file.display()),
                )),
                Err(_) => {} // Not ours to read; the browser says what it read on chrome://policy.
            }
        }
    }

    fn file(&self, key: &str) -> String {
        self.files
            .iter()
            .rev()
            .find(|(k, _)| k == key)
            .map_or_else(String::new, |(_, f)| f.display().to_string())
    }

    fn names(&self, key: &str, host: &str) -> bool {
        self.values.get(key).and_then(Value::as_array).is_some_and(|list| list.iter().any(|v| v == host))
    }

    fn judge(&self, around: &Surroundings, browser: Browser) -> Vec<Finding> {
        let mut findings = Vec::new();
        let blocked =
            self.names("NativeMessagingBlocklist", "*") || self.names("NativeMessagingBlocklist", HOST_NAME);
        if blocked && !self.names("NativeMessagingAllowlist", HOST_NAME) {
            findings.push(error(
                browser.to_string(),
                format!(
                    "The policy NativeMessagingBlocklist in {} forbids the host.",
                    self.file("NativeMessagingBlocklist")
                ),
                format!("An administrator has to add \"{HOST_NAME}\" to NativeMessagingAllowlist there."),
            ));
        }
        if self.forbids_user_level_hosts() {
            let machines = browsers::places(around, browser, Scope::System, HOST_NAME).unwrap_or_default();
            if !machines.iter().any(|place| place.manifest.exists()) {
                findings.push(error(
                    browser.to_string(),
                    format!(
                        "The policy NativeMessagingUserLevelHosts=false in {} forbids a user's own hosts, and there is none of the machine.",
                        self.file("NativeMessagingUserLevelHosts")
                    ),
                    format!("Run: sudo ticketgate install --scope system --browser {}", browser.to_string().to_lowercase()),
                ));
            }
        }
        findings
    }

    /// `ExtensionSettings` wins over the older lists, and an extension's own entry over the one for all.
    fn judge_extension(&self, browser: Browser) -> Option<Finding> {
        let mode = |id| self.values.get("ExtensionSettings")?.get(id)?.get("installation_mode")?.as_str();
        let listed = |key| self.names(key, EXTENSION_ID);
        let all_are_listed = self.names("ExtensionInstallBlocklist", "*");
        let key = match mode(EXTENSION_ID).or_else(|| mode("*")) {
            Some("blocked" | "removed") => "ExtensionSettings",
            None if (all_are_listed || listed("ExtensionInstallBlocklist"))
                && !listed("ExtensionInstallAllowlist") =>
            {
                "ExtensionInstallBlocklist"
            }
            _ => return None,
        };
        Some(error(
            browser.to_string(),
            format!("The policy {key} in {} forbids the extension.", self.file(key)),
            format!("An administrator has to allow the extension {EXTENSION_ID} there."),
        ))
    }
}
