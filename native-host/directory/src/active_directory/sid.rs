//! Security identifiers: `objectSid` between its bytes and its text (MS-DTYP 2.4.2).

/// The text that Windows shows: `S-1-5-21-…-513`.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let (head, parts) = taken_apart(bytes)?;
    Some(parts.iter().fold(head, |text, part| format!("{text}-{part}")))
}

/// The last part: what numbers an account or group within its domain.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    taken_apart(bytes)?.1.last().copied()
}

/// The SID of the account or group with this number in the same domain.
pub(crate) fn of_neighbour(bytes: &[u8], number: u32) -> Option<String> {
    let (head, parts) = taken_apart(bytes)?;
    let (_, domain) = parts.split_last()?;
    let domain = domain.iter().fold(head, |text, part| format!("{text}-{part}"));
    Some(format!("{domain}-{number}"))
}

fn taken_apart(bytes: &[u8]) -> Option<(String, Vec<u32>)> {
    let [revision, count, rest @ ..] = bytes else { return None };
    let (authority, parts) = rest.split_first_chunk::<6>()?;
    let authority = authority.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (parts, left) = parts.as_chunks::<4>();
    if usize::from(*count) != parts.len() || parts.is_empty() || !left.is_empty() {
        return None;
    }
    Some((format!("S-{revision}-{authority}"), parts.iter().map(|part| u32::from_le_bytes(*part)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5];
        for part in [21_u32, 1, 2_000_000_000, 3, 1105] {
            sid.extend_from_slice(&part.to_le_bytes());
        }
        sid
    }

    #[test]
    fn a_sid_is_read_and_its_neighbours_are_found() {
        assert_eq!(text(&sample()).unwrap(), "S-1-5-21-1-2000000000-3-1105");
        assert_eq!(number(&sample()), Some(1105));
        assert_eq!(of_neighbour(&sample(), 513).unwrap(), "S-1-5-21-1-2000000000-3-513");
    }

    #[test]
    fn what_is_no_sid_is_none() {
        for bad in [&[][..], &[1, 5], &sample()[..20], &sample()[..27]] {
            assert_eq!(text(bad), None);
            assert_eq!(number(bad), None);
            assert_eq!(of_neighbour(bad, 513), None);
        }
    }
}
