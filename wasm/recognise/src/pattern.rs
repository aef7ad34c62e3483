//! The patterns of rules: a small part of the usual regular expressions, and `{number}`, which stands for the ticket's
//! number. What matches, and what the groups hold, is what `regex-lite` says (tests hold them together); time is linear
//! in text and pattern whatever the text is, because no fork is taken twice at one place.
//!
//! Own code because `regex-lite`, small as it is, knows far more than rules need: it was a seventh of the whole core, and
//! a pattern with `{number}` had to be compiled anew for every ticket.

mod parse;
mod search;

use std::borrow::Cow;
use std::fmt;

use ticketgate_protocol::tree::{Faults, FromJson, Value};

pub(super) use search::{Groups, How};

/// Why a pattern was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadPattern(&'static str);

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A pattern: literals, `.`, classes, groups (plain, `?:`, named), alternatives, repetitions (also lazy), `^`, `$`, `\b`,
/// `\d \w \s` (ASCII) and their opposites, and `(?i)` or `(?s)` in front of all.
#[derive(Debug)]
pub(super) struct Pattern {
    program: Result<Program, BadPattern>,
}

/// What a pattern is compiled to.
#[derive(Debug, Default)]
struct Program {
    steps: Vec<Step>,
    classes: Vec<Class>,
    /// How many groups there are, the whole match included; at most [`GROUPS_MAX`].
    groups: usize,
    /// How many forks.
    forks: usize,
    names: Vec<(String, usize)>,
    any_case: bool,
    dot_all: bool,
    asks_number: bool,
}

/// One step; all but [`Step::Fork`] and [`Step::Jump`] go on to the next one.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// This character.
    Char(char),
    /// One of a class.
    Class(usize),
    /// Any character.
    Any,
    /// The ticket's number.
    Number,
    /// The text's begin.
    Begin,
    /// The text's end.
    End,
    /// A place between a word and no word, or no such place.
    Edge(bool),
    /// Goes on at the first place, or, if that comes to nothing, at the second.
    Fork { first: usize, second: usize, number: usize },
    /// Goes on elsewhere.
    Jump(usize),
    /// A group begins or ends here.
    Mark(usize),
    /// All matched.
    Done,
}

/// The most groups of a pattern, the whole match included.
const GROUPS_MAX: usize = 8;

/// A set of characters.
#[derive(Debug, Default)]
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Pattern {
    /// Compiles a pattern; one that is at fault never matches.
    pub(super) fn new(text: &str) -> Self {
        Self { program: parse::program(text) }
    }

    /// What is wrong with the pattern, if anything is.
    pub(super) fn fault(&self) -> Option<BadPattern> {
        self.program.as_ref().err().copied()
    }

    /// The first match.
    pub(super) fn find<'t>(&self, text: &'t str, how: How<'_>) -> Option<Groups<'t>> {
        search::find(self.program.as_ref().ok()?, text, how)
    }

    /// The groups that have names.
    pub(super) fn names(&self) -> &[(String, usize)] {
        self.program.as_ref().map_or(&[], |program| &program.names)
    }
}

impl FromJson for Pattern {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        let text = value.and_then(Value::as_text).unwrap_or_else(|| {
            faults.expected("a pattern was expected");
            Cow::default()
        });
        Self::new(&text)
    }
}

#[cfg(test)]
mod tests;
