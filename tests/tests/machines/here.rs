//! The broker's own machine.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::installed::{HERE, Installed};
use ticketgate_tests::patience::until;

use crate::account::{TECH1, drop_ins, exists, groups, here, is_root, nothing_is_open};

#[test]
fn a_session_opens_an_account_that_sudo_takes_for_root_and_its_end_leaves_nothing_running() -> Outcome {
    let site = here(HERE)?;
    let session = site.activate("all")?;
    assert_eq!(session.account, TECH1);
    assert!(is_root(&site.machine, TECH1, &session.password)?);
    assert!(!is_root(&site.machine, TECH1, "something else")?);
    // What was started from it, also as root, and also what left its terminal.
    let mut work = site.machine.command_as(TECH1, "sh");
    let script =
        "echo \"$1\" | sudo -S -b sleep 8642 & setsid nohup sleep 8643 > /dev/null 2>&1 & sleep 8644";
    let mut work = work.args(["-c", script, "sh", &session.password]).spawn()?;
    let running = || site.machine.sh("pgrep -c -f '^sleep 864' || true");
    until("the account's processes to run", Duration::from_secs(10), || Ok(running()? == "3"))?;
    let ended = site.cli_json(&["end", &session.id])?;
    assert_eq!(ended["state"], "ended");
    assert_eq!(running()?, "0");
    work.wait()?;
    assert!(!is_root(&site.machine, TECH1, &session.password)?);
    nothing_is_open(&site.machine)?;
    assert!(exists(&site.machine, TECH1), "a dedicated account stays, closed");
    let again = site.activate("all")?;
    assert_ne!(again.password, session.password);
    assert!(is_root(&site.machine, TECH1, &again.password)?);
    assert!(!is_root(&site.machine, TECH1, &session.password)?);
    Ok(())
}

#[test]
fn two_sessions_of_one_account_hold_both_rights_and_each_end_takes_its_own() -> Outcome {
    let site = here(HERE)?;
    let (all, docker) = (site.activate("all")?, site.activate("docker")?);
    assert_eq!(all.account, docker.account);
    assert!(is_root(&site.machine, TECH1, &all.password)?);
    assert_eq!(groups(&site.machine, TECH1)?, "docker");
    // The rule ends with its own session, not with the account's later end.
    let rule = site.machine.sh("cat /etc/sudoers.d/ticketgate_jit-tech1_*")?;
    let end = all.session["expires_at"].as_str().unwrap().replace(['-', ':', 'T'], "");
    assert!(rule.contains(&format!("NOTAFTER={}", &end[..12])), "{rule} {end}");
    site.cli_json(&["extend", &all.id, "--by", "2h"])?;
    let later = site.machine.sh("cat /etc/sudoers.d/ticketgate_jit-tech1_*")?;
    assert!(later != rule && is_root(&site.machine, TECH1, &all.password)?, "{later}");
    site.cli_json(&["end", &all.id])?;
    assert!(!is_root(&site.machine, TECH1, &all.password)?);
    assert_eq!((drop_ins(&site.machine)?, groups(&site.machine, TECH1)?), (String::new(), "docker".into()));
    site.cli_json(&["end", &docker.id])?;
    nothing_is_open(&site.machine)?;
    Ok(())
}

#[test]
fn a_burner_is_made_for_its_session_and_is_gone_with_its_home_after_it() -> Outcome {
    let site = here(HERE)?;
    let (first, second) = (site.activate("burner")?, site.activate("burner")?);
    assert!(first.account.starts_with("jit-tech1-") && first.account != second.account);
    assert!(is_root(&site.machine, &first.account, &first.password)?);
    site.cli_json(&["end", &first.id])?;
    assert!(!exists(&site.machine, &first.account));
    assert!(site.machine.sh(&format!("ls -d /home/{}", first.account)).is_err());
    assert!(is_root(&site.machine, &second.account, &second.password)?);
    site.cli_json(&["end", &second.id])?;
    nothing_is_open(&site.machine)?;
    Ok(())
}

#[test]
fn a_killed_broker_leaves_a_session_as_it_is_to_the_next_one_and_its_end_to_the_machine() -> Outcome {
    let mut site = here(HERE)?;
    let session = site.activate("all")?;
    site.kill_broker()?;
    // The machine's own timer touches nothing before the end.
    assert!(site.cli(&["local", "sweep"])?.succeeded());
    assert!(is_root(&site.machine, TECH1, &session.password)?);
    site.start_broker(&[])?;
    assert_eq!(site.cli_json(&["sessions"])?[0]["state"], "active");
    // A new password, since no broker keeps one; the old one stops.
    let renewed = site.cli_json(&["password", &session.id, "--new"])?;
    assert!(is_root(&site.machine, TECH1, renewed["password"].as_str().unwrap())?);
    assert!(!is_root(&site.machine, TECH1, &session.password)?);
    site.cli_json(&["end", &session.id])?;
    nothing_is_open(&site.machine)?;
    Ok(())
}

