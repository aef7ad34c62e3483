//! What went over the wire, one line each, as a person reads it: `>` asked, `<` answered. Only what the tests' exchanges have.

use super::server::{parts, text};

/// A request as a line.
pub fn request(kind: u8, body: &[u8], controls: &[(String, bool)]) -> String {
    let line = match kind {
        0x60 => format!("bind {} (simple, over TLS)", text(&parts(body)[1].1)),
        0x63 => {
            let body = parts(body);
            let scope = ["base", "one level", "subtree"][usize::from(body[1].1[0])];
            let wanted: Vec<_> = parts(&body[7].1).iter().map(|(_, name)| text(name)).collect();
            format!(
                "search {} scope={scope} filter={} attributes={}",
                named(&text(&body[0].1)),
                filter(body[6].0, &body[6].1),
                wanted.join(",")
            )
        }
        0x66 => {
            let body = parts(body);
            let changes: Vec<_> = parts(&body[1].1).iter().map(|(_, change)| changed(change)).collect();
            format!("modify {} {}", text(&body[0].1), changes.join(" "))
        }
        other => format!("operation 0x{other:02x}"),
    };
    let controls: String = controls
        .iter()
        .map(|(oid, critical)| format!(" control={oid}{}", if *critical { "!" } else { "" }))
        .collect();
    format!("> {line}{controls}")
}

/// An answer as a line.
pub fn answer(message: &[u8]) -> String {
    let (kind, body) = parts(message).remove(0);
    let body = parts(&body);
    if kind == 0x64 && body[1].0 == 0x30 {
        let mut line = format!("< entry {}", named(&text(&body[0].1)));
        for (_, attribute) in parts(&body[1].1) {
            let attribute = parts(&attribute);
            for (_, value) in parts(&attribute[1].1) {
                line += &format!(" [{}: {}]", text(&attribute[0].1), text(&value));
            }
        }
        return line;
    }
    let meaning = match body[0].1[0] {
        0 => "success",
        68 => "entryAlreadyExists",
        _ => "",
    };
    format!("< result {} {meaning}", body[0].1[0])
}

fn named(dn: &str) -> String {
    if dn.is_empty() { "(rootDSE)".to_owned() } else { dn.to_owned() }
}

/// RFC 4511 section 4.5.1: `and`, equality and presence.
fn filter(kind: u8, content: &[u8]) -> String {
    match kind {
        0xa0 => {
            let inner: String = parts(content).iter().map(|(kind, content)| filter(*kind, content)).collect();
            format!("(&{inner})")
        }
        0xa3 => format!("({}={})", text(&parts(content)[0].1), text(&parts(content)[1].1)),
        0x87 => format!("({}=*)", text(content)),
        other => format!("(0x{other:02x})"),
    }
}

fn changed(change: &[u8]) -> String {
    let change = parts(change);
    let how = ["add", "delete", "replace"][usize::from(change[0].1[0])];
    let attribute = parts(&change[1].1);
    let values: Vec<_> = parts(&attribute[1].1).iter().map(|(_, value)| text(value)).collect();
    format!("{how} [{}: {}]", text(&attribute[0].1), values.join("] ["))
}
