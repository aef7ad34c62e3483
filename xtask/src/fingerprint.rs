//! A hash over files and words: equal hash, nothing to build. Looks at content only, never at times.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::tree::files_below;

/// Collects what a made thing depends on.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// A setting that changes what is made.
    pub(crate) fn word(mut self, word: &str) -> Self {
        self.part(b"word", word.as_bytes());
        self
    }

    /// A file with its name, or everything below a folder.
    pub(crate) fn path(mut self, base: &Path, relative: &str) -> Result<Self> {
        let whole = base.join(relative);
        if whole.is_dir() {
            for file in files_below(&whole)? {
                self.file(&whole.join(&file), &PathBuf::from(relative).join(&file))?;
            }
        } else {
            self.file(&whole, Path::new(relative))?;
        }
        Ok(self)
    }

    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }

    fn file(&mut self, path: &Path, name: &Path) -> Result<()> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.part(name.to_string_lossy().as_bytes(), &content);
        Ok(())
    }

    /// Lengths first, so that no two different lists of parts look the same.
    fn part(&mut self, name: &[u8], content: &[u8]) {
        self.0.update(name.len().to_le_bytes());
        self.0.update(name);
        self.0.update(content.len().to_le_bytes());
        self.0.update(content);
    }
}

/// Whether `mark` says that this fingerprint was the last one made.
pub(crate) fn is_current(mark: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(mark).is_ok_and(|old| old == fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path) -> String {
        Fingerprint::new().path(folder, "src").unwrap().finish()
    }

    #[test]
    fn a_changed_renamed_or_added_file_changes_the_fingerprint_and_a_touched_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let src = folder.path().join("src");
        fs::create_dir(&src).unwrap();
        fs::write(src.join("a"), "one").unwrap();
        let first = of(folder.path());
        fs::write(src.join("a"), "one").unwrap();
        assert_eq!(of(folder.path()), first);
        fs::write(src.join("a"), "two").unwrap();
        let changed = of(folder.path());
        assert_ne!(changed, first);
        fs::rename(src.join("a"), src.join("b")).unwrap();
        let renamed = of(folder.path());
        assert_ne!(renamed, changed);
        fs::write(src.join("c"), "").unwrap();
        assert_ne!(of(folder.path()), renamed);
    }
}
