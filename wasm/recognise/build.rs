//! Makes the rule files small for the core that they are compiled into: without white space and without the
//! sources, which are for whoever maintains a rule and are half of the text. And lists them, in the order of their names,
//! with what tells whether a page needs one, so that the core reads only those.

#![allow(clippy::expect_used, clippy::panic, reason = "a build stops with a panic")]

use std::path::Path;
use std::{env, fs};

use serde_json::Value;

#[path = "src/fingerprint.rs"]
mod fingerprint;

fn main() {
    println!("cargo::rerun-if-changed=../rules");
    let out = env::var_os("OUT_DIR").expect("cargo names a folder");
    let out = Path::new(&out);
    let mut list = String::from("[\n");
    let mut fingerprint = 0;
    let folder = fs::read_dir("../rules").expect("the folder of rules");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    for path in files {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let text = small(&fs::read_to_string(&path).expect("a rule file"));
        // What holds of a rule beyond this is the tests' to say: a build script with our own crates in it could not be
        // linked where those are instrumented.
        let rule: Value = serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let texts = |name: &str| -> Vec<&str> {
            rule.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let system =
            rule.get("system").and_then(Value::as_str).unwrap_or_else(|| panic!("{file}: no system"));
        let (hosts, not_hosts) = (texts("hosts"), texts("not_hosts"));
        fingerprint = fingerprint::fingerprint(fingerprint, text.as_bytes());
        let place = out.join(file);
        fs::write(&place, &text).expect("a place to write");
        let elsewhere = rule.get("elsewhere").is_some();
        list.push_str(&format!(
            "BuiltIn {{ file: {file:?}, system: {system:?}, hosts: &{hosts:?}, not_hosts: &{not_hosts:?}, \
             elsewhere: {elsewhere}, text: include_str!({place:?}) }},\n"
        ));
    }
    list.push(']');
    fs::write(out.join("built_in.rs"), list).expect("a place to write");
    fs::write(out.join("fingerprint.rs"), fingerprint.to_string()).expect("a place to write");
}

/// The same JSON in fewer characters.
fn small(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next != '"' {
            if !next.is_ascii_whitespace() {
                out.push(next);
            }
            rest = &rest[next.len_utf8()..];
            continue;
        }
        let string = &rest[..end_of_string(rest)];
        rest = &rest[string.len()..];
        if string == "\"source\"" {
            let value = rest.trim_start_matches([':', ' ']);
            rest = &value[end_of_string(value)..];
            // One comma goes with it: the one behind it, or, where it came last, the one before it.
            match rest.trim_start().strip_prefix(',') {
                Some(tail) => rest = tail,
                None if out.ends_with(',') => out.truncate(out.len() - 1),
                None => {}
            }
            continue;
        }
        out.push_str(string);
    }
    out
}

/// The length of the string at the begin of `text`, quotes included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
