//! The reason made from a ticket: `#4711 Outlook crashes on start (Acme Corp, reception)`. Pure text work; the person
//! can edit the result, and the broker checks it again.

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Between white space: texts and parts that come and go together.
    Word(Vec<Atom>),
    /// In parentheses: items between commas, each a row of words.
    Group { open: char, items: Vec<Vec<Vec<Atom>>>, close: char },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Text(String),
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
    /// `#{number} {summary} ({customer}, {contact})`
    fn default() -> Self {
        let word = |before: &str, part| {
            let text = (!before.is_empty()).then(|| Atom::Text(before.to_owned()));
            text.into_iter().chain([Atom::Part(part)]).collect::<Vec<_>>()
        };
        Self(vec![
            Piece::Word(word("#", Part::Number)),
            Piece::Word(word("", Part::Summary)),
            Piece::Group {
                open: '(',
                items: vec![vec![word("", Part::Customer)], vec![word("", Part::Contact)]],
                close: ')',
            },
        ])
    }
}

impl std::str::FromStr for Template {
    type Err = BadTemplate;

    fn from_str(template: &str) -> Result<Self, BadTemplate> {
        let line = text::line(template, TEMPLATE_MAX).map_err(BadTemplate::Text)?;
        let mut pieces = Vec::new();
        let mut rest = line.as_str();
        while let Some(next) = rest.chars().next() {
            match next {
                ' ' => rest = rest.trim_start(),
                '(' | '[' => {
                    let close = if next == '(' { ')' } else { ']' };
                    let (inside, tail) =
                        rest.get(1..).and_then(|r| r.split_once(close)).ok_or(BadTemplate::Unbalanced)?;
                    if inside.contains(['(', '[']) {
                        return Err(BadTemplate::Unbalanced);
                    }
                    let items = inside.split(',').map(words).collect::<Result<_, _>>()?;
                    pieces.push(Piece::Group { open: next, items, close });
                    rest = tail;
                }
                ')' | ']' => return Err(BadTemplate::Unbalanced),
                _ => {
                    let end = rest.find([' ', '(', '[', ')', ']']).unwrap_or(rest.len());
                    let (word, tail) = rest.split_at_checked(end).ok_or(BadTemplate::Unbalanced)?;
                    pieces.push(Piece::Word(atoms(word)?));
                    rest = tail;
                }
            }
        }
        let template = Self(pieces);
        if template.parts().next().is_none() { Err(BadTemplate::NoPart) } else { Ok(template) }
    }
}

fn words(text: &str) -> Result<Vec<Vec<Atom>>, BadTemplate> {
    text.split_whitespace().map(atoms).collect()
}

fn atoms(word: &str) -> Result<Vec<Atom>, BadTemplate> {
    let mut atoms = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let (before, after) = rest.split_once('{').unwrap_or((rest, ""));
        if before.contains('}') {
            return Err(BadTemplate::Unbalanced);
        }
        if !before.is_empty() {
            atoms.push(Atom::Text(before.to_owned()));
        }
        if before.len() == rest.len() {
            break;
        }
        let (name, tail) = after.split_once('}').ok_or(BadTemplate::Unbalanced)?;
        let part = PARTS.iter().find(|(known, _)| *known == name);
        atoms.push(Atom::Part(part.ok_or_else(|| BadTemplate::UnknownPart(name.to_owned()))?.1));
        rest = tail;
    }
    Ok(atoms)
}

impl Template {
    fn parts(&self) -> impl Iterator<Item = Part> {
        let words = self.0.iter().flat_map(|piece| match piece {
            Piece::Word(word) => vec![word],
            Piece::Group { items, .. } => items.iter().flatten().collect(),
        });
        words.flatten().filter_map(|atom| match atom {
            Atom::Part(part) => Some(*part),
            Atom::Text(_) => None,
        })
    }

