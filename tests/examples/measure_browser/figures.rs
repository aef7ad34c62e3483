//! What is printed: one figure a line, with every sample, so that their distribution can be drawn.

use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Samples of a thing and of its baseline, taken in turn.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    /// The thing.
    pub(crate) value: Vec<f64>,
    /// Its baseline.
    pub(crate) baseline: Vec<f64>,
}

impl Pairs {
    /// Prints a share of the distribution (0.5: the median) as a figure. `reach` is how far the value may lie above the
    /// baseline, in `unit`; a figure without one is there to compare others with.
    pub(crate) fn figure(
        &self,
        name: &str,
        unit: &str,
        share: f64,
        reach: impl Into<Option<f64>>,
        note: &str,
    ) {
        let (value, baseline) = (quantile(&self.value, share), quantile(&self.baseline, share));
        let spread = (quantile(&self.value, 0.9) - quantile(&self.value, 0.1)) / 2.0;
        let above = value - baseline;
        let note = format!("{above:+.2} {unit} above the baseline; n = {}; {note}", self.value.len());
        let line = json!({
            "name": name, "unit": unit, "value": value, "baseline": baseline, "ratio": value / baseline,
            "spread": spread, "note": note, "samples": {"value": rounded(&self.value), "baseline": rounded(&self.baseline)},
            "reach": reach.into().map(|reach: f64| json!({"more_at_most": reach})),
        });
        println!("{line}");
    }
}

/// Prints a number of bytes as a figure; `reach` is as the bench reads it.
pub(crate) fn weight(name: &str, bytes: u64, baseline: Option<u64>, reach: Option<&Value>, note: &str) {
    let kilobytes = |bytes: u64| bytes as f64 / 1e3;
    let line = json!({
        "name": name, "unit": "KB", "value": kilobytes(bytes), "baseline": baseline.map(kilobytes),
        "ratio": baseline.map(|baseline| bytes as f64 / baseline as f64), "spread": null, "note": note, "reach": reach,
    });
    println!("{line}");
}

fn rounded(samples: &[f64]) -> Vec<f64> {
    samples.iter().map(|one| (one * 1000.0).round() / 1000.0).collect()
}

/// A share of a distribution: 0.5 is the median.
pub(crate) fn quantile(times: &[f64], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Now, in milliseconds since 1970: what `performance.timeOrigin + performance.now()` says in any process of the browser.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
