//! Directories of kind `local`: machines with accounts of their own.

use super::*;
use crate::config::{Local, Login, Machine, Processes, Ssh};
use crate::local::System;
use crate::session::Right;

const MACHINES: &str = r#"[[technician]]
id = "tech1"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"]
[[customer]]
id = "acme"
[[directory]]
id = "here"
customer = "acme"
kind = "local"
machine = "here"
[[directory]]
id = "web1"
customer = "acme"
kind = "local"
machine = { host = "web1.acme.example", user = "ticketgate", key = "/etc/ticketgate/ssh/acme", known_hosts = "/etc/ticketgate/ssh/known_hosts" }
login = "ssh_key"
processes = "all"
[[policy]]
id = "restart"
directory = "web1"
rights = ["sudo:/usr/bin/systemctl restart nginx", "group:docker"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }
"#;

fn machine(config: &Config, id: &str) -> Local {
    match &config.directories[&id.parse().unwrap()].kind {
        DirectoryKind::Local(machine) => machine.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_is_read_with_what_it_has_and_what_it_has_by_itself() {
    let config = read(MACHINES).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    let here = machine(&config, "here");
    assert_eq!((here.machine, here.login, here.processes), (Machine::Here, Login::Password, Processes::Stay));
    assert_eq!((here.account_name.as_str(), here.timeout_s), ("jit-{technician}", 10));
    let web1 = machine(&config, "web1");
    assert_eq!(
        (web1.login, web1.processes, web1.machine_name()),
        (Login::SshKey, Processes::All, "web1.acme.example")
    );
    let Machine::Ssh(Ssh { port, user, .. }) = web1.machine else { panic!("it is reached by ssh") };
    assert_eq!((port, user.as_str()), (22, "ticketgate"));
    let key =
        Right("key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ".into());
    let terry = config.technicians.values().next().unwrap();
    let personal = |id: &str| config.directories[&id.parse().unwrap()].kind.personal_rights(terry);
    assert_eq!((personal("here"), personal("web1")), (vec![], vec![key]));
}

#[test]
fn what_a_machine_cannot_have_is_said_with_its_line() {
    for (written, instead, said) in [
        ("machine = \"here\"", "", "has no `machine`"),
        ("machine = \"here\"", "machine = \"there\"", "`machine` of directory \"here\" is not known"),
        (
            "machine = \"here\"",
            "machine = \"here\"\naccount_name = \"adm-{technician}\"",
            "must begin with jit-",
        ),
        ("machine = \"here\"", "machine = \"here\"\nbind_dn = \"x@y\"", "`bind_dn`"),
        (
            "machine = \"here\"",
            "machine = \"here\"\nlogin = \"smartcard\"",
            "must be \"password\", \"ssh_key\" or \"both\"",
        ),
        ("host = \"web1.acme.example\", ", "", "has no `host`"),
        ("host = \"web1.acme.example\"", "host = \"-oProxyCommand=x\"", "`host`"),
        ("user = \"ticketgate\"", "user = \"a b\"", "`user`"),
        ("/etc/ticketgate/ssh/known_hosts", "known_hosts", "by its whole path"),
        (
            "directory = \"web1\"",
            "directory = \"web1\"\nmode = \"membership\"",
            "which a machine does not know",
        ),
        ("group:docker", "CN=Domain Admins,DC=acme", "is no right of a machine"),
        ("group:docker", "sudo:/usr/bin/systemctl restart nginx", "stands there twice"),
        (
            "group:docker",
            "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
            "name it by `ssh_keys`",
        ),
        ("9OIeZJ\"]", "9OIeZJ me@home\"]", "without options and without a comment"),
        ("id = \"tech1\"", "id = \"tech.1\"", "`eligible`"),
    ] {
        assert!(MACHINES.contains(written), "{written}");
        let faults = read(&MACHINES.replacen(written, instead, 1)).expect_err(instead).to_string();
        assert!(faults.contains(said), "{instead}: {faults}");
    }
}

#[test]
fn an_account_that_no_machine_takes_is_refused_before_anybody_needs_it() {
    let dotted = MACHINES.replace("tech1", "tech.one");
    assert!(read(&dotted).unwrap_err().to_string().contains("is not of jit- and up to 28"));
    let twice = MACHINES.replacen(
        "machine = \"here\"",
        "machine = { host = \"WEB1.acme.example\", user = \"root\", key = \"/k\", known_hosts = \"/h\" }",
        1,
    );
    assert!(read(&twice).unwrap_err().to_string().contains("would both claim the same JIT accounts"));
}

const WINDOWS: &str = r#"[[technician]]
id = "tech1"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"]
[[customer]]
id = "acme"
[[directory]]
id = "files1"
customer = "acme"
kind = "local"
system = "windows"
machine = { host = "files1.acme.example", user = "ticketgate", key = "/etc/ticketgate/ssh/acme", known_hosts = "/etc/ticketgate/ssh/known_hosts" }
[[policy]]
id = "admin"
directory = "files1"
rights = ["group:Administrators", "group:Remote Desktop Users", "group:S-1-5-21-3623811015-3361044348-30300820-1013"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }
"#;

#[test]
fn groups_of_a_windows_machine_are_known_by_what_no_language_changes() {
    let config = read(WINDOWS).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(machine(&config, "files1").system, System::Windows);
    let rights = &config.policies[&"admin".parse().unwrap()].grants[0].rights;
    let expected = ["S-1-5-32-544", "S-1-5-32-555", "S-1-5-21-3623811015-3361044348-30300820-1013"];
    assert_eq!(*rights, expected.map(|sid| Right(format!("group:{sid}"))));
    let policy = WINDOWS.find("[[policy]]").unwrap();
    let again = WINDOWS[policy..]
        .replace("\"admin\"", "\"more\"")
        .replace("group:Administrators", "group:S-1-5-32-544");
    let config = read(&format!("{WINDOWS}{again}")).unwrap_or_else(|faults| panic!("{faults}"));
    let rights = |id: &str| config.policies[&id.parse().unwrap()].grants[0].rights.clone();
    assert_eq!(rights("admin"), rights("more"), "one group is one right, however it is written");
}

#[test]
fn what_a_windows_machine_cannot_have_is_said_with_its_line() {
    let login = "system = \"windows\"\nlogin = \"both\"";
    for (written, instead, said) in [
        ("\"windows\"", "\"macos\"", "must be \"linux\" or \"windows\""),
        ("system = \"windows\"", login, "one file of keys for all administrators"),
        ("system = \"windows\"", "system = \"windows\"\nprocesses = \"own\"", "no end stops what runs"),
        ("group:Administrators", "sudo:ALL", "has no sudo"),
        ("group:Administrators", "group:Administratoren", "the group's SID"),
        ("group:Administrators", "group:S-1-5-032-544", "the group's SID"),
        ("group:Administrators", "group:s-1-5-32-555", "the group's SID"),
        ("group:Administrators", "group:S-1-5-32-555", "stands there twice"),
        ("\"tech1\"", "\"technician-number-1\"", "up to 16 of a-z"),
    ] {
        assert!(WINDOWS.contains(written), "{written}");
        let faults = read(&WINDOWS.replace(written, instead)).expect_err(instead).to_string();
        assert!(faults.contains(said), "{instead}: {faults}");
    }
    let here = read(&WINDOWS.replace("machine = { host", "machine = \"here\" #"));
    assert_eq!(machine(&here.unwrap(), "files1").machine, Machine::Here, "of a broker on Windows");
    let linux = WINDOWS
        .replace("windows", "linux")
        .replace("Administrators", "sudo")
        .replace("Remote Desktop Users", "docker");
    let linux = linux.replace("tech1", "technician-number-1");
    assert!(read(&linux).is_ok());
}
