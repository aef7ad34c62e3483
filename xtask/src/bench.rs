//! `cargo xtask bench`: runs what is registered here and writes `target/bench/summary.json`, a list of
//! `{name, unit, value, baseline, ratio, spread, note}`. Measuring itself happens in the registered benches.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cargo::native;
use crate::steps::{Steps, output};
use crate::tree::{Tree, files_below, write};
use crate::{build, setup, wasm};

/// Options of `bench`.
#[derive(clap::Args)]
#[command(
    after_help = "Figures are of this machine at this moment. Compare only what was measured on one machine, one \
after the other, with nothing else running."
)]
pub(crate) struct Args {
    /// Only benches whose name contains this
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// List the benches and run none
    #[arg(long)]
    list: bool,
}

/// One figure. `baseline` is the same thing done in the plainest way that works, `ratio` is value over baseline,
/// `spread` is half of the range between the 10th and 90th percentile, in the figure's unit.
#[derive(Serialize, Deserialize)]
struct Measure {
    name: String,
    unit: String,
    value: f64,
    baseline: Option<f64>,
    ratio: Option<f64>,
    spread: Option<f64>,
    note: String,
}

/// A registered bench.
struct Bench {
    name: &'static str,
    what: &'static str,
    how: How,
}

/// How a bench measures.
enum How {
    /// In this process.
    Here(fn(&Tree, &mut Steps) -> Result<Vec<Measure>>),
    /// An example of a package, built for release, that prints one [`Measure`] a line.
    Example { package: &'static str, example: &'static str, needs: Needs },
}

/// What an example's measuring needs beside itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing.
    Nothing,
    /// The release binary and the programs of the demo's world.
    World,
    /// The same, and the extension as it is shipped.
    Browser,
}

const BENCHES: [Bench; 4] = [
    Bench {
        name: "size",
        what: "what the browser loads: the WASM core beside the extension's JavaScript",
        how: How::Here(size),
    },
    Bench {
        name: "recognition",
        what: "recognising a ticket from a page's facts, natively",
        how: How::Example {
            package: "ticketgate-wasm",
            example: "measure_recognition",
            needs: Needs::Nothing,
        },
    },
    Bench {
        name: "activation",
        what: "activation and end at the broker's API beside bare LDAP and samba-tool, on a private domain controller",
        how: How::Example { package: "ticketgate-tests", example: "measure_activation", needs: Needs::World },
    },
    Bench {
        name: "browser",
        what: "the extension in Chromium: its scripts in a page, a worker's wake, the popup, a click to the active badge",
        how: How::Example { package: "ticketgate-tests", example: "measure_browser", needs: Needs::Browser },
    },
];

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    let chosen = BENCHES
        .iter()
        .filter(|bench| args.only.as_ref().is_none_or(|part| bench.name.contains(part.as_str())));
    if args.list {
        for bench in chosen {
            println!("{:<14} {}", bench.name, bench.what);
        }
        return Ok(());
    }
    setup::ensure(tree, steps, setup::Purpose::Build)?;
    steps.heading("bench");
    let mut measures = Vec::new();
    for bench in chosen {
        let measured = match bench.how {
            How::Here(run) => run(tree, steps),
            How::Example { package, example, needs } => run_example(tree, steps, package, example, needs),
        };
        measures.extend(measured.with_context(|| format!("bench {}", bench.name))?);
    }
    if measures.is_empty() {
        bail!("no such bench; `cargo xtask bench --list` lists them");
    }
    let summary = tree.made("bench/summary.json");
    write(&summary, &serde_json::to_vec_pretty(&measures)?)?;
    table(&measures);
    println!("\nwritten to {}", summary.display());
    Ok(())
}

fn table(measures: &[Measure]) {
    println!("\n{:<34} {:>12} {:>12} {:>7} {:>10}  note", "what", "value", "baseline", "ratio", "spread");
    let shown = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
    for measure in measures {
        println!(
            "{:<34} {:>12} {:>12} {:>7} {:>10}  {}",
            format!("{} ({})", measure.name, measure.unit),
            shown(Some(measure.value)),
            shown(measure.baseline),
            shown(measure.ratio),
            shown(measure.spread),
            measure.note
        );
    }
}

/// Bytes of the core, and what they become when packed; the extension's JavaScript stands beside them.
fn size(tree: &Tree, steps: &mut Steps) -> Result<Vec<Measure>> {
    let glue = wasm::build(tree, steps, wasm::Core::Small)?;
    let core = fs::read(glue.join(wasm::CORE))?;
    let mut javascript = fs::metadata(glue.join(wasm::GLUE))?.len();
    for file in files_below(&tree.path("extension"))? {
        if file.extension().is_some_and(|kind| kind == "js") {
            javascript += fs::metadata(tree.path("extension").join(file))?.len();
        }
    }
    let kilobytes = |bytes: u64| bytes as f64 / 1_000.0;
    let note =
        format!("no baseline; the extension's JavaScript with the glue is {:.1} KB", kilobytes(javascript));
    let figure = |name: &str, bytes: u64, note: &str| Measure {
        name: name.to_owned(),
        unit: "KB".to_owned(),
        value: kilobytes(bytes),
        baseline: None,
        ratio: None,
        spread: None,
        note: note.to_owned(),
    };
    Ok(vec![
        figure("WASM core", core.len() as u64, &note),
        figure("WASM core, deflated", deflated(&core)?, "as in the zip; a browser keeps it unpacked"),
    ])
}

fn deflated(bytes: &[u8]) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    write(&folder.path().join("in/core"), bytes)?;
    crate::archive::pack(&folder.path().join("in"), &folder.path().join("out.zip"))
}

/// Builds an example for release, and what it measures, and reads the figures that it prints.
fn run_example(
    tree: &Tree,
    steps: &mut Steps,
    package: &str,
    example: &str,
    needs: Needs,
) -> Result<Vec<Measure>> {
    let mut build = native(tree);
    build.args(["build", "--release", "--package", package, "--example", example]);
    if needs != Needs::Nothing {
        setup::ensure(tree, steps, setup::Purpose::Demo)?;
        build.args(["--package", "ticketgate", "--bin", "ticketgate"]);
    }
    steps.program(&format!("{example} (release build)"), &mut build, "")?;
    let release = tree.target().join("release");
    let mut run =
        Command::new(release.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX)));
    run.env("TICKETGATE_BIN", release.join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)));
    if needs == Needs::Browser {
        run.env("TICKETGATE_EXTENSION", build::extension(tree, steps, wasm::Core::Small)?);
    }
    let printed = steps.work(example, || Ok((output(&mut run)?, String::new())))?;
    printed.lines().map(|line| read_measure(example, line)).collect()
}

fn read_measure(source: &str, line: &str) -> Result<Measure> {
    serde_json::from_str(line)
        .with_context(|| format!("{source} printed something that is no measure: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_of_an_example_is_read_and_chatter_is_refused() {
        let line =
            r#"{"name":"x","unit":"µs","value":2.0,"baseline":1.0,"ratio":2.0,"spread":0.1,"note":""}"#;
        assert_eq!(read_measure("x", line).unwrap().ratio, Some(2.0));
        assert!(read_measure("x", "done").is_err());
    }
}
