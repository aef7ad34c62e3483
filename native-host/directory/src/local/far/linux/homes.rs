//! An account's home, made when the account is opened and not when it is made: `useradd` would make it before the account is in
//! the databases, and killed between the two it leaves a folder that is nobody's and that the next attempt must not take.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown, symlink};
use std::path::Path;

use super::look::Found;
use super::{FarError, Places, files};
use crate::local::AccountName;

/// Makes it as a copy of `skel` where it is missing, under another name first, so that it is whole or not there. For its owner
/// alone. A home that somebody moved elsewhere is that one's to make.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn ensure(places: &Places, name: &AccountName, found: &Found) -> Result<(), FarError> {
    let home = places.home.join(name.as_str());
    if Path::new(&found.seen.home) != home || home.symlink_metadata().is_ok() {
        return Ok(());
    }
    let unfinished = places.home.join(files::unfinished()?);
    let made = make(&places.etc.join("skel"), &unfinished, (found.uid, found.gid));
    made.and_then(|()| fs::rename(&unfinished, &home)).map_err(|error| {
        let _ = fs::remove_dir_all(&unfinished);
        files::failed(&home, &error)
    })
}

fn make(skel: &Path, home: &Path, owner: (u32, u32)) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(home)?;
    copy(skel, home, owner)?;
    lchown(home, Some(owner.0), Some(owner.1))
}

fn copy(from: &Path, to: &Path, owner: (u32, u32)) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (kind, there) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            DirBuilder::new().mode(entry.metadata()?.mode() & 0o777).create(&there)?;
            copy(&entry.path(), &there, owner)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &there)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &there)?;
        } else {
            continue;
        }
        lchown(&there, Some(owner.0), Some(owner.1))?;
    }
    Ok(())
}
