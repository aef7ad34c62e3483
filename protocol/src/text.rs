//! Bounded, clean text: the one check that every text from outside passes. Too long or dirty is an error, never cut.

use std::borrow::Cow;
use std::fmt;

/// The longest reason, in characters.
pub const REASON_MAX: usize = 500;
/// The longest single ticket field (summary, customer, contact, status), in characters.
pub const FIELD_MAX: usize = 300;
/// The longest ticket number, in characters.
pub const NUMBER_MAX: usize = 64;
/// The longest ticket address, in characters.
pub const URL_MAX: usize = 2048;

/// Why a text was refused. Holds no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadText {
    /// Nothing but white space.
    Empty,
    /// More characters than the limit that it carries.
    TooLong(usize),
    /// A control, bidirectional-override or other invisible formatting character.
    Control,
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong(max) => write!(f, "is longer than {max} characters"),
            Self::Control => f.write_str("holds a control or invisible character"),
        }
    }
}

impl std::error::Error for BadText {}

/// Whether `c` may not stand in a line of text: controls, line and paragraph separators, and the characters that
/// reorder or hide text (bidirectional overrides and isolates, zero-width characters, byte order mark, tags).
#[must_use]
pub fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' | '\u{00ad}' | '\u{061c}' | '\u{180e}')
}

/// Whether a text has more than `max` characters.
#[must_use]
pub fn is_longer(text: &str, max: usize) -> bool {
    text.len() > max && text.chars().count() > max
}

/// Checks one line: trimmed, not empty, at most `max` characters, nothing forbidden inside.
///
/// # Errors
/// [`BadText`] says which rule was broken.
pub fn line(text: &str, max: usize) -> Result<String, BadText> {
    trimmed(text, max).map(str::to_owned)
}

/// The same, in the text itself.
///
/// # Errors
/// [`BadText`] says which rule was broken.
pub fn trimmed(text: &str, max: usize) -> Result<&str, BadText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadText::Empty);
    }
    if is_longer(text, max) {
        return Err(BadText::TooLong(max));
    }
    if !is_folded(text) && text.chars().any(is_forbidden) {
        return Err(BadText::Control);
    }
    Ok(text)
}

/// Whether a text is ASCII and as [`fold`] would leave it. Most are, and one look at each byte is all that they need.
fn is_folded(text: &str) -> bool {
    let mut before = b' ';
    // Not `bytes`: in small code each byte of it is a call.
    for &byte in text.as_bytes() {
        if !matches!(byte, b' '..=b'~') || (byte == b' ' && before == b' ') {
            return false;
        }
        before = byte;
    }
    before != b' '
}

/// Makes a line out of text that a page shows: forbidden characters and runs of white space become one space, the
/// result is trimmed and held to `max` characters. Only for what a person sees before it is used; an empty result is `None`.
#[must_use]
pub fn fold(text: &str, max: usize) -> Option<Cow<'_, str>> {
    if text.len() <= max && is_folded(text) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::new();
    let mut count = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || is_forbidden(c) {
            gap = count > 0;
            continue;
        }
        if count + usize::from(gap) >= max {
            break;
        }
        if gap {
            out.push(' ');
            count += 1;
            gap = false;
        }
        out.push(c);
        count += 1;
    }
    (!out.is_empty()).then_some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_trimmed_and_otherwise_untouched() {
        assert_eq!(line("  Müller's \"PC\" #1 ", 50), Ok("Müller's \"PC\" #1".into()));
    }

    #[test]
    fn empty_long_and_dirty_lines_are_refused() {
        assert_eq!(line(" \t ", 5), Err(BadText::Empty));
        assert_eq!(line("abcdef", 5), Err(BadText::TooLong(5)));
        for dirty in ["a\nb", "a\0b", "a\u{202e}b", "a\u{2028}b", "a\u{feff}b", "a\u{1b}[2Jb"] {
            assert_eq!(line(dirty, 50), Err(BadText::Control), "{dirty:?}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_through_plain_text_leads_to_the_same_line(text in "[ -~]{0,40}|.{0,40}", max in 1usize..60) {
            // What folding takes away at the end sends the text the long way.
            let long_way = format!("{text}\u{a0}");
            prop_assert_eq!(fold(&text, max), fold(&long_way, max));
            let inner = text.trim();
            prop_assert_eq!(line(inner, 60).is_ok(), line(&format!("ü{inner}"), 61).is_ok() && !inner.is_empty());
        }

        #[test]
        fn whatever_fold_makes_is_a_line(text in any::<String>(), max in 1usize..400) {
            if let Some(folded) = fold(&text, max) {
                prop_assert_eq!(trimmed(&folded, max), Ok(&*folded));
            }
        }
    }
}
