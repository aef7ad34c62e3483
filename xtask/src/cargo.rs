//! How cargo is called: the toolchain that runs xtask for native code, and, for other targets, either its own standard
//! library or Debian's second Rust (`rustc-web`) with the standard library built from source. Never downloads a toolchain.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::ports::Ports;
use crate::tree::{Tree, program};

/// The WASM core's target.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The Windows binary's target.
pub(crate) const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// Debian's second Rust is called by these paths only, so that it never mixes with rustup's.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
const DEBIAN_LLD: &str = "/usr/bin/rust-lld";

/// Cargo for this machine.
pub(crate) fn native(tree: &Tree) -> Command {
    native_on(tree, &Ports::Allowed)
}

/// The same, for what starts servers.
pub(crate) fn native_on(tree: &Tree, ports: &Ports) -> Command {
    let mut command = ports.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    clean(&mut command);
    command.current_dir(tree.root());
    command
}

/// The product's packages. xtask stays apart: it is built alone to be started, so only alone does it find that build
/// again, and with it in the workspace's build cargo would choose other features and compile its dependencies twice.
pub(crate) const PRODUCT: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Cargo for another target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cross {
    triple: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The toolchain that runs xtask has this target's standard library.
    Own,
    /// Debian's `rustc-web`, standard library built from `rust-web-src`.
    Debian,
}

impl Cross {
    /// The toolchain for a target, or what to run to get one.
    pub(crate) fn find(triple: &'static str) -> Result<Self> {
        if own_has(triple) {
            return Ok(Self { triple, kind: Kind::Own });
        }
        if debian_is_there() {
            return Ok(Self { triple, kind: Kind::Debian });
        }
        bail!(
            "no toolchain for {triple}: run `cargo xtask setup` on Debian 12, or `rustup target add {triple}` elsewhere"
        )
    }

    /// Cargo with a subcommand for this target, working in a target folder of its own.
    pub(crate) fn cargo(&self, tree: &Tree, subcommand: &str) -> Command {
        let mut command = match self.kind {
            Kind::Own => native(tree),
            Kind::Debian => {
                // Cargo looks for `cargo-clippy` in its home before `PATH` and would find rustup's; started directly,
                // Debian's calls the cargo that `CARGO` names and the driver beside itself.
                let clippy = subcommand == "clippy";
                let mut command = Command::new(if clippy { DEBIAN_CLIPPY } else { DEBIAN_CARGO });
                clean(&mut command);
                if clippy {
                    command.env("CARGO", DEBIAN_CARGO);
                }
                command
                    .current_dir(tree.root())
                    .env("PATH", "/usr/bin:/bin")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LLD);
                command
            }
        };
        command
            .arg(subcommand)
            .args(["--target", self.triple])
            .env("CARGO_TARGET_DIR", self.target_dir(tree));
        if self.kind == Kind::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }

    /// Has the compiler leave out what nobody would see, where the standard library is built here: panics without their
    /// texts and places (the browser shows none of them), `Debug` without its text, and the library's smaller code. Three
    /// of the four settings are unstable; without them the core works the same and is up to a fifth larger.
    pub(crate) fn make_small(&self, cargo: &mut Command) {
        if self.kind == Kind::Debian {
            let flags = [
                "-Zunstable-options",
                "-Cpanic=immediate-abort",
                "-Zlocation-detail=none",
                "-Zfmt-debug=none",
            ];
            cargo
                .arg("-Zbuild-std-features=optimize_for_size")
                .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        }
    }

    /// Two compilers in one target folder would throw each other's work away.
    pub(crate) fn target_dir(&self, tree: &Tree) -> PathBuf {
        tree.made(if self.triple == WASM { "wasm" } else { "windows" })
    }

    /// Whether the toolchain has clippy; Debian packs it apart.
    pub(crate) fn has_clippy(&self) -> bool {
        match self.kind {
            Kind::Own => true,
            Kind::Debian => Path::new(DEBIAN_CLIPPY).is_file(),
        }
    }

    /// Changes whenever another compiler would be used.
    pub(crate) fn fingerprint(&self) -> String {
        let rustc = match self.kind {
            Kind::Own => sysroot().map(|root| root.join("bin/rustc")).unwrap_or_default(),
            Kind::Debian => PathBuf::from(DEBIAN_RUSTC),
        };
        let made = fs::metadata(&rustc).and_then(|meta| Ok((meta.len(), meta.modified()?))).ok();
        format!("{:?} {} {made:?}", self.kind, rustc.display())
    }

    /// Whose compiler this is, for a person.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Own => "own toolchain",
            Kind::Debian => "Debian's rustc-web",
        }
    }
}

/// Whether the toolchain that runs xtask has a target's standard library.
pub(crate) fn own_has(triple: &str) -> bool {
    sysroot().is_some_and(|root| root.join("lib/rustlib").join(triple).join("lib").is_dir())
}

/// Whether a component's program (`cargo-clippy`, `rustfmt`) is beside the compiler or in `PATH`.
pub(crate) fn own_has_program(name: &str) -> bool {
    sysroot().is_some_and(|root| root.join("bin").join(name).is_file()) || program(name).is_some()
}

/// Cargo's home, whose path would otherwise show in binaries.
pub(crate) fn home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

/// Flags that keep this machine's paths out of a shipped binary, in cargo's own encoding (paths may hold spaces).
pub(crate) fn remap_flags(tree: &Tree) -> String {
    let mut flags = vec![format!("--remap-path-prefix={}=ticketgate", tree.root().display())];
    if let Some(home) = home() {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    if let Some(root) = sysroot() {
        flags.push(format!("--remap-path-prefix={}=rust", root.display()));
    }
    flags.push("--remap-path-prefix=/usr/lib/rustlib/src=rust".to_owned());
    flags.push("--remap-path-prefix=/usr/src=rust".to_owned());
    flags.join("\x1f")
}

/// The root of the toolchain whose cargo started xtask: `<root>/bin/cargo`.
fn sysroot() -> Option<PathBuf> {
    let cargo = PathBuf::from(env::var_os("CARGO")?);
    let root = cargo.parent()?.parent()?;
    root.join("lib/rustlib").is_dir().then(|| root.to_path_buf())
}

fn debian_is_there() -> bool {
    // All three parts: the compiler, its source, its linker. A lone /usr/bin/cargo may be Debian 12's Rust 1.63.
    [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LLD].iter().all(|path| Path::new(path).is_file())
        && Path::new("/usr/lib/rustlib/src/rust/library/std").is_dir()
}

/// Takes away what `cargo run` set for xtask: cargo would take it for a reason to build again.
fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_the_run = text == "CARGO"
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(
                text,
                "LD_LIBRARY_PATH" | "RUST_RECURSION_COUNT" | "CARGO_CRATE_NAME" | "CARGO_BIN_NAME"
            );
        if of_the_run {
            command.env_remove(&name);
        }
    }
    command.env("CARGO_TERM_PROGRESS_WHEN", "never");
}
