//! Whether two rules claim one address, as far as that can be told from hosts and forms alone: looked for are addresses that
//! one rule's form describes and the other's takes, too. For whoever writes rules; the core never asks.

use ticketgate_rule::{AddressRule, Class, Pattern, Rule, Step};

use super::address::{self, Parts, host_fits};

/// An address that two rules claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// A made-up address that both take.
    pub address: String,
    /// Which of the first rule's `addresses` takes it.
    pub first: usize,
    /// Which of the second's.
    pub second: usize,
}

/// An address on a host that both rules name and that is a ticket's for both. Where both have page facts (`when`, `unless`),
/// those may tell them apart, and nothing is said. Forms with a decoder are not looked at: their hash cannot be made up.
#[must_use]
pub fn claim_in_common(first: &Rule, second: &Rule) -> Option<Claim> {
    let has_facts = |rule: &Rule| !rule.when.is_empty() || !rule.unless.is_empty();
    if has_facts(first) && has_facts(second) {
        return None;
    }
    let hosts: Vec<String> = first
        .hosts
        .iter()
        .flat_map(|a| second.hosts.iter().filter_map(|b| common_host(a, b)))
        .filter(|host| address::is_at_home(first, host) && address::is_at_home(second, host))
        .collect();
    let forms = first.addresses.iter().chain(&second.addresses);
    let samples: Vec<String> = forms.filter_map(sample_of_form).collect();
    hosts
        .iter()
        .flat_map(|host| samples.iter().map(move |sample| format!("https://{host}{sample}")))
        .find_map(|address| {
            let (first, second) = (form_of(first, &address)?, form_of(second, &address)?);
            Some(Claim { address, first, second })
        })
}

/// Which form takes an address as a ticket's.
fn form_of(rule: &Rule, url: &str) -> Option<usize> {
    let parts = Parts::of(url)?;
    let at = rule.addresses.iter().position(|form| address::fits(form, parts).is_some())?;
    rule.addresses.get(at).is_some_and(|form| !form.no_ticket).then_some(at)
}

/// A host that both globs take.
fn common_host(a: &str, b: &str) -> Option<String> {
    let mut host = meet(a.as_bytes(), b.as_bytes())?;
    if host.starts_with('.') {
        host.insert(0, 'x');
    }
    (host_fits(a, &host) && host_fits(b, &host)).then_some(host)
}

fn meet(a: &[u8], b: &[u8]) -> Option<String> {
    let with = |c: u8, rest: Option<String>| rest.map(|rest| format!("{}{rest}", char::from(c)));
    match (a.split_first(), b.split_first()) {
        (None, None) => Some(String::new()),
        (Some((b'*', after)), Some((b'*', other))) => {
            meet(after, other).or_else(|| meet(after, b)).or_else(|| meet(a, other))
        }
        (Some((b'*', after)), other) => meet(after, b).or_else(|| {
            let (c, rest) = other?;
            with(if *c == b'#' { b'1' } else { *c }, meet(a, rest))
        }),
        (_, Some((b'*', _))) => meet(b, a),
        (Some((b'#', after)), Some((b'#', other))) => with(b'1', meet(after, other)),
        (Some((b'#', after)), Some((c, other))) if c.is_ascii_digit() => {
            with(*c, meet(after, other).or_else(|| meet(a, other)))
        }
        (_, Some((b'#', _))) if a.first().is_some_and(u8::is_ascii_digit) => meet(b, a),
        (Some((c, after)), Some((d, other))) if c.eq_ignore_ascii_case(d) => with(*c, meet(after, other)),
        _ => None,
    }
}

/// Path, query and hash that a form describes.
fn sample_of_form(form: &AddressRule) -> Option<String> {
    if form.decoder.is_some() || form.no_ticket {
        return None;
    }
    let mut out = sample(&form.path)?;
    let separator = form.separators.as_deref().and_then(|all| all.chars().next()).unwrap_or('&');
    for (at, (name, pattern)) in form.query.0.iter().enumerate() {
        out.push(if at == 0 { '?' } else { separator });
        out.push_str(name);
        out.push('=');
        out.push_str(&sample(pattern)?);
    }
    if let Some(hash) = &form.hash {
        out.push('#');
        out.push_str(&sample(hash)?);
    }
    Some(out)
}

