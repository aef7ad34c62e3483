//! The set of rules: which apply to an address, what they ask, and the recognition itself.
//!
//! Rules are numbered by their place, and each has [`QUESTIONS_EACH`] numbers for its questions, so that no number depends on
//! which texts were read before.

use std::fmt;
use std::sync::OnceLock;

use ticketgate_protocol::page::{Facts, QUESTIONS_MAX, Question, Questions, Read};
use ticketgate_protocol::text::{self, FIELD_MAX, URL_MAX};
use ticketgate_protocol::ticket::Ticket;
use ticketgate_protocol::tree::FromJson;
use ticketgate_rule::{Candidate, Fact, Rule};

use super::address::{self, Names, Parts};
use super::built_in::{BUILT_IN, BuiltIn, FINGERPRINT};
use super::fingerprint::fingerprint;
use super::read::{self, Reader};
use super::search::{How, find};
use super::{Certainty, FieldCertainty, Recognised, Recognition};

/// Numbers that each rule has for its questions: more than a page may answer, which is what a rule is checked for.
const QUESTIONS_EACH: usize = 128;
const _: () = assert!(QUESTIONS_EACH > ticketgate_protocol::page::ANSWERS_MAX);

/// A rule file that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRule {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// What is wrong with it.
    pub fault: String,
}

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.fault)
    }
}

impl std::error::Error for BadRule {}

/// Rules, ready to ask and to recognise. Those of this build are read when a page needs them.
#[derive(Debug, Default)]
pub struct Rules {
    pub(super) rules: Vec<Known>,
    pub(super) fingerprint: u32,
}

/// A rule that is known by its place, and read or not.
#[derive(Debug)]
pub(super) struct Known {
    built_in: Option<&'static BuiltIn>,
    place: usize,
    asked: OnceLock<Option<Box<Asked>>>,
}

/// A rule with its questions numbered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) rule: Rule,
    pub(super) questions: Vec<Question>,
}

impl Rules {
    /// The rules of this build. That none is at fault is for a test to say, not for every start.
    #[must_use]
    pub fn built_in() -> Self {
        Self::with(Vec::new())
    }

    /// The rules of this build behind an administrator's, each with its text. Of several with one system the first counts.
    #[must_use]
    pub fn with(added: Vec<(Rule, &str)>) -> Self {
        let mut rules = Self { rules: Vec::new(), fingerprint: FINGERPRINT };
        for (rule, text) in added {
            if !rules.systems().any(|system| system == rule.system) {
                rules.add(BUILT_IN.len() + rules.rules.len(), rule, text);
            }
        }
        let added = rules.rules.len();
        for (place, built_in) in BUILT_IN.iter().enumerate() {
            let mut before = rules.rules.iter().take(added);
            if !before.any(|known| known.system() == built_in.system) {
                rules.rules.push(Known { built_in: Some(built_in), place, asked: OnceLock::new() });
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
        for (place, (file, text)) in files.iter().enumerate() {
            let bad = |line, fault: String| BadRule { file: (*file).to_owned(), line, fault };
            let rule = ticketgate_rule::check(text, &|_| None).map_err(|flaws| {
                flaws
                    .into_iter()
                    .next()
                    .map_or_else(|| bad(1, String::new()), |flaw| bad(flaw.line, flaw.text))
            })?;
            rules.add(place, rule, text);
        }
        Ok(rules)
    }

    fn add(&mut self, place: usize, rule: Rule, text: &str) {
        self.fingerprint = fingerprint(self.fingerprint, text.as_bytes());
        let asked = OnceLock::from(Some(Box::new(Asked::new(rule, place))));
        self.rules.push(Known { built_in: None, place, asked });
    }

    /// The ids of all systems.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(Known::system)
    }

    /// What to read on a page of this address's site, or `None` where no rule can apply. The answer is the same for
    /// every address of a site, so that it holds while a single-page app moves about.
    #[must_use]
    pub fn questions(&self, url: &str) -> Option<Questions> {
        let parts = Parts::of(url)?;
        let mut applies = false;
        let mut ask: Vec<Question> = Vec::new();
        for (known, at_home) in self.applying(parts) {
            let Some(asked) = known.asked() else { continue };
            // A rule may ask nothing because the address says all that is known; the page is watched all the same.
            applies = true;
            if ask.len() + asked.questions.len() <= QUESTIONS_MAX {
                ask.extend(asked.ask(at_home));
            }
        }
        applies.then_some(Questions { rules: self.fingerprint, ask })
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
            // On a foreign host a product whose first fact is not there need not be read.
            .filter(|(known, at_home)| *at_home || !found(known.gate(), facts).is_empty())
            .find_map(|(known, at_home)| known.asked()?.recognise(parts, facts, at_home))
            .map_or(Recognition::NotATicketPage, |found| Recognition::Ticket(Box::new(found)))
    }

    /// Rules for the host; where one names it, those for any host keep out of it.
    fn applying<'a>(&'a self, parts: Parts<'a>) -> impl Iterator<Item = (&'a Known, bool)> {
        let first = self.rules.iter().position(|known| known.at_home(parts.host));
        self.rules.iter().enumerate().skip(first.unwrap_or(0)).filter_map(move |(at, known)| {
            let applies = match first {
                Some(first) => at == first || known.at_home(parts.host),
                None => known.is_for_any_host(),
            };
            applies.then_some((known, first.is_some()))
        })
    }
}

