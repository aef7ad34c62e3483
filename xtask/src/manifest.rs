//! What must be true of an extension before it is shipped: its version, its id, its permissions, that every file it
//! names is there, and that all its code is its own. Reads an assembled folder; changes nothing.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::tree::{files_below, read};

/// The fewest permissions that the product works with. A new one is a decision of the product, not of a build.
const PERMISSIONS: [&str; 6] =
    ["nativeMessaging", "storage", "alarms", "notifications", "scripting", "activeTab"];

/// Hosts that no shipped extension may have from the start. Asking for one of them later is the person's choice.
const EVERYWHERE: [&str; 5] = ["<all_urls>", "*://*/*", "https://*/*", "http://*/*", "file:///*"];

/// Checks an assembled extension and names every fault at once.
pub(crate) fn check(folder: &Path, version: &str, id: &str) -> Result<usize> {
    let text = read(&folder.join("manifest.json"))?;
    let manifest: Value = serde_json::from_str(&text).context("manifest.json is not JSON")?;
    let mut faults = Vec::new();
    identity(&manifest, version, id, &mut faults);
    permissions(&manifest, &mut faults);
    policy(&manifest, &mut faults);
    let named = named_files(&manifest);
    for name in &named {
        if !names_a_file(folder, name)? {
            faults.push(format!("manifest.json names `{name}`, which is not there"));
        }
    }
    own_code(folder, &mut faults)?;
    if !faults.is_empty() {
        bail!("the extension cannot be shipped like this:\n  - {}", faults.join("\n  - "));
    }
    Ok(named.len())
}

/// The id that Chromium gives an extension with this `key`: the first half of the key's SHA-256, in the letters a to p.
pub(crate) fn id_of_key(key: &str) -> Result<String> {
    let public = STANDARD.decode(key).context("`key` is not base64")?;
    let hash = hex::encode(Sha256::digest(public));
    hash.chars()
        .take(32)
        .map(|digit| {
            let value = digit.to_digit(16).context("a hash in hexadecimal")?;
            char::from_digit(value + 10, 26).context("a letter from a to p")
        })
        .collect()
}

fn identity(manifest: &Value, version: &str, id: &str, faults: &mut Vec<String>) {
    if manifest.get("manifest_version").and_then(Value::as_u64) != Some(3) {
        faults.push("`manifest_version` is not 3".to_owned());
    }
    let stated = manifest.get("version").and_then(Value::as_str).unwrap_or("none");
    if stated != version {
        faults.push(format!("`version` is {stated}, the workspace's is {version}"));
    }
    match manifest.get("key").and_then(Value::as_str).map(id_of_key) {
        None => faults.push("`key` is missing, so the id would change with the folder".to_owned()),
        Some(Err(error)) => faults.push(format!("{error:#}")),
        Some(Ok(made)) if made != id => {
            faults.push(format!("`key` gives the id {made}, EXTENSION_ID is {id}"));
        }
        Some(Ok(_)) => {}
    }
}

fn permissions(manifest: &Value, faults: &mut Vec<String>) {
    for list in ["permissions", "optional_permissions"] {
        for permission in strings(manifest.get(list)) {
            if !PERMISSIONS.contains(&permission.as_str()) {
                faults.push(format!(
                    "`{list}` asks for `{permission}`, which is not among {}",
                    PERMISSIONS.join(", ")
                ));
            }
        }
    }
    for host in strings(manifest.get("host_permissions")) {
        if EVERYWHERE.contains(&host.as_str()) {
            faults.push(format!(
                "`host_permissions` has `{host}`: name the ticket systems, ask for others when added"
            ));
        }
    }
    for script in list(manifest.get("content_scripts")) {
        for host in strings(script.get("matches")) {
            if EVERYWHERE.contains(&host.as_str()) {
                faults.push(format!("a content script would run on `{host}`"));
            }
        }
    }
    // Without this entry every other extension may send messages.
    match manifest.get("externally_connectable").and_then(Value::as_object) {
        None => faults.push("`externally_connectable` is missing; give it empty `ids`, so that no other extension can connect".to_owned()),
        Some(entry) => {
            let open = ["ids", "matches"].iter().any(|key| strings(entry.get(*key)).iter().any(|value| !value.is_empty()));
            if open {
                faults.push("`externally_connectable` lets others in; it must be empty".to_owned());
            }
        }
    }
}

