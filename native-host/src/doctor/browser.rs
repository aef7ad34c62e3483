//! Each browser's host manifest: there, well formed, naming a binary that runs and our extension, and not shadowed.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ticketgate_protocol::api::Finding;
use ticketgate_protocol::{EXTENSION_ID, HOST_NAME};

use super::{error, ok, policy, warning};
use crate::install::browsers::{self, Browser, Place, Scope};
use crate::install::manifest::{HostManifest, origin};
use crate::install::registry;
use crate::places::{Surroundings, System};
use crate::platform::{Here, Platform};
use crate::relay::origin::{how_to_serve, serves};

/// How long a host may take to say its version.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn look(around: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = false;
    for browser in Browser::ALL {
        let user = browsers::places(around, *browser, Scope::User, HOST_NAME).unwrap_or_default();
        let system = browsers::places(around, *browser, Scope::System, HOST_NAME).unwrap_or_default();
        let used = user.iter().any(Place::browser_is_used);
        let there = |places: &[Place], scope| places.iter().find_map(|place| registry::found(place, scope));
        // The order in which the browser looks: the user's own first, unless a policy forbids those.
        let (mine, machines) = (there(&user, Scope::User), there(&system, Scope::System));
        seen |= used || machines.is_some();
        let name = browser.to_string();
        match (&mine, &machines) {
            (None, None) if used => findings.push(error(
                &name,
                match around.system {
                    System::Windows => "does not find the host: no registry key of it names a manifest.",
                    System::Linux | System::MacOs => "does not find the host: there is no manifest.",
                },
                format!("Run: ticketgate install --browser {}", name.to_lowercase()),
            )),
            (None, None) => {}
            (Some(_), Some(machines)) if policy::forbids_user_level_hosts(around, *browser) => {
                findings.extend(judge(around, &name, machines));
            }
            (Some(mine), Some(machines)) => {
                findings.push(shadow(&name, mine, machines));
                findings.extend(judge(around, &name, mine));
            }
            (Some(manifest), None) | (None, Some(manifest)) => {
                findings.extend(judge(around, &name, manifest));
            }
        }
    }
    if !seen {
        findings.push(warning(
            "browsers",
            "No browser of this user was found.",
            "Start the browser once, then run: ticketgate install",
        ));
    }
    for (name, folder) in browsers::sandboxed_profiles(around) {
        findings.push(warning(
            name,
            format!("runs in a sandbox ({}) and cannot start a host outside of it.", folder.display()),
            "Use the browser from its maker's own package (deb or rpm).",
        ));
    }
    findings
}

/// The user's manifest is found before the machine's.
fn shadow(name: &str, mine: &Path, machines: &Path) -> Finding {
    let same = matches!((fs::read(mine), fs::read(machines)), (Ok(a), Ok(b)) if a == b);
    if same {
        return ok(name, format!("{} says the same as {}.", mine.display(), machines.display()));
    }
    warning(
        name,
        format!("{} hides the machine's {}.", mine.display(), machines.display()),
        format!(
            "If you did not mean that, run: rm '{}' ; an administrator can forbid it with the policy NativeMessagingUserLevelHosts=false.",
            mine.display()
        ),
    )
}

fn judge(around: &Surroundings, name: &str, file: &Path) -> Vec<Finding> {
    let again = format!("Run: ticketgate install --force --browser {}", name.to_lowercase());
    let manifest = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str::<HostManifest>(&text),
        Err(e) => {
            let text = format!("{} cannot be read: {e}.", file.display());
            let remedy = match e.kind() {
                ErrorKind::PermissionDenied => format!("Run: chmod a+r '{}'", file.display()),
                _ => again,
            };
            return vec![error(name, text, remedy)];
        }
    };
    let Ok(manifest) = manifest else {
        return vec![error(name, format!("{} is not a host manifest in JSON.", file.display()), again)];
    };
    let mut findings = Vec::new();
    let mut bad = |text: String| findings.push(error(name, text, again.clone()));
    if manifest.name != HOST_NAME {
        bad(format!("{} names the host {:?} instead of {HOST_NAME}.", file.display(), manifest.name));
    }
    if manifest.kind != "stdio" {
        bad(format!("{} has the type {:?} instead of stdio.", file.display(), manifest.kind));
    }
    let ours = origin(EXTENSION_ID);
    if manifest.allowed_origins.contains(&ours) {
        findings.extend(unserved(around, name, file, &manifest));
    } else {
        let nearly = manifest.allowed_origins.iter().any(|o| o.contains(EXTENSION_ID));
        let why = if nearly { " (it needs exactly this form, with the slash)" } else { "" };
        bad(format!("{} does not allow the extension {ours}{why}.", file.display()));
    }
    findings.extend(judge_path(around, name, &manifest.path, &again));
    if findings.is_empty() {
        findings.push(ok(name, format!("finds the host by {}.", file.display())));
    }
    findings
}

/// The browser lets an extension in that the host itself turns away.
fn unserved(around: &Surroundings, name: &str, file: &Path, manifest: &HostManifest) -> Vec<Finding> {
    let ids = manifest.allowed_origins.iter().filter_map(|o| o.strip_prefix("chrome-extension://"));
    ids.map(|id| id.trim_end_matches('/'))
        .filter(|id| !serves(id, around))
        .map(|id| {
            warning(
                name,
                format!(
                    "{} lets the extension {id} start the host, which does not serve it.",
                    file.display()
                ),
                format!("An administrator can allow it: {}", how_to_serve(id, around)),
            )
        })
        .collect()
}

fn judge_path(around: &Surroundings, name: &str, path: &Path, again: &str) -> Option<Finding> {
    if !path.is_absolute() && around.system != System::Windows {
        return Some(error(
            name,
            format!("The manifest's path {} is relative; the browser refuses it.", path.display()),
            again,
        ));
    }
    if !path.exists() {
        return Some(error(
            name,
            format!("The manifest names {}, which is not there.", path.display()),
            again,
        ));
    }
    if !Here::may_execute(path) {
        let remedy = format!("Run: chmod 755 '{}'", path.display());
        return Some(error(name, format!("{} cannot be executed.", path.display()), remedy));
    }
    if fs::canonicalize(path).ok() == fs::canonicalize(&around.exe).ok() {
        return None;
    }
    let ours = env!("CARGO_PKG_VERSION");
    match version_of(path) {
        Some(version) if version == ours => None,
        Some(version) => Some(warning(
            name,
            format!("starts version {version} at {}; this is version {ours}.", path.display()),
            again,
        )),
        None => Some(error(name, format!("{} does not say that it is ticketgate.", path.display()), again)),
    }
}

/// What `path --version` says, if it is a `ticketgate`. Asked with an empty environment, and not for ever.
fn version_of(path: &Path) -> Option<String> {
    let mut child = Command::new(path)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    let mut said = String::new();
    child.stdout.take()?.take(200).read_to_string(&mut said).ok()?;
    Some(said.trim().strip_prefix("ticketgate ")?.to_owned())
}
