//! Finding a pattern's first match: what comes first in the pattern is tried first. What matches, and what the groups hold, is
//! what `regex-lite` says (tests hold them together); time is linear in text and pattern whatever the text is, because no fork
//! is taken twice at one place.

use ticketgate_rule::{Class, GROUPS_MAX, Pattern, Program, Step};

/// How a pattern is held against a text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How<'a> {
    /// It has to match the whole text.
    pub(crate) whole: bool,
    /// ASCII letters count without their case.
    pub(crate) any_case: bool,
    /// The ticket's number; a pattern that asks for it never matches without.
    pub(crate) number: Option<&'a str>,
}

/// Where groups begin and end: two marks for each; [`NOWHERE`] for one that took no part.
type Marks = [usize; GROUPS_MAX * 2];

const NOWHERE: usize = usize::MAX;

/// What the groups of a match hold.
#[derive(Debug)]
pub(crate) struct Groups<'t> {
    text: &'t str,
    marks: Marks,
}

impl<'t> Groups<'t> {
    /// What a group holds; nothing where it took no part. 0 is the whole match.
    pub(crate) fn get(&self, group: usize) -> Option<&'t str> {
        let mark = |at: usize| self.marks.get(at).copied();
        self.text.get(mark(group * 2)?..mark(group * 2 + 1)?)
    }

    /// The first group that took part, or else the whole match.
    pub(crate) fn first(&self) -> Option<&'t str> {
        (1..GROUPS_MAX).find_map(|group| self.get(group)).or_else(|| self.get(0))
    }
}

/// What is still to be tried.
enum Todo {
    /// From this step at this place.
    Try(usize, usize),
    /// A mark as it was before what was tried last.
    Restore(usize, usize),
}

/// The first match.
pub(crate) fn find<'t>(pattern: &Pattern, text: &'t str, how: How<'_>) -> Option<Groups<'t>> {
    let program = pattern.program()?;
    if program.asks_number && how.number.is_none() {
        return None;
    }
    let mut search = Search {
        program,
        text,
        how: How { any_case: how.any_case || program.any_case, ..how },
        tried: Vec::new(),
        marks: [NOWHERE; GROUPS_MAX * 2],
        todo: Vec::new(),
    };
    let only_here = how.whole || matches!(program.steps.get(1), Some(Step::Begin));
    let mut start = 0;
    while !(search.may_go_on(0, start) && search.from(start)) {
        let (_, next) = search.char_at(start)?;
        if only_here {
            return None;
        }
        start = next;
    }
    Some(Groups { text, marks: search.marks })
}

struct Search<'p, 't> {
    program: &'p Program,
    text: &'t str,
    how: How<'p>,
    /// A bit for each fork and place, made when the first fork is met.
    tried: Vec<u32>,
    marks: Marks,
    todo: Vec<Todo>,
}

impl Search<'_, '_> {
    fn from(&mut self, start: usize) -> bool {
        // An attempt before this one left what it had found.
        self.marks = [NOWHERE; GROUPS_MAX * 2];
        let mut next = Some(Todo::Try(0, start));
        while let Some(todo) = next {
            match todo {
                Todo::Restore(mark, before) => self.set(mark, before),
                Todo::Try(step, at) => {
                    if self.run(step, at) {
                        return true;
                    }
                }
            }
            next = self.todo.pop();
        }
        false
    }

    fn set(&mut self, mark: usize, to: usize) {
        if let Some(place) = self.marks.get_mut(mark) {
            *place = to;
        }
    }

    /// Between forks there is one way only, so that time is linear if none is taken twice.
    fn is_new(&mut self, fork: usize, at: usize) -> bool {
        let places = self.text.len() + 1;
        if self.tried.is_empty() {
            self.tried.resize((self.program.forks * places).div_ceil(32), 0);
        }
        let bit = fork * places + at;
        let Some(word) = self.tried.get_mut(bit / 32) else { return false };
        let is_new = *word & 1 << (bit % 32) == 0;
        *word |= 1 << (bit % 32);
        is_new
    }

