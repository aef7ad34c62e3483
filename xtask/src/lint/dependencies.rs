//! Dependencies: the lock file is in step, licences and sources are allowed, banned crates stay out, doubled versions
//! are listed, and `docs/dependencies.md` gives each crate its reason. The rules stand in `deny.toml`, whose format is
//! cargo-deny's. Known advisories are in `advisories.rs`.
//!
//! Own code instead of cargo-deny itself: building it took more than five minutes of processor time here, a sixth of
//! what the whole test run may take, for what `cargo metadata` and these lines answer in a second.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::advisories;
use crate::cargo::native;
use crate::steps::{Steps, output};
use crate::tree::{Tree, read};

/// The parts of `deny.toml` that are checked here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Sources {
    #[serde(rename = "allow-registry")]
    registries: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

/// A crate of the lock file.
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    license: Option<String>,
    id: String,
    /// None: a folder.
    source: Option<String>,
    manifest_path: String,
}

impl Package {
    /// One of crates.io, for tests.
    #[cfg(test)]
    pub(super) fn of(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            license: None,
            id: format!("{name}@{version}"),
            source: Some("registry".to_owned()),
            manifest_path: String::new(),
        }
    }
}

/// Checks all of it.
pub(crate) fn check(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let (foreign, doubled) = steps.work("dependencies: lock, licences, sources, bans, reasons", || {
        let rules: Rules = toml::from_str(&read(&tree.path("deny.toml"))?).context("deny.toml")?;
        let mut cargo = native(tree);
        cargo.args(["metadata", "--locked", "--format-version", "1", "--all-features"]);
        let listed = output(&mut cargo).context(
            "Cargo.lock is not in step with the manifests; run `cargo update --workspace` and commit it",
        )?;
        let metadata: Metadata = serde_json::from_str(&listed)?;

        let mut faults = Vec::new();
        for package in &metadata.packages {
            faults.extend(faults_of(package, &rules, &tree.root().to_string_lossy()));
        }
        reasons(tree, &mut faults)?;
        if !faults.is_empty() {
            bail!("deny.toml and docs/dependencies.md\n  - {}", faults.join("\n  - "));
        }
        let count = format!("{} crates", metadata.packages.len());
        let doubled = doubled(&metadata.packages);
        Ok(((foreign(metadata), doubled), count))
    })?;
    advisories::check(tree, steps, &foreign)?;
    if !doubled.is_empty() {
        steps.note(&format!("in more than one major version: {}", doubled.join(", ")));
    }
    Ok(())
}

/// All but the workspace's own: what others wrote, also where a changed copy of it lies in `third_party/`.
fn foreign(metadata: Metadata) -> Vec<Package> {
    let own = metadata.workspace_members;
    metadata.packages.into_iter().filter(|package| !own.contains(&package.id)).collect()
}

fn faults_of(package: &Package, rules: &Rules, root: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let called = format!("{} {}", package.name, package.version);
    match &package.license {
        None => faults.push(format!("{called} states no licence")),
        Some(licence) if !licence_allowed(licence, &rules.licenses.allow) => {
            faults.push(format!("{called} is under `{licence}`, which deny.toml does not allow"));
        }
        Some(_) => {}
    }
    match &package.source {
        // A path dependency: only our own.
        None if !package.manifest_path.starts_with(root) => {
            faults.push(format!("{called} comes from a folder outside the repository"));
        }
        Some(source)
            if !rules.sources.registries.iter().any(|registry| *source == format!("registry+{registry}")) =>
        {
            faults.push(format!("{called} comes from {source}, which deny.toml does not allow"));
        }
        _ => {}
    }
    if let Some(banned) = rules.bans.deny.iter().find(|banned| banned.name == package.name) {
        faults.push(format!("{called} is banned: {}", banned.reason));
    }
    faults
}

/// Whether an SPDX expression can be met with allowed licences only. `/` is the old way to write `OR`.
fn licence_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed).unwrap_or(false) && rest.is_empty()
}

/// `a OR b`; `None` when it cannot be read.
fn either(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = both(words, allowed)?;
    while let Some((&"OR", rest)) = words.split_first() {
        *words = rest;
        met |= both(words, allowed)?;
    }
    Some(met)
}

