//! Selectors from text. What is not understood is named, with the place where it stands.

use super::{Between, Complex, NOT_UNDERSTOOD, Selectors, Simple, Test};

impl Selectors {
    /// Compiles a list.
    ///
    /// # Errors
    /// What cannot be read, for a person.
    pub(in super::super) fn new(text: &str) -> Result<Self, String> {
        let mut parse = Parse { rest: text, depth: 0 };
        let list = parse.list()?;
        if parse.rest.is_empty() { Ok(list) } else { Err(parse.fault("the end was expected")) }
    }
}

struct Parse<'a> {
    rest: &'a str,
    depth: usize,
}

/// Makes a test of an attribute's value out of what it is held to.
type MakeTest = fn(String) -> Test;

/// Parentheses inside parentheses.
const DEPTH_MAX: usize = 16;

impl Parse<'_> {
    fn fault(&self, what: &str) -> String {
        let rest: String = self.rest.chars().take(30).collect();
        format!("selector: {what} at {rest:?}")
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Skips white space; whether there was any.
    fn space(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let was = rest.len() < self.rest.len();
        self.rest = rest;
        was
    }

    fn list(&mut self) -> Result<Selectors, String> {
        let mut list = Vec::new();
        loop {
            self.space();
            list.push(self.complex()?);
            self.space();
            if !self.take(",") {
                return Ok(Selectors(list));
            }
        }
    }

    fn relative(&mut self) -> Result<Vec<(Between, Complex)>, String> {
        let mut list = Vec::new();
        loop {
            self.space();
            let between = self.combinator().unwrap_or(Between::Descendant);
            self.space();
            list.push((between, self.complex()?));
            self.space();
            if !self.take(",") {
                return Ok(list);
            }
        }
    }

    fn combinator(&mut self) -> Option<Between> {
        let all = [(">", Between::Child), ("+", Between::Next), ("~", Between::Later)];
        all.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, between)| between)
    }

    fn complex(&mut self) -> Result<Complex, String> {
        let mut subject = self.compound()?;
        let mut rest = Vec::new();
        loop {
            let spaced = self.space();
            let between = match self.combinator() {
                Some(between) => between,
                None if spaced && !matches!(self.peek(), None | Some(',' | ')')) => Between::Descendant,
                None => {
                    rest.reverse();
                    return Ok(Complex { subject, rest });
                }
            };
            self.space();
            let outer = std::mem::replace(&mut subject, self.compound()?);
            rest.push((between, outer));
        }
    }

    fn compound(&mut self) -> Result<Vec<Simple>, String> {
        let mut all = Vec::new();
        loop {
            let simple = match self.peek() {
                Some('*') if self.take("*") => Simple::Any,
                Some('#') if self.take("#") => Simple::Id(self.name()?),
                Some('.') if self.take(".") => Simple::Class(self.name()?),
                Some('[') if self.take("[") => self.attribute()?,
                Some(':') if self.take(":") => self.pseudo()?,
                Some(c) if all.is_empty() && (is_name(c) || c == '\\') => Simple::Type(self.name()?),
                _ if all.is_empty() => return Err(self.fault("a selector was expected")),
                _ => return Ok(all),
            };
            all.push(simple);
        }
    }

    fn name(&mut self) -> Result<String, String> {
        // A digit begins no name, unless it is escaped.
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(self.fault("a name was expected"));
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                self.rest = self.rest.get(1..).unwrap_or_default();
                name.push(self.escaped()?);
            } else if is_name(c) {
                name.push(c);
                self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
            } else {
                break;
            }
        }
        if name.is_empty() { Err(self.fault("a name was expected")) } else { Ok(name) }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let digits = self.rest.bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if let Some(hex) = self.rest.get(..digits).filter(|_| digits > 0) {
            let c = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            self.rest = self.rest.get(digits..).unwrap_or_default();
            self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
            return Ok(c);
        }
        let c = self.peek().ok_or_else(|| self.fault("a character was expected"))?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Ok(c)
    }

    fn attribute(&mut self) -> Result<Simple, String> {
        self.space();
        let name = self.name()?;
        self.space();
        let signs: [(&str, MakeTest); 6] = [
            ("~=", Test::Word),
            ("|=", Test::Lang),
            ("^=", Test::Begins),
            ("$=", Test::Ends),
            ("*=", Test::Holds),
            ("=", Test::Equals),
        ];
        let test = match signs.into_iter().find(|(sign, _)| self.take(sign)) {
            None => Test::There,
            Some((_, test)) => {
                self.space();
                test(self.value()?)
            }
        };
        self.space();
        let any_case = self.take("i") || self.take("I");
        if !any_case {
            let _ = self.take("s");
        }
        self.space();
        if self.take("]") {
            Ok(Simple::Attribute { name, test, any_case })
        } else {
            Err(self.fault("] was expected"))
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let Some(quote) = self.peek().filter(|c| matches!(c, '"' | '\'')) else { return self.name() };
        self.rest = self.rest.get(1..).unwrap_or_default();
        let mut value = String::new();
        loop {
            let c = self.peek().ok_or_else(|| self.fault("the quotes are not closed"))?;
            self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
            match c {
                '\\' => value.push(self.escaped()?),
                c if c == quote => return Ok(value),
                c => value.push(c),
            }
        }
    }

    fn pseudo(&mut self) -> Result<Simple, String> {
        let name = self.name()?.to_ascii_lowercase();
        let nth = |from_end, of_type| Ok(Simple::Nth { step: 0, first: 1, from_end, of_type });
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(self.fault("fewer parentheses were expected"));
            }
            let simple = match name.as_str() {
                "is" | "where" => Simple::Is(self.list()?),
                "not" => Simple::Not(self.list()?),
                "has" => Simple::Has(self.relative()?),
                "nth-child" => self.nth(false, false)?,
                "nth-last-child" => self.nth(true, false)?,
                "nth-of-type" => self.nth(false, true)?,
                "nth-last-of-type" => self.nth(true, true)?,
                _ => return Err(format!("selector: :{name}() {NOT_UNDERSTOOD}")),
            };
            self.depth -= 1;
            self.space();
            return if self.take(")") { Ok(simple) } else { Err(self.fault(") was expected")) };
        }
        match name.as_str() {
            "scope" => Ok(Simple::Scope),
            "root" => Ok(Simple::Root),
            "empty" => Ok(Simple::Empty),
            "checked" => Ok(Simple::Checked),
            "disabled" => Ok(Simple::Disabled(true)),
            "enabled" => Ok(Simple::Disabled(false)),
            "first-child" => nth(false, false),
            "last-child" => nth(true, false),
            "first-of-type" => nth(false, true),
            "last-of-type" => nth(true, true),
            _ => Err(format!("selector: :{name} {NOT_UNDERSTOOD}")),
        }
    }

    /// `3`, `odd`, `even`, `2n+1`.
    fn nth(&mut self, from_end: bool, of_type: bool) -> Result<Simple, String> {
        let end = self.rest.find(')').unwrap_or(self.rest.len());
        let written: String =
            self.rest.get(..end).unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
        let written = written.to_ascii_lowercase();
        let number = |text: &str| text.strip_prefix('+').unwrap_or(text).parse::<i32>().ok().map(i64::from);
        let read = match (written.as_str(), written.split_once('n')) {
            ("odd", _) => Some((2, 1)),
            ("even", _) => Some((2, 0)),
            (text, None) => number(text).map(|first| (0, first)),
            (_, Some((step, first))) => {
                let step = match step {
                    "" | "+" => Some(1),
                    "-" => Some(-1),
                    step => number(step),
                };
                step.zip(if first.is_empty() { Some(0) } else { number(first) })
            }
        };
        let (step, first) = read.ok_or_else(|| self.fault("a place such as 2n+1 was expected"))?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok(Simple::Nth { step, first, from_end, of_type })
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii()
}
