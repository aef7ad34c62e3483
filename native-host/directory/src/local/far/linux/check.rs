//! What sessions will need of the machine, looked at before a technician meets what is missing. Nothing is changed: a rule of sudo
//! is tried in a file that sudo does not read.

use std::fs;
use std::path::Path;

use chrono::TimeDelta;
use ticketgate_protocol::api::Finding;

use super::clock::{Second, now};
use super::run::run;
use super::sudo::{self, Rule};
use super::{FarError, Places, bounds, databases, files};
use crate::local::request::SudoAsks;
use crate::local::{AccountName, LocalRight, SudoCommand, Token};

const PROGRAMS: [&str; 6] = ["useradd", "usermod", "userdel", "groupadd", "gpasswd", "chpasswd"];
/// Of systemd only where it is switched on.
const TIMERS: [&str; 2] =
    ["systemd/system/timers.target.wants/ticketgate-local-sweep.timer", "cron.d/ticketgate-local"];
/// Where the SSH server has to look for the keys of sessions.
const KEYS: &str = "/etc/ssh/ticketgate-keys/%u";

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: &str, text: impl Into<String>, remedy: &str) {
        let (level, subject) = (level.into(), "machine".into());
        self.0.push(Finding { level, subject, text: text.into(), remedy: remedy.into() });
    }
}

/// Never fails: what is wrong is a finding.
pub(super) fn check(places: &Places, rights: &[LocalRight]) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|name| places.program(name).is_err()).collect();
    if missing.is_empty() {
        findings.add("ok", "the programs that make, change and delete accounts are there", "");
    } else {
        findings.add("error", format!("not installed: {}", missing.join(", ")), "apt-get install passwd");
    }
    if let Err(error) = places.machine_name() {
        findings.add("error", error.to_string(), "systemd-machine-id-setup");
    }
    for error in rights.iter().filter_map(|right| bounds::allow(places, right).err()) {
        findings.add("error", error.to_string(), "Name the right there, or take it out of the policy.");
    }
    if rights.iter().any(|right| matches!(right, LocalRight::Sudo(_))) {
        sudo_rules(places, &mut findings);
    }
    groups(places, rights, &mut findings);
    if rights.iter().any(|right| matches!(right, LocalRight::Key(_))) {
        keys(places, &mut findings);
    }
    if TIMERS.iter().any(|timer| places.etc.join(timer).is_file()) {
        findings.add("ok", "a timer of the machine ends what is over every minute", "");
    } else {
        let text = "no timer of the machine ends what is over: without a broker, accounts stay open until midnight UTC, and groups for good";
        findings.add("warning", text, "ticketgate local install");
    }
    if !places.proc.join("self/loginuid").exists() {
        let text = "this kernel does not keep who logged on: what an account started through sudo goes on after its end";
        findings.add("warning", text, "");
    }
    findings.0
}

fn sudo_rules(places: &Places, findings: &mut Findings) {
    match run(places, "visudo", &["-c"], None) {
        Err(_) => return findings.add("error", "there is no sudo on this machine", "apt-get install sudo"),
        Ok(ended) if ended.code != Some(0) => {
            findings.add("error", format!("sudo's rules have a fault: {}", ended.failed()), "visudo -c");
        }
        Ok(_) => match tried(places) {
            Ok(()) => findings.add("ok", "sudo takes a rule that ends by itself", ""),
            Err(error) => findings.add(
                "error",
                format!("this machine's sudo cannot end a rule by itself: {error}"),
                "Install the classic one, 1.8.20 or later (Ubuntu: sudo.ws).",
            ),
        },
    }
    let main = files::text(&places.etc.join("sudoers")).unwrap_or_default();
    let reads_folder = |line: &str| {
        let path = line.trim().strip_prefix(['@', '#']).and_then(|line| line.strip_prefix("includedir"));
        path.is_some_and(|path| path.trim().trim_end_matches('/') == "/etc/sudoers.d")
    };
    if !main.lines().any(reads_folder) {
        findings.add(
            "error",
            "sudo does not read /etc/sudoers.d",
            "Add `@includedir /etc/sudoers.d` to /etc/sudoers with visudo.",
        );
    }
    let others = fs::read_dir(places.sudo_rules()).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in others.chain([places.etc.join("sudoers")]) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_read = sudo::file_name(&name).is_none() && !name.contains('.') && !name.ends_with('~');
        let text = files::text(&path).unwrap_or_default();
        if is_read && text.lines().any(|line| line.trim_start().starts_with("jit-")) {
            let text =
                format!("{} has a rule for a JIT account that no session's end takes away", path.display());
            findings.add("warning", text, "");
        }
    }
    if places.zones.join("right").is_dir() {
        let text = "this machine has time zones that count leap seconds: whoever sets TZ to one keeps a rule of sudo 27 s longer, where neither \
                    the broker nor the timer closes the account before";
        findings.add("warning", text, "Where nothing needs them: rm -r /usr/share/zoneinfo/right");
    }
}

