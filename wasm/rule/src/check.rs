//! Every fault of a rule's text with its line, and what to write instead.

use ticketgate_protocol::page::{ANSWERS_MAX, FOUND_MAX};
use ticketgate_protocol::tree::FromJson;

use super::lines::{Node, What};
use super::{AddressRule, Candidate, Decoder, Fact, Pattern, Rule};

/// What is wrong with a rule's text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The line, from 1.
    pub line: u32,
    /// One sentence, with what to write instead.
    pub text: String,
}

/// Reads a rule and says everything that is wrong with it. `bad_selector` says what is wrong with a CSS selector, where
/// somebody can tell.
///
/// # Errors
/// Every fault, in the order of the lines.
pub fn check(text: &str, bad_selector: &dyn Fn(&str) -> Option<String>) -> Result<Rule, Vec<Flaw>> {
    let node = Node::read(text).map_err(|flaw| vec![flaw])?;
    let mut flaws = Vec::new();
    shape(&node, &Kind::Object(RULE), "a rule", &mut flaws);
    if flaws.is_empty() {
        match Rule::parse(text) {
            Err(fault) => flaws.push(Flaw { line: 1, text: fault.to_string() }),
            Ok(rule) => {
                let mut faults = rule.faults();
                faults.extend(selector_faults(&rule, bad_selector));
                if faults.is_empty() {
                    return Ok(rule);
                }
                flaws.extend(faults.into_iter().map(|(way, text)| Flaw { line: node.line_at(&way), text }));
            }
        }
    }
    // Few enough that a plain loop does what a sort would bring more code for.
    let mut in_order: Vec<Flaw> = Vec::new();
    for flaw in flaws {
        let at = in_order.iter().position(|other| other.line > flaw.line).unwrap_or(in_order.len());
        in_order.insert(at, flaw);
    }
    Err(in_order)
}

/// The line of a value in a rule's text, named by its way (`addresses/0`); the first line where there is none.
#[must_use]
pub fn line_of(text: &str, way: &str) -> u32 {
    Node::read(text).map_or(1, |node| node.line_at(way))
}

