//! Walks the parsed file and notes every fault with its line. What the keys mean is said by the sections' own files.
//!
//! A getter that meets a fault notes it and answers "nothing"; the caller goes on, so that one reading finds all faults.
//! Values are never put into a fault's text unless the caller does it: a secret may have been written anywhere.

use std::fmt::Display;

use ticketgate_protocol::text;
use toml::de::{DeTable, DeValue};

use super::{Fault, duration};

/// Longest text that a key takes, unless the key says otherwise.
pub(super) const TEXT_MAX: usize = 200;

/// A value and the line that it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// What was found so far, and how offsets become lines.
#[derive(Debug)]
pub(super) struct Notes {
    line_starts: Vec<usize>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

impl Notes {
    pub(super) fn new(text: &str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self {
            line_starts: std::iter::once(0).chain(after_breaks).collect(),
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The line, from 1, of a byte offset.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    pub(super) fn fault(&mut self, line: usize, text: impl Into<String>) {
        self.faults.push(Fault { line, text: text.into() });
    }

    pub(super) fn warn(&mut self, line: usize, text: impl Into<String>) {
        self.warnings.push(Fault { line, text: text.into() });
    }
}

/// One table of the file, with the name by which faults speak of it.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    pub(super) name: String,
    pub(super) line: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn whole_file(table: &'a DeTable<'a>) -> Self {
        Self { name: "the file".into(), line: 0, table }
    }

    /// Notes every key that is not one of `known`.
    pub(super) fn only(&self, known: &[&str], notes: &mut Notes) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let line = notes.line_of(key.span().start);
            let shown: String = name.chars().filter(|c| !text::is_forbidden(*c)).take(40).collect();
            let hint = match likely(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("use one of {}", list(known.iter().map(|k| format!("`{k}`")))),
            };
            notes.fault(line, format!("unknown key `{shown}` in {}; {hint}", self.name));
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn get(&self, key: &str, notes: &Notes) -> Option<(usize, &'a DeValue<'a>)> {
        let (name, value) = self.table.get_key_value(key)?;
        Some((notes.line_of(name.span().start), value.get_ref()))
    }

    /// The line of a key, or the section's where it is missing.
    pub(super) fn line_of(&self, key: &str, notes: &Notes) -> usize {
        self.get(key, notes).map_or(self.line, |(line, _)| line)
    }

    /// The kind of value that a key has (`string`, `table`, …).
    pub(super) fn kind_of(&self, key: &str) -> Option<&'static str> {
        self.table.get(key).map(|value| value.get_ref().type_str())
    }

    /// A line of text; nothing where the key is missing or faulty.
    pub(super) fn text(&self, key: &str, max: usize, notes: &mut Notes) -> Option<At<String>> {
        let (line, value) = self.get(key, notes)?;
        let owner = format!("`{key}` of {}", self.name);
        checked_text(value, max, line, &owner, notes).map(|value| At { line, value })
    }

    /// The same, and a fault where the key is missing. `remedy` says what to write.
    pub(super) fn required_text(
        &self,
        key: &str,
        max: usize,
        remedy: &str,
        notes: &mut Notes,
    ) -> Option<At<String>> {
        if !self.has(key) {
            notes.fault(self.line, format!("{} has no `{key}`; {remedy}", self.name));
        }
        self.text(key, max, notes)
    }

    /// An id; nothing where the key is missing or faulty.
    pub(super) fn id<T>(&self, key: &str, notes: &mut Notes) -> Option<At<T>>
    where
        T: TryFrom<String>,
        T::Error: Display,
    {
        let At { line, value } = self.text(key, TEXT_MAX, notes)?;
        checked_id(value, line, &format!("`{key}` of {}", self.name), notes).map(|value| At { line, value })
    }

