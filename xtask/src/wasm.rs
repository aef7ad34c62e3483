//! The WASM core: cargo for `wasm32-unknown-unknown`, wasm-bindgen's glue, `wasm-opt`. Does nothing while its sources
//! are unchanged. Where the results go in the extension is told in `extension.rs`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::{Cross, WASM};
use crate::fingerprint::{Fingerprint, is_current};
use crate::setup::npm;
use crate::steps::Steps;
use crate::tree::{Tree, program};

/// The glue and the core as the worker and the pages import them.
pub(crate) const GLUE: &str = "ticketgate_wasm.js";
/// See [`GLUE`].
pub(crate) const CORE: &str = "ticketgate_wasm_bg.wasm";

/// The oldest `wasm-opt` that was seen to leave the core working; Debian 12 has 108, which breaks it. The one that
/// `xtask/npm` pins comes first, so that everybody's core is the same.
const OPTIMISER_MIN: u32 = 132;

/// Sources and settings that the core is made of.
const SOURCES: [&str; 9] = [
    "wasm/src",
    "wasm/recognise",
    "wasm/rule",
    "wasm/Cargo.toml",
    "protocol/src",
    "protocol/derive",
    "protocol/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
];

/// Data that recognition rules may be compiled from; part of the fingerprint where they exist.
const DATA: [&str; 1] = ["wasm/rules"];

/// How much work goes into the core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// As cargo and wasm-bindgen leave it: for development.
    Plain,
    /// After `wasm-opt -Oz`, which takes a while: for people, and for tests, which test what people get.
    Small,
}

/// Builds the core where it is not current and returns the folder that holds [`GLUE`] and [`CORE`]
/// (and TypeScript declarations, which are for checking only).
pub(crate) fn build(tree: &Tree, steps: &mut Steps, core: Core) -> Result<PathBuf> {
    let cross = Cross::find(WASM)?;
    let folder = cross.target_dir(tree);
    fs::create_dir_all(&folder)?;
    // Two builds at once would write into the same folder; the second one waits and finds its work done.
    let lock = File::create(folder.join("xtask.lock"))?;
    lock.lock().context("cannot wait for another build of the WASM core")?;
    let plain = plain(tree, steps, cross)?;
    match core {
        Core::Plain => Ok(plain),
        Core::Small => small(tree, steps, &plain, folder.join("glue-small")),
    }
}

fn plain(tree: &Tree, steps: &mut Steps, cross: Cross) -> Result<PathBuf> {
    let out = cross.target_dir(tree).join("glue");
    let mark = cross.target_dir(tree).join("glue.fingerprint");
    let fingerprint = fingerprint(tree, cross)?;
    if is_current(&mark, &fingerprint) && out.join(CORE).is_file() && out.join(GLUE).is_file() {
        steps.skipped("WASM core", "current");
        return Ok(out);
    }
    let mut cargo = cross.cargo(tree, "build");
    cargo.args(["--package", "ticketgate-wasm", "--lib", "--profile", "wasm"]);
    cross.make_small(&mut cargo);
    steps.program(&format!("WASM core ({})", cross.name()), &mut cargo, "")?;

    let raw = cross.target_dir(tree).join(WASM).join("wasm/ticketgate_wasm.wasm");
    steps.work("JavaScript glue (wasm-bindgen)", || {
        let bytes = glue(&raw, &out)?;
        Ok(((), format!("{} KB", bytes / 1_000)))
    })?;
    // Last, so that an interrupted build is done again.
    fs::write(&mark, fingerprint).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(out)
}

