//! From a text of the page to a field's value: folded, captured, cleaned, bounded. "Nothing" is never a value.

use ticketgate_protocol::page::TEXT_MAX;
use ticketgate_protocol::text::{self, NUMBER_MAX, is_longer};

use ticketgate_rule::Candidate;

use crate::letters::{is_same_word, names_something};
use crate::search::{How, find};

/// Words that mean "nothing" in every system, compared without case.
const NOTHING: &[&str] = &[
    "-",
    "--",
    "---",
    "–",
    "—",
    "...",
    "…",
    "?",
    "n/a",
    "none",
    "(none)",
    "null",
    "(null)",
    "undefined",
    "nan",
    "[object object]",
    "unassigned",
    "(unassigned)",
    "(no value)",
    "no value",
    "not set",
    "(not set)",
    "(empty)",
    "loading",
    "loading...",
    "loading…",
    "{{",
    "}}",
];

/// The longest of them, in bytes.
const NOTHING_MAX: usize = 15;

/// How a rule reads texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The rule's own words for "nothing".
    pub(super) nothing: &'a [String],
    /// The ticket's number, once it is known.
    pub(super) number: Option<&'a str>,
}

/// How long a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// A number: a longer one is none, since a cut number is another ticket's.
    Number,
    /// A text, cut to so many characters.
    Text(usize),
}

impl Reader<'_> {
    /// The value that `candidate` finds in `text`, if any.
    pub(super) fn read(&self, candidate: &Candidate, text: &str, limit: Limit) -> Option<String> {
        let line = text::fold(text, TEXT_MAX)?;
        let taken = match &candidate.take {
            None => &*line,
            // A group that took part in the match, or the whole of it.
            Some(take) => find(take, &line, How { number: self.number, ..How::default() })?.first()?,
        };
        let taken = if candidate.strip_zeros { taken.trim_start().trim_start_matches('0') } else { taken };
        let value = match limit {
            Limit::Text(max) => text::fold(taken, max)?,
            Limit::Number => text::fold(taken, NUMBER_MAX + 1).filter(|n| !is_longer(n, NUMBER_MAX))?,
        };
        (!self.is_nothing(&value)).then(|| value.into_owned())
    }

    /// Why `candidate` finds nothing in `text`; nothing where it [`reads`](Self::read) something.
    #[cfg(feature = "trace")]
    pub(super) fn why_nothing(
        &self,
        candidate: &Candidate,
        text: &str,
        limit: Limit,
    ) -> Option<&'static str> {
        if self.read(candidate, text, limit).is_some() {
            return None;
        }
        let Some(line) = text::fold(text, TEXT_MAX) else { return Some("it is empty") };
        let how = How { number: self.number, ..How::default() };
        let taken = match &candidate.take {
            None => &*line,
            Some(take) => match find(take, &line, how).as_ref().and_then(crate::search::Groups::first) {
                Some(taken) => taken,
                None if self.number.is_some()
                    && take.program().is_some_and(|program| program.asks_number) =>
                {
                    return Some("`take` does not match it with this ticket's number");
                }
                None => return Some("`take` does not match it"),
            },
        };
        Some(match text::fold(taken, NUMBER_MAX + 1) {
            None => "what `take` leaves is empty",
            Some(value) if limit == Limit::Number && is_longer(&value, NUMBER_MAX) => {
                "it is too long for a number"
            }
            Some(_) => "it means nothing",
        })
    }

    fn is_nothing(&self, value: &str) -> bool {
        // Bare punctuation names nobody and nothing.
        !names_something(value)
            || (value.len() <= NOTHING_MAX && NOTHING.iter().any(|word| is_same_word(word, value)))
            || self.nothing.iter().any(|word| is_same_word(word, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ticketgate_protocol::tree::FromJson;

    use super::*;

    fn candidate(take: Option<&str>, strip_zeros: bool) -> Candidate {
        let json =
            serde_json::json!({"source": "-", "title": true, "take": take, "strip_zeros": strip_zeros});
        Candidate::parse(&json.to_string()).unwrap()
    }

    fn read(take: Option<&str>, number: Option<&str>, text: &str) -> Option<String> {
        Reader { nothing: &["Nobody in particular".to_owned()], number }.read(
            &candidate(take, false),
            text,
            Limit::Text(40),
        )
    }

    #[test]
    fn placeholders_are_nothing() {
        assert_eq!(NOTHING.iter().map(|word| word.len()).max(), Some(NOTHING_MAX));
        for text in [
            "",
            " ",
            "-",
            " — ",
            "(Unassigned)",
            "UNDEFINED",
            "null",
            "[object Object]",
            "(no value)",
            "\u{a0}\u{200b}",
            "***",
            "nobody in particular",
            "Loading…",
        ] {
            assert_eq!(read(None, None, text), None, "{text:?}");
        }
        assert_eq!(
            read(None, None, "None of the printers work").as_deref(),
            Some("None of the printers work")
        );
    }

    #[test]
    fn a_capture_takes_its_first_group_that_matched() {
        let who = Some(r"^([^<>]+?)\s*<[^>]*>$|^<([^<>]+)>$|^([^<>]+)$");
        assert_eq!(read(who, None, "Jane Doe <jane@acme.example>").as_deref(), Some("Jane Doe"));
        assert_eq!(read(who, None, " <jane@acme.example> ").as_deref(), Some("jane@acme.example"));
        assert_eq!(read(who, None, "jane").as_deref(), Some("jane"));
        assert_eq!(read(Some("[0-9]+"), None, "No 47, 11").as_deref(), Some("47"));
        assert_eq!(read(Some("x(y)"), None, "no"), None);
    }

    #[test]
    fn a_number_inside_a_pattern_is_this_tickets_number_and_no_pattern_itself() {
        let take = Some("^#{number}: (.+)$");
        assert_eq!(read(take, Some("4711"), "#4711: Outlook").as_deref(), Some("Outlook"));
        assert_eq!(read(take, Some("4711"), "#4712: Another"), None);
        assert_eq!(read(take, Some(".*"), "#4712: Another"), None);
        assert_eq!(read(take, None, "#4712: Another"), None);
    }

    #[test]
    fn zeros_in_front_go_and_a_number_is_never_cut() {
        let reader = Reader { nothing: &[], number: None };
        let strip = candidate(None, true);
        assert_eq!(reader.read(&strip, "0003079", Limit::Number).as_deref(), Some("3079"));
        assert_eq!(reader.read(&strip, "000", Limit::Number), None);
        assert_eq!(reader.read(&strip, &"9".repeat(65), Limit::Number), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_a_line(text in any::<String>(), take in proptest::option::of(Just("(?s)^(.*)$"))) {
            if let Some(value) = read(take, None, &text) {
                prop_assert_eq!(text::line(&value, 40), Ok(value.clone()));
            }
        }
    }
}
