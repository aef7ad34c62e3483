//! `sudo` inside a session's window, after it, and against those who would stretch it.

use chrono::TimeDelta;
use ticketgate_directory::local::request::{LocalStep, Processes, Refusal};

use crate::far::{grant, now, open, refusal, sleep_until, whose, window, world};

#[test]
fn sudo_works_inside_the_window_and_is_refused_the_second_after_it_with_nobody_of_ours_running() {
    let world = world();
    let end = world.session(5);
    // No link, no sweep: from here on the machine is alone with its own sudo.
    let last = chrono::DateTime::from_timestamp(end.timestamp(), 0).unwrap();
    assert_eq!(world.sudo(&[]).as_deref(), Ok("0"));
    sleep_until(last);
    let inside = world.sudo(&[]);
    if now() < last + TimeDelta::seconds(1) {
        assert_eq!(inside.as_deref(), Ok("0"), "the last second is inside");
    }
    sleep_until(last + TimeDelta::milliseconds(1020));
    let refused = world.sudo(&[]).unwrap_err();
    assert!(refused.contains("a password is required") || refused.contains("not allowed"), "{refused}");
    assert_eq!(world.rights(), ["sudo:ALL"], "the rule is still there, and over");
}

#[test]
fn the_callers_time_zone_moves_nothing() {
    let world = world();
    let end = world.session(5);
    let zones = ["XYZ+12", "XYZ-12", "UTC", "Pacific/Kiritimati", ":/usr/share/zoneinfo/America/New_York"];
    for zone in zones {
        assert_eq!(world.sudo(&[("TZ", zone)]).as_deref(), Ok("0"), "{zone} before the end");
    }
    sleep_until(end + TimeDelta::milliseconds(1100));
    for zone in zones {
        assert!(world.sudo(&[("TZ", zone)]).is_err(), "{zone} after the end");
    }
}

/// glibc counts leap seconds where a caller's zone does, for times in UTC too, and sudo asks glibc. Debian's `right/` zones have
/// 27 of them; here two, so that the test is short.
#[test]
fn a_zone_that_counts_leap_seconds_moves_the_end_by_those_and_no_more() {
    let world = world();
    let zone = "import struct; leaps = struct.pack('>iiii', 78796800, 1, 94694401, 2); \
                open('/usr/share/zoneinfo/right/Two', 'wb').write(b'TZif' + bytes(16) + struct.pack('>6i', 0, 0, 2, 0, 1, 4) \
                + struct.pack('>ibb', 0, 0, 0) + b'UTC' + bytes(1) + leaps)";
    world.machine.sh(&format!("mkdir -p /usr/share/zoneinfo/right; python3 -c \"{zone}\"")).unwrap();
    let end = world.session(5);
    let last = chrono::DateTime::from_timestamp(end.timestamp(), 0).unwrap();
    let leaping = [("TZ", "right/Two")];
    assert!(world.sudo(&leaping).is_err(), "its beginning is as much later");
    sleep_until(last + TimeDelta::milliseconds(1020));
    assert!(world.sudo(&[]).is_err());
    assert_eq!(world.sudo(&leaping).as_deref(), Ok("0"));
    sleep_until(last + TimeDelta::milliseconds(3020));
    assert!(world.sudo(&leaping).is_err());
}

#[test]
fn an_account_that_is_over_is_refused_though_its_rule_is_valid() {
    let world = world();
    world.session(3600);
    assert_eq!(world.sudo(&[]).as_deref(), Ok("0"));
    world.done(LocalStep::Close { processes: Processes::Stay });
    assert_eq!(world.rights(), ["sudo:ALL"]);
    let refused = world.sudo(&[]).unwrap_err();
    assert!(refused.contains("account validation failure"), "{refused}");
}

#[test]
fn a_rule_for_one_command_is_a_rule_for_that_command() {
    let world = world();
    world.done(LocalStep::Create { whose: whose() });
    let end = now() + TimeDelta::seconds(60);
    world.done(grant("sudo:/usr/bin/id -u", end));
    world.done(open(end, None));
    assert_eq!(world.sudo(&[]).as_deref(), Ok("0"));
    let mut other = world.machine.command_as(crate::far::ACCOUNT, "sudo");
    assert!(!other.args(["-n", "id", "-g"]).output().unwrap().status.success());
}

#[test]
fn sudos_rules_as_a_whole_stay_good_and_what_others_broke_is_not_made_ours() {
    let world = world();
    let end = world.session(60);
    world.machine.sh("visudo -c").unwrap();
    let listed = world.machine.sh("ls -A /etc/sudoers.d").unwrap();
    assert!(!listed.contains(".ticketgate"), "{listed}");
    world.machine.sh("echo 'alice ALL=(' > /etc/sudoers.d/broken; chmod 440 /etc/sudoers.d/broken").unwrap();
    let refused = world.step(grant("sudo:/usr/bin/id", end));
    assert_eq!(refusal(&refused), Some(Refusal::Failed));
    assert!(format!("{refused:?}").contains("not ours"), "{refused:?}");
    assert_eq!(world.rights(), ["sudo:ALL"]);
    // An end does not wait for them.
    world.done(LocalStep::Revoke { right: "sudo:ALL".into() });
    assert!(world.rights().is_empty());
}

#[test]
fn an_extension_moves_the_end_and_a_shorter_right_ends_first() {
    let world = world();
    let end = world.session(4);
    let later = end + TimeDelta::seconds(60);
    world.done(LocalStep::SetEnd { whose: whose(), window: window(later, Processes::Own) });
    world.done(grant("sudo:/usr/bin/id -u", later));
    sleep_until(end + TimeDelta::milliseconds(1100));
    assert_eq!(world.sudo(&[]).as_deref(), Ok("0"), "the second right goes on");
    let mut other = world.machine.command_as(crate::far::ACCOUNT, "sudo");
    assert!(!other.args(["-n", "true"]).output().unwrap().status.success(), "the first is over");
    world.sweep();
    assert_eq!(world.rights(), ["sudo:/usr/bin/id -u"]);
    assert!(world.look().unwrap().enabled);
}

#[test]
fn what_a_real_machine_lacks_is_found_without_changing_it() {
    let world = world();
    let rights = ["sudo:ALL", "group:audio", "group:no-such-group"].map(|right| right.parse().unwrap());
    let files = "find /etc -type f -exec sha256sum {} + | sort | sha256sum";
    let before = world.machine.sh(files).unwrap();
    let findings = world.check(&rights);
    assert_eq!(world.machine.sh(files).unwrap(), before);
    let level = |part: &str| findings.iter().find(|f| f.text.contains(part)).map(|f| f.level.as_str());
    assert_eq!(level("a rule that ends by itself"), Some("ok"), "{findings:?}");
    assert_eq!(level("the group audio is there"), Some("ok"), "{findings:?}");
    assert_eq!(level("no group no-such-group"), Some("error"), "{findings:?}");
    assert_eq!(level("no timer"), Some("warning"), "{findings:?}");
}
