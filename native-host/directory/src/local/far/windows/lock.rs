//! One request at a time on a machine: those of several brokers' links, and the task's.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::FarError;

/// More than a step takes; less than a broker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(5);

/// Holds the machine until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Waits for its turn.
///
/// # Errors
/// [`FarError::Busy`] when another takes too long, [`FarError::NotAllowed`] where the file is not ours to open.
pub(super) fn wait(path: &Path) -> Result<Lock, FarError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| {
        let why = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => FarError::NotAllowed(why),
            _ => FarError::Failed(why),
        }
    })?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(BETWEEN),
            Err(TryLockError::WouldBlock) => {
                return Err(FarError::Busy("another request is being carried out".into()));
            }
            Err(TryLockError::Error(error)) => {
                return Err(FarError::Failed(format!("{}: {error}", path.display())));
            }
        }
    }
}
