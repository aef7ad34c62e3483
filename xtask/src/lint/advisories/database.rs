//! Copies of RustSec's database: the part of one that this repository keeps, and whole ones that this machine may have.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cargo::home;
use crate::steps::output;
use crate::tree::{Tree, files_below, read};

/// What is kept of the database.
pub(super) const KEPT: &str = "xtask/advisories.toml";
/// Names a whole copy, which then has to be one.
const NAMED: &str = "TICKETGATE_ADVISORY_DB";

/// Advisories of a day.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Database {
    /// Day of the newest change (`2026-01-02`).
    pub(super) date: String,
    /// The database's commit.
    pub(super) commit: String,
    /// Of which crates' names everything was kept; `None`: it is a whole copy.
    #[serde(default)]
    pub(super) covers: Option<BTreeSet<String>>,
    #[serde(default)]
    pub(super) advisory: Vec<Advisory>,
}

/// What decides whether an advisory concerns a version (RustSec's `HOWTO` calls these `patched` and `unaffected`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Advisory {
    pub(super) id: String,
    pub(super) package: String,
    pub(super) title: String,
    /// `unmaintained`, `unsound`, `notice`: told, and no fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) informational: Option<String>,
    #[serde(default)]
    pub(super) patched: Vec<String>,
    #[serde(default)]
    pub(super) unaffected: Vec<String>,
}

/// The rows of what is kept.
#[derive(Serialize)]
struct Advisories<'a> {
    advisory: &'a [Advisory],
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

impl Database {
    /// Whether it would have an advisory about a crate if there were one.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.covers.as_ref().is_none_or(|names| names.contains(name))
    }

    /// Where it comes from, for a person.
    pub(super) fn source(&self) -> &'static str {
        if self.covers.is_some() { KEPT } else { "RustSec's database" }
    }

    /// What of it concerns crates of these names, as it is kept.
    pub(super) fn part(mut self, names: &BTreeSet<String>) -> Result<String> {
        self.advisory.retain(|advisory| names.contains(&advisory.package));
        self.advisory.sort_by(|a, b| (&a.package, &a.id).cmp(&(&b.package, &b.id)));
        let mut text = "# Advisories about crates of Cargo.lock, out of RustSec's database (https://github.com/RustSec/advisory-db, CC0-1.0), whose\n\
            # commit and day stand here, and the names that were looked for. Made by `cargo xtask lint --take-advisories FOLDER`; read\n\
            # by `cargo xtask lint`.\n\n"
            .to_owned();
        let (date, commit) = (&self.date, &self.commit);
        write!(text, "date = \"{date}\"\ncommit = \"{commit}\"\ncovers = [\n")?;
        for name in names {
            writeln!(text, "    \"{name}\",")?;
        }
        text.push_str("]\n\n");
        text.push_str(&toml::to_string(&Advisories { advisory: &self.advisory })?);
        Ok(text)
    }
}

/// The best copy at hand, and what is wrong with others.
pub(super) fn find(tree: &Tree) -> Result<(Database, Vec<String>)> {
    let kept: Database = toml::from_str(&read(&tree.path(KEPT))?).context(KEPT)?;
    if kept.covers.is_none() {
        bail!(
            "{KEPT} does not say which crates it covers; `cargo xtask lint --take-advisories FOLDER` makes it anew"
        );
    }
    best(kept, env::var_os(NAMED).map(PathBuf::from).as_deref(), &copies())
}

/// What somebody named has to be usable; of the rest, the newest.
fn best(kept: Database, named: Option<&Path>, copies: &[PathBuf]) -> Result<(Database, Vec<String>)> {
    if let Some(named) = named {
        let found = whole(named).with_context(|| format!("{NAMED} names {}", named.display()))?;
        if found.date < kept.date {
            bail!("{NAMED} names a copy of {}, which is older than {KEPT} ({})", found.date, kept.date);
        }
        return Ok((found, Vec::new()));
    }
    let (mut best, mut wrong) = (kept, Vec::new());
    for copy in copies {
        match whole(copy) {
            // Of the same day: a whole one covers every crate.
            Ok(found) if found.date >= best.date => best = found,
            Ok(_) => {}
            Err(error) => wrong.push(format!("{} cannot be used: {error:#}", copy.display())),
        }
    }
    Ok((best, wrong))
}

/// Where cargo-audit and cargo-deny keep theirs.
fn copies() -> Vec<PathBuf> {
    let Some(home) = home() else { return Vec::new() };
    let several = fs::read_dir(home.join("advisory-dbs")).into_iter().flatten().flatten();
    let mut copies: Vec<_> = several.map(|entry| entry.path()).collect();
    copies.push(home.join("advisory-db"));
    copies.retain(|copy| copy.is_dir());
    copies
}

