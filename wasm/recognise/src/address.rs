//! Addresses: taking one apart, matching it against a rule's forms, and building a ticket's own address.
//! Only `http` and `https`; an address that is odd in any way has no parts and so matches nothing.

use std::borrow::Cow;

use ticketgate_rule::{AddressRule, Pattern};

use crate::decoder;
use crate::letters::split_at_last;
use crate::search::{How, find};

/// The parts of an `http` or `https` address, as the browser wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// `https://desk.example:8443`
    pub(super) origin: &'a str,
    /// `desk.example`
    pub(super) host: &'a str,
    path: &'a str,
    query: &'a str,
    hash: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes an address apart.
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let scheme = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme))?.len();
        let end = url.get(scheme..)?.find(['/', '?', '#']).map_or(url.len(), |at| scheme + at);
        let authority = url.get(scheme..end)?;
        // A name before '@' is never part of an address that a browser reports; somebody made this one up.
        if authority.is_empty() || authority.contains(['@', '\\', ' ']) {
            return None;
        }
        let host = match split_at_last(authority, b':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        let rest = url.get(end..)?;
        let (rest, hash) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        Some(Self { origin: url.get(..end)?, host, path, query, hash })
    }
}

/// Whether `host` fits `glob`: `*` stands for any characters, `#` for one or more digits.
pub(super) fn host_fits(glob: &str, host: &str) -> bool {
    fn fits(glob: &[u8], host: &[u8]) -> bool {
        match glob.split_first() {
            None => host.is_empty(),
            Some((b'*', rest)) => (0..=host.len()).any(|at| fits(rest, host.get(at..).unwrap_or_default())),
            Some((b'#', rest)) => {
                let digits = host.iter().take_while(|b| b.is_ascii_digit()).count();
                (1..=digits).any(|at| fits(rest, host.get(at..).unwrap_or_default()))
            }
            Some((wanted, rest)) => host
                .split_first()
                .is_some_and(|(got, host)| got.eq_ignore_ascii_case(wanted) && fits(rest, host)),
        }
    }
    let (glob, host) = (glob.as_bytes(), host.as_bytes());
    // The last letter tells most of them apart.
    let last_fits = match (glob.last(), host.last()) {
        (Some(wanted), Some(got)) => matches!(wanted, b'*' | b'#') || wanted.eq_ignore_ascii_case(got),
        _ => true,
    };
    last_fits && fits(glob, host)
}

/// Names that an address gives, with their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names<'a>(Vec<(&'a str, Value<'a>)>);

#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    /// Still percent-encoded, so it goes into an address as it is.
    Encoded(&'a str),
    Plain(String),
}

impl<'a> Names<'a> {
    /// The value as text.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(match self.value(name)? {
            Value::Encoded(text) => decode(text, false),
            Value::Plain(text) => Cow::Borrowed(text),
        })
    }

    fn value(&self, name: &str) -> Option<&Value<'a>> {
        // Of a name that several patterns give the last counts.
        self.0.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn take_from<'t>(
        &mut self,
        pattern: &'a Pattern,
        any_case: bool,
        text: &'t str,
        value: impl Fn(&'t str) -> Value<'a>,
    ) -> bool {
        let how = How { whole: true, any_case, number: None };
        let Some(groups) = find(pattern, text, how) else { return false };
        for (name, group) in pattern.names() {
            if let Some(found) = groups.get(*group) {
                self.0.push((name, value(found)));
            }
        }
        true
    }
}

