use proptest::prelude::*;
use serde_json::json;

use super::*;

fn facts(answers: &serde_json::Value) -> serde_json::Value {
    json!({"rules": 7, "address": "https://desk.example/t?id=1", "title": "#1: A", "shown": true, "answers": answers})
}

fn report(answers: &serde_json::Value) -> Result<FromPage, BadPage> {
    FromPage::from_json(&json!({"page": "report", "facts": facts(answers)}).to_string())
}

#[test]
fn each_message_is_read() {
    let click = json!({"page": "click", "token": "t1", "facts": facts(&json!([{"q": 1, "found": ["x"]}]))});
    assert!(
        matches!(FromPage::from_json(&click.to_string()), Ok(FromPage::Click { token, .. }) if token == "t1")
    );
    for (text, expected) in [
        (r#"{"page":"arrived"}"#, FromPage::Arrived),
        (r#"{"page":"near"}"#, FromPage::Near),
        (r#"{"page":"refused_click","why":"covered"}"#, FromPage::RefusedClick(Refused::Covered)),
        (r#"{"page":"hide_button","for":"site"}"#, FromPage::HideButton(HideFor::Site)),
        (
            r#"{"page":"placement","placement":{"corner":"top_left","x":4,"y":9}}"#,
            FromPage::Placement(Placement { corner: Corner::TopLeft, x: 4, y: 9 }),
        ),
    ] {
        assert_eq!(FromPage::from_json(text), Ok(expected), "{text}");
    }
}

#[test]
fn unknown_messages_members_and_shapes_are_refused() {
    for text in [
        "",
        "null",
        "[]",
        r#"{"page":"activate"}"#,
        r#"{"page":"arrived","tab":3}"#,
        r#"{"page":"hide_button","for":"ever"}"#,
        r#"{"page":"placement","placement":{"corner":"top_left","x":-1,"y":9}}"#,
        r#"{"page":"placement","placement":{"corner":"top_left","x":1e9,"y":9}}"#,
        r#"{"page":"report","facts":{"__proto__":{}}}"#,
        r#"{"page":"report"}"#,
    ] {
        assert_eq!(FromPage::from_json(text), Err(BadPage::Malformed), "{text}");
    }
}

#[test]
fn too_much_is_refused_not_cut() {
    let long = "x".repeat(TEXT_MAX + 1);
    assert_eq!(report(&json!([{"q": 1, "found": [long]}])), Err(BadPage::TooLong));
    assert_eq!(report(&json!([{"q": 1, "found": []}])), Err(BadPage::TooMany));
    assert_eq!(report(&json!([{"q": 1, "found": vec!["a"; FOUND_MAX + 1]}])), Err(BadPage::TooMany));
    let many: Vec<_> = (0..=ANSWERS_MAX).map(|q| json!({"q": q, "found": ["a"]})).collect();
    assert_eq!(report(&json!(many)), Err(BadPage::TooMany));
    assert_eq!(report(&json!([{"q": 1, "found": ["a"]}, {"q": 1, "found": ["b"]}])), Err(BadPage::Twice));
    let megabyte = "x".repeat(1 << 20);
    assert_eq!(report(&json!([{"q": 1, "found": [megabyte]}])), Err(BadPage::TooLarge));
}

#[test]
fn the_longest_allowed_texts_pass() {
    let long = "ü".repeat(TEXT_MAX);
    assert!(matches!(report(&json!([{"q": 1, "found": [long]}])), Ok(FromPage::Report(_))));
}

#[test]
fn pushes_have_the_shape_that_the_content_script_reads() {
    let view = ChipView {
        token: "t".into(),
        label: "Activate".into(),
        detail: "Activate now".into(),
        state: ChipState::Ready,
        one_click: true,
        placement: Placement::default(),
    };
    let json = serde_json::to_value(ToPage::Show(view)).unwrap();
    assert_eq!(
        json,
        json!({"show": {"token": "t", "label": "Activate", "detail": "Activate now", "state": "ready", "one_click": true,
            "placement": {"corner": "bottom_right", "x": 24, "y": 24}}})
    );
    assert_eq!(serde_json::to_value(ToPage::Hide(true)).unwrap(), json!({"hide": true}));
    assert_eq!(serde_json::to_value(ToPage::Stop(true)).unwrap(), json!({"stop": true}));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in any::<String>()) {
        let _ = FromPage::from_json(&text);
    }

    #[test]
    fn what_the_facts_hold_survives_the_wire(title in ".{0,200}", found in proptest::collection::vec(".{0,80}", 1..8)) {
        let facts = Facts { rules: 1, address: "https://a.example/".into(), title, shown: true,
            answers: vec![Answer { q: 4, found }] };
        let json = serde_json::to_string(&facts).unwrap();
        prop_assert_eq!(Facts::from_json(&json), Ok(facts));
    }
}
