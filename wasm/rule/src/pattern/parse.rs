//! From a pattern's text to its program.

use super::{BadPattern, Class, GROUPS_MAX, Program, Step};

/// The most steps of a program. The longest of the built-in ones has a hundred.
const STEPS_MAX: usize = 2_000;
/// How deep groups may stand in each other.
const DEPTH_MAX: usize = 20;

type Parsed<T> = Result<T, BadPattern>;

enum Node {
    One(Step),
    Group(usize, Box<Node>),
    InTurn(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, least: u32, most: Option<u32>, greedy: bool },
}

impl Node {
    /// Whether it can match nothing at all.
    fn may_be_empty(&self) -> bool {
        match self {
            Self::One(step) => matches!(step, Step::Begin | Step::End | Step::Edge(_)),
            Self::Group(_, node) => node.may_be_empty(),
            Self::InTurn(nodes) => nodes.iter().all(Self::may_be_empty),
            Self::Either(nodes) => nodes.iter().any(Self::may_be_empty),
            Self::Repeat { node, least, .. } => *least == 0 || node.may_be_empty(),
        }
    }
}

/// Compiles a pattern.
pub(super) fn program(text: &str) -> Parsed<Program> {
    let mut parser = Parser { rest: text, depth: 0, program: Program { groups: 1, ..Program::default() } };
    while let Some(flags) = parser.rest.strip_prefix("(?").and_then(|rest| rest.split_once(')')) {
        match flags.0 {
            "i" => parser.program.any_case = true,
            "s" => parser.program.dot_all = true,
            _ => break,
        }
        parser.rest = flags.1;
    }
    let node = parser.alternatives()?;
    if !parser.rest.is_empty() {
        return Err(BadPattern("a closing parenthesis too many"));
    }
    let mut program = parser.program;
    emit(&mut program, &Node::Group(0, Box::new(node)))?;
    push(&mut program, Step::Done)?;
    Ok(program)
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
    program: Program,
}

impl Parser<'_> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn char(&mut self) -> Parsed<char> {
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or(BadPattern("the pattern ends too early"))?;
        self.rest = chars.as_str();
        Ok(c)
    }

    fn alternatives(&mut self) -> Parsed<Node> {
        let mut all = Vec::new();
        loop {
            let mut nodes = Vec::new();
            while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
                let node = self.atom()?;
                nodes.push(self.repeated(node)?);
            }
            all.push(Node::InTurn(nodes));
            if !self.eat("|") {
                return Ok(Node::Either(all));
            }
        }
    }

    fn atom(&mut self) -> Parsed<Node> {
        if self.eat("{number}") {
            self.program.asks_number = true;
            return Ok(Node::One(Step::Number));
        }
        Ok(match self.char()? {
            '(' => return self.group(),
            '[' => {
                let class = self.class()?;
                Node::One(self.known(class))
            }
            '\\' => match self.char()? {
                'b' => Node::One(Step::Edge(true)),
                'B' => Node::One(Step::Edge(false)),
                c => match named_class(c) {
                    Some(class) => Node::One(self.known(class)),
                    None => Node::One(Step::Char(plain(c)?)),
                },
            },
            '.' => Node::One(Step::Any),
            '^' => Node::One(Step::Begin),
            '$' => Node::One(Step::End),
            '*' | '+' | '?' | '{' => return Err(BadPattern("nothing that could be repeated")),
            c => Node::One(Step::Char(c)),
        })
    }

    fn known(&mut self, mut class: Class) -> Step {
        for (first, last) in &class.ranges {
            for c in (*first..=*last).take_while(char::is_ascii) {
                if let Some(word) = class.ascii.get_mut(c as usize / 32) {
                    *word |= 1 << (c as u32 % 32);
                }
            }
        }
        self.program.classes.push(class);
        Step::Class(self.program.classes.len() - 1)
    }

    fn group(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(BadPattern("groups stand too deep in each other"));
        }
        let number = if self.eat("?:") {
            None
        } else {
            let number = self.program.groups;
            if number >= GROUPS_MAX {
                return Err(BadPattern("more than seven groups"));
            }
            self.program.groups += 1;
            if self.eat("?<") {
                let (name, rest) =
                    self.rest.split_once('>').ok_or(BadPattern("a group's name has no end"))?;
                let is_known = self.program.names.iter().any(|(known, _)| known == name);
                if is_known || name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                    return Err(BadPattern("a group's name is of lower-case letters and its own"));
                }
                self.program.names.push((name.to_owned(), number));
                self.rest = rest;
            } else if self.rest.starts_with('?') {
                return Err(BadPattern("an unknown kind of group"));
            }
            Some(number)
        };
        let node = self.alternatives()?;
        if !self.eat(")") {
            return Err(BadPattern("a parenthesis is not closed"));
        }
        self.depth -= 1;
        Ok(match number {
            Some(number) => Node::Group(number, Box::new(node)),
            None => node,
        })
    }

    fn repeated(&mut self, node: Node) -> Parsed<Node> {
        let (least, most) = if self.eat("*") {
            (0, None)
        } else if self.eat("+") {
            (1, None)
        } else if self.eat("?") {
            (0, Some(1))
        } else if self.rest.starts_with('{') && !self.rest.starts_with("{number}") {
            self.counts()?
        } else {
            return Ok(node);
        };
        let greedy = !self.eat("?");
        // What is nothing could be repeated for ever; no rule means that.
        if node.may_be_empty() || self.rest.starts_with(['*', '+', '?']) {
            return Err(BadPattern("what may be nothing cannot be repeated"));
        }
        Ok(Node::Repeat { node: Box::new(node), least, most, greedy })
    }

    /// `{2}`, `{2,}`, `{2,5}`
    fn counts(&mut self) -> Parsed<(u32, Option<u32>)> {
        const BAD: BadPattern = BadPattern("braces hold how often something is repeated");
        let (counts, rest) = self.rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(BAD)?;
        self.rest = rest;
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|count| *count <= 1_000).ok_or(BAD);
        let (least, most) = match counts.split_once(',') {
            None => (number(counts)?, Some(number(counts)?)),
            Some((least, "")) => (number(least)?, None),
            Some((least, most)) => (number(least)?, Some(number(most)?)),
        };
        if most.is_some_and(|most| most < least) { Err(BAD) } else { Ok((least, most)) }
    }

    fn class(&mut self) -> Parsed<Class> {
        let mut class = Class { negated: self.eat("^"), ..Class::default() };
        loop {
            let first = match self.char()? {
                ']' if !class.ranges.is_empty() => return Ok(class),
                '[' | ']' => return Err(BadPattern("brackets inside of brackets need a backslash")),
                '\\' => {
                    let c = self.char()?;
                    if let Some(named) = named_class(c) {
                        if named.negated {
                            return Err(BadPattern("a negated class inside of another"));
                        }
                        class.ranges.extend(named.ranges);
                        continue;
                    }
                    plain(c)?
                }
                c => c,
            };
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            let last = if is_range {
                self.char()?;
                match self.char()? {
                    '\\' => {
                        let c = self.char()?;
                        plain(c)?
                    }
                    c => c,
                }
            } else {
                first
            };
            if first > last {
                return Err(BadPattern("a range ends before it begins"));
            }
            class.ranges.push((first, last));
        }
    }
}

