use super::*;
use crate::places::{Surroundings, System};

/// A machine in a folder.
fn machine(has: &[&str]) -> (tempfile::TempDir, Surroundings) {
    let folder = tempfile::tempdir().unwrap();
    for path in has {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let around = Surroundings {
        system: System::Linux,
        root: folder.path().to_owned(),
        home: None,
        exe: "/opt/ticketgate/ticketgate".into(),
        variables: std::collections::BTreeMap::new(),
    };
    (folder, around)
}

fn how() -> Options {
    Options { remove: false, key: None, force: false, dry_run: false }
}

fn said(around: &Surroundings, how: &Options) -> String {
    let mut out = Vec::new();
    install(&mut out, around, how).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_machine_with_systemd_gets_a_timer_and_one_whose_broker_runs_here_a_socket() {
    let (folder, around) = machine(&["run/systemd/system/x", "etc/ssh/sshd_config", "etc/cron.d/x"]);
    said(&around, &how());
    let unit = |name: &str| fs::read_to_string(folder.path().join("etc/systemd/system").join(name));
    assert!(unit("ticketgate-local-sweep.timer").is_ok() && unit("ticketgate-local.socket").is_err());
    assert!(
        unit("ticketgate-local-sweep.service")
            .unwrap()
            .contains("ExecStart=/opt/ticketgate/ticketgate local sweep")
    );
    assert!(!folder.path().join("etc/cron.d/ticketgate-local").exists());
    fs::write(folder.path().join("etc/passwd"), "ticketgate:x:990:990::/:/usr/sbin/nologin\n").unwrap();
    assert!(said(&around, &how()).contains("is right already"));
    assert!(unit("ticketgate-local.socket").unwrap().contains("SocketUser=ticketgate"));
    assert!(
        unit("ticketgate-local@.service")
            .unwrap()
            .contains("ExecStart=/opt/ticketgate/ticketgate local serve")
    );
}

#[test]
fn a_machine_with_cron_gets_a_line_of_it_and_one_with_neither_is_told() {
    let (folder, around) = machine(&["etc/cron.d/x"]);
    assert!(!said(&around, &how()).contains("neither systemd nor cron"));
    let line = fs::read_to_string(folder.path().join("etc/cron.d/ticketgate-local")).unwrap();
    assert!(
        line.ends_with("\n* * * * * root /opt/ticketgate/ticketgate local sweep > /dev/null\n"),
        "{line}"
    );
    let (_folder, around) = machine(&[]);
    assert!(said(&around, &how()).contains("local sweep --every 60s"));
}

#[test]
fn somebody_elses_file_is_left_alone_unless_forced() {
    let (folder, around) =
        machine(&["etc/ssh/sshd_config", "etc/ssh/sshd_config.d/ticketgate.conf", "etc/cron.d/x"]);
    assert!(said(&around, &how()).contains("left alone"));
    let file = folder.path().join("etc/ssh/sshd_config.d/ticketgate.conf");
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
    said(&around, &Options { force: true, ..how() });
    assert!(fs::read_to_string(&file).unwrap().contains("Match User jit-*"));
}

#[test]
fn the_key_of_a_broker_elsewhere_is_bound_to_one_command() {
    let (folder, around) = machine(&["etc/cron.d/x"]);
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let path = folder.path().join("acme.pub");
    fs::write(&path, format!("{key} broker@acme\n")).unwrap();
    let told = said(&around, &Options { key: Some(path.clone()), ..how() });
    assert!(
        told.contains(&format!("restrict,command=\"/opt/ticketgate/ticketgate local serve\" {key}\n")),
        "{told}"
    );
    fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    let refused = install(&mut Vec::new(), &around, &Options { key: Some(path), ..how() }).unwrap_err();
    assert!(refused.to_string().contains("is not a public SSH key"), "{refused}");
}

#[test]
fn every_shipped_file_says_whose_it_is_and_each_with_a_command_names_the_binary_once() {
    for unit in [SOCKET, SERVE, SWEEP, TIMER] {
        assert!(unit.starts_with(OURS), "{unit}");
        assert_eq!(unit.matches(units::BINARY).count(), unit.matches("ExecStart=").count(), "{unit}");
    }
}

#[test]
fn a_program_whose_path_a_shell_reads_otherwise_is_refused() {
    let (_folder, mut around) = machine(&["etc/cron.d/x"]);
    around.exe = "/opt/my programs/ticketgate".into();
    assert!(install(&mut Vec::new(), &around, &how()).unwrap_err().to_string().contains("cannot stand in"));
}
