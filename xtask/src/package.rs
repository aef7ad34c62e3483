//! `cargo xtask package`: the Debian package of broker, relay and command line, with the units of a machine's service. Needs
//! `dpkg-deb` and `dpkg-shlibdeps`, which every Debian that builds has; the same tree makes the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{self, Native};
use crate::setup;
use crate::steps::{Steps, output};
use crate::tree::{Tree, files_below, read, write};

/// Options of `package`.
#[derive(clap::Args)]
#[command(
    after_help = "The package lands in dist/. Install it with `apt install ./dist/ticketgate_VERSION_ARCH.deb`; \
native-host/container/Containerfile makes a container of it."
)]
pub(crate) struct Args {
    /// From the debug binaries, into target/package/: quick to build, for tests
    #[arg(long)]
    debug: bool,
    /// From the binaries as they were built last
    #[arg(long)]
    no_build: bool,
}

const SYSTEMD: &str = "usr/lib/systemd/system";

/// What is taken as it is: from where in the tree, to where, executable or not.
const FILES: [(&str, &str, u32); 9] = [
    ("native-host/systemd/ticketgate-broker.system.service", "ticketgate-broker.service", 0o644),
    ("native-host/systemd/ticketgate-sweep.system.service", "ticketgate-sweep.service", 0o644),
    ("native-host/systemd/ticketgate-sweep.timer", "ticketgate-sweep.timer", 0o644),
    ("native-host/debian/sysusers", "/usr/lib/sysusers.d/ticketgate.conf", 0o644),
    ("native-host/debian/default", "/etc/default/ticketgate", 0o644),
    ("native-host/example.toml", "/etc/ticketgate/ticketgate.toml.example", 0o644),
    ("LICENSE-MIT", "/usr/share/doc/ticketgate/copyright", 0o644),
    ("LICENSE-APACHE", "/usr/share/doc/ticketgate/LICENSE-APACHE", 0o644),
    ("CHANGELOG.md", "/usr/share/doc/ticketgate/CHANGELOG.md", 0o644),
];

/// What dpkg itself runs or reads.
const CONTROL: [(&str, u32); 4] =
    [("conffiles", 0o644), ("postinst", 0o755), ("prerm", 0o755), ("postrm", 0o755)];

/// Runs the chore.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, args: &Args) -> Result<()> {
    let kind = if args.debug { Native::Debug } else { Native::Release };
    let binary = if args.no_build {
        steps.heading("package");
        tree.target().join(if args.debug { "debug" } else { "release" }).join("ticketgate")
    } else {
        setup::ensure(tree, steps, setup::Purpose::Build)?;
        steps.heading("package");
        build::binary(tree, steps, kind)?
    };
    let into = if args.debug { tree.made("package") } else { tree.path("dist") };
    let package = assemble(tree, steps, &binary, kind, &into)?;
    steps.note(&package.display().to_string());
    Ok(())
}

/// Packs this binary and the relay beside it: small for people, quickly for tests.
pub(crate) fn assemble(
    tree: &Tree,
    steps: &mut Steps,
    binary: &Path,
    kind: Native,
    into: &Path,
) -> Result<PathBuf> {
    let version = tree.version()?;
    steps.work("Debian package", || {
        let stage = tree.made("package/stage");
        if stage.exists() {
            fs::remove_dir_all(&stage)?;
        }
        for name in ["ticketgate", "ticketgate-relay"] {
            place(&stage, &binary.with_file_name(name), &format!("usr/bin/{name}"), 0o755)?;
        }
        for (from, to, mode) in FILES {
            let to = to.strip_prefix('/').map_or_else(|| format!("{SYSTEMD}/{to}"), str::to_owned);
            place(&stage, &tree.path(from), &to, mode)?;
        }
        for (name, mode) in CONTROL {
            place(&stage, &tree.path(format!("native-host/debian/{name}")), &format!("DEBIAN/{name}"), mode)?;
        }
        let architecture = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
        let size = files_below(&stage)?
            .iter()
            .try_fold(0, |all, file| anyhow::Ok(all + fs::metadata(stage.join(file))?.len()))?;
        let control = read(&tree.path("native-host/debian/control"))?
            .replace("@VERSION@", &version)
            .replace("@ARCHITECTURE@", &architecture)
            .replace("@DEPENDS@", &libraries(tree, &stage)?)
            .replace("@SIZE@", &size.div_ceil(1024).to_string());
        write(&stage.join("DEBIAN/control"), control.as_bytes())?;
        plain_folders(&stage)?;
        fs::create_dir_all(into)?;
        let package = into.join(format!("ticketgate_{version}_{architecture}.deb"));
        output(
            Command::new("dpkg-deb")
                .arg("--root-owner-group")
                .args(match kind {
                    Native::Release => ["-Zxz", "-z6"],
                    Native::Debug => ["-Zgzip", "-z1"],
                })
                .arg("--build")
                .arg(&stage)
                .arg(&package)
                .env("SOURCE_DATE_EPOCH", made_at(tree)),
        )?;
        fs::remove_dir_all(&stage)?;
        let bytes = fs::metadata(&package)?.len();
        Ok((package, format!("{} KB", bytes / 1_000)))
    })
}

fn place(stage: &Path, from: &Path, to: &str, mode: u32) -> Result<()> {
    let to = stage.join(to);
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(fs::set_permissions(&to, fs::Permissions::from_mode(mode))?)
}

/// The packages whose libraries the binaries are linked with.
fn libraries(tree: &Tree, stage: &Path) -> Result<String> {
    let folder = tree.made("package/shlibs");
    write(&folder.join("debian/control"), b"Source: ticketgate\n\nPackage: ticketgate\nArchitecture: any\n")?;
    let mut ask = Command::new("dpkg-shlibdeps");
    ask.current_dir(&folder).arg("-O");
    for name in ["ticketgate", "ticketgate-relay"] {
        ask.arg(stage.join("usr/bin").join(name));
    }
    let said = output(&mut ask)?;
    fs::remove_dir_all(folder)?;
    let depends = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    depends.map(str::to_owned).context("dpkg-shlibdeps names no libraries")
}

/// Whatever this process's umask is.
fn plain_folders(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            plain_folders(&path)?;
        }
    }
    Ok(())
}

/// When the last commit was made: the time of everything in the package.
fn made_at(tree: &Tree) -> String {
    let mut ask = Command::new("git");
    ask.current_dir(tree.root()).args(["log", "-1", "--format=%ct"]);
    output(&mut ask).map_or_else(|_| "0".to_owned(), |time| time.trim().to_owned())
}
