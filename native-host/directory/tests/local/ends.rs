//! What a session's end leaves: by the broker's steps, and by the machine's timer alone.

use chrono::TimeDelta;
use ticketgate_directory::local::request::{LocalStep, Processes, SudoAsks};

use crate::far::{ACCOUNT, grant, now, open, sleep_until, whose, world};

const KEY: &str = "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

#[test]
fn an_account_is_made_closed_and_opens_with_its_password_and_its_end_in_the_last_write() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    world.done(LocalStep::Create { whose: whose() });
    let made = world.look().unwrap();
    assert!(!made.enabled && made.own_primary_group && made.rights.is_empty(), "{made:?}");
    assert!(world.machine.sh("getent shadow jit-tech1").unwrap().starts_with("jit-tech1:*:"));
    let end = now() + TimeDelta::hours(1);
    world.done(open(end, Some("correct-horse-9")));
    let opened = world.look().unwrap();
    assert!(opened.enabled);
    assert_eq!(opened.end.unwrap().timestamp(), end.timestamp());
    let home = world
        .machine
        .sh("cd /home; stat -c '%U:%G %a' jit-tech1; stat -c '%U:%G' jit-tech1/.bashrc; ls -A")
        .unwrap();
    assert_eq!(home.lines().take(2).collect::<Vec<_>>(), ["jit-tech1:jit-tech1 700", "jit-tech1:jit-tech1"]);
    assert!(!home.contains(".ticketgate"), "{home}");
    let note = opened.note.unwrap();
    assert_eq!((note.whose, note.window.unwrap().until), (whose(), end));
    // The machine itself takes the password, through the same PAM as a logon.
    let checks = "import crypt,spwd,sys; h=spwd.getspnam('jit-tech1').sp_pwdp; sys.exit(crypt.crypt('correct-horse-9',h)!=h)";
    world.machine.sh(&format!("python3 -W ignore -c \"{checks}\"")).unwrap();
    world.done(LocalStep::Close { processes: Processes::Own });
    world.done(LocalStep::Rotate { whose: whose(), processes: Processes::Own });
    let closed = world.look().unwrap();
    assert!(!closed.enabled && closed.note.unwrap().window.is_none());
    assert!(world.machine.sh("getent shadow jit-tech1").unwrap().starts_with("jit-tech1:*:"));
    // And once more, of the same account.
    world.done(open(now() + TimeDelta::hours(1), None));
    assert!(world.look().unwrap().enabled);
    assert!(world.machine.sh("getent shadow jit-tech1").unwrap().starts_with("jit-tech1:*:"));
}

#[test]
fn the_timer_alone_closes_an_account_that_is_over_with_all_its_rights_and_does_it_once() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    let end = now() + TimeDelta::seconds(5);
    for right in ["sudo:ALL", "group:audio", KEY] {
        world.done(grant(right, end));
    }
    world.done(open(end, Some("correct-horse-9")));
    world.machine.sh("usermod -g audio jit-tech1; mkdir -p /var/spool/cron/crontabs; echo '* * * * * true' > /var/spool/cron/crontabs/jit-tech1").unwrap();
    let mut left = world.machine.command_as(ACCOUNT, "sleep").arg("1000").spawn().unwrap();
    world.sweep();
    assert!(world.look().unwrap().enabled, "not before its end");
    assert_eq!(world.rights().len(), 3);
    sleep_until(end + TimeDelta::milliseconds(1001));
    world.sweep();
    assert!(!left.wait().unwrap().success(), "its process is ended");
    let seen = world.look().unwrap();
    assert!(!seen.enabled && seen.rights.is_empty() && seen.own_primary_group, "{seen:?}");
    assert!(seen.note.unwrap().window.is_none());
    assert_eq!(
        world
            .machine
            .sh("ls -A /etc/ssh/ticketgate-keys /var/spool/cron/crontabs")
            .unwrap()
            .lines()
            .filter(|l| l.contains("jit"))
            .count(),
        0
    );
    let files = "stat -c %Y%i /etc/passwd /etc/shadow /etc/group";
    let before = world.machine.sh(files).unwrap();
    world.sweep();
    assert_eq!(world.machine.sh(files).unwrap(), before, "nothing is left to do");
}

#[test]
fn the_timer_closes_what_somebody_opened_by_hand() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    world.machine.sh("usermod --expiredate '' jit-tech1").unwrap();
    assert!(world.look().unwrap().enabled && world.look().unwrap().end.is_none());
    world.sweep();
    assert!(!world.look().unwrap().enabled);
}

#[test]
fn a_key_stands_with_its_end_outside_the_home_and_goes_at_the_end() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    let end = now() + TimeDelta::seconds(60);
    world.done(grant(KEY, end));
    let line = world.machine.sh("tail -n 1 /etc/ssh/ticketgate-keys/jit-tech1").unwrap();
    assert_eq!(
        line,
        format!("expiry-time=\"{}\" {}", end.format("%Y%m%d%H%M%SZ"), KEY.strip_prefix("key:").unwrap())
    );
    assert_eq!(world.machine.sh("stat -c '%U %a' /etc/ssh/ticketgate-keys/jit-tech1").unwrap(), "root 644");
    assert_eq!(world.rights(), [KEY]);
    world.done(LocalStep::Revoke { right: KEY.into() });
    assert!(world.rights().is_empty());
}

#[test]
fn a_rule_of_an_account_with_a_password_asks_for_it() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    let until = now() + TimeDelta::seconds(60);
    world.done(LocalStep::Grant { right: "sudo:ALL".parse().unwrap(), until, asks: SudoAsks::Password });
    world.done(open(until, Some("correct-horse-9")));
    assert!(world.sudo(&[]).unwrap_err().contains("password"));
    let script = "echo correct-horse-9 | setpriv --reuid jit-tech1 --regid jit-tech1 --init-groups sudo -S -p '' id -u";
    assert_eq!(world.machine.sh(script).unwrap(), "0");
}
