//! Reading a file of root's within a bound, and putting one in the place of another as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::FarError;

/// How an unfinished file's name begins. `sudo` and `cron` skip names with a `.`, so it counts for nothing.
pub(super) const UNFINISHED: &str = ".ticketgate-";

/// A database as text; bytes that are no text are of nobody's name.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn text(path: &Path) -> Result<String, FarError> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| failed(path, &error))
}

/// A file that its owner made and only the owner can have written, of at most so many bytes. Anything else is `Err(())`: what stands in it
/// does not count.
pub(super) fn of_owner(path: &Path, owner: u32, longest: u64) -> io::Result<Option<Result<String, ()>>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(Some(Err(())));
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file()
        || about.uid() != owner
        || about.permissions().mode() & 0o022 != 0
        || about.len() > longest
    {
        return Ok(Some(Err(())));
    }
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8(bytes).map_err(|_| ())))
}

/// A name for something unfinished that nothing else has.
///
/// # Errors
/// [`FarError::Failed`] without randomness.
pub(super) fn unfinished() -> Result<String, FarError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| FarError::Failed(format!("no randomness: {error}")))?;
    let letters: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{UNFINISHED}{letters}"))
}

/// Writes a file that is whole or not there: under another name first, `check`ed there, and then renamed.
///
/// # Errors
/// [`FarError::Failed`], and what `check` says; then nothing has changed.
pub(super) fn put(
    folder: &Path,
    name: &str,
    mode: u32,
    text: &str,
    check: impl FnOnce(&Path) -> Result<(), FarError>,
) -> Result<(), FarError> {
    let unfinished = folder.join(self::unfinished()?);
    let written = write_new(&unfinished, mode, text).map_err(|error| failed(&unfinished, &error));
    let place = folder.join(name);
    let placed = written
        .and_then(|()| check(&unfinished))
        .and_then(|()| fs::rename(&unfinished, &place).map_err(|error| failed(&place, &error)));
    if placed.is_err() {
        let _ = fs::remove_file(&unfinished);
        return placed;
    }
    sync(folder)
}

/// Writes a file that is not there yet, down to the disk.
pub(super) fn write_new(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    // `create_new`: neither a file nor a link that is there already is taken.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // Whatever the caller's umask takes away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes a file; whether it was there.
///
/// # Errors
/// [`FarError::Failed`]
pub(super) fn remove(path: &Path) -> Result<bool, FarError> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Makes what was renamed or removed in a folder outlast a cut of the power.
fn sync(folder: &Path) -> Result<(), FarError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, &error))
}

pub(super) fn failed(path: &Path, error: &io::Error) -> FarError {
    FarError::Failed(format!("{}: {error}", path.display()))
}