    /// The reason for a ticket: one clean line of at most [`REASON_MAX`] characters, or `None` where the ticket says
    /// nothing that the template names. What is too long is shortened with `…`, the longest part first.
    #[must_use]
    pub fn reason(&self, ticket: &Ticket) -> Option<String> {
        let fold = |text: &Option<String>| text.as_deref().and_then(|text| text::fold(text, FIELD_MAX));
        let mut values = [
            text::fold(&ticket.number, FIELD_MAX),
            fold(&ticket.summary),
            fold(&ticket.customer),
            fold(&ticket.contact),
            fold(&ticket.status),
            text::fold(&ticket.system, FIELD_MAX),
        ];
        self.parts().find(|part| value(&values, *part).is_some())?;
        loop {
            let reason = text::fold(&self.fill(&values), usize::MAX)?;
            let over = reason.chars().count().saturating_sub(REASON_MAX);
            if over == 0 {
                return text::line(&reason, REASON_MAX).ok();
            }
            let used: Vec<Part> = self.parts().collect();
            let (part, length) = used
                .iter()
                .filter_map(|part| Some((*part, value(&values, *part)?.chars().count())))
                .max_by_key(|(_, length)| *length)?;
            if length <= PART_MIN {
                // Only a template that repeats itself gets here; cut the whole instead.
                return text::line(&shorten(&reason, REASON_MAX), REASON_MAX).ok();
            }
            let shorter = shorten(value(&values, part)?, length.saturating_sub(over).max(PART_MIN));
            *values.get_mut(part as usize)? = Some(shorter);
        }
    }

    fn fill(&self, values: &[Option<String>; 6]) -> String {
        let words: Vec<String> = self.0.iter().filter_map(|piece| fill_piece(piece, values)).collect();
        let mut out: Vec<&str> = Vec::new();
        for word in words.iter().map(String::as_str) {
            // A separator stands between two things or not at all.
            if is_separator(word) && out.last().is_none_or(|last| is_separator(last)) {
                continue;
            }
            out.push(word);
        }
        while out.last().is_some_and(|last| is_separator(last)) {
            out.pop();
        }
        out.join(" ").trim_end_matches([':', ',', ';']).to_owned()
    }
}

fn fill_piece(piece: &Piece, values: &[Option<String>; 6]) -> Option<String> {
    match piece {
        Piece::Word(word) => fill_word(word, values),
        Piece::Group { open, items, close } => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.iter().filter_map(|word| fill_word(word, values)).collect::<Vec<_>>().join(" ")
                })
                .filter(|item| !item.is_empty())
                .collect();
            (!items.is_empty()).then(|| format!("{open}{}{close}", items.join(", ")))
        }
    }
}

/// A word without parts stands as it is; one with parts needs one of them at least.
fn fill_word(word: &[Atom], values: &[Option<String>; 6]) -> Option<String> {
    let mut out = String::new();
    let (mut parts, mut found) = (0, 0);
    for atom in word {
        match atom {
            Atom::Text(text) => out.push_str(text),
            Atom::Part(part) => {
                parts += 1;
                if let Some(text) = value(values, *part) {
                    found += 1;
                    out.push_str(text);
                }
            }
        }
    }
    (parts == 0 || found > 0).then_some(out)
}

