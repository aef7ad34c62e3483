//! Directories of kind `local`: machines with accounts of their own.

use super::*;
use crate::config::{Local, Login, Machine, Processes, Ssh};
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
