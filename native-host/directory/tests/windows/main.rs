//! The Windows binary itself under Wine, its calls answered by stand-ins for two libraries of Windows (`netapi32.c`, `userenv.c`): structures, levels,
//! pointers and codes of our calls, and two processes on one account database. Run by `cargo xtask test --windows`, which builds and
//! places all of it; what Windows itself does, none of this shows.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_directory::local::request::{Answer, LocalSeen, Refusal};
use ticketgate_protocol::api::Finding;

const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";
const NAME: &str = "jit-tech1";
const PASSWORD: &str = "Of.the.session.größe-1";
const ADMINISTRATORS: &str = "group:S-1-5-32-544";
const DESKTOP: &str = "group:S-1-5-32-555";
const CREATE: &str = r#"{"do":"create","whose":{"owner":"tech1","generation":7}}"#;
const CLOSE: &str = r#"{"do":"close","processes":"stay"}"#;
const ROTATE: &str = r#"{"do":"rotate","whose":{"owner":"tech1","generation":8},"processes":"stay"}"#;
const DELETE: &str = r#"{"do":"delete"}"#;

/// An account database of its own.
struct Machine {
    folder: tempfile::TempDir,
}

/// A process of the machine's own side.
struct Serve {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn sam(&self) -> PathBuf {
        self.folder.path().join("sam")
    }

    fn command(&self, what: &str) -> Command {
        let program =
            std::env::var_os("TICKETGATE_WINDOWS_BIN").expect("run by `cargo xtask test --windows`");
        let mut command = Command::new("wine");
        // As Wine shows this machine's files.
        let sam = format!("Z:{}", self.sam().display()).replace('/', "\\");
        command.arg(program).args(["local", what]).env("TICKETGATE_SAM", sam).stderr(Stdio::null());
        command
    }

    fn serve(&self) -> Serve {
        let mut child = self.command("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        Serve { child, to, from: BufReader::new(from) }
    }

    fn sweep(&self) -> String {
        let ended = self.command("sweep").stdin(Stdio::null()).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }

    /// The changes that the stand-in was asked for since, without those that it answers by themselves.
    fn calls(&self) -> Vec<String> {
        let log = self.sam().with_extension("log");
        let calls = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        calls.lines().map(str::to_owned).collect()
    }
}

impl Serve {
    fn ask(&mut self, line: &str) -> Answer {
        let to = self.to.as_mut().unwrap();
        to.write_all(format!("{line}\n").as_bytes()).unwrap();
        to.flush().unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        assert!(!answer.contains(PASSWORD), "{answer}");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
    }