/// The same glue with a smaller core; the plain one where there is no `wasm-opt`.
fn small(tree: &Tree, steps: &mut Steps, plain: &Path, out: PathBuf) -> Result<PathBuf> {
    let Some(optimiser) = optimiser(tree, steps) else {
        steps.skipped("wasm-opt", "not there, or too old; the core works but is an eighth larger");
        return Ok(plain.to_path_buf());
    };
    let mark = out.with_extension("fingerprint");
    let fingerprint = optimiser.fingerprint(plain)?;
    if is_current(&mark, &fingerprint) && out.join(CORE).is_file() && out.join(GLUE).is_file() {
        return Ok(out);
    }
    fs::create_dir_all(&out)?;
    let core = out.join(CORE);
    let mut optimise = Command::new(&optimiser.path);
    // Named one by one, never `-all`: with it binaryen 108 writes an early encoding of the GC proposal that browsers
    // refuse (`unknown type form`). These are what rustc and wasm-bindgen emit.
    for feature in [
        "bulk-memory",
        "sign-ext",
        "mutable-globals",
        "nontrapping-float-to-int",
        "reference-types",
        "multivalue",
    ] {
        optimise.arg(format!("--enable-{feature}"));
    }
    // Nothing lies below the stack's end, at the memory's begin, so an offset can never wrap around there.
    // Numbers that stand in many places of a function are kept once. Who made the file, nobody reads.
    optimise
        .args(["-Oz", "--low-memory-unused", "--const-hoisting", "--strip-producers"])
        .arg(plain.join(CORE))
        .arg("-o")
        .arg(&core);
    steps.program("smaller core (wasm-opt -Oz)", &mut optimise, "")?;
    steps.note(&format!("{} KB", fs::metadata(&core)?.len() / 1_000));
    fs::copy(plain.join(GLUE), out.join(GLUE))?;
    fs::write(&mark, fingerprint).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(out)
}

/// A `wasm-opt` that leaves the core working.
struct Optimiser {
    path: PathBuf,
    version: u32,
}

impl Optimiser {
    /// The program at this path, where there is one that says its version.
    fn at(path: PathBuf) -> Option<Self> {
        let version = optimiser_version(&path)?;
        Some(Self { path, version })
    }

    /// Changes whenever the small core would be another one.
    fn fingerprint(&self, plain: &Path) -> Result<String> {
        let fingerprint = Fingerprint::new()
            .word(&self.path.display().to_string())
            .word(&self.version.to_string())
            .word(include_str!("wasm.rs"))
            .path(plain, GLUE)?
            .path(plain, CORE)?;
        Ok(fingerprint.finish())
    }
}

/// The `wasm-opt` of the npm package, which runs wherever Node.js does, or else a new enough one of this machine.
/// Neither is needed for a core that works, so nothing stops here.
fn optimiser(tree: &Tree, steps: &mut Steps) -> Option<Optimiser> {
    if program("node").is_some() && program("npm").is_some() && npm::ensure(tree, steps).is_ok() {
        let pinned = Optimiser::at(npm::folder(tree).join("node_modules/binaryen/bin/wasm-opt"));
        if pinned.is_some() {
            return pinned;
        }
    }
    // Seen in Chromium: what 108 (Debian 12) writes has a table of functions where wasm-bindgen wrote one of references,
    // and the core does not start. 132 is right.
    Optimiser::at(program("wasm-opt")?).filter(|found| found.version >= OPTIMISER_MIN)
}

/// `wasm-opt version 132 (version_132)` → 132.
fn optimiser_version(optimiser: &Path) -> Option<u32> {
    let output = Command::new(optimiser).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find_map(|word| word.parse().ok())
}

fn fingerprint(tree: &Tree, cross: Cross) -> Result<String> {
    let mut fingerprint = Fingerprint::new().word(&cross.fingerprint()).word(include_str!("wasm.rs"));
    for source in SOURCES {
        fingerprint = fingerprint.path(tree.root(), source)?;
    }
    for data in DATA.into_iter().filter(|data| tree.path(data).exists()) {
        fingerprint = fingerprint.path(tree.root(), data)?;
    }
    Ok(fingerprint.finish())
}

/// Writes glue for a module worker and pages: `import init from "./ticketgate_wasm.js"; await init();`.
fn glue(raw: &Path, out: &Path) -> Result<u64> {
    if out.is_dir() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out)?;
    Bindgen::new()
        .input_path(raw)
        .out_name("ticketgate_wasm")
        .remove_name_section(true)
        .remove_producers_section(true)
        .web(true)
        .and_then(|bindgen| bindgen.typescript(true).generate(out))
        .map_err(|error| anyhow!("wasm-bindgen on {}: {error:#}", raw.display()))?;
    Ok(fs::metadata(out.join(CORE))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_the_optimiser_at_the_same_place_makes_the_core_anew() {
        let plain = tempfile::tempdir().unwrap();
        for name in [GLUE, CORE] {
            fs::write(plain.path().join(name), name).unwrap();
        }
        let of = |version| {
            Optimiser { path: PathBuf::from("wasm-opt"), version }.fingerprint(plain.path()).unwrap()
        };
        assert_eq!(of(132), of(132));
        assert_ne!(of(132), of(133));
    }
}