#[test]
fn where_people_log_on_by_key_there_is_no_password_and_sudo_asks_for_none() -> Outcome {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let by_key = HERE.replace("machine = \"here\"", "machine = \"here\"\nlogin = \"ssh_key\"");
    let site =
        here(&by_key.replace("login = \"root\"", &format!("login = \"root\"\nssh_keys = [\"{key}\"]")))?;
    let session = site.activate("all")?;
    assert_eq!((session.password.as_str(), &session.session["passwordless"]), ("", &json!(true)));
    let refused = site.cli(&["password", &session.id])?;
    assert!(refused.stderr.contains("[no_password]"), "{refused:?}");
    assert!(is_root(&site.machine, TECH1, "")?);
    assert!(site.machine.sh("getent shadow jit-tech1")?.starts_with("jit-tech1:*:"));
    let file = site.machine.sh("cat /etc/ssh/ticketgate-keys/jit-tech1")?;
    assert!(file.contains("expiry-time=\"20") && file.contains(key), "{file}");
    site.cli_json(&["end", &session.id])?;
    assert!(!is_root(&site.machine, TECH1, "")?);
    nothing_is_open(&site.machine)?;
    // Whoever has no key has no way in, and is told before anything is made.
    site.configure(&by_key)?;
    until("the configuration to be read", Duration::from_secs(10), || {
        Ok(site.log().matches("configuration loaded").count() > 1)
    })?;
    let refused = site.cli(&["activate", "docker", "--reason", "#4711 nginx"])?;
    assert!(refused.stderr.contains("key"), "{refused:?}");
    Ok(())
}

#[test]
fn a_session_whose_broker_is_dead_ends_by_the_machine_itself() -> Outcome {
    let mut site = here(HERE)?;
    let asked = ["activate", "all", "--for", "6s", "--reason", "#4711 nginx does not answer"];
    let session = site.cli_json(&asked)?;
    let end = session["expires_at"].as_str().unwrap().parse::<DateTime<Utc>>()?;
    let password = site.cli_json(&["password", session["id"].as_str().unwrap()])?;
    let password = password["password"].as_str().unwrap();
    site.kill_broker()?;
    assert!(is_root(&site.machine, TECH1, password)?);
    assert!(DateTime::<Utc>::from(SystemTime::now()) < end, "the machine was too slow for this test");
    std::thread::sleep(
        (end - DateTime::<Utc>::from(SystemTime::now())).to_std()? + Duration::from_millis(1020),
    );
    assert!(!is_root(&site.machine, TECH1, password)?);
    assert!(site.machine.sh("pgrep ticketgate").is_err(), "something of ours runs");
    assert!(site.cli(&["local", "sweep"])?.stdout.contains("1 accounts that were over were closed"));
    nothing_is_open(&site.machine)?;
    Ok(())
}

