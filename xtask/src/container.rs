//! `cargo xtask test --container`: an image by the Containerfile on a base of Debian's own packages, then a broker in it, as podman
//! runs both. Not a part of `cargo xtask test`: the engine is 100 MB, and not every machine lets it start a container.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::steps::{Steps, output};
use crate::tree::{Tree, write};
use crate::{build, package, setup};

const CONTAINERFILE: &str = "native-host/container/Containerfile";
/// What stands for Debian's image, which is on the network.
const BASE: &str = "localhost/ticketgate-base";
const IMAGE: &str = "localhost/ticketgate-test";
const NAME: &str = "ticketgate-test";
/// What a stop may take, in seconds: docs/team.md says so.
const STOP_S: &str = "40";

/// An engine with images and containers of the test's own.
struct Engine {
    folder: PathBuf,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.podman("rm").args(["--force", "--ignore", NAME]).output();
    }
}

/// Runs the chore.
pub(crate) fn test(tree: &Tree, steps: &mut Steps) -> Result<ExitCode> {
    setup::ensure(tree, steps, setup::Purpose::Build)?;
    setup::ensure(tree, steps, setup::Purpose::Container)?;
    ensure!(setup::is_root()?, "a container is started as root here; run it with sudo");
    steps.heading("build");
    let binary = build::binary(tree, steps, build::Native::Debug)?;
    let engine = Engine { folder: tree.made("container") };
    let context = engine.folder.join("context");
    if context.exists() {
        fs::remove_dir_all(&context)?;
    }
    package::assemble(tree, steps, &binary, build::Native::Debug, &context.join("dist"))?;
    fs::copy(tree.path(CONTAINERFILE), context.join("Containerfile"))?;
    engine.base(steps)?;
    let mut image = engine.podman("build");
    image.args(["--isolation", "chroot", "--from", BASE, "--tag", IMAGE]).arg(&context);
    steps.program("image", &mut image, "")?;
    steps.heading("test");
    steps.work("a broker in a container", || Ok(((), engine.serves()?)))?;
    Ok(ExitCode::SUCCESS)
}

impl Engine {
    fn podman(&self, what: &str) -> Command {
        let mut podman = Command::new("podman");
        podman.arg("--root").arg(self.folder.join("storage")).arg("--runroot").arg(self.folder.join("run"));
        // A machine need not run systemd.
        podman.args(["--cgroup-manager", "cgroupfs", "--runtime", "runc", what]);
        podman
    }

    fn base(&self, steps: &mut Steps) -> Result<()> {
        if self.podman("image").args(["exists", BASE]).status()?.success() {
            return Ok(());
        }
        let archive = self.folder.join("base.tar");
        let mut debian = Command::new("mmdebstrap");
        debian.args(["--variant", "minbase", "bookworm"]).arg(&archive);
        steps.program("Debian's base", &mut debian, "it is loaded from Debian's mirror")?;
        let mut import = self.podman("import");
        steps.program("base image", import.arg(&archive).arg(BASE), "")?;
        Ok(fs::remove_file(archive)?)
    }

    /// Starts it twice on one volume, with what an administrator mounts, and stops it each time.
    fn serves(&self) -> Result<String> {
        let (service, monitor) = (free_port()?, free_port()?);
        let (mounted, state) = (self.folder.join("etc"), self.folder.join("state"));
        for folder in [&mounted, &state] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder)?;
        }
        let mut certificate = Command::new("openssl");
        certificate.current_dir(&mounted).args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.crt".split(' '));
        output(&mut certificate)?;
        let configuration = format!(
            "[service]\nlisten = \"127.0.0.1:{service}\"\ncertificate = \"/etc/ticketgate/tls.crt\"\n\
             key = {{ file = \"/etc/ticketgate/tls.key\" }}\nmonitor = \"127.0.0.1:{monitor}\"\n"
        );
        write(&mounted.join("ticketgate.toml"), configuration.as_bytes())?;
        let user = |which: &str| -> Result<u32> {
            let mut id = self.podman("run");
            id.args(["--rm", "--network", "host", "--entrypoint", "id"]).args(LIMITS).args([IMAGE, which]);
            Ok(output(&mut id)?.trim().parse()?)
        };
        let (owner, group) = (user("-u")?, user("-g")?);
        ensure!(owner != 0, "the container's user is root");
        fs::set_permissions(mounted.join("tls.key"), fs::Permissions::from_mode(0o600))?;
        chown(mounted.join("tls.key"), Some(owner), Some(group))?;
        chown(&state, Some(owner), Some(group))?;
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
        let mut slowest = Duration::ZERO;
        for _ in 0..2 {
            let mut start = self.podman("run");
            start.args(["--detach", "--network", "host", "--name", NAME]).args(LIMITS);
            start.arg("--volume").arg(format!("{}:/etc/ticketgate:ro", mounted.display()));
            start.arg("--volume").arg(format!("{}:/var/lib/ticketgate", state.display())).arg(IMAGE);
            output(&mut start)?;
            self.is_ready(monitor)?;
            let mut ask = Command::new("curl");
            ask.args(["--silent", "--show-error", "--cacert"]).arg(mounted.join("tls.crt"));
            let said = output(ask.arg(format!("https://localhost:{service}/v1/overview")))?;
            ensure!(said.contains("sign_in_needed"), "over HTTPS it said {said}");
            let begun = Instant::now();
            output(self.podman("stop").args(["--time", STOP_S, NAME]))?;
            slowest = slowest.max(begun.elapsed());
            let code = output(self.podman("inspect").args(["--format", "{{.State.ExitCode}}", NAME]))?;
            ensure!(code.trim() == "0", "it stopped with {code}:\n{}", self.log());
            ensure!(state.join("ledger.sqlite").is_file(), "its ledger is not in the volume");
            output(self.podman("rm").arg(NAME))?;
        }
        Ok(format!("user {owner}, stopped within {} ms", slowest.as_millis()))
    }

    fn is_ready(&self, monitor: u16) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let mut ask = Command::new("curl");
            ask.args(["--silent", "--fail"]).arg(format!("http://127.0.0.1:{monitor}/readyz"));
            if ask.output()?.status.success() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the broker is not ready:\n{}", self.log())
    }

    fn log(&self) -> String {
        let said = self.podman("logs").arg(NAME).output();
        said.map(|said| String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned())
            .unwrap_or_default()
    }
}

/// A machine's own limits may be lower than what an engine asks for.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1000:1000"];

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.port())
}
