//! Another machine, by the system's `ssh` to a real `sshd` in a network of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ticketgate_tests::Outcome;
use ticketgate_tests::machine::network::FAR;
use ticketgate_tests::machine::remote::{HOST_KEY, KNOWN, Remote};
use ticketgate_tests::patience::until;

use crate::account::{TECH1, is_root, nothing_is_open};

/// Whether the technician's own key opens the account there.
fn key_opens(site: &Remote, account: &str) -> bool {
    let ssh = format!(
        "ssh -F none -i /etc/ticketgate/terry -o BatchMode=yes -o UserKnownHostsFile={KNOWN} {account}@{FAR} true"
    );
    site.near.machine.sh(&ssh).is_ok()
}

#[test]
fn a_session_on_another_machine_opens_by_password_and_key_and_its_end_closes_both_and_what_came_in() -> Outcome
{
    let site = Remote::start()?;
    let session = site.near.activate("all")?;
    assert_eq!(session.account, format!("{TECH1}@{FAR}"));
    assert!(is_root(&site.far, TECH1, &session.password)?);
    assert!(key_opens(&site, TECH1));
    // Somebody who is logged on.
    let mut ssh = site.near.machine.command("ssh");
    ssh.args(["-F", "none", "-i", "/etc/ticketgate/terry", "-o", &format!("UserKnownHostsFile={KNOWN}")]);
    let mut ssh =
        ssh.args([&format!("{TECH1}@{FAR}"), "echo in; sleep 8645"]).stdout(Stdio::piped()).spawn()?;
    let mut word = String::new();
    BufReader::new(ssh.stdout.take().unwrap()).read_line(&mut word)?;
    assert_eq!(word, "in\n");
    site.near.cli_json(&["extend", &session.id, "--by", "30m"])?;
    assert!(key_opens(&site, TECH1));
    // The password is in no command line, log or environment of either side.
    let look =
        "grep -lsrF -f /etc/secret /proc/[0-9]*/cmdline /proc/[0-9]*/environ /var/log /tmp /run || true";
    for machine in [&site.near.machine, &site.far] {
        fs::write(machine.path("/etc/secret"), &session.password)?;
        assert_eq!(machine.sh(look)?, "");
    }
    site.near.cli_json(&["end", &session.id])?;
    assert!(!ssh.wait()?.success(), "whoever was logged on is not any more");
    assert!(!key_opens(&site, TECH1) && !is_root(&site.far, TECH1, &session.password)?);
    nothing_is_open(&site.far)?;
    // The broker's key opens nothing but the machine's own side.
    let answer = site.near.machine.sh(&format!(
        "echo x | ssh -F none -i /etc/ticketgate/ssh/acme -o UserKnownHostsFile={KNOWN} ticketgate@{FAR} id"
    ))?;
    assert!(answer.starts_with("{\"answer\":\"refused\"") && !answer.contains("uid="), "{answer}");
    Ok(())
}

