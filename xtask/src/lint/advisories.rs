//! Known advisories against the crates of the lock file, without a network: those of a full copy of the RustSec database where
//! this machine has one, else those that `xtask/advisories.toml` keeps of it, which says how old it is and of which crates. And
//! versions that their authors withdrew ("yanked"), as far as cargo's own copy of the index tells.

mod database;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use semver::{Version, VersionReq};
use serde::Deserialize;

use self::database::{Advisory, Database, KEPT};
use super::dependencies::Package;
use crate::cargo::home;
use crate::steps::{Steps, output};
use crate::tree::{Tree, read, write};

/// Days after which it is said that the copy is old.
const OLD_DAYS: u64 = 90;

/// The part of `deny.toml` about advisories.
#[derive(Default, Deserialize)]
struct Rules {
    #[serde(default)]
    advisories: Exceptions,
}

#[derive(Default, Deserialize)]
struct Exceptions {
    #[serde(default)]
    ignore: Vec<Ignored>,
}

#[derive(Deserialize)]
struct Ignored {
    id: String,
    reason: String,
}

/// Checks the locked crates.
pub(super) fn check(tree: &Tree, steps: &mut Steps, packages: &[Package]) -> Result<()> {
    let (date, told) = steps.work("dependencies: known advisories, yanked versions", || {
        let (database, mut told) = database::find(tree)?;
        let rules: Rules = toml::from_str(&read(&tree.path("deny.toml"))?)?;
        let mut faults = unknown(&database, packages);
        for package in packages {
            for advisory in concerning(&database, package)? {
                let line = format!("{} {}: {} {}", package.name, package.version, advisory.id, advisory.title);
                let reason = rules.advisories.ignore.iter().find(|ignored| ignored.id == advisory.id);
                match (reason, &advisory.informational) {
                    (Some(ignored), _) => told.push(format!("{line} (let through: {})", ignored.reason)),
                    (None, Some(kind)) => told.push(format!("{line} ({kind})")),
                    (None, None) => faults.push(line),
                }
            }
            if is_yanked(package) == Some(true) {
                faults.push(format!("{} {} was yanked by its authors", package.name, package.version));
            }
        }
        if !faults.is_empty() {
            bail!(
                "update the crate, or give deny.toml the reason why it does not concern us (`ignore = [{{ id, reason }}]`)\n  - {}",
                faults.join("\n  - ")
            );
        }
        let remark = format!("{} of {}", database.source(), database.date);
        Ok(((database.date, told), remark))
    })?;
    for line in told {
        steps.note(&line);
    }
    if days_since(&date)? > OLD_DAYS {
        steps.skipped(
            "dependencies: newer advisories",
            &format!(
                "NOT CHECKED: the newest known are of {date}. Where there is a network, `git clone https://github.com/RustSec/advisory-db` \
                 and `cargo xtask lint --take-advisories FOLDER` bring newer ones"
            ),
        );
    }
    Ok(())
}

/// Keeps of a copy of RustSec's database what concerns the crates of the lock file.
pub(crate) fn take(tree: &Tree, steps: &mut Steps, copy: &Path) -> Result<()> {
    steps.work("take advisories", || {
        let database = database::whole(copy)?;
        let remark = format!("as of {}", database.date);
        write(&tree.path(KEPT), database.part(&locked(tree)?)?.as_bytes())?;
        Ok(((), remark))
    })
}

/// Crates that the database would be silent about whatever is known of them.
fn unknown(database: &Database, packages: &[Package]) -> Vec<String> {
    let not_covered = packages.iter().filter(|package| !database.covers(&package.name));
    not_covered
        .map(|package| {
            format!(
                "{} {} is NOT CHECKED: {KEPT} was made before it was locked; make it anew (`cargo xtask lint --take-advisories FOLDER`)",
                package.name, package.version
            )
        })
        .collect()
}

fn locked(tree: &Tree) -> Result<BTreeSet<String>> {
    let lock: toml::Table = read(&tree.path("Cargo.lock"))?.parse()?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock lists no packages")?;
    Ok(packages.iter().filter_map(|package| Some(package.get("name")?.as_str()?.to_owned())).collect())
}

