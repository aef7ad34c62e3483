//! Recognition told step by step, for whoever writes a rule. Decides nothing: what is taken is what the interpreter takes,
//! asked piece by piece, and a test holds the two together. Not in the extension's core.

use ticketgate_protocol::page::{Facts, Question};
use ticketgate_protocol::text::FIELD_MAX;
use ticketgate_rule::{AddressRule, Candidate, Fact, Rule};

use super::address::{self, Names, Parts};
use super::read::{Limit, Reader};
use super::rules::{Asked, Known, found, holds};
use super::{Certainty, Recognised, Recognition, Rules};

/// Everything that led to a ticket, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Why no rule was tried at all.
    pub refused: Option<&'static str>,
    /// Every rule, in order; those behind the one that recognised the page were not tried.
    pub rules: Vec<RuleTrace>,
    /// What it comes to.
    pub recognition: Recognition,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTrace {
    /// Its system's id.
    pub system: String,
    /// Its system's name.
    pub name: String,
    /// Why it applies to the host, or why not.
    pub applies: Result<String, String>,
    /// What became of it, where it applies and was tried.
    pub steps: Option<Steps>,
}

/// What a rule that applies did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// Its forms of address, up to the one that fits.
    pub addresses: Vec<AddressTrace>,
    /// Its page facts.
    pub facts: Vec<FactTrace>,
    /// Its fields; none where it was over before.
    pub fields: Vec<FieldTrace>,
    /// The ticket, or why there is none.
    pub outcome: Result<Box<Recognised>, String>,
}

/// One form of address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressTrace {
    /// Its place in the rule, from 1.
    pub place: usize,
    /// Where it comes from.
    pub source: String,
    /// The names that it gives, or which part of it failed.
    pub names: Result<Vec<(String, String)>, String>,
    /// Whether such an address is known to be no ticket's.
    pub no_ticket: bool,
}

