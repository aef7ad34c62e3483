//! The set of rules: which apply to an address, what they ask, and the recognition itself.

use std::fmt;

use ticketgate_protocol::page::{Facts, QUESTIONS_MAX, Question, Questions, Read};
use ticketgate_protocol::text::{self, FIELD_MAX, URL_MAX};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::FromJson;
use ticketgate_rule::{Candidate, Fact, Rule};

use super::address::{self, Names, Parts};
use super::read::{self, Reader};
use super::search::{How, find};
use super::{Certainty, FieldCertainty, Recognised, Recognition};

/// The rules that are compiled in, by file name; `build.rs` takes out what is for their readers only.
const BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// A rule file that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRule {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.fault)
    }
}

impl std::error::Error for BadRule {}

/// Checked rules, ready to ask and to recognise.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Asked>,
    fingerprint: u32,
}

/// A rule with its questions numbered.
#[derive(Debug)]
struct Asked {
    rule: Rule,
    questions: Vec<Question>,
}

impl Rules {
    /// The rules of this build. That none is at fault is for a test to say, not for every start.
    #[must_use]
    pub fn built_in() -> Self {
        let mut rules = Self::default();
        for (_, text) in BUILT_IN {
            if let Ok(rule) = Rule::parse(text) {
                rules.add(rule, text);
            }
        }
        rules
    }

    /// Rules out of files: name and JSON.
    ///
    /// # Errors
    /// [`BadRule`] names the first file at fault.
    pub fn from_files(files: &[(&str, &str)]) -> Result<Self, BadRule> {
        let mut rules = Self::default();
        for (file, text) in files {
            let bad = |fault: String| BadRule { file: (*file).to_owned(), fault };
            let rule = Rule::parse(text).map_err(|fault| bad(fault.to_string()))?;
            if let Some(fault) = rule.fault() {
                return Err(bad(fault));
            }
            rules.add(rule, text);
            if rules.count() > QUESTIONS_MAX {
                return Err(bad(format!("more than {QUESTIONS_MAX} questions in all rules")));
            }
        }
        Ok(rules)
    }

    fn add(&mut self, rule: Rule, text: &str) {
        self.fingerprint = fnv1a(self.fingerprint, text.as_bytes());
        let asked = Asked::new(rule, self.count());
        self.rules.push(asked);
    }

    /// The ids of all systems.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|asked| asked.rule.system.as_str())
    }

    /// How many questions all rules have.
    fn count(&self) -> usize {
        self.rules.iter().map(|asked| asked.questions.len()).sum()
    }

    /// What to read on a page of this address's site, or `None` where no rule can apply. The answer is the same for
    /// every address of a site, so that it holds while a single-page app moves about.
    #[must_use]
    pub fn questions(&self, url: &str) -> Option<Questions> {
        let parts = Parts::of(url)?;
        let mut applying = self.applying(parts).peekable();
        // A rule may ask nothing because the address says all that is known; the page is watched all the same.
        applying.peek()?;
        let ask = applying.flat_map(|(asked, at_home)| asked.ask(at_home)).collect();
        Some(Questions { rules: self.fingerprint, ask })
    }

    /// What the facts amount to. `url` is the sender's, as the browser tells it; the address inside the facts is
    /// believed only within the same origin.
    #[must_use]
    pub fn recognise(&self, url: &str, facts: &Facts) -> Recognition {
        let Some(sender) = Parts::of(url) else { return Recognition::NotATicketPage };
        if facts.rules != self.fingerprint {
            return Recognition::NotATicketPage;
        }
        let parts = match Parts::of(&facts.address) {
            Some(parts) if parts.origin == sender.origin => parts,
            Some(_) => return Recognition::NotATicketPage,
            None => sender,
        };
        self.applying(parts)
            .find_map(|(asked, at_home)| asked.recognise(parts, facts, at_home))
            .map_or(Recognition::NotATicketPage, |found| Recognition::Ticket(Box::new(found)))
    }

    /// Rules for the host; where one names it, those for any host keep out of it.
    fn applying<'a>(&'a self, parts: Parts<'a>) -> impl Iterator<Item = (&'a Asked, bool)> {
        let known = self.rules.iter().any(|asked| asked.at_home(parts.host));
        self.rules.iter().filter_map(move |asked| {
            let applies = if known { asked.at_home(parts.host) } else { asked.rule.elsewhere.is_some() };
            applies.then_some((asked, known))
        })
    }
}

