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
    rules: Vec<Known>,
    fingerprint: u32,
}

/// A rule that is known by its place, and read or not.
#[derive(Debug)]
struct Known {
    built_in: Option<&'static BuiltIn>,
    place: usize,
    asked: OnceLock<Option<Box<Asked>>>,
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
    fn asked(&self) -> Option<&Asked> {
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

    fn system(&self) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_sound() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/");
        let files: Vec<(&str, String)> = BUILT_IN
            .iter()
            .map(|rule| (rule.file, std::fs::read_to_string(format!("{folder}{}", rule.file)).unwrap()))
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(Rules::from_files(&files).map(|rules| rules.rules.len()), Ok(BUILT_IN.len()));
        assert!(Rules::built_in().rules.iter().all(|known| known.asked().is_some()));
        // What is left out for the core is what nobody but their readers needs.
        for ((_, whole), built_in) in files.iter().zip(BUILT_IN) {
            let mut whole: serde_json::Value = serde_json::from_str(whole).unwrap();
            take_sources(&mut whole);
            let file = built_in.file;
            assert_eq!(serde_json::from_str::<serde_json::Value>(built_in.text).unwrap(), whole, "{file}");
        }
    }

    fn read(rules: &Rules) -> Vec<&str> {
        rules.rules.iter().filter(|known| known.asked.get().is_some()).map(Known::system).collect()
    }

    #[test]
    fn a_rule_is_read_only_for_a_page_that_it_may_be_about() {
        let rules = Rules::built_in();
        assert_eq!(read(&rules), [""; 0]);
        let _ = rules.questions("https://acme.zendesk.com/agent/tickets/1");
        assert_eq!(read(&rules), ["zendesk"]);
        let _ = rules.questions("https://app.atera.com/");
        assert_eq!(read(&rules), ["atera", "zendesk"]);
        // A host that nobody names: of what a page answers only the system whose first fact is there.
        let rules = Rules::built_in();
        let gate = rules.rules.iter().find(|known| known.system() == "request-tracker").unwrap().gate();
        let url = "https://desk.example/Ticket/Display.html?id=7";
        let answers = vec![ticketgate_protocol::page::Answer { q: gate, found: vec!["#7: Printer".into()] }];
        let facts =
            Facts { rules: FINGERPRINT, address: url.into(), answers, shown: true, ..Facts::default() };
        let _ = rules.recognise(url, &facts);
        assert_eq!(read(&rules), ["request-tracker"]);
        let _ = rules.questions("https://desk.example/");
        let anywhere = BUILT_IN.iter().filter(|rule| rule.elsewhere);
        assert_eq!(read(&rules), anywhere.map(|rule| rule.system).collect::<Vec<_>>());
    }

    #[test]
    fn questions_and_fingerprint_do_not_depend_on_what_was_read_before() {
        let (fresh, used) = (Rules::built_in(), Rules::built_in());
        for known in used.rules.iter().rev() {
            known.asked();
        }
        for url in ["https://acme.zendesk.com/", "https://desk.example/", "https://ww5.autotask.net/"] {
            assert_eq!(fresh.questions(url), used.questions(url));
        }
    }

