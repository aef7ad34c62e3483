//! Each fault that the doctor knows, made in a temporary home, found, and mended by its remedy's own means.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use ticketgate_protocol::{EXTENSION_ID, HOST_NAME};

use super::*;
use crate::install::manifest;
use crate::places::System;

struct Patient {
    folder: TempDir,
    around: Surroundings,
    places: Places,
}

impl Patient {
    /// A machine with Chromium, a good manifest, a private state folder and a screen.
    fn healthy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let exe = root.join("ticketgate");
        script(&exe, "echo ticketgate 0.0.1");
        let mut variables = BTreeMap::new();
        variables.insert("DISPLAY".into(), ":0".into());
        let around = Surroundings {
            system: System::Linux,
            root: root.to_owned(),
            home: Some(root.join("home")),
            exe,
            variables,
        };
        let places = Places {
            config: root.join("ticketgate.toml"),
            state: root.join("state"),
            socket: root.join("broker.sock"),
        };
        let patient = Self { folder, around, places };
        patient.write(patient.user(), &manifest::render(&patient.around.exe, &[EXTENSION_ID.into()]));
        fs::create_dir(&patient.places.state).unwrap();
        fs::set_permissions(&patient.places.state, fs::Permissions::from_mode(0o700)).unwrap();
        patient
    }

    fn user(&self) -> PathBuf {
        self.folder.path().join(format!("home/.config/chromium/NativeMessagingHosts/{HOST_NAME}.json"))
    }

    fn machine(&self) -> PathBuf {
        self.folder.path().join(format!("etc/chromium/native-messaging-hosts/{HOST_NAME}.json"))
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The manifest with one text in the place of another.
    fn spoil(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.user()).unwrap();
        assert!(text.contains(from));
        fs::write(self.user(), text.replace(from, to)).unwrap();
    }

    fn exe(&self) -> &str {
        self.around.exe.to_str().unwrap()
    }

    fn findings(&self) -> Vec<Finding> {
        examine(&self.around, &self.places, Addresses::Named)
    }

    /// The one finding on `subject` that is not in order.
    fn trouble(&self, subject: &str) -> Finding {
        let findings = self.findings();
        let mut bad = findings.iter().filter(|f| f.subject == subject && f.level != OK);
        let found = bad.next().unwrap_or_else(|| panic!("nothing found: {findings:#?}")).clone();
        assert!(bad.next().is_none(), "more than one: {findings:#?}");
        assert!(!found.remedy.is_empty(), "without a remedy: {found:?}");
        found
    }
}

/// A broker of this version that answers one question after one look at whether it is there.
fn serve(listener: UnixListener, version: &str) -> std::thread::JoinHandle<()> {
    use std::io::{Read, Write};
    let info = format!(
        r#"{{"version":"{version}","protocol_min":1,"protocol_max":1,"technician":null,"administrator":false,"now":"2026-01-01T00:00:00Z"}}"#
    );
    std::thread::spawn(move || {
        // Connections that were only a look have ended before they ask.
        for mut asking in listener.incoming().flatten() {
            if asking.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    info.len()
                );
                asking.write_all(format!("{head}{info}").as_bytes()).unwrap();
                return;
            }
        }
    })
}

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_healthy_machine_has_no_fault_but_the_missing_configuration() {
    let patient = Patient::healthy();
    let findings = patient.findings();
    let bad: Vec<_> = findings.iter().filter(|f| f.level != OK).map(|f| f.subject.as_str()).collect();
    assert_eq!(bad, ["configuration"], "{findings:#?}");
}

#[test]
fn a_missing_manifest_is_found() {
    let patient = Patient::healthy();
    fs::remove_file(patient.user()).unwrap();
    let found = patient.trouble("Chromium");
    assert_eq!(
        (found.level.as_str(), found.remedy.as_str()),
        (ERROR, "Run: ticketgate install --browser chromium")
    );
}

#[test]
fn every_fault_in_a_manifest_is_found() {
    let patient = Patient::healthy();
    let exe = patient.exe().to_owned();
    let good = fs::read_to_string(patient.user()).unwrap();
    let id = format!("chrome-extension://{EXTENSION_ID}/");
    let table: [(&str, &str, &str); 7] = [
        ("{", "[", "not a host manifest"),
        (HOST_NAME, "com.other.host", "names the host"),
        ("\"stdio\"", "\"pipe\"", "the type"),
        (&id, "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/", "does not allow the extension"),
        (&id, id.trim_end_matches('/'), "with the slash"),
        (&exe, "bin/ticketgate", "is relative"),
        (&exe, "/nowhere/ticketgate", "is not there"),
    ];
    for (from, to, said) in table {
        fs::write(patient.user(), &good).unwrap();
        patient.spoil(from, to);
        let found = patient.trouble("Chromium");
        assert_eq!(found.level, ERROR);
        assert!(found.text.contains(said), "{found:?}");
    }
}

