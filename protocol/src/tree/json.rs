//! Trees to and from JSON text (RFC 8259). Own code instead of `serde_json`, which reads and writes every number that
//! there can be, to the last digit, and explains every fault: with its tables a tenth of what the core may weigh. Tests
//! hold both to the same texts and the same values.

use std::borrow::Cow;

use super::Tree;

/// How deep lists and objects may stand in each other.
const DEPTH_MAX: u32 = 128;

/// Reads a whole text.
pub(super) fn read(text: &str) -> Option<Tree> {
    let mut reader = Reader { text, at: 0 };
    let tree = reader.value(0)?;
    (reader.next() == 0).then_some(tree)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// The byte at hand; 0, which is never part of JSON, behind the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is not white space. It stays at hand.
    fn next(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        if self.at < self.text.len() && self.byte() == 0 { b'?' } else { self.byte() }
    }

    fn word(&mut self, word: &str, tree: Tree) -> Option<Tree> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            tree
        })
    }

    fn value(&mut self, depth: u32) -> Option<Tree> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.next() {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(|text| Tree::Text(Cow::Owned(text))),
            b't' => self.word("true", Tree::Bool(true)),
            b'f' => self.word("false", Tree::Bool(false)),
            b'n' => self.word("null", Tree::Null),
            _ => self.number(),
        }
    }

    /// After a value in a list or object: whether another one follows, or nothing where neither does.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let byte = self.next();
        self.at += 1;
        match byte {
            b',' => Some(true),
            byte if byte == end => Some(false),
            _ => None,
        }
    }

    /// Steps over the opening bracket; whether the closing one follows at once.
    fn is_empty(&mut self, end: u8) -> bool {
        self.at += 1;
        let empty = self.next() == end;
        self.at += usize::from(empty);
        empty
    }

    fn list(&mut self, depth: u32) -> Option<Tree> {
        let mut values = Vec::new();
        if !self.is_empty(b']') {
            loop {
                values.push(self.value(depth + 1)?);
                if !self.goes_on(b']')? {
                    break;
                }
            }
        }
        Some(Tree::List(values))
    }

    fn object(&mut self, depth: u32) -> Option<Tree> {
        let mut members = Vec::new();
        if !self.is_empty(b'}') {
            loop {
                if self.next() != b'"' {
                    return None;
                }
                let name = self.string()?;
                if self.next() != b':' {
                    return None;
                }
                self.at += 1;
                members.push((Cow::Owned(name), self.value(depth + 1)?));
                if !self.goes_on(b'}')? {
                    break;
                }
            }
        }
        Some(Tree::Map(members))
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
            out.push_str(rest.get(..plain)?);
            self.at += plain + 1;
            match rest.as_bytes().get(plain)? {
                b'"' => return Some(out),
                b'\\' => out.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Option<char> {
        let byte = self.byte();
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first) {
                    // The other half of a character beyond the first plane has to follow.
                    self.text.get(self.at..)?.starts_with("\\u").then_some(())?;
                    self.at += 2;
                    let second = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)?
                } else {
                    char::from_u32(first)?
                }
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |sum, byte| Some(sum * 16 + char::from(*byte).to_digit(16)?))
    }

    /// Digits, of which there has to be one: their value as far as it fits, and how many there are.
    fn digits(&mut self, mut each: impl FnMut(u8)) -> Option<i32> {
        let mut count = 0;
        while self.byte().is_ascii_digit() {
            each(self.byte() - b'0');
            self.at += 1;
            count += 1;
        }
        (count > 0).then_some(count)
    }

    fn number(&mut self) -> Option<Tree> {
        let negative = self.byte() == b'-';
        self.at += usize::from(negative);
        let leading_zero = self.byte() == b'0';
        let mut whole = Some(0_i64);
        let mut value = 0.0;
        let sign = if negative { -1 } else { 1 };
        let mut take = |digit: u8| {
            whole = whole.and_then(|so_far| so_far.checked_mul(10)?.checked_add(sign * i64::from(digit)));
            value = value * 10.0 + f64::from(digit);
        };
        if self.digits(&mut take)? > 1 && leading_zero {
            return None;
        }
        let mut exponent = 0;
        let has_point = self.byte() == b'.';
        if has_point {
            self.at += 1;
            exponent = -self.digits(&mut take)?;
        }
        let has_exponent = matches!(self.byte(), b'e' | b'E');
        if has_exponent {
            self.at += 1;
            let down = self.byte() == b'-';
            self.at += usize::from(down || self.byte() == b'+');
            let mut power = 0_i32;
            self.digits(|digit| power = power.saturating_mul(10).saturating_add(i32::from(digit)))?;
            exponent = exponent.saturating_add(if down { -power } else { power });
        }
        // serde_json, too, reads minus nothing as no whole number.
        match whole.filter(|whole| !(has_point || has_exponent || negative && *whole == 0)) {
            Some(whole) => Some(Tree::Int(whole)),
            None => {
                let mut size = value;
                // Beyond four hundred there is nothing left, or no number.
                for _ in 0..exponent.unsigned_abs().min(400) {
                    if exponent < 0 { size /= 10.0 } else { size *= 10.0 }
                }
                size.is_finite().then_some(Tree::Float(if negative { -size } else { size }))
            }
        }
    }
}

/// Writes a whole text.
pub(super) fn write(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Tree::Int(value) => out.push_str(&value.to_string()),
        // Nothing that is written as text holds such a number.
        Tree::Float(_) => out.push_str("null"),
        Tree::Text(text) => string(text, out),
        Tree::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        Tree::Map(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                string(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let Some(byte) = tail.bytes().next() else { break };
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            8 => out.push('b'),
            12 => out.push('f'),
            _ => {
                out.push_str("u00");
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
            }
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}