    fn run(&mut self, mut step: usize, mut at: usize) -> bool {
        loop {
            let Some(now) = self.program.steps.get(step).copied() else { return false };
            step += 1;
            match now {
                Step::Jump(to) => step = to,
                Step::Fork { first, second, number } => {
                    if !self.is_new(number, at) {
                        return false;
                    }
                    let other = self.may_go_on(second, at);
                    step = second;
                    if self.may_go_on(first, at) {
                        step = first;
                        if other {
                            self.todo.push(Todo::Try(second, at));
                        }
                    } else if !other {
                        return false;
                    }
                }
                Step::Run { greedy, number } => {
                    self.spread(step, number, at, greedy);
                    return false;
                }
                Step::Mark(mark) => {
                    // Only another way leads back here.
                    if !self.todo.is_empty() {
                        let before = self.marks.get(mark).copied().unwrap_or(NOWHERE);
                        self.todo.push(Todo::Restore(mark, before));
                    }
                    self.set(mark, at);
                }
                Step::Done => return !self.how.whole || at == self.text.len(),
                now => match self.after(now, at) {
                    Some(next) => at = next,
                    None => return false,
                },
            }
        }
    }

    /// Tries what comes after a run at every place to which it leads.
    fn spread(&mut self, taken: usize, number: usize, mut at: usize, greedy: bool) {
        let Some(taken_step) = self.program.steps.get(taken).copied() else { return };
        let (next, before) = (taken + 1, self.todo.len());
        let looks = self.looks(next);
        // From a place that a run came to before, it came to all that follow.
        while self.is_new(number, at) {
            if looks.is_none_or(|step| self.after(step, at).is_some()) {
                self.todo.push(Todo::Try(next, at));
            }
            match self.after(taken_step, at) {
                Some(behind) => at = behind,
                None => break,
            }
        }
        if !greedy && let Some(places) = self.todo.get_mut(before..) {
            places.reverse();
        }
    }

    /// Whether a step does not fail at once: what would only be tried to fail is most of what there is to try.
    fn may_go_on(&self, step: usize, at: usize) -> bool {
        self.looks(step).is_none_or(|step| self.after(step, at).is_some())
    }

    /// The first step from here on that can fail by itself, if nothing branches before.
    fn looks(&self, mut step: usize) -> Option<Step> {
        loop {
            match self.program.steps.get(step).copied()? {
                Step::Mark(_) => step += 1,
                Step::Jump(to) => step = to,
                Step::Fork { .. } | Step::Run { .. } | Step::Done => return None,
                step => return Some(step),
            }
        }
    }

    /// Where a step that takes something, or looks, goes on; nowhere where it fails.
    fn after(&self, step: Step, at: usize) -> Option<usize> {
        let looks = |holds: bool| holds.then_some(at);
        match step {
            Step::Char(wanted) if wanted.is_ascii() && !self.how.any_case => {
                return (self.text.as_bytes().get(at).copied().map(char::from) == Some(wanted))
                    .then_some(at + 1);
            }
            Step::Begin => return looks(at == 0),
            Step::End => return looks(at == self.text.len()),
            Step::Edge(wanted) => return looks(self.is_edge(at) == wanted),
            Step::Number => {
                let number = self.how.number?;
                let head = self.text.get(at..at + number.len())?;
                let same = if self.how.any_case { head.eq_ignore_ascii_case(number) } else { head == number };
                return same.then_some(at + number.len());
            }
            _ => {}
        }
        let (c, next) = self.char_at(at)?;
        let fits = match step {
            Step::Char(wanted) => c == wanted || (self.how.any_case && c.eq_ignore_ascii_case(&wanted)),
            Step::Class(class) => self.is_in(self.program.classes.get(class)?, c),
            _ => c != '\n' || self.program.dot_all,
        };
        fits.then_some(next)
    }

    fn is_in(&self, class: &Class, c: char) -> bool {
        let in_any_case = || {
            self.how.any_case
                && (holds(class, c.to_ascii_lowercase()) || holds(class, c.to_ascii_uppercase()))
        };
        (holds(class, c) || in_any_case()) != class.negated
    }

    /// The character at a place, and the place behind it.
    fn char_at(&self, at: usize) -> Option<(char, usize)> {
        match self.text.as_bytes().get(at)? {
            byte @ 0..0x80 => Some((char::from(*byte), at + 1)),
            _ => {
                let c = self.text.get(at..)?.chars().next()?;
                Some((c, at + c.len_utf8()))
            }
        }
    }

    fn is_edge(&self, at: usize) -> bool {
        let is_word =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let bytes = self.text.as_bytes();
        is_word(at.checked_sub(1).and_then(|before| bytes.get(before))) != is_word(bytes.get(at))
    }
}

fn holds(class: &Class, c: char) -> bool {
    if c.is_ascii() {
        return class.ascii.get(c as usize / 32).is_some_and(|word| word & 1 << (c as u32 % 32) != 0);
    }
    class.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

#[cfg(test)]
mod tests;