/// What a backslash takes the meaning from.
fn plain(c: char) -> Parsed<char> {
    if c.is_ascii_punctuation() { Ok(c) } else { Err(BadPattern("an unknown escape")) }
}

fn named_class(c: char) -> Option<Class> {
    let ranges: &[(char, char)] = match c.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        's' => &[('\t', '\r'), (' ', ' ')],
        _ => return None,
    };
    Some(Class { ranges: ranges.to_vec(), negated: c.is_ascii_uppercase(), ..Class::default() })
}

fn push(program: &mut Program, step: Step) -> Parsed<usize> {
    if program.steps.len() >= STEPS_MAX {
        return Err(BadPattern("the pattern is too long"));
    }
    program.steps.push(step);
    Ok(program.steps.len() - 1)
}

fn set(program: &mut Program, at: usize, step: Step) {
    if let Some(place) = program.steps.get_mut(at) {
        *place = step;
    }
}

/// Puts a fork there that prefers to go on, or to leave.
fn set_fork(program: &mut Program, at: usize, away: usize, greedy: bool) {
    let (first, second) = if greedy { (at + 1, away) } else { (away, at + 1) };
    let number = program.forks;
    program.forks += 1;
    set(program, at, Step::Fork { first, second, number });
}

fn emit(program: &mut Program, node: &Node) -> Parsed<()> {
    match node {
        Node::One(step) => push(program, *step).map(drop),
        Node::Group(number, node) => {
            push(program, Step::Mark(number * 2))?;
            emit(program, node)?;
            push(program, Step::Mark(number * 2 + 1)).map(drop)
        }
        Node::InTurn(nodes) => nodes.iter().try_for_each(|node| emit(program, node)),
        Node::Either(nodes) => {
            let mut leaving = Vec::new();
            for (at, node) in nodes.iter().enumerate() {
                if at + 1 == nodes.len() {
                    emit(program, node)?;
                } else {
                    let choice = push(program, Step::Done)?;
                    emit(program, node)?;
                    leaving.push(push(program, Step::Done)?);
                    let next = program.steps.len();
                    set_fork(program, choice, next, true);
                }
            }
            let end = program.steps.len();
            leaving.into_iter().for_each(|at| set(program, at, Step::Jump(end)));
            Ok(())
        }
        Node::Repeat { node, least, most, greedy } => {
            (0..*least).try_for_each(|_| emit(program, node))?;
            if let (None, Node::One(step @ (Step::Char(_) | Step::Class(_) | Step::Any))) = (most, &**node) {
                let number = program.forks;
                program.forks += 1;
                push(program, Step::Run { greedy: *greedy, number })?;
                return push(program, *step).map(drop);
            }
            let Some(most) = most else {
                let choice = push(program, Step::Done)?;
                emit(program, node)?;
                let end = push(program, Step::Jump(choice))? + 1;
                set_fork(program, choice, end, *greedy);
                return Ok(());
            };
            let mut choices = Vec::new();
            for _ in *least..*most {
                choices.push(push(program, Step::Done)?);
                emit(program, node)?;
            }
            let end = program.steps.len();
            choices.into_iter().for_each(|at| set_fork(program, at, end, *greedy));
            Ok(())
        }
    }
}