    fn step_of(&mut self, name: &str, step: &str) -> Option<Refusal> {
        let line = format!("{{\"ask\":\"step\",\"account\":{},\"step\":{step}}}", named(name));
        match self.ask(&line) {
            Answer::Done { .. } => None,
            Answer::Refused { why, .. } => Some(why),
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, step: &str) {
        assert_eq!(self.step_of(NAME, step), None, "{step}");
    }

    fn look(&mut self) -> Option<LocalSeen> {
        match self.ask(&format!("{{\"ask\":\"look\",\"account\":{}}}", named(NAME))) {
            Answer::Seen { account, .. } => account,
            other => panic!("{other:?}"),
        }
    }

    fn rights(&mut self) -> Vec<String> {
        self.look().unwrap().rights.into_iter().map(|one| one.right).collect()
    }

    /// The end of its input is the end of it.
    fn end(mut self) {
        drop(self.to.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn named(name: &str) -> String {
    format!("{{\"name\":\"{name}\",\"token\":\"{TOKEN}\"}}")
}

fn in_seconds(seconds: i64) -> DateTime<Utc> {
    DateTime::<Utc>::from(std::time::SystemTime::now()) + TimeDelta::seconds(seconds)
}

fn grant(right: &str) -> String {
    let until = in_seconds(3600).to_rfc3339();
    format!("{{\"do\":\"grant\",\"right\":\"{right}\",\"until\":\"{until}\",\"asks\":\"password\"}}")
}

fn revoke(right: &str) -> String {
    format!("{{\"do\":\"revoke\",\"right\":\"{right}\"}}")
}

fn with_window(what: &str, end: DateTime<Utc>, more: &str) -> String {
    let end = end.to_rfc3339();
    format!(
        "{{\"do\":\"{what}\",\"whose\":{{\"owner\":\"tech1\",\"generation\":7}},\"window\":{{\"until\":\"{end}\",\"end\":\"{end}\",\"processes\":\"stay\"}}{more}}}"
    )
}

fn open(end: DateTime<Utc>) -> String {
    with_window("open", end, &format!(",\"password\":\"{PASSWORD}\""))
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_session_is_made_used_and_ended_by_the_calls_of_windows() {
    let machine = Machine::new();
    let mut serve = machine.serve();
    let hello = serve.ask("{\"ask\":\"hello\",\"protocol\":1}");
    assert!(
        matches!(&hello, Answer::Hello { machine, system, .. } if machine.len() == 16 && system.word() == "windows"),
        "{hello:?}"
    );
    assert!(serve.look().is_none());
    serve.step(CREATE);
    serve.step(&grant(ADMINISTRATORS));
    serve.step(&grant(ADMINISTRATORS));
    let end = in_seconds(3600);
    serve.step(&open(end));
    let seen = serve.look().unwrap();
    assert!(seen.enabled && seen.own_primary_group && seen.identity.ends_with(":1001"), "{seen:?}");
    assert_eq!((seen.home.as_str(), seen.end.unwrap().timestamp()), ("FILES1\\jit-tech1", end.timestamp()));
    assert_eq!(seen.note.unwrap().whose.owner.as_str(), "tech1");
    assert_eq!(serve.rights(), [ADMINISTRATORS]);
    let own = "S-1-5-21-1000000001-1000000002-1000000003-1001";
    assert_eq!(
        machine.calls(),
        [
            "NetUserAdd jit-tech1 flags 515 = 0".to_owned(),
            "NetUserSetInfo jit-tech1 expires 86400 = 0".into(),
            format!("NetLocalGroupAddMembers Administrators {own} 0 = 0"),
            "NetUserSetInfo jit-tech1 password-closed 0 = 0".into(),
            "NetUserSetInfo jit-tech1 comment 0 = 0".into(),
            format!("NetUserSetInfo jit-tech1 expires {} = 0", end.timestamp()),
            "NetUserSetInfo jit-tech1 flags 513 = 0".into(),
        ],
        "what opens it is the last of all"
    );
    let later = end + TimeDelta::hours(1);
    serve.step(&with_window("set_end", later, ""));
    assert_eq!(serve.look().unwrap().end.unwrap().timestamp(), later.timestamp());
    machine.calls();
    for step in [CLOSE, &revoke(ADMINISTRATORS), ROTATE] {
        serve.step(step);
    }
    let seen = serve.look().unwrap();
    assert!(!seen.enabled && seen.rights.is_empty() && seen.note.unwrap().window.is_none());
    assert_eq!(
        machine.calls(),
        [
            "NetUserSetInfo jit-tech1 flags 515 = 0".to_owned(),
            "NetUserSetInfo jit-tech1 expires 86400 = 0".into(),
            format!("NetLocalGroupDelMembers Administrators {own} 0 = 0"),
            "NetUserSetInfo jit-tech1 password-closed 0 = 0".into(),
            "NetUserSetInfo jit-tech1 comment 0 = 0".into(),
        ],
        "what closes it is the first of all"
    );
    serve.step(DELETE);
    assert!(serve.look().is_none());
    assert_eq!(
        machine.calls(),
        [
            "NetUserSetInfo jit-tech1 flags 515 = 0".to_owned(),
            format!("DeleteProfile {own}"),
            "NetUserDel jit-tech1  0 = 0".into(),
        ]
    );
    serve.step(DELETE);
    assert_eq!(machine.calls(), Vec::<String>::new(), "it is gone already");
    serve.end();
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn the_machine_alone_ends_what_another_process_opened() {
    let machine = Machine::new();
    let mut serve = machine.serve();
    serve.step(CREATE);
    serve.step(&grant(ADMINISTRATORS));
    serve.step(&grant(DESKTOP));
    serve.step(&open(in_seconds(3)));
    assert_eq!(machine.sweep(), "", "it is not over yet");
    assert!(serve.look().unwrap().enabled);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(machine.sweep().trim_end(), "1 accounts that were over were closed");
    let seen = serve.look().unwrap();
    assert!(!seen.enabled && seen.rights.is_empty() && seen.note.unwrap().window.is_none());
    assert_eq!(machine.sweep(), "");
    serve.end();
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn accounts_of_others_are_seen_and_never_changed() {
    let machine = Machine::new();
    let mut serve = machine.serve();
    for name in ["jit-b", "jit-c", "jit-d"] {
        assert_eq!(serve.step_of(name, CREATE), None);
    }
    machine.calls();
    for step in [CREATE, &grant(DESKTOP), &open(in_seconds(60)), CLOSE, ROTATE, DELETE] {
        assert_eq!(serve.step_of("jit-byhand", step), Some(Refusal::NameTaken), "{step}");
    }
    assert_eq!(machine.sweep(), "");
    assert_eq!(machine.calls(), Vec::<String>::new());
    match serve.ask("{\"ask\":\"list\"}") {
        Answer::Listed { accounts, .. } => {
            let mut names: Vec<_> =
                accounts.iter().map(|one| (one.name.as_str(), one.seen.note.is_some())).collect();
            names.sort_unstable();
            assert_eq!(names, [("jit-b", true), ("jit-byhand", false), ("jit-c", true), ("jit-d", true)]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(serve.step_of("jit-nobody", CLOSE), Some(Refusal::NoSuchAccount));
    assert_eq!(
        serve.step_of("jit-b", &grant("group:S-1-5-32-551")),
        Some(Refusal::NoSuchRight),
        "the stand-in has no such group"
    );
    assert_eq!(serve.step_of("jit-b", &grant("group:S-1-5-21-9-9-9-512")), Some(Refusal::NoSuchRight));
    serve.end();
}

#[test]
#[ignore = "under Wine: cargo xtask test --windows"]
fn a_check_asks_the_machine_what_its_groups_are_called() {
    let machine = Machine::new();
    let mut serve = machine.serve();
    let answer = serve
        .ask(&format!("{{\"ask\":\"check\",\"rights\":[\"{ADMINISTRATORS}\",\"group:S-1-5-32-4711\"]}}"));
    let Answer::Checked { findings, .. } = answer else { panic!("{answer:?}") };
    let has = |level: &str, text: &str| {
        assert!(
            findings.iter().any(|one: &Finding| one.level == level && one.text.contains(text)),
            "{text}: {findings:?}"
        );
    };
    has("ok", "group:S-1-5-32-544 is the group Administrators");
    has("error", "no local group S-1-5-32-4711");
    has("ok", "its rules for passwords take one of 24 random characters");
    has("ok", "acts as an administrator");
    has("warning", "no task of the machine");
    serve.end();
}
