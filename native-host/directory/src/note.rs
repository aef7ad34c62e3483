//! The note of a JIT account as it stands in Active Directory (`description`) and in Entra ID (`extensionAttribute15`).
//!
//! `ticketgate token=… owner=… gen=… until=…`, readable by an administrator and by [`parse`]. `until` is `-` on a closed account.

use chrono::{DateTime, SecondsFormat, Utc};
use ticketgate_access::desired::Marker;

use crate::DirectoryError;

/// Both fields may have this many characters (MS-ADA1 2.152, `rangeUpper`; Graph: onPremisesExtensionAttributes).
const LONGEST: usize = 1024;
const SIGN: &str = "ticketgate";

/// The note as text.
///
/// # Errors
/// [`DirectoryError::BadValue`] when it does not fit.
pub(crate) fn format(marker: &Marker) -> Result<String, DirectoryError> {
    let until =
        marker.until.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let (token, owner, generation) = (word(&marker.token), word(&marker.owner), marker.generation);
    let text = format!("{SIGN} token={token} owner={owner} gen={generation} until={until}");
    if text.len() > LONGEST {
        return Err(DirectoryError::BadValue("the account's note is too long".into()));
    }
    Ok(text)
}

/// The note that a text holds; none when it is not one of ours to the letter.
pub(crate) fn parse(text: &str) -> Option<Marker> {
    let mut words = text.split(' ');
    if text.len() > LONGEST || words.next()? != SIGN {
        return None;
    }
    let mut next = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let token = unword(next("token")?)?;
    let owner = unword(next("owner")?)?;
    let generation = next("gen")?.parse().ok()?;
    let until = match next("until")? {
        "-" => None,
        at => Some(DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc)),
    };
    words.next().is_none().then_some(Marker { token, owner, generation, until })
}

/// A text without spaces: what is not plain is written as `%XX`.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'@') {
            word.push(char::from(byte));
        } else {
            word.push_str(&format!("%{byte:02X}"));
        }
    }
    word
}

fn unword(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_note_reads_well_and_is_read_back() {
        let until = DateTime::from_timestamp(1_795_399_445, 0);
        let marker = Marker { token: "k3v9".into(), owner: "tech1".into(), generation: 7, until };
        let text = format(&marker).unwrap();
        assert_eq!(text, "ticketgate token=k3v9 owner=tech1 gen=7 until=2026-11-23T02:04:05Z");
        assert_eq!(parse(&text), Some(marker));
    }

    #[test]
    fn a_text_that_is_not_ours_is_no_note() {
        for other in [
            "",
            "Domain administrator of the night shift",
            "ticketgate",
            "ticketgate token=a owner=b gen=1",
            "ticketgate token=a owner=b gen=-1 until=-",
            "ticketgate token=a owner=b gen=1 until=tomorrow",
            "ticketgate token=a owner=b gen=1 until=- and more",
            "ticketgate owner=b token=a gen=1 until=-",
            "Ticketgate token=a owner=b gen=1 until=-",
            "ticketgate token=%zz owner=b gen=1 until=-",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_note_that_does_not_fit_is_refused() {
        let marker = Marker { token: "t".repeat(1000), owner: "o".into(), generation: 1, until: None };
        assert!(matches!(format(&marker), Err(DirectoryError::BadValue(_))));
    }

    proptest! {
        #[test]
        fn any_note_survives_being_written_and_read(
            token in "\\PC{0,40}", owner in "\\PC{0,40}", generation: u64, until in proptest::option::of(0i64..4_000_000_000_000),
        ) {
            let until = until.and_then(DateTime::from_timestamp_millis);
            let marker = Marker { token, owner, generation, until };
            prop_assert_eq!(parse(&format(&marker).unwrap()), Some(marker));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(ticketgate )?[a-z=% -]{0,60}|\\PC{0,60}") {
            let _ = parse(&text);
        }
    }
}
