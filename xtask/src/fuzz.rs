//! `cargo xtask fuzz`: libFuzzer on the targets of `fuzz/`, with a stable compiler. The coverage that libFuzzer lives on comes
//! from a pass of LLVM that rustc takes by name; cargo-fuzz passes the same flags.
//!
//! Two builds: the long one with everything instrumented, in a folder of its own; and the short one for CI, which takes the
//! dependencies from the workspace's build as they are and instruments our own crates only, so that it costs little.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cargo::{PRODUCT, native};
use crate::lint::FAULT_POINTS;
use crate::setup;
use crate::steps::{Steps, seconds};
use crate::tree::Tree;

/// Options of `fuzz`.
#[derive(clap::Args)]
#[command(
    after_help = "A finding is an input in target/fuzz/findings/; `--reproduce` runs it once more. When it is mended, \
keep it in fuzz/corpus/TARGET/, where tests replay it. `--minimise` makes the kept corpora anew from all that long runs found."
)]
pub(crate) struct Args {
    /// Only this target
    #[arg(value_enum)]
    target: Option<Target>,
    /// For how long each target runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Run this input once
    #[arg(long, value_name = "FILE", requires = "target")]
    reproduce: Option<PathBuf>,
    /// Keep the smallest inputs that reach all that was reached, in fuzz/corpus/
    #[arg(long)]
    minimise: bool,
}

/// A target of `fuzz/src/lib.rs`, with what is tried at most and what else of the repository is an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// Native-messaging frames
    Frame,
    /// Requests as relay and broker read them
    Request,
    /// Recognition rules
    Rules,
    /// Saved pages
    Page,
    /// What pages say
    Facts,
    /// The configuration file
    Config,
    /// Ledgers that somebody else wrote to
    Ledger,
    /// What the machine's own side of local accounts reads
    Local,
    /// What Microsoft Graph answers
    Graph,
    /// What directory servers answer
    Ldap,
}

const TARGETS: [Target; 10] = [
    Target::Frame,
    Target::Request,
    Target::Rules,
    Target::Page,
    Target::Facts,
    Target::Config,
    Target::Ledger,
    Target::Local,
    Target::Graph,
    Target::Ldap,
];

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Request => "request",
            Self::Rules => "rules",
            Self::Page => "page",
            Self::Facts => "facts",
            Self::Config => "config",
            Self::Ledger => "ledger",
            Self::Local => "local",
            Self::Graph => "graph",
            Self::Ldap => "ldap",
        }
    }

    /// The longest input, in bytes.
    fn longest(self) -> u32 {
        match self {
            Self::Rules => 6000,
            Self::Ledger => 512,
            Self::Ldap => 2048,
            Self::Frame
            | Self::Request
            | Self::Page
            | Self::Facts
            | Self::Config
            | Self::Local
            | Self::Graph => 4096,
        }
    }

    /// Folders of the repository whose files are inputs.
    fn seeds(self) -> &'static [&'static str] {
        match self {
            Self::Rules => &["wasm/rules"],
            Self::Request => &["protocol/golden"],
            Self::Page => &["wasm/tests/fixtures/pages"],
            _ => &[],
        }
    }
}

/// How long each target runs in CI.
const SHORT: Duration = Duration::from_secs(4);
/// An input that takes longer than this, in seconds, is a finding.
const TIMEOUT_S: u32 = 10;
/// A process that takes more memory than this, in MiB, is a finding.
const MEMORY_MIB: u32 = 1024;
/// The most files of a kept corpus, and the longest of them in bytes.
const KEPT: usize = 100;
const KEPT_BYTES: u64 = 4096;

const BINARY: &str = "ticketgate-fuzz";

