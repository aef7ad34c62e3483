//! The native port: pauses, terminal states, time limits, keys.

use super::*;

#[test]
fn the_host_that_is_started_before_the_core_is_the_one_that_the_core_asks_for() {
    let script = include_str!("../../../../extension/worker.js");
    let begun = format!("let early = \"{}\";", ticketgate_protocol::HOST_NAME);
    assert!(script.contains(&begun), "{begun}");
}

fn opens(effects: &[Effect]) -> usize {
    effects.iter().filter(|e| matches!(e, Effect::OpenPort { .. })).count()
}

fn lose(play: &mut Play, text: &str) {
    play.happen(Input::PortClosed { error: Some(text.into()) });
}

#[test]
fn a_lost_port_is_opened_again_after_growing_pauses_and_then_every_minute() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        lose(&mut play, "Native host has exited.");
        let mut pause = 0;
        while opens(&play.wait(1)) == 0 {
            pause += 1;
            assert!(pause < 200, "never opened again");
        }
        pauses.push(pause + 1);
    }
    assert_eq!(pauses, [1, 2, 5, 15, 30, 60, 60, 60]);
}

#[test]
fn an_alarm_wakes_a_stopped_worker_for_the_next_attempt() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    for _ in 0..6 {
        lose(&mut play, "Native host has exited.");
        if play.effects.iter().any(|e| matches!(e, Effect::Alarm { .. })) {
            let alarm = play.worker.shown.alarm.unwrap();
            assert!(alarm - play.now <= TimeDelta::seconds(61), "{alarm}");
        }
        play.wait(60);
    }
    assert!(play.worker.shown.alarm.is_some());
}

#[test]
fn terminal_states_are_not_tried_again_until_the_person_asks() {
    for text in [
        "Specified native messaging host not found.",
        "Access to the specified native messaging host is forbidden.",
    ] {
        let mut play = Play::new();
        lose(&mut play, text);
        assert_eq!(opens(&play.wait(600)), 0, "{text}");
        play.open_popup();
        assert_eq!(opens(&play.effects), 1, "{text}: the popup is the person's wish");
        lose(&mut play, text);
        assert!(play.view().trouble.is_some());
        assert_eq!(opens(&play.wait(600)), 0, "{text}");
        play.intend(Intent::Reconnect {});
        assert_eq!(opens(&play.effects), 1, "{text}");
    }
}

#[test]
fn each_of_chromiums_texts_has_a_state_with_a_remedy() {
    let cases = [
        ("Specified native messaging host not found.", "not installed", "ticketgate install"),
        (
            "Access to the specified native messaging host is forbidden.",
            "does not serve",
            "ticketgate install",
        ),
        ("Native host has exited.", "stopped", "ticketgate doctor"),
        ("Error when communicating with the native messaging host.", "cannot be read", "ticketgate doctor"),
        ("Failed to start native messaging host.", "could not start", "ticketgate doctor"),
        ("A text of tomorrow.", "lost", "ticketgate doctor"),
    ];
    for (text, title, command) in cases {
        let mut play = Play::new();
        play.open_popup();
        lose(&mut play, text);
        let trouble = play.view().trouble.clone().unwrap();
        assert!(trouble.title.contains(title), "{text}: {}", trouble.title);
        assert!(trouble.steps.iter().any(|s| s.command.as_deref() == Some(command)), "{text}");
    }
}

#[test]
fn a_protocol_without_overlap_says_which_side_to_update() {
    for (answer, side) in [
        (json!({"id": "hello", "ok": {"protocol": 0, "host_version": "0.0.1"}}), "Update the program."),
        (json!({"id": "hello", "ok": {"protocol": 9, "host_version": "9.0.0"}}), "Update the extension."),
        (
            json!({"id": "hello", "error": {"code": "protocol_mismatch", "status": 409, "detail": "No.", "remedy": "Update the program."}}),
            "Update the program.",
        ),
    ] {
        let mut play = Play::new();
        play.open_popup();
        play.frame(&answer);
        let trouble = play.view().trouble.clone().unwrap();
        assert!(trouble.steps.iter().any(|s| s.text == side), "{trouble:?}");
        assert!(play.view().form.is_none());
    }
}

