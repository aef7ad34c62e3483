//! What is left of a burner, and where a password is seen on its way.

use chrono::TimeDelta;
use ticketgate_directory::local::request::{LocalStep, SudoAsks};

use crate::far::{ACCOUNT, grant, now, open, whose, world};

#[test]
fn a_burner_leaves_nothing_named_after_it() {
    let world = world();
    let end = now() + TimeDelta::seconds(600);
    world.done(LocalStep::Create { whose: whose() });
    for right in [
        "sudo:ALL",
        "group:audio",
        "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    ] {
        world.done(grant(right, end));
    }
    world.done(open(end, Some("correct-horse-9")));
    let uid = world.machine.sh("id -u jit-tech1").unwrap();
    let leave = "mkdir -p /var/spool/cron/crontabs /var/spool/cron/atjobs /var/lib/systemd/linger; cd /var/spool/cron; \
                 echo x > crontabs/jit-tech1; echo x > atjobs/a0001; chown jit-tech1 crontabs/jit-tech1 atjobs/a0001; touch /var/lib/systemd/linger/jit-tech1; \
                 echo mail > /var/mail/jit-tech1; chown jit-tech1 /var/mail/jit-tech1";
    world.machine.sh(leave).unwrap();
    // sudo remembers a password that was typed, and whom it has told its first words.
    let typed = "echo correct-horse-9 | setpriv --reuid jit-tech1 --regid jit-tech1 --init-groups sudo -S -p '' id -u";
    world.done(LocalStep::Grant {
        right: "sudo:/usr/bin/id".parse().unwrap(),
        until: end,
        asks: SudoAsks::Password,
    });
    world.done(LocalStep::Revoke { right: "sudo:ALL".into() });
    assert_eq!(world.machine.sh(typed).unwrap(), "0");
    world.done(grant("sudo:ALL", end));
    assert!(
        world
            .machine
            .command_as(ACCOUNT, "sh")
            .args(["-c", "sudo -n -b sleep 9000; echo x > ~/file; setsid sleep 9000 &"])
            .status()
            .unwrap()
            .success()
    );
    world.done(LocalStep::Delete {});
    world.done(LocalStep::Delete {});
    assert!(world.look().is_none());
    let found = world
        .machine
        .sh(&format!(
            "find /etc /home /var /run /tmp -xdev \\( -name '*{ACCOUNT}*' -o -uid {uid} \\) 2>/dev/null"
        ))
        .unwrap();
    assert_eq!(found, "");
    // Backups of shadow-utils (`passwd-`) hold the state before the last write; they open nothing.
    let named = world.machine.sh(&format!("grep -rl {ACCOUNT} /etc --exclude='*-' || true")).unwrap();
    assert_eq!(named, "");
    assert_eq!(world.machine.sh("grep -lzs '^9000$' /proc/[0-9]*/cmdline | wc -l").unwrap(), "0");
}

#[test]
fn the_password_is_on_no_command_line_in_no_environment_and_in_no_log() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    // A `chpasswd` that looks around before it does its work.
    let look = "#!/bin/sh\ngrep -lsa 'correct-horse' /proc/[0-9]*/cmdline /proc/[0-9]*/environ > /run/seen\nexec /usr/sbin/chpasswd.real\n";
    world.machine.sh("mv /usr/sbin/chpasswd /usr/sbin/chpasswd.real").unwrap();
    std::fs::write(world.machine.path("/usr/sbin/chpasswd"), look).unwrap();
    world.machine.sh("chmod 755 /usr/sbin/chpasswd").unwrap();
    world.done(open(now() + TimeDelta::seconds(600), Some("correct-horse-9")));
    assert_eq!(world.machine.sh("cat /run/seen").unwrap(), "");
    let found = world.machine.sh("grep -rsla 'correct-horse' /etc /run /tmp /var/log /home || true").unwrap();
    assert_eq!(found, "");
}