/// Says rustc to count how often each edge runs, and what is compared.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Set where xtask stands between cargo and rustc.
const WRAPPER: &str = "TICKETGATE_RUSTC_WRAPPER";

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    setup::ensure(tree, steps, setup::Purpose::Fuzz)?;
    steps.heading("fuzz");
    let binary = long_build(tree, steps)?;
    let chosen: Vec<Target> = args.target.map_or(TARGETS.to_vec(), |target| vec![target]);
    if let (Some(input), Some(target)) = (&args.reproduce, args.target) {
        let mut once = fuzzer(tree, &binary, target);
        return steps.program(&format!("{} once", target.name()), once.arg(input), "");
    }
    for target in chosen {
        if args.minimise {
            minimise(tree, steps, &binary, target)?;
        } else {
            let found = tree.made("fuzz/corpus").join(target.name());
            fs::create_dir_all(&found)?;
            let time = Duration::from_secs(args.minutes * 60);
            let title = format!("{}: {}", target.name(), seconds(time));
            let (mut command, mend) = search(tree, &binary, target, time, &found)?;
            steps.program(&title, &mut command, &mend)?;
        }
    }
    Ok(())
}

/// A short run of every target, as part of `cargo xtask test`.
pub(crate) fn short(tree: &Tree, steps: &mut Steps) -> Result<()> {
    let binary = short_build(tree, steps)?;
    let search = |target: Target| {
        // Nothing is kept: a run that depends on the ones before it is no test.
        let found = tree.made("fuzz/short").join(target.name());
        let _ = fs::remove_dir_all(&found);
        fs::create_dir_all(&found)?;
        let (command, mend) = search(tree, &binary, target, SHORT, &found)?;
        Ok::<_, anyhow::Error>((format!("fuzz {}", target.name()), command, mend))
    };
    // As many at once as the smallest machine has processors.
    let (pairs, []) = TARGETS.as_chunks::<2>() else { bail!("an odd number of targets") };
    for [one, other] in pairs {
        let [(title, mut command, mend), (beside, mut other, others)] = [search(*one)?, search(*other)?];
        steps.two_programs([(&title, &mut command, &mend), (&beside, &mut other, &others)])?;
    }
    Ok(())
}

/// With everything instrumented and optimised, in a target folder of its own.
fn long_build(tree: &Tree, steps: &mut Steps) -> Result<PathBuf> {
    let host = host()?;
    let folder = tree.made("fuzz");
    let mut cargo = native(tree);
    cargo
        .args([
            "build",
            "--locked",
            "--profile",
            "fuzz",
            "--package",
            BINARY,
            "--example",
            BINARY,
            "--features",
            "libfuzzer",
        ])
        // Named, so that build scripts and macros are not instrumented.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"));
    steps.program("fuzzer, everything instrumented", &mut cargo, "")?;
    Ok(folder.join(host).join("fuzz/examples").join(BINARY))
}

/// With our own crates instrumented, on the dependencies of the workspace's build: the same packages and features, so that
/// cargo finds them there.
fn short_build(tree: &Tree, steps: &mut Steps) -> Result<PathBuf> {
    let mut cargo = native(tree);
    cargo
        .args(["build", "--locked", "--example", BINARY])
        .args(PRODUCT)
        .args(["--features", &format!("{FAULT_POINTS},ticketgate-fuzz/libfuzzer")])
        .env("RUSTC_WORKSPACE_WRAPPER", env::current_exe().context("where is xtask?")?)
        .env(WRAPPER, "1");
    steps.program("fuzzer, our crates instrumented", &mut cargo, "")?;
    Ok(tree.target().join("debug/examples").join(BINARY))
}

