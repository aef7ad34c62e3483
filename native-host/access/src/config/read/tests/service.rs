//! `[service]`: what it takes, what it refuses, and that it is read whatever else is wrong with the file.

use crate::config::{SecretRef, read, service};

const WHOLE: &str = r#"[service]
listen = "0.0.0.0:8443"
certificate = "/etc/ticketgate/tls.crt"
key = { credential = "tls.key" }
client_ca = "/etc/ticketgate/clients.crt"
connections = 100
connections_per_address = 10
monitor = "localhost:9464"
traces = "https://collector.example:4318/"
traces_ca = "/etc/ticketgate/collector.crt"
traces_header = { file = "/etc/ticketgate/collector.secret" }
"#;

fn fault(text: &str) -> String {
    service(text).unwrap_err().to_string()
}

#[test]
fn a_whole_table_is_read_alone_and_with_the_file() {
    let read_alone = service(WHOLE).unwrap();
    let https = read_alone.https.clone().unwrap();
    assert_eq!(https.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(https.key, SecretRef::Credential("tls.key".into()));
    assert_eq!((https.connections, https.connections_per_address), (100, 10));
    assert_eq!(read_alone.monitor.unwrap().to_string(), "127.0.0.1:9464");
    let traces = read_alone.traces.clone().unwrap();
    assert_eq!(traces.url, "https://collector.example:4318");
    assert_eq!(traces.ca_file.as_deref(), Some("/etc/ticketgate/collector.crt"));
    assert_eq!(traces.header, Some(SecretRef::File("/etc/ticketgate/collector.secret".into())));
    assert_eq!(read(WHOLE).unwrap().service, read_alone);
}

#[test]
fn without_the_table_nothing_is_opened() {
    let none = service("[broker]\n").unwrap();
    assert!(none.https.is_none() && none.monitor.is_none() && none.traces.is_none());
}

#[test]
fn faults_elsewhere_in_the_file_do_not_matter() {
    let text = format!("{WHOLE}[broker]\nsessions_at_once = \"many\"\n");
    assert!(read(&text).is_err());
    assert!(service(&text).unwrap().https.is_some());
}

#[test]
fn each_mistake_is_named_with_its_line_and_remedy() {
    for (text, said) in [
        ("[service]\nlisten = \"8443\"\ncertificate = \"/c\"\nkey = { file = \"/k\" }", "line 2: `listen`"),
        ("[service]\nlisten = \"[::]:8443\"\nkey = { file = \"/k\" }", "no `certificate`"),
        (
            "[service]\nlisten = \"[::]:8443\"\ncertificate = \"tls.crt\"\nkey = { file = \"/k\" }",
            "whole path",
        ),
        ("[service]\nlisten = \"[::]:8443\"\ncertificate = \"/c\"", "no `key`"),
        ("[service]\nlisten = \"[::]:8443\"\ncertificate = \"/c\"\nkey = \"-----BEGIN\"", "written out"),
        (
            "[service]\nlisten = \"[::]:8443\"\ncertificate = \"/c\"\nkey = { env = \"K\" }",
            "more than one line",
        ),
        ("[service]\nclient_ca = \"/c\"", "does nothing without `listen`"),
        ("[service]\nlisen = \"[::]:8443\"", "did you mean `listen`?"),
        ("[service]\nmonitor = \"here\"", "`monitor` of [service] must be an address"),
        ("[service]\ntraces = \"collector:4318\"", "`traces` of [service] has no proper host"),
        ("[service]\ntraces = \"https://me:word@collector:4318\"", "has no proper host"),
        ("[service]\ntraces = 4318", "`traces`"),
        ("[service]\ntraces_ca = \"/c\"", "does nothing without `traces`"),
        (
            "[service]\ntraces = \"http://collector:4318\"\ntraces_header = { file = \"/h\" }",
            "line 2: `traces` of [service] must start with https://",
        ),
        ("[service]\ntraces = \"https://collector\"\ntraces_header = \"api-key: x\"", "written out"),
        ("service = 1", "must be a table"),
        ("[service\n", "not TOML"),
    ] {
        let said_so = fault(text);
        assert!(said_so.contains(said), "{text}: {said_so}");
    }
}

#[test]
fn monitoring_that_other_machines_reach_is_pointed_out() {
    let warnings = read("[service]\nmonitor = \"0.0.0.0:9464\"").unwrap().warnings;
    assert!(warnings.iter().any(|w| w.line == 2 && w.text.contains("firewall")), "{warnings:?}");
}

#[test]
fn traces_that_can_be_read_on_the_way_are_pointed_out() {
    let warned = |url: &str| {
        let warnings = read(&format!("[service]\ntraces = \"{url}\"")).unwrap().warnings;
        warnings.iter().any(|w| w.line == 2 && w.text.contains("plain text"))
    };
    assert!(warned("http://collector.example:4318"));
    assert!(!warned("http://localhost:4318") && !warned("https://collector.example:4318"));
}
