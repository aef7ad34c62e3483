//! What an address hides behind its `#`, by the decoders that a rule may name. A decoder gives names with plain values, or
//! nothing at all where anything is odd: an address is written by anybody. Bounded in what it takes and in what it makes.

mod lzma;

use ticketgate_protocol::tree::{Json, Value};
use ticketgate_rule::Decoder;

/// The longest hash that is looked at; the probe sends no longer address.
const HASH_MAX: usize = 16 * 1024;
/// The longest text made of it. A ConnectWise state is about 1 KiB.
const STATE_MAX: usize = 64 * 1024;

/// The names that the hash hides, with their values.
pub(crate) fn hidden(decoder: Decoder, hash: &str) -> Option<Vec<(&'static str, String)>> {
    match decoder {
        Decoder::Connectwise => connectwise(hash),
    }
}

/// ConnectWise PSA: `<blob>??<tag>`, the blob being JSON, LZMA and base64 with `$` and `_`. The screen that is open is the
/// outermost `p`, its record `s.p.rd`. States of pods that were visited before may stand deeper inside; they do not count.
fn connectwise(hash: &str) -> Option<Vec<(&'static str, String)>> {
    if hash.len() > HASH_MAX {
        return None;
    }
    let blob = hash.split_once("??").map_or(hash, |(blob, _)| blob);
    let state = String::from_utf8(lzma::decode(&base64(blob)?, STATE_MAX)?).ok()?;
    let state = Json::read(&state).ok()?;
    let state = state.value();
    let mut names = vec![("screen", state.get("p").and_then(Value::as_text)?.into_owned())];
    let record = state.get("s").and_then(|pods| pods.get("p")).and_then(|pod| pod.get("rd"));
    if let Some(record) = record.and_then(Value::as_int).filter(|record| *record > 0) {
        names.push(("record", record.to_string()));
    }
    Some(names)
}

/// Base64 of either alphabet in use (`+/`, `$_`), with or without the padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'$' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits).to_le_bytes()[0]);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests;
