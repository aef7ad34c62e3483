//! What the answers of several systems have in common: ids as numbers or texts, times in several forms, fields that are missing.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use ticketgate_access::config::folded;

use crate::words::line;
use crate::{Company, PsaError};

/// The longest number that anybody says.
const NUMBER_MAX: usize = 40;

/// An id or number that one system writes as a number and another as a text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Loose {
    Number(i64),
    Text(String),
}

impl std::fmt::Display for Loose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text.trim()),
        }
    }
}

/// The words of a status that mean closed, where an administrator named some.
#[derive(Debug, Clone)]
pub(crate) struct Closed(Vec<String>);

impl Closed {
    pub(crate) fn new(words: &[String]) -> Self {
        Self(words.iter().map(|word| folded(word)).collect())
    }

    /// Whether a ticket is closed: as the administrator says, else as the vendor does.
    pub(crate) fn says(&self, status: &str, vendor: bool) -> bool {
        if self.0.is_empty() { vendor } else { self.0.contains(&folded(status)) }
    }
}

/// A field that the vendor documents and the answer lacks.
pub(crate) fn missing(field: &str) -> PsaError {
    PsaError::Unreadable(format!("{field} is missing"))
}

/// An answer about something else than what was asked about.
pub(crate) fn another() -> PsaError {
    PsaError::Unreadable("it is about another ticket".into())
}

/// More than one ticket of one number: nobody can tell which one is meant.
pub(crate) fn several() -> PsaError {
    PsaError::Unreadable("several tickets have this number".into())
}

/// A number that is a whole number, without the `#` that people write before it. Any other is no ticket's: it is not asked about,
/// for it would be part of an address or a query.
pub(crate) fn whole_number(number: &str) -> Result<u64, PsaError> {
    let digits = number.trim().trim_start_matches('#');
    if digits.is_empty() || digits.len() > NUMBER_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PsaError::NoSuchTicket);
    }
    digits.parse().map_err(|_| PsaError::NoSuchTicket)
}

/// A number of letters, digits, `.`, `-` and `_`, likewise.
pub(crate) fn plain_number(number: &str) -> Result<&str, PsaError> {
    let number = number.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if number.is_empty() || number.len() > NUMBER_MAX || !number.bytes().all(plain) {
        return Err(PsaError::NoSuchTicket);
    }
    Ok(number)
}

/// A time in any of the forms that the vendors write; without a zone it is UTC. Nothing where it is none.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(known) = DateTime::parse_from_rfc3339(text) {
        return Some(known.with_timezone(&Utc));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| time.and_utc())
}

/// A ticket's owner under every name that there is.
pub(crate) fn names<'a>(known: impl IntoIterator<Item = Option<&'a str>>) -> BTreeSet<String> {
    known.into_iter().flatten().filter_map(line).collect()
}

/// A company, where at least its id or its name is told.
pub(crate) fn company(id: Option<String>, name: Option<&str>) -> Option<Company> {
    let (id, name) = (id.and_then(|id| line(&id)), name.and_then(line));
    if id.is_none() && name.is_none() {
        return None;
    }
    Some(Company { id: id.unwrap_or_default(), name: name.unwrap_or_default(), domains: Vec::new() })
}

/// What a second call adds (a name for an id), where the integration's user may see it: a refusal there takes nothing from the
/// ticket itself.
pub(crate) fn optional<T>(asked: Result<T, PsaError>) -> Result<Option<T>, PsaError> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(PsaError::NoSuchTicket | PsaError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_digits_is_a_whole_number() {
        for (text, expected) in [("4711", Some(4711)), (" #0042 ", Some(42))] {
            assert_eq!(whole_number(text).ok(), expected);
        }
        for text in ["", "#", "1 or 1=1", "1/notes", "-1", "٣", "99999999999999999999999"] {
            assert_eq!(whole_number(text), Err(PsaError::NoSuchTicket), "{text}");
        }
    }

    #[test]
    fn nothing_in_a_plain_number_can_change_a_query() {
        assert_eq!(plain_number(" T20260101.0001 "), Ok("T20260101.0001"));
        for text in ["", "INC1^ORnumber=INC2", "INC1,INC2", "a\"b", "a b", "é", &"1".repeat(41)] {
            assert_eq!(plain_number(text), Err(PsaError::NoSuchTicket), "{text}");
        }
    }

    #[test]
    fn times_are_read_in_every_form() {
        let expected = moment("2026-01-02T03:04:05Z");
        assert!(expected.is_some());
        for text in ["2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05", "2026-01-02 03:04:05"] {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert!(moment("2026-01-02T03:04:05.123").is_some());
        assert_eq!(moment("yesterday"), None);
    }

    #[test]
    fn an_administrators_words_take_the_place_of_the_vendors_flag() {
        assert!(Closed::new(&[]).says("Open", true));
        let closed = Closed::new(&["Resolved".into()]);
        assert!(closed.says(" resolved ", false));
        assert!(!closed.says("Open", true));
    }
}