/// Where cargo calls xtask as rustc's wrapper: calls rustc, with coverage for what is compiled.
pub(crate) fn as_wrapper() -> Option<ExitCode> {
    env::var_os(WRAPPER)?;
    let mut arguments = env::args_os().skip(1);
    let mut rustc = Command::new(arguments.next()?);
    let arguments: Vec<OsString> = arguments.collect();
    // What runs while compiling has no libFuzzer beside it: derives and build scripts stay as they are.
    let is = |word: &str| arguments.iter().any(|argument| argument == word);
    let compiles = is("--crate-name") && !is("proc-macro") && !is("build_script_build");
    rustc.args(&arguments).args(COVERAGE.iter().filter(|_| compiles)).env_remove(WRAPPER);
    let code = rustc.status().ok().and_then(|status| status.code());
    Some(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn host() -> Result<String> {
    let said = crate::steps::output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say for which machine it compiles")?.to_owned())
}

fn fuzzer(tree: &Tree, binary: &Path, target: Target) -> Command {
    let mut command = Command::new(binary);
    command
        .env("TICKETGATE_FUZZ", target.name())
        .current_dir(tree.root())
        .arg(format!("-max_len={}", target.longest()))
        .arg(format!("-timeout={TIMEOUT_S}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    command
}

/// What looks for inputs that break a property, and what to do when it finds one.
fn search(
    tree: &Tree,
    binary: &Path,
    target: Target,
    time: Duration,
    found: &Path,
) -> Result<(Command, String)> {
    let findings = tree.made("fuzz/findings");
    fs::create_dir_all(&findings)?;
    let prefix = format!("{}/{}-", findings.display(), target.name());
    let mut command = fuzzer(tree, binary, target);
    command
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-artifact_prefix={prefix}"))
        .args(["-print_final_stats=1", "-use_value_profile=1", "-reload=0"])
        .arg(found)
        .args(kept(tree, target));
    let mend = format!(
        "the input is {prefix}*; `cargo xtask fuzz {} --reproduce FILE` runs it again. Mend the product and keep the input in fuzz/corpus/{}/",
        target.name(),
        target.name()
    );
    Ok((command, mend))
}

/// The kept corpus, and what the repository has anyway.
fn kept(tree: &Tree, target: Target) -> Vec<PathBuf> {
    let corpus = format!("fuzz/corpus/{}", target.name());
    let places = std::iter::once(corpus.as_str()).chain(target.seeds().iter().copied());
    places.map(|place| tree.path(place)).filter(|place| place.is_dir()).collect()
}

/// The smallest set of inputs that reaches all that is reached, small files first.
fn minimise(tree: &Tree, steps: &mut Steps, binary: &Path, target: Target) -> Result<()> {
    let corpus = tree.path("fuzz/corpus").join(target.name());
    let found = tree.made("fuzz/corpus").join(target.name());
    let fewer = tree.made("fuzz/fewer").join(target.name());
    let _ = fs::remove_dir_all(&fewer);
    fs::create_dir_all(&fewer)?;
    fs::create_dir_all(&found)?;
    let mut command = fuzzer(tree, binary, target);
    command.args(["-use_counters=0", "-set_cover_merge=1"]).arg(&fewer).args(kept(tree, target)).arg(&found);
    steps.program(&format!("{}: fewest inputs", target.name()), &mut command, "")?;
    let mut files: Vec<_> = fs::read_dir(&fewer)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())))
        .filter(|(size, _)| *size <= KEPT_BYTES)
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{}: nothing is left of the corpus", target.name());
    }
    // Evenly over the sizes: the small ones alone would all be refused at the first byte.
    let all = files.len();
    let step = all.div_ceil(KEPT).max(1);
    for old in fs::read_dir(&corpus)?.flatten().filter(|old| !is_finding(&old.file_name().to_string_lossy()))
    {
        fs::remove_file(old.path())?;
    }
    for (_, file) in files.into_iter().step_by(step) {
        let name = file.file_name().context("a file without a name")?;
        fs::copy(&file, corpus.join(name.to_string_lossy().chars().take(16).collect::<String>()))?;
    }
    steps.note(&format!("{}: {all} inputs reach everything, {} are kept", target.name(), all.div_ceil(step)));
    Ok(())
}

/// Whether somebody gave the input a name: it is a finding that was mended, and stays. libFuzzer's names are hashes.
fn is_finding(name: &str) -> bool {
    !name.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_targets_is_that_of_the_fuzz_crate() {
        let source = include_str!("../../fuzz/src/lib.rs");
        for target in TARGETS {
            let line = format!("name: \"{}\"", target.name());
            let entry = source.split_once(&line).map(|(_, rest)| rest.split('}').next().unwrap_or_default());
            let entry = entry.unwrap_or_else(|| panic!("{line}"));
            assert!(entry.contains(&format!("longest: {}", target.longest())), "{line}");
            assert!(target.seeds().iter().all(|seed| entry.contains(seed)), "{line}");
        }
        assert_eq!(source.matches("name: \"").count(), TARGETS.len());
    }

    #[test]
    fn a_finding_is_told_from_a_hash() {
        assert!(is_finding("a-seal-in-another-row") && !is_finding("0258c0f439d19791"));
    }
}
