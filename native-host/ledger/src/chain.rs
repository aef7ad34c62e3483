//! The audit chain's canonical bytes: what a record's hash covers and what a checkpoint signs. `docs/audit.md` describes
//! the same for whoever implements it again. Nothing here reads or writes the database.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::NewAudit;

/// The chain of records that belong to no customer.
pub(crate) const OWN_CHAIN: &str = "-";

/// What stands before the first record of every chain. Chains differ all the same: each record names its chain.
pub(crate) const BEGINNING: Hash = [0; 32];

/// SHA-256.
pub(crate) type Hash = [u8; 32];

const RECORD_FORM: &[u8] = b"ticketgate-audit-1";
const CHECKPOINT_FORM: &[u8] = b"ticketgate-checkpoint-1";
const SEAL_FORM: &[u8] = b"ticketgate-seal-1";

/// A record's fields exactly as the database holds them, so that a check needs no parsing and no copies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) chain: &'a [u8],
    pub(crate) seq: u64,
    pub(crate) at: &'a [u8],
    pub(crate) action: &'a [u8],
    pub(crate) actor: &'a [u8],
    pub(crate) outcome: &'a [u8],
    pub(crate) details: &'a [u8],
}

/// The hash of a record whose predecessor has the hash `before`. `buffer` is only lent, to save an allocation per record.
pub(crate) fn hash(before: &Hash, fields: &Fields<'_>, buffer: &mut Vec<u8>) -> Hash {
    buffer.clear();
    buffer.extend_from_slice(before);
    netstring(buffer, RECORD_FORM);
    netstring(buffer, fields.chain);
    netstring(buffer, Decimal::of(fields.seq).digits());
    netstring(buffer, fields.at);
    netstring(buffer, fields.action);
    netstring(buffer, fields.actor);
    netstring(buffer, fields.outcome);
    netstring(buffer, fields.details);
    Sha256::digest(buffer.as_slice()).into()
}

/// The text of a record's details, and the hash of the record that follows one with the hash `before`.
pub(crate) fn next(record: &NewAudit, chain: &str, seq: u64, at: &str, before: &Hash) -> (String, Hash) {
    let details = record.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let details = details_text(&Value::Object(details));
    let fields = Fields {
        chain: chain.as_bytes(),
        seq,
        at: at.as_bytes(),
        action: record.action.as_bytes(),
        actor: record.actor.as_bytes(),
        outcome: record.outcome.as_bytes(),
        details: details.as_bytes(),
    };
    let hash = hash(before, &fields, &mut Vec::with_capacity(512));
    (details, hash)
}

/// What a checkpoint's signature covers.
pub(crate) fn checkpoint_bytes(chain: &[u8], seq: u64, hash: &Hash, at: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    netstring(&mut bytes, CHECKPOINT_FORM);
    netstring(&mut bytes, chain);
    netstring(&mut bytes, Decimal::of(seq).digits());
    netstring(&mut bytes, hex::encode(hash).as_bytes());
    netstring(&mut bytes, at);
    bytes
}

/// The digest of all checkpoints, one more taken in: `checkpoint` are its signed bytes.
pub(crate) fn taken_in(digest: &Hash, checkpoint: &[u8]) -> Hash {
    Sha256::new().chain_update(digest).chain_update(checkpoint).finalize().into()
}

/// What a seal's signature covers.
pub(crate) fn seal_bytes(number: u64, digest: &Hash, at: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    netstring(&mut bytes, SEAL_FORM);
    netstring(&mut bytes, Decimal::of(number).digits());
    netstring(&mut bytes, hex::encode(digest).as_bytes());
    netstring(&mut bytes, at);
    bytes
}

/// A record's details as text: compact JSON with the keys of every object sorted by their bytes.
///
/// Written here rather than left to `serde_json`, whose order depends on a feature that any crate of the build can turn on.
pub(crate) fn details_text(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    text
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push('{');
            for (n, (name, value)) in entries.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_sorted(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_sorted(value, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// `LENGTH:BYTES,` with the length in decimal: fields can hold anything and never run into each other.
fn netstring(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(Decimal::of(field.len() as u64).digits());
    out.push(b':');
    out.extend_from_slice(field);
    out.push(b',');
}

/// A number as decimal text without an allocation; a check of a million records makes nine million of them.
struct Decimal {
    text: [u8; 20],
    start: usize,
}

impl Decimal {
    fn of(mut number: u64) -> Self {
        let mut text = [b'0'; 20];
        let mut start = text.len();
        for place in text.iter_mut().rev() {
            *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
            start -= 1;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        Self { text, start }
    }

    fn digits(&self) -> &[u8] {
        self.text.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 4_711, 1_000_000, u64::MAX] {
            assert_eq!(Decimal::of(number).digits(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn details_are_sorted_at_every_depth_and_have_no_blanks() {
        let details = json!({"b": [{"z": 1, "a": "ä\n\"\u{7f}"}, null, true], "a": {"y": -2, "x": ""}});
        assert_eq!(
            details_text(&details),
            "{\"a\":{\"x\":\"\",\"y\":-2},\"b\":[{\"a\":\"ä\\n\\\"\u{7f}\",\"z\":1},null,true]}"
        );
    }

    #[test]
    fn a_record_hashes_to_the_value_of_the_guide() {
        let fields = Fields {
            chain: b"acme",
            seq: 1,
            at: b"2026-01-02T03:04:05.000000000Z",
            action: b"activation.granted",
            actor: b"tech1",
            outcome: b"ok",
            details: br#"{"session":"s-1"}"#,
        };
        assert_eq!(
            hex::encode(hash(&BEGINNING, &fields, &mut Vec::new())),
            "e8dc4e3658435815d9c049d7fbefb57c329d096193387d999e077de46fcd17df",
            "made with the script of docs/audit.md"
        );
    }

    #[test]
    fn a_byte_that_moves_to_the_next_field_changes_the_hash() {
        let fields = Fields {
            chain: b"acme",
            seq: 1,
            at: b"t",
            action: b"ab",
            actor: b"c",
            outcome: b"ok",
            details: b"{}",
        };
        let moved = Fields { action: b"a", actor: b"bc", ..fields };
        let mut buffer = Vec::new();
        assert_ne!(hash(&BEGINNING, &fields, &mut buffer), hash(&BEGINNING, &moved, &mut buffer));
    }
}
