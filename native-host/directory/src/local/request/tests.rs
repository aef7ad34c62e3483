use super::*;
use proptest::prelude::*;

const TOKEN: &str = "k3v9k3v9k3v9k3v9k3v9k3v9k3";

fn account() -> String {
    format!(r#""account":{{"name":"jit-tech1","token":"{TOKEN}"}}"#)
}

#[test]
fn every_request_is_read_as_it_is_written() {
    let whose = r#""whose":{"owner":"tech1","generation":7}"#;
    let window =
        r#""window":{"until":"2026-11-26T10:30:00.250Z","end":"2026-11-26T10:30:00Z","processes":"own"}"#;
    let steps = [
        format!(r#"{{"do":"create",{whose}}}"#),
        r#"{"do":"grant","right":"sudo:ALL","until":"2026-11-26T10:30:00Z","asks":"nothing"}"#.to_owned(),
        r#"{"do":"revoke","right":"sudo:?1a2b3c4d"}"#.to_owned(),
        r#"{"do":"reset_primary_group"}"#.to_owned(),
        format!(r#"{{"do":"open",{whose},{window},"password":"p"}}"#),
        format!(r#"{{"do":"open",{whose},{window},"password":null}}"#),
        format!(r#"{{"do":"set_end",{whose},{window}}}"#),
        r#"{"do":"close","processes":"all"}"#.to_owned(),
        format!(r#"{{"do":"rotate",{whose},"processes":"stay"}}"#),
        r#"{"do":"delete"}"#.to_owned(),
    ];
    let asks = steps.into_iter().map(|step| format!(r#"{{"ask":"step",{},"step":{step}}}"#, account()));
    let others = [
        r#"{"ask":"hello","protocol":1}"#.to_owned(),
        r#"{"ask":"list"}"#.to_owned(),
        r#"{"ask":"check","rights":["sudo:ALL","group:docker"]}"#.to_owned(),
    ];
    for line in asks.chain(others).chain([format!(r#"{{"ask":"look",{}}}"#, account())]) {
        let ask = read(line.as_bytes()).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(serde_json::to_string(&ask).unwrap(), line);
    }
}

#[test]
fn a_request_with_anything_more_or_anything_else_is_refused() {
    let account = account();
    for line in [
        "",
        "[]",
        "null",
        r#"{"ask":"run"}"#,
        r#"{"ask":"list","path":"/etc"}"#,
        r#"{"ask":"hello","protocol":-1}"#,
        r#"{"ask":"look","account":{"name":"root","token":"k3v9k3v9k3v9k3v9k3v9k3v9k3"}}"#,
        r#"{"ask":"look","account":{"name":"jit-a","token":"k3v9"}}"#,
        &format!(r#"{{"ask":"look",{account}}} {{}}"#),
        &format!(r#"{{"ask":"look",{account},"account":{{}}}}"#),
        &format!(r#"{{"ask":"step",{account},"step":{{"do":"delete","name":"root"}}}}"#),
        &format!(r#"{{"ask":"step",{account},"step":{{"do":"close"}}}}"#),
        &format!(r#"{{"ask":"step",{account},"step":{{"do":"close","processes":"every"}}}}"#),
        &format!(
            r#"{{"ask":"step",{account},"step":{{"do":"grant","right":"sudo:/bin/sh *","until":"2026-11-26T10:30:00Z","asks":"nothing"}}}}"#
        ),
        &format!(r#"{{"ask":"step",{account},"step":{{"do":"grant","right":"sudo:ALL","asks":"nothing"}}}}"#),
    ] {
        assert!(read(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn neither_a_printed_request_nor_a_refusal_shows_the_password() {
    let line = format!(
        r#"{{"ask":"step",{},"step":{{"do":"open","whose":{{"owner":"tech1","generation":7}},"window":{{"until":"2026-11-26T10:30:00Z","end":"2026-11-26T10:30:00Z","processes":"own"}},"password":"hunter2"}}}}"#,
        account()
    );
    let ask = read(line.as_bytes()).unwrap();
    assert!(!format!("{ask:?}").contains("hunter2"));
    for wrong in [
        line.replace("\"own\"", "\"hunter2\""),
        line.replace("\"password\"", "\"hunter2\""),
        line.replace("\"open\"", "\"hunter2\""),
        line.replace("\"hunter2\"", "[\"hunter2\"]"),
        line.replace("}}", "hunter2"),
    ] {
        let why = read(wrong.as_bytes()).unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_reader_panic(line in "\\{\"ask\":\"(look|step|list|hello)\",\"\\PC{0,60}|\\PC{0,60}") {
        let _ = read(line.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&line);
    }
}
