//! The reason made from a ticket: `#4711 Outlook crashes on start (Acme Corp, reception)`. Pure text work; the person
//! can edit the result, and the broker checks it again.

use std::borrow::Cow;
use std::fmt;

use ticketgate_protocol::text::{self, FIELD_MAX, REASON_MAX};
use ticketgate_protocol::ticket::Ticket;

/// The longest template, in characters.
const TEMPLATE_MAX: usize = 300;
/// The shortest that a long part is cut to before the next longest one is.
const PART_MIN: usize = 24;

/// How a reason is put together: text with `{number}`, `{summary}`, `{customer}`, `{contact}`, `{status}`, `{system}`.
///
/// A part that the ticket does not have vanishes with what is glued to it (`#{number}`), with its comma inside
/// parentheses, with the parentheses when nothing is left in them, and with a separator that would stand alone.
///
/// Kept as the text that it is, which was checked, and read anew for every reason: a tree of its pieces would be more code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

enum Piece<'t> {
    /// Between white space: texts and parts that come and go together.
    Word(&'t str),
    /// In parentheses: items between commas, each a row of words.
    Group { open: char, items: &'t str, close: char },
}

enum Atom<'t> {
    Text(&'t str),
    Part(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Number,
    Summary,
    Customer,
    Contact,
    Status,
    System,
}

const PARTS: [(&str, Part); 6] = [
    ("number", Part::Number),
    ("summary", Part::Summary),
    ("customer", Part::Customer),
    ("contact", Part::Contact),
    ("status", Part::Status),
    ("system", Part::System),
];

/// A template was refused; says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTemplate {
    /// Empty, too long, or with control characters.
    Text(text::BadText),
    /// No such part.
    UnknownPart(String),
    /// A `{` or `(` without its other half, or one inside another.
    Unbalanced,
    /// Nothing of the ticket is in it.
    NoPart,
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(bad) => write!(f, "the template {bad}"),
            Self::UnknownPart(part) => write!(
                f,
                "the template has no part {{{part}}}: use {{number}}, {{summary}}, {{customer}}, {{contact}}, {{status}} or {{system}}"
            ),
            Self::Unbalanced => f.write_str("the template has a bracket without its other half"),
            Self::NoPart => f.write_str("the template names nothing of the ticket: use at least {number}"),
        }
    }
}

impl std::error::Error for BadTemplate {}

impl Default for Template {
    fn default() -> Self {
        Self("#{number} {summary} ({customer}, {contact})".into())
    }
}

impl std::str::FromStr for Template {
    type Err = BadTemplate;

    fn from_str(template: &str) -> Result<Self, BadTemplate> {
        let template = Self(text::line(template, TEMPLATE_MAX).map_err(BadTemplate::Text)?);
        let mut any = false;
        template.each_part(&mut |_| any = true)?;
        if any { Ok(template) } else { Err(BadTemplate::NoPart) }
    }
}

/// The piece at the begin of `rest`, which loses it.
fn piece<'t>(rest: &mut &'t str) -> Result<Option<Piece<'t>>, BadTemplate> {
    if rest.starts_with(' ') {
        *rest = rest.trim_start();
    }
    let Some(next) = rest.chars().next() else { return Ok(None) };
    let close = match next {
        '(' => ')',
        '[' => ']',
        ')' | ']' => return Err(BadTemplate::Unbalanced),
        _ => {
            let is_end = |byte: u8| matches!(byte, b' ' | b'(' | b'[' | b')' | b']');
            let end = rest.bytes().position(is_end).unwrap_or(rest.len());
            let (word, tail) = rest.split_at_checked(end).ok_or(BadTemplate::Unbalanced)?;
            *rest = tail;
            return Ok(Some(Piece::Word(word)));
        }
    };
    let (items, tail) = rest.get(1..).and_then(|r| r.split_once(close)).ok_or(BadTemplate::Unbalanced)?;
    if items.bytes().any(|byte| matches!(byte, b'(' | b'[')) {
        return Err(BadTemplate::Unbalanced);
    }
    *rest = tail;
    Ok(Some(Piece::Group { open: next, items, close }))
}

/// The atom at the begin of a word's `rest`, which loses it.
fn atom<'t>(rest: &mut &'t str) -> Result<Option<Atom<'t>>, BadTemplate> {
    if rest.is_empty() {
        return Ok(None);
    }
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest.bytes().position(|byte| byte == b'{').unwrap_or(rest.len());
        let (text, tail) = rest.split_at_checked(end).ok_or(BadTemplate::Unbalanced)?;
        if text.bytes().any(|byte| byte == b'}') {
            return Err(BadTemplate::Unbalanced);
        }
        *rest = tail;
        return Ok(Some(Atom::Text(text)));
    };
    let (name, tail) = inside.split_once('}').ok_or(BadTemplate::Unbalanced)?;
    *rest = tail;
    match PARTS.iter().find(|(known, _)| *known == name) {
        Some((_, part)) => Ok(Some(Atom::Part(*part))),
        None => Err(BadTemplate::UnknownPart(name.to_owned())),
    }
}

fn each_part_of(mut word: &str, take: &mut dyn FnMut(Part)) -> Result<(), BadTemplate> {
    while let Some(atom) = atom(&mut word)? {
        if let Atom::Part(part) = atom {
            take(part);
        }
    }
    Ok(())
}

