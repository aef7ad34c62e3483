//! JSON text with the lines that its values stand on, for whoever has to mend it. What the product reads rules with
//! (`ticketgate_protocol::tree`) knows no lines.

use std::borrow::Cow;

use ticketgate_protocol::tree::Json;

use super::Flaw;

/// How deep values may stand in each other; a rule has five levels.
const DEPTH_MAX: u32 = 32;

/// A value and its line.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) line: u32,
    pub(super) what: What<'t>,
}

#[derive(Debug)]
pub(super) enum What<'t> {
    /// A text, number or word, as it stands.
    Plain(&'t str),
    List(Vec<Node<'t>>),
    /// Names, each with its line, and values.
    Map(Vec<(u32, String, Node<'t>)>),
}

impl<'t> Node<'t> {
    /// Reads a whole text.
    pub(super) fn read(text: &'t str) -> Result<Self, Flaw> {
        let mut reader = Reader { rest: text, line: 1 };
        let node = reader.value(0)?;
        match reader.next() {
            None => Ok(node),
            Some(_) => Err(reader.flaw("nothing may follow the closing brace of the rule")),
        }
    }

    /// What a text says.
    pub(super) fn text(&self) -> Option<String> {
        match self.what {
            What::Plain(plain) if plain.starts_with('"') => unquoted(plain),
            _ => None,
        }
    }

    /// The line of a value that is named by its way from here (`number/2/take`), or of what comes nearest to it.
    pub(super) fn line_at(&self, way: &str) -> u32 {
        let mut node = self;
        for step in way.split('/') {
            let next = match &node.what {
                What::Plain(_) => None,
                What::List(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
                What::Map(members) => {
                    members.iter().rev().find(|(_, name, _)| name == step).map(|(_, _, value)| value)
                }
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.line
    }
}

fn unquoted(text: &str) -> Option<String> {
    let json = Json::read(text).ok()?;
    json.value().as_text().map(Cow::into_owned)
}

struct Reader<'t> {
    rest: &'t str,
    line: u32,
}

impl<'t> Reader<'t> {
    fn flaw(&self, what: &str) -> Flaw {
        Flaw { line: self.line, text: format!("this is not JSON: {what}") }
    }

    /// The next character that is no white space. It stays at hand.
    fn next(&mut self) -> Option<char> {
        let trimmed = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let passed = self.rest.len() - trimmed.len();
        let lines = self.rest.bytes().take(passed).filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = trimmed;
        trimmed.chars().next()
    }

    /// The next `length` bytes, which are passed.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn value(&mut self, depth: u32) -> Result<Node<'t>, Flaw> {
        if depth > DEPTH_MAX {
            return Err(self.flaw("too many brackets stand in each other"));
        }
        let first = self.next();
        let line = self.line;
        let what = match first {
            None => return Err(self.flaw("the text ends where a value is expected")),
            Some('{') => What::Map(self.members(depth)?),
            Some('[') => What::List(self.items(depth)?),
            Some('"') => What::Plain(self.string()?),
            Some(_) => {
                let length = self.rest.find([',', '}', ']', ':', '"', ' ', '\t', '\r', '\n']);
                let word = self.take(length.unwrap_or(self.rest.len()));
                if word.is_empty() || Json::read(word).is_err() {
                    return Err(Flaw {
                        line,
                        text: "this is not JSON: a value is expected here (a text stands in double quotes)"
                            .into(),
                    });
                }
                What::Plain(word)
            }
        };
        Ok(Node { line, what })
    }

    fn string(&mut self) -> Result<&'t str, Flaw> {
        let mut escaped = false;
        for (at, byte) in self.rest.bytes().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let text = self.take(at + 1);
                    return match Json::read(text) {
                        Ok(_) => Ok(text),
                        Err(_) => {
                            Err(self
                                .flaw("a text with an unknown escape; a backslash itself is written \\\\"))
                        }
                    };
                }
                b'\n' => break,
                _ => {}
            }
        }
        Err(self.flaw("a text without its closing quote"))
    }

    /// Passes a comma and says whether more follows it, or passes the closing bracket.
    fn goes_on(&mut self, close: char) -> Result<bool, Flaw> {
        match self.next() {
            Some(',') => {
                self.take(1);
                if self.next() == Some(close) {
                    return Err(self.flaw("a comma too many in front of the closing bracket"));
                }
                Ok(true)
            }
            Some(c) if c == close => {
                self.take(1);
                Ok(false)
            }
            _ => Err(self.flaw(&format!("a comma or `{close}` is missing in front of this"))),
        }
    }

    fn items(&mut self, depth: u32) -> Result<Vec<Node<'t>>, Flaw> {
        let mut items = Vec::new();
        self.take(1);
        if self.next() == Some(']') {
            self.take(1);
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.goes_on(']')? {
                return Ok(items);
            }
        }
    }

    fn members(&mut self, depth: u32) -> Result<Vec<(u32, String, Node<'t>)>, Flaw> {
        let mut members = Vec::new();
        self.take(1);
        if self.next() == Some('}') {
            self.take(1);
            return Ok(members);
        }
        loop {
            if self.next() != Some('"') {
                return Err(self.flaw("a member's name in double quotes is expected here"));
            }
            let line = self.line;
            let name = unquoted(self.string()?).unwrap_or_default();
            if self.next() != Some(':') {
                return Err(self.flaw(&format!("a colon is missing behind \"{name}\"")));
            }
            self.take(1);
            members.push((line, name, self.value(depth + 1)?));
            if !self.goes_on('}')? {
                return Ok(members);
            }
        }
    }
}
