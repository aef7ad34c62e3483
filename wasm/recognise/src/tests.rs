//! Recognition over fixtures (`wasm/tests/fixtures/facts/*.json`), and over hostile facts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use ticketgate_protocol::page::{ANSWERS_MAX, Answer, Facts, Question};
use ticketgate_protocol::ticket::Ticket;

use super::*;

/// A page as a fixture describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    /// What is special about it.
    about: String,
    url: String,
    /// `location.href`, where it is another than the document's.
    #[serde(default)]
    now_at: Option<String>,
    #[serde(default)]
    title: String,
    /// What questions find: by selector, or `selector | label word | value selector`.
    #[serde(default)]
    page: BTreeMap<String, Vec<String>>,
    expect: Option<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    ticket: Ticket,
    /// Fields that are guesses.
    #[serde(default)]
    guessed: Vec<String>,
    /// Guesses that count as read where they are a configured customer's exact name.
    #[serde(default)]
    likely: Vec<String>,
}

impl Fixture {
    fn facts(&self, rules: &Rules) -> Facts {
        let questions = rules.questions(&self.url).expect("some rule asks");
        let mut used = std::collections::BTreeSet::new();
        let answers = questions
            .ask
            .iter()
            .filter_map(|question| {
                let (key, found) = self.page.iter().find(|(key, _)| is_about(key, question))?;
                used.insert(key.clone());
                let found: Vec<String> = found.iter().take(usize::from(question.many)).cloned().collect();
                Some(Answer { q: question.q, found })
            })
            .collect();
        let unused: Vec<_> = self.page.keys().filter(|key| !used.contains(*key)).collect();
        assert!(unused.is_empty(), "{}: nobody asks for {unused:?}", self.about);
        Facts {
            rules: questions.rules,
            address: self.now_at.clone().unwrap_or_else(|| self.url.clone()),
            title: self.title.clone(),
            shown: true,
            answers,
        }
    }
}

fn is_about(key: &str, question: &Question) -> bool {
    let mut parts = key.split(" | ");
    let selector = parts.next() == Some(&question.selector);
    match (parts.next(), &question.label) {
        (None, None) => selector,
        (Some(word), Some(label)) => {
            selector && label.words.iter().any(|w| w == word) && parts.next() == question.value.as_deref()
        }
        _ => false,
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/facts");
    let mut fixtures: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let list: Vec<Fixture> =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            list.into_iter().map(move |fixture| (name.clone(), fixture))
        })
        .collect();
    fixtures.sort_by(|a, b| (&a.0, &a.1.about).cmp(&(&b.0, &b.1.about)));
    fixtures
}

#[test]
fn every_fixture_is_recognised_as_it_says() {
    let rules = Rules::built_in();
    let mut systems = std::collections::BTreeSet::new();
    for (file, fixture) in fixtures() {
        let about = format!("{file}: {}", fixture.about);
        let recognition = rules.recognise(&fixture.url, &fixture.facts(&rules));
        match (&fixture.expect, recognition) {
            (None, recognition) => assert_eq!(recognition, Recognition::NotATicketPage, "{about}"),
            (Some(expect), Recognition::NotATicketPage) => panic!("{about}: expected {:?}", expect.ticket),
            (Some(expect), Recognition::Ticket(found)) => {
                assert_eq!(found.ticket, expect.ticket, "{about}");
                let certainty = found.certainty;
                for (name, certainty, there) in [
                    ("number", certainty.number, true),
                    ("summary", certainty.summary, found.ticket.summary.is_some()),
                    ("customer", certainty.customer, found.ticket.customer.is_some()),
                    ("contact", certainty.contact, found.ticket.contact.is_some()),
                    ("status", certainty.status, found.ticket.status.is_some()),
                ] {
                    let is_in = |list: &[String]| list.iter().any(|field| field == name);
                    let expected = match (there, is_in(&expect.guessed), is_in(&expect.likely)) {
                        (false, _, _) => Certainty::Missing,
                        (true, true, _) => Certainty::Guessed,
                        (true, _, true) => Certainty::Likely,
                        (true, false, false) => Certainty::Sure,
                    };
                    assert_eq!(certainty, expected, "{about}: {name}");
                }
                systems.insert(found.ticket.system.clone());
            }
        }
    }
    assert_eq!(systems, rules.systems().map(str::to_owned).collect(), "a fixture for each system");
}

fn rt() -> (Rules, Fixture) {
    let fixture = fixtures()
        .into_iter()
        .find(|(file, _)| file == "request-tracker")
        .map(|(_, fixture)| fixture)
        .unwrap();
    (Rules::built_in(), fixture)
}

#[test]
fn facts_of_other_rules_or_of_another_origin_name_no_ticket() {
    let (rules, fixture) = rt();
    let good = fixture.facts(&rules);
    assert!(rules.recognise(&fixture.url, &good).ticket().is_some());
    let other_rules = Facts { rules: good.rules ^ 1, ..good.clone() };
    assert_eq!(rules.recognise(&fixture.url, &other_rules), Recognition::NotATicketPage);
    let other_origin = Facts { address: "https://evil.example/Ticket/Display.html?id=1".into(), ..good };
    assert_eq!(rules.recognise(&fixture.url, &other_origin), Recognition::NotATicketPage);
}