impl Template {
    fn each_part(&self, take: &mut dyn FnMut(Part)) -> Result<(), BadTemplate> {
        let mut rest = self.0.as_str();
        while let Some(piece) = piece(&mut rest)? {
            match piece {
                Piece::Word(word) => each_part_of(word, take)?,
                Piece::Group { items, .. } => {
                    for word in items.split(',').flat_map(str::split_whitespace) {
                        each_part_of(word, take)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The reason for a ticket: one clean line of at most [`REASON_MAX`] characters, or `None` where the ticket says
    /// nothing that the template names. What is too long is shortened with `…`, the longest part first.
    #[must_use]
    pub fn reason(&self, ticket: &Ticket) -> Option<String> {
        let fold = |text| text::fold(text, FIELD_MAX);
        let mut values: Values<'_> = [
            fold(&ticket.number),
            ticket.summary.as_deref().and_then(fold),
            ticket.customer.as_deref().and_then(fold),
            ticket.contact.as_deref().and_then(fold),
            ticket.status.as_deref().and_then(fold),
            fold(&ticket.system),
        ];
        let mut any = false;
        self.each_part(&mut |part| any |= value(&values, part).is_some()).ok()?;
        if !any {
            return None;
        }
        loop {
            let filled = self.fill(&values);
            let reason = text::fold(&filled, usize::MAX)?;
            let over = reason.chars().count().saturating_sub(REASON_MAX);
            if over == 0 {
                return text::line(&reason, REASON_MAX).ok();
            }
            let mut longest = None;
            self.each_part(&mut |part| {
                let length = value(&values, part).map(|text| text.chars().count());
                if length >= longest.map(|(_, length)| length) && length.is_some() {
                    longest = length.map(|length| (part, length));
                }
            })
            .ok()?;
            let (part, length) = longest?;
            if length <= PART_MIN {
                // Only a template that repeats itself gets here; cut the whole instead.
                return text::line(&shorten(&reason, REASON_MAX), REASON_MAX).ok();
            }
            let shorter = shorten(value(&values, part)?, length.saturating_sub(over).max(PART_MIN));
            *values.get_mut(part as usize)? = Some(Cow::Owned(shorter));
        }
    }

    fn fill(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        // How much of it ends in something that is no separator.
        let mut end = 0;
        let mut rest = self.0.as_str();
        while let Ok(Some(piece)) = piece(&mut rest) {
            let Some(word) = fill_piece(&piece, values) else { continue };
            // A separator stands between two things or not at all.
            if !is_separator(&word) {
                add(&mut out, " ", &word);
                end = out.len();
            } else if end == out.len() && end > 0 {
                add(&mut out, " ", &word);
            }
        }
        out.truncate(end);
        out.trim_end_matches([':', ',', ';']).to_owned()
    }
}

/// Adds a text, after `between` where something stands before it.
fn add(out: &mut String, between: &str, text: &str) {
    if !out.is_empty() {
        out.push_str(between);
    }
    out.push_str(text);
}

fn fill_piece(piece: &Piece<'_>, values: &Values<'_>) -> Option<String> {
    match piece {
        Piece::Word(word) => fill_word(word, values),
        Piece::Group { open, items, close } => {
            let mut out = String::new();
            for item in items.split(',') {
                let mut words = String::new();
                for word in item.split_whitespace() {
                    if let Some(word) = fill_word(word, values) {
                        add(&mut words, " ", &word);
                    }
                }
                if !words.is_empty() {
                    add(&mut out, ", ", &words);
                }
            }
            (!out.is_empty()).then(|| format!("{open}{out}{close}"))
        }
    }
}

/// A word without parts stands as it is; one with parts needs one of them at least.
fn fill_word(mut word: &str, values: &Values<'_>) -> Option<String> {
    let mut out = String::new();
    let (mut parts, mut found) = (0, 0);
    while let Ok(Some(atom)) = atom(&mut word) {
        match atom {
            Atom::Text(text) => out.push_str(text),
            Atom::Part(part) => {
                parts += 1;
                if let Some(text) = value(values, part) {
                    found += 1;
                    out.push_str(text);
                }
            }
        }
    }
    (parts == 0 || found > 0).then_some(out)
}

/// What the parts say, in their order.
type Values<'t> = [Option<Cow<'t, str>>; 6];

fn value<'v>(values: &'v Values<'_>, part: Part) -> Option<&'v str> {
    values.get(part as usize)?.as_deref()
}

fn is_separator(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_punctuation() || matches!(c, '–' | '—' | '·' | '•'))
}

/// At most `max` characters, cut at a word's end where one is near, with `…`.
fn shorten(text: &str, max: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(1);
    // Not between a letter and its accent, nor inside a joined emoji or a flag.
    while end > 0 && chars.get(end).copied().is_some_and(|next| joins(chars.get(end - 1).copied(), next)) {
        end -= 1;
    }
    let head = chars.get(..end).unwrap_or_default();
    let at_word = head.iter().rposition(|c| *c == ' ').filter(|at| at * 2 >= end);
    let next_is_space = chars.get(end) == Some(&' ');
    let end = if next_is_space { end } else { at_word.unwrap_or(end) };
    let head: String = chars.get(..end).unwrap_or_default().iter().collect();
    format!("{}…", head.trim_end().trim_end_matches([',', ';', ':', '-']).trim_end())
}

/// Whether `next` belongs to the character before it.
fn joins(before: Option<char>, next: char) -> bool {
    let flag = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c);
    matches!(next,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{200c}' | '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}')
        || before == Some('\u{200d}')
        || (flag(next) && before.is_some_and(flag))
}

#[cfg(test)]
mod tests;