/// `a AND b`, which binds tighter than `OR`.
fn both(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut met = one(words, allowed)?;
    while let Some((&"AND", rest)) = words.split_first() {
        *words = rest;
        met &= one(words, allowed)?;
    }
    Some(met)
}

/// A licence, a licence `WITH` an exception, or a group.
fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let met = either(words, allowed)?;
        let (end, rest) = words.split_first()?;
        *words = rest;
        return (*end == ")").then_some(met);
    }
    let mut licence = (*first).to_owned();
    if let Some((&"WITH", rest)) = words.split_first() {
        let (exception, rest) = rest.split_first()?;
        licence = format!("{licence} WITH {exception}");
        *words = rest;
    }
    Some(allowed.contains(&licence))
}

/// Crates that are there in two incompatible versions: larger binaries, and types that look alike and do not fit.
fn doubled(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(compatible(&package.version));
    }
    versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} {}", versions.into_iter().collect::<Vec<_>>().join("+")))
        .collect()
}

/// The part of a version that cargo takes for the same: `1` of `1.2.3`, `0.4` of `0.4.5`, `0.0.3` of `0.0.3`.
fn compatible(version: &str) -> String {
    let numbers: Vec<&str> = version.split(['.', '-', '+']).collect();
    let kept = numbers.iter().take_while(|number| **number == "0").count() + 1;
    numbers.iter().take(kept.min(3)).copied().collect::<Vec<_>>().join(".")
}

/// The table names exactly the crates of the workspace.
fn reasons(tree: &Tree, faults: &mut Vec<String>) -> Result<()> {
    let manifest: toml::Table = read(&tree.path("Cargo.toml"))?.parse()?;
    let used: BTreeSet<String> = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().filter(|name| !name.starts_with("ticketgate-")).cloned().collect())
        .unwrap_or_default();
    let mut told = BTreeSet::new();
    for line in read(&tree.path("docs/dependencies.md"))?.lines() {
        let Some((name, why)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) else {
            continue;
        };
        if why.trim_end_matches('|').trim().is_empty() {
            faults.push(format!("docs/dependencies.md gives no reason for `{name}`"));
        }
        if !told.insert(name.to_owned()) {
            faults.push(format!("docs/dependencies.md names `{name}` twice"));
        }
    }
    faults.extend(
        used.difference(&told).map(|name| format!("docs/dependencies.md does not say why `{name}` is there")),
    );
    faults.extend(
        told.difference(&used).map(|name| format!("docs/dependencies.md names `{name}`, which nobody uses")),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_expression_is_met_only_by_allowed_licences() {
        let allowed: BTreeSet<String> =
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        for (expression, met) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 AND MIT", false),
            ("GPL-3.0 OR Apache-2.0 AND MIT", true),
            ("(MIT OR GPL-3.0) AND ISC", false),
            ("(MIT OR GPL-3.0) AND Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-3.0 WITH LLVM-exception", false),
            ("(MIT", false),
            ("MIT Apache-2.0", false),
            ("", false),
        ] {
            assert_eq!(licence_allowed(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn a_changed_copy_of_anothers_crate_is_foreign_and_the_workspace_is_not() {
        let listed = r#"{"workspace_members": ["ours"], "packages": [
            {"name": "a", "version": "1.0.0", "id": "ours", "manifest_path": "/x/a/Cargo.toml"},
            {"name": "lber", "version": "0.5.1", "id": "patched", "manifest_path": "/x/third_party/lber/Cargo.toml"},
            {"name": "serde", "version": "1.0.0", "id": "theirs", "source": "registry", "manifest_path": "/y/Cargo.toml"}]}"#;
        let foreign = foreign(serde_json::from_str(listed).unwrap());
        assert_eq!(
            foreign.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(),
            ["lber", "serde"]
        );
    }

    #[test]
    fn versions_are_compared_as_cargo_compares_them() {
        for (version, kept) in
            [("1.2.3", "1"), ("0.4.5", "0.4"), ("0.0.3", "0.0.3"), ("0.0.0", "0.0.0"), ("2.0.0-rc.1", "2")]
        {
            assert_eq!(compatible(version), kept);
        }
    }
}