#[test]
fn a_host_that_does_not_serve_this_extension_is_not_tried_again_and_says_who_can_change_that() {
    let mut play = Play::new();
    play.open_popup();
    play.frame(&json!({"id": "", "error": {"code": "origin_refused", "status": 403, "detail": "Not served.",
        "remedy": "An administrator can add its id to /etc/ticketgate/allowed-extensions."}}));
    lose(&mut play, "Native host has exited.");
    let trouble = play.view().trouble.clone().unwrap();
    assert!(trouble.title.contains("does not serve"), "{trouble:?}");
    assert!(trouble.steps.iter().any(|s| s.text.contains("allowed-extensions")), "{trouble:?}");
    assert!(!trouble.steps.iter().any(|s| s.command.as_deref() == Some("ticketgate install")), "{trouble:?}");
    assert_eq!(opens(&play.wait(600)), 0);
}

#[test]
fn a_problem_without_an_id_during_the_greeting_is_shown_with_its_remedy() {
    let mut play = Play::new();
    play.open_popup();
    play.frame(&json!({"id": "", "error": {"code": "broker_unreachable", "status": 503,
        "detail": "The broker's place is not known.", "remedy": "Set HOME for the browser."}}));
    let trouble = play.view().trouble.clone().unwrap();
    assert_eq!(trouble.title, "The broker's place is not known.");
    assert_eq!(trouble.steps[0].text, "Set HOME for the browser.");
}

#[test]
fn an_unneeded_port_is_closed_after_half_a_minute() {
    let mut play = Play::with(overview(&[]));
    let closes = |effects: &[Effect]| effects.iter().filter(|e| matches!(e, Effect::ClosePort {})).count();
    assert_eq!(closes(&play.wait(29)), 0);
    assert_eq!(closes(&play.wait(2)), 1);
    assert!(play.worker.shown.alarm.is_none() && play.timer.is_none(), "nothing keeps the worker awake");
}

#[test]
fn a_host_that_leaves_an_unneeded_port_lets_the_worker_sleep() {
    for text in ["Native host has exited.", "Specified native messaging host not found."] {
        let mut play = Play::with(overview(&[]));
        play.wait(5);
        lose(&mut play, text);
        play.wait(60);
        assert_eq!((play.timer, play.worker.shown.alarm), (None, None), "{text}");
    }
}

#[test]
fn while_a_ticket_is_open_a_session_begun_elsewhere_is_found_in_time_for_its_warnings() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    assert!(play.wait(60).iter().any(|e| matches!(e, Effect::ClosePort {})));
    let alarm = play.worker.shown.alarm.expect("a stopped worker is woken");
    assert!(alarm - start_of_time() < TimeDelta::minutes(5), "{alarm}");
    assert_eq!(opens(&play.wait(182)), 1);
    play.greet();
    let now = play.now;
    play.answer("overview", with(overview(&[session("s-1", 900)]), json!({"now": now})));
    assert_eq!(badges(&play.effects), ["10m"]);
}

#[test]
fn an_old_overview_is_asked_for_again_over_a_port_that_is_open() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.show_ticket("4711", "Acme Corp");
    let before = play.count_sent("overview");
    play.wait(4 * 60);
    assert_eq!(play.count_sent("overview"), before + 1);
}

#[test]
fn a_live_session_keeps_the_port() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    assert!(!play.wait(600).iter().any(|e| matches!(e, Effect::ClosePort {})));
}

#[test]
fn a_silent_host_is_given_up_after_five_seconds() {
    let mut play = Play::new();
    play.open_popup();
    play.wait(6);
    assert!(play.view().trouble.as_ref().unwrap().title.contains("does not answer"));
}