    /// `true` or `false`; `false` where the key is missing or faulty.
    pub(super) fn flag(&self, key: &str, notes: &mut Notes) -> bool {
        let Some((line, value)) = self.get(key, notes) else { return false };
        value.as_bool().unwrap_or_else(|| {
            notes.fault(line, format!("`{key}` of {} must be true or false, without quotes", self.name));
            false
        })
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number(&self, key: &str, min: u32, max: u32, notes: &mut Notes) -> Option<u32> {
        let (line, value) = self.get(key, notes)?;
        let number = value
            .as_integer()
            .and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok())
            .filter(|n| (min..=max).contains(n));
        if number.is_none() {
            notes.fault(
                line,
                format!(
                    "`{key}` of {} must be a whole number from {min} to {max}, without quotes",
                    self.name
                ),
            );
        }
        number
    }

    /// A duration in seconds from `min` to `max`.
    pub(super) fn duration(&self, key: &str, min: u32, max: u32, notes: &mut Notes) -> Option<At<u32>> {
        let (line, value) = self.get(key, notes)?;
        checked_duration(value, min, max, line, &format!("`{key}` of {}", self.name), notes)
            .map(|value| At { line, value })
    }

    /// A list of durations; nothing where the key is missing or faulty.
    pub(super) fn durations(&self, key: &str, min: u32, max: u32, notes: &mut Notes) -> Option<Vec<At<u32>>> {
        let owner = format!("an entry of `{key}` of {}", self.name);
        self.list(key, notes, |line, value, notes| {
            checked_duration(value, min, max, line, &owner, notes).map(|value| At { line, value })
        })
    }

    /// A list of texts, without the faulty ones; nothing where the key is missing or not a list.
    pub(super) fn texts(&self, key: &str, max: usize, notes: &mut Notes) -> Option<Vec<At<String>>> {
        let owner = format!("an entry of `{key}` of {}", self.name);
        self.list(key, notes, |line, value, notes| {
            checked_text(value, max, line, &owner, notes).map(|value| At { line, value })
        })
    }

    /// A list of ids, without the faulty ones; nothing where the key is missing or not a list.
    pub(super) fn ids<T>(&self, key: &str, notes: &mut Notes) -> Option<Vec<At<T>>>
    where
        T: TryFrom<String>,
        T::Error: Display,
    {
        let owner = format!("an entry of `{key}` of {}", self.name);
        let texts = self.texts(key, TEXT_MAX, notes)?;
        Some(
            texts
                .into_iter()
                .filter_map(|At { line, value }| {
                    checked_id(value, line, &owner, notes).map(|value| At { line, value })
                })
                .collect(),
        )
    }

    fn list<T>(
        &self,
        key: &str,
        notes: &mut Notes,
        mut entry: impl FnMut(usize, &'a DeValue<'a>, &mut Notes) -> Option<T>,
    ) -> Option<Vec<T>> {
        let (line, value) = self.get(key, notes)?;
        let Some(array) = value.as_array() else {
            notes.fault(line, format!("`{key}` of {} must be a list: [\"…\", \"…\"]", self.name));
            return None;
        };
        let mut found = Vec::new();
        for value in array.iter() {
            let line = notes.line_of(value.span().start);
            found.extend(entry(line, value.get_ref(), notes));
        }
        Some(found)
    }

    /// Every key, for tables whose keys are names.
    pub(super) fn keys(&self) -> Vec<String> {
        self.table.keys().map(|key| key.get_ref().to_string()).collect()
    }

    /// A table inside this one.
    pub(super) fn table(&self, key: &str, notes: &mut Notes) -> Option<Section<'a>> {
        let (line, value) = self.get(key, notes)?;
        let name = if self.line == 0 { format!("[{key}]") } else { format!("`{key}` of {}", self.name) };
        match value {
            DeValue::Table(table) => Some(Section { name, line, table }),
            _ => {
                notes.fault(line, format!("{name} must be a table: {{ key = value, … }}"));
                None
            }
        }
    }

