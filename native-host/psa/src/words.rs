//! What ticket systems write, made comparable.

use ticketgate_access::config::folded;
use ticketgate_protocol::text::{self, FIELD_MAX};

/// A text as one bounded line, without what cannot be seen; nothing where nothing is left.
pub(crate) fn line(text: &str) -> Option<String> {
    let seen: String = text.chars().map(|c| if text::is_forbidden(c) { ' ' } else { c }).collect();
    let folded = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let bounded: String = folded.chars().take(FIELD_MAX).collect();
    text::line(&bounded, FIELD_MAX).ok()
}

/// Whether `name`, as configured for a technician, is one of the names that a ticket's owner has.
#[must_use]
pub fn is_same_person<'a>(name: &str, mut owner: impl Iterator<Item = &'a String>) -> bool {
    let name = folded(name);
    !name.is_empty() && owner.any(|known| folded(known) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_bounded_line_or_nothing() {
        assert_eq!(line(" a\r\n\u{202e}b\t c "), Some("a b c".into()));
        assert_eq!(line(" \u{200b}\n"), None);
        assert_eq!(line(&"x".repeat(5000)).map(|l| l.len()), Some(FIELD_MAX));
    }

    #[test]
    fn a_person_is_known_by_any_of_the_names() {
        let owner = ["12".to_owned(), "Terry@MSP.example".to_owned(), "Terry  Tech".to_owned()];
        for (name, expected) in
            [("terry@msp.example", true), ("terry tech", true), ("12", true), ("terry", false), (" ", false)]
        {
            assert_eq!(is_same_person(name, owner.iter()), expected, "{name}");
        }
    }
}
