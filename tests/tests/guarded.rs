//! The product's processes as other programs and other users of the machine find them: no core files, no memory to read, no
//! files or socket to open, nothing on the network.
#![allow(clippy::print_stderr, reason = "a test says where it could look at less")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use ticketgate_protocol::EXTENSION_ID;
use ticketgate_tests::leash::{Exit, Leashed};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::processes::{family, is_ours, program, reachable_sockets};
use ticketgate_tests::product::{Configuration, Product, binary, relay_binary};
use ticketgate_tests::workplace::Workplace;
use ticketgate_tests::world::Folder;
use ticketgate_tests::{Outcome, Result};

/// Two users who are nobody on this machine.
const OWNER: u32 = 42_420;
const OTHER: u32 = 42_421;

/// `program` with cores of any size allowed, as far as the system lets us, and an input that stays open.
fn with_cores(program: &Path, arguments: &[&str], folder: &Path) -> Command {
    let script = "ulimit -c \"$(ulimit -Hc)\"; test -p input || mkfifo input; exec \"$@\" <>input";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program).args(arguments).current_dir(folder);
    command
}

fn crashed(mut process: Leashed) -> Result<Exit> {
    process.signal(Signal::ABORT)?;
    process.wait(LIMIT)
}

/// Whether the process itself said that it wants no core file.
fn wants_no_core(pid: i32) -> Result<bool> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    Ok(line.split_whitespace().filter(|word| *word == "0").count() == 2)
}

fn cores_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(files
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")))
        .collect())
}

#[test]
fn a_crash_of_broker_relay_or_clipboard_holder_leaves_no_core_file() -> Outcome {
    let product = Product::install(&Configuration::empty())?;
    let folder = product.folder();
    let log = folder.join("said.log");
    let sleeper = Leashed::start(&with_cores(Path::new("sleep"), &["60"], folder), &log)?;
    until("another program to run", LIMIT, || Ok(program(sleeper.pid()) == "sleep"))?;
    let others_leave_one = matches!(crashed(sleeper)?, Exit::Core(_));
    for core in cores_in(folder)? {
        std::fs::remove_file(core)?;
    }
    if !others_leave_one {
        eprintln!(
            "no program leaves a core file on this machine; only what the processes ask for is looked at"
        );
    }
    let (config, state) = (product.config().display().to_string(), product.state().display().to_string());
    let socket = product.socket().display().to_string();
    let origin = format!("chrome-extension://{EXTENSION_ID}/");
    let broker = ["broker", "--config", &config, "--state", &state, "--socket", &socket];
    let (product, relay) = (binary()?, relay_binary()?);
    for (program, arguments) in [
        (&product, broker.as_slice()),
        (&product, &[&origin]),
        (&relay, &[&origin]),
        (&product, &["clipboard-holder"]),
    ] {
        let mut command = with_cores(program, arguments, folder);
        let process = Leashed::start(command.env("TICKETGATE_STATE", &state), &log)?;
        until("the process to refuse core files", LIMIT, || wants_no_core(process.pid()))?;
        assert_eq!(crashed(process)?, Exit::Signal(6), "{arguments:?}");
        assert!(cores_in(folder)?.is_empty(), "{arguments:?} left a core file");
    }
    Ok(())
}

#[test]
fn no_product_process_can_be_reached_over_the_network_while_a_session_is_active() -> Outcome {
    let work = Workplace::quick()?;
    work.click_in_page()?;
    work.active_session()?;
    work.copied()?;
    let mut ours: Vec<i32> = family(work.browser.pid())?.into_iter().filter(|pid| is_ours(*pid)).collect();
    assert!(ours.iter().any(|pid| program(*pid) == "ticketgate-relay"), "{ours:?}");
    ours.push(work.product.broker_pid()?);
    assert!(ours.len() >= 3, "broker, relay and clipboard holder: {ours:?}");
    for pid in ours {
        assert_eq!(reachable_sockets(pid)?, [""; 0], "process {pid}");
    }
    // The same look finds what there is, here in the test itself.
    let (tcp, udp) = (std::net::TcpListener::bind("127.0.0.1:0")?, std::net::UdpSocket::bind("[::1]:0")?);
    let found = reachable_sockets(i32::try_from(std::process::id())?)?;
    assert!(
        found.iter().any(|one| one.starts_with("tcp ")) && found.iter().any(|one| one.starts_with("udp6 ")),
        "{found:?}"
    );
    drop((tcp, udp));
    Ok(())
}

/// A broker that belongs to [`OWNER`], with a folder that everybody may enter. Only root can make one.
struct Theirs {
    broker: Leashed,
    folder: Folder,
}

impl Theirs {
    fn start(name: &str, further: &[&str]) -> Result<Self> {
        let folder = Folder::for_everyone(name)?;
        chown(folder.path(), Some(OWNER), Some(OWNER))?;
        // Where the build lies need not be open to others.
        std::fs::copy(binary()?, folder.join("ticketgate"))?;
        std::fs::write(folder.join("ticketgate.toml"), Configuration::empty().text())?;
        let place = |part: &str| folder.join(part).display().to_string();
        let mut command = as_user(OWNER, &place("ticketgate"));
        command.args(["broker", "--config", &place("ticketgate.toml"), "--state", &place("state")]);
        command.args(["--socket", &place("run/broker.sock")]).args(further).env("HOME", folder.path());
        let broker = Leashed::start(&command, &folder.join("log"))?;
        let theirs = Self { broker, folder };
        until("the broker to listen", LIMIT, || Ok(theirs.socket().exists()))?;
        Ok(theirs)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("run/broker.sock")
    }
}

