//! The table of figures: on the terminal, and between two marks of README.md, with the machine that it was measured on.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};

use super::measure::{Measure, earlier};
use crate::tree::{Tree, read, write};

const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --publish` -->";
const END: &str = "<!-- end of figures -->";

/// Shows the figures on the terminal.
pub(super) fn show(measures: &[Measure]) {
    println!(
        "\n{:<52} {:>12} {:>12} {:>8} {:>10} {:>20}  note",
        "what", "value", "baseline", "ratio", "spread", "reach"
    );
    for measure in measures {
        let optional = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), number);
        println!(
            "{:<52} {:>12} {:>12} {:>8} {:>10} {:>20}  {}",
            format!("{} ({})", measure.name, measure.unit),
            number(measure.value),
            optional(measure.baseline),
            optional(measure.ratio),
            optional(measure.spread),
            verdict(measure),
            measure.note
        );
    }
}

/// Writes the last run's table into README.md and, with every note, into docs/figures.md.
pub(super) fn publish(tree: &Tree) -> Result<()> {
    let summary = tree.made("bench/summary.json");
    let measures = earlier(&summary)?;
    if measures.is_empty() {
        bail!("nothing was measured yet; run `cargo xtask bench` first");
    }
    if last_day(&measures).is_empty() {
        bail!(
            "{} does not say on which days its figures were measured; run `cargo xtask bench`",
            summary.display()
        );
    }
    let machine = measured(&measures, &machine());
    let readme = tree.path("README.md");
    let between = format!("\n{machine}\n\n{}\n", table(&measures));
    write(&readme, replaced(&read(&readme)?, &between).context("README.md")?.as_bytes())?;
    let page = format!(
        "# Figures\n\nWritten by `cargo xtask bench --publish` out of the last run; how each is measured stands in its note.\n\
         {machine}\n\n{}\n## Notes\n\n{}",
        table(&measures),
        notes(&measures)
    );
    write(&tree.path("docs/figures.md"), page.as_bytes())?;
    println!("written to README.md and docs/figures.md");
    Ok(())
}

/// When and on what: the last day, and that rows of other days name theirs.
fn measured(measures: &[Measure], machine: &str) -> String {
    let last = last_day(measures);
    let others = measures.iter().any(|measure| measure.day != last);
    let others = if others { " Where a figure is of another day, it stands beside its name." } else { "" };
    format!("Measured on {last} on {machine}.{others}")
}

fn last_day(measures: &[Measure]) -> &str {
    measures.iter().map(|measure| measure.day.as_str()).max().unwrap_or_default()
}

/// The text with what stands between the marks replaced.
fn replaced(text: &str, between: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("it has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("it has no line {END}"))?;
    Ok(format!("{before}{BEGIN}\n{between}\n{END}{after}"))
}

fn table(measures: &[Measure]) -> String {
    let mut table =
        "| figure | value | baseline | ratio | to reach | |\n| --- | ---: | ---: | ---: | --- | --- |\n"
            .to_owned();
    let last = last_day(measures);
    for measure in measures {
        let day = match measure.day.as_str() {
            day if day == last => String::new(),
            "" => " (of an earlier day)".to_owned(),
            day => format!(" ({day})"),
        };
        let baseline =
            measure.baseline.map(|b| format!("{} {}", number(b), measure.unit)).unwrap_or_default();
        let reach = measure.reach.map(|reach| reach.text(&measure.unit)).unwrap_or_default();
        let _ = writeln!(
            table,
            "| {}{day} | {} {} | {baseline} | {} | {reach} | {} |",
            measure.name,
            number(measure.value),
            measure.unit,
            measure.ratio.map(number).unwrap_or_default(),
            met(measure),
        );
    }
    table
}

fn notes(measures: &[Measure]) -> String {
    let mut notes = String::new();
    for measure in measures.iter().filter(|measure| !measure.note.is_empty()) {
        let _ = writeln!(notes, "- **{}**: {}", measure.name, measure.note);
    }
    notes
}

fn verdict(measure: &Measure) -> String {
    let Some(reach) = measure.reach else { return "-".to_owned() };
    format!("{} {}", reach.text(&measure.unit), met(measure))
}

fn met(measure: &Measure) -> &'static str {
    match measure.reach.map(|reach| reach.is_met(measure)) {
        None => "",
        Some(Some(true)) => "reached",
        Some(Some(false)) => "**missed**",
        Some(None) => "no baseline",
    }
}

/// Three digits that count, without an exponent.
fn number(figure: f64) -> String {
    let size = figure.abs();
    if size >= 100.0 {
        format!("{figure:.0}")
    } else if size >= 10.0 {
        format!("{figure:.1}")
    } else if size >= 1.0 || size == 0.0 {
        format!("{figure:.2}")
    } else {
        format!("{figure:.3}")
    }
}

/// Processor, cores, memory and kernel of this machine, as far as Linux tells them.
fn machine() -> String {
    let told = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    let processor = told("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = told("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| format!(", {:.0} GiB of memory", kib as f64 / f64::from(1 << 20)))
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| std::env::consts::OS.to_owned(), |release| format!("Linux {}", release.trim()));
    format!("{processor}, {cores} cores{memory}, {kernel}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measure::Reach;

    fn figure(reach: Option<Reach>) -> Measure {
        Measure {
            name: "x".to_owned(),
            unit: "ms".to_owned(),
            value: 12.34,
            baseline: Some(10.0),
            ratio: Some(1.234),
            spread: None,
            note: "how".to_owned(),
            reach,
            bench: "one".to_owned(),
            day: "2026-01-02".to_owned(),
        }
    }

    #[test]
    fn a_figure_of_another_day_than_the_last_names_its_own() {
        let of = |day: &str| Measure { day: day.to_owned(), ..figure(None) };
        let measures = [of("2026-01-02"), of("2025-12-31"), of("")];
        let table = table(&measures);
        let rows: Vec<_> = table.lines().skip(2).filter_map(|row| row.split(" | ").next()).collect();
        assert_eq!(rows, ["| x", "| x (2025-12-31)", "| x (of an earlier day)"]);
        let said = measured(&measures, "a machine");
        assert!(said.starts_with("Measured on 2026-01-02 on a machine. Where"), "{said}");
        assert_eq!(measured(&measures[..1], "a machine"), "Measured on 2026-01-02 on a machine.");
    }

    #[test]
    fn the_table_says_what_was_reached_and_what_was_missed() {
        let table = table(&[
            figure(Some(Reach::RatioAtMost(1.25))),
            figure(Some(Reach::ValueAtMost(12.0))),
            figure(None),
        ]);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| x | 12.3 ms | 10.0 ms | 1.23 | ≤ 1.25 × | reached |",
                "| x | 12.3 ms | 10.0 ms | 1.23 | ≤ 12 ms | **missed** |",
                "| x | 12.3 ms | 10.0 ms | 1.23 |  |  |",
            ]
        );
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter");
        assert_eq!(replaced(&text, "new").unwrap(), format!("before\n{BEGIN}\nnew\n{END}\nafter"));
        assert!(replaced("no marks", "new").is_err());
    }
}