#[test]
fn a_host_that_cannot_be_executed_is_found() {
    let patient = Patient::healthy();
    fs::set_permissions(&patient.around.exe, fs::Permissions::from_mode(0o644)).unwrap();
    let found = patient.trouble("Chromium");
    assert!(found.text.contains("cannot be executed") && found.remedy.contains("chmod 755"), "{found:?}");
}

#[test]
fn another_version_or_another_program_at_the_path_is_found() {
    let patient = Patient::healthy();
    let other = patient.folder.path().join("other");
    patient.spoil(patient.exe(), other.to_str().unwrap());
    script(&other, "echo ticketgate 0.0.7");
    assert!(patient.trouble("Chromium").text.contains("version 0.0.7"));
    script(&other, "echo something else");
    assert!(patient.trouble("Chromium").text.contains("does not say that it is ticketgate"));
    script(&other, "sleep 60");
    assert_eq!(patient.trouble("Chromium").level, ERROR, "one that never answers is given up");
}

#[test]
fn a_users_manifest_that_hides_the_machines_is_found() {
    let patient = Patient::healthy();
    let text = fs::read_to_string(patient.user()).unwrap();
    patient.write(patient.machine(), &text);
    assert!(
        patient.findings().iter().all(|f| f.subject != "Chromium" || f.level == OK),
        "the same is no harm"
    );
    patient.write(patient.machine(), &text.replace("Ticketgate:", "Machine:"));
    let found = patient.trouble("Chromium");
    assert_eq!(found.level, WARNING);
    assert!(found.text.contains("hides"), "{found:?}");
}