/// The names that the address gives where it is of the rule's form.
pub(super) fn fits<'a>(rule: &'a AddressRule, parts: Parts<'a>) -> Option<Names<'a>> {
    let mut names = Names::default();
    if !names.take_from(&rule.path, rule.any_case, parts.path, Value::Encoded) {
        return None;
    }
    for (name, pattern) in &rule.query.0 {
        let separators = rule.separators.as_deref().unwrap_or("&");
        let value = parameter(parts.query, name, separators, rule.any_case)?;
        if !names.take_from(pattern, rule.any_case, &value, |text| Value::Plain(text.to_owned())) {
            return None;
        }
    }
    if let Some(pattern) = &rule.hash
        && !names.take_from(pattern, rule.any_case, parts.hash, Value::Encoded)
    {
        return None;
    }
    if let Some(decoder) = rule.decoder {
        let hidden = decoder::hidden(decoder, parts.hash)?;
        names.0.extend(hidden.into_iter().map(|(name, value)| (name, Value::Plain(value))));
    }
    for (name, pattern) in &rule.decoded.0 {
        let value = names.get(name)?.into_owned();
        if !names.take_from(pattern, rule.any_case, &value, |text| Value::Plain(text.to_owned())) {
            return None;
        }
    }
    Some(names)
}

/// The value of a query parameter. One that comes twice with another value has none: some servers take the first, some the last.
fn parameter<'q>(query: &'q str, name: &str, separators: &str, any_case: bool) -> Option<Cow<'q, str>> {
    let mut values = query.split(|c| separators.chars().any(|separator| separator == c)).filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let key = decode(key, true);
        let same = if any_case { key.eq_ignore_ascii_case(name) } else { key == name };
        same.then(|| decode(value, true))
    });
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Undoes percent-encoding (and `+` for a space in a query). What is not valid UTF-8 afterwards is replaced.
fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Cow::Borrowed(text);
    }
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = tail;
            }
            (b'+', _) if plus => out.push(b' '),
            _ => out.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Builds a ticket's address from a rule's `link`. `None` where a name has no value.
