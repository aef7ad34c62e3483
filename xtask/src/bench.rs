//! `cargo xtask bench`: runs what is registered here and writes `target/bench/summary.json`, a list of
//! `{name, unit, value, baseline, ratio, spread, note}`. Measuring itself happens in the registered benches.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cargo::native;
use crate::steps::{Steps, output};
use crate::tree::{Tree, files_below, write};
use crate::{setup, wasm};

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
    run: fn(&Tree, &mut Steps) -> Result<Vec<Measure>>,
}

const BENCHES: [Bench; 3] = [
    Bench {
        name: "size",
        what: "what the browser loads: the WASM core beside the extension's JavaScript",
        run: size,
    },
    Bench {
        name: "recognition",
        what: "recognising a ticket from a page's facts, natively",
        run: recognition,
    },
    Bench {
        name: "activation",
        what: "activation and end at the broker's API beside bare LDAP and samba-tool, on a private domain controller",
        run: activation,
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
        measures.extend((bench.run)(tree, steps).with_context(|| format!("bench {}", bench.name))?);
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

/// The core's own example `recognise` prints one [`Measure`] per line; it knows the facts and the rules.
fn recognition(tree: &Tree, steps: &mut Steps) -> Result<Vec<Measure>> {
    const EXAMPLE: &str = "wasm/examples/measure_recognition.rs";
    if !tree.path(EXAMPLE).is_file() {
        steps.skipped("recognition", "wasm/examples/measure_recognition.rs is not there yet");
        return Ok(Vec::new());
    }
    let mut build = native(tree);
    let arguments = ["--release", "--package", "ticketgate-wasm", "--example", "measure_recognition"];
    build.arg("build").args(arguments);
    steps.program("recognition (release build)", &mut build, "")?;
    let built = tree
        .target()
        .join("release/examples")
        .join(format!("measure_recognition{}", std::env::consts::EXE_SUFFIX));
    let mut run = Command::new(built);
    let printed = steps.work("recognition", || Ok((output(&mut run)?, String::new())))?;
    printed.lines().map(|line| read_measure(Path::new(EXAMPLE), line)).collect()
}

/// The end-to-end tests' own example; the release binary is what it measures.
fn activation(tree: &Tree, steps: &mut Steps) -> Result<Vec<Measure>> {
    const EXAMPLE: &str = "tests/examples/measure_activation.rs";
    setup::ensure(tree, steps, setup::Purpose::Demo)?;
    let mut build = native(tree);
    build.args(["build", "--release", "--package", "ticketgate", "--package", "ticketgate-tests"]);
    build.args(["--bin", "ticketgate", "--example", "measure_activation"]);
    steps.program("ticketgate and its bench (release build)", &mut build, "")?;
    let release = tree.target().join("release");
    let mut run =
        Command::new(release.join(format!("examples/measure_activation{}", std::env::consts::EXE_SUFFIX)));
    run.env("TICKETGATE_BIN", release.join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)));
    let printed = steps.work("activation", || Ok((output(&mut run)?, String::new())))?;
    printed.lines().map(|line| read_measure(Path::new(EXAMPLE), line)).collect()
}

fn read_measure(source: &Path, line: &str) -> Result<Measure> {
    serde_json::from_str(line)
        .with_context(|| format!("{} printed something that is no measure: {line}", source.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_of_an_example_is_read_and_chatter_is_refused() {
        let line =
            r#"{"name":"x","unit":"µs","value":2.0,"baseline":1.0,"ratio":2.0,"spread":0.1,"note":""}"#;
        assert_eq!(read_measure(Path::new("x"), line).unwrap().ratio, Some(2.0));
        assert!(read_measure(Path::new("x"), "done").is_err());
    }
}
