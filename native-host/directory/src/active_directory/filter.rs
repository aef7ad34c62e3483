//! Search filters. A value gets into one only through [`FilterValue`], which escapes it (RFC 4515 section 3).

use std::fmt;

/// A value that is safe inside a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterValue(String);

impl FilterValue {
    /// Any text.
    pub(crate) fn text(text: &str) -> Self {
        Self::bytes(text.as_bytes())
    }

    /// Any bytes.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        let mut escaped = String::with_capacity(bytes.len());
        for byte in bytes {
            // Only what can mean nothing else stays as it is; a server unescapes the rest to the same bytes.
            if byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_' | b'.' | b',' | b'=') {
                escaped.push(char::from(*byte));
            } else {
                escaped.push_str(&format!("\\{byte:02x}"));
            }
        }
        Self(escaped)
    }
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `(attribute=value)`. The attribute is a name from our own code.
pub(crate) fn equals(attribute: &'static str, value: &FilterValue) -> String {
    format!("({attribute}={value})")
}

/// Every entry. For a base search it means "this entry".
pub(crate) const ANY: &str = "(objectClass=*)";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_cannot_leave_its_place() {
        assert_eq!(equals("cn", &FilterValue::text("a)(uid=*")), r"(cn=a\29\28uid=\2a)");
        assert_eq!(FilterValue::text("\\\0ä").to_string(), r"\5c\00\c3\a4");
    }

    proptest! {
        #[test]
        fn any_value_gives_a_filter_that_holds_just_it(value in "\\PC{0,40}|[()*\\\\\0&|!=]{0,10}") {
            let filter = equals("cn", &FilterValue::text(&value));
            prop_assert!(ldap3::parse_filter(&filter).is_ok());
            let inside = filter.strip_prefix("(cn=").unwrap().strip_suffix(')').unwrap();
            prop_assert!(!inside.contains(['(', ')', '*']));
            prop_assert_eq!(ldap3::ldap_unescape(inside).unwrap(), value);
        }
    }
}
