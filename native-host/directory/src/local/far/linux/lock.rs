//! One request at a time on a machine: those of several brokers' links, and the timer's.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{FarError, Places};

const FILE: &str = "ticketgate-local.lock";
/// More than a step with a few programs takes; less than a broker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(5);

/// Holds the machine until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

/// Waits for its turn.
///
/// # Errors
/// [`FarError::Busy`] when another takes too long.
pub(super) fn wait(places: &Places) -> Result<Lock, FarError> {
    let path = places.run.join(FILE);
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_link)
        .open(&path);
    let file = file.map_err(|error| FarError::Failed(format!("{}: {error}", path.display())))?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if Instant::now() < until => {
                std::thread::sleep(BETWEEN);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(FarError::Busy("another request is being carried out".into()));
            }
            Err(error) => return Err(FarError::Failed(format!("{}: {error}", path.display()))),
        }
    }
}