#[test]
fn a_broker_without_privilege_reaches_the_machines_side_by_a_socket_that_is_its_alone() -> Outcome {
    let machine = Machine::start("acme-web1")?;
    machine.prepare()?;
    machine.sh("useradd --system --no-create-home ticketgate; useradd somebody")?;
    let mut site = Installed::prepare(machine, &HERE.replace("\"root\"", "\"ticketgate\""))?;
    site.machine.sh("chown -R ticketgate /run/ticketgate /var/lib/ticketgate; touch /var/log/ticketgate.log; chown ticketgate /var/log/ticketgate.log")?;
    // What systemd does for ticketgate-local.socket: a socket of the broker's, and a process with each connection as its input.
    let systemd = r#"
import os, pwd, socket, subprocess
os.makedirs("/run/ticketgate-local")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/ticketgate-local/serve.sock")
os.chown("/run/ticketgate-local/serve.sock", pwd.getpwnam("ticketgate").pw_uid, -1)
os.chmod("/run/ticketgate-local/serve.sock", 0o600)
listener.listen()
while True:
    link = listener.accept()[0]
    subprocess.Popen(["/usr/bin/ticketgate", "local", "serve"], stdin=link, stdout=link)
    link.close()
"#;
    let mut systemd = site.machine.command("python3").args(["-c", systemd]).spawn()?;
    until("the socket to be there", Duration::from_secs(10), || {
        Ok(site.machine.sh("[ -S /run/ticketgate-local/serve.sock ]").is_ok())
    })?;
    site.run_as("ticketgate");
    site.start_broker(&[])?;
    let session = site.activate("all")?;
    assert!(is_root(&site.machine, TECH1, &session.password)?);
    // Others do not get in, also where somebody opened the socket to all.
    let ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/ticketgate-local/serve.sock'); s.sendall(b'{\"ask\":\"list\"}\\n'); print(s.recv(100))";
    let asks = |user: &str| site.machine.command_as(user, "python3").args(["-c", ask]).output();
    let refused = asks("somebody")?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PermissionError"), "{refused:?}");
    site.machine.sh("chmod 666 /run/ticketgate-local/serve.sock")?;
    assert!(!String::from_utf8_lossy(&asks("somebody")?.stdout).contains("answer"));
    assert!(asks("ticketgate")?.stdout.starts_with(b"b'{\"answer\":\"listed\""));
    site.cli_json(&["end", &session.id])?;
    nothing_is_open(&site.machine)?;
    systemd.kill()?;
    systemd.wait()?;
    Ok(())
}

#[test]
fn a_name_that_somebody_has_is_refused_and_nothing_of_them_is_touched() -> Outcome {
    let site = here(HERE)?;
    site.machine.sh("useradd --create-home --comment 'Terry Tate' jit-tech1")?;
    let databases = "cat /etc/passwd /etc/shadow /etc/group; ls -lR /home";
    let before = site.machine.sh(databases)?;
    let refused = site.cli(&["activate", "all", "--reason", "#4711 nginx"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[name_clash]"), "{refused:?}");
    assert_eq!(site.machine.sh(databases)?, before);
    assert_eq!(drop_ins(&site.machine)?, "");
    Ok(())
}

#[test]
fn what_somebody_added_by_hand_goes_at_the_next_sweep_and_a_rule_made_longer_is_put_right() -> Outcome {
    let site = here(HERE)?;
    let session = site.activate("all")?;
    site.machine.sh("gpasswd -a jit-tech1 docker; usermod -g daemon jit-tech1; sed -i 's/NOTAFTER=2/NOTAFTER=3/' /etc/sudoers.d/ticketgate_*")?;
    site.cli(&["sweep"])?;
    assert_eq!(groups(&site.machine, TECH1)?, "");
    assert!(site.machine.sh("grep NOTAFTER=2 /etc/sudoers.d/ticketgate_*").is_ok());
    assert!(is_root(&site.machine, TECH1, &session.password)?);
    // Closed by hand: the session is over, and not opened again.
    site.machine.sh("usermod --expiredate 1970-01-02 jit-tech1")?;
    site.cli(&["sweep"])?;
    assert_eq!(site.cli_json(&["sessions"])?, json!([]));
    nothing_is_open(&site.machine)?;
    Ok(())
}

#[test]
fn a_right_that_the_machine_does_not_have_or_does_not_allow_is_refused_with_nothing_half_granted() -> Outcome
{
    let site = here(HERE)?;
    site.machine.sh("groupdel docker")?;
    let refused = site.cli(&["activate", "burner", "--reason", "#4711 nginx"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[unknown_right]"), "{refused:?}");
    site.machine.sh("echo 'rights = [\"group:docker\"]' > /etc/ticketgate/local.toml")?;
    let refused = site.cli(&["activate", "all", "--reason", "#4711 nginx"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[not_delegated]"), "{refused:?}");
    nothing_is_open(&site.machine)?;
    assert_eq!(site.machine.sh("getent passwd | grep -c '^jit-tech1-' || true")?, "0");
    Ok(())
}

#[test]
fn check_names_what_sessions_will_need_and_changes_nothing() -> Outcome {
    let site = here(HERE)?;
    let files = "find /etc /home /var/spool -newer /etc/marker -type f";
    site.machine.sh("touch /etc/marker")?;
    let said = site.cli(&["--json", "check"])?;
    assert_eq!(site.machine.sh(files)?, "");
    let findings: Vec<Value> = serde_json::from_str(&said.stdout)?;
    let of = |level: &str| -> String {
        let texts = findings.iter().filter(|f| f["level"] == level).map(|f| f["text"].as_str().unwrap());
        texts.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(of("error"), "");
    for good in [
        "its own side answers",
        "both clocks agree",
        "sudo takes a rule that ends by itself",
        "the group docker is there",
    ] {
        assert!(of("ok").contains(good), "{good}: {findings:?}");
    }
    assert!(of("warning").contains("no timer of the machine"), "{findings:?}");
    Ok(())
}
