//! Random texts for ids. Passwords are made elsewhere.

use chrono::{DateTime, Utc};
use ticketgate_protocol::ids::SessionId;

/// Crockford's base 32, lower case: no `i`, `l`, `o`, `u`, so an id can be read aloud.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `count` random letters, five random bits each.
#[must_use]
pub fn letters(count: usize) -> String {
    let mut bytes = vec![0; count];
    if getrandom::fill(&mut bytes).is_err() {
        // No randomness to be had: ids still have to differ, and the ledger refuses one that does not.
        return format!("{:0>count$}", std::process::id());
    }
    bytes.iter().map(|b| letter(usize::from(*b))).collect()
}

/// A session's id: ten letters of time (milliseconds), sixteen random ones, so that ids sort by time.
#[must_use]
pub fn session_id(now: DateTime<Utc>) -> SessionId {
    let millis = now.timestamp_millis();
    let time: String =
        (0..10).rev().map(|i| letter(usize::try_from((millis >> (5 * i)) & 31).unwrap_or(0))).collect();
    let text = format!("s-{time}{}", letters(16));
    SessionId::new(text).unwrap_or_else(|_| unreachable!("letters and digits make an id"))
}

/// A number up to `most`, with it; any will do where there is no randomness.
#[must_use]
pub fn up_to(most: u64) -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes) % most.saturating_add(1)
}

fn letter(bits: usize) -> char {
    LETTERS.get(bits & 31).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let t = |s| DateTime::from_timestamp(s, 0).unwrap();
        assert!(session_id(t(1_800_000_000)) < session_id(t(1_800_000_001)));
        assert_ne!(session_id(t(1)), session_id(t(1)));
    }
}
