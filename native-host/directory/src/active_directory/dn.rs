//! Distinguished names: taking them apart, comparing them and putting them together (RFC 4514). Nothing is asked of a server here.

use std::fmt;

/// A distinguished name, taken apart. Its text form is escaped, so that it can go to a server as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dn(Vec<Rdn>);

/// One step of a name; several parts where they are joined by `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rdn(Vec<(String, Value)>);

/// A part's value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// `#` and hexadecimal digits: kept as it stands, never looked into.
    Encoded(String),
}

/// Why a text is no distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DnError {
    /// A step without `=`.
    #[error("a part has no `=`")]
    NoEquals,
    /// The word before `=` is no attribute type.
    #[error("the word before `=` is not an attribute's name")]
    BadType,
    /// A character that has to be escaped, or a dangling backslash.
    #[error("a `\\` or a special character is not escaped as RFC 4514 wants it")]
    BadEscape,
    /// The escaped bytes are no UTF-8.
    #[error("the escaped bytes are not UTF-8")]
    NotUtf8,
    /// A value that is not there.
    #[error("a value is empty")]
    EmptyValue,
    /// A control character.
    #[error("it has a control character")]
    Control,
}

impl Dn {
    /// Reads a name as people and servers write it.
    pub(crate) fn parse(text: &str) -> Result<Self, DnError> {
        if text.trim().is_empty() {
            return Err(DnError::NoEquals);
        }
        split(text, ',')?
            .into_iter()
            .map(|step| split(step, '+')?.into_iter().map(part).collect::<Result<_, _>>().map(Rdn))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The name of an entry below this one. `kind` is an attribute's name from our own code, `value` may be anything.
    pub(crate) fn child(&self, kind: &'static str, value: &str) -> Self {
        let first = Rdn(vec![(kind.to_owned(), Value::Text(value.to_owned()))]);
        Self(std::iter::once(first).chain(self.0.iter().cloned()).collect())
    }

    /// The text by which two spellings of one name are equal: lower case, insignificant spaces gone, parts in order.
    ///
    /// Servers compare like that (`caseIgnoreMatch`, RFC 4518 section 2.6.1); it is for comparing alone, never sent.
    pub(crate) fn key(&self) -> String {
        let steps: Vec<_> = self.0.iter().map(Rdn::key).collect();
        steps.join(",")
    }

    /// Whether this name is somewhere below the other.
    pub(crate) fn is_below(&self, other: &Self) -> bool {
        let above = self.0.len().saturating_sub(other.0.len());
        above > 0 && self.0.iter().skip(above).map(Rdn::key).eq(other.0.iter().map(Rdn::key))
    }

    /// Whether this is the very domain that the other name is in, not one above it: all its `DC=` steps are this name.
    pub(crate) fn is_domain_of(&self, other: &Self) -> bool {
        other.is_below(self) && other.dns().eq_ignore_ascii_case(&self.dns())
    }

    /// The first step's value, unescaped: what people call the entry.
    pub(crate) fn name(&self) -> Option<&str> {
        match self.0.first()?.0.first()? {
            (_, Value::Text(text) | Value::Encoded(text)) => Some(text),
        }
    }

    /// The DNS name that the trailing `DC=` steps spell.
    pub(crate) fn dns(&self) -> String {
        let labels = self.0.iter().filter_map(|step| match step.0.as_slice() {
            [(kind, Value::Text(text))] if kind.eq_ignore_ascii_case("DC") => Some(text.as_str()),
            _ => None,
        });
        labels.collect::<Vec<_>>().join(".")
    }
}

impl Rdn {
    fn key(&self) -> String {
        let mut parts: Vec<_> = self
            .0
            .iter()
            .map(|(kind, value)| {
                let value = match value {
                    Value::Text(text) => Value::Text(folded(text)),
                    Value::Encoded(text) => Value::Encoded(text.to_ascii_lowercase()),
                };
                format!("{}={value}", kind.to_ascii_lowercase())
            })
            .collect();
        parts.sort();
        parts.join("+")
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            for (m, (kind, value)) in step.0.iter().enumerate() {
                let separator = if m > 0 {
                    "+"
                } else if n > 0 {
                    ","
                } else {
                    ""
                };
                write!(f, "{separator}{kind}={value}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&escape_rdn_value(text)),
            Self::Encoded(text) => f.write_str(text),
        }
    }
}

/// A value as it has to stand in a name (RFC 4514 section 2.4).
pub(crate) fn escape_rdn_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let last = text.chars().count().saturating_sub(1);
    for (n, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '#' if n == 0 => escaped.push_str("\\#"),
            ' ' if n == 0 || n == last => escaped.push_str("\\ "),
            c if c.is_ascii_control() => escaped.push_str(&format!("\\{:02X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Splits at a separator that no backslash precedes.
fn split(text: &str, separator: char) -> Result<Vec<&str>, DnError> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == separator {
            parts.push(text.get(start..at).ok_or(DnError::BadEscape)?);
            start = at + c.len_utf8();
        }
    }
    parts.push(text.get(start..).ok_or(DnError::BadEscape)?);
    if escaped { Err(DnError::BadEscape) } else { Ok(parts) }
}

fn part(text: &str) -> Result<(String, Value), DnError> {
    let (kind, value) = text.split_once('=').ok_or(DnError::NoEquals)?;
    let kind = kind.trim_matches(' ');
    let numeric = kind.starts_with(|c: char| c.is_ascii_digit());
    let fits = |c: char| {
        if numeric { c.is_ascii_digit() || c == '.' } else { c.is_ascii_alphanumeric() || c == '-' }
    };
    if kind.is_empty() || kind.starts_with('-') || !kind.chars().all(fits) {
        return Err(DnError::BadType);
    }
    Ok((kind.to_owned(), value_of(value)?))
}

fn value_of(text: &str) -> Result<Value, DnError> {
    let text = text.trim_start_matches(' ');
    if let Some(digits) = text.strip_prefix('#') {
        let digits = digits.trim_end_matches(' ');
        let whole = !digits.is_empty() && digits.len().is_multiple_of(2);
        if !whole || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(DnError::BadEscape);
        }
        return Ok(Value::Encoded(format!("#{digits}")));
    }
    let mut bytes = Vec::with_capacity(text.len());
    // Spaces at the end do not count unless one of them is escaped.
    let mut counted = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                escape(&mut rest, &mut bytes)?;
                counted = bytes.len();
            }
            '"' | '<' | '>' | ';' | ',' | '+' => return Err(DnError::BadEscape),
            c if c.is_ascii_control() => return Err(DnError::Control),
            c => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                if c != ' ' {
                    counted = bytes.len();
                }
            }
        }
    }
    bytes.truncate(counted);
    if bytes.is_empty() {
        return Err(DnError::EmptyValue);
    }
    String::from_utf8(bytes).map(Value::Text).map_err(|_| DnError::NotUtf8)
}