/// One page fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactTrace {
    /// `elsewhere`, `when` or `unless`.
    pub kind: &'static str,
    /// What it looks for.
    pub selector: String,
    /// Whether that has to say something.
    pub says: bool,
    /// What was found.
    pub found: Vec<String>,
    /// Whether it holds.
    pub holds: bool,
    /// Whether it counts on this host: `elsewhere` does not where the host names the product.
    pub counts: bool,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTrace {
    /// Its name.
    pub field: &'static str,
    /// Its candidates, in order.
    pub candidates: Vec<CandidateTrace>,
    /// What was taken, and how certain it is.
    pub taken: Option<(String, Certainty)>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateTrace {
    /// What it reads.
    pub reads: String,
    /// Where it comes from.
    pub source: String,
    /// How far it could be trusted.
    pub certainty: Certainty,
    /// Each text that it found, and what was made of it or why it was passed over.
    pub found: Vec<(String, Result<String, &'static str>)>,
    /// Whether this one was taken.
    pub taken: bool,
    /// Whether one before it was taken, so that it did not matter.
    pub too_late: bool,
}

impl Rules {
    /// Leaves only this system's rule.
    pub fn keep_only(&mut self, system: &str) {
        self.rules.retain(|known| known.system() == system);
    }

    /// Every question of every rule, also of those that no single page is asked together.
    pub fn all_questions(&self) -> impl Iterator<Item = &Question> {
        self.rules.iter().filter_map(Known::asked).flat_map(|asked| &asked.questions)
    }

    /// What [`recognise`](Rules::recognise) does, step by step.
    #[must_use]
    pub fn trace(&self, url: &str, facts: &Facts) -> Trace {
        let recognition = self.recognise(url, facts);
        let refuse =
            |why| Trace { refused: Some(why), rules: Vec::new(), recognition: Recognition::NotATicketPage };
        let Some(sender) = Parts::of(url) else { return refuse("the address is not one of http or https") };
        if facts.rules != self.fingerprint {
            return refuse("the answers are to other rules' questions");
        }
        let parts = match Parts::of(&facts.address) {
            Some(parts) if parts.origin == sender.origin => parts,
            Some(_) => return refuse("the page names an address of another site"),
            None => sender,
        };
        let all = || self.rules.iter().filter_map(Known::asked);
        let known = all().any(|asked| asked.at_home(parts.host));
        let mut is_done = false;
        let rules = all().map(|asked| {
            let applies = applies(asked, parts.host, known);
            let steps = (applies.is_ok() && !is_done).then(|| steps(asked, parts, facts, known));
            is_done |= steps.as_ref().is_some_and(|steps| steps.outcome.is_ok());
            RuleTrace { system: asked.rule.system.clone(), name: asked.rule.name.clone(), applies, steps }
        });
        Trace { refused: None, rules: rules.collect(), recognition }
    }
}

fn applies(asked: &Asked, host: &str, known: bool) -> Result<String, String> {
    let rule = &asked.rule;
    let names = |globs: &[String]| globs.iter().find(|glob| address::host_fits(glob, host)).cloned();
    match (names(&rule.hosts), names(&rule.not_hosts)) {
        (Some(glob), None) => Ok(format!("hosts has {glob}")),
        (Some(_), Some(glob)) if known || rule.elsewhere.is_none() => Err(format!("not_hosts has {glob}")),
        _ if known => Err("the host is another system's".into()),
        _ if rule.elsewhere.is_some() => Ok("on any host, by what stands in the page (elsewhere)".into()),
        _ => Err("hosts does not have this one, and the rule has no elsewhere".into()),
    }
}

fn steps(asked: &Asked, parts: Parts<'_>, facts: &Facts, at_home: bool) -> Steps {
    let rule = &asked.rule;
    let recognised = asked.recognise(parts, facts, at_home);
    let (addresses, form) = addresses(rule, parts);
    let page = page_facts(rule, facts, at_home);
    let missing = page.iter().find(|fact| fact.counts && fact.holds == (fact.kind == "unless"));
    let over = match (&form, missing) {
        (None, _) => Some("no form of address fits".to_owned()),
        (Some((form, _)), _) if form.no_ticket => {
            Some("such an address is known to be no ticket's".to_owned())
        }
        (_, Some(fact)) if fact.kind == "unless" => Some(format!("unless: {} is there", fact.selector)),
        (_, Some(fact)) => Some(format!("{}: {} does not hold", fact.kind, fact.selector)),
        _ => None,
    };
    let fields = match (&over, &form) {
        (None, Some((_, names))) => fields(rule, names, facts),
        _ => Vec::new(),
    };
    let outcome = match (recognised, over) {
        (Some(found), _) => Ok(Box::new(found)),
        (None, Some(why)) => Err(why),
        (None, None) => Err("no number was found".into()),
    };
    Steps { addresses, facts: page, fields, outcome }
}

fn addresses<'a>(
    rule: &'a Rule,
    parts: Parts<'a>,
) -> (Vec<AddressTrace>, Option<(&'a AddressRule, Names<'a>)>) {
    let mut tried = Vec::new();
    for (at, form) in rule.addresses.iter().enumerate() {
        let fits = address::fits(form, parts);
        let names = match &fits {
            Some(names) => {
                Ok(names.all().map(|(name, value)| (name.to_owned(), value.into_owned())).collect())
            }
            None => Err(address::misfit(form, parts).unwrap_or_default()),
        };
        tried.push(AddressTrace {
            place: at + 1,
            source: form.source.clone(),
            names,
            no_ticket: form.no_ticket,
        });
        if let Some(names) = fits {
            return (tried, Some((form, names)));
        }
    }
    (tried, None)
}

fn page_facts(rule: &Rule, facts: &Facts, at_home: bool) -> Vec<FactTrace> {
    let elsewhere = rule.elsewhere.iter().flatten().map(|fact| ("elsewhere", fact));
    let all = elsewhere
        .chain(rule.when.iter().map(|fact| ("when", fact)))
        .chain(rule.unless.iter().map(|fact| ("unless", fact)));
    let trace = |(kind, fact): (&'static str, &Fact)| FactTrace {
        kind,
        selector: fact.selector.clone(),
        says: fact.says.is_some(),
        found: found(fact.q, facts).to_vec(),
        holds: holds(fact, facts),
        counts: kind != "elsewhere" || !at_home,
    };
    all.map(trace).collect()
}

fn fields(rule: &Rule, names: &Names<'_>, facts: &Facts) -> Vec<FieldTrace> {
    let read = |field, candidates: &[Candidate], number, limit| {
        let reader = Reader { nothing: &rule.nothing, number };
        let mut taken = None;
        let candidates = candidates
            .iter()
            .map(|candidate| {
                let texts: Vec<String> = match (&candidate.address, candidate.q) {
                    (Some(name), _) => names.get(name).map(|text| text.into_owned()).into_iter().collect(),
                    (None, Some(q)) => found(q, facts).to_vec(),
                    (None, None) => vec![facts.title.clone()],
                };
                let made = |text: String| {
                    let made = reader.read(candidate, &text, limit);
                    let why = || reader.why_nothing(candidate, &text, limit).unwrap_or_default();
                    let made = made.ok_or_else(why);
                    (text, made)
                };
                let found: Vec<_> = texts.into_iter().map(made).collect();
                let value = found.iter().find_map(|(_, made)| made.as_ref().ok());
                let too_late = taken.is_some();
                if let Some(value) = value.filter(|_| !too_late) {
                    taken = Some((value.clone(), candidate.certainty()));
                }
                CandidateTrace {
                    reads: reads(candidate),
                    source: candidate.source.clone(),
                    certainty: candidate.certainty(),
                    taken: !too_late && taken.is_some(),
                    too_late,
                    found,
                }
            })
            .collect();
        FieldTrace { field, candidates, taken }
    };
    let number = read("number", &rule.number, None, Limit::Number);
    let known = number.taken.as_ref().map(|(number, _)| number.clone());
    let mut all = vec![number];
    if let Some(known) = &known {
        let texts: [(&'static str, &[Candidate]); 4] = [
            ("summary", &rule.summary),
            ("customer", &rule.customer),
            ("contact", &rule.contact),
            ("status", &rule.status),
        ];
        let text = |(name, candidates): (&'static str, &[Candidate])| {
            read(name, candidates, Some(known), Limit::Text(FIELD_MAX))
        };
        all.extend(texts.map(text));
    }
    all
}

/// What a candidate reads, in a line.
fn reads(candidate: &Candidate) -> String {
    if let Some(name) = &candidate.address {
        return format!("{name} from the address");
    }
    let Some(selector) = &candidate.selector else { return "the title".into() };
    let mut out = selector.clone();
    if let Some(label) = &candidate.label {
        let words = label.words.join(", ");
        out.push_str(&format!(" labelled {words}"));
    }
    if let Some(value) = &candidate.value {
        out.push_str(&format!(" → {value}"));
    }
    if let Some(scope) = &candidate.scope {
        out.push_str(&format!(" inside {scope}"));
    }
    out
}
