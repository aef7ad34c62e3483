//! The file with the key that signs the audit log's checkpoints: made once, read at every start. Signing happens elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};
use zeroize::Zeroizing;

use crate::{LedgerError, failure};

/// Reads the key, or answers `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<SigningKey>, LedgerError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure::file("the audit log's signing key", path, &error)),
    };
    refuse_if_shared(path, &file)?;
    // One byte more than a key has room for, so that a longer file is noticed without being read whole.
    let mut bytes = Zeroizing::new([0u8; SECRET_KEY_LENGTH + 1]);
    let length = fill(&mut file, bytes.as_mut_slice())
        .map_err(|error| failure::file("the audit log's signing key", path, &error))?;
    match bytes.split_last_chunk::<1>() {
        Some((key, _)) if length == SECRET_KEY_LENGTH => {
            let key = Zeroizing::new(<[u8; SECRET_KEY_LENGTH]>::try_from(key).unwrap_or_default());
            Ok(Some(SigningKey::from_bytes(&key)))
        }
        _ => Err(LedgerError::Damaged(format!(
            "the audit log's signing key {} is not a key of {SECRET_KEY_LENGTH} bytes; restore it from a backup",
            path.display()
        ))),
    }
}

/// Makes a new key in a new file for the owner alone. The caller holds the ledger's write lock, so that no two
/// processes do this at once.
pub(crate) fn create(path: &Path) -> Result<SigningKey, LedgerError> {
    let mut secret = Zeroizing::new([0u8; SECRET_KEY_LENGTH]);
    getrandom::fill(secret.as_mut_slice())
        .map_err(|error| LedgerError::Unavailable(format!("the system gives no randomness: {error}")))?;
    write(path, secret.as_slice())
        .map_err(|error| failure::file("the audit log's signing key", path, &error))?;
    Ok(SigningKey::from_bytes(&secret))
}

/// Written beside and renamed, so that a crash never leaves half a key under the final name.
fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(secret)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&unfinished, path)?;
    // A name is durable when its folder is.
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn fill(file: &mut File, mut room: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while !room.is_empty() {
        match file.read(room)? {
            0 => break,
            read => {
                length += read;
                room = room.get_mut(read..).unwrap_or_default();
            }
        }
    }
    Ok(length)
}

#[cfg(unix)]
fn refuse_if_shared(path: &Path, file: &File) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        file.metadata().map_err(|error| failure::file("the audit log's signing key", path, &error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(LedgerError::Unavailable(format!(
        "the audit log's signing key {0} can be used by other users; run `chmod 600 {0}`",
        path.display()
    )))
}

#[cfg(windows)]
fn refuse_if_shared(path: &Path, _: &File) -> Result<(), LedgerError> {
    use ticketgate_windows::{access_list::Against, files::open_to_others};
    match open_to_others(path, Against::Readers) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(LedgerError::Unavailable(format!("the audit log's signing key {why}"))),
        Err(error) => Err(failure::file("the audit log's signing key", path, &error)),
    }
}