impl Asked {
    fn new(mut rule: Rule, first: usize) -> Self {
        let mut questions: Vec<Question> = Vec::new();
        let mut number = |question: Question| {
            let at = questions.iter().position(|other| *other == question).unwrap_or_else(|| {
                questions.push(question);
                questions.len() - 1
            });
            u16::try_from(first + at).unwrap_or(u16::MAX)
        };
        let elsewhere = rule.elsewhere.iter_mut().flatten();
        for fact in elsewhere.chain(&mut rule.when).chain(&mut rule.unless) {
            fact.q = number(question_of_fact(fact));
        }
        for field in
            [&mut rule.number, &mut rule.summary, &mut rule.customer, &mut rule.contact, &mut rule.status]
        {
            for candidate in field {
                candidate.q = question_of_candidate(candidate).map(&mut number);
            }
        }
        for (at, question) in questions.iter_mut().enumerate() {
            question.q = u16::try_from(first + at).unwrap_or(u16::MAX);
        }
        Self { rule, questions }
    }

    fn at_home(&self, host: &str) -> bool {
        let any = |globs: &[String]| globs.iter().any(|glob| address::host_fits(glob, host));
        any(&self.rule.hosts) && !any(&self.rule.not_hosts)
    }

    /// The questions. On a foreign host all wait for the first fact that tells the product.
    fn ask(&self, at_home: bool) -> Vec<Question> {
        let gate = if at_home { None } else { self.questions.first().map(|question| question.q) };
        let mut ask = self.questions.clone();
        for question in &mut ask {
            question.only_if = gate.filter(|gate| *gate != question.q);
        }
        ask
    }

    fn recognise(&self, parts: Parts<'_>, facts: &Facts, at_home: bool) -> Option<Recognised> {
        let rule = &self.rule;
        let mut forms = rule.addresses.iter();
        let (form, names) = forms.find_map(|form| Some((form, address::fits(form, parts)?)))?;
        if form.no_ticket {
            return None;
        }
        let elsewhere = if at_home { None } else { rule.elsewhere.as_ref() };
        let holds = |fact: &Fact| holds(fact, facts);
        if !elsewhere.into_iter().flatten().chain(&rule.when).all(holds) || rule.unless.iter().any(holds) {
            return None;
        }
        let reader = |number| Reader { nothing: &rule.nothing, number };
        let (number, number_certainty) =
            field(&rule.number, &reader(None), &names, facts, read::Limit::Number)?;
        let reader = reader(Some(&number));
        let text = |candidates: &[Candidate]| {
            field(candidates, &reader, &names, facts, read::Limit::Text(FIELD_MAX))
                .map_or((None, Certainty::Missing), |(text, certainty)| (Some(text), certainty))
        };
        let (summary, summary_certainty) = text(&rule.summary);
        let (customer, customer_certainty) = text(&rule.customer);
        let (contact, contact_certainty) = text(&rule.contact);
        let (status, status_certainty) = text(&rule.status);
        let url = address::link(&rule.link, parts, &names, &number)
            .filter(|url| text::trimmed(url, URL_MAX).is_ok() && Parts::of(url).is_some());
        let ticket = Ticket { system: rule.system.clone(), number, url, summary, customer, contact, status };
        Some(Recognised {
            // Every text above is folded and bounded.
            ticket: ticket.checked().ok()?,
            certainty: FieldCertainty {
                number: number_certainty,
                summary: summary_certainty,
                customer: customer_certainty,
                contact: contact_certainty,
                status: status_certainty,
            },
            shown: facts.shown,
        })
    }
}

/// Whether a page fact is there.
fn holds(fact: &Fact, facts: &Facts) -> bool {
    let found = found(fact.q, facts);
    match &fact.says {
        None => !found.is_empty(),
        Some(says) => found.iter().any(|text| find(says, text, How::default()).is_some()),
    }
}

/// The first candidate that says something.
fn field(
    candidates: &[Candidate],
    reader: &Reader<'_>,
    names: &Names<'_>,
    facts: &Facts,
    limit: read::Limit,
) -> Option<(String, Certainty)> {
    for candidate in candidates {
        let read = |text: &str| reader.read(candidate, text, limit);
        let text = match (&candidate.address, candidate.q) {
            (Some(name), _) => names.get(name).and_then(|text| read(&text)),
            (None, Some(q)) => found(q, facts).iter().find_map(|text| read(text)),
            (None, None) => read(&facts.title),
        };
        if let Some(text) = text {
            return Some((text, candidate.certainty()));
        }
    }
    None
}

/// What a question found.
fn found(q: u16, facts: &Facts) -> &[String] {
    facts.answers.iter().find(|answer| answer.q == q).map_or(&[], |answer| &answer.found)
}

