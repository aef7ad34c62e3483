//! Notifications: each once, and what their buttons do.

use super::*;

#[test]
fn five_minutes_and_one_minute_are_said_once_each() {
    let mut play = Play::with(overview(&[session("s-1", 600)]));
    let said = notices(&play.wait(599));
    assert_eq!(said, ["Acme Corp · Domain Admin: 5 min left", "Acme Corp · Domain Admin: 1 min left"]);
}

#[test]
fn a_session_shorter_than_a_threshold_is_not_warned_of_it() {
    let mut play = Play::with(overview(&[session("s-1", 240)]));
    assert_eq!(notices(&play.effects), Vec::<String>::new());
    assert_eq!(notices(&play.wait(239)), ["Acme Corp · Domain Admin: 1 min left"]);
}

#[test]
fn a_restart_of_the_worker_repeats_no_warning() {
    let mut play = Play::with(overview(&[session("s-1", 600)]));
    assert_eq!(notices(&play.wait(400)).len(), 1);
    let mut next = Play::unstarted();
    next.now = play.now;
    next.start(play.saved.clone(), play.memory.clone());
    assert_eq!(notices(&next.effects), Vec::<String>::new());
    next.greet();
    let now = next.now;
    next.answer("overview", with(overview(&[session("s-1", 600)]), json!({"now": now})));
    assert_eq!(notices(&next.effects), Vec::<String>::new());
    assert_eq!(notices(&next.wait(199)), ["Acme Corp · Domain Admin: 1 min left"]);
}

#[test]
fn an_extension_arms_the_warnings_again() {
    let mut play = Play::with(overview(&[session("s-1", 400)]));
    assert_eq!(notices(&play.wait(200)).len(), 1);
    let longer = with(
        session("s-1", 400),
        json!({"expires_at": start_of_time() + TimeDelta::seconds(4000), "version": 2}),
    );
    play.frame(&json!({"event": "session", "data": longer}));
    assert!(play.effects.contains(&Effect::ClearNotice { id: "warning s-1".into() }));
    assert_eq!(notices(&play.wait(3795)).len(), 2);
}

#[test]
fn waking_late_says_what_is_left_then() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.now += TimeDelta::seconds(3600 - 180);
    play.happen(Input::Alarm {});
    assert_eq!(notices(&play.effects), ["Acme Corp · Domain Admin: 3 min left"]);
}

/// A play whose session was warned of, and the buttons of the warning.
fn warned(session: Value) -> (Play, Vec<String>) {
    let mut play = Play::with(overview(&[session]));
    let effects = play.wait(100);
    let buttons = effects.iter().find_map(|e| match e {
        Effect::Notify { buttons, .. } => Some(buttons.clone()),
        _ => None,
    });
    (play, buttons.unwrap())
}

fn press(play: &mut Play, button: u32) {
    play.happen(Input::NotificationClicked { id: "warning s-1".into(), button: Some(button) });
}

#[test]
fn the_buttons_extend_and_end() {
    let (mut play, buttons) = warned(session("s-1", 400));
    assert_eq!(buttons, ["Extend by 1 h", "End now"]);
    press(&mut play, 0);
    let Method::Extend(wanted) = &play.last_sent("extend").unwrap().method else { panic!() };
    assert_eq!(wanted.by_s, 3600);
    let (mut play, _) = warned(session("s-1", 400));
    press(&mut play, 1);
    assert_eq!(play.count_sent("end"), 1);
}

#[test]
fn at_its_maximum_the_only_button_is_end() {
    let full = with(session("s-1", 400), json!({"latest_end": start_of_time() + TimeDelta::seconds(400)}));
    let (mut play, buttons) = warned(full);
    assert_eq!(buttons, ["End now"]);
    press(&mut play, 1);
    assert_eq!(play.count_sent("end"), 0, "there is no second button");
    press(&mut play, 0);
    assert_eq!((play.count_sent("end"), play.count_sent("extend")), (1, 0));
}