#[test]
fn policies_that_forbid_the_host_are_found() {
    let patient = Patient::healthy();
    let policy = "etc/chromium/policies/managed/a.json";
    patient.write(policy, r#"{"NativeMessagingBlocklist": ["*"]}"#);
    assert!(patient.trouble("Chromium").text.contains("NativeMessagingBlocklist"));
    patient.write(
        "etc/chromium/policies/managed/b.json",
        r#"{"NativeMessagingAllowlist": ["com.ticketgate.host"]}"#,
    );
    assert!(patient.findings().iter().all(|f| f.subject != "Chromium" || f.level == OK), "allowed by name");
    patient.write(policy, r#"{"NativeMessagingUserLevelHosts": false}"#);
    let found = patient.trouble("Chromium");
    assert!(found.remedy.contains("--scope system"), "{found:?}");
    patient.write(policy, "not json");
    assert_eq!(patient.trouble("Chromium").level, WARNING);
}

#[test]
fn policies_that_forbid_the_extension_are_found() {
    let patient = Patient::healthy();
    let policy = "etc/chromium/policies/managed/a.json";
    let ours = |mode: &str| format!(r#""{EXTENSION_ID}": {{"installation_mode": "{mode}"}}"#);
    for (text, forbids) in [
        (r#"{"ExtensionSettings": {"*": {"installation_mode": "blocked"}}}"#.to_owned(), true),
        (
            format!(
                r#"{{"ExtensionSettings": {{"*": {{"installation_mode": "blocked"}}, {}}}}}"#,
                ours("allowed")
            ),
            false,
        ),
        (format!(r#"{{"ExtensionSettings": {{{}}}}}"#, ours("removed")), true),
        (r#"{"ExtensionInstallBlocklist": ["*"]}"#.to_owned(), true),
        (
            format!(
                r#"{{"ExtensionInstallBlocklist": ["*"], "ExtensionInstallAllowlist": ["{EXTENSION_ID}"]}}"#
            ),
            false,
        ),
    ] {
        patient.write(policy, &text);
        let found = patient.findings().iter().any(|f| f.subject == "Chromium" && f.level == ERROR);
        assert_eq!(found, forbids, "{text}");
    }
}

#[test]
fn the_manifest_that_the_browser_uses_is_the_one_that_is_judged() {
    let patient = Patient::healthy();
    let text = fs::read_to_string(patient.user()).unwrap();
    patient.write(patient.machine(), &text.replace("\"stdio\"", "\"pipe\""));
    assert_eq!(patient.trouble("Chromium").level, WARNING, "the user's hides a bad one");
    patient.write("etc/chromium/policies/managed/a.json", r#"{"NativeMessagingUserLevelHosts": false}"#);
    let found = patient.trouble("Chromium");
    assert!(found.text.contains("the type") && found.text.contains("etc/chromium"), "{found:?}");
}

#[test]
fn an_extension_that_the_browser_lets_in_and_the_host_does_not_serve_is_found() {
    let patient = Patient::healthy();
    let other = "abcdefghijklmnopabcdefghijklmnop";
    let both = [EXTENSION_ID.to_owned(), other.to_owned()];
    patient.write(patient.user(), &manifest::render(&patient.around.exe, &both));
    let found = patient.trouble("Chromium");
    assert!(found.text.contains(other) && found.remedy.contains("allowed-extensions"), "{found:?}");
    patient.write("etc/ticketgate/allowed-extensions", other);
    assert!(patient.findings().iter().all(|f| f.subject != "Chromium" || f.level == OK));
}

#[test]
fn a_sandboxed_browser_is_named() {
    let patient = Patient::healthy();
    fs::create_dir_all(patient.folder.path().join("home/snap/chromium")).unwrap();
    assert!(patient.trouble("Chromium (snap)").text.contains("sandbox"));
}

#[test]
fn every_fault_of_the_socket_is_found() {
    let mut patient = Patient::healthy();
    let socket = patient.places.socket.clone();
    let listener = UnixListener::bind(&socket).unwrap();
    assert!(patient.trouble("broker").text.contains("hangs"), "who only listens has not answered");
    drop(listener);
    for (version, said) in [(env!("CARGO_PKG_VERSION"), "answers on"), ("0.0.0", "Version 0.0.0 answers")] {
        fs::remove_file(&socket).unwrap();
        let serving = serve(UnixListener::bind(&socket).unwrap(), version);
        let findings = patient.findings();
        assert!(findings.iter().any(|f| f.subject == "broker" && f.text.contains(said)), "{findings:#?}");
        serving.join().unwrap();
    }
    assert!(patient.trouble("broker").text.contains("Nobody answers"));
    fs::set_permissions(patient.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(patient.trouble("broker").remedy.contains("chmod 700"));
    fs::set_permissions(patient.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    assert!(patient.trouble("broker").text.contains("not a socket"));
    fs::remove_file(&socket).unwrap();
    patient.around.variables.insert("TICKETGATE_START".into(), "never".into());
    assert!(patient.trouble("broker").text.contains("forbids"));
}

#[test]
fn open_folders_and_missing_ones_are_found() {
    let mut patient = Patient::healthy();
    fs::set_permissions(&patient.places.state, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(patient.trouble("state folder").remedy.contains("chmod 700"));
    patient.around.variables.insert("XDG_RUNTIME_DIR".into(), "/nowhere/at/all".into());
    assert!(patient.trouble("runtime folder").text.contains("not there"));
}

#[test]
fn a_machine_without_a_screen_is_told_the_terminal() {
    let mut patient = Patient::healthy();
    patient.around.variables.clear();
    assert!(patient.trouble("clipboard").remedy.contains("ticketgate password"));
}

#[test]
fn a_clock_that_was_set_back_is_found() {
    use std::time::{Duration, SystemTime};
    let patient = Patient::healthy();
    assert_eq!(machine::clock(SystemTime::UNIX_EPOCH, &patient.places).level, ERROR);
    patient.write("state/ledger.sqlite", "");
    let earlier = SystemTime::now() - Duration::from_secs(3600);
    assert!(machine::clock(earlier, &patient.places).text.contains("set back"));
    assert_eq!(machine::clock(SystemTime::now(), &patient.places).level, OK);
}

#[test]
fn the_worst_comes_first_and_decides_the_exit_code() {
    let patient = Patient::healthy();
    fs::remove_file(patient.user()).unwrap();
    let findings = patient.findings();
    assert_eq!(findings[0].level, ERROR);
    let mut out = Vec::new();
    let code = command(&mut out, &patient.around, &patient.places, &Options::default(), true).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    let read: Vec<Finding> = serde_json::from_slice(&out).unwrap();
    assert_eq!(read.len(), findings.len());
}

#[test]
fn a_ledger_without_its_key_is_told_while_no_broker_runs() {
    let patient = Patient::healthy();
    let (ledger, key) = (patient.places.state.join("ledger.sqlite"), patient.places.state.join("audit.key"));
    drop(ticketgate_ledger::SqliteLedger::open(&ledger, &key).unwrap());
    assert!(
        examine(&patient.around, &patient.places, Addresses::Named)
            .iter()
            .any(|f| f.subject == "ledger" && f.level == OK)
    );
    std::fs::remove_file(key).unwrap();
    let found = patient.trouble("ledger");
    assert!(found.text.contains("audit.key") && found.remedy.contains("ticketgate recover"), "{found:?}");
}

#[test]
fn a_ledger_that_is_gone_or_not_read_is_told_while_no_broker_runs() {
    let patient = Patient::healthy();
    let (ledger, key) = (patient.places.state.join("ledger.sqlite"), patient.places.state.join("audit.key"));
    drop(ticketgate_ledger::SqliteLedger::open(&ledger, &key).unwrap());
    fs::remove_file(&ledger).unwrap();
    assert!(patient.trouble("ledger").text.contains("gone or empty"));
    fs::create_dir(patient.places.state.join("ledger-unread")).unwrap();
    fs::remove_file(&key).unwrap();
    drop(ticketgate_ledger::SqliteLedger::open(&ledger, &key).unwrap());
    let found = patient.trouble("ledger");
    assert!(found.text.contains("ledger-unread") && found.remedy.contains("ticketgate recover"), "{found:?}");
    // What can be mended is not answered with a backup.
    fs::remove_dir(patient.places.state.join("ledger-unread")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let found = patient.trouble("ledger");
    assert!(found.text.contains("chmod 600") && !found.remedy.contains("backup"), "{found:?}");
}
