//! What ticket systems write, made comparable.

use ticketgate_protocol::text::{self, FIELD_MAX};

/// A text as one bounded line, without what cannot be seen; nothing where nothing is left.
pub(crate) fn line(text: &str) -> Option<String> {
    let seen: String = text.chars().map(|c| if text::is_forbidden(c) { ' ' } else { c }).collect();
    let folded = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let bounded: String = folded.chars().take(FIELD_MAX).collect();
    text::line(&bounded, FIELD_MAX).ok()
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
}
