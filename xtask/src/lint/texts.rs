//! What must not stand in any tracked file: paths of one machine, and ways around certificate checks.
//! Files that grew long are named, but stop nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::steps::Steps;
use crate::tree::Tree;

/// A file past this many lines is asked which second subject moved in.
const LONG: usize = 450;

/// Folders that exist on one machine only.
const MACHINE_FOLDERS: [&str; 3] = ["work", "root", "farm"];

/// Calls that switch certificate checks off.
const NO_CHECKS: [&str; 4] = [
    "set_no_tls_verify",
    "danger_accept_invalid",
    "with_custom_certificate_verifier",
    "set_certificate_verifier(",
];

/// Checks all tracked files.
pub(crate) fn check(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let long = steps.work("texts: machine paths, TLS checks, lengths", || {
        let mut faults = Vec::new();
        let mut long = Vec::new();
        let files = tree.files()?;
        for file in &files {
            // Pictures and the like have no lines.
            let Ok(text) = fs::read_to_string(tree.path(file)) else { continue };
            for (number, line) in text.lines().enumerate() {
                for fault in faults_of(file, line) {
                    faults.push(format!("{}:{}: {fault}", file.display(), number + 1));
                }
            }
            let is_code = file.extension().is_some_and(|kind| kind == "rs" || kind == "js");
            if is_code && text.lines().count() > LONG {
                long.push(format!(
                    "{} has {} lines: which second subject moved in?",
                    file.display(),
                    text.lines().count()
                ));
            }
        }
        if !faults.is_empty() {
            bail!("must not stand in a tracked file\n  - {}", faults.join("\n  - "));
        }
        Ok((long, format!("{} files", files.len())))
    })?;
    for line in long {
        steps.note(&line);
    }
    Ok(())
}

fn faults_of(file: &PathBuf, line: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(path) = machine_path(line) {
        faults.push(format!("a path of one machine: {path}"));
    }
    let is_rust = file.extension().is_some_and(|kind| kind == "rs");
    if is_rust && file != Path::new("xtask/src/lint/texts.rs") {
        for call in NO_CHECKS.iter().filter(|call| line.contains(**call)) {
            faults.push(format!("certificate checks are always on; `{call}` switches them off"));
        }
    }
    faults
}

/// A path that begins at one of [`MACHINE_FOLDERS`]; the same word inside a longer path or an address is none.
fn machine_path(line: &str) -> Option<String> {
    for folder in MACHINE_FOLDERS {
        let wanted = format!("/{folder}/");
        for (at, _) in line.match_indices(&wanted) {
            let before = line.get(..at)?.chars().next_back();
            if before.is_none_or(|c| !(c.is_ascii_alphanumeric() || "_.-/".contains(c))) {
                return Some(line.get(at..)?.chars().take_while(|c| !c.is_whitespace()).take(60).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_found_only_where_a_path_begins() {
        let own = format!("cd /{}/main", "work");
        assert_eq!(machine_path(&own), Some(format!("/{}/main", "work")));
        assert_eq!(machine_path("https://host.test/work/items"), None);
        assert_eq!(machine_path("target/work/x"), None);
    }
}
