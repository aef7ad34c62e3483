//! The receipt: which files `install` wrote with which contents, so that `uninstall` removes those and no other.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::browsers::Scope;
use super::replace::Readers;
use super::{Done, InstallError, Options, Step, replace};
use crate::places::{STATE_VARIABLE, Surroundings};

/// What stands in the receipt's file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    /// SHA-256 of each file as it was written.
    files: BTreeMap<PathBuf, String>,
    /// Folders that were made for them.
    folders: Vec<PathBuf>,
}

/// The receipt of one scope.
#[derive(Debug)]
pub(super) struct Receipt {
    path: PathBuf,
    written: Written,
}

impl Receipt {
    /// Reads it; none is an empty one. One that cannot be read as a receipt counts as none: files are then left alone.
    pub(super) fn read(around: &Surroundings, scope: Scope) -> Result<Self, InstallError> {
        let folder = match scope {
            Scope::System => around.system_state(),
            Scope::User => match around.variable(STATE_VARIABLE) {
                Some(state) => PathBuf::from(state),
                None => around.state_home().ok_or(InstallError::NoHome)?.join("ticketgate"),
            },
        };
        let path = folder.join("installed.json");
        let written = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            Err(e) if e.kind() == ErrorKind::NotFound => Written::default(),
            Err(error) => return Err(InstallError::File { path, error }),
        };
        Ok(Self { path, written })
    }

    /// Writes a file unless it is right already or somebody else's.
    pub(super) fn write(
        &mut self,
        what: &str,
        path: &Path,
        text: &str,
        how: &Options,
    ) -> Result<Step, InstallError> {
        let step = |done| Ok(Step { what: what.to_owned(), path: path.to_owned(), done });
        let there = contents(path)?;
        if let Some(there) = &there {
            if there == text.as_bytes() {
                if !how.dry_run && self.written.files.get(path) != Some(&hash(there)) {
                    self.note(path, text, Vec::new())?; // Another's receipt is lost; the file is what we would write.
                }
                return step(Done::Unchanged);
            }
            if !self.is_ours(path, there) && !how.force {
                return step(Done::Left);
            }
        }
        if !how.dry_run {
            let made = replace::write(path, text, readers(how.scope)).map_err(InstallError::file(path))?;
            self.note(path, text, made)?;
        }
        step(Done::Written)
    }

    /// Removes a file that we wrote, and the folders made for it when they are empty.
    pub(super) fn remove(&mut self, what: &str, path: &Path, how: &Options) -> Result<Step, InstallError> {
        let step = |done| Ok(Step { what: what.to_owned(), path: path.to_owned(), done });
        let Some(there) = contents(path)? else {
            if !how.dry_run && self.written.files.remove(path).is_some() {
                self.save()?;
            }
            return step(Done::Absent);
        };
        if !self.is_ours(path, &there) && !how.force {
            return step(Done::Left);
        }
        if !how.dry_run {
            fs::remove_file(path).map_err(InstallError::file(path))?;
            if let Some(folder) = path.parent() {
                replace::flush_folder(folder).map_err(InstallError::file(folder))?;
            }
            self.written.files.remove(path);
            self.remove_empty_folders();
            self.save()?;
        }
        step(Done::Removed)
    }

    /// Units among the files written.
    pub(super) fn units(&self) -> Vec<PathBuf> {
        let unit = |path: &&PathBuf| path.extension().is_some_and(|e| e == "service" || e == "timer");
        self.written.files.keys().filter(unit).cloned().collect()
    }

    fn is_ours(&self, path: &Path, there: &[u8]) -> bool {
        self.written.files.get(path).is_some_and(|written| *written == hash(there))
    }

    fn note(&mut self, path: &Path, text: &str, made: Vec<PathBuf>) -> Result<(), InstallError> {
        self.written.files.insert(path.to_owned(), hash(text.as_bytes()));
        self.written.folders.extend(made);
        self.save()
    }

    /// Innermost first. Another's file in a folder keeps it.
    fn remove_empty_folders(&mut self) {
        self.written.folders.sort();
        self.written.folders.dedup();
        let folders = std::mem::take(&mut self.written.folders);
        let kept =
            folders.into_iter().rev().filter(|folder| fs::remove_dir(folder).is_err() && folder.exists());
        self.written.folders = kept.collect();
    }

    fn save(&self) -> Result<(), InstallError> {
        let failed = InstallError::file(&self.path);
        if self.written.files.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(e)),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(&self.written).unwrap_or_default();
        // The user's receipt is in the state folder, which nobody else may enter.
        replace::write(&self.path, &text, Readers::Owner).map(drop).map_err(failed)
    }
}

/// A user's browsers read as that user; the machine's files are for every user's.
const fn readers(scope: Scope) -> Readers {
    match scope {
        Scope::User => Readers::Owner,
        Scope::System => Readers::Everyone,
    }
}

fn contents(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InstallError::File { path: path.to_owned(), error }),
    }
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
