use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;
use crate::local::far::serve;
use crate::local::request::{Answer, LONGEST_REQUEST, PROTOCOL, Processes, Refusal, SeenRight};
use crate::local::{AccountName, Token};

pub(super) const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";
const CLOSED: &str = "ticketgate token=k3v9k3v9k3v9k3v9k3v9k3v9k3 owner=tech1 gen=7 until=-";

/// A machine's files in a folder that goes away by itself. Its programs do nothing and succeed.
pub(super) struct Scratch {
    folder: tempfile::TempDir,
    pub(super) places: Places,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let places = Places {
            etc: at("etc"),
            run: at("run"),
            proc: "/proc".into(),
            cgroup: at("cgroup"),
            zones: at("zones"),
            home: at("home"),
            var: at("var"),
            owner: rustix::process::geteuid().as_raw(),
            programs: vec![at("bin")],
        };
        let scratch = Self { folder, places };
        for folder in ["etc/sudoers.d", "run", "home", "bin"] {
            scratch.folder(folder);
        }
        scratch.write("etc/machine-id", "6b1f\n");
        scratch.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        scratch.write("etc/shadow", "root:*:1:0:99999:7:::\n");
        scratch.write("etc/group", "root:x:0:\n");
        for program in ["visudo", "useradd", "usermod", "userdel", "gpasswd", "groupadd", "chpasswd"] {
            scratch.program(program, "exit 0");
        }
        scratch
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn folder(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A program of the machine as a shell script; `$ROOT` is the folder.
    pub(super) fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nROOT='{}'\n{script}\n", self.folder.path().display())).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn account(&self) -> AccountName {
        AccountName::new("jit-tech1").unwrap()
    }

    pub(super) fn named(&self) -> Named {
        Named { name: self.account(), token: Token::new(TOKEN).unwrap(), identity: None }
    }

    /// With an account that is in `day` of `shadow` and has this comment.
    fn with_account(uid: u32, comment: &str, day: &str) -> Self {
        let scratch = Self::new();
        scratch.write(
            "etc/passwd",
            &format!(
                "root:x:0:0::/root:/bin/sh\njit-tech1:x:{uid}:{uid}:{comment}:/home/jit-tech1:/bin/bash\n"
            ),
        );
        scratch.write("etc/shadow", &format!("jit-tech1:*:20000:0:99999:7::{day}:\n"));
        scratch.write("etc/group", &format!("root:x:0:\ndocker:x:998:jit-tech1,alice\njit-tech1:x:{uid}:\n"));
        scratch
    }

    fn serve(&self, input: &[u8]) -> Vec<Answer> {
        let mut output = Vec::new();
        serve(input, &mut output, &self.places).unwrap();
        String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn step(&self, step: &str) -> Answer {
        let line = format!(
            "{{\"ask\":\"step\",\"account\":{{\"name\":\"jit-tech1\",\"token\":\"{TOKEN}\"}},\"step\":{step}}}\n"
        );
        self.serve(line.as_bytes()).remove(0)
    }

    fn look(&self) -> Option<LocalSeen> {
        let line =
            format!("{{\"ask\":\"look\",\"account\":{{\"name\":\"jit-tech1\",\"token\":\"{TOKEN}\"}}}}\n");
        match self.serve(line.as_bytes()).remove(0) {
            Answer::Seen { account, .. } => account,
            other => panic!("{other:?}"),
        }
    }

    /// Lets `usermod` and the like write down what they are asked.
    fn listening(self) -> Self {
        for program in ["useradd", "usermod", "userdel", "gpasswd"] {
            self.program(program, &format!("echo {program} \"$@\" >> \"$ROOT/ran\""));
        }
        self
    }
}

fn why(answer: &Answer) -> Option<Refusal> {
    match answer {
        Answer::Refused { why, .. } => Some(*why),
        _ => None,
    }
}

#[test]
fn requests_are_answered_one_by_one_until_the_input_ends() {
    let answers = Scratch::new()
        .serve(b"{\"ask\":\"hello\",\"protocol\":9}\n{\"ask\":\"list\"}\nnonsense\n{\"ask\":\"list\"}\n");
    assert!(matches!(&answers[0], Answer::Hello { protocol: PROTOCOL, machine, .. } if machine.len() == 16));
    assert!(matches!(&answers[1], Answer::Listed { accounts, .. } if accounts.is_empty()));
    assert_eq!(why(&answers[2]), Some(Refusal::BadValue));
    assert_eq!(answers.len(), 4);
}

#[test]
fn a_line_that_was_cut_is_not_acted_on() {
    let scratch = Scratch::with_account(1001, CLOSED, "1").listening();
    let line = format!(
        "{{\"ask\":\"step\",\"account\":{{\"name\":\"jit-tech1\",\"token\":\"{TOKEN}\"}},\"step\":{{\"do\":\"delete\"}}}}"
    );
    assert!(scratch.serve(line.as_bytes()).is_empty());
    assert_eq!(scratch.read("ran"), "");
    assert_eq!(scratch.serve(format!("{line}\n").as_bytes()).len(), 1);
    assert!(scratch.read("ran").contains("userdel --remove jit-tech1"));
}

#[test]
fn a_line_that_is_too_long_ends_the_link() {
    let long = [vec![b' '; LONGEST_REQUEST], b"\n{\"ask\":\"list\"}\n".to_vec()].concat();
    let answers = Scratch::new().serve(&long);
    assert_eq!(answers.iter().map(why).collect::<Vec<_>>(), [Some(Refusal::BadValue)]);
    let fits = [vec![b' '; LONGEST_REQUEST - 16], b"{\"ask\":\"list\"}\n".to_vec()].concat();
    assert!(matches!(Scratch::new().serve(&fits)[..], [Answer::Listed { .. }]));
}

#[test]
fn a_step_is_finished_though_nobody_reads_the_answer() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let scratch = Scratch::with_account(1001, CLOSED, "1").listening();
    let line = format!(
        "{{\"ask\":\"step\",\"account\":{{\"name\":\"jit-tech1\",\"token\":\"{TOKEN}\"}},\"step\":{{\"do\":\"close\",\"processes\":\"stay\"}}}}\n"
    );
    serve(line.as_bytes(), Gone, &scratch.places).unwrap();
    assert_eq!(scratch.read("ran"), "usermod --expiredate 1970-01-02 --lock jit-tech1\n");
}

