//! The folder of `sudo` rules: what of it is ours, putting a rule there so that sudo's rules as a whole are good at every moment,
//! and taking one away.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use super::clock::{Second, now};
use super::files::{self, UNFINISHED};
use super::run::run;
use super::sudo::{self, Rule};
use super::{FarError, Named, Places};
use crate::local::request::{SeenRight, SudoAsks};
use crate::local::{AccountName, SudoCommand, Token};

/// An unfinished file that is older was left by a process that was killed.
const LEFT: Duration = Duration::from_secs(60);

/// A file in the folder with a name of ours.
#[derive(Debug)]
pub(super) struct DropIn {
    pub(super) file: String,
    pub(super) account: AccountName,
    /// From the file's name.
    mark: String,
    /// The rule, when the file is ours to the letter.
    pub(super) rule: Option<Rule>,
}

impl DropIn {
    /// The right as it is seen of an account with this token: a file that is not to the letter may be any rule at all.
    pub(super) fn seen(&self, token: Option<&Token>) -> SeenRight {
        match &self.rule {
            Some(rule) if Some(&rule.token) == token => {
                SeenRight { right: rule.right().to_string(), until: Some(rule.not_after.time()) }
            }
            _ => SeenRight { right: format!("sudo:?{}", self.mark), until: None },
        }
    }

    pub(super) fn is_over(&self, now: DateTime<Utc>) -> bool {
        // It counts for the whole of its last second.
        self.rule.as_ref().is_some_and(|rule| rule.not_after.time() + TimeDelta::seconds(1) <= now)
    }
}

/// All of them.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn all(places: &Places) -> Result<Vec<DropIn>, FarError> {
    let folder = places.sudo_rules();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // No sudo here, no rules.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(files::failed(&folder, &error)),
    };
    let mut found = Vec::new();
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let Some((account, mark)) = sudo::file_name(&name) else { continue };
        let path = folder.join(&name);
        let Some(text) = files::of_owner(&path, places.owner, sudo::LONGEST)
            .map_err(|error| files::failed(&path, &error))?
        else {
            continue;
        };
        let rule = text
            .ok()
            .and_then(|text| sudo::read(&text))
            .filter(|rule| rule.account == account && rule.file() == name);
        found.push(DropIn { mark: mark.to_owned(), file: name, account, rule });
    }
    Ok(found)
}

/// Puts a rule there, in the place of the one for the same right.
///
/// # Errors
/// [`FarError::NoSuchRight`] where sudo cannot end a rule by itself, [`FarError::Failed`] when sudo's rules are at fault without
/// ours. In each case there is no rule that sudo would not end.
pub(super) fn put(
    places: &Places,
    account: &Named,
    command: &SudoCommand,
    asks: SudoAsks,
    until: DateTime<Utc>,
) -> Result<(), FarError> {
    let now = now();
    let not_before = Second::of(now - TimeDelta::seconds(1));
    let not_before =
        not_before.ok_or_else(|| FarError::Failed(format!("the machine's clock is wrong: {now}")))?;
    let rule = Rule {
        account: account.name.clone(),
        token: account.token.clone(),
        command: command.clone(),
        asks,
        not_before,
        not_after: Second::end(until, now)?,
    };
    put_text(places, &rule, &sudo::text(&rule))
}

/// The same for a text that should be the rule's: whatever it is, only that one gets there.
fn put_text(places: &Places, rule: &Rule, text: &str) -> Result<(), FarError> {
    let folder = places.sudo_rules();
    if !folder.is_dir() {
        return Err(FarError::NoSuchRight("there is no sudo on this machine".into()));
    }
    let whole = || run(places, "visudo", &["-c"], None)?.well();
    let theirs = |error| {
        FarError::Failed(format!(
            "`visudo -c` finds a fault in this machine's rules that is not ours: {error}"
        ))
    };
    // A rule that is there does not go for somebody else's fault; a new one is not left beside it.
    if folder.join(rule.file()).symlink_metadata().is_ok() {
        whole().map_err(theirs)?;
    }
    files::put(&folder, &rule.file(), 0o440, text, |unfinished| {
        // What is on the disk, not what was meant to get there.
        let written = files::of_owner(unfinished, places.owner, sudo::LONGEST)
            .map_err(|error| files::failed(unfinished, &error))?;
        if written.and_then(Result::ok).and_then(|text| sudo::read(&text)).as_ref() != Some(rule) {
            return Err(FarError::Failed("a rule of sudo was not written as it was meant".into()));
        }
        let alone = run(places, "visudo", &["-c", "-f", &unfinished.to_string_lossy()], None)?;
        if alone.code == Some(0) {
            return Ok(());
        }
        Err(FarError::NoSuchRight(format!(
            "this machine's sudo does not take a rule that ends by itself; install the classic one, 1.8.20 or later (Ubuntu: sudo.ws): {}",
            alone.failed()
        )))
    })?;
    let Err(after) = whole() else { return Ok(()) };
    files::remove(&folder.join(rule.file()))?;
    whole().map_err(theirs)?;
    Err(FarError::Failed(format!("with this rule sudo's rules are at fault, so it was taken back: {after}")))
}

/// Takes away the rule for a right, as [`DropIn::seen`] names it.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove(places: &Places, account: &Named, right: &str) -> Result<(), FarError> {
    for drop_in in all(places)? {
        if drop_in.account == account.name && drop_in.seen(Some(&account.token)).right == right {
            files::remove(&places.sudo_rules().join(drop_in.file))?;
        }
    }
    Ok(())
}

/// Takes away those that fit.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove_all(places: &Places, fits: impl Fn(&DropIn) -> bool) -> Result<usize, FarError> {
    let mut removed = 0;
    for drop_in in all(places)?.into_iter().filter(fits) {
        removed += usize::from(files::remove(&places.sudo_rules().join(drop_in.file))?);
    }
    Ok(removed)
}

/// Removes what processes that were killed left unfinished. It counts for nothing, so a failure is nothing.
pub(super) fn remove_unfinished(places: &Places) {
    for folder in [places.sudo_rules(), places.keys(), places.home.clone()] {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let is_old = |path: &Path| {
                let changed = fs::symlink_metadata(path).and_then(|about| about.modified()).ok();
                changed.and_then(|at| SystemTime::now().duration_since(at).ok()).is_some_and(|age| age > LEFT)
            };
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_old(&entry.path()) {
                // A home that was being made is a folder.
                let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
