//! What survives a stopped worker, and what a browser start begins anew.

use super::*;

fn restarted(play: &Play) -> Play {
    let mut next = Play::unstarted();
    // Keys are random: the next worker makes others.
    next.worker = Worker::new(Box::new(Around(1000)));
    next.now = play.now;
    next.start(play.saved.clone(), play.memory.clone());
    next
}

#[test]
fn a_restarted_worker_shows_the_badge_before_the_host_answers() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.wait(60);
    let next = restarted(&play);
    assert_eq!(badges(&next.effects), ["59m"]);
    assert!(next.effects.iter().any(|e| matches!(e, Effect::OpenPort { .. })));
    assert!(next.effects.iter().any(|e| matches!(e, Effect::Alarm { at: Some(_) })), "alarms are made anew");
}

#[test]
fn after_a_browser_start_the_overview_brings_everything_back() {
    let mut play = Play::new();
    assert_eq!(badges(&play.effects), [""]);
    play.greet();
    play.answer("overview", overview(&[session("s-1", 3600)]));
    assert_eq!(badges(&play.effects), ["1h"]);
}

#[test]
fn an_activation_under_way_goes_on_with_its_key() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "Acme Corp");
    let first = play.last_sent("activate").unwrap().clone();
    let mut next = restarted(&play);
    assert_eq!(badges(&next.effects), ["…"]);
    next.greet();
    let second = next.last_sent("activate").unwrap();
    assert_eq!((&first.key, &first.method), (&second.key, &second.method));
}

fn extend(play: &mut Play) {
    play.intend(Intent::Extend { session: "s-1".to_owned().try_into().unwrap() });
}

#[test]
fn an_extension_under_way_keeps_its_button_busy_and_is_told_as_what_it_is() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.open_popup();
    extend(&mut play);
    let first = play.last_sent("extend").unwrap().clone();
    let mut next = restarted(&play);
    next.greet();
    next.open_popup();
    assert!(next.view().sessions[0].extend.as_ref().unwrap().busy);
    extend(&mut next);
    assert_eq!(next.count_sent("extend"), 1, "only what was under way");
    assert_eq!(next.last_sent("extend").unwrap().key, first.key);
    next.happen(Input::Disconnected { port: 1 });
    next.refuse("extend", "directory_down");
    assert_eq!(notices(&next.effects), ["Not extended"]);
}

#[test]
fn an_extension_that_may_have_been_made_keeps_its_key() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.open_popup();
    extend(&mut play);
    let first = play.last_sent("extend").unwrap().clone();
    play.wait(16);
    assert!(play.view().sessions[0].note.as_ref().unwrap().text.contains("nothing is done twice"));
    let mut next = restarted(&play);
    next.greet();
    next.open_popup();
    extend(&mut next);
    assert_eq!(next.last_sent("extend").unwrap().key, first.key);
}

#[test]
fn a_button_drawn_before_the_restart_still_works() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    let mut next = restarted(&play);
    assert_eq!(next.worker.recognised_ticket(1).unwrap().number, "4711");
    next.click(&token, "4711", "Acme Corp");
    next.greet();
    assert_eq!(next.count_sent("activate"), 1);
}

#[test]
fn a_session_that_ended_meanwhile_is_noticed() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.wait(10);
    let mut next = restarted(&play);
    next.greet();
    next.answer("overview", overview(&[]));
    assert_eq!(badges(&next.effects), [""]);
    assert_eq!(notices(&next.effects), ["Acme Corp · Domain Admin ended"]);
    assert_eq!(told(&next.effects), ["It was ended. The rights are taken away."]);
}

#[test]
fn whether_a_sessions_time_was_over_is_told_by_the_brokers_clock() {
    // How far the browser's clock is ahead of the broker's, and what is told half an hour before the end and after it.
    for (ahead_min, passed_min, expected) in
        [(45, 30, "It was ended."), (-45, 61, "Its time was over."), (0, 61, "Its time was over.")]
    {
        let by_broker = |play: &Play| play.now - TimeDelta::minutes(ahead_min);
        let mut play = Play::unstarted();
        play.now += TimeDelta::minutes(ahead_min);
        play.start(None, None);
        play.greet();
        let now = by_broker(&play);
        play.answer("overview", with(overview(&[session("s-1", 3600)]), json!({"now": now})));
        play.now += TimeDelta::minutes(passed_min);
        let mut next = restarted(&play);
        next.greet();
        let now = by_broker(&next);
        next.answer("overview", with(overview(&[]), json!({"now": now})));
        assert_eq!(told(&next.effects), [format!("{expected} The rights are taken away.")], "{ahead_min}");
    }
}

#[test]
fn an_overview_that_was_asked_before_a_session_began_does_not_end_it() {
    let mut play = Play::with(overview(&[]));
    play.frame(&json!({"event": "resync"}));
    play.now += TimeDelta::milliseconds(5);
    play.frame(&json!({"event": "session", "data": session("s-1", 3600)}));
    play.answer("overview", overview(&[]));
    assert_eq!(play.worker.last.sessions.iter().count(), 1);
}

#[test]
fn older_news_never_replaces_newer() {
    let mut play = Play::with(overview(&[with(session("s-1", 3600), json!({"version": 5}))]));
    let late = with(session("s-1", 60), json!({"version": 4}));
    play.frame(&json!({"event": "session", "data": late}));
    assert_eq!(play.worker.last.sessions.soonest().unwrap().version, 5);
}

#[test]
fn state_that_cannot_be_read_is_begun_anew() {
    let mut play = Play::unstarted();
    play.start(Some("{\"sessions\": 7}".into()), Some("nonsense".into()));
    assert_eq!(badges(&play.effects), [""]);
}

#[test]
fn the_choice_of_each_customer_is_remembered_for_good() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Globex");
    play.open_popup();
    assert!(play.view().form.as_ref().unwrap().activate.disabled.is_some(), "two policies, none used yet");
    play.intend(Intent::PickPolicy { policy: Some("globex-domain-admin".to_owned().try_into().unwrap()) });
    play.intend(Intent::PickDuration { seconds: 1800 });
    play.press_activate();
    let ask =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: Some(facts("4711", "Globex").to_string()) });
    let held = with(
        session("s-1", 1800),
        json!({"customer": "globex", "customer_name": "Globex", "policy": "globex-domain-admin"}),
    );
    play.answer("activate", json!({"session": held, "clipboard": {"state": "not_needed"}}));
    let memory = play.memory.clone();
    let mut next = Play::unstarted();
    next.start(None, memory);
    next.greet();
    next.answer("overview", overview(&[]));
    next.show_ticket("4712", "Globex");
    assert_eq!(next.chip().unwrap().label, "Activate · Globex · Domain Admin 30 min");
}