#[test]
fn where_nothing_can_be_read_nothing_is_asked() {
    let rules = Rules::built_in();
    for url in
        ["about:blank", "about:srcdoc", "chrome://settings/", "file:///tmp/a.html", "data:text/html,x", ""]
    {
        assert_eq!(rules.questions(url), None, "{url}");
    }
}

#[test]
fn a_vendors_host_is_asked_only_its_own_questions() {
    let rules = Rules::built_in();
    let autotask =
        rules.questions("https://ww5.autotask.net/Mvc/ServiceDesk/TicketDetail.mvc?ticketId=1").unwrap();
    let unknown = rules.questions("https://desk.example/Ticket/Display.html?id=1").unwrap();
    assert!(autotask.ask.iter().all(|question| question.only_if.is_none()));
    assert!(autotask.ask.iter().any(|question| question.selector.contains("ReadOnlyData")));
    assert!(!unknown.ask.iter().any(|question| question.selector.contains("ReadOnlyData")));
    // On a host that no rule knows, each system asks one thing and the rest only if that is there.
    let free: Vec<_> = unknown.ask.iter().filter(|question| question.only_if.is_none()).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()));
    let anywhere = files.filter(|text| text.as_ref().unwrap().contains("\"elsewhere\"")).count();
    assert_eq!(free.len(), anywhere, "{free:?}");
    for question in &unknown.ask {
        assert!(question.only_if.is_none_or(|gate| free.iter().any(|free| free.q == gate)));
    }
}

#[test]
fn the_questions_of_a_site_do_not_depend_on_the_page() {
    let rules = Rules::built_in();
    assert_eq!(
        rules.questions("https://acme.halopsa.com/tickets?id=5"),
        rules.questions("https://acme.halopsa.com/home#x")
    );
}

#[test]
fn a_full_set_of_answers_fits_the_wire() {
    let rules = Rules::built_in();
    for url in [
        "https://ww5.autotask.net/",
        "https://na.myconnectwise.net/",
        "https://a.halopsa.com/",
        "https://a.service-now.com/",
        "https://a.atlassian.net/",
    ] {
        let asked = rules.questions(url).unwrap().ask.len();
        assert!(asked <= ANSWERS_MAX, "{url}: {asked}");
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "#[0-9]{1,80}: [\u{0}-\u{ff}\u{202a}-\u{202e}\u{200b}]{0,40}",
        Just("__proto__".to_owned()),
        Just("constructor".to_owned()),
        Just("#4711: \u{202e}nimda\u{202c}".to_owned()),
        Just(format!("#1: {}", "x".repeat(1000))),
        Just(
            "Service Ticket #99999999999999999999999999999999999999999999999999999999999999999999 - a"
                .to_owned()
        ),
    ]
}

proptest! {
    #[test]
    fn whatever_a_page_says_a_recognised_ticket_passes_the_check(
        url in prop_oneof![
            Just("https://desk.example/Ticket/Display.html?id=4711".to_owned()),
            Just("https://na.myconnectwise.net/v2025_1/ConnectWise.aspx?locale=en_US#XQAA==??ServiceTicket".to_owned()),
            Just("https://ww5.autotask.net/Mvc/ServiceDesk/TicketDetail.mvc?ticketId=53203".to_owned()),
            Just("https://acme.halopsa.com/tickets?id=000123".to_owned()),
            Just("https://acme.zendesk.com/agent/tickets/12".to_owned()),
            Just("https://acme.service-now.com/incident.do?sys_id=9c573169c611228700193229fff72400".to_owned()),
            Just("https://desk.zoho.eu/agent/%C3%A4/all/tickets/details/101000000012345678".to_owned()),
            "https://[a-z]{1,5}\\.example/[ -~]{0,30}/browse/[A-Z]{2,9}-[0-9]{1,40}",
            "https://acme\\.halopsa\\.com/tickets\\?id=[0-9]{1,80}",
            "https://desk\\.example/[ -~]{0,30}/Ticket/Display\\.html\\?id=[0-9]{1,9}[ -~]{0,20}",
        ],
        title in hostile_text(),
        texts in proptest::collection::vec(hostile_text(), 1..6),
        shown in any::<bool>(),
    ) {
        let rules = Rules::built_in();
        if let Some(questions) = rules.questions(&url) {
            let answers = questions
                .ask
                .iter()
                .zip(texts.iter().cycle())
                .map(|(question, text)| Answer { q: question.q, found: vec![text.clone()] })
                .collect();
            let facts = Facts { rules: questions.rules, address: url.clone(), title, shown, answers };
            if let Recognition::Ticket(found) = rules.recognise(&url, &facts) {
                prop_assert_eq!(found.ticket.clone().checked(), Ok(found.ticket.clone()));
                prop_assert!(found.certainty.number != Certainty::Missing);
                if let Some(address) = &found.ticket.url {
                    let origin: String = url.split('/').take(3).collect::<Vec<_>>().join("/");
                    prop_assert!(address.starts_with(&origin), "{} {}", address, origin);
                }
            }
        }
    }
}
