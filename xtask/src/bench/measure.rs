//! A figure: how a bench hands it over, how it is kept in `summary.json`, and whether it is as good as it has to be.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One figure. `baseline` is the same thing done in the plainest way that works, `ratio` is value over baseline,
/// `spread` is half of the range between the 10th and 90th percentile, in the figure's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measure {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) value: f64,
    pub(super) baseline: Option<f64>,
    pub(super) ratio: Option<f64>,
    pub(super) spread: Option<f64>,
    pub(super) note: String,
    /// How good it has to be, where something was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reach: Option<Reach>,
    /// Which bench measured it, and on which day (`2026-01-02`); set when it is kept.
    #[serde(default)]
    pub(super) bench: String,
    /// See `bench`.
    #[serde(default)]
    pub(super) day: String,
}

/// How good a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reach {
    /// At most so many times the baseline.
    RatioAtMost(f64),
    /// At least so many times the baseline.
    RatioAtLeast(f64),
    /// At most this, in the figure's unit.
    ValueAtMost(f64),
    /// At most this much more than the baseline, in the figure's unit.
    MoreAtMost(f64),
}

/// What an example prints, one a line: the figure, and what is only drawn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct Printed {
    #[serde(flatten)]
    pub(super) measure: Measure,
    /// Every single measurement, in the figure's unit.
    #[serde(default)]
    pub(super) samples: Option<Samples>,
    /// How the figure grows: pairs of a size and a value in the figure's unit.
    #[serde(default)]
    pub(super) curve: Vec<(f64, f64)>,
    /// What the sizes are (`open sessions`).
    #[serde(default)]
    pub(super) curve_of: String,
}

/// Single measurements.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Samples {
    pub(super) value: Vec<f64>,
    #[serde(default)]
    pub(super) baseline: Vec<f64>,
}

impl From<Measure> for Printed {
    fn from(measure: Measure) -> Self {
        Self { measure, samples: None, curve: Vec::new(), curve_of: String::new() }
    }
}

impl Reach {
    /// Whether it was reached; `None` when the figure lacks the baseline that this is about.
    pub(super) fn is_met(self, measure: &Measure) -> Option<bool> {
        Some(match self {
            Self::RatioAtMost(most) => measure.ratio? <= most,
            Self::RatioAtLeast(least) => measure.ratio? >= least,
            Self::ValueAtMost(most) => measure.value <= most,
            Self::MoreAtMost(most) => measure.value - measure.baseline? <= most,
        })
    }

    /// As tables say it.
    pub(super) fn text(self, unit: &str) -> String {
        match self {
            Self::RatioAtMost(most) => format!("≤ {most} ×"),
            Self::RatioAtLeast(least) => format!("≥ {least} ×"),
            Self::ValueAtMost(most) => format!("≤ {most} {unit}"),
            Self::MoreAtMost(most) => format!("+ ≤ {most} {unit}"),
        }
    }
}

/// A line of an example.
pub(super) fn read(source: &str, line: &str) -> Result<Printed> {
    serde_json::from_str(line)
        .with_context(|| format!("{source} printed something that is no measure: {line}"))
}

/// The figures of earlier runs; none where nothing was measured yet.
pub(super) fn earlier(summary: &Path) -> Result<Vec<Measure>> {
    if !summary.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read(summary).with_context(|| format!("cannot read {}", summary.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is no list of figures; delete it", summary.display()))
}

/// Earlier figures with those of a bench's new run instead of its earlier ones, in the order of `benches`.
pub(super) fn merged(earlier: Vec<Measure>, bench: &str, new: &[Measure], benches: &[&str]) -> Vec<Measure> {
    let is_new = |old: &Measure| new.iter().any(|new| new.name == old.name);
    let mut all: Vec<_> = earlier.into_iter().filter(|old| old.bench != bench && !is_new(old)).collect();
    all.extend_from_slice(new);
    // Benches that are no more come last.
    all.sort_by_key(|one| benches.iter().position(|bench| *bench == one.bench).unwrap_or(benches.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: f64, baseline: Option<f64>) -> Measure {
        Measure {
            name: name.to_owned(),
            unit: "ms".to_owned(),
            value,
            baseline,
            ratio: baseline.map(|baseline| value / baseline),
            spread: None,
            note: String::new(),
            reach: None,
            bench: "one".to_owned(),
            day: "2026-01-02".to_owned(),
        }
    }

    #[test]
    fn a_measure_of_an_example_is_read_and_chatter_is_refused() {
        let line = r#"{"name":"x","unit":"µs","value":2.0,"baseline":1.0,"ratio":2.0,"spread":0.1,"note":"",
            "reach":{"ratio_at_most":1.5},"samples":{"value":[1,2]},"curve":[[1,2],[10,4]],"curve_of":"things"}"#;
        let printed = read("x", line).unwrap();
        assert_eq!(printed.measure.ratio, Some(2.0));
        assert_eq!(printed.measure.reach, Some(Reach::RatioAtMost(1.5)));
        assert_eq!(printed.samples.unwrap().value, [1.0, 2.0]);
        assert_eq!(printed.curve, [(1.0, 2.0), (10.0, 4.0)]);
        assert!(read("x", "done").is_err());
    }

    #[test]
    fn what_is_only_drawn_is_not_in_the_summary() {
        let line = r#"{"name":"x","unit":"ms","value":2.0,"baseline":null,"ratio":null,"spread":null,"note":"",
            "samples":{"value":[1,2]}}"#;
        let kept = serde_json::to_value(read("x", line).unwrap().measure).unwrap();
        let keys: Vec<_> = kept.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["baseline", "bench", "day", "name", "note", "ratio", "spread", "unit", "value"]);
    }

    #[test]
    fn a_run_of_one_bench_replaces_its_figures_and_leaves_those_of_the_others_in_order() {
        let of =
            |bench: &str, name: &str, value| Measure { bench: bench.to_owned(), ..figure(name, value, None) };
        let earlier =
            vec![of("two", "a", 1.0), of("one", "b", 2.0), of("one", "gone", 2.0), of("", "c", 2.0)];
        let new = [of("one", "b", 3.0), of("one", "c", 4.0)];
        let after = merged(earlier, "one", &new, &["one", "two"]);
        assert_eq!(after, [of("one", "b", 3.0), of("one", "c", 4.0), of("two", "a", 1.0)]);
    }

    #[test]
    fn a_reach_is_about_the_ratio_the_value_or_the_difference() {
        let measure = figure("x", 120.0, Some(100.0));
        for (reach, met) in [
            (Reach::RatioAtMost(1.2), true),
            (Reach::RatioAtMost(1.1), false),
            (Reach::RatioAtLeast(1.2), true),
            (Reach::RatioAtLeast(1.3), false),
            (Reach::ValueAtMost(120.0), true),
            (Reach::ValueAtMost(119.0), false),
            (Reach::MoreAtMost(20.0), true),
            (Reach::MoreAtMost(19.0), false),
        ] {
            assert_eq!(reach.is_met(&measure), Some(met), "{reach:?}");
        }
        assert_eq!(Reach::RatioAtMost(1.0).is_met(&figure("x", 1.0, None)), None);
    }
}
