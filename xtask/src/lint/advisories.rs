//! Known advisories against the crates of the lock file, without a network: those of a full copy of the RustSec database where
//! this machine has one, else those that `xtask/advisories.toml` keeps of it, which says how old it is. And versions that their
//! authors withdrew ("yanked"), as far as cargo's own copy of the index tells.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::dependencies::Package;
use crate::cargo::home;
use crate::steps::{Steps, output};
use crate::tree::{Tree, files_below, read, write};

/// What is kept of the database.
const KEPT: &str = "xtask/advisories.toml";
/// Days after which it is said that the copy is old.
const OLD_DAYS: u64 = 90;

/// Advisories of a day.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Database {
    /// Day of the newest change (`2026-01-02`).
    date: String,
    /// The database's commit.
    commit: String,
    #[serde(default)]
    advisory: Vec<Advisory>,
}

/// What decides whether an advisory concerns a version (RustSec's `HOWTO` calls these `patched` and `unaffected`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Advisory {
    id: String,
    package: String,
    title: String,
    /// `unmaintained`, `unsound`, `notice`: told, and no fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    informational: Option<String>,
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// An advisory's file: TOML in a fenced block, then its title.
#[derive(Deserialize)]
struct WireFile {
    advisory: WireAdvisory,
    #[serde(default)]
    versions: WireVersions,
}

#[derive(Deserialize)]
struct WireAdvisory {
    id: String,
    package: String,
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireVersions {
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

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
        let (database, whole) = database(tree)?;
        let rules: Rules = toml::from_str(&read(&tree.path("deny.toml"))?)?;
        let (mut faults, mut told) = (Vec::new(), Vec::new());
        for package in packages.iter().filter(|package| package.source.is_some()) {
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
        let remark = if whole { "RustSec's database" } else { KEPT };
        Ok(((database.date.clone(), told), format!("{remark} of {}", database.date)))
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
        let names = locked(tree)?;
        let mut database = whole(copy)?;
        database.advisory.retain(|advisory| names.contains(&advisory.package));
        database.advisory.sort_by(|a, b| (&a.package, &a.id).cmp(&(&b.package, &b.id)));
        let head = "# Advisories about crates of Cargo.lock, out of RustSec's database (https://github.com/RustSec/advisory-db, CC0-1.0), whose\n\
                    # commit and day stand here. Made by `cargo xtask lint --take-advisories FOLDER`; read by `cargo xtask lint`.\n\n";
        let count = database.advisory.len();
        write(&tree.path(KEPT), format!("{head}{}", toml::to_string(&database)?).as_bytes())?;
        Ok(((), format!("{count} of {}", database.date)))
    })
}

/// The best copy at hand, and whether it is a whole one.
fn database(tree: &Tree) -> Result<(Database, bool)> {
    let kept: Database = toml::from_str(&read(&tree.path(KEPT))?).context(KEPT)?;
    for copy in copies() {
        match whole(&copy) {
            Ok(found) if found.date > kept.date => return Ok((found, true)),
            _ => {}
        }
    }
    Ok((kept, false))
}

/// Where cargo-audit and cargo-deny keep theirs, and where somebody says that there is one.
fn copies() -> Vec<PathBuf> {
    let mut copies: Vec<PathBuf> =
        env::var_os("TICKETGATE_ADVISORY_DB").map(PathBuf::from).into_iter().collect();
    if let Some(home) = home() {
        copies.push(home.join("advisory-db"));
        let several = fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten();
        copies.extend(several.map(|entry| entry.path()));
    }
    copies.retain(|copy| copy.join("crates").is_dir());
    copies
}

/// A whole copy: a work tree of the database's repository.
fn whole(copy: &Path) -> Result<Database> {
    let said = output(Command::new("git").arg("-C").arg(copy).args(["log", "-1", "--format=%H %cs"]))?;
    let (commit, date) = said.trim().split_once(' ').context("git says neither commit nor day")?;
    let crates = copy.join("crates");
    let mut advisory = Vec::new();
    for file in
        files_below(&crates)?.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "md"))
    {
        advisory.extend(parsed(&read(&crates.join(&file))?).with_context(|| file.display().to_string())?);
    }
    Ok(Database { date: date.to_owned(), commit: commit.to_owned(), advisory })
}

/// One advisory's file; nothing when the advisory was withdrawn.
fn parsed(text: &str) -> Result<Option<Advisory>> {
    let (_, rest) = text.split_once("```toml").context("no TOML in it")?;
    let (head, rest) = rest.split_once("```").context("its TOML has no end")?;
    let file: WireFile = toml::from_str(head)?;
    let title = rest.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().trim().to_owned();
    let WireAdvisory { id, package, informational, withdrawn } = file.advisory;
    let WireVersions { patched, unaffected } = file.versions;
    Ok(withdrawn.is_none().then_some(Advisory { id, package, title, informational, patched, unaffected }))
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

    const FILE: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"leaky\"\ndate = \"2026-01-02\"\n\
        [affected]\nfunctions = {}\n[versions]\npatched = [\">= 1.2.3\", \"^0.9.8\"]\nunaffected = [\"< 0.5\"]\n```\n\n# It leaks\n";

    fn package(version: &str) -> Package {
        Package::of("leaky", version)
    }

    #[test]
    fn an_advisory_concerns_exactly_the_versions_that_are_neither_patched_nor_unaffected() {
        let advisory = parsed(FILE).unwrap().unwrap();
        assert_eq!((advisory.id.as_str(), advisory.title.as_str()), ("RUSTSEC-2026-0001", "It leaks"));
        let database = Database { advisory: vec![advisory], ..Database::default() };
        for (version, concerned) in [
            ("1.2.2", true),
            ("1.2.3", false),
            ("2.0.0", false),
            ("0.9.7", true),
            ("0.9.9", false),
            ("0.5.0", true),
            ("0.4.9", false),
        ] {
            assert_eq!(!concerning(&database, &package(version)).unwrap().is_empty(), concerned, "{version}");
        }
        assert!(concerning(&database, &Package::of("other", "1.0.0")).unwrap().is_empty());
    }

    #[test]
    fn a_withdrawn_advisory_is_none_and_a_broken_one_an_error() {
        assert_eq!(parsed(&FILE.replace("date =", "withdrawn = \"2026-01-03\"\ndate =")).unwrap(), None);
        assert!(parsed("# no TOML").is_err());
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
