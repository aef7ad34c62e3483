//! `ticketgate local install` and what it takes back, and the sweep of the machine alone.

use ticketgate_tests::Outcome;
use ticketgate_tests::machine::Machine;
use ticketgate_tests::machine::installed::{HERE, Installed, PROGRAM};

use crate::account::here;

/// Every file of the machine that an installation could touch.
const FILES: &str =
    "find /etc -xdev -type f -exec sha256sum {} + | sort; find /etc -xdev | sort; cat /etc/passwd";

#[test]
fn an_installation_is_whole_is_repeated_without_a_change_and_leaves_nothing_behind() -> Outcome {
    let machine = Machine::start("acme-web1")?;
    machine.install_product()?;
    machine.sh("mkdir -p /etc/cron.d /run/sshd /etc/ssh/sshd_config.d; ssh-keygen -A")?;
    let before = machine.sh(FILES)?;
    let install = || machine.sh("ticketgate local install");
    let said = install()?;
    for told in [
        "ticketgate.conf written",
        "cron.d/ticketgate-local written",
        "restrict,command=\"/usr/bin/ticketgate local serve\"",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let in_force = |user: &str| {
        machine
            .sh(&format!("/usr/sbin/sshd -T -C user={user},host=x,addr=10.0.0.1 | grep authorizedkeysfile"))
    };
    assert_eq!(in_force("jit-tech1")?, "authorizedkeysfile /etc/ssh/ticketgate-keys/%u");
    assert!(in_force("terry")?.contains(".ssh/authorized_keys"), "people's own keys are not touched");
    let whole = machine.sh(FILES)?;
    assert!(install()?.contains("Nothing to do."));
    assert_eq!(machine.sh(FILES)?, whole);
    machine.sh("ticketgate local install --remove")?;
    assert_eq!(machine.sh(FILES)?, before);
    Ok(())
}

#[test]
fn an_sshd_that_would_not_start_with_it_is_left_as_it_was() -> Outcome {
    let machine = Machine::start("acme-web1")?;
    machine.install_product()?;
    machine.sh("mkdir -p /run/sshd; ssh-keygen -A; mv /usr/sbin/sshd /usr/sbin/sshd.real")?;
    // An sshd that knows no `Match User` with a pattern would be a strange one; any fault is as good.
    machine.sh("printf '#!/bin/sh\\n[ ! -e /etc/ssh/sshd_config.d/ticketgate.conf ] || { echo bad line >&2; exit 255; }\\n' > /usr/sbin/sshd; chmod 755 /usr/sbin/sshd")?;
    let refused = machine.command(PROGRAM).args(["local", "install"]).output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("sshd does not take") && said.contains("bad line"),
        "{said}"
    );
    assert!(machine.sh("ls /etc/ssh/sshd_config.d/ticketgate*").is_err());
    Ok(())
}

#[test]
fn nothing_is_taken_back_while_somebody_can_log_on_and_nobody_but_root_is_served() -> Outcome {
    let site = here(HERE)?;
    site.machine.sh("ticketgate local install")?;
    let warned = site.cli(&["--json", "check"])?;
    assert!(warned.stdout.contains("a timer of the machine ends what is over every minute"), "{warned:?}");
    let session = site.activate("all")?;
    let refused = site.cli(&["local", "install", "--remove"])?;
    assert!(!refused.succeeded() && refused.stdout.contains("jit-tech1 is open"), "{refused:?}");
    site.cli_json(&["end", &session.id])?;
    let removed = site.cli(&["local", "install", "--remove"])?;
    assert!(removed.succeeded(), "{removed:?}");
    for what in ["serve", "sweep", "install"] {
        let refused = site.machine.command_as("daemon", PROGRAM).args(["local", what]).output()?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("by root only"), "{what}: {said}");
    }
    Ok(())
}

#[test]
fn the_line_of_cron_closes_what_is_over_without_a_broker_and_says_so() -> Outcome {
    let site = here(HERE)?;
    site.machine.sh("ticketgate local install")?;
    let session = site.activate("docker")?;
    let Installed { machine, .. } = &site;
    // The end moved into the past, as if its time had come while nobody was there.
    machine.sh("note=$(getent passwd jit-tech1 | cut -d: -f5 | sed 's/end=202/end=200/'); usermod --comment \"$note\" jit-tech1")?;
    let line = machine.sh("grep -o 'root .*' /etc/cron.d/ticketgate-local | cut -c6- | sed 's/> .*//'")?;
    assert_eq!(machine.sh(&line)?, "1 accounts that were over were closed");
    assert_eq!(machine.sh(&line)?, "", "nothing is anybody's mail where nothing was over");
    crate::account::nothing_is_open(machine)?;
    // And the broker sees that the session is over.
    site.cli(&["sweep"])?;
    assert_eq!(site.cli_json(&["sessions"])?, serde_json::json!([]), "{}", session.id);
    Ok(())
}
