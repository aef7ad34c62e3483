//! An administrator's recognition rules: which counts, what is said about one at fault, and pages that are asked anew.

use super::*;

const DESK_URL: &str = "https://desk.example/t/7";

/// A rule for one host, whose tickets' addresses begin so.
fn rule(system: &str, path: &str) -> String {
    json!({"system": system, "name": "Own", "source": "ours", "hosts": ["desk.example"],
        "addresses": [{"source": "seen", "path": format!("/{path}/(?<id>[0-9]+)")}], "link": format!("{{origin}}/{path}/{{id}}"),
        "number": [{"source": "seen", "address": "id"}]})
    .to_string()
}

fn managed(rules: Vec<String>) -> Input {
    Input::Managed { settings: input::Managed { rules, ..input::Managed::default() } }
}

/// Asks the page at the address and says which system's ticket it shows.
fn system(play: &mut Play) -> Option<String> {
    let sender = || Sender { url: Some(DESK_URL.into()), ..from_desk() };
    play.page(sender(), &json!({"page": "arrived"}));
    let asked = play.effects.iter().find_map(|e| match e {
        Effect::Answer { questions } => questions.clone(),
        _ => None,
    })?;
    let facts = json!({"rules": asked.rules, "address": DESK_URL, "title": "", "shown": true, "answers": []});
    play.page(sender(), &json!({"page": "report", "facts": facts}));
    play.worker.recognised_ticket(1).map(|ticket| ticket.system.clone())
}

fn asks_pages_anew(play: &Play) -> bool {
    play.effects.iter().any(|e| matches!(e, Effect::InjectInto { patterns: None }))
}

#[test]
fn the_brokers_rules_recognise_pages_and_the_browsers_policy_wins_over_them() {
    let mut play = Play::with(overview(&[]));
    assert_eq!(system(&mut play), None);
    play.worker.overview_due = Some(play.now);
    play.happen(Input::Timer {});
    play.answer("overview", with(overview(&[]), json!({"rules": [rule("own", "t")]})));
    assert!(asks_pages_anew(&play));
    assert_eq!(system(&mut play).as_deref(), Some("own"));
    // The same system by policy, and its tickets are elsewhere.
    play.happen(managed(vec![rule("own", "other")]));
    assert!(asks_pages_anew(&play));
    assert_eq!(system(&mut play), None);
    play.happen(managed(Vec::new()));
    assert_eq!(system(&mut play).as_deref(), Some("own"));
}

#[test]
fn a_page_that_was_pointed_at_is_asked_anew_too() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.happen(managed(vec![rule("own", "t")]));
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Inject { tab: 1 })));
}

#[test]
fn rules_that_stay_the_same_ask_nobody_anew() {
    let answer = with(overview(&[]), json!({"rules": [rule("own", "t")]}));
    let mut play = Play::with(answer.clone());
    play.worker.overview_due = Some(play.now);
    play.happen(Input::Timer {});
    play.answer("overview", answer);
    assert!(!asks_pages_anew(&play));
    play.happen(managed(Vec::new()));
    assert!(!asks_pages_anew(&play));
}

#[test]
fn the_brokers_rules_outlive_the_worker_and_are_not_kept_among_the_rest() {
    let mut play = Play::with(with(overview(&[]), json!({"rules": [rule("own", "t")]})));
    let kept = play.effects.iter().find_map(|e| match e {
        Effect::SaveRules { text } => Some(text.clone()),
        _ => None,
    });
    assert!(!play.saved.as_ref().unwrap().contains("own"));
    let mut next = Play::unstarted();
    next.happen(Input::Started(Started {
        id: EXTENSION_ID.into(),
        session: play.saved.take(),
        rules: kept,
        tabs: vec![1],
        ..Started::default()
    }));
    assert!(!asks_pages_anew(&next));
    assert_eq!(system(&mut next).as_deref(), Some("own"));
}

#[test]
fn a_faulty_rule_of_the_policy_is_left_out_and_the_popup_says_which_line() {
    let mut play = Play::with(overview(&[]));
    let bad = "{\n  \"system\": \"bad\",\n  \"script\": 1\n}".to_owned();
    play.happen(managed(vec![bad, rule("own", "t"), rule("own", "u")]));
    assert_eq!(system(&mut play).as_deref(), Some("own"));
    play.open_popup();
    let said: Vec<_> = play.view().notices.iter().map(|note| note.text.clone()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("rule 1, line 1") || said[0].contains("rule 1, line 3"), "{said:?}");
    assert!(said[1].contains("rule 3, line 1: another rule before it has the same system"), "{said:?}");
}

#[test]
fn a_rule_of_the_broker_that_cannot_be_read_is_said() {
    let mut play = Play::with(with(overview(&[]), json!({"rules": [r#"{"of": "a later version"}"#]})));
    play.open_popup();
    assert!(play.view().notices[0].text.contains("update the extension"));
}
