//! `cargo xtask test --windows`: the Windows binary under Wine, its calls answered by a stand-in for the library that changes accounts
//! (`native-host/directory/tests/windows/`): the machine's own side alone, then a broker on it (`native-host/tests/windows/`). Not a part of `cargo xtask test`: Wine's files alone are 700 MB.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::cargo::{Cross, WINDOWS, home, native};
use crate::setup;
use crate::steps::Steps;
use crate::tree::Tree;

/// Where the sources of the stand-ins are.
const SOURCES: &str = "native-host/directory/tests/windows";
/// The libraries that stand beside the binary, where Wine's own lack what it calls.
const STAND_INS: [&str; 2] = ["netapi32", "userenv"];
/// The source of what stands at the other end of a pipe.
const PIPE: &str = "native-host/tests/windows/pipe.c";
const COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// A Wine of the tests' own: its files, and what it is told by its environment.
struct Wine {
    prefix: PathBuf,
    /// Stands for the person's home, or Wine would put folders into the real one.
    home: PathBuf,
}

/// Runs the chore.
pub(crate) fn test(tree: &Tree, steps: &mut Steps) -> Result<ExitCode> {
    setup::ensure(tree, steps, setup::Purpose::Windows)?;
    setup::ensure(tree, steps, setup::Purpose::Wine)?;
    steps.heading("build");
    let binary = binary(tree, steps)?;
    let wine = Wine { prefix: tree.made("windows/wine"), home: tree.made("windows/home") };
    wine.make(tree, steps)?;
    let folder = binary.parent().context("the binary has a folder")?;
    for instead in STAND_INS {
        stand_in(tree, steps, instead, folder)?;
    }
    let source = tree.path(PIPE);
    compile(steps, &source, &folder.join("pipe.exe"), "-municode")?;
    steps.heading("test");
    let mut passed = true;
    for package in ["ticketgate-directory", "ticketgate"] {
        wine.begin();
        let mut cargo = native(tree);
        cargo.args(["test", "--package", package, "--test", "windows", "--locked", "--", "--ignored"]);
        cargo.args(["--test-threads", "2"]).env("TICKETGATE_WINDOWS_BIN", &binary);
        wine.tell(&mut cargo, &instead());
        passed &= cargo.status().with_context(|| format!("cannot start {cargo:?}"))?.success();
        wine.stop();
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The libraries beside the binary before Wine's own, which Wine's own programs go on using.
fn instead() -> String {
    format!("{}=n,b;", STAND_INS.join(","))
}

/// The binary as it is shipped, but for speed: nothing in it knows of a test.
fn binary(tree: &Tree, steps: &mut Steps) -> Result<PathBuf> {
    let cross = Cross::find(WINDOWS)?;
    let mut cargo = cross.cargo(tree, "build");
    cargo.args(["--package", "ticketgate", "--bin", "ticketgate", "--locked"]);
    steps.program("Windows binary", &mut cargo, "")?;
    let built = cross.target_dir(tree).join(WINDOWS).join("debug/ticketgate.exe");
    // A folder of its own, which has nothing in it but what belongs to it.
    let folder = tree.made("windows/program");
    fs::create_dir_all(&folder)?;
    let binary = folder.join("ticketgate.exe");
    fs::copy(&built, &binary).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(binary)
}

fn stand_in(tree: &Tree, steps: &mut Steps, name: &str, folder: &Path) -> Result<()> {
    let source = tree.path(SOURCES).join(format!("{name}.c"));
    compile(steps, &source, &folder.join(format!("{name}.dll")), "-shared")
}

fn compile(steps: &mut Steps, source: &Path, to: &Path, how: &str) -> Result<()> {
    let mut compiler = Command::new(COMPILER);
    compiler.args(["-O2", "-Wall", "-Werror", "-s", how, "-o"]).arg(to).arg(source).arg("-ladvapi32");
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    steps.program(&format!("for tests: {name}"), &mut compiler, "")
}

impl Wine {
    /// Makes its files where they are not there yet.
    fn make(&self, tree: &Tree, steps: &mut Steps) -> Result<()> {
        let system = self.prefix.join("drive_c/windows/system32");
        let profile = system.join("config/systemprofile");
        if !profile.is_dir() {
            fs::create_dir_all(&self.home)?;
            let mut boot = Command::new("timeout");
            boot.args(["120", "wine", "wineboot", "-i"]).stdin(Stdio::null());
            self.tell(&mut boot, "");
            steps.program("Wine's files", &mut boot, "remove target/windows/wine and try again")?;
            self.stop();
            // What every Windows has.
            fs::create_dir_all(&profile)?;
        }
        stand_in(tree, steps, "bcryptprimitives", &system)
    }

    /// Tells a command, and what it starts, to use it, without a display and without asking for anything.
    fn tell(&self, command: &mut Command, instead: &str) {
        let overrides = format!("{instead}mscoree=;mshtml=;winemenubuilder.exe=d;winedbg.exe=d");
        if let Some(home) = home() {
            command.env("CARGO_HOME", home);
        }
        if let Some(rustup) = env::var_os("RUSTUP_HOME")
            .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".rustup").into()))
        {
            command.env("RUSTUP_HOME", rustup);
        }
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", overrides)
            .env("HOME", &self.home)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("DISPLAY");
    }

    /// Has its server and its services run, and go on while nothing else does. Else the first program of a test would start them, and they
    /// would hold its output open; services get the environment that they are started in. The server makes all files: for their owner alone, as
    /// folders of a person's profile have it on Windows.
    fn begin(&self) {
        let mut command = Command::new("sh");
        self.tell(&mut command, &instead());
        command.args(["-c", "umask 077; wineserver -p600; wine cmd /c exit"]);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Ends what of it still runs.
    fn stop(&self) {
        let mut server = Command::new("wineserver");
        self.tell(&mut server, "");
        let _ = server.arg("-k").stdin(Stdio::null()).status();
    }
}