#[test]
fn a_button_does_what_stood_on_it_or_nothing() {
    for (room, expected) in [(0, "nothing left to extend by"), (1800, "less than the button said")] {
        let (mut play, _) = warned(session("s-1", 400));
        let latest = start_of_time() + TimeDelta::seconds(400 + room);
        let less = with(session("s-1", 400), json!({"latest_end": latest, "version": 2}));
        play.frame(&json!({"event": "session", "data": less}));
        press(&mut play, 0);
        assert_eq!((play.count_sent("end"), play.count_sent("extend")), (0, 0), "{expected}");
        assert!(play.opens_popup(), "{expected}");
    }
}

#[test]
fn the_end_is_said_and_a_failing_end_once() {
    let mut play = Play::with(overview(&[session("s-1", 200)]));
    let problem = json!({"code": "directory_down", "status": 503, "detail": "No domain controller answers."});
    let stuck = |attempts: u32| {
        with(
            session("s-1", 200),
            json!({"state": "ending", "version": 1 + attempts, "trouble": {"problem": problem, "attempts": attempts}}),
        )
    };
    play.frame(&json!({"event": "session", "data": stuck(1)}));
    assert_eq!(notices(&play.effects), ["Acme Corp · Domain Admin: the end does not succeed"]);
    play.frame(&json!({"event": "session", "data": stuck(2)}));
    assert_eq!(notices(&play.effects), Vec::<String>::new());
    let ended = with(session("s-1", 200), json!({"state": "ended", "version": 9, "end_cause": "expired"}));
    play.frame(&json!({"event": "session", "data": ended}));
    assert_eq!(notices(&play.effects), ["Acme Corp · Domain Admin ended"]);
    play.frame(&json!({"event": "session", "data": ended}));
    assert_eq!(notices(&play.effects), Vec::<String>::new());
}

#[test]
fn that_a_ticket_was_closed_is_said_with_the_last_minute_and_without_a_button_to_extend() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    let closing = with(
        session("s-1", 60),
        json!({"version": 2, "end_cause": "ticket_closed", "ticket": {"number": "4711"}}),
    );
    play.frame(&json!({"event": "session", "data": closing}));
    let said = play.effects.iter().find_map(|effect| match effect {
        Effect::Notify { message, buttons, .. } => Some((message.clone(), buttons.clone())),
        _ => None,
    });
    let (message, buttons) = said.unwrap();
    assert_eq!(message, "Ticket #4711 was closed: this session ends in 1 min.");
    assert_eq!(buttons, ["End now"]);
    play.frame(&json!({"event": "session", "data": closing}));
    assert_eq!(notices(&play.effects), Vec::<String>::new());
    let ended = with(closing, json!({"state": "ended", "version": 3}));
    play.frame(&json!({"event": "session", "data": ended}));
    assert!(play.effects.iter().any(|effect| matches!(effect,
        Effect::Notify { message, .. } if message.starts_with("Its ticket was closed."))));
}

#[test]
fn a_last_minute_that_is_told_a_moment_before_it_begins_is_said_once() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    let closing = with(
        session("s-1", 61),
        json!({"version": 2, "end_cause": "ticket_closed", "ticket": {"number": "4711"}}),
    );
    play.frame(&json!({"event": "session", "data": closing}));
    assert_eq!(notices(&play.effects).len(), 1);
    assert_eq!(notices(&play.wait(2)), Vec::<String>::new());
}

#[test]
fn a_forged_notification_id_does_nothing() {
    let mut play = Play::with(overview(&[session("s-1", 200)]));
    for id in ["", "warning", "warning ../x", "end-all acme", "warning s-2"] {
        play.happen(Input::NotificationClicked { id: id.into(), button: Some(0) });
        assert_eq!((play.count_sent("end"), play.count_sent("extend")), (0, 0), "{id}");
    }
}
