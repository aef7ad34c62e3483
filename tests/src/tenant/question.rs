//! What the stand-in is asked, taken apart: it knows the query options and filters that clients of ours send, and refuses all others.

use super::answer::{Answer, bad, own_refusal};
use serde_json::{Map, Value};

/// A request below the prefix.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) method: String,
    /// The path's segments, decoded.
    pub(super) path: Vec<String>,
    /// The query's options, decoded.
    pub(super) options: Vec<(String, String)>,
    /// `Null` where there was none.
    pub(super) body: Value,
}

/// One condition of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) property: String,
    pub(super) value: String,
    /// `startsWith`, not `eq`.
    pub(super) start: bool,
}

impl Question {
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Refuses options other than these. `$skiptoken` comes out of our own links.
    pub(super) fn options_are(&self, known: &[&str]) -> Result<(), Answer> {
        for (place, (name, _)) in self.options.iter().enumerate() {
            if name != "$skiptoken" && !known.contains(&name.as_str()) {
                return Err(own_refusal(format!("unknown query option {name}")));
            }
            if self.options.iter().take(place).any(|(earlier, _)| earlier == name) {
                return Err(own_refusal(format!("query option {name} stands twice")));
            }
        }
        Ok(())
    }

    /// The conditions of `$filter`, which has to name the properties of one of these forms, each once.
    pub(super) fn filter(&self, forms: &[&[&str]]) -> Result<Vec<Condition>, Answer> {
        let Some(text) = self.option("$filter") else { return Ok(Vec::new()) };
        let conditions = conditions(text).ok_or_else(|| own_refusal(format!("unknown filter {text}")))?;
        let mut names: Vec<String> = conditions
            .iter()
            .map(|known| if known.start { format!("{}*", known.property) } else { known.property.clone() })
            .collect();
        names.sort();
        let known = forms.iter().any(|form| {
            let mut form = form.to_vec();
            form.sort_unstable();
            form == names
        });
        if known { Ok(conditions) } else { Err(own_refusal(format!("unknown filter {text}"))) }
    }

    /// The names in `$select`, which have to be known.
    pub(super) fn select(&self, known: &[&str]) -> Result<Option<Vec<String>>, Answer> {
        let Some(text) = self.option("$select") else { return Ok(None) };
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(bad(format!("Could not find a property named '{name}'."))),
            None => Ok(Some(names)),
        }
    }

    /// A text of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    /// The body's properties.
    pub(super) fn properties(&self) -> Result<&Map<String, Value>, Answer> {
        self.body.as_object().ok_or_else(|| bad("A body is needed."))
    }

    /// Path and query of this question with one option otherwise.
    pub(super) fn address_with(&self, name: &str, value: &str) -> String {
        let mut address = String::new();
        for segment in &self.path {
            address.push('/');
            address.push_str(&encoded(segment));
        }
        let kept = self.options.iter().filter(|(known, _)| known != name);
        let all = kept.map(|(name, value)| (name.as_str(), value.as_str())).chain([(name, value)]);
        for (place, (name, value)) in all.enumerate() {
            address.push(if place == 0 { '?' } else { '&' });
            // Microsoft leaves the dollar as it is.
            address.push_str(&encoded(name).replace("%24", "$"));
            address.push('=');
            address.push_str(&encoded(value));
        }
        address
    }
}

/// The pairs of a query or form. A `+` is a blank in both.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Percent-decoded; what is no encoding stays.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `name eq 'value'` and `startsWith(name,'value')`, joined by `and`.
fn conditions(text: &str) -> Option<Vec<Condition>> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    loop {
        let (condition, after) = condition(rest)?;
        found.push(condition);
        let after = after.trim_start();
        if after.is_empty() {
            return Some(found);
        }
        rest = after.strip_prefix("and ")?.trim_start();
    }
}

fn condition(text: &str) -> Option<(Condition, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric())?;
    let (word, rest) = text.split_at(end);
    if word.eq_ignore_ascii_case("startswith") {
        let (property, rest) = rest.strip_prefix('(')?.split_once(',')?;
        let (value, rest) = quoted(rest.trim_start())?;
        let rest = rest.trim_start().strip_prefix(')')?;
        return Some((Condition { property: property.trim().to_owned(), value, start: true }, rest));
    }
    let (value, rest) = quoted(rest.strip_prefix(" eq ")?.trim_start())?;
    Some((Condition { property: word.to_owned(), value, start: false }, rest))
}

/// A text in quotes; two of them are one that belongs to it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (piece, after) = rest.split_once('\'')?;
        value.push_str(piece);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// What conditions say of a list's items. Names are compared as Graph does, without case.
pub(super) fn fits(conditions: &[Condition], item: &Value) -> bool {
    conditions.iter().all(|condition| {
        let value = item.get(&condition.property).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let wanted = condition.value.to_lowercase();
        if condition.start { value.starts_with(&wanted) } else { value == wanted }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(property: &str, value: &str, start: bool) -> Condition {
        Condition { property: property.to_owned(), value: value.to_owned(), start }
    }

    #[test]
    fn filters_of_ours_are_understood_and_no_others() {
        assert_eq!(conditions("principalId eq 'p'"), Some(vec![one("principalId", "p", false)]));
        assert_eq!(
            conditions("scopeId eq '/' and name eq 'it''s and it'"),
            Some(vec![one("scopeId", "/", false), one("name", "it's and it", false)])
        );
        assert_eq!(conditions("startsWith(upn,'jit-')"), Some(vec![one("upn", "jit-", true)]));
        for wrong in ["", "principalId eq p", "a ne 'b'", "a eq 'b' or a eq 'c'", "a eq 'b", "not(a eq 'b')"]
        {
            assert_eq!(conditions(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_query_is_decoded_and_written_again() {
        assert_eq!(
            pairs("%24filter=principalId+eq+%27p%27&$top=5"),
            [("$filter".to_owned(), "principalId eq 'p'".to_owned()), ("$top".to_owned(), "5".to_owned())]
        );
        let question = Question {
            method: "GET".to_owned(),
            path: vec!["users".to_owned(), "a@b".to_owned()],
            options: pairs("$top=5&$skiptoken=at-1"),
            body: Value::Null,
        };
        assert_eq!(question.address_with("$skiptoken", "at-2"), "/users/a%40b?$top=5&$skiptoken=at-2");
    }
}