/// A whole copy: a work tree of the database's repository.
pub(super) fn whole(copy: &Path) -> Result<Database> {
    let said = output(Command::new("git").arg("-C").arg(copy).args(["log", "-1", "--format=%H %cs"]))?;
    let (commit, date) = said.trim().split_once(' ').context("git says neither commit nor day")?;
    let crates = copy.join("crates");
    let mut advisory = Vec::new();
    for file in
        files_below(&crates)?.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "md"))
    {
        advisory.extend(parsed(&read(&crates.join(&file))?).with_context(|| file.display().to_string())?);
    }
    if advisory.is_empty() {
        bail!("no advisories below {}", crates.display());
    }
    Ok(Database { date: date.to_owned(), commit: commit.to_owned(), covers: None, advisory })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::write;

    const FILE: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"leaky\"\ndate = \"2026-01-02\"\n\
        [affected]\nfunctions = {}\n[versions]\npatched = [\">= 1.2.3\", \"^0.9.8\"]\nunaffected = [\"< 0.5\"]\n```\n\n# It leaks\n";

    fn kept(date: &str) -> Database {
        Database { date: date.to_owned(), covers: Some(["leaky".to_owned()].into()), ..Database::default() }
    }

    /// A whole copy of a day.
    fn copy(date: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("crates/leaky/RUSTSEC-2026-0001.md"), FILE.as_bytes()).unwrap();
        let git = |words: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(folder.path()).args(["-c", "user.name=x", "-c", "user.email=x"]).args(words);
            output(git.env("GIT_COMMITTER_DATE", format!("{date}T12:00:00Z"))).unwrap();
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-qm", "x"]);
        folder
    }

    #[test]
    fn a_file_says_which_versions_are_patched_and_which_were_never_affected() {
        let advisory = parsed(FILE).unwrap().unwrap();
        assert_eq!((advisory.id.as_str(), advisory.title.as_str()), ("RUSTSEC-2026-0001", "It leaks"));
        assert_eq!(advisory.patched, [">= 1.2.3", "^0.9.8"]);
        assert_eq!(advisory.unaffected, ["< 0.5"]);
    }

    #[test]
    fn a_withdrawn_advisory_is_none_and_a_broken_one_an_error() {
        assert_eq!(parsed(&FILE.replace("date =", "withdrawn = \"2026-01-03\"\ndate =")).unwrap(), None);
        assert!(parsed("# no TOML").is_err());
    }

    #[test]
    fn a_copy_that_somebody_names_is_used_or_it_is_an_error() {
        let (there, folder) = (copy("2026-01-02"), tempfile::tempdir().unwrap());
        let (found, _) = best(kept("2026-01-02"), Some(there.path()), &[]).unwrap();
        assert!(found.covers("another") && found.advisory.len() == 1);
        assert!(best(kept("2026-01-02"), Some(&folder.path().join("mistyped")), &[]).is_err());
        let older = best(kept("2026-01-03"), Some(there.path()), &[]).unwrap_err();
        assert!(older.to_string().contains("older"), "{older}");
    }

    #[test]
    fn the_newest_copy_is_used_a_whole_one_on_the_same_day_and_a_broken_one_is_told() {
        let (old, new) = (copy("2026-01-02"), copy("2026-01-05"));
        let broken = copy("2026-01-09");
        write(&broken.path().join("crates/leaky/RUSTSEC-2026-0001.md"), b"# no TOML").unwrap();
        let all = [&new, &broken, &old].map(|one| one.path().to_path_buf());
        let (found, wrong) = best(kept("2026-01-05"), None, &all).unwrap();
        assert_eq!((found.date.as_str(), found.covers("another")), ("2026-01-05", true));
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        let (found, _) = best(kept("2026-01-06"), None, &all).unwrap();
        assert!(found.covers("leaky") && !found.covers("another"));
    }

    #[test]
    fn what_is_kept_names_what_it_covers_and_leaves_other_crates_out() {
        let names: BTreeSet<String> = ["leaky", "sound"].map(str::to_owned).into();
        let mut database = whole(copy("2026-01-02").path()).unwrap();
        let other = Advisory { package: "foreign".to_owned(), ..database.advisory[0].clone() };
        database.advisory.push(other);
        let again: Database = toml::from_str(&database.part(&names).unwrap()).unwrap();
        assert_eq!((again.covers, again.date.as_str()), (Some(names), "2026-01-02"));
        assert_eq!(again.advisory, [parsed(FILE).unwrap().unwrap()]);
    }
}