#[test]
fn an_account_is_seen_with_its_note_its_end_and_its_rights() {
    let open = CLOSED.replace("until=-", "until=20261126T103000.250Z end=20261126103000Z proc=own");
    let end = "20261126103000Z".parse::<clock::Second>().unwrap().time();
    let seen = Scratch::with_account(1001, &open, "20784").look().unwrap();
    assert!(seen.enabled && seen.own_primary_group);
    assert_eq!(seen.end, Some(end), "the day and the note agree");
    assert_eq!(seen.rights, [SeenRight { right: "group:docker".into(), until: None }]);
    assert_eq!(seen.note.unwrap().window.unwrap().processes, Processes::Own);
    assert!(seen.identity.ends_with(":1001"));
    let moved = Scratch::with_account(1001, &open, "20790").look().unwrap();
    assert_eq!(moved.end, days::day_begins(20790), "somebody moved the day");
    let never = Scratch::with_account(1001, &open, "").look().unwrap();
    assert!(never.enabled && never.end.is_none());
    let closed = Scratch::with_account(1001, &open, "1").look().unwrap();
    assert!(!closed.enabled && closed.end == days::day_begins(1));
    assert!(Scratch::new().look().is_none());
}

#[test]
fn an_account_that_is_not_ours_is_seen_and_never_changed() {
    let foreign = CLOSED.replace("k3", "k4");
    let twin = |scratch: Scratch| {
        scratch.write("etc/passwd", &(scratch.read("etc/passwd") + "bob:x:1001:5::/home/bob:/bin/sh\n"));
        scratch
    };
    for (scratch, case) in [
        (Scratch::with_account(1001, "Jit Tech One", "1"), "a person's"),
        (Scratch::with_account(1001, &foreign, "1"), "another broker's"),
        (Scratch::with_account(0, CLOSED, "1"), "root under our name"),
        (Scratch::with_account(999, CLOSED, "1"), "a system account"),
        (twin(Scratch::with_account(1001, CLOSED, "1")), "one with a person's number"),
    ] {
        let scratch = scratch.listening();
        // Whoever lowers the bound for people's numbers does not open the system's accounts.
        scratch.write("etc/login.defs", "UID_MIN 0\n");
        assert!(scratch.look().is_some(), "{case}");
        for step in [
            "{\"do\":\"delete\"}",
            "{\"do\":\"close\",\"processes\":\"all\"}",
            "{\"do\":\"revoke\",\"right\":\"group:docker\"}",
        ] {
            assert_eq!(why(&scratch.step(step)), Some(Refusal::NameTaken), "{case}: {step}");
        }
        assert_eq!(sweep(&scratch.places).unwrap().closed, 0, "{case}");
        assert_eq!(scratch.read("ran"), "", "{case}");
    }
}