    /// The tables of a list (`[[customer]]`), each named by its id once that is known.
    pub(super) fn tables(&self, key: &str, notes: &mut Notes) -> Vec<Section<'a>> {
        let Some((line, value)) = self.get(key, notes) else { return Vec::new() };
        let not_a_list =
            || format!("`{key}` must be written as a list of tables, each under its own [[{key}]]");
        let Some(array) = value.as_array() else {
            notes.fault(line, not_a_list());
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in array.iter() {
            let line = notes.line_of(value.span().start);
            let DeValue::Table(table) = value.get_ref() else {
                notes.fault(line, not_a_list());
                continue;
            };
            let id = table.get("id").and_then(|id| id.get_ref().as_str());
            let name = match id.and_then(|id| text::line(id, TEXT_MAX).ok()) {
                Some(id) => format!("{key} \"{id}\""),
                None => format!("[[{key}]]"),
            };
            sections.push(Section { name, line, table });
        }
        sections
    }

    /// The tables of a list inside this one: `grant = [{ … }, { … }]`.
    pub(super) fn tables_in(&self, key: &str, notes: &mut Notes) -> Vec<Section<'a>> {
        let Some((line, value)) = self.get(key, notes) else { return Vec::new() };
        let remedy = format!("`{key}` of {} must be a list of tables: [{{ key = value, … }}, … ]", self.name);
        let name = format!("an entry of `{key}` of {}", self.name);
        let Some(array) = value.as_array() else {
            notes.fault(line, remedy);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in array.iter() {
            let line = notes.line_of(value.span().start);
            match value.get_ref() {
                DeValue::Table(table) => sections.push(Section { name: name.clone(), line, table }),
                _ => notes.fault(line, remedy.clone()),
            }
        }
        sections
    }

    /// Every key with its line and value, for tables whose keys are names (`accounts`).
    pub(super) fn entries(&self, max: usize, notes: &mut Notes) -> Vec<(At<String>, String)> {
        let mut found = Vec::new();
        for (key, value) in self.table {
            let line = notes.line_of(key.span().start);
            let owner = format!("an entry of {}", self.name);
            if let Some(value) = checked_text(value.get_ref(), max, line, &owner, notes) {
                found.push((At { line, value: key.get_ref().to_string() }, value));
            }
        }
        found
    }
}

fn checked_text(
    value: &DeValue<'_>,
    max: usize,
    line: usize,
    owner: &str,
    notes: &mut Notes,
) -> Option<String> {
    let Some(found) = value.as_str() else {
        notes.fault(line, format!("{owner} must be text in quotes"));
        return None;
    };
    match text::line(found, max) {
        Ok(found) => Some(found),
        Err(bad) => {
            notes.fault(line, format!("{owner} {bad}"));
            None
        }
    }
}

fn checked_id<T>(value: String, line: usize, owner: &str, notes: &mut Notes) -> Option<T>
where
    T: TryFrom<String>,
    T::Error: Display,
{
    match T::try_from(value) {
        Ok(id) => Some(id),
        Err(bad) => {
            notes.fault(line, format!("{owner} is {bad}"));
            None
        }
    }
}

fn checked_duration(
    value: &DeValue<'_>,
    min: u32,
    max: u32,
    line: usize,
    owner: &str,
    notes: &mut Notes,
) -> Option<u32> {
    let Some(seconds) = value.as_str().and_then(duration::parse) else {
        notes.fault(
            line,
            format!("{owner} must be a duration in quotes, such as \"90s\", \"30m\", \"1h\" or \"4h30m\""),
        );
        return None;
    };
    if !(min..=max).contains(&seconds) {
        let (min, max) = (duration::show(min), duration::show(max));
        notes.fault(line, format!("{owner} must be between {min} and {max}"));
        return None;
    }
    Some(seconds)
}

/// The one of `known` that was probably meant: at most two letters off, and fewer than half of them.
pub(super) fn likely<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let folded = written.to_lowercase().replace('-', "_");
    known
        .map(|k| (distance(&folded, &k.replace('-', "_")), k))
        .filter(|(distance, k)| *distance <= 2 && *distance * 2 < k.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

/// Edits between two words: a letter put in, left out, replaced, or two neighbours swapped.
/// Words that differ by more than two in length are simply far apart.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX / 4;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 4);
            let mut best =
                (cell(&last, j) + usize::from(x != y)).min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

/// `a, b and c`.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<String> = items.into_iter().collect();
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}
