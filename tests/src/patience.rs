//! Waiting for something that another process does: ask again and again, with a limit, and fail with a sentence.

use crate::{Result, interrupt};
use anyhow::bail;
use std::time::{Duration, Instant};

/// How long the things a test waits for may take on a busy machine. Meeting the limit is a failure, so it is wide.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Between two looks. Short, because a look costs next to nothing and the waiting adds up over a test run.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer. `what` completes the sentence "waited 20 s for …".
///
/// # Errors
/// The limit is reached, or `look` itself fails, or somebody asked for the end.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_in_any_case(what, limit, || {
        interrupt::check()?;
        look()
    })
}

/// [`wait_for`] also when somebody asked for the end: for what has to be gone before its place is cleared.
///
/// # Errors
/// The limit is reached, or `look` itself fails.
pub(crate) fn wait_in_any_case<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if started.elapsed() >= limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// [`wait_for`] with a yes or no.
///
/// # Errors
/// As [`wait_for`].
pub fn until(what: &str, limit: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(what, limit, || Ok(look()?.then_some(())))
}