#[test]
fn another_machine_or_another_account_than_meant_is_not_touched() {
    let scratch = Scratch::with_account(1001, CLOSED, "1").listening();
    let identity = scratch.look().unwrap().identity;
    let delete = |identity: &str| {
        let line = format!(
            "{{\"ask\":\"step\",\"account\":{{\"name\":\"jit-tech1\",\"token\":\"{TOKEN}\",\"identity\":\"{identity}\"}},\"step\":{{\"do\":\"delete\"}}}}\n"
        );
        why(&scratch.serve(line.as_bytes())[0])
    };
    assert_eq!(delete("0000000000000000:1001"), Some(Refusal::NotAllowed));
    assert_eq!(delete("nonsense"), Some(Refusal::NotAllowed));
    assert_eq!(delete(&identity.replace(":1001", ":1002")), Some(Refusal::NameTaken));
    assert_eq!(scratch.read("ran"), "");
    assert_eq!(delete(&identity), None);
}

#[test]
fn a_machine_without_a_name_answers_no_request_and_ends_what_is_over_all_the_same() {
    let scratch = Scratch::with_account(1001, CLOSED, "").listening();
    fs::remove_file(scratch.path("etc/machine-id")).unwrap();
    assert_eq!(why(&scratch.step("{\"do\":\"close\",\"processes\":\"stay\"}")), Some(Refusal::Failed));
    assert_eq!(sweep(&scratch.places).unwrap().closed, 1);
}

#[test]
fn a_closed_account_is_not_opened_by_moving_its_end() {
    let scratch = Scratch::with_account(1001, CLOSED, "1").listening();
    let end = clock::now() + chrono::TimeDelta::hours(1);
    let step = format!(
        "{{\"do\":\"set_end\",\"whose\":{{\"owner\":\"tech1\",\"generation\":7}},\"window\":{{\"until\":\"{0}\",\"end\":\"{0}\",\"processes\":\"own\"}}}}",
        end.to_rfc3339()
    );
    assert_eq!(why(&scratch.step(&step)), Some(Refusal::Failed));
    assert_eq!(scratch.read("ran"), "");
}

#[test]
fn no_end_beyond_25_hours_opens_an_account_or_gives_a_right() {
    let scratch = Scratch::with_account(1001, CLOSED, "1").listening();
    for hours in [-1, 0, 26, 24 * 365] {
        let end = (clock::now() + chrono::TimeDelta::hours(hours)).to_rfc3339();
        for step in [
            format!(
                "{{\"do\":\"open\",\"whose\":{{\"owner\":\"tech1\",\"generation\":7}},\"window\":{{\"until\":\"{end}\",\"end\":\"{end}\",\"processes\":\"own\"}},\"password\":null}}"
            ),
            format!(
                "{{\"do\":\"grant\",\"right\":\"group:root\",\"until\":\"{end}\",\"asks\":\"password\"}}"
            ),
            format!("{{\"do\":\"grant\",\"right\":\"sudo:ALL\",\"until\":\"{end}\",\"asks\":\"password\"}}"),
        ] {
            assert_eq!(why(&scratch.step(&step)), Some(Refusal::BadValue), "{step}");
        }
    }
    assert_eq!(scratch.read("ran"), "");
}

#[test]
fn a_machine_whose_databases_are_locked_is_busy() {
    let scratch = Scratch::with_account(1001, CLOSED, "1");
    scratch.program("usermod", "echo 'usermod: cannot lock /etc/passwd; try again later.' >&2; exit 1");
    let answer = scratch.step("{\"do\":\"close\",\"processes\":\"stay\"}");
    assert_eq!(why(&answer), Some(Refusal::Busy));
    assert!(format!("{answer:?}").contains("try again later"), "{answer:?}");
}

#[test]
fn one_request_waits_for_another_on_the_same_machine() {
    let scratch = Scratch::with_account(1001, CLOSED, "1");
    scratch.program(
        "usermod",
        "mkdir \"$ROOT/at-work\" || touch \"$ROOT/met\"; sleep 0.2; rmdir \"$ROOT/at-work\"",
    );
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads
                .spawn(|| assert_eq!(why(&scratch.step("{\"do\":\"close\",\"processes\":\"stay\"}")), None));
        }
    });
    assert!(!scratch.path("met").exists(), "two programs at once");
}
