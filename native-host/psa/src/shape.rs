//! What vendors write in more than one way, read in one: ids that are numbers here and texts there, dates, fields that must be there.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer};

use crate::words::line;
use crate::{Company, PsaError};

/// The longest number that anybody says.
const NUMBER_MAX: usize = 40;

/// An id, a number or a short text, whichever JSON type it has today. `null` and `""` are the empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) String);

impl Id {
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
            Nothing(()),
        }
        Ok(match Either::deserialize(from)? {
            Either::Number(number) => Self(number.to_string()),
            Either::Text(text) => Self(line(&text).unwrap_or_default()),
            Either::Nothing(()) => Self::default(),
        })
    }
}

/// A field that the vendor's document promises.
///
/// # Errors
/// [`PsaError::Unreadable`] with its name.
pub(crate) fn need<T>(field: Option<T>, name: &str) -> Result<T, PsaError> {
    field.ok_or_else(|| missing(name))
}

/// A field that the vendor's document promises is not there.
pub(crate) fn missing(name: &str) -> PsaError {
    PsaError::Unreadable(format!("it has no `{name}`"))
}

/// An answer about another ticket than asked.
pub(crate) fn another_ticket() -> PsaError {
    PsaError::Unreadable("it is about another ticket than asked".into())
}

/// More than one ticket where there can be only one.
pub(crate) fn many_tickets() -> PsaError {
    PsaError::Unreadable("it holds several tickets of this number".into())
}

/// A number that is digits alone: what else people type is no ticket of a system that counts, and never reaches its query.
pub(crate) fn digits(number: &str) -> Result<&str, PsaError> {
    let sound = (1..=18).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && !number.starts_with('0');
    sound.then_some(number).ok_or(PsaError::NoSuchTicket)
}

/// The same as a number, however people write it: with a `#` or with zeros before it.
pub(crate) fn whole_number(number: &str) -> Result<u64, PsaError> {
    let bare = number.trim().trim_start_matches('#').trim_start_matches('0');
    digits(bare)?.parse().map_err(|_| PsaError::NoSuchTicket)
}

/// A number of letters, digits, `.`, `-` and `_` alone, of which nothing can change a query.
pub(crate) fn plain_number(number: &str) -> Result<&str, PsaError> {
    let number = number.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let sound = !number.is_empty() && number.len() <= NUMBER_MAX && number.bytes().all(plain);
    sound.then_some(number).ok_or(PsaError::NoSuchTicket)
}

/// A text field as one bounded line.
pub(crate) fn text(field: Option<&str>) -> Option<String> {
    field.and_then(line)
}

/// Every name that is one, as lines.
pub(crate) fn names<'a>(of: impl IntoIterator<Item = Option<&'a str>>) -> BTreeSet<String> {
    of.into_iter().flatten().filter_map(line).collect()
}

/// Whether a status is one of the words of `closed` in the configuration.
pub(crate) fn is_word(status: &str, words: &[String]) -> bool {
    let status = ticketgate_access::config::folded(status);
    words.iter().any(|word| ticketgate_access::config::folded(word) == status)
}

/// Whether a ticket is closed: as the configuration's words say where there are some, else as the vendor says.
pub(crate) fn is_closed(words: &[String], status: &str, vendor: bool) -> bool {
    if words.is_empty() { vendor } else { is_word(status, words) }
}

/// A company, where at least its id or its name is told.
pub(crate) fn company(id: Option<&str>, name: Option<&str>) -> Option<Company> {
    let (id, name) = (text(id), text(name));
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

/// A date and time with or without zone (UTC then), `T` or a space in between, `+0000` or `+00:00`. Nothing where it is none.
pub(crate) fn when(field: Option<&str>) -> Option<DateTime<Utc>> {
    let text = field?.trim();
    for zoned in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(at) = DateTime::parse_from_str(text, zoned) {
            return Some(at.with_timezone(&Utc));
        }
    }
    let bare = text.trim_end_matches(['Z', 'z']);
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(bare, form).ok())
        .map(|at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_text_whichever_type_it_has() {
        for (json, expected) in [("7", "7"), ("\" 7 \"", "7"), ("null", ""), ("\"\"", "")] {
            assert_eq!(serde_json::from_str::<Id>(json).unwrap().0, expected, "{json}");
        }
        assert!(serde_json::from_str::<Id>("{}").is_err());
    }

    #[test]
    fn dates_are_read_in_every_form_that_vendors_write() {
        for text in [
            "2026-11-26T06:31:39Z",
            "2026-11-26T06:31:39",
            "2026-11-26 06:31:39",
            "2026-11-26T07:31:39.000+0100",
            "2026-11-26T07:31:39+01:00",
            "2026-11-26T06:31:39.000Z",
        ] {
            assert_eq!(when(Some(text)).map(|at| at.timestamp()), Some(1_795_674_699), "{text}");
        }
        for text in [Some("soon"), Some(""), None] {
            assert_eq!(when(text), None);
        }
    }

    #[test]
    fn only_digits_are_the_number_of_a_system_that_counts() {
        assert_eq!(digits("4711"), Ok("4711"));
        for number in ["", "0", "007", "1 OR id > 0", "-1", "1234567890123456789", "٣"] {
            assert_eq!(digits(number), Err(PsaError::NoSuchTicket), "{number}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_sign_or_zeros() {
        for (number, expected) in
            [("4711", Some(4711)), (" #0042 ", Some(42)), ("#", None), ("1/notes", None)]
        {
            assert_eq!(whole_number(number).ok(), expected, "{number}");
        }
    }

    #[test]
    fn nothing_in_a_plain_number_can_change_a_query() {
        assert_eq!(plain_number(" T20260101.0001 "), Ok("T20260101.0001"));
        for number in ["", "INC1^ORnumber=INC2", "INC1,INC2", "a\"b", "a b", "é", &"1".repeat(41)] {
            assert_eq!(plain_number(number), Err(PsaError::NoSuchTicket), "{number}");
        }
    }

    #[test]
    fn words_of_the_configuration_take_the_place_of_the_vendors_flag() {
        assert!(is_closed(&[], "Open", true));
        let words = ["Resolved".to_owned()];
        assert!(is_closed(&words, " resolved ", false));
        assert!(!is_closed(&words, "Open", true));
    }
}