fn value(values: &[Option<String>; 6], part: Part) -> Option<&str> {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(summary: Option<&str>, customer: Option<&str>, contact: Option<&str>) -> Ticket {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Ticket {
            number: "4711".into(),
            summary: own(summary),
            customer: own(customer),
            contact: own(contact),
            ..Ticket::default()
        }
    }

    #[test]
    fn the_default_template_says_number_summary_customer_and_contact() {
        let whole = ticket(Some("Outlook crashes on start"), Some("Acme Corp"), Some("reception"));
        assert_eq!(
            Template::default().reason(&whole).as_deref(),
            Some("#4711 Outlook crashes on start (Acme Corp, reception)")
        );
        assert_eq!("#{number} {summary} ({customer}, {contact})".parse(), Ok(Template::default()));
    }

    #[test]
    fn missing_parts_vanish_with_their_punctuation() {
        for (template, ticket, expected) in [
            (
                "#{number} {summary} ({customer}, {contact})",
                ticket(Some("A"), None, Some("c")),
                "#4711 A (c)",
            ),
            (
                "#{number} {summary} ({customer}, {contact})",
                ticket(Some("A"), Some("b"), None),
                "#4711 A (b)",
            ),
            ("#{number} {summary} ({customer}, {contact})", ticket(None, None, None), "#4711"),
            ("#{number} {summary} ({customer}, {contact})", ticket(None, Some("b"), None), "#4711 (b)"),
            ("{customer}: {summary} [#{number}]", ticket(Some("A"), None, None), "A [#4711]"),
            ("#{number} - {summary} - {customer}", ticket(None, Some("b"), None), "#4711 - b"),
            ("{customer} · {summary} · {contact}", ticket(Some("A"), None, None), "A"),
            ("Ticket {number}: {summary}", ticket(None, None, None), "Ticket 4711"),
            ("{system}/{number} for {contact}", ticket(None, None, None), "/4711 for"),
        ] {
            let template: Template = template.parse().unwrap();
            assert_eq!(template.reason(&ticket).as_deref(), Some(expected), "{template:?}");
        }
    }

    #[test]
    fn a_ticket_that_says_nothing_gives_no_reason() {
        let template: Template = "for {customer}".parse().unwrap();
        assert_eq!(template.reason(&ticket(Some("A"), None, None)), None);
        assert_eq!(Template::default().reason(&Ticket::default()), None);
    }

    #[test]
    fn a_value_with_braces_is_not_filled_in_again() {
        let trick = ticket(Some("{customer} ({contact})"), Some("Acme"), None);
        assert_eq!(
            Template::default().reason(&trick).as_deref(),
            Some("#4711 {customer} ({contact}) (Acme)")
        );
    }

    #[test]
    fn bad_templates_are_refused_with_what_to_change() {
        for (template, expected) in [
            ("", BadTemplate::Text(text::BadText::Empty)),
            ("a\nb", BadTemplate::Text(text::BadText::Control)),
            ("{nr}", BadTemplate::UnknownPart("nr".into())),
            ("{number", BadTemplate::Unbalanced),
            ("number}", BadTemplate::Unbalanced),
            ("({number}", BadTemplate::Unbalanced),
            ("({number} ({customer}))", BadTemplate::Unbalanced),
            ("work", BadTemplate::NoPart),
        ] {
            assert_eq!(template.parse::<Template>(), Err(expected), "{template:?}");
        }
    }

    #[test]
    fn a_long_reason_loses_the_end_of_its_longest_part_at_a_word() {
        let template: Template = "#{number} {summary} {summary} ({customer}, {contact})".parse().unwrap();
        let long = "printer jams again ".repeat(20);
        let reason = template.reason(&ticket(Some(&long), Some("Acme Corp"), Some("reception"))).unwrap();
        assert!(reason.chars().count() <= REASON_MAX, "{reason}");
        assert!(reason.ends_with(" (Acme Corp, reception)"), "{reason}");
        let before = reason.split('…').next().unwrap();
        assert!(["printer", "jams", "again"].iter().any(|word| before.ends_with(word)), "{reason}");
    }

    #[test]
    fn shortening_keeps_accents_joined_emoji_and_flags_whole() {
        for (text, max, expected) in [
            ("aaaae\u{301}bbb", 6, "aaaa…"),
            ("aaaa\u{1f469}\u{200d}\u{1f4bb}bbb", 6, "aaaa…"),
            ("aaaa\u{1f1e9}\u{1f1ea}bbb", 6, "aaaa…"),
            ("one two three four", 14, "one two three…"),
            ("one two three four", 13, "one two…"),
            ("short", 5, "short"),
        ] {
            assert_eq!(shorten(text, max), expected, "{text:?} {max}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_page_says_the_reason_is_a_line_or_none(
            number in any::<String>(),
            summary in proptest::option::of("(?s).{0,700}"),
            customer in proptest::option::of(any::<String>()),
            contact in proptest::option::of("[ -~\u{200d}\u{301}\u{202e}]{0,400}"),
            template in prop_oneof![
                Just("#{number} {summary} ({customer}, {contact})"),
                Just("{customer}: {summary}{summary} - {summary} [{number}]"),
                Just("{contact}"),
            ],
        ) {
            let ticket = Ticket { number, summary, customer, contact, ..Ticket::default() };
            let template: Template = template.parse().unwrap();
            if let Some(reason) = template.reason(&ticket) {
                prop_assert_eq!(text::line(&reason, REASON_MAX), Ok(reason.clone()));
            }
        }

        #[test]
        fn no_template_can_upset_it(template in "[a-z{}()\\[\\], #·-]{0,60}") {
            if let Ok(template) = template.parse::<Template>() {
                let _ = template.reason(&ticket(Some("A"), None, Some("c")));
            }
        }
    }
}
