//! The audit log as files for others: JSON Lines and CSV. `docs/audit.md` describes both. Which records is the caller's choice.

use std::borrow::{Borrow, Cow};
use std::io::{self, Write};

use chrono::SecondsFormat;
use serde_json::Value;
use ticketgate_protocol::api::AuditRecord;

use crate::chain;

/// Columns of the CSV file, in this order.
const COLUMNS: [&str; 9] =
    ["position", "chain", "seq", "at", "action", "actor", "outcome", "details", "hash"];

/// Writes one JSON object a line and answers how many. `at` and `details` are the very texts that the hash covers
/// (details: keys sorted, no blanks), so that a reader can check the chain.
///
/// # Errors
/// When `out` does not take what is written.
pub fn json_lines<I>(out: &mut impl Write, records: I) -> io::Result<u64>
where
    I: IntoIterator<Item: Borrow<AuditRecord>>,
{
    let mut written = 0;
    for record in records {
        let record: &AuditRecord = record.borrow();
        let text = |text: &str| Value::from(text).to_string();
        writeln!(
            out,
            r#"{{"position":{},"chain":{},"seq":{},"at":{},"action":{},"actor":{},"outcome":{},"details":{},"hash":{}}}"#,
            record.position,
            text(&record.chain),
            record.seq,
            text(&time(record)),
            text(&record.action),
            text(&record.actor),
            text(&record.outcome),
            chain::details_text(&record.details),
            text(&record.hash),
        )?;
        written += 1;
    }
    Ok(written)
}

/// Writes a CSV file (RFC 4180: comma, CRLF, quotes doubled) with a line of names first and answers how many records.
///
/// A field that a spreadsheet could take for a formula (it starts with `=`, `+`, `-`, `@`, a tab or a carriage return) gets
/// a `'` in front, and so does one that starts with `'`: whoever strips one leading `'` has the field as it was.
///
/// # Errors
/// When `out` does not take what is written.
pub fn csv<I>(out: &mut impl Write, records: I) -> io::Result<u64>
where
    I: IntoIterator<Item: Borrow<AuditRecord>>,
{
    line(out, &COLUMNS)?;
    let mut written = 0;
    for record in records {
        let record: &AuditRecord = record.borrow();
        line(
            out,
            &[
                &record.position.to_string(),
                &record.chain,
                &record.seq.to_string(),
                &time(record),
                &record.action,
                &record.actor,
                &record.outcome,
                &chain::details_text(&record.details),
                &record.hash,
            ],
        )?;
        written += 1;
    }
    Ok(written)
}

/// As the ledger keeps it.
fn time(record: &AuditRecord) -> String {
    record.at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn line(out: &mut impl Write, fields: &[&str]) -> io::Result<()> {
    for (n, field) in fields.iter().enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        let field = harmless(field);
        if field.contains([',', '"', '\r', '\n']) {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

fn harmless(field: &str) -> Cow<'_, str> {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        Cow::Owned(format!("'{field}"))
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    fn record(actor: &str, details: Value) -> AuditRecord {
        AuditRecord {
            position: 9,
            chain: "-".to_owned(),
            seq: 3,
            at: DateTime::from_timestamp(1_767_323_045, 5).unwrap(),
            action: "broker.started".to_owned(),
            actor: actor.to_owned(),
            outcome: "ok".to_owned(),
            details,
            hash: "ab".repeat(32),
        }
    }

    fn written(write: impl Fn(&mut Vec<u8>) -> io::Result<u64>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_lines_hold_one_object_each_that_reads_back_as_the_record() {
        let records = [record("tech1", json!({"b": "line\nline", "a": 1})), record("user:\"x\"", json!({}))];
        let text = written(|out| json_lines(out, &records));
        let lines: Vec<AuditRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, records);
        assert!(text.contains(r#""at":"2026-01-02T03:04:05.000000005Z""#), "{text}");
        assert!(text.contains(r#""details":{"a":1,"b":"line\nline"}"#), "{text}");
    }

    #[test]
    fn csv_quotes_commas_quotes_and_line_ends() {
        let text = written(|out| csv(out, [record("a,\"b\"\r\nc", json!({"a": "x"}))]));
        assert_eq!(
            text,
            format!(
                "position,chain,seq,at,action,actor,outcome,details,hash\r\n9,'-,3,2026-01-02T03:04:05.000000005Z,\
                 broker.started,\"a,\"\"b\"\"\r\nc\",ok,\"{{\"\"a\"\":\"\"x\"\"}}\",{}\r\n",
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn csv_fields_never_start_as_a_formula_and_give_the_field_back_when_one_mark_is_stripped() {
        for start in ["=", "+", "-", "@", "\t", "\r", "'", "'="] {
            let field = format!("{start}cmd|' /C calc'!A0");
            let safe = harmless(&field);
            assert_eq!(safe.strip_prefix('\''), Some(field.as_str()));
        }
        assert_eq!(harmless("tech1"), "tech1");
    }
}
