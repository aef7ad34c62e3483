//! Who says where the broker is, and what is not followed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::places::System;

const ONE: &str = "broker = \"https://one.example\"\n";

fn around(root: &Path, variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        system: System::Linux,
        root: root.to_owned(),
        home: Some(root.join("home/tech1")),
        exe: PathBuf::new(),
        variables: variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect(),
    }
}

fn write(root: &Path, file: &str, text: &str) -> PathBuf {
    let path = root.join(file);
    let folder = path.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    // Whatever mask the tests run under.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

fn texts(team: Option<Team>) -> Vec<String> {
    team.into_iter().flat_map(|team| team.addresses).map(|address| address.to_string()).collect()
}

#[test]
fn without_a_word_of_anybody_the_broker_is_this_machines_own() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(find(&around(folder.path(), &[])), Ok(None));
    let mut homeless = around(folder.path(), &[]);
    homeless.home = None;
    assert_eq!(find(&homeless), Ok(None));
}

#[test]
fn the_machines_file_wins_over_the_persons_and_a_variable_over_both() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "home/tech1/.config/ticketgate/relay.toml", "broker = \"https://mine.example\"");
    let here = |variables: &[(&str, &str)]| texts(find(&around(root, variables)).unwrap());
    assert_eq!(here(&[]), ["https://mine.example"]);
    let machines = write(
        root,
        "etc/ticketgate/relay.toml",
        "broker = [\"https://a.example\", \"https://b.example:8443\"]",
    );
    assert_eq!(here(&[]), ["https://a.example", "https://b.example:8443"]);
    let team = find(&around(root, &[])).unwrap().unwrap();
    assert_eq!(team.said_by, SaidBy::File(machines));
    let two = "https://v.example, https://w.example https://v.example:443";
    assert_eq!(here(&[(BROKER_VARIABLE, two)]), ["https://v.example", "https://w.example"]);
    // Said for one command or one test: this machine's own.
    assert!(here(&[(BROKER_VARIABLE, "local")]).is_empty());
    assert!(here(&[(SOCKET_VARIABLE, "/run/x.sock")]).is_empty());
    assert_eq!(
        here(&[(SOCKET_VARIABLE, "/x"), (BROKER_VARIABLE, "https://v.example")]),
        ["https://v.example"]
    );
}

#[test]
fn files_that_are_named_stand_beside_the_one_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let more = "ca_file = \"ca.crt\"\nclient_certificate = \"me.crt\"\nclient_key = \"/keys/me.key\"\n";
    write(folder.path(), "etc/ticketgate/relay.toml", &format!("{ONE}{more}"));
    let team = find(&around(folder.path(), &[])).unwrap().unwrap();
    let etc = folder.path().join("etc/ticketgate");
    assert_eq!(team.ca_file, Some(etc.join("ca.crt")));
    let certificate = team.certificate.unwrap();
    assert_eq!((certificate.chain, certificate.key), (etc.join("me.crt"), PathBuf::from("/keys/me.key")));
}

#[test]
fn what_cannot_be_followed_is_said_with_its_line_and_without_what_stands_there() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("", "line 1: missing field broker"),
        ("broker = 7", "line 1: data did not match"),
        ("broker = []", "it names no address"),
        ("broker = \"http://secret.example\"", "address 1 of the broker does not begin with https://"),
        ("broker = [\"https://a.example\", \"secret.example\"]", "address 2 of the broker is no address"),
        ("broker = \"https://secret.example\"\nbrokr = 1", "line 2: unknown field brokr"),
        ("# ü\nbroker = \"https://secret.example\"\nca_file = 7\n", "line 3: invalid type"),
        ("broker = \"https://secret.example\nca_file = 7\n", "line 1: "),
        ("broker = \"https://secret.example\"\nclient_key = \"k\"", "one is missing"),
    ] {
        write(folder.path(), "etc/ticketgate/relay.toml", text);
        let bad = find(&around(folder.path(), &[])).unwrap_err();
        assert!(bad.why.contains(said), "{text}: {bad}");
        let problem = Problem::from(bad);
        assert_eq!(problem.code, Code::BrokerUnreachable);
        assert!(problem.detail.contains("/etc/ticketgate/relay.toml"), "{problem:?}");
        assert!(!problem.to_string().contains("secret"), "{problem:?}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("https://b{n}.example")).collect();
    let bad = find(&around(folder.path(), &[(BROKER_VARIABLE, &many.join(" "))])).unwrap_err();
    assert!(bad.why.contains("17 addresses"), "{bad}");
    write(folder.path(), "etc/ticketgate/relay.toml", &"#".repeat(70_000));
    assert!(find(&around(folder.path(), &[])).unwrap_err().why.contains("larger than 64 KiB"));
}

#[test]
fn a_file_that_others_could_have_written_is_not_followed_and_no_other_one_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "home/tech1/.config/ticketgate/relay.toml", ONE);
    let path = write(root, "etc/ticketgate/relay.toml", ONE);
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let bad = find(&around(root, &[])).unwrap_err();
        assert!(bad.why.contains("others may write it") && bad.remedy.contains("chmod go-w"), "{bad:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(find(&around(root, &[])).unwrap_err().why.contains("in its folder"));
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    // Only root can give a file away, and in a user namespace not even that one.
    if std::os::unix::fs::chown(&path, Some(4242), None).is_ok() {
        assert!(find(&around(root, &[])).unwrap_err().why.contains("uid 4242"));
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(find(&around(root, &[])).unwrap_err().why.contains("not a file"));
}