impl Known {
    pub(super) fn asked(&self) -> Option<&Asked> {
        let read = || {
            let rule = Rule::parse(self.built_in?.text).ok()?;
            Some(Box::new(Asked::new(rule, self.place)))
        };
        self.asked.get_or_init(read).as_deref()
    }

    /// An administrator's rule was read when it was taken in.
    fn rule(&self) -> Option<&Rule> {
        self.asked.get().and_then(Option::as_ref).map(|asked| &asked.rule)
    }

    pub(super) fn system(&self) -> &str {
        match self.built_in {
            Some(built_in) => built_in.system,
            None => self.rule().map_or("", |rule| &rule.system),
        }
    }

    fn at_home(&self, host: &str) -> bool {
        match self.built_in {
            Some(known) => {
                let any = |globs: &[&str]| globs.iter().any(|glob| address::host_fits(glob, host));
                any(known.hosts) && !any(known.not_hosts)
            }
            None => self.rule().is_some_and(|rule| address::is_at_home(rule, host)),
        }
    }

    fn is_for_any_host(&self) -> bool {
        match self.built_in {
            Some(known) => known.elsewhere,
            None => self.rule().is_some_and(|rule| rule.elsewhere.is_some()),
        }
    }

    /// The number of the question for the first fact that tells the product.
    fn gate(&self) -> u16 {
        number(self.place, 0)
    }
}

/// The number of a question of the rule at this place.
fn number(place: usize, question: usize) -> u16 {
    u16::try_from(place * QUESTIONS_EACH + question).unwrap_or(u16::MAX)
}

impl Asked {
    fn new(mut rule: Rule, place: usize) -> Self {
        let mut questions: Vec<Question> = Vec::new();
        let mut numbered = |question: Question| {
            let at = questions.iter().position(|other| *other == question).unwrap_or_else(|| {
                questions.push(question);
                questions.len() - 1
            });
            number(place, at)
        };
        let elsewhere = rule.elsewhere.iter_mut().flatten();
        for fact in elsewhere.chain(&mut rule.when).chain(&mut rule.unless) {
            fact.q = numbered(question_of_fact(fact));
        }
        for field in
            [&mut rule.number, &mut rule.summary, &mut rule.customer, &mut rule.contact, &mut rule.status]
        {
            for candidate in field {
                candidate.q = question_of_candidate(candidate).map(&mut numbered);
            }
        }
        for (at, question) in questions.iter_mut().enumerate() {
            question.q = number(place, at);
        }
        Self { rule, questions }
    }

    #[cfg(feature = "trace")]
    pub(super) fn at_home(&self, host: &str) -> bool {
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

    pub(super) fn recognise(&self, parts: Parts<'_>, facts: &Facts, at_home: bool) -> Option<Recognised> {
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
pub(super) fn holds(fact: &Fact, facts: &Facts) -> bool {
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
pub(super) fn found(q: u16, facts: &Facts) -> &[String] {
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

#[cfg(test)]
mod tests;
