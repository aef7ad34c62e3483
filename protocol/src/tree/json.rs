//! JSON text (RFC 8259), read into one list of what stands where, out of which types take what they need. Own code instead of
//! `serde_json`, which reads every number that there can be, to the last digit, and explains every fault: with its tables a
//! tenth of what the core may weigh. Tests hold both to the same texts and values.

use std::borrow::Cow;

use super::Fault;

/// How deep lists and objects may stand in each other.
const DEPTH_MAX: u32 = 128;

/// A JSON text that was read.
#[derive(Debug, PartialEq)]
pub struct Json<'t> {
    text: &'t str,
    nodes: Vec<Node>,
}

/// A value, or the name of a member, in the order of the text: what a list or an object holds follows it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The text between these places.
    Text {
        from: u32,
        to: u32,
    },
    /// The same, with escapes in it.
    Escaped {
        from: u32,
        to: u32,
    },
    /// Up to this node.
    List {
        end: u32,
    },
    /// Names and values in turn, up to this node.
    Map {
        end: u32,
    },
}

/// A value inside of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value<'j> {
    json: &'j Json<'j>,
    at: u32,
    /// A member that is passed over: the name of the variant whose other members these are.
    without: &'static str,
}

impl<'t> Json<'t> {
    /// Reads a whole text.
    ///
    /// # Errors
    /// [`Fault`] where it is not JSON.
    pub fn read(text: &'t str) -> Result<Self, Fault> {
        let mut reader = Reader { text, at: 0, nodes: Vec::with_capacity(text.len() / 8 + 1) };
        // Places are counted in 32 bits.
        let is_json = u32::try_from(text.len()).is_ok() && reader.value(0).is_some() && reader.next() == 0;
        if is_json {
            Ok(Self { text, nodes: reader.nodes })
        } else {
            Err(Fault { what: Cow::Borrowed("not JSON"), member: "" })
        }
    }

    /// The value of the whole text.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        Value { json: self, at: 0, without: "" }
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at as usize).copied().unwrap_or(Node::Null)
    }
}

impl<'j> Value<'j> {
    fn node(self) -> Node {
        self.json.node(self.at)
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.node(), Node::Null)
    }

    /// Yes or no, if it is that.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is a whole one.
    #[must_use]
    pub fn as_int(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is another one.
    #[must_use]
    pub fn as_float(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<Cow<'j, str>> {
        match self.node() {
            Node::Text { from, to } => self.json.text.get(from as usize..to as usize).map(Cow::Borrowed),
            Node::Escaped { from, to } => {
                self.json.text.get(from as usize..to as usize).and_then(unescaped).map(Cow::Owned)
            }
            _ => None,
        }
    }

    fn is_text(self, wanted: &str) -> bool {
        match self.node() {
            Node::Text { from, to } => {
                self.json.text.as_bytes().get(from as usize..to as usize) == Some(wanted.as_bytes())
            }
            Node::Escaped { .. } => self.as_text().is_some_and(|text| text == wanted),
            _ => false,
        }
    }

    /// What a list holds.
    #[must_use]
    pub fn items(self) -> Option<Parts<'j>> {
        match self.node() {
            Node::List { end } => Some(Parts { json: self.json, at: self.at + 1, end }),
            _ => None,
        }
    }

    /// Names and values of an object in turn.
    #[must_use]
    pub fn members(self) -> Option<Parts<'j>> {
        match self.node() {
            Node::Map { end } => Some(Parts { json: self.json, at: self.at + 1, end }),
            _ => None,
        }
    }

    /// An object's member. Of a name that comes twice the last counts.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        let mut parts = self.members()?;
        let mut found = None;
        while let (Some(known), Some(value)) = (parts.next(), parts.next()) {
            if known.is_text(name) {
                found = Some(value);
            }
        }
        found
    }

    pub(super) fn without(self, name: &'static str) -> Self {
        Self { without: name, ..self }
    }

    /// Calls `hear` with each member's value and the place of its name among `names`.
    pub(super) fn sort(self, names: &[&str], hear: &mut dyn FnMut(Option<usize>, Self, Self)) -> Option<()> {
        let mut parts = self.members()?;
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            if self.without.is_empty() || !name.is_text(self.without) {
                hear(names.iter().position(|known| name.is_text(known)), name, value);
            }
        }
        Some(())
    }

    pub(super) const fn at(self) -> u32 {
        self.at
    }

    pub(super) const fn other(self, at: u32) -> Self {
        Self { json: self.json, at, without: "" }
    }
}

