//! A session in several directories, as the popup shows it.

use super::*;

/// A session in two directories.
fn in_two(state: &str, second: Value) -> Value {
    let part = |directory: &str, held: bool| {
        json!({"directory": directory, "mode": "dedicated", "account": format!("jit@{directory}"), "rights": [directory],
            "state": "active", "password_held": held})
    };
    let parts = json!([part("acme-ad", true), with(part("acme-entra", false), second)]);
    with(session("s-1", 1800), json!({"state": state, "parts": parts, "version": 2}))
}

#[test]
fn a_session_in_several_directories_shows_each_and_copies_the_password_that_is_meant() {
    let mut play = Play::with(overview(&[in_two("active", json!({}))]));
    play.open_popup();
    let card = play.view().sessions[0].clone();
    assert_eq!((card.account, card.copy_password, card.rights.len()), (None, None, 0));
    let [first, second] = card.parts.as_slice() else { panic!("two parts") };
    assert_eq!(
        (first.account.as_deref(), first.rights.as_slice()),
        (Some("jit@acme-ad"), ["acme-ad".to_owned()].as_slice())
    );
    assert_eq!(first.copy_password.as_ref().unwrap().label, "Copy password");
    let copy = second.copy_password.clone().unwrap();
    assert_eq!(copy.label, "New password");
    play.intend(copy.intent);
    let asked = &play.last_sent("copy_password").unwrap().method;
    let asked = serde_json::to_value(asked).unwrap();
    assert_eq!(
        (&asked["params"]["directory"], &asked["params"]["renew"]),
        (&json!("acme-entra"), &json!(true))
    );
    let parts = play.view().sessions[0].parts.clone();
    let busy: Vec<_> = parts.iter().map(|part| part.copy_password.as_ref().unwrap().busy).collect();
    assert_eq!(busy, [false, true]);
}

#[test]
fn a_part_that_cannot_be_taken_away_is_named_and_one_without_a_password_offers_none() {
    let mut play = Play::with(overview(&[in_two("active", json!({"passwordless": true}))]));
    play.open_popup();
    assert!(play.view().sessions[0].parts[1].copy_password.is_none());
    let trouble = json!({"problem": {"code": "directory_down", "status": 503, "detail": "It is away.", "remedy": ""}, "attempts": 2});
    let stuck = with(
        in_two("ending", json!({"state": "ending", "trouble": trouble})),
        json!({"trouble": trouble, "version": 3}),
    );
    play.frame(&json!({"event": "session", "data": stuck}));
    let card = play.view().sessions[0].clone();
    assert_eq!(
        (card.tone, card.parts[1].tone, card.parts[0].tone),
        (view::Tone::Red, view::Tone::Red, view::Tone::Calm)
    );
    assert!(card.note.unwrap().text.starts_with("acme-entra: It is away."));
    assert!(card.parts.iter().all(|part| part.copy_password.is_none()));
}