pub(super) fn link(template: &str, parts: Parts<'_>, names: &Names<'_>, number: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, tail) = after.split_once('}')?;
        match name {
            "origin" => out.push_str(parts.origin),
            "number" => encode(number, &mut out),
            name => match names.value(name)? {
                Value::Encoded(text) => out.push_str(text),
                Value::Plain(text) => encode(text, &mut out),
            },
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ticketgate_protocol::tree::FromJson;

    use super::*;

    fn rule(json: &str) -> AddressRule {
        AddressRule::parse(json).unwrap()
    }

    #[test]
    fn an_address_is_taken_apart() {
        let parts = Parts::of("https://desk.example:8443/rt/Ticket/Display.html?id=7&x=%231#top?").unwrap();
        assert_eq!((parts.origin, parts.host), ("https://desk.example:8443", "desk.example"));
        assert_eq!((parts.path, parts.query, parts.hash), ("/rt/Ticket/Display.html", "id=7&x=%231", "top?"));
        assert_eq!(Parts::of("http://127.0.0.1").map(|p| (p.host, p.path)), Some(("127.0.0.1", "/")));
        assert_eq!(Parts::of("http://[::1]:80/a").map(|p| p.host), Some("[::1]"));
    }

    #[test]
    fn other_schemes_and_made_up_authorities_have_no_parts() {
        for url in [
            "",
            "about:blank",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "chrome-extension://a/b",
            "https://user@desk.example/",
            "https://a\\b/",
            "HTTPS://desk.example/",
        ] {
            assert_eq!(Parts::of(url), None, "{url}");
        }
    }

    #[test]
    fn host_globs_fit_whole_hosts() {
        for (glob, host, expected) in [
            ("*.halopsa.com", "acme.halopsa.com", true),
            ("*.halopsa.com", "halopsa.com", false),
            ("*.halopsa.com", "acme.halopsa.com.evil.example", false),
            ("ww#.autotask.net", "ww5.autotask.net", true),
            ("ww#.autotask.net", "WW14.autotask.net", true),
            ("ww#.autotask.net", "www.autotask.net", false),
            ("ww#.autotask.net", "ww.autotask.net", false),
            ("na.myconnectwise.net", "na.myconnectwise.net", true),
            ("na.myconnectwise.net", "xna.myconnectwise.net", false),
        ] {
            assert_eq!(host_fits(glob, host), expected, "{glob} {host}");
        }
    }

    #[test]
    fn names_come_from_path_query_and_hash() {
        let rule = rule(
            r##"{"source":"-","path":"(?<base>.*)/t","query":{"ids[0]":"(?<id>[0-9]+)"},"hash":"k=(?<key>.*)"}"##,
        );
        let parts = Parts::of("https://a.example/my%20rt/t?x=1&ids%5B0%5D=53#k=a%2Fb").unwrap();
        let names = fits(&rule, parts).unwrap();
        assert_eq!(names.get("base").as_deref(), Some("/my rt"));
        assert_eq!(names.get("id").as_deref(), Some("53"));
        assert_eq!(names.get("key").as_deref(), Some("a/b"));
        assert_eq!(
            link("{origin}{base}/t?n={number}&id={id}", parts, &names, "SR 1&2").as_deref(),
            Some("https://a.example/my%20rt/t?n=SR%201%262&id=53")
        );
        assert_eq!(link("{origin}/{other}", parts, &names, "1"), None);
    }

    #[test]
    fn patterns_match_the_whole_of_what_they_are_about() {
        let rule = rule(r#"{"source":"-","path":"/t","query":{"id":"[0-9]+"}}"#);
        for (url, expected) in [
            ("https://a.example/t?id=5", true),
            ("https://a.example/x/t?id=5", false),
            ("https://a.example/t/5?id=5", false),
            ("https://a.example/t?id=5x", false),
            ("https://a.example/t?id=5&id=5", true),
            ("https://a.example/t?id=5&x=1&id=7", false),
            ("https://a.example/t?id=new", false),
            ("https://a.example/t?ID=5", false),
            ("https://a.example/t", false),
        ] {
            assert_eq!(fits(&rule, Parts::of(url).unwrap()).is_some(), expected, "{url}");
        }
    }

    #[test]
    fn a_decoder_gives_names_that_can_be_asked_for() {
        let hash = "XQAACABnAAAAAAAAAAA9iIoG07$U9XZqpLgsNhRsIxDc$32gNxENfYHxm0xR95omyb56g$m_zkPJiA_N_ACb6LQsoCLKgQ67cMJWB7cpsBSszOHQ5_KUOJnE2xwVBmPitbzpYP_723QA??ServiceTicket";
        let url = format!("https://a.example/t#{hash}");
        let record = |decoded: &str| {
            let rule = rule(&format!(
                r#"{{"source":"-","path":"/t","hash":".*[?][?].*ticket","any_case":true,"decoder":"connectwise","decoded":{decoded}}}"#
            ));
            let names = fits(&rule, Parts::of(&url).unwrap())?;
            names.get("record").map(Cow::into_owned)
        };
        assert_eq!(record("{}").as_deref(), Some("12345"));
        assert_eq!(record(r#"{"screen":"service_ticket","record":"[0-9]+"}"#).as_deref(), Some("12345"));
        assert_eq!(record(r#"{"screen":"sr200|product_setup"}"#), None);
        assert_eq!(record(r#"{"member":".*"}"#), None);
    }

    #[test]
    fn parameters_may_be_separated_by_semicolons_and_written_in_any_case() {
        let rule = rule(
            r#"{"source":"-","path":"/otrs/index\\.pl","query":{"TicketID":"(?<id>[0-9]+)"},"separators":"&;","any_case":true}"#,
        );
        let parts = Parts::of("https://a.example/OTRS/index.pl?Action=AgentTicketZoom;ticketid=9").unwrap();
        assert_eq!(fits(&rule, parts).unwrap().get("id").as_deref(), Some("9"));
    }

    proptest! {
        #[test]
        fn no_address_can_upset_it(url in "(https?://)?[ -~]{0,80}|.{0,80}", query in ".{0,40}") {
            if let Some(parts) = Parts::of(&url) {
                prop_assert!(url.starts_with(parts.origin));
                let _ = decode(parts.query, true);
            }
            let _ = parameter(&query, "id", "&;", true);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(text in ".{0,60}") {
            let mut out = String::new();
            encode(&text, &mut out);
            prop_assert!(out.is_ascii());
            prop_assert_eq!(decode(&out, true), text);
        }
    }
}