fn as_user(uid: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups", "--", program]);
    command.current_dir("/");
    command
}

/// Whether this user can read the first bytes of a file.
fn can_read(uid: u32, path: &str) -> Result<bool> {
    Ok(as_user(uid, "head")
        .args(["-c", "16", path])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success())
}

/// What the broker answers this user; nothing where the socket does not open.
fn asks(uid: u32, socket: &Path, method: &str, path: &str) -> Result<String> {
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n\
        s.sendall((sys.argv[2] + ' ' + sys.argv[3] + ' HTTP/1.1\\r\\nHost: x\\r\\nIdempotency-Key: k1\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n{}').encode())\n\
        print(b''.join(iter(lambda: s.recv(65536), b'')).decode())";
    let mut command = as_user(uid, "/usr/bin/python3");
    command.args(["-I", "-S", "-c", script]).arg(socket).args([method, path]);
    Ok(String::from_utf8_lossy(&command.stderr(Stdio::null()).output()?.stdout).into_owned())
}

/// Whether this test can be two other users: root can, but for a user namespace in which nobody else is known.
fn can_be_others() -> Result<bool> {
    let can = as_user(OWNER, "true").stderr(Stdio::null()).status()?.success();
    if !can {
        eprintln!("NOT LOOKED AT: this needs to be other users, which root can be, as in CI");
    }
    Ok(can)
}

#[test]
fn another_user_of_the_machine_opens_neither_socket_nor_files_nor_memory() -> Outcome {
    if !can_be_others()? {
        return Ok(());
    }
    let theirs = Theirs::start("other-user", &[])?;
    let inside = |part: &str| theirs.folder.join(part).display().to_string();
    for part in ["state/ledger.sqlite", "state/ledger.sqlite-wal", "state/audit.key"] {
        assert!(can_read(OWNER, &inside(part))?, "{part} is there for its owner");
        assert!(!can_read(OTHER, &inside(part))?, "{part} is open to others");
    }
    assert!(asks(OWNER, &theirs.socket(), "GET", "/v1/broker")?.contains("200 OK"));
    assert_eq!(asks(OTHER, &theirs.socket(), "GET", "/v1/broker")?, "");
    // The folders keep others out, and so do the files in them by themselves.
    for part in ["state", "run"] {
        std::fs::set_permissions(inside(part), std::fs::Permissions::from_mode(0o755))?;
    }
    for part in ["state/ledger.sqlite", "state/ledger.sqlite-wal", "state/audit.key"] {
        assert!(!can_read(OTHER, &inside(part))?, "{part} is open to others");
    }
    assert_eq!(asks(OTHER, &theirs.socket(), "GET", "/v1/broker")?, "");
    for part in ["mem", "environ", "maps"] {
        assert!(!can_read(OTHER, &format!("/proc/{}/{part}", theirs.broker.pid()))?, "{part}");
    }
    Ok(())
}

#[test]
fn another_program_of_the_same_user_cannot_read_the_brokers_memory_or_environment() -> Outcome {
    if !can_be_others()? {
        return Ok(());
    }
    let theirs = Theirs::start("same-user", &[])?;
    let sleeper = Leashed::start(as_user(OWNER, "sleep").arg("60"), &theirs.folder.join("sleeper.log"))?;
    until("another program to run", LIMIT, || Ok(program(sleeper.pid()) == "sleep"))?;
    let readable = |pid: i32, part: &str| can_read(OWNER, &format!("/proc/{pid}/{part}"));
    let ordinary = (readable(sleeper.pid(), "environ")?, readable(sleeper.pid(), "maps")?);
    let guarded = (readable(theirs.broker.pid(), "environ")?, readable(theirs.broker.pid(), "maps")?);
    let memory = readable(theirs.broker.pid(), "mem")?;
    assert_eq!((ordinary, guarded, memory), ((true, true), (false, false), false));
    Ok(())
}

#[test]
fn a_stranger_at_the_socket_for_everyone_is_known_by_the_kernel_and_gets_nothing() -> Outcome {
    if !can_be_others()? {
        return Ok(());
    }
    let theirs = Theirs::start("for-everyone", &["--for-everyone"])?;
    for (method, path) in [
        ("GET", "/v1/overview"),
        ("GET", "/v1/sessions?all=true"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/audit/export"),
        ("GET", "/v1/audit/verify"),
        ("GET", "/v1/check"),
        ("POST", "/v1/check"),
        ("GET", "/v1/events"),
        ("POST", "/v1/sweep"),
        ("POST", "/v1/end-all"),
        ("POST", "/v1/sessions/s-1/password"),
        ("POST", "/v1/sessions/s-1/end"),
    ] {
        let answer = asks(OTHER, &theirs.socket(), method, path)?;
        let refused =
            ["403", "404", "400"].iter().any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        assert!(refused && answer.contains("\"remedy\""), "{method} {path}: {answer}");
    }
    // Its own user may at least look after it.
    assert!(asks(OWNER, &theirs.socket(), "POST", "/v1/sweep")?.contains("200 OK"));
    Ok(())
}
