//! Distinguished names: a syntactic check by RFC 4514 §3, and comparison. Whether a name exists is the directory's to say.

use ticketgate_protocol::text;

/// A name that was checked, in a form in which equal names are equal: types and values in lower case, escapes undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// The domain's part: the `DC=` components at the end.
    pub(super) fn domain(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = self
            .0
            .iter()
            .rev()
            .map_while(|rdn| match rdn.as_slice() {
                [(kind, value)] if kind == "dc" => Some(value.as_str()),
                _ => None,
            })
            .collect();
        labels.reverse();
        labels
    }
}

/// Checks a distinguished name. The error says what is wrong and how to mend it, without repeating the name.
pub(super) fn parse(name: &str) -> Result<Dn, String> {
    if name.trim().is_empty() {
        return Err("is empty".into());
    }
    let mut rest = name;
    let mut rdns = Vec::new();
    let mut rdn = Vec::new();
    loop {
        let (pair, stop) = attribute(rest)?;
        rdn.push(pair);
        match stop {
            Stop::Plus(tail) => rest = tail,
            Stop::Comma(tail) => {
                rest = tail;
                rdns.push(sorted(std::mem::take(&mut rdn)));
            }
            Stop::End => {
                rdns.push(sorted(rdn));
                return Ok(Dn(rdns));
            }
        }
    }
}

/// The parts of a multi-valued component have no order (RFC 4514 §2.2).
fn sorted(mut rdn: Vec<(String, String)>) -> Vec<(String, String)> {
    rdn.sort();
    rdn
}

enum Stop<'t> {
    Comma(&'t str),
    Plus(&'t str),
    End,
}

/// One `type=value`, and what follows it.
fn attribute(text: &str) -> Result<((String, String), Stop<'_>), String> {
    if text.starts_with(' ') {
        return Err("has a space after a comma; write \"CN=…,OU=…\" without one".into());
    }
    let Some((kind, rest)) = text.split_once('=') else {
        return Err("is not of the form CN=name,OU=unit,DC=example,DC=com".into());
    };
    if !is_type(kind) {
        return Err("has a part that does not start with a type such as CN=, OU= or DC= \
                    (a comma inside a name is written \\,)"
            .into());
    }
    let (value, stop) = if rest.starts_with('#') { hex_value(rest)? } else { text_value(rest)? };
    if value.is_empty() {
        return Err("has a part without a value".into());
    }
    Ok(((kind.to_ascii_lowercase(), value), stop))
}

/// `descr / numericoid` of RFC 4512 §1.4.
fn is_type(kind: &str) -> bool {
    let word = kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    word || (kind.contains('.') && kind.split('.').all(number))
}

/// `#` and pairs of hexadecimal digits: the value's encoding itself.
fn hex_value(text: &str) -> Result<(String, Stop<'_>), String> {
    let end = text.find([',', '+']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    let digits = value.strip_prefix('#').unwrap_or(value);
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("has a value that starts with # and is not hexadecimal; write a leading # as \\#".into());
    }
    Ok((value.to_ascii_lowercase(), stop_of(rest)))
}

fn stop_of(rest: &str) -> Stop<'_> {
    match rest.strip_prefix(',') {
        Some(tail) => Stop::Comma(tail),
        None => rest.strip_prefix('+').map_or(Stop::End, Stop::Plus),
    }
}

