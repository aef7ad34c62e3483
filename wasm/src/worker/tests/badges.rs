//! The badge over time.

use super::*;

#[test]
fn the_badge_counts_down_to_the_second_in_the_last_minute() {
    let mut play = Play::with(overview(&[session("s-1", 121)]));
    assert_eq!(badges(&play.effects), ["2m"]);
    let shown = badges(&play.wait(119));
    assert_eq!(shown.first().map(String::as_str), Some("1m"));
    assert_eq!(shown[1..4], ["59s", "58s", "57s"]);
    assert_eq!(shown.last().map(String::as_str), Some("2s"));
    assert_eq!(shown.len(), 1 + 58, "each text once");
}

#[test]
fn what_the_badge_will_show_is_told_in_advance_and_comes_true() {
    let mut play = Play::with(overview(&[session("s-1", 75)]));
    let told = play.worker.coming_badges(play.now);
    assert!(told.len() > 20, "{told:?}");
    let mut seen = Vec::new();
    for _ in 0..40 {
        for effect in play.wait(1) {
            if let Effect::Badge { text, color, .. } = effect {
                seen.push((play.now.timestamp_millis(), text, color));
            }
        }
    }
    assert!(seen.len() >= 20, "{seen:?}");
    for (one, (at, text, color)) in told.iter().skip(1).zip(&seen) {
        assert_eq!((&one.text, one.color), (text, *color));
        assert!((at - one.at).abs() <= 1000, "{one:?} came at {at}");
    }
    // Nothing runs: what it shows holds.
    let calm = Play::with(overview(&[]));
    assert_eq!(calm.worker.coming_badges(calm.now).len(), 1);
}

#[test]
fn after_sleep_the_badge_is_right_at_once() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    // No timer goes off while the machine sleeps.
    play.now += TimeDelta::seconds(3600 - 45);
    play.happen(Input::Alarm {});
    assert_eq!(badges(&play.effects), ["45s"]);
}

#[test]
fn the_brokers_clock_counts_not_the_browsers() {
    let mut play = Play::new();
    play.greet();
    // The browser's clock is ten minutes behind the broker's.
    let ahead = start_of_time() + TimeDelta::minutes(10);
    let overview = with(overview(&[session("s-1", 3600)]), json!({"now": ahead}));
    play.answer("overview", overview);
    assert_eq!(badges(&play.effects), ["50m"]);
}

#[test]
fn the_session_that_ends_first_is_shown_and_the_others_are_counted() {
    let mut play = Play::with(overview(&[session("s-1", 7300), session("s-2", 600)]));
    let badge = play.worker.badge(play.now);
    assert_eq!(
        (badge.0.as_str(), badge.2.as_str()),
        ("10m", "Acme Corp · Domain Admin · 10 min left · 1 more")
    );
    let ended = with(session("s-2", 600), json!({"state": "ended", "version": 2}));
    play.frame(&json!({"event": "session", "data": ended}));
    assert_eq!(badges(&play.effects), ["2h"]);
}

#[test]
fn work_and_trouble_come_before_time() {
    let stuck = with(
        session("s-2", -5),
        json!({"state": "ending", "trouble": {"problem": {"code": "directory_down", "status": 503, "detail": "Down."}, "attempts": 3}}),
    );
    let mut play = Play::with(overview(&[session("s-1", 3599)]));
    assert_eq!(badges(&play.effects), ["59m"]);
    play.frame(&json!({"event": "session", "data": stuck}));
    assert_eq!(badges(&play.effects), ["!"]);
    let ended = with(stuck, json!({"state": "ended", "version": 2, "trouble": null}));
    play.frame(&json!({"event": "session", "data": ended}));
    assert_eq!(badges(&play.effects), ["59m"]);
}

#[test]
fn a_failed_activation_hides_no_time_that_runs_and_is_told_where_no_popup_is_open() {
    let mut play = Play::with(overview(&[session("s-1", 3599)]));
    play.show_ticket("4712", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4712", "Acme Corp");
    play.refuse("activate", "directory_down");
    assert_eq!(notices(&play.effects), ["Not activated: Domain Admin at Acme Corp"]);
    let (text, _, title) = play.worker.badge(play.now);
    assert_eq!(text, "59m");
    assert!(title.ends_with("not activated: Domain Admin at Acme Corp"), "{title}");
}

#[test]
fn a_ticket_lights_the_icon_of_its_tab_and_sets_no_badge() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    assert!(play.effects.iter().any(|e| matches!(e, Effect::TabIcon { tab: 1, lit: true, .. })));
    assert_eq!(badges(&play.effects), Vec::<String>::new());
    play.happen(Input::TabRemoved { tab: 1 });
    assert!(!play.effects.iter().any(|e| matches!(e, Effect::TabIcon { .. })), "there is no tab to set");
}