/// What follows a backslash: a special character, or a byte as two hexadecimal digits.
fn escape(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Result<(), DnError> {
    let first = rest.next().ok_or(DnError::BadEscape)?;
    if let Some(high) = first.to_digit(16) {
        let low = rest.next().and_then(|c| c.to_digit(16)).ok_or(DnError::BadEscape)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| DnError::BadEscape)?);
    } else if matches!(first, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#' | ' ') {
        bytes.push(u8::try_from(first).map_err(|_| DnError::BadEscape)?);
    } else {
        return Err(DnError::BadEscape);
    }
    Ok(())
}

fn folded(text: &str) -> String {
    let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_in_the_domain_that_all_its_domain_steps_spell() {
        let dn = |text| Dn::parse(text).unwrap();
        let unit = dn("OU=JIT,OU=Admin,DC=emea,DC=Acme,DC=example");
        assert!(dn("dc=EMEA,dc=acme, dc=example").is_domain_of(&unit));
        for other in ["DC=acme,DC=example", "DC=example", "DC=globex,DC=example"] {
            assert!(!dn(other).is_domain_of(&unit), "{other}");
        }
    }

    #[test]
    fn odd_names_are_read_as_people_and_servers_write_them() {
        for (text, name) in [
            (r"CN=Servers\, Frankfurt,DC=acme,DC=test", "Servers, Frankfurt"),
            (r#"CN=The \"Blue\" Team,DC=acme,DC=test"#, r#"The "Blue" Team"#),
            ("CN=Größe Prüfer,DC=acme,DC=test", "Größe Prüfer"),
            (r"CN=Gr\C3\B6\C3\9Fe Prüfer,DC=acme,DC=test", "Größe Prüfer"),
            (r"CN=Back\\Slash,DC=acme,DC=test", r"Back\Slash"),
            (r"CN=\#1 Operators,DC=acme,DC=test", "#1 Operators"),
            (r"CN=\ Leading Space,DC=acme,DC=test", " Leading Space"),
            (r"CN=\20Leading Space , DC=acme , DC=test", " Leading Space"),
            (r"CN=Ops (night) * \<all\> \+\;\=,DC=acme,DC=test", "Ops (night) * <all> +;="),
        ] {
            let dn = parse(text);
            assert_eq!(dn.name(), Some(name), "{text}");
            assert_eq!(dn.dns(), "acme.test", "{text}");
            assert_eq!(parse(&dn.to_string()), dn, "{text}");
        }
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        let key = parse("CN=Domain Admins,CN=Users,DC=acme,DC=test").key();
        for same in [
            "cn=domain admins,cn=users,dc=ACME,dc=Test",
            "CN=Domain Admins, CN=Users, DC=acme, DC=test",
            r"CN=Domain\20Admins,CN=Users,DC=acme,DC=test",
            "CN=Domain  Admins,CN=Users,DC=acme,DC=test",
        ] {
            assert_eq!(parse(same).key(), key, "{same}");
        }
        assert_ne!(parse(r"CN=Domain Admins\,CN=Users,DC=acme,DC=test").key(), key);
        assert_ne!(parse("CN=Domain Admins,OU=Users,DC=acme,DC=test").key(), key);
        assert_eq!(parse("CN=a+OU=b,DC=c").key(), parse("ou=B+cn=A,DC=c").key());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "Domain Admins",
            "CN=",
            "=x",
            "CN=a;DC=b",
            "CN=a,",
            r"CN=a\",
            r"CN=\ZZ",
            r"CN=\C3",
            "CN=\"a\"",
            "C N=a",
            "CN=#0",
            "CN=a\nb",
        ] {
            assert!(Dn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn below_means_inside_and_not_equal() {
        let unit = parse("OU=JIT,DC=acme,DC=test");
        assert!(unit.child("CN", "a,OU=JIT").is_below(&unit));
        assert!(parse("CN=x,ou=jit,dc=ACME,dc=test").is_below(&unit));
        assert!(!unit.is_below(&unit));
        assert!(!parse(r"CN=x\,OU=JIT,DC=acme,DC=test").is_below(&unit));
    }

    proptest! {
        #[test]
        fn any_value_survives_being_written_and_read(value in "\\PC{1,40}|[ #\\\\,+\"<>;=\u{e4}\0\n]{1,8}") {
            let dn = parse("DC=acme,DC=test").child("CN", &value);
            let read = Dn::parse(&dn.to_string()).unwrap();
            prop_assert_eq!(read.name(), Some(value.as_str()));
            prop_assert_eq!(read, dn);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}|[CN=,+\\\\# \"a-f0-9]{0,30}") {
            if let Ok(dn) = Dn::parse(&text) {
                prop_assert_eq!(Dn::parse(&dn.to_string()).unwrap(), dn);
            }
        }
    }
}
