//! Dependencies between the parts point one way, as ARCHITECTURE.md draws them:
//! `relay`, `cli` → `broker` → `ledger`, `directory`, `psa` → `access` → `protocol`. And the pure parts stay pure.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::steps::Steps;
use crate::tree::{Tree, files_below, read};

/// A module of the native binary and the modules that it must not know.
const MODULES: [(&str, &[&str]); 3] =
    [("broker", &["relay", "cli"]), ("relay", &["cli"]), ("cli", &["relay"])];

/// A crate's folder and the crates that it must not depend on.
const CRATES: [(&str, &[&str]); 9] = [
    ("protocol", &["ticketgate-access", "ticketgate-ledger", "ticketgate-directory", "ticketgate", "tokio"]),
    (
        "native-host/access",
        &[
            "ticketgate-ledger",
            "ticketgate-directory",
            "ticketgate-psa",
            "ticketgate",
            "tokio",
            "async-trait",
        ],
    ),
    (
        "native-host/credentials",
        &[
            "ticketgate-ledger",
            "ticketgate-directory",
            "ticketgate-psa",
            "ticketgate",
            "tokio",
            "async-trait",
        ],
    ),
    (
        "native-host/https",
        &["ticketgate-access", "ticketgate-ledger", "ticketgate-directory", "ticketgate-psa", "ticketgate"],
    ),
    ("native-host/ledger", &["ticketgate-directory", "ticketgate-psa", "ticketgate"]),
    ("native-host/directory", &["ticketgate-ledger", "ticketgate-psa", "ticketgate"]),
    ("native-host/psa", &["ticketgate-ledger", "ticketgate-directory", "ticketgate"]),
    (
        "native-host/windows",
        &["ticketgate-access", "ticketgate-ledger", "ticketgate-directory", "ticketgate-psa", "ticketgate"],
    ),
    (
        "wasm",
        &["ticketgate-access", "ticketgate-ledger", "ticketgate-directory", "ticketgate", "tokio", "reqwest"],
    ),
];

/// Crates without I/O, clock or randomness of their own, and what would break that.
const PURE: [&str; 2] = ["protocol/src", "native-host/access/src"];
const IMPURE: [&str; 12] = [
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "async fn",
];

/// Checks all of it.
pub(crate) fn check(tree: &Tree, steps: &mut Steps) -> Result<()> {
    steps.work("layers", || {
        let mut faults = Vec::new();
        modules(&tree.path("native-host/src"), &mut faults)?;
        crates(tree, &mut faults)?;
        pure(tree, &mut faults)?;
        if !faults.is_empty() {
            bail!("dependencies point one way (ARCHITECTURE.md)\n  - {}", faults.join("\n  - "));
        }
        Ok(((), String::new()))
    })
}

fn modules(sources: &Path, faults: &mut Vec<String>) -> Result<()> {
    for file in
        files_below(sources)?.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs"))
    {
        let Some(first) = file.iter().next() else { continue };
        let module = first.to_string_lossy().trim_end_matches(".rs").to_owned();
        let Some((_, forbidden)) = MODULES.iter().find(|(name, _)| *name == module) else { continue };
        let text = code(&read(&sources.join(&file))?);
        for known in crate_modules(&text).into_iter().filter(|known| forbidden.contains(&known.as_str())) {
            faults.push(format!("native-host/src/{}: `{module}` must not use `{known}`", file.display()));
        }
    }
    Ok(())
}

fn crates(tree: &Tree, faults: &mut Vec<String>) -> Result<()> {
    for (folder, forbidden) in CRATES {
        let manifest: toml::Table = read(&tree.path(folder).join("Cargo.toml"))?.parse()?;
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else {
            continue;
        };
        for name in forbidden.iter().filter(|name| dependencies.contains_key(**name)) {
            faults.push(format!("{folder}/Cargo.toml: must not depend on `{name}`"));
        }
    }
    Ok(())
}

fn pure(tree: &Tree, faults: &mut Vec<String>) -> Result<()> {
    for folder in PURE {
        for file in files_below(&tree.path(folder))? {
            let path = tree.path(folder).join(&file);
            // Tests may read golden files; they stand in `tests` modules and files.
            let is_test = file.iter().any(|part| part.to_string_lossy().starts_with("tests"));
            if is_test || file.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = code(&String::from_utf8_lossy(&fs::read(path)?));
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for impure in IMPURE.iter().filter(|impure| product.contains(**impure)) {
                faults.push(format!("{folder}/{}: `{impure}` in a part that is pure", file.display()));
            }
        }
    }
    Ok(())
}

/// The text without line comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The top-level modules of this crate that a file names: `crate::x`, `crate::{x, y::{…}}`.
fn crate_modules(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, after) in
        text.match_indices("crate::").filter_map(|(at, word)| Some((at, text.get(at + word.len()..)?)))
    {
        match after.strip_prefix('{') {
            Some(group) => found.extend(first_names(group)),
            None => found.push(name(after)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// The first name of each entry of a `{…}` group, whose opening brace is gone already.
fn first_names(group: &str) -> Vec<String> {
    let mut names = vec![name(group.trim_start())];
    let mut depth = 0_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(group.get(at + 1..).unwrap_or_default().trim_start())),
            _ => {}
        }
    }
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::write;

    #[test]
    fn modules_are_found_in_plain_and_grouped_imports_and_in_paths() {
        let text =
            "use crate::relay::frame;\nuse crate::{broker::{self, api::Api}, cli, places};\ncrate::psa::x();";
        assert_eq!(crate_modules(text), ["relay", "broker", "cli", "places", "psa"]);
    }

    #[test]
    fn a_broker_that_imports_the_relay_is_a_fault_and_a_relay_that_imports_the_broker_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("broker/api.rs", "use crate::{places, relay::port};"),
            ("relay.rs", "use crate::broker::Api;"),
            ("psa/rt.rs", "// crate::broker is only a remark here\n"),
        ] {
            write(&folder.path().join(name), content.as_bytes()).unwrap();
        }
        let mut faults = Vec::new();
        modules(folder.path(), &mut faults).unwrap();
        assert_eq!(faults, ["native-host/src/broker/api.rs: `broker` must not use `relay`"]);
    }
}