#[test]
fn a_host_key_that_is_unknown_or_another_is_refused_and_never_learnt() -> Outcome {
    let site = Remote::start()?;
    let session = site.near.activate("all")?;
    site.far.stop_sshd()?;
    site.far.start_sshd("another_host_key")?;
    let file = || fs::read(site.near.machine.path(KNOWN));
    let before = file()?;
    let refused = site.near.cli(&["activate", "docker", "--reason", "#4711 nginx"])?;
    assert!(refused.stderr.contains("[host_key_refused]"), "{refused:?}");
    let checked = site.near.cli(&["check"])?;
    for told in ["is not the one in", "ssh-keygen -lf"] {
        assert!(checked.stdout.contains(told), "{told}: {checked:?}");
    }
    // What is open cannot be ended there now, and nobody is told that it was.
    let ended = site.near.cli(&["--json", "end", &session.id])?;
    assert!(!ended.stdout.contains("\"ended\""), "{ended:?}");
    assert_eq!(site.near.cli_json(&["sessions"])?[0]["state"], "ending");
    assert_eq!(file()?, before);
    fs::write(site.near.machine.path(KNOWN), "")?;
    let refused = site.near.cli(&["activate", "docker", "--reason", "#4711 nginx"])?;
    assert!(refused.stderr.contains("[host_key_refused]"), "{refused:?}");
    assert!(site.near.cli(&["check"])?.stdout.contains("no key of"));
    assert_eq!(file()?, b"");
    // The key is the right one again.
    site.far.stop_sshd()?;
    site.far.start_sshd(HOST_KEY)?;
    site.trust(HOST_KEY)?;
    site.near.cli(&["sweep"])?;
    until("the session to end", Duration::from_secs(20), || {
        Ok(site.near.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
    })?;
    nothing_is_open(&site.far)?;
    Ok(())
}

#[test]
fn a_machine_that_is_off_is_told_and_what_was_open_there_ends_once_it_is_back() -> Outcome {
    let site = Remote::start()?;
    let session = site.near.activate("all")?;
    site.far.plug(false)?;
    let begun = Instant::now();
    let refused = site.near.cli(&["activate", "docker", "--reason", "#4711 nginx"])?;
    assert!(refused.stderr.contains("[directory_down]"), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    site.near.cli(&["end", &session.id])?;
    assert_eq!(site.near.cli_json(&["sessions"])?[0]["state"], "ending");
    assert!(site.near.cli(&["check"])?.stdout.contains("See that the machine is on"));
    site.far.plug(true)?;
    site.near.cli(&["sweep"])?;
    until("the session to end", Duration::from_secs(20), || {
        Ok(site.near.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
    })?;
    nothing_is_open(&site.far)?;
    Ok(())
}

#[test]
fn something_else_behind_the_key_is_no_machine_of_ours() -> Outcome {
    let site = Remote::start()?;
    site.far.sh(
        "sed -i 's/command=\"[^\"]*\"/command=\"echo Welcome; cat\"/' /home/ticketgate/.ssh/authorized_keys",
    )?;
    let refused = site.near.cli(&["activate", "all", "--reason", "#4711 nginx"])?;
    assert!(
        refused.stderr.contains("[directory_down]") || refused.stderr.contains("[directory_refused]"),
        "{refused:?}"
    );
    assert!(site.near.cli(&["check"])?.stdout.contains("what answers is not `ticketgate local`"));
    Ok(())
}

/// Stands before the machine's own side and cuts the connection for good, as a network does, before or after it has passed on the
/// request with the number that a file says. The side itself goes on with what it has.
const CUTTER: &str = r#"
import os, signal, subprocess, sys
side = subprocess.Popen(["sudo", "-n", "/usr/bin/ticketgate", "local", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sshd = os.getppid()
def cut():
    os.remove("/tmp/cut")
    os.kill(sshd, signal.SIGKILL)
    os._exit(1)
for line in sys.stdin.buffer:
    try:
        when, left = open("/tmp/cut").read().split()
    except FileNotFoundError:
        when, left = "never", "0"
    left = int(left) - 1
    if when != "never":
        open("/tmp/cut", "w").write(f"{when} {left}")
    if when == "before" and left == 0:
        cut()
    side.stdin.write(line)
    side.stdin.flush()
    if when == "after" and left == 0:
        cut()
    sys.stdout.buffer.write(side.stdout.readline())
    sys.stdout.buffer.flush()
"#;

#[test]
fn a_connection_that_is_cut_at_any_step_leaves_nothing_half_granted() -> Outcome {
    let site = Remote::start()?;
    fs::write(site.far.path("/usr/local/bin/cutter.py"), CUTTER)?;
    site.far.sh("sed -i 's/command=\"[^\"]*\"/command=\"python3 \\/usr\\/local\\/bin\\/cutter.py\"/' /home/ticketgate/.ssh/authorized_keys; chmod 1777 /tmp")?;
    let mut cuts = 0;
    for number in 1..=14 {
        for when in ["before", "after"] {
            let what = format!("{when} {number}");
            site.far.sh(&format!("echo {what} > /tmp/cut; chown ticketgate /tmp/cut"))?;
            let asked = site.near.cli(&["--json", "activate", "burner", "--reason", "#4711 nginx"])?;
            if asked.succeeded() {
                let id = asked.json()?["id"].as_str().unwrap().to_owned();
                site.near.cli(&["end", &id])?;
            }
            until(&format!("everything to be ended, {what}"), Duration::from_secs(20), || {
                Ok(site.near.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
            })?;
            nothing_is_open(&site.far)?;
            assert_eq!(site.far.sh("getent passwd | grep '^jit-' || true")?, "", "{what}");
            cuts += usize::from(site.far.sh("[ -e /tmp/cut ]").is_err());
        }
    }
    assert!(cuts >= 20, "only {cuts} of 28 connections were cut");
    Ok(())
}
