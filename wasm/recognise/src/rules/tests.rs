//! Which rules are read, numbered and replaced, and which files are refused.

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
    let facts = Facts { rules: FINGERPRINT, address: url.into(), answers, shown: true, ..Facts::default() };
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
    assert_eq!(ticket(&usual, "https://a.zendesk.com/agent/tickets/7"), Some(("zendesk".into(), "7".into())));
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
    let all: usize =
        rules.rules.iter().filter(|k| k.is_for_any_host()).map(|k| k.asked().unwrap().questions.len()).sum();
    assert_eq!(ask.len(), all, "all of them fit");
    assert!(all <= QUESTIONS_MAX, "{all}");
    for gate in ask.iter().filter(|question| question.only_if.is_none()) {
        let costly = [" >>> ", "*:", ":has(", ":not(:"];
        assert!(!costly.iter().any(|part| gate.selector.contains(part)), "{}", gate.selector);
        assert!(gate.scope.is_none() && gate.label.is_none() && gate.value.is_none(), "{}", gate.selector);
    }
    let largest = rules.rules.iter().map(|known| known.asked().unwrap().questions.len()).max().unwrap();
    assert!(largest <= ticketgate_protocol::page::ANSWERS_MAX, "{largest}");
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
        let text =
            MINE.replace("SYSTEM", "x").replace("HOST", "x.example").replace("/mine/(?<number>[0-9]+)", bomb);
        let begun = std::time::Instant::now();
        // Refused or linear: either is quick.
        let pattern = ticketgate_rule::Pattern::new(&bomb.replace("\\\\", "\\"));
        let _ = find(&pattern, &long, How::default());
        let _ = find(&pattern, &long, How { whole: true, ..How::default() });
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