#[test]
fn an_activation_whose_reply_was_lost_is_repeated_with_its_key() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.press_activate();
    let asked =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    play.happen(Input::PageRead { ask: asked.unwrap(), facts: Some(facts("4711", "Acme Corp").to_string()) });
    let first = play.last_sent("activate").unwrap().clone();
    lose(&mut play, "Native host has exited.");
    play.wait(2);
    play.greet();
    let second = play.last_sent("activate").unwrap().clone();
    assert_eq!(play.count_sent("activate"), 2);
    assert_eq!(first.key, second.key);
    assert!(first.key.is_some());
    // No answer at all: the person tries again, still with the same key.
    play.wait(31);
    assert!(play.view().job.as_ref().unwrap().retry.is_none(), "the relay may still answer");
    play.wait(10);
    assert!(play.view().job.as_ref().unwrap().retry.is_some());
    play.intend(Intent::RetryJob {});
    assert_eq!(play.last_sent("activate").unwrap().key, first.key);
    // A clear refusal is an answer: the next attempt is a new request.
    play.refuse("activate", "directory_down");
    play.intend(Intent::RetryJob {});
    assert_ne!(play.last_sent("activate").unwrap().key, first.key);
}

#[test]
fn a_late_answer_to_a_request_that_was_given_up_changes_nothing() {
    let mut play = Play::new();
    play.greet();
    let id = play.last_sent("overview").unwrap().id.clone();
    play.wait(6);
    play.frame(&json!({"id": id, "ok": overview(&[session("s-1", 100)])}));
    assert!(play.worker.last.overview.is_none());
}

#[test]
fn a_broker_that_refuses_is_asked_again_and_the_popup_says_why() {
    let mut play = Play::new();
    play.open_popup();
    play.greet();
    play.refuse("overview", "broker_unreachable");
    assert_eq!(play.view().trouble.as_ref().unwrap().title, "The broker does not answer");
    assert_eq!(play.count_sent("overview"), 1);
    play.wait(1);
    assert_eq!(play.count_sent("overview"), 2);
    play.answer("overview", overview(&[]));
    assert!(play.view().trouble.is_none());
    assert!(play.view().form.is_some());
}

#[test]
fn somebody_who_is_no_technician_is_told_so_and_offered_nothing() {
    let mut play = Play::new();
    play.open_popup();
    play.greet();
    play.refuse("overview", "not_a_technician");
    assert_eq!(play.view().trouble.as_ref().unwrap().title, "You are not set up as a technician");
    assert!(play.view().form.is_none());
}

#[test]
fn rubbish_from_the_host_is_not_believed() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    play.happen(Input::Frame { text: "[1,2,3]".into() });
    assert!(play.effects.iter().any(|e| matches!(e, Effect::ClosePort {})));
    assert_eq!(play.worker.last.sessions.iter().count(), 1);
}

#[test]
fn frames_are_read_as_the_protocols_own_type_reads_them() {
    use crate::worker::link::request::{Frame, read_frame};
    use ticketgate_protocol::native;
    use ticketgate_protocol::tree::Json;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/golden");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("request.") {
            let json = Json::read(&text).unwrap();
            let expected = match serde_json::from_str(&text).unwrap() {
                native::Frame::Ok { id, .. } => Frame::Ok { id, ok: json.value().get("ok").unwrap() },
                native::Frame::Error { id, error } => Frame::Error { id, error },
                native::Frame::Event(event) => Frame::Event(event),
            };
            assert_eq!(read_frame(&json), Some(expected), "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 15);
    let newer = r#"{"event":"weather","data":{"rain":true}}"#;
    let newer = Json::read(newer).unwrap();
    let unknown = Frame::Event(ticketgate_protocol::api::Event::Unknown);
    assert_eq!(read_frame(&newer), Some(unknown), "a newer broker's event");
    for rubbish in ["7", "{}", "{\"id\":\"r1\"}", "{\"ok\":1}", "{\"event\":\"session\"}", "{\"event\":7}"] {
        assert_eq!(read_frame(&Json::read(rubbish).unwrap()), None, "{rubbish}");
    }
}
