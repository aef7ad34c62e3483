//! `cargo xtask dist`: what is shipped, made and checked. Everything lands in `dist/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ticketgate_protocol::EXTENSION_ID;

use crate::build::{self, Native};
use crate::cargo::{self, Cross, WINDOWS, remap_flags};
use crate::steps::Steps;
use crate::tree::{Tree, program};
use crate::{archive, extension, manifest, setup, wasm};

/// Options of `dist`.
#[derive(clap::Args)]
#[command(
    after_help = "Load dist/extension/ in chrome://extensions with \"Load unpacked\"; dist/ticketgate needs no \
installation of its own: `dist/ticketgate install` registers it with the browsers."
)]
pub(crate) struct Args {
    /// Also the Windows binary, installing the cross compiler when it is missing (without this: only if it is there)
    #[arg(long)]
    windows: bool,
    /// Never the Windows binary
    #[arg(long, conflicts_with = "windows")]
    no_windows: bool,
    /// Only dist/extension/ and its zip
    #[arg(long, conflicts_with = "windows")]
    only_extension: bool,
}

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    setup::ensure(tree, steps, setup::Purpose::Build)?;
    if args.windows {
        setup::ensure(tree, steps, setup::Purpose::Windows)?;
    }
    steps.heading("dist");
    let mut made = packed_extension(tree, steps)?;
    if !args.only_extension {
        made.extend(linux(tree, steps)?);
        made.extend(windows(tree, steps, args)?);
    }
    for path in made {
        let size = if path.is_file() {
            format!("{} KB", fs::metadata(&path)?.len() / 1_000)
        } else {
            "folder".to_owned()
        };
        steps.note(&format!("{:>9}  {}", size, path.strip_prefix(tree.root()).unwrap_or(&path).display()));
    }
    Ok(())
}

/// Puts the extension together, checks it, packs it.
fn packed_extension(tree: &Tree, steps: &mut Steps) -> Result<Vec<PathBuf>> {
    let version = tree.version()?;
    let glue = wasm::build(tree, steps, wasm::Core::Small)?;
    let folder = tree.path("dist/extension");
    steps.work("extension", || {
        let files = extension::assemble(tree, &glue, &folder)?;
        Ok(((), format!("{files} files")))
    })?;
    steps.work("manifest, permissions, own code only", || {
        let named = manifest::check(&folder, &version, EXTENSION_ID)?;
        Ok(((), format!("{named} files named, id {EXTENSION_ID}")))
    })?;
    let zip = tree.path(format!("dist/ticketgate-extension-{version}.zip"));
    steps.work("zip", || {
        let bytes = archive::pack(&folder, &zip)?;
        Ok(((), format!("{} KB", bytes / 1_000)))
    })?;
    Ok(vec![folder, zip])
}

/// The whole program, and the relay alone for browsers.
const BINARIES: [&str; 2] = ["ticketgate", "ticketgate-relay"];

fn linux(tree: &Tree, steps: &mut Steps) -> Result<Vec<PathBuf>> {
    let built = build::binary(tree, steps, Native::Release)?;
    let names = BINARIES.map(|name| format!("{name}{}", std::env::consts::EXE_SUFFIX));
    names.iter().map(|name| ship(tree, steps, &built.with_file_name(name), name)).collect()
}

fn windows(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<Vec<PathBuf>> {
    if args.no_windows {
        return Ok(Vec::new());
    }
    let cross = match Cross::find(WINDOWS) {
        Ok(cross) if program("x86_64-w64-mingw32-gcc").is_some() => cross,
        Ok(_) if !args.windows => {
            steps.skipped("Windows binary", "no mingw-w64 here; `cargo xtask dist --windows` installs it");
            return Ok(Vec::new());
        }
        Err(error) if !args.windows => {
            steps.skipped("Windows binary", &format!("{error:#}"));
            return Ok(Vec::new());
        }
        Ok(_) => bail!("there is no x86_64-w64-mingw32-gcc; run `cargo xtask setup --for windows`"),
        Err(error) => return Err(error),
    };
    let mut cargo = cross.cargo(tree, "build");
    cargo
        .args(["--release", "--package", "ticketgate", "--bins"])
        .env("CARGO_ENCODED_RUSTFLAGS", remap_flags(tree));
    steps.program(&format!("Windows binary ({})", cross.name()), &mut cargo, "")?;
    let built = cross.target_dir(tree).join(WINDOWS).join("release");
    let names = BINARIES.map(|name| format!("{name}.exe"));
    names.iter().map(|name| ship(tree, steps, &built.join(name), name)).collect()
}

/// Copies a binary to `dist/` after a look for paths of this machine in it.
fn ship(tree: &Tree, steps: &mut Steps, built: &Path, name: &str) -> Result<PathBuf> {
    let shipped = tree.path("dist").join(name);
    steps.work(&format!("no path of this machine in {name}"), || {
        let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
        for private in [Some(tree.root().to_path_buf()), cargo::home()].into_iter().flatten() {
            if let Some(found) = text_around(&bytes, private.to_string_lossy().as_bytes()) {
                bail!("{name} holds a path of this machine: {found}");
            }
        }
        fs::create_dir_all(tree.path("dist"))?;
        // A running binary cannot be written over, but it can be replaced.
        let half = shipped.with_extension("part");
        fs::copy(built, &half)?;
        fs::rename(&half, &shipped)?;
        Ok(((), String::new()))
    })?;
    Ok(shipped)
}

fn text_around(bytes: &[u8], wanted: &[u8]) -> Option<String> {
    let at = bytes.windows(wanted.len()).position(|window| window == wanted)?;
    let end = bytes.len().min(at + wanted.len() + 80);
    let text: String = bytes.get(at..end)?.iter().map(|byte| char::from(*byte)).collect();
    Some(text.chars().take_while(|c| c.is_ascii_graphic()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_a_binary_is_found_and_shown_to_its_end() {
        assert_eq!(
            text_around(b"\0\0/home/me/src/a.rs\0x", b"/home/me").as_deref(),
            Some("/home/me/src/a.rs")
        );
        assert_eq!(text_around(b"nothing", b"/home/me"), None);
    }
}