fn question_of_fact(fact: &Fact) -> Question {
    let (read, many) = match &fact.says {
        None => (Read::Present, 1),
        Some(_) => (fact.read.clone(), 4),
    };
    Question {
        q: 0,
        only_if: None,
        selector: fact.selector.clone(),
        scope: None,
        label: None,
        value: None,
        read,
        holding: None,
        drop: None,
        hidden_too: fact.hidden_too,
        many,
    }
}

fn question_of_candidate(candidate: &Candidate) -> Option<Question> {
    Some(Question {
        q: 0,
        only_if: None,
        selector: candidate.selector.clone()?,
        scope: candidate.scope.clone(),
        label: candidate.label.clone(),
        value: candidate.value.clone(),
        read: candidate.read.clone(),
        holding: candidate.holding.clone(),
        drop: candidate.drop.clone(),
        hidden_too: candidate.hidden_too,
        many: candidate.many,
    })
}

/// FNV-1a, 32 bits: tells builds' rules apart, nothing more.
fn fnv1a(start: u32, bytes: &[u8]) -> u32 {
    let start = if start == 0 { 0x811c_9dc5 } else { start };
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_sound() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/");
        let files: Vec<(&str, String)> = BUILT_IN
            .iter()
            .map(|(name, _)| (*name, std::fs::read_to_string(format!("{folder}{name}")).unwrap()))
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(Rules::from_files(&files).map(|rules| rules.rules.len()), Ok(BUILT_IN.len()));
        assert_eq!(Rules::built_in().rules.len(), BUILT_IN.len());
        // What is left out for the core is what nobody but their readers needs.
        for ((_, whole), (name, built_in)) in files.iter().zip(BUILT_IN) {
            let mut whole: serde_json::Value = serde_json::from_str(whole).unwrap();
            take_sources(&mut whole);
            assert_eq!(serde_json::from_str::<serde_json::Value>(built_in).unwrap(), whole, "{name}");
        }
    }

    fn take_sources(value: &mut serde_json::Value) {
        if let Some(members) = value.as_object_mut() {
            members.remove("source");
            members.values_mut().for_each(take_sources);
        } else if let Some(values) = value.as_array_mut() {
            values.iter_mut().for_each(take_sources);
        }
    }

    #[test]
    fn question_numbers_are_unique_over_all_rules() {
        let rules = Rules::built_in();
        let mut seen = std::collections::BTreeSet::new();
        assert!(
            rules.rules.iter().flat_map(|asked| &asked.questions).all(|question| seen.insert(question.q))
        );
        assert!(seen.len() > 30);
    }

    #[test]
    fn a_page_is_watched_although_its_rule_asks_nothing() {
        let silent = r#"{"system":"x","name":"X","source":"-","hosts":["x.example"],
            "addresses":[{"source":"-","path":"/t/(?<number>[0-9]+)"}],"link":"{origin}/t/{number}",
            "number":[{"source":"-","address":"number"}]}"#;
        let rules = Rules::from_files(&[("x.json", silent)]).unwrap();
        assert_eq!(rules.questions("https://x.example/").map(|questions| questions.ask.len()), Some(0));
        assert_eq!(rules.questions("https://y.example/"), None);
    }

    #[test]
    fn files_at_fault_are_refused_with_the_reason() {
        let sound = r#"{"system":"x","name":"X","source":"-","hosts":["x.example"],
            "addresses":[{"source":"-","path":"/t/(?<number>[0-9]+)"}],"link":"{origin}/t/{number}",
            "number":[{"source":"-","address":"number"}]}"#;
        assert!(Rules::from_files(&[("x.json", sound)]).is_ok());
        for (from, to, expected) in [
            (r#""system":"x""#, r#""system":"X!""#, "lower-case"),
            (r#"["x.example"]"#, r#"["*"]"#, "page fact"),
            (r#"["x.example"]"#, "[]", "never applies"),
            (r#""address":"number""#, r#""address":"number","title":true"#, "one of"),
            (r#""address":"number""#, r#""address":"number","unless_named":true"#, "only a guess"),
            (r#""path":"#, r#""decoder":"lzma","path":"#, "decoder"),
            (r#""path":"#, r#""decoded":{"screen":"x"},"path":"#, "what decodes it"),
            ("[0-9]+", "[0-9", "address"),
            (r#""name":"X""#, r#""name":"X","script":"1""#, "unknown field"),
        ] {
            let broken = sound.replace(from, to);
            let fault = Rules::from_files(&[("x.json", &broken)]).expect_err(expected).to_string();
            assert!(fault.starts_with("x.json: ") && fault.contains(expected), "{fault}");
        }
    }
}