/// A value as text, escapes undone, in lower case.
fn text_value(text: &str) -> Result<(String, Stop<'_>), String> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut chars = text.char_indices();
    let mut stop = Stop::End;
    let mut ends_in_plain_space = false;
    while let Some((at, c)) = chars.next() {
        match c {
            ',' | '+' => {
                stop = stop_of(text.get(at..).unwrap_or_default());
                break;
            }
            '"' | ';' | '<' | '>' => {
                return Err(format!("has an unescaped {c}; write it as \\{c}"));
            }
            '\\' => {
                bytes.extend(escaped(&mut chars)?);
                ends_in_plain_space = false;
                continue;
            }
            ' ' if at == 0 => return Err("has a value with a leading space; write it as \"\\ \"".into()),
            c if text::is_forbidden(c) => {
                return Err(
                    "has a control or invisible character; write its bytes as \\XX or leave it out".into()
                );
            }
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
        ends_in_plain_space = c == ' ';
    }
    if ends_in_plain_space {
        return Err("has a value with a trailing space; leave it out or write it as \"\\ \"".into());
    }
    match String::from_utf8(bytes) {
        Ok(value) => Ok((value.to_lowercase(), stop)),
        Err(_) => Err("has escapes (\\XX) that are not UTF-8".into()),
    }
}

/// What stands behind a backslash: a special character, or two hexadecimal digits.
fn escaped(chars: &mut std::str::CharIndices<'_>) -> Result<Option<u8>, String> {
    let bad = || "has a backslash before an ordinary character; write a backslash itself as \\\\".to_owned();
    let (_, first) = chars.next().ok_or_else(bad)?;
    if matches!(first, ' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\') {
        return Ok(u8::try_from(first).ok());
    }
    let second = chars.next().map(|(_, c)| c);
    let (Some(high), Some(low)) = (first.to_digit(16), second.and_then(|c| c.to_digit(16))) else {
        return Err(bad());
    };
    Ok(u8::try_from(high * 16 + low).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_every_permitted_shape_are_taken() {
        let cases = [
            "CN=Domain Admins,CN=Users,DC=acme,DC=example",
            "OU=JIT,DC=acme,DC=example",
            r"CN=M\C3\BCller\, J. \22x\22,OU=a+CN=b,DC=x",
            r"CN=\#4711 \+ \<x\>\;\=,DC=x",
            r"CN=\ leading and trailing\ ,DC=x",
            "CN=a#b=c,DC=x",
            "CN=Größe,DC=x",
            r"CN=back\\slash,DC=x",
            "CN=#04024869,DC=x",
            "1.3.6.1.4.1.1466.0=text,DC=x",
            r"CN=printer\0ACNF:1,DC=x",
            "DC=example",
        ];
        for name in cases {
            assert!(parse(name).is_ok(), "{name}: {:?}", parse(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        let cases = [
            "",
            "  ",
            "Domain Admins",
            "CN=",
            "CN=,DC=x",
            "=x",
            "CN=a,",
            "CN=a,,DC=x",
            "CN=a, DC=x",
            "CN= a",
            "CN=a ",
            "CN=a ,DC=x",
            "CN=a;DC=x",
            "CN=a\"b",
            "CN=<a>",
            r"CN=a\",
            r"CN=a\x",
            r"CN=a\C3",
            r"CN=a\4",
            "C N=a",
            "1=x",
            "1..2=x",
            "01.2=x",
            "CN=#",
            "CN=#4",
            "CN=#zz",
            "CN=a\nb",
            "CN=a\u{202e}b",
            "CN=Smith, John,DC=x",
            "-a=b",
            "ACME\\Domain Admins",
        ];
        for name in cases {
            assert!(parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn one_name_in_two_spellings_is_one_name() {
        let same = [
            ("cn=domain admins,DC=Acme", "CN=Domain Admins,dc=acme"),
            (r"CN=M\C3\BCller", "CN=MÜLLER"),
            (r"CN=a\2Cb", r"CN=a\,b"),
            ("CN=a+OU=b", "OU=b+CN=a"),
        ];
        for (a, b) in same {
            assert_eq!(parse(a), parse(b), "{a} {b}");
        }
        assert_ne!(parse(r"CN=a\,DC\=x"), parse("CN=a,DC=x"));
    }

    #[test]
    fn the_domain_is_what_stands_at_the_end() {
        assert_eq!(parse("CN=a,DC=b,OU=c,DC=acme,DC=example").unwrap().domain(), ["acme", "example"]);
        assert!(parse("CN=a").unwrap().domain().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn text_near_a_name_does_not_make_it_panic(text in r#"([CNcnDO=,+\\# "éü;<0-9a-f]|\\[0-9A-Fa-f]){0,40}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn a_value_with_every_byte_escaped_is_that_value(value in "[^\\s\\p{C}][^\\p{C}]{0,20}") {
            let escaped: String = value.bytes().map(|b| format!("\\{b:02X}")).collect();
            let parsed = parse(&format!("CN={escaped}")).unwrap();
            prop_assert_eq!(parsed, Dn(vec![vec![("cn".into(), value.to_lowercase())]]));
        }
    }
}