/// A rule like a session's, through sudo's own judge.
fn tried(places: &Places) -> Result<(), FarError> {
    let bad = |why: &dyn std::fmt::Display| FarError::Failed(why.to_string());
    let seconds = (Second::of(now()), Second::of(now() + TimeDelta::hours(1)));
    let (Some(not_before), Some(not_after)) = seconds else {
        return Err(FarError::Failed("the machine's clock is wrong".into()));
    };
    let rule = Rule {
        account: AccountName::new("jit-check").map_err(|why| bad(&why))?,
        token: Token::new("0".repeat(26)).map_err(|why| bad(&why))?,
        command: SudoCommand::new("ALL").map_err(|why| bad(&why))?,
        asks: SudoAsks::Nothing,
        not_before,
        not_after,
    };
    let path = places.run.join(files::unfinished()?);
    let tried = files::write_new(&path, 0o440, &sudo::text(&rule))
        .map_err(|error| files::failed(&path, &error))
        .and_then(|()| run(places, "visudo", &["-c", "-f", &path.to_string_lossy()], None)?.well());
    files::remove(&path)?;
    tried
}

fn groups(places: &Places, rights: &[LocalRight], findings: &mut Findings) {
    let text = files::text(&places.etc.join("group")).unwrap_or_default();
    for right in rights {
        let LocalRight::Group(name) = right else { continue };
        if databases::groups(&text).any(|group| group.name == name.as_str()) {
            findings.add("ok", format!("the group {name} is there"), "");
        } else {
            findings.add(
                "error",
                format!("there is no group {name} in /etc/group"),
                &format!("groupadd --system {name}"),
            );
        }
    }
}

fn keys(places: &Places, findings: &mut Findings) {
    let Some(settings) = key_files(&places.etc.join("ssh")) else {
        return findings.add(
            "error",
            "there is no SSH server on this machine",
            "apt-get install openssh-server",
        );
    };
    // In a block for the account, then for everybody; of several the first counts.
    let (of_blocks, of_all): (Vec<_>, Vec<_>) = settings.into_iter().partition(|one| one.block.is_some());
    let mut before = Vec::new();
    for KeyFile { block, line } in of_blocks.into_iter().chain(of_all) {
        if line.split_ascii_whitespace().any(|path| path == KEYS) {
            findings.add("ok", "the SSH server reads the keys of sessions", "");
            for block in before {
                let text = format!(
                    "`{block}` names other files of keys before: where it holds for JIT accounts, their keys are not read"
                );
                findings.add("warning", text, "Put it into a file whose name sorts behind ticketgate.conf.");
            }
            return;
        }
        before.extend(block);
    }
    findings.add("error", "the SSH server does not read the keys of sessions", "ticketgate local install");
}

/// A line of the server's settings that says where keys are.
struct KeyFile {
    /// The line that begins its block; none: it is for everybody.
    block: Option<String>,
    line: String,
}

/// In the order in which the server reads them.
fn key_files(ssh: &Path) -> Option<Vec<KeyFile>> {
    let mut found = Vec::new();
    let mut block = None;
    for line in fs::read_to_string(ssh.join("sshd_config")).ok()?.lines().map(str::trim) {
        if !word(line).eq_ignore_ascii_case("Include") {
            found.extend(key_file(line, &mut block));
            continue;
        }
        let folder = fs::read_dir(ssh.join("sshd_config.d")).into_iter().flatten().flatten();
        let mut included: Vec<_> = folder
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "conf"))
            .collect();
        included.sort();
        for path in included {
            // A block ends with its file.
            let mut block = block.clone();
            let text = fs::read_to_string(path).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| key_file(line.trim(), &mut block)));
        }
    }
    Some(found)
}

