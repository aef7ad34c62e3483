//! One system's rule as it stands in its data file, and the checks that a rule has to pass. No interpretation.

mod pattern;

use ticketgate_protocol::page::{FOUND_MAX, Label, Read};
use ticketgate_protocol::tree::{Faults, FromJson, Value};

pub use pattern::{BadPattern, Class, GROUPS_MAX, Pattern, Program, Step};

/// How far a field can be trusted to mean what its name says. None of it is proof.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The page does not say; the person types it.
    #[default]
    Missing,
    /// Read from a place that often but not always means this (the last words in parentheses as the customer).
    Guessed,
    /// The same, but where the place says a configured customer's exact name, that is hardly chance (a queue).
    Likely,
    /// Read from the place that the system has for it.
    Sure,
}

/// How one system's ticket pages are recognised.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The system's id (`request-tracker`).
    pub system: String,
    /// The system's name for people.
    pub name: String,
    /// Where the rule's facts come from, for whoever maintains it.
    #[serde(default)]
    pub source: String,
    /// Hosts of the vendor: `*` stands for any characters, `#` for digits.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Hosts that are not tenants although `hosts` says so.
    #[serde(default)]
    pub not_hosts: Vec<String>,
    /// Page facts that tell the product on any other host. Absent: only `hosts`.
    #[serde(default)]
    pub elsewhere: Option<Vec<Fact>>,
    /// Page facts that hold on every ticket page.
    #[serde(default)]
    pub when: Vec<Fact>,
    /// Page facts that rule a ticket page out.
    #[serde(default)]
    pub unless: Vec<Fact>,
    /// What a ticket's address looks like; the first that fits counts.
    pub addresses: Vec<AddressRule>,
    /// The ticket's address, the same from wherever it was reached: `{origin}` and the names that addresses and
    /// `{number}` give. Left out where a name has no value.
    pub link: String,
    /// Candidates for the number, the most trusted first.
    pub number: Vec<Candidate>,
    /// Candidates for the summary.
    #[serde(default)]
    pub summary: Vec<Candidate>,
    /// Candidates for the customer.
    #[serde(default)]
    pub customer: Vec<Candidate>,
    /// Candidates for the contact.
    #[serde(default)]
    pub contact: Vec<Candidate>,
    /// Candidates for the status.
    #[serde(default)]
    pub status: Vec<Candidate>,
    /// Further words that mean "nothing" in this system.
    #[serde(default)]
    pub nothing: Vec<String>,
}

/// One form of a ticket's address. Patterns match the whole of what they are about; their named groups become names.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub struct AddressRule {
    /// Where it comes from, for whoever maintains the rule.
    #[serde(default)]
    pub source: String,
    /// The path, still percent-encoded.
    pub path: Pattern,
    /// Query parameters (decoded) that have to be there.
    #[serde(default)]
    pub query: Parameters,
    /// What stands behind `#`, still encoded. Absent: anything.
    #[serde(default)]
    pub hash: Option<Pattern>,
    /// Path, hash and parameter names are compared without case.
    #[serde(default)]
    pub any_case: bool,
    /// What separates query parameters, if not only `&`.
    #[serde(default)]
    pub separators: Option<String>,
    /// Decodes what stands behind `#`, and gives more names.
    #[serde(default)]
    pub decoder: Option<Decoder>,
    /// Names that the decoder has to give, with patterns for the whole of their values.
    #[serde(default)]
    pub decoded: Parameters,
    /// Such an address is known to be no ticket's.
    #[serde(default)]
    pub no_ticket: bool,
}

/// What decodes a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromJson)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// ConnectWise PSA: gives `screen`, and `record` where one is open.
    Connectwise,
}

/// Patterns by the names of query parameters.
#[derive(Debug, Default)]
pub struct Parameters(pub Vec<(String, Pattern)>);

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
pub struct Fact {
    /// Where it comes from, for whoever maintains the rule.
    #[serde(default)]
    pub source: Option<String>,
    /// Any visible element that matches (any at all with `hidden_too`).
    pub selector: String,
    /// Also elements that are not visible.
    #[serde(default)]
    pub hidden_too: bool,
    /// Its text holds a match of this pattern.
    #[serde(default)]
    pub says: Option<Pattern>,
    /// What of it to compare with `says`.
    #[serde(default)]
    pub read: Read,
    /// The question that asks for it.
    #[serde(skip)]
    pub q: u16,
}

/// One place where a field may stand: a name out of the address, the title, or a question to the page.
#[derive(Debug, FromJson)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Where it comes from, for whoever maintains the rule.
    #[serde(default)]
    pub source: String,
    /// A name that the address gives.
    #[serde(default)]
    pub address: Option<String>,
    /// The page's title.
    #[serde(default)]
    pub title: bool,
    /// A question, of which `ticketgate_protocol::page::Question` says what this and the next seven mean.
    #[serde(default)]
    pub selector: Option<String>,
    /// Only inside of this.
    #[serde(default)]
    pub scope: Option<String>,
    /// Only rows with such a label.
    #[serde(default)]
    pub label: Option<Label>,
    /// The value inside of the element or row.
    #[serde(default)]
    pub value: Option<String>,
    /// What of it.
    #[serde(default)]
    pub read: Read,
    /// Only texts that hold this.
    #[serde(default)]
    pub holding: Option<String>,
    /// Descendants whose text does not count.
    #[serde(default)]
    pub drop: Option<String>,
    /// Also elements that are not visible.
    #[serde(default)]
    pub hidden_too: bool,
    /// At most this many texts.
    #[serde(default = "one")]
    pub many: u8,
    /// Take the first group that matched (or the whole match) of this pattern, in which `{number}` stands for the
    /// number found; a text without a match is passed over.
    #[serde(default)]
    pub take: Option<Pattern>,
    /// Often, not always, what the field means.
    #[serde(default)]
    pub guess: bool,
    /// A guess that counts as read where it is a configured customer's exact name.
    #[serde(default)]
    pub unless_named: bool,
    /// Zeros in front do not belong to it.
    #[serde(default)]
    pub strip_zeros: bool,
    /// The question that asks for it, where one does.
    #[serde(skip)]
    pub q: Option<u16>,
}

fn one() -> u8 {
    1
}

impl Candidate {
    /// How far what it finds can be trusted to mean what the field's name says.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match (self.guess, self.unless_named) {
            (false, _) => Certainty::Sure,
            (true, true) => Certainty::Likely,
            (true, false) => Certainty::Guessed,
        }
    }
}

impl Rule {
    /// Every candidate of every field.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        [&self.number, &self.summary, &self.customer, &self.contact, &self.status].into_iter().flatten()
    }

    /// Says what is wrong with the rule, if anything is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
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
    if address.decoder.is_none() && !address.decoded.0.is_empty() {
        return Some("decoded: what decodes it?".into());
    }
    if address.source.trim().is_empty() {
        return Some("an address needs a source".into());
    }
    let named = address.query.0.iter().chain(&address.decoded.0).map(|(_, pattern)| pattern);
    let patterns = named.chain([&address.path]).chain(&address.hash);
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
