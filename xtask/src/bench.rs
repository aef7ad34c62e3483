//! `cargo xtask bench`: runs what is registered here and writes `target/bench/summary.json`, a list of figures (`measure.rs`),
//! and pictures beside it. Measuring itself happens in the registered benches.

mod draw;
mod measure;
mod publish;

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};

use self::measure::{Measure, Printed, Reach};
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
    /// Write the figures of the last run, with this machine's name, into README.md and docs/figures.md; run none
    #[arg(long, conflicts_with_all = ["only", "list"])]
    publish: bool,
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
    /// An example of one of [`MEASURED`], with what it is told behind its name, built for release, that prints one [`Measure`] a line.
    Example { example: &'static str, needs: Needs },
}

/// What an example's measuring needs beside itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing.
    Nothing,
    /// The release binaries, and the host that the relay is measured beside.
    Binaries,
    /// The release binaries and the programs of the demo's world.
    World,
    /// The same, and what a team's hosts take: a database, a provider, a wire between them.
    Team,
    /// The same, and the extension as it is shipped.
    Browser,
}

/// The packages with examples that measure. All of them are named for each, with their libraries: cargo chooses features, and
/// what link-time optimisation needs of a crate, by all that it is asked for, and would compile the product anew otherwise.
const MEASURED: [&str; 4] = ["ticketgate", "ticketgate-ledger", "ticketgate-tests", "ticketgate-wasm"];

/// What the WASM core may weigh at most, in KB, with the rules of all systems in it.
const CORE_KB: f64 = 400.0;

const BENCHES: [Bench; 18] = [
    Bench {
        name: "size",
        what: "what the browser loads: the WASM core beside the extension's JavaScript",
        how: How::Here(size),
    },
    Bench {
        name: "recognition",
        what: "recognising a ticket from a page's facts, natively",
        how: How::Example { example: "measure_recognition", needs: Needs::Nothing },
    },
    Bench {
        name: "recognition-wasm",
        what: "recognising a ticket in the shipped core, in Chromium, beside JSON.parse of the same facts",
        how: How::Example { example: "measure_recognition_wasm", needs: Needs::Browser },
    },
    Bench {
        name: "activation",
        what: "activation and end at the broker's API beside bare LDAP and samba-tool, on a private domain controller",
        how: How::Example { example: "measure_activation", needs: Needs::World },
    },
    Bench {
        name: "local",
        what: "activation and end on Linux machines, here and by SSH, beside the same by a script with the machine's own tools",
        how: How::Example { example: "measure_local", needs: Needs::World },
    },
    Bench {
        name: "entra",
        what: "activation and end in Entra ID's stand-in beside the same requests sent bare; fifty ends at once with throttled tenants",
        how: How::Example { example: "measure_entra", needs: Needs::World },
    },
    Bench {
        name: "tickets",
        what: "what verifying the ticket adds to an activation, beside one bare REST call to the same Request Tracker",
        how: How::Example { example: "measure_tickets", needs: Needs::World },
    },
    Bench {
        name: "relay",
        what: "a frame's way through the relay, its first reply and its memory, beside a bare native messaging host",
        how: How::Example { example: "measure_relay", needs: Needs::Binaries },
    },
    Bench {
        name: "scale",
        what: "10,000 ends in a minute; start, memory and activation with up to 100,000 open sessions",
        how: How::Example { example: "measure_scale", needs: Needs::Nothing },
    },
    Bench {
        name: "audit",
        what: "verifying a million audit records beside sha256sum",
        how: How::Example { example: "measure_audit", needs: Needs::Nothing },
    },
    Bench {
        name: "ledger-postgres",
        what: "activations written to PostgreSQL beside pgbench sending the same statements",
        how: How::Example { example: "measure_postgres", needs: Needs::Nothing },
    },
    Bench {
        name: "team-throughput",
        what: "activations a second by one, two and four brokers on one PostgreSQL, beside pgbench sending the same statements",
        how: How::Example { example: "measure_team_throughput", needs: Needs::Nothing },
    },
    Bench {
        name: "team-scale",
        what: "start, memory and a thousand ends in one second with 100,000 open sessions in PostgreSQL",
        how: How::Example { example: "measure_scale team", needs: Needs::Nothing },
    },
    Bench {
        name: "browser",
        what: "the extension in Chromium: bytes and time of its scripts in a page, a worker's wake, the popup, a click to the active badge",
        how: How::Example { example: "measure_browser", needs: Needs::Browser },
    },
    Bench {
        name: "crowd",
        what: "sixteen technicians at once beside bare LDAP on sixteen connections",
        how: How::Example { example: "measure_crowd", needs: Needs::World },
    },
    Bench {
        name: "team-activation",
        what: "activation and end through HTTPS and PostgreSQL beside the same at a broker of one machine, with one domain controller",
        how: How::Example { example: "measure_team_activation", needs: Needs::Team },
    },
    Bench {
        name: "team-takeover",
        what: "from SIGKILL of the broker that works until another one has taken back or ended what that had under way",
        how: How::Example { example: "measure_team_takeover", needs: Needs::Team },
    },
    Bench {
        name: "team-events",
        what: "from the commit of an event until a thousand relays, connected by HTTPS to two brokers, have it",
        how: How::Example { example: "measure_team_events", needs: Needs::Team },
    },
];

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    let chosen: Vec<_> = BENCHES
        .iter()
        .filter(|bench| args.only.as_ref().is_none_or(|part| bench.name.contains(part.as_str())))
        .collect();
    if args.list {
        for bench in chosen {
            println!("{:<16} {}", bench.name, bench.what);
        }
        return Ok(());
    }
    if chosen.is_empty() {
        bail!("no such bench; `cargo xtask bench --list` lists them");
    }
    if args.publish {
        return publish::publish(tree);
    }
    setup::ensure(tree, steps, setup::Purpose::Build)?;
    steps.heading("bench");
    let folder = tree.made("bench");
    let summary = folder.join("summary.json");
    // A run of some benches leaves the others' figures; a run of all is the whole list.
    let mut all = if args.only.is_some() { measure::earlier(&summary)? } else { Vec::new() };
    let today = DateTime::<Utc>::from(SystemTime::now()).format("%Y-%m-%d").to_string();
    let (mut new, mut pictures, mut failed) = (Vec::new(), 0, Vec::new());
    for bench in chosen {
        let measured = match bench.how {
            How::Here(run) => run(tree, steps).map(|found| found.into_iter().map(Printed::from).collect()),
            How::Example { example, needs } => run_example(tree, steps, example, needs),
        };
        // A bench that fails takes neither the figures before it nor those after it along.
        let measured: Vec<Printed> = match measured {
            Ok(measured) => measured,
            Err(error) => {
                steps.note(&format!("{}: {error:#}", bench.name));
                failed.push(bench.name);
                continue;
            }
        };
        let mut its = Vec::new();
        for printed in measured {
            pictures += draw::pictures(&printed, &folder)?.len();
            its.push(Measure { bench: bench.name.to_owned(), day: today.clone(), ..printed.measure });
        }
        all = measure::merged(all, bench.name, &its, &BENCHES.each_ref().map(|bench| bench.name));
        new.extend(its);
        write(&summary, &serde_json::to_vec_pretty(&all)?)?;
    }
    publish::show(&new);
    println!("\nwritten to {}, with {pictures} pictures beside it", summary.display());
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(())
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
    let (systems, rules) = rules(tree)?;
    let figure = |name: &str, bytes: u64, reach: Option<Reach>, note: &str| Measure {
        name: name.to_owned(),
        unit: "KB".to_owned(),
        value: kilobytes(bytes),
        baseline: None,
        ratio: None,
        spread: None,
        note: note.to_owned(),
        reach,
        bench: String::new(),
        day: String::new(),
    };
    Ok(vec![
        figure("WASM core", core.len() as u64, Some(Reach::ValueAtMost(CORE_KB)), &note),
        figure("rules in the WASM core", rules, None, &format!("no baseline; {systems} systems")),
        figure("WASM core, deflated", deflated(&core)?, None, "as in the zip; a browser keeps it unpacked"),
    ])
}

