//! Finding a program's first match: what comes first in the pattern is tried first, and no step twice at one place.

use super::{Class, Program, Step};

/// How a pattern is held against a text.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::recognise) struct How<'a> {
    /// It has to match the whole text.
    pub(in crate::recognise) whole: bool,
    /// ASCII letters count without their case.
    pub(in crate::recognise) any_case: bool,
    /// The ticket's number; a pattern that asks for it never matches without.
    pub(in crate::recognise) number: Option<&'a str>,
}

/// What the groups of a match hold.
#[derive(Debug)]
pub(in crate::recognise) struct Groups<'t> {
    text: &'t str,
    marks: Vec<Option<usize>>,
}

impl<'t> Groups<'t> {
    /// What a group holds; nothing where it took no part. 0 is the whole match.
    pub(in crate::recognise) fn get(&self, group: usize) -> Option<&'t str> {
        let mark = |at: usize| self.marks.get(at).copied().flatten();
        self.text.get(mark(group * 2)?..mark(group * 2 + 1)?)
    }

    /// The first group that took part, or else the whole match.
    pub(in crate::recognise) fn first(&self) -> Option<&'t str> {
        (1..self.marks.len() / 2).find_map(|group| self.get(group)).or_else(|| self.get(0))
    }
}

/// What is still to be tried.
enum Todo {
    /// From this step at this place.
    Try(usize, usize),
    /// A mark as it was before what was tried last.
    Restore(usize, Option<usize>),
}

/// The first match.
pub(super) fn find<'t>(program: &Program, text: &'t str, how: How<'_>) -> Option<Groups<'t>> {
    if program.asks_number && how.number.is_none() {
        return None;
    }
    let size = program.steps.len() * (text.len() + 1);
    let mut search = Search {
        program,
        text,
        how: How { any_case: how.any_case || program.any_case, ..how },
        tried: vec![0; size.div_ceil(32)],
        marks: vec![None; program.groups * 2],
        todo: Vec::new(),
    };
    let mut start = 0;
    while !search.from(start) {
        start += text.get(start..)?.chars().next()?.len_utf8();
        if how.whole {
            return None;
        }
    }
    Some(Groups { text, marks: search.marks })
}

struct Search<'p, 't> {
    program: &'p Program,
    text: &'t str,
    how: How<'p>,
    /// A bit for each step and place.
    tried: Vec<u32>,
    marks: Vec<Option<usize>>,
    todo: Vec<Todo>,
}

impl Search<'_, '_> {
    fn from(&mut self, start: usize) -> bool {
        self.todo.push(Todo::Try(0, start));
        while let Some(todo) = self.todo.pop() {
            match todo {
                Todo::Restore(mark, before) => self.set(mark, before),
                Todo::Try(step, at) => {
                    if self.run(step, at) {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn set(&mut self, mark: usize, to: Option<usize>) {
        if let Some(place) = self.marks.get_mut(mark) {
            *place = to;
        }
    }

    fn is_new(&mut self, step: usize, at: usize) -> bool {
        let bit = step * (self.text.len() + 1) + at;
        let Some(word) = self.tried.get_mut(bit / 32) else { return false };
        let is_new = *word & 1 << (bit % 32) == 0;
        *word |= 1 << (bit % 32);
        is_new
    }

    fn run(&mut self, mut step: usize, mut at: usize) -> bool {
        loop {
            if !self.is_new(step, at) {
                return false;
            }
            let Some(now) = self.program.steps.get(step).copied() else { return false };
            step += 1;
            let rest = self.text.get(at..).unwrap_or_default();
            let goes_on = match now {
                Step::Char(wanted) => self.takes(rest, &mut at, |c| c == wanted),
                Step::Class(class) => match self.program.classes.get(class) {
                    Some(class) if class.negated => {
                        !self.takes(rest, &mut at, |c| class.holds(c)) && !rest.is_empty()
                    }
                    Some(class) => self.takes(rest, &mut at, |c| class.holds(c)),
                    None => false,
                },
                Step::Any => self.takes(rest, &mut at, |c| c != '\n' || self.program.dot_all),
                Step::Number => self.takes_number(rest, &mut at),
                Step::Begin => at == 0,
                Step::End => rest.is_empty(),
                Step::Edge(wanted) => self.is_edge(at) == wanted,
                Step::Jump(to) => {
                    step = to;
                    true
                }
                Step::Fork(first, second) => {
                    if self.may_go_on(first, rest) {
                        if self.may_go_on(second, rest) {
                            self.todo.push(Todo::Try(second, at));
                        }
                        step = first;
                    } else {
                        step = second;
                    }
                    true
                }
                Step::Mark(mark) => {
                    let before = self.marks.get(mark).copied().flatten();
                    self.todo.push(Todo::Restore(mark, before));
                    self.set(mark, Some(at));
                    true
                }
                Step::Done => return !self.how.whole || rest.is_empty(),
            };
            if !goes_on {
                return false;
            }
        }
    }

    /// Whether a step does not fail at once: what would only be tried to fail is most of what there is to try.
    fn may_go_on(&self, step: usize, rest: &str) -> bool {
        match self.program.steps.get(step) {
            Some(Step::Char(wanted)) if !self.how.any_case => rest.starts_with(*wanted),
            _ => true,
        }
    }

    fn takes(&self, rest: &str, at: &mut usize, fits: impl Fn(char) -> bool) -> bool {
        let Some(c) = rest.chars().next() else { return false };
        *at += c.len_utf8();
        fits(c) || (self.how.any_case && (fits(c.to_ascii_lowercase()) || fits(c.to_ascii_uppercase())))
    }

    fn takes_number(&self, rest: &str, at: &mut usize) -> bool {
        let Some(number) = self.how.number else { return false };
        *at += number.len();
        rest.get(..number.len()).is_some_and(|head| {
            if self.how.any_case { head.eq_ignore_ascii_case(number) } else { head == number }
        })
    }

    fn is_edge(&self, at: usize) -> bool {
        let is_word =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let bytes = self.text.as_bytes();
        is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) != is_word(bytes.get(at))
    }
}

impl Class {
    fn holds(&self, c: char) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
    }
}