/// The advisories that concern a locked version.
fn concerning<'a>(database: &'a Database, package: &Package) -> Result<Vec<&'a Advisory>> {
    let version = Version::parse(&package.version)?;
    let mut found = Vec::new();
    for advisory in database.advisory.iter().filter(|advisory| advisory.package == package.name) {
        let mut safe = false;
        for range in advisory.patched.iter().chain(&advisory.unaffected) {
            safe |= VersionReq::parse(range).with_context(|| advisory.id.clone())?.matches(&version);
        }
        if !safe {
            found.push(advisory);
        }
    }
    Ok(found)
}

/// Whether the index says so, as cargo last saw it; nothing where this machine has no copy of it.
fn is_yanked(package: &Package) -> Option<bool> {
    let name = package.name.to_lowercase();
    let place = match name.len() {
        1 | 2 => format!("{}/{name}", name.len()),
        3 => format!("3/{}/{name}", name.get(..1)?),
        _ => format!("{}/{}/{name}", name.get(..2)?, name.get(2..4)?),
    };
    let indexes = fs::read_dir(home()?.join("registry/index")).ok()?.flatten();
    let known = indexes.filter_map(|index| fs::read(index.path().join(".cache").join(&place)).ok());
    known.filter_map(|cache| yanked_in(&cache, &package.version)).reduce(|a, b| a && b)
}

/// In cargo's copy of a crate's part of the index: versions and their JSON, between zero bytes.
fn yanked_in(cache: &[u8], version: &str) -> Option<bool> {
    let mut pieces = cache.split(|byte| *byte == 0).skip_while(|piece| *piece != version.as_bytes());
    let line: serde_json::Value = serde_json::from_slice(pieces.nth(1)?).ok()?;
    line.get("yanked")?.as_bool()
}

/// Whole days from a day (`2026-01-02`) to now.
fn days_since(date: &str) -> Result<u64> {
    let said = output(Command::new("date").args(["-u", "-d", date, "+%s"])).context("no such day")?;
    let then: u64 = said.trim().parse()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    Ok(now.saturating_sub(then) / 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaky(version: &str) -> Package {
        Package::of("leaky", version)
    }

    fn database() -> Database {
        let ranges = |all: &[&str]| all.iter().map(|&range| range.to_owned()).collect();
        let advisory = Advisory {
            id: "RUSTSEC-2026-0001".to_owned(),
            package: "leaky".to_owned(),
            title: "It leaks".to_owned(),
            informational: None,
            patched: ranges(&[">= 1.2.3", "^0.9.8"]),
            unaffected: ranges(&["< 0.5"]),
        };
        Database { advisory: vec![advisory], ..Database::default() }
    }

    #[test]
    fn an_advisory_concerns_exactly_the_versions_that_are_neither_patched_nor_unaffected() {
        let database = database();
        for (version, concerned) in [
            ("1.2.2", true),
            ("1.2.3", false),
            ("2.0.0", false),
            ("0.9.7", true),
            ("0.9.9", false),
            ("0.5.0", true),
            ("0.4.9", false),
        ] {
            assert_eq!(!concerning(&database, &leaky(version)).unwrap().is_empty(), concerned, "{version}");
        }
        assert!(concerning(&database, &Package::of("other", "1.0.0")).unwrap().is_empty());
    }

    #[test]
    fn a_crate_that_was_locked_after_the_part_was_kept_is_a_fault_and_none_of_a_whole_copy() {
        let packages = [leaky("2.0.0"), Package::of("newcomer", "1.0.0")];
        let part = Database { covers: Some(["leaky".to_owned()].into()), ..database() };
        let faults = unknown(&part, &packages);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("newcomer 1.0.0 is NOT CHECKED"), "{faults:?}");
        assert!(unknown(&database(), &packages).is_empty());
    }

    #[test]
    fn a_yanked_version_is_told_from_one_that_is_not_and_from_one_unknown() {
        let cache = b"\x03\x02\0\0\0Unknown\x001.0.0\0{\"vers\":\"1.0.0\",\"yanked\":false}\x001.0.1\0{\"vers\":\"1.0.1\",\"yanked\":true}\0";
        assert_eq!(yanked_in(cache, "1.0.0"), Some(false));
        assert_eq!(yanked_in(cache, "1.0.1"), Some(true));
        assert_eq!(yanked_in(cache, "1.0.2"), None);
    }

    #[test]
    fn a_day_in_the_past_is_so_many_days_ago() {
        assert!(days_since("2020-01-01").unwrap() > 2000);
        assert!(days_since("yesterweek").is_err());
    }
}
