//! One system's rule as it stands in its data file, and the checks that a rule has to pass. No interpretation.

use ticketgate_protocol::page::{FOUND_MAX, Label, Read};
use ticketgate_protocol::tree::{Faults, FromJson, Value};

use super::Certainty;
use super::pattern::Pattern;

/// How one system's ticket pages are recognised.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// The system's id (`request-tracker`).
    pub(super) system: String,
    /// The system's name for people.
    pub(super) name: String,
    /// Where the rule's facts come from, for whoever maintains it.
    #[serde(default)]
    pub(super) source: String,
    /// Hosts of the vendor: `*` stands for any characters, `#` for digits.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    /// Hosts that are not tenants although `hosts` says so.
    #[serde(default)]
    pub(super) not_hosts: Vec<String>,
    /// Page facts that tell the product on any other host. Absent: only `hosts`.
    #[serde(default)]
    pub(super) elsewhere: Option<Vec<Fact>>,
    /// Page facts that hold on every ticket page.
    #[serde(default)]
    pub(super) when: Vec<Fact>,
    /// Page facts that rule a ticket page out.
    #[serde(default)]
    pub(super) unless: Vec<Fact>,
    /// What a ticket's address looks like; the first that fits counts.
    pub(super) addresses: Vec<AddressRule>,
    /// The ticket's address, the same from wherever it was reached: `{origin}` and the names that addresses and
    /// `{number}` give. Left out where a name has no value.
    pub(super) link: String,
    /// Candidates for the number, the most trusted first.
    pub(super) number: Vec<Candidate>,
    /// Candidates for the summary.
    #[serde(default)]
    pub(super) summary: Vec<Candidate>,
    /// Candidates for the customer.
    #[serde(default)]
    pub(super) customer: Vec<Candidate>,
    /// Candidates for the contact.
    #[serde(default)]
    pub(super) contact: Vec<Candidate>,
    /// Candidates for the status.
    #[serde(default)]
    pub(super) status: Vec<Candidate>,
    /// Further words that mean "nothing" in this system.
    #[serde(default)]
    pub(super) nothing: Vec<String>,
}

/// One form of a ticket's address. Patterns match the whole of what they are about; their named groups become names.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressRule {
    #[serde(default)]
    pub(super) source: String,
    /// The path, still percent-encoded.
    pub(super) path: Pattern,
    /// Query parameters (decoded) that have to be there.
    #[serde(default)]
    pub(super) query: Parameters,
    /// What stands behind `#`, still encoded. Absent: anything.
    #[serde(default)]
    pub(super) hash: Option<Pattern>,
    /// Path, hash and parameter names are compared without case.
    #[serde(default)]
    pub(super) any_case: bool,
    /// What separates query parameters, if not only `&`.
    #[serde(default)]
    pub(super) separators: Option<String>,
    /// Reserved: a decoder for what the address hides (ConnectWise's hash). This build knows none and refuses it.
    #[serde(default)]
    pub(super) decoder: Option<String>,
}

/// Patterns by the names of query parameters.
#[derive(Debug, Default)]
pub(super) struct Parameters(pub(super) Vec<(String, Pattern)>);

impl FromJson for Parameters {
    fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
        let Some(mut parts) = value.and_then(Value::members) else {
            faults.expected("patterns by name were expected");
            return Self::default();
        };
        let mut patterns = Vec::new();
        while let Some(name) = parts.next() {
            patterns.push((String::read(Some(name), faults), Pattern::read(parts.next(), faults)));
        }
        Self(patterns)
    }
}

/// A page fact: something that is there, and perhaps says something.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub(super) struct Fact {
    #[serde(default)]
    #[allow(dead_code, reason = "for readers of the data")]
    pub(super) source: Option<String>,
    /// Any visible element that matches (any at all with `hidden_too`).
    pub(super) selector: String,
    #[serde(default)]
    pub(super) hidden_too: bool,
    /// Its text holds a match of this pattern.
    #[serde(default)]
    pub(super) says: Option<Pattern>,
    /// What of it to compare with `says`.
    #[serde(default)]
    pub(super) read: Read,
    /// The question that asks for it.
    #[serde(skip)]
    pub(super) q: u16,
}

