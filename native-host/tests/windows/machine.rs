//! A Windows machine of a test's own: an account database, a configuration, a state folder and a pipe, and the program on them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const CONFIGURATION: &str = r#"
[[technician]]
id = "tech1"
login = "LOGIN"
[[customer]]
id = "acme"
[[directory]]
id = "here"
customer = "acme"
kind = "local"
system = "windows"
machine = "here"
[[policy]]
id = "admin"
directory = "here"
rights = ["group:Administrators"]
duration = { default = "30m", max = "2h" }
eligible = { technicians = ["tech1"] }
[[policy]]
id = "burner"
directory = "here"
mode = "burner"
rights = ["group:Remote Desktop Users"]
duration = { default = "30m", max = "2h" }
eligible = { technicians = ["tech1"] }
"#;

/// Longer than anything here takes, on a busy machine as well.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Machine {
    folder: tempfile::TempDir,
}

/// A program that runs until it is dropped.
pub(crate) struct Running(Child);

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let login = Command::new("id").arg("-un").output().unwrap().stdout;
        let login = String::from_utf8(login).unwrap().trim().to_lowercase();
        machine.write("ticketgate.toml", &CONFIGURATION.replace("LOGIN", &login));
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that only its owner can use.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.set_mode(name, 0o600);
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A pipe that no other test has.
    pub(crate) fn pipe(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy().into_owned();
        format!(r"\\.\pipe\ticketgate-test{name}")
    }

    /// The program on this machine's places, with nothing that starts a broker by itself.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = wine(&program());
        command
            .args(words)
            .env("TICKETGATE_SAM", seen(&self.path("sam")))
            .env("TICKETGATE_CONFIG", seen(&self.path("ticketgate.toml")))
            .env("TICKETGATE_STATE", seen(&self.path("state")))
            .env("TICKETGATE_SOCKET", self.pipe())
            .env("TICKETGATE_START", "never")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// What it answers as JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let done = self.run(&[&["--json"], words].concat());
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {done:?}"))
    }

    /// What it says when it does not do it.
    pub(crate) fn refusal(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert!(!done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stderr).unwrap()
    }

    /// A broker that answers.
    pub(crate) fn broker(&self) -> Running {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let running = Running(self.command(&["broker"]).stderr(log).spawn().unwrap());
        self.until_it_answers();
        running
    }

    pub(crate) fn until_it_answers(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.run(&["status"]).status.success() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(Instant::now() < end, "no broker answers: {log}");
        }
    }

    /// The changes that the account library was asked for since.
    pub(crate) fn calls(&self) -> Vec<String> {
        let log = self.path("sam.log");
        let calls = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        calls.lines().map(str::to_owned).collect()
    }

    /// Another program at a pipe, once it is ready.
    pub(crate) fn other(&self, words: &[&str]) -> Running {
        let mut command = wine(&program().with_file_name("pipe.exe"));
        let mut child = command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "ready", "{words:?}");
        Running(child)
    }
}

impl Running {
    /// As a process that crashed.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn program() -> PathBuf {
    std::env::var_os("TICKETGATE_WINDOWS_BIN").expect("run by `cargo xtask test --windows`").into()
}

/// A program under Wine.
pub(crate) fn wine(program: &Path) -> Command {
    let mut command = Command::new("wine");
    command.arg(program);
    command
}

/// As Wine shows this machine's files.
pub(crate) fn seen(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}
