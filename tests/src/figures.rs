//! What the programs that measure share.

use std::time::Instant;

use crate::Result;

/// The value below which this share of the times lies; not a number where there are none.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a count of measurements")]
pub fn quantile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// How long work takes, in milliseconds.
///
/// # Errors
/// Those of the work.
pub fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}