/// A shortest text that a pattern takes, as far as its edges allow.
fn sample(pattern: &Pattern) -> Option<String> {
    let program = pattern.program()?;
    let mut seen = vec![false; program.steps.len()];
    // Texts of one length after another, so that the first that is done is a shortest.
    let mut now = vec![(0, String::new())];
    while !now.is_empty() {
        let mut next = Vec::new();
        while let Some((step, text)) = now.pop() {
            match seen.get_mut(step) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let longer = |c: char| (step + 1, format!("{text}{c}"));
            match *program.steps.get(step)? {
                Step::Done => return Some(text),
                Step::Char(c) => next.push(longer(c)),
                Step::Any => next.push(longer('x')),
                Step::Number => next.push(longer('1')),
                Step::Class(class) => next.extend(program.classes.get(class).and_then(one_of).map(longer)),
                Step::Begin | Step::End | Step::Edge(_) | Step::Mark(_) => now.push((step + 1, text)),
                Step::Jump(to) => now.push((to, text)),
                Step::Run { .. } => now.push((step + 2, text)),
                Step::Fork { first, second, .. } => {
                    now.push((first, text.clone()));
                    now.push((second, text));
                }
            }
        }
        now = next;
    }
    None
}

/// A character of a class, digits and small letters first.
fn one_of(class: &Class) -> Option<char> {
    let is_in = |c: char| class.ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != class.negated;
    let usual = "1aAf-_ .~".chars();
    usual.chain(class.ranges.iter().map(|(from, _)| *from)).find(|c| is_in(*c))
}

#[cfg(test)]
mod tests {
    use ticketgate_protocol::tree::FromJson;

    use super::*;
    use crate::BUILT_IN;

    fn rule(host: &str, path: &str, more: &str) -> Rule {
        let text = format!(
            r#"{{"system":"x","name":"X","hosts":["{host}"],"addresses":[{{"path":"{path}"}}],"link":"{{origin}}",
            "number":[{{"title":true}}]{more}}}"#
        );
        Rule::parse(&text).unwrap()
    }

    #[test]
    fn two_rules_that_take_one_address_are_found() {
        for (a, b, expected) in [
            (
                ("*.x.example", "/t/[0-9]+"),
                ("desk.x.example", "/t/(?<id>[0-9]{1,9})"),
                Some("https://desk.x.example/t/1"),
            ),
            (("ww#.x.example", "/t"), ("ww12.*", "/(t|u)"), Some("https://ww12.x.example/t")),
            (("*.x.example", "/t/[a-z]+"), ("*.x.example", "/t/1"), None),
            (("*.x.example", "/t"), ("*.y.example", "/t"), None),
            (("*.x.example", "/.*"), ("*.x.example", "/[^/]+/open"), Some("https://x.x.example/1/open")),
        ] {
            let (a, b) = (rule(a.0, a.1, ""), rule(b.0, b.1, ""));
            let found = claim_in_common(&a, &b).map(|claim| claim.address);
            assert_eq!(found.as_deref(), expected);
            assert_eq!(claim_in_common(&b, &a).is_some(), expected.is_some());
        }
    }

    #[test]
    fn page_facts_of_both_may_tell_two_rules_apart() {
        let facts = r#","when":[{"selector":".a"}]"#;
        let plain = rule("*.x.example", "/t", "");
        let with_facts = rule("*.x.example", "/t", facts);
        assert!(claim_in_common(&plain, &with_facts).is_some());
        assert_eq!(claim_in_common(&with_facts, &rule("*.x.example", "/t", facts)), None);
    }

    #[test]
    fn no_two_built_in_rules_claim_one_address() {
        let rules: Vec<Rule> = BUILT_IN.iter().map(|built_in| Rule::parse(built_in.text).unwrap()).collect();
        for (at, second) in rules.iter().enumerate() {
            for first in rules.iter().take(at) {
                assert_eq!(claim_in_common(first, second), None, "{} and {}", first.system, second.system);
            }
        }
    }

    #[test]
    fn what_is_made_up_for_a_pattern_is_taken_by_it() {
        for built_in in BUILT_IN {
            let rule = Rule::parse(built_in.text).unwrap();
            for form in rule.addresses.iter().filter(|form| !form.no_ticket && form.decoder.is_none()) {
                let url = format!("https://x.example{}", sample_of_form(form).unwrap());
                assert!(address::fits(form, Parts::of(&url).unwrap()).is_some(), "{}: {url}", rule.system);
            }
        }
    }
}