fn key_file(line: &str, block: &mut Option<String>) -> Option<KeyFile> {
    if word(line).eq_ignore_ascii_case("Match") {
        let everybody =
            line.split_ascii_whitespace().nth(1).is_some_and(|who| who.eq_ignore_ascii_case("all"));
        *block = (!everybody).then(|| line.to_owned());
    }
    let is_one = word(line).eq_ignore_ascii_case("AuthorizedKeysFile");
    is_one.then(|| KeyFile { block: block.clone(), line: line.to_owned() })
}

fn word(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::far::linux::tests::Scratch;

    const KEY: &str = "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    /// A machine on which nothing is wrong.
    fn good() -> Scratch {
        let scratch = Scratch::new();
        scratch.write("etc/sudoers", "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n");
        scratch.write(
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nMatch User x\nAuthorizedKeysFile none\n",
        );
        let for_accounts = format!("Match User jit-*\n    AuthorizedKeysFile {KEYS}\n");
        scratch.write("etc/ssh/sshd_config.d/ticketgate.conf", &for_accounts);
        scratch.write("etc/cron.d/ticketgate-local", "* * * * * root /usr/bin/ticketgate local sweep\n");
        scratch
    }

    /// What is not "ok".
    fn wrong(scratch: &Scratch) -> Vec<String> {
        let rights = ["sudo:ALL", "group:root", KEY].map(|right| right.parse().unwrap());
        let findings = check(&scratch.places, &rights);
        let before = fs::read_dir(&scratch.places.run).unwrap().count();
        assert_eq!(before, 0, "something was left");
        findings.into_iter().filter(|f| f.level != "ok").map(|f| format!("{}: {}", f.level, f.text)).collect()
    }

    #[test]
    fn on_a_machine_that_is_ready_nothing_is_wrong() {
        assert_eq!(wrong(&good()), [""; 0]);
        // What is set for everybody does not count for an account that has a block of its own.
        let scratch = good();
        scratch.write("etc/ssh/sshd_config.d/a.conf", "AuthorizedKeysFile none");
        assert_eq!(wrong(&scratch), [""; 0]);
        scratch.write("etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n");
        scratch.write("etc/ssh/sshd_config.d/ticketgate.conf", "");
        scratch.write(
            "etc/ssh/sshd_config.d/a.conf",
            &format!("AuthorizedKeysFile .ssh/authorized_keys {KEYS}"),
        );
        assert_eq!(wrong(&scratch), [""; 0]);
    }

    #[test]
    fn each_fault_of_a_machine_is_one_finding() {
        type Break = fn(&Scratch);
        let cases: [(Break, &str); 14] = [
            (|s| fs::remove_file(s.path("bin/gpasswd")).unwrap(), "error: not installed: gpasswd"),
            (|s| fs::remove_file(s.path("bin/visudo")).unwrap(), "error: there is no sudo"),
            (|s| s.program("visudo", "exit 1"), "error: sudo's rules have a fault"),
            (
                |s| s.program("visudo", "case \"$*\" in *-f*) exit 1;; esac"),
                "error: this machine's sudo cannot end",
            ),
            (|s| s.write("etc/sudoers", "root ALL=(ALL:ALL) ALL\n"), "error: sudo does not read"),
            (|s| s.write("etc/sudoers.d/more", "jit-tech1 ALL=(ALL:ALL) ALL\n"), "warning: "),
            (|s| s.folder("zones/right"), "warning: this machine has time zones"),
            (|s| s.write("etc/group", "docker:x:998:\n"), "error: there is no group root"),
            (|s| fs::remove_file(s.path("etc/ssh/sshd_config")).unwrap(), "error: there is no SSH server"),
            (
                |s| fs::remove_file(s.path("etc/ssh/sshd_config.d/ticketgate.conf")).unwrap(),
                "error: the SSH server does not read",
            ),
            (
                |s| s.write("etc/ssh/sshd_config.d/a.conf", "match group sftp\nauthorizedkeysfile none"),
                "warning: `match group sftp` names other files",
            ),
            (
                |s| {
                    s.write(
                        "etc/ssh/sshd_config.d/ticketgate.conf",
                        "AuthorizedKeysFile .ssh/authorized_keys",
                    );
                },
                "error: the SSH server does not read",
            ),
            (|s| fs::remove_file(s.path("etc/cron.d/ticketgate-local")).unwrap(), "warning: no timer"),
            (
                |s| s.write("etc/ticketgate/local.toml", "rights = [\"sudo:ALL\", \"key:\"]"),
                "error: the machine does not allow this: group:root",
            ),
        ];
        for (break_it, expected) in cases {
            let scratch = good();
            break_it(&scratch);
            let found = wrong(&scratch);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
        }
    }
}