/// One place where a field may stand: a name out of the address, the title, or a question to the page.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub(super) struct Candidate {
    #[serde(default)]
    pub(super) source: String,
    /// A name that the address gives.
    #[serde(default)]
    pub(super) address: Option<String>,
    /// The page's title.
    #[serde(default)]
    pub(super) title: bool,
    /// A question: see `protocol::page::Question` for this and the next seven.
    #[serde(default)]
    pub(super) selector: Option<String>,
    #[serde(default)]
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) label: Option<Label>,
    #[serde(default)]
    pub(super) value: Option<String>,
    #[serde(default)]
    pub(super) read: Read,
    #[serde(default)]
    pub(super) holding: Option<String>,
    #[serde(default)]
    pub(super) drop: Option<String>,
    #[serde(default)]
    pub(super) hidden_too: bool,
    #[serde(default = "one")]
    pub(super) many: u8,
    /// Take the first group that matched (or the whole match) of this pattern, in which `{number}` stands for the
    /// number found; a text without a match is passed over.
    #[serde(default)]
    pub(super) take: Option<Pattern>,
    /// Often, not always, what the field means.
    #[serde(default)]
    pub(super) guess: bool,
    /// A guess that counts as read where it is a configured customer's exact name.
    #[serde(default)]
    pub(super) unless_named: bool,
    /// Zeros in front do not belong to it.
    #[serde(default)]
    pub(super) strip_zeros: bool,
    /// The question that asks for it, where one does.
    #[serde(skip)]
    pub(super) q: Option<u16>,
}

fn one() -> u8 {
    1
}

impl Candidate {
    /// How far what it finds can be trusted to mean what the field's name says.
    pub(super) fn certainty(&self) -> Certainty {
        match (self.guess, self.unless_named) {
            (false, _) => Certainty::Sure,
            (true, true) => Certainty::Likely,
            (true, false) => Certainty::Guessed,
        }
    }
}

impl Rule {
    /// Every candidate of every field.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        [&self.number, &self.summary, &self.customer, &self.contact, &self.status].into_iter().flatten()
    }

    /// Says what is wrong with the rule, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.system.is_empty() || !self.system.chars().all(id) {
            return Some("system: use lower-case letters, digits and '-'".into());
        }
        if self.name.trim().is_empty() || self.source.trim().is_empty() {
            return Some("name and source may not be empty".into());
        }
        if self.hosts.is_empty() && self.elsewhere.is_none() {
            return Some("neither hosts nor elsewhere: the rule never applies".into());
        }
        if self.hosts.iter().any(|host| host == "*") || self.elsewhere.as_ref().is_some_and(Vec::is_empty) {
            return Some("on any host a page fact has to tell the product: use elsewhere".into());
        }
        if self.addresses.is_empty() || self.number.is_empty() {
            return Some("a rule needs an address and a number".into());
        }
        let facts = self.when.iter().chain(&self.unless).chain(self.elsewhere.iter().flatten());
        self.addresses
            .iter()
            .find_map(address_fault)
            .or_else(|| {
                facts.filter_map(|fact| fact.says.as_ref()).find_map(|says| pattern_fault("says", says))
            })
            .or_else(|| self.candidates().find_map(candidate_fault))
    }
}

fn address_fault(address: &AddressRule) -> Option<String> {
    if let Some(decoder) = &address.decoder {
        return Some(format!("no decoder {decoder:?} in this build"));
    }
    if address.source.trim().is_empty() {
        return Some("an address needs a source".into());
    }
    let patterns =
        address.query.0.iter().map(|(_, pattern)| pattern).chain([&address.path]).chain(&address.hash);
    patterns.into_iter().find_map(|pattern| pattern_fault("address", pattern))
}

fn candidate_fault(candidate: &Candidate) -> Option<String> {
    let places = [candidate.address.is_some(), candidate.title, candidate.selector.is_some()];
    if places.into_iter().filter(|place| *place).count() != 1 {
        return Some("a candidate is one of address, title, selector".into());
    }
    if candidate.source.trim().is_empty() {
        return Some("a candidate needs a source".into());
    }
    if candidate.unless_named && !candidate.guess {
        return Some("unless_named: only a guess needs it".into());
    }
    if candidate.many == 0 || usize::from(candidate.many) > FOUND_MAX {
        return Some(format!("many: 1 to {FOUND_MAX}"));
    }
    candidate.take.as_ref().and_then(|take| pattern_fault("take", take))
}

fn pattern_fault(place: &str, pattern: &Pattern) -> Option<String> {
    pattern.fault().map(|fault| format!("{place}: {fault}"))
}