/// What a member may hold.
enum Kind {
    Text,
    Flag,
    Count,
    Texts,
    /// A text, by name.
    Named,
    Decoder,
    Read,
    Object(&'static [Member]),
    Objects(&'static [Member]),
}

/// A member: its name, what it holds, and whether it has to be there.
type Member = (&'static str, Kind, bool);

const RULE: &[Member] = &[
    ("system", Kind::Text, true),
    ("name", Kind::Text, true),
    ("source", Kind::Text, true),
    ("hosts", Kind::Texts, false),
    ("not_hosts", Kind::Texts, false),
    ("elsewhere", Kind::Objects(FACT), false),
    ("when", Kind::Objects(FACT), false),
    ("unless", Kind::Objects(FACT), false),
    ("addresses", Kind::Objects(ADDRESS), true),
    ("link", Kind::Text, true),
    ("number", Kind::Objects(CANDIDATE), true),
    ("summary", Kind::Objects(CANDIDATE), false),
    ("customer", Kind::Objects(CANDIDATE), false),
    ("contact", Kind::Objects(CANDIDATE), false),
    ("status", Kind::Objects(CANDIDATE), false),
    ("nothing", Kind::Texts, false),
];

const ADDRESS: &[Member] = &[
    ("source", Kind::Text, true),
    ("path", Kind::Text, true),
    ("query", Kind::Named, false),
    ("hash", Kind::Text, false),
    ("any_case", Kind::Flag, false),
    ("separators", Kind::Text, false),
    ("decoder", Kind::Decoder, false),
    ("decoded", Kind::Named, false),
    ("no_ticket", Kind::Flag, false),
];

const FACT: &[Member] = &[
    ("source", Kind::Text, false),
    ("selector", Kind::Text, true),
    ("hidden_too", Kind::Flag, false),
    ("says", Kind::Text, false),
    ("read", Kind::Read, false),
];

const CANDIDATE: &[Member] = &[
    ("source", Kind::Text, true),
    ("address", Kind::Text, false),
    ("title", Kind::Flag, false),
    ("selector", Kind::Text, false),
    ("scope", Kind::Text, false),
    ("label", Kind::Object(LABEL), false),
    ("value", Kind::Text, false),
    ("read", Kind::Read, false),
    ("holding", Kind::Text, false),
    ("drop", Kind::Text, false),
    ("hidden_too", Kind::Flag, false),
    ("many", Kind::Count, false),
    ("take", Kind::Text, false),
    ("guess", Kind::Flag, false),
    ("unless_named", Kind::Flag, false),
    ("strip_zeros", Kind::Flag, false),
];

const LABEL: &[Member] =
    &[("selector", Kind::Text, false), ("words", Kind::Texts, true), ("control", Kind::Flag, false)];

const READ: &[Member] = &[("attribute", Kind::Text, true)];

/// Whether a value is of its kind, down to its last member.
fn shape(node: &Node<'_>, kind: &Kind, name: &str, flaws: &mut Vec<Flaw>) {
    let wanted = match (kind, &node.what) {
        (Kind::Text, _) if node.text().is_some() => return,
        (Kind::Text, _) => "a text in double quotes",
        (Kind::Flag, What::Plain("true" | "false")) => return,
        (Kind::Flag, _) => "true or false",
        (Kind::Count, What::Plain(number)) if number.parse::<u8>().is_ok() => return,
        (Kind::Count, _) => "a whole number",
        (Kind::Decoder, _) if node.text().as_deref() == Some("connectwise") => return,
        (Kind::Decoder, _) => "\"connectwise\", the only decoder that there is",
        (Kind::Texts, What::List(items)) => {
            for item in items {
                shape(item, &Kind::Text, name, flaws);
            }
            return;
        }
        (Kind::Texts, _) => "a list of texts: [\"…\", \"…\"]",
        (Kind::Named, What::Map(members)) => {
            for (_, name, value) in members {
                shape(value, &Kind::Text, name, flaws);
            }
            return;
        }
        (Kind::Named, _) => "patterns by name: {\"id\": \"[0-9]+\"}",
        (Kind::Read, What::Map(members)) => {
            return object(node.line, members, READ, name, flaws);
        }
        (Kind::Read, _) => match node.text().as_deref() {
            Some("text" | "own_text" | "value" | "present") => return,
            _ => "one of \"text\", \"own_text\", \"value\", \"present\", {\"attribute\": \"…\"}",
        },
        (Kind::Object(known), What::Map(members)) => {
            return object(node.line, members, known, name, flaws);
        }
        (Kind::Object(_), _) => "an object: {…}",
        (Kind::Objects(known), What::List(items)) => {
            for item in items {
                shape(item, &Kind::Object(known), name, flaws);
            }
            return;
        }
        (Kind::Objects(_), _) => "a list of objects: [{…}, {…}]",
    };
    let text = match &node.what {
        What::Plain("null") => format!("`{name}` is null: leave it out, or write {wanted}"),
        _ => format!("`{name}` has to be {wanted}"),
    };
    flaws.push(Flaw { line: node.line, text });
}

fn object(
    line: u32,
    members: &[(u32, String, Node<'_>)],
    known: &'static [Member],
    owner: &str,
    flaws: &mut Vec<Flaw>,
) {
    for (at, (line, name, value)) in members.iter().enumerate() {
        let kind = known.iter().find(|(known, _, _)| known == name);
        let flaw = match kind {
            None => {
                let mut known = known.iter().map(|(name, _, _)| *name);
                let first = known.next().unwrap_or_default().to_owned();
                let known = known.fold(first, |list, name| list + ", " + name);
                format!("unknown member `{name}`; {owner} may have: {known}")
            }
            Some(_) if members.iter().take(at).any(|(_, before, _)| before == name) => {
                format!("`{name}` stands here twice: keep one")
            }
            Some((_, kind, _)) => {
                shape(value, kind, name, flaws);
                continue;
            }
        };
        flaws.push(Flaw { line: *line, text: flaw });
    }
    for (name, _, needed) in known {
        if *needed && !members.iter().any(|(_, there, _)| there == name) {
            flaws.push(Flaw { line, text: format!("`{name}` is missing in {owner}") });
        }
    }
}

/// A fault's place (`number/2/take`) and what it is.
type Fault = (String, String);

impl Rule {
    /// Every fault that a rule of the right shape can have, by its way through the text.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        let mut fault = |way: &str, text: &str| faults.push((way.to_owned(), text.to_owned()));
        let id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.system.is_empty() || self.system.len() > 40 || !self.system.chars().all(id) {
            fault("system", "system: use lower-case letters, digits and '-', at most 40");
        }
        if self.name.trim().is_empty() {
            fault("name", "name: say the system's name for people");
        }
        if self.source.trim().is_empty() {
            fault("source", "source: say where the rule's facts come from");
        }
        if self.hosts.is_empty() && self.elsewhere.is_none() {
            fault("", "neither hosts nor elsewhere: the rule never applies");
        }
        for (at, host) in self.hosts.iter().enumerate() {
            if host.chars().all(|c| matches!(c, '*' | '#' | '.')) {
                fault(
                    &format!("hosts/{at}"),
                    "hosts: on any host a page fact has to tell the product: use elsewhere",
                );
            } else if host.matches(['*', '#']).count() > 3 || host.len() > 253 {
                fault(&format!("hosts/{at}"), "hosts: at most three `*` or `#` and 253 characters in one");
            } else if host.contains(['/', ':', ' ', '?', '@']) {
                fault(
                    &format!("hosts/{at}"),
                    "hosts: write a host without scheme, port and path: desk.example.com, *.example.com",
                );
            }
        }
        if self.elsewhere.as_ref().is_some_and(Vec::is_empty) {
            fault("elsewhere", "elsewhere: on any host a page fact has to tell the product; name one");
        }
        if self.addresses.is_empty() {
            fault("addresses", "addresses: a rule needs at least one form of a ticket's address");
        }
        if self.number.is_empty() {
            fault("number", "number: a rule needs at least one candidate");
        }
        let facts = [
            ("elsewhere", self.elsewhere.as_deref()),
            ("when", Some(&self.when[..])),
            ("unless", Some(&self.unless[..])),
        ];
        for (list, facts) in facts {
            for (at, fact) in facts.into_iter().flatten().enumerate() {
                faults.extend(
                    fact.says.as_ref().and_then(|says| pattern_fault(&format!("{list}/{at}/says"), says)),
                );
            }
        }
        for (at, address) in self.addresses.iter().enumerate() {
            address_faults(&format!("addresses/{at}"), address, &mut faults);
        }
        self.name_faults(&mut faults);
        for (list, at, candidate) in self.placed() {
            candidate_faults(&format!("{list}/{at}"), candidate, &mut faults);
        }
        let asked =
            self.candidates().filter(|candidate| candidate.selector.is_some()).count() + self.facts().count();
        if asked > ANSWERS_MAX {
            faults.push((
                String::new(),
                format!("{asked} questions, and a page answers {ANSWERS_MAX}: name fewer candidates"),
            ));
        }
        faults
    }

    /// Names that `link` and candidates use and no address gives.
    fn name_faults(&self, faults: &mut Vec<Fault>) {
        let gives = |name: &str| {
            self.addresses.iter().any(|address| {
                let decoded = matches!(address.decoder, Some(Decoder::Connectwise))
                    && matches!(name, "screen" | "record");
                decoded
                    || address
                        .patterns()
                        .any(|(_, pattern)| pattern.names().iter().any(|(known, _)| known == name))
            })
        };
        let mut rest = self.link.as_str();
        while let Some((_, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else {
                faults.push(("link".into(), "link: a brace without its partner".into()));
                break;
            };
            if !matches!(name, "origin" | "number") && !gives(name) {
                let text = format!("link: no address gives `{name}`: name a group (?<{name}>…) in one");
                faults.push(("link".into(), text));
            }
            rest = tail;
        }
        for (list, at, candidate) in self.placed() {
            if let Some(name) = candidate.address.as_ref().filter(|name| !gives(name)) {
                let text = format!("address: no address gives `{name}`: name a group (?<{name}>…) in one");
                faults.push((format!("{list}/{at}/address"), text));
            }
        }
    }

    fn placed(&self) -> impl Iterator<Item = (&'static str, usize, &Candidate)> {
        let lists = [
            ("number", &self.number),
            ("summary", &self.summary),
            ("customer", &self.customer),
            ("contact", &self.contact),
            ("status", &self.status),
        ];
        lists
            .into_iter()
            .flat_map(|(name, list)| list.iter().enumerate().map(move |(at, one)| (name, at, one)))
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.elsewhere.iter().flatten().chain(&self.when).chain(&self.unless)
    }
}

impl AddressRule {
    /// Every pattern, by its way from the form.
    fn patterns(&self) -> impl Iterator<Item = (String, &Pattern)> {
        let query = self.query.0.iter().map(|(name, pattern)| (format!("query/{name}"), pattern));
        let decoded = self.decoded.0.iter().map(|(name, pattern)| (format!("decoded/{name}"), pattern));
        let hash = self.hash.iter().map(|pattern| ("hash".to_owned(), pattern));
        std::iter::once(("path".to_owned(), &self.path)).chain(query).chain(hash).chain(decoded)
    }
}

fn pattern_fault(way: &str, pattern: &Pattern) -> Option<Fault> {
    let name = way.split('/').next_back().unwrap_or_default();
    pattern.fault().map(|fault| (way.to_owned(), format!("{name}: bad pattern, {fault}")))
}

fn address_faults(way: &str, address: &AddressRule, faults: &mut Vec<Fault>) {
    if address.decoder.is_none() && !address.decoded.0.is_empty() {
        faults.push((format!("{way}/decoded"), "decoded: what decodes it? Name a decoder".into()));
    }
    if address.source.trim().is_empty() {
        faults.push((format!("{way}/source"), "source: an address needs one".into()));
    }
    faults.extend(address.patterns().filter_map(|(member, p)| pattern_fault(&format!("{way}/{member}"), p)));
}

fn candidate_faults(way: &str, candidate: &Candidate, faults: &mut Vec<Fault>) {
    let mut fault = |member: &str, text: String| faults.push((format!("{way}/{member}"), text));
    let places = [candidate.address.is_some(), candidate.title, candidate.selector.is_some()];
    if places.into_iter().filter(|place| *place).count() != 1 {
        fault("", "a candidate is exactly one of address, title, selector".into());
    }
    if candidate.source.trim().is_empty() {
        fault("source", "source: a candidate needs one".into());
    }
    if candidate.unless_named && !candidate.guess {
        fault(
            "unless_named",
            "unless_named: only a guess needs it; add \"guess\": true, or leave it out".into(),
        );
    }
    if candidate.many == 0 || usize::from(candidate.many) > FOUND_MAX {
        fault("many", format!("many: 1 to {FOUND_MAX}"));
    }
    faults.extend(candidate.take.as_ref().and_then(|take| pattern_fault(&format!("{way}/take"), take)));
}

/// A rule's selectors that do not parse.
fn selector_faults(rule: &Rule, bad_selector: &dyn Fn(&str) -> Option<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut look = |way: String, selector: &str| {
        // A step into a shadow root, and what stands right behind a row, are the probe's own.
        for one in selector.split(" >>> ") {
            if let Some(fault) = bad_selector(one.strip_prefix("+ ").unwrap_or(one)) {
                faults.push((way.clone(), format!("the selector `{one}` does not parse: {fault}")));
            }
        }
    };
    for (list, facts) in [
        ("elsewhere", rule.elsewhere.as_deref()),
        ("when", Some(&rule.when[..])),
        ("unless", Some(&rule.unless[..])),
    ] {
        for (at, fact) in facts.into_iter().flatten().enumerate() {
            look(format!("{list}/{at}/selector"), &fact.selector);
        }
    }
    for (list, at, candidate) in rule.placed() {
        let label = candidate.label.as_ref().and_then(|label| label.selector.as_ref());
        for (member, selector) in [
            ("selector", candidate.selector.as_ref()),
            ("scope", candidate.scope.as_ref()),
            ("value", candidate.value.as_ref()),
            ("drop", candidate.drop.as_ref()),
            ("label/selector", label),
        ] {
            if let Some(selector) = selector {
                look(format!("{list}/{at}/{member}"), selector);
            }
        }
    }
    faults
}
