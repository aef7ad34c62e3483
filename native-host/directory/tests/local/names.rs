//! Whose accounts are never touched.

use std::io::Write as _;

use ticketgate_directory::local::request::{LocalStep, Processes, Refusal};

use crate::far::{ACCOUNT, TOKEN, named, refusal, whose, world};

#[test]
fn a_name_of_a_person_of_the_system_or_of_a_group_is_refused_and_nothing_changes() {
    let world = world();
    let files = "cat /etc/passwd /etc/shadow /etc/group | sha256sum";
    for prepare in [
        "useradd -m jit-tech1",
        "useradd -r jit-tech1",
        "useradd -o -u 0 jit-tech1",
        "groupadd jit-tech1",
        "mkdir /home/jit-tech1",
        "useradd -m -c 'ticketgate token=aaaaaaaaaaaaaaaaaaaaaaaaaa owner=tech1 gen=7 until=-' jit-tech1",
    ] {
        world.machine.sh(prepare).unwrap();
        let before = world.machine.sh(files).unwrap();
        assert_eq!(
            refusal(&world.step(LocalStep::Create { whose: whose() })),
            Some(Refusal::NameTaken),
            "{prepare}"
        );
        if prepare.starts_with("useradd") {
            for step in [LocalStep::Close { processes: Processes::All }, LocalStep::Delete {}] {
                assert_eq!(refusal(&world.step(step)), Some(Refusal::NameTaken), "{prepare}");
            }
        }
        assert_eq!(world.machine.sh(files).unwrap(), before, "{prepare}");
        // The timer is every broker's: an open account with a closed note is not left open. Without a note it is nobody's.
        world.sweep();
        assert_eq!(world.machine.sh(files).unwrap() == before, !prepare.contains("token"), "{prepare}");
        world
            .machine
            .sh("userdel -rf jit-tech1 2>/dev/null; groupdel jit-tech1 2>/dev/null; rm -rf /home/jit-tech1")
            .ok();
    }
    world.done(LocalStep::Create { whose: whose() });
}

#[test]
fn a_request_for_another_name_is_none() {
    let world = world();
    for name in ["root", "www-data", "nobody", "cloud", "jit-../x", "-jit"] {
        let line = format!(
            "{{\"ask\":\"step\",\"account\":{{\"name\":\"{name}\",\"token\":\"{TOKEN}\"}},\"step\":{{\"do\":\"delete\"}}}}\n"
        );
        let mut far = world.machine.command("/usr/bin/ticketgate-local-far");
        let mut far = far
            .arg("serve")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        far.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let said = String::from_utf8(far.wait_with_output().unwrap().stdout).unwrap();
        assert!(said.contains("bad_value"), "{name}: {said}");
    }
}

#[test]
fn a_changed_first_group_and_a_group_given_by_hand_are_seen_and_taken_back() {
    let world = world();
    world.session(60);
    world.machine.sh("usermod -g root -aG sudo,audio jit-tech1").unwrap();
    let seen = world.look().unwrap();
    assert!(!seen.own_primary_group);
    assert_eq!(world.rights(), ["group:audio", "group:sudo", "sudo:ALL"]);
    world.done(LocalStep::ResetPrimaryGroup {});
    for right in ["group:audio", "group:sudo", "group:sudo", "sudo:ALL"] {
        world.done(LocalStep::Revoke { right: right.into() });
    }
    assert!(world.look().unwrap().own_primary_group);
    assert!(world.rights().is_empty());
    assert_eq!(world.machine.sh("id -Gn jit-tech1").unwrap(), ACCOUNT);
}

#[test]
fn a_group_right_is_given_to_a_group_that_is_there() {
    let world = world();
    let end = world.session(60);
    world.done(crate::far::grant("group:audio", end));
    world.done(crate::far::grant("group:audio", end));
    assert_eq!(world.rights(), ["group:audio", "sudo:ALL"]);
    let missing = world.step(crate::far::grant("group:no-such-group", end));
    assert_eq!(refusal(&missing), Some(Refusal::NoSuchRight));
}

#[test]
fn an_account_of_another_ledger_with_the_same_name_is_not_this_ones() {
    let world = world();
    world.session(60);
    let mut link = world.link();
    let other = ticketgate_directory::local::request::Named {
        token: ticketgate_directory::local::Token::new("bbbbbbbbbbbbbbbbbbbbbbbbbb").unwrap(),
        ..named()
    };
    for step in [LocalStep::Create { whose: whose() }, LocalStep::Delete {}] {
        let ask =
            ticketgate_directory::local::request::Ask::Step { account: other.clone(), step: Box::new(step) };
        assert_eq!(refusal(&link.ask(&ask)), Some(Refusal::NameTaken));
    }
    assert!(world.look().unwrap().enabled);
}

#[test]
fn a_name_that_only_the_machines_name_service_knows_is_refused() {
    let world = world();
    let serve = "sed -i 's/^passwd:.*/passwd: files systemd/' /etc/nsswitch.conf; mkdir -p /run/userdb; \
                 echo '{\"userName\":\"jit-tech1\",\"uid\":60500,\"gid\":60500,\"disposition\":\"regular\"}' > /run/userdb/jit-tech1.user; \
                 chmod 644 /run/userdb/jit-tech1.user; getent passwd jit-tech1; ! grep jit-tech1 /etc/passwd";
    assert!(
        world.machine.sh(serve).unwrap().starts_with("jit-tech1:"),
        "libnss-systemd is not there; run `cargo xtask setup`"
    );
    assert_eq!(refusal(&world.step(LocalStep::Create { whose: whose() })), Some(Refusal::NameTaken));
    assert!(world.look().is_none());
}