/// How many systems there are, and what their rules weigh in the core: without white space and without their sources.
fn rules(tree: &Tree) -> Result<(usize, u64)> {
    fn without_sources(value: &mut serde_json::Value) {
        if let Some(members) = value.as_object_mut() {
            members.remove("source");
            members.values_mut().for_each(without_sources);
        } else if let Some(values) = value.as_array_mut() {
            values.iter_mut().for_each(without_sources);
        }
    }
    let (mut systems, mut bytes) = (0, 0);
    for file in fs::read_dir(tree.path("wasm/rules"))? {
        let mut rule = serde_json::from_str(&fs::read_to_string(file?.path())?)?;
        without_sources(&mut rule);
        systems += 1;
        bytes += rule.to_string().len() as u64;
    }
    Ok((systems, bytes))
}

fn deflated(bytes: &[u8]) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    write(&folder.path().join("in/core"), bytes)?;
    crate::archive::pack(&folder.path().join("in"), &folder.path().join("out.zip"))
}

/// Builds an example for release, and what it measures, and reads the figures that it prints.
fn run_example(tree: &Tree, steps: &mut Steps, example: &str, needs: Needs) -> Result<Vec<Printed>> {
    let mut words = example.split(' ');
    let example = words.next().unwrap_or_default();
    let mut build = native(tree);
    build.args(["build", "--release", "--lib", "--example", example]);
    for package in MEASURED {
        build.args(["--package", package]);
    }
    if needs != Needs::Nothing {
        build.args(["--bin", "ticketgate", "--bin", "ticketgate-relay"]);
    }
    match needs {
        Needs::Nothing => {}
        Needs::Binaries => drop(build.args(["--example", "bare_host"])),
        Needs::World | Needs::Browser => setup::ensure(tree, steps, setup::Purpose::Demo)?,
        Needs::Team => setup::ensure(tree, steps, setup::Purpose::Test)?,
    }
    steps.program(&format!("{example} (release build)"), &mut build, "")?;
    let release = tree.target().join("release");
    let mut run =
        Command::new(release.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX)));
    run.args(words)
        .env("TICKETGATE_BIN", release.join(format!("ticketgate{}", std::env::consts::EXE_SUFFIX)));
    if needs == Needs::Browser {
        run.env("TICKETGATE_EXTENSION", build::extension(tree, steps, wasm::Core::Small)?);
    }
    let printed = steps.work(example, || Ok((output(&mut run)?, String::new())))?;
    printed.lines().map(|line| measure::read(example, line)).collect()
}
