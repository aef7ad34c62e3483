//! Figures as pictures: how single measurements are distributed, beside those of the baseline, and how a figure grows with a
//! size. One SVG a picture; nothing here decides what is measured.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kuva::backend::svg::SvgBackend;
use kuva::plot::scatter::MarkerShape;
use kuva::plot::{EcdfPlot, LegendPosition, LinePlot, ScatterPlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use super::measure::{Measure, Printed, Samples};
use crate::tree::write;

const VALUE: &str = "#0b6e99";
const BASELINE: &str = "#c2571a";

/// Above this factor between the ends of an axis it is logarithmic.
const WIDE: f64 = 30.0;

/// Draws what the figure brought along; answers the files.
pub(super) fn pictures(printed: &Printed, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    if let Some(samples) = &printed.samples
        && samples.value.len() > 1
    {
        drawn.push(put(
            folder,
            &file_name(&printed.measure.name, ""),
            &distribution(&printed.measure, samples),
        )?);
    }
    if printed.curve.len() > 1 {
        let name = file_name(&printed.measure.name, "-growth");
        drawn.push(put(folder, &name, &growth(&printed.measure, &printed.curve, &printed.curve_of))?);
    }
    Ok(drawn)
}

fn put(folder: &Path, name: &str, svg: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    write(&path, svg.as_bytes())?;
    Ok(path)
}

/// The share of measurements that were no more than so much, for value and baseline.
fn distribution(measure: &Measure, samples: &Samples) -> String {
    let mut plot = EcdfPlot::new().with_data_colored(
        format!("value, n = {}", samples.value.len()),
        samples.value.iter().copied(),
        VALUE,
    );
    if !samples.baseline.is_empty() {
        let label = format!("baseline, n = {}", samples.baseline.len());
        plot = plot.with_data_colored(label, samples.baseline.iter().copied(), BASELINE);
    }
    let plots =
        vec![Plot::Ecdf(plot.with_legend("").with_stroke_width(2.0).with_percentile_lines(vec![0.5, 0.99]))];
    let mut layout = framed(&plots, &measure.name)
        .with_x_label(&measure.unit)
        .with_y_label("share of measurements")
        .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(|share| {
            format!("{:.0} %", share * 100.0)
        })));
    if is_wide(samples.value.iter().chain(&samples.baseline).copied()) {
        layout = layout.with_log_x();
    }
    SvgBackend::new().render_scene(&render_multiple(plots, layout))
}

/// The figure at each size.
fn growth(measure: &Measure, curve: &[(f64, f64)], of: &str) -> String {
    let line = LinePlot::new().with_data(curve.iter().copied()).with_color(VALUE).with_stroke_width(2.0);
    let points = ScatterPlot::new()
        .with_data(curve.iter().copied())
        .with_color(VALUE)
        .with_marker(MarkerShape::Circle);
    let plots = vec![Plot::Line(line), Plot::Scatter(points)];
    let mut layout = framed(&plots, &measure.name).with_x_label(of).with_y_label(&measure.unit);
    if is_wide(curve.iter().map(|(size, _)| *size)) {
        layout = layout.with_log_x();
    }
    if is_wide(curve.iter().map(|(_, value)| *value)) {
        layout = layout.with_log_y();
    } else {
        layout = layout.with_y_axis_min(0.0);
    }
    SvgBackend::new().render_scene(&render_multiple(plots, layout))
}

fn framed(plots: &[Plot], title: &str) -> Layout {
    Layout::auto_from_plots(plots)
        .with_width(760.0)
        .with_height(440.0)
        .with_title(title)
        .with_font_family("system-ui, sans-serif")
        // Wide enough on the right for the half of the last tick that stands out.
        .with_force_margins(80.0, 40.0)
        .with_legend_position(LegendPosition::InsideBottomRight)
}

/// Whether the numbers are all positive and far apart.
fn is_wide(numbers: impl Iterator<Item = f64>) -> bool {
    let (low, high) = numbers.fold((f64::MAX, 0.0_f64), |(low, high), n| (low.min(n), high.max(n)));
    low > 0.0 && high / low > WIDE
}

fn file_name(name: &str, kind: &str) -> String {
    let mut file = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() {
            file.extend(c.to_lowercase());
        } else if !file.ends_with('-') && !file.is_empty() {
            file.push('-');
        }
    }
    format!("{}{kind}.svg", file.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_named_after_its_figure() {
        assert_eq!(file_name("activation, new account, p99", ""), "activation-new-account-p99.svg");
        assert_eq!(file_name("memory (RSS)", "-growth"), "memory-rss-growth.svg");
    }

    #[test]
    fn what_is_positive_and_far_apart_needs_a_logarithmic_axis() {
        assert!(is_wide([0.1, 10.0].into_iter()));
        assert!(!is_wide([1.0, 10.0].into_iter()));
        assert!(!is_wide([0.0, 10.0].into_iter()));
    }

    #[test]
    fn samples_and_a_curve_become_a_picture_each() {
        let line = r#"{"name":"x y","unit":"ms","value":2.0,"baseline":1.0,"ratio":2.0,"spread":0.1,"note":"",
            "samples":{"value":[1.0,2.0,90.0],"baseline":[1.0,1.5]},"curve":[[10,2],[100000,4]],"curve_of":"things"}"#;
        let folder = tempfile::tempdir().unwrap();
        let drawn = pictures(&super::super::measure::read("x", line).unwrap(), folder.path()).unwrap();
        let names: Vec<_> = drawn.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["x-y.svg", "x-y-growth.svg"]);
        let distribution = std::fs::read_to_string(&drawn[0]).unwrap();
        assert!(distribution.contains("baseline, n = 2") && distribution.contains("share of measurements"));
        assert!(std::fs::read_to_string(&drawn[1]).unwrap().contains("things"));
    }
}
