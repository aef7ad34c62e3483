//! The patterns of rules: a small part of the usual regular expressions, and `{number}`, which stands for the ticket's
//! number. Here they are compiled; `ticketgate-recognise` looks for matches.
//!
//! Own code because `regex-lite`, small as it is, knows far more than rules need: it was a seventh of the whole core, and
//! a pattern with `{number}` had to be compiled anew for every ticket.

mod parse;

use std::borrow::Cow;
use std::fmt;

use ticketgate_protocol::tree::{Faults, FromJson, Value};

/// Why a pattern was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPattern(&'static str);

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A pattern: literals, `.`, classes, groups (plain, `?:`, named), alternatives, repetitions (also lazy), `^`, `$`, `\b`,
/// `\d \w \s` (ASCII) and their opposites, and `(?i)` or `(?s)` in front of all.
#[derive(Debug)]
pub struct Pattern {
    program: Result<Program, BadPattern>,
}

/// What a pattern is compiled to.
#[derive(Debug, Default)]
pub struct Program {
    /// Where it begins is the first.
    pub steps: Vec<Step>,
    /// What [`Step::Class`] names.
    pub classes: Vec<Class>,
    /// How many groups there are, the whole match included; at most [`GROUPS_MAX`].
    pub groups: usize,
    /// How many forks and runs.
    pub forks: usize,
    /// Groups with names.
    pub names: Vec<(String, usize)>,
    /// ASCII letters count without their case.
    pub any_case: bool,
    /// A dot is any character, the end of a line included.
    pub dot_all: bool,
    /// It matches nothing without the ticket's number.
    pub asks_number: bool,
}

/// One step; all but [`Step::Fork`] and [`Step::Jump`] go on to the next one.
#[derive(Debug, Clone, Copy)]
pub enum Step {
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
    Fork {
        /// Tried first.
        first: usize,
        /// Tried then.
        second: usize,
        /// Its place among the forks.
        number: usize,
    },
    /// The next step, which takes one character, as often as there is something to take; then goes on behind it. What comes
    /// after is tried at every place on the way.
    Run {
        /// At the last place first.
        greedy: bool,
        /// Its place among the forks.
        number: usize,
    },
    /// Goes on elsewhere.
    Jump(usize),
    /// A group begins or ends here.
    Mark(usize),
    /// All matched.
    Done,
}

/// The most groups of a pattern, the whole match included.
pub const GROUPS_MAX: usize = 8;

/// A set of characters.
#[derive(Debug, Default)]
pub struct Class {
    /// A bit for each ASCII character in one of the ranges.
    pub ascii: [u32; 4],
    /// First and last character of each.
    pub ranges: Vec<(char, char)>,
    /// All characters but these.
    pub negated: bool,
}

impl Pattern {
    /// Compiles a pattern; one that is at fault never matches.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { program: parse::program(text) }
    }

    /// What is wrong with the pattern, if anything is.
    #[must_use]
    pub fn fault(&self) -> Option<BadPattern> {
        self.program.as_ref().err().copied()
    }

    /// What it is compiled to; nothing where it is at fault.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref().ok()
    }

    /// The groups that have names.
    #[must_use]
    pub fn names(&self) -> &[(String, usize)] {
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