    const MINE: &str = r#"{"system":"SYSTEM","name":"Mine","source":"-","hosts":["HOST"],
        "addresses":[{"source":"-","path":"/mine/(?<number>[0-9]+)"}],"link":"{origin}/mine/{number}",
        "number":[{"source":"-","address":"number"}]}"#;

    fn ticket(rules: &Rules, url: &str) -> Option<(String, String)> {
        let facts = Facts { rules: rules.fingerprint, address: url.into(), shown: true, ..Facts::default() };
        rules.recognise(url, &facts).ticket().map(|ticket| (ticket.system.clone(), ticket.number.clone()))
    }

    #[test]
    fn an_administrators_rule_takes_the_place_of_the_built_in_one_of_its_system() {
        let text = MINE.replace("SYSTEM", "zendesk").replace("HOST", "*.zendesk.com");
        let rules = Rules::with(vec![(Rule::parse(&text).unwrap(), &text)]);
        assert_ne!(rules.fingerprint, FINGERPRINT);
        assert_eq!(rules.systems().filter(|system| *system == "zendesk").count(), 1);
        assert_eq!(ticket(&rules, "https://a.zendesk.com/mine/7"), Some(("zendesk".into(), "7".into())));
        assert_eq!(ticket(&rules, "https://a.zendesk.com/agent/tickets/7"), None);
        let usual = Rules::built_in();
        assert_eq!(ticket(&usual, "https://a.zendesk.com/mine/7"), None);
        assert_eq!(
            ticket(&usual, "https://a.zendesk.com/agent/tickets/7"),
            Some(("zendesk".into(), "7".into()))
        );
    }

    #[test]
    fn an_added_rule_stands_before_the_built_in_ones_and_changes_no_number_of_theirs() {
        let text = MINE.replace("SYSTEM", "mine").replace("HOST", "acme.zendesk.com");
        let rules = Rules::with(vec![(Rule::parse(&text).unwrap(), &text)]);
        assert_eq!(ticket(&rules, "https://acme.zendesk.com/mine/7"), Some(("mine".into(), "7".into())));
        assert_eq!(
            ticket(&rules, "https://acme.zendesk.com/agent/tickets/7"),
            Some(("zendesk".into(), "7".into()))
        );
        let ask = |rules: &Rules| rules.questions("https://desk.example/").unwrap().ask;
        assert_eq!(ask(&rules), ask(&Rules::built_in()));
    }

    #[test]
    fn a_host_that_nobody_knows_is_asked_within_the_limit_and_each_system_begins_with_something_cheap() {
        let rules = Rules::built_in();
        let ask = rules.questions("https://desk.example/").unwrap().ask;
        let all: usize = rules
            .rules
            .iter()
            .filter(|k| k.is_for_any_host())
            .map(|k| k.asked().unwrap().questions.len())
            .sum();
        assert_eq!(ask.len(), all, "all of them fit");
        assert!(all <= QUESTIONS_MAX, "{all}");
        for gate in ask.iter().filter(|question| question.only_if.is_none()) {
            let costly = [" >>> ", "*:", ":has(", ":not(:"];
            assert!(!costly.iter().any(|part| gate.selector.contains(part)), "{}", gate.selector);
            assert!(
                gate.scope.is_none() && gate.label.is_none() && gate.value.is_none(),
                "{}",
                gate.selector
            );
        }
        let largest = rules.rules.iter().map(|known| known.asked().unwrap().questions.len()).max().unwrap();
        assert!(largest <= ticketgate_protocol::page::ANSWERS_MAX && largest < QUESTIONS_EACH, "{largest}");
    }

    #[test]
    fn no_pattern_explodes_however_it_is_written() {
        let long = format!("{}!", "a".repeat(900));
        for bomb in [
            "(a+)+$",
            "(a|a)*b",
            "(a|aa)+$",
            "([a-zA-Z]+)*\\d",
            "(.*)(.*)(.*)(.*)(.*)x",
            "(a?){30}a{30}b",
            "(x+x+)+y",
            "^(([a-z])+.)+[A-Z]([a-z])+$",
            "((((a{9}){9}){9}){9}){9}",
            "a{1,65535}",
            "a{4000000000}",
            "(?<id>.*a){12}",
            "(a*)*",
            "((a*)+)+",
        ] {
            let text = MINE
                .replace("SYSTEM", "x")
                .replace("HOST", "x.example")
                .replace("/mine/(?<number>[0-9]+)", bomb);
            let begun = std::time::Instant::now();
            // Refused or linear: either is quick.
            let pattern = ticketgate_rule::Pattern::new(&bomb.replace("\\\\", "\\"));
            drop(find(&pattern, &long, How::default()));
            drop(find(&pattern, &long, How { whole: true, ..How::default() }));
            drop(Rules::from_files(&[("x.json", &text)]));
            assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{bomb}: {:?}", begun.elapsed());
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
        let asked = rules.rules.iter().filter_map(Known::asked);
        assert!(asked.flat_map(|asked| &asked.questions).all(|question| seen.insert(question.q)));
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
            ("[0-9]+", "[0-9", "path: bad pattern"),
            (r#""name":"X""#, r#""name":"X","script":"1""#, "unknown member `script`"),
            (r#"["x.example"]"#, r#"["*.*.*.*.x.example"]"#, "at most three"),
            ("{origin}/t/{number}", "{origin}/t/{id}", "no address gives `id`"),
            (r#""address":"number""#, r#""address":"id""#, "no address gives `id`"),
        ] {
            let broken = sound.replace(from, to);
            let fault = Rules::from_files(&[("x.json", &broken)]).expect_err(expected).to_string();
            assert!(fault.starts_with("x.json:") && fault.contains(expected), "{fault}");
        }
    }
}