/// Values one after another.
#[derive(Debug, Clone)]
pub struct Parts<'j> {
    json: &'j Json<'j>,
    at: u32,
    end: u32,
}

impl<'j> Iterator for Parts<'j> {
    type Item = Value<'j>;

    fn next(&mut self) -> Option<Value<'j>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { json: self.json, at: self.at, without: "" };
        self.at = match value.node() {
            Node::List { end } | Node::Map { end } => end,
            _ => self.at + 1,
        };
        Some(value)
    }
}

/// What a text with escapes says.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut reader = Reader { text, at: 0, nodes: Vec::new() };
    while let Some(rest) = text.get(reader.at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.bytes().position(|byte| byte == b'\\').unwrap_or(rest.len());
        out.push_str(rest.get(..plain)?);
        reader.at += plain + 1;
        if plain < rest.len() {
            out.push(reader.escaped()?);
        }
    }
    Some(out)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    /// The byte at hand; 0, which is never part of JSON, behind the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is not white space. It stays at hand.
    fn next(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                0 if self.at < self.text.len() => return b'?',
                byte => return byte,
            }
        }
    }

    /// Counts of nodes and bytes fit: the text's length does.
    #[allow(clippy::cast_possible_truncation, reason = "checked once for the whole text")]
    const fn count(count: usize) -> u32 {
        count as u32
    }

    fn word(&mut self, word: &str, node: Node) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            self.nodes.push(node);
        })
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.next() {
            open @ (b'{' | b'[') => self.several(open == b'{', depth),
            b'"' => self.string(),
            b't' => self.word("true", Node::Bool(true)),
            b'f' => self.word("false", Node::Bool(false)),
            b'n' => self.word("null", Node::Null),
            _ => self.number(),
        }
    }

    /// A list, or an object, whose values have names.
    fn several(&mut self, named: bool, depth: u32) -> Option<()> {
        let close = if named { b'}' } else { b']' };
        let place = self.nodes.len();
        self.nodes.push(Node::Null);
        self.at += 1;
        if self.next() == close {
            self.at += 1;
        } else {
            loop {
                if named {
                    if self.next() != b'"' {
                        return None;
                    }
                    self.string()?;
                    if self.next() != b':' {
                        return None;
                    }
                    self.at += 1;
                }
                self.value(depth + 1)?;
                let byte = self.next();
                self.at += 1;
                if byte == close {
                    break;
                }
                if byte != b',' {
                    return None;
                }
            }
        }
        let end = Self::count(self.nodes.len());
        *self.nodes.get_mut(place)? = if named { Node::Map { end } } else { Node::List { end } };
        Some(())
    }

    /// A string, from its opening quote on.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        let from = Self::count(self.at);
        let mut escaped = false;
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escaped()?;
                }
                0..0x20 => return None,
                _ => {}
            }
        }
        let to = Self::count(self.at) - 1;
        self.nodes.push(if escaped { Node::Escaped { from, to } } else { Node::Text { from, to } });
        Some(())
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

    fn number(&mut self) -> Option<()> {
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
        let node = match whole.filter(|whole| !(has_point || has_exponent || negative && *whole == 0)) {
            Some(whole) => Node::Int(whole),
            None => {
                let mut size = value;
                // Beyond four hundred there is nothing left, or no number.
                for _ in 0..exponent.unsigned_abs().min(400) {
                    if exponent < 0 { size /= 10.0 } else { size *= 10.0 }
                }
                size.is_finite().then_some(Node::Float(if negative { -size } else { size }))?
            }
        };
        self.nodes.push(node);
        Some(())
    }
}