fn policy(manifest: &Value, faults: &mut Vec<String>) {
    let stated = manifest
        .get("content_security_policy")
        .and_then(|policy| policy.get("extension_pages"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let directives: Vec<Vec<&str>> =
        stated.split(';').map(|directive| directive.split_whitespace().collect()).collect();
    let scripts = directives
        .iter()
        .find(|words| words.first() == Some(&"script-src"))
        .or_else(|| directives.iter().find(|words| words.first() == Some(&"default-src")));
    match scripts {
        None => {
            faults.push("`content_security_policy.extension_pages` says nothing about scripts".to_owned());
        }
        Some(words) => {
            for source in words.iter().skip(1) {
                if !["'self'", "'wasm-unsafe-eval'", "'none'"].contains(source) {
                    faults.push(format!("the content security policy allows scripts from {source}"));
                }
            }
        }
    }
}

/// Every file that the manifest names, without the leading slash.
fn named_files(manifest: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let texts = [
        "/background/service_worker",
        "/action/default_popup",
        "/options_page",
        "/options_ui/page",
        "/side_panel/default_path",
        "/devtools_page",
        "/storage/managed_schema",
    ];
    names.extend(texts.iter().filter_map(|place| manifest.pointer(place)?.as_str()).map(str::to_owned));
    for place in ["/icons", "/action/default_icon", "/chrome_url_overrides"] {
        match manifest.pointer(place) {
            Some(Value::String(name)) => names.push(name.clone()),
            Some(Value::Object(sizes)) => {
                names.extend(sizes.values().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
    }
    for script in list(manifest.get("content_scripts")) {
        names.extend(strings(script.get("js")));
        names.extend(strings(script.get("css")));
    }
    for resource in list(manifest.get("web_accessible_resources")) {
        names.extend(strings(resource.get("resources")));
    }
    if let Some(locale) = manifest.get("default_locale").and_then(Value::as_str) {
        names.push(format!("_locales/{locale}/messages.json"));
    }
    names.iter().map(|name| name.trim_start_matches('/').to_owned()).collect()
}

/// Whether a name of the manifest, which may hold `*`, is at least one file.
fn names_a_file(folder: &Path, name: &str) -> Result<bool> {
    if !name.contains('*') {
        return Ok(folder.join(name).is_file());
    }
    let parts: Vec<&str> = name.split('*').collect();
    Ok(files_below(folder)?.iter().any(|file| matches(&file.to_string_lossy(), &parts)))
}

fn matches(name: &str, parts: &[&str]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return name.is_empty() };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

/// Nothing is loaded from elsewhere, nothing is made from text, nothing refers to a file that is not there.
fn own_code(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    for file in files_below(folder)? {
        let name = file.display().to_string();
        match file.extension().and_then(|kind| kind.to_str()) {
            Some("html") => {
                let text = read(&folder.join(&file))?;
                html(folder, &file, &text, faults);
            }
            Some("js" | "mjs") => {
                let text = read(&folder.join(&file))?;
                for pattern in ["eval(", "new Function(", "importScripts("] {
                    if calls(&text, pattern) {
                        faults.push(format!("{name} makes code from text: `{pattern}…)`"));
                    }
                }
                for import in imports(&text) {
                    reference(folder, &file, &import, faults);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn html(folder: &Path, file: &Path, text: &str, faults: &mut Vec<String>) {
    for tag in text.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let kind = tag.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let target = match kind.as_str() {
            "script" => {
                let source = attribute(tag, "src");
                if source.is_none() {
                    faults.push(format!(
                        "{} has a script written into it; the browser refuses it",
                        file.display()
                    ));
                }
                source
            }
            "link" => attribute(tag, "href"),
            "img" | "iframe" => attribute(tag, "src"),
            _ => None,
        };
        if let Some(target) = target {
            reference(folder, file, &target, faults);
        }
    }
}

/// A reference of a page or a module must lead to a file of the extension.
fn reference(folder: &Path, file: &Path, target: &str, faults: &mut Vec<String>) {
    if target.starts_with("data:") || target.starts_with('#') || target.is_empty() {
        return;
    }
    if target.contains("://") || target.starts_with("//") {
        faults.push(format!("{} loads {target} from elsewhere", file.display()));
        return;
    }
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let place = match path.strip_prefix('/') {
        Some(from_root) => PathBuf::from(from_root),
        None => file.parent().unwrap_or(Path::new("")).join(path),
    };
    if !folder.join(flat(&place)).is_file() {
        faults.push(format!("{} refers to {target}, which is not there", file.display()));
    }
}

/// A path without `.` and `..`; one that would leave the folder stays inside and so is not found.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                flat.pop();
            }
            Component::Normal(name) => flat.push(name),
            _ => {}
        }
    }
    flat
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next()?;
    match quote {
        '"' | '\'' => rest.get(1..)?.split(quote).next().map(str::to_owned),
        _ => rest.split_whitespace().next().map(str::to_owned),
    }
}

/// Whether a module calls something; part of a longer name (`retrieval(`) or a remark does not count.
fn calls(text: &str, pattern: &str) -> bool {
    text.lines().filter(|line| !is_remark(line)).any(|line| {
        line.match_indices(pattern).any(|(at, _)| {
            let before = line.get(..at).unwrap_or_default().chars().next_back();
            before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '$'))
        })
    })
}

/// What a module imports, statically or not.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !is_remark(line)) {
        let line = line.trim_start();
        let statement = line.starts_with("import") || line.starts_with("export") || line.starts_with('}');
        let after = match (line.split_once(" from "), line.strip_prefix("import ")) {
            (Some((_, after)), _) if statement => Some(after),
            (None, Some(after)) => Some(after),
            _ => line.split_once("import(").map(|(_, after)| after),
        };
        let Some(after) = after.map(str::trim_start) else { continue };
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { continue };
        if let Some(target) = after.get(1..).and_then(|rest| rest.split(quote).next()) {
            found.push(target.to_owned());
        }
    }
    found
}

fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("//") || line.starts_with('*') || line.starts_with("/*")
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
