//! What the popup shows, and what its buttons do.

use super::*;

/// The number of the question that was just put to a document.
fn ask(play: &Play) -> u32 {
    let asked = |e: &Effect| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None };
    play.effects.iter().find_map(asked).unwrap()
}

pub(super) fn read_again(play: &mut Play, number: &str, queue: &str) {
    let ask = ask(play);
    play.happen(Input::PageRead { ask, facts: Some(facts(number, queue).to_string()) });
}

#[test]
fn a_recognised_ticket_fills_the_form() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    let form = play.view().form.clone().unwrap();
    assert_eq!(form.ticket.unwrap().text, "#4711 Outlook crashes");
    assert_eq!(form.activate.label, "Activate Domain Admin for 1 h");
    assert_eq!(form.reason, "#4711 Outlook crashes (Acme Corp)");
    assert!(form.customer_mark.unwrap().text.contains("check"), "a queue is not surely the customer");
    let chosen: Vec<_> = form.durations.iter().filter(|d| d.chosen).map(|d| d.label.as_str()).collect();
    assert_eq!(chosen, ["1 h"]);
}

#[test]
fn without_a_ticket_everything_can_be_typed() {
    let mut play = Play::with(overview(&[]));
    play.open_popup();
    let form = play.view().form.clone().unwrap();
    assert!(form.number_shown && form.ticket.is_none());
    assert_eq!(form.activate.disabled.as_deref(), Some("Pick the customer."));
    play.intend(Intent::PickCustomer { customer: Some("acme".to_owned().try_into().unwrap()) });
    assert!(play.view().form.as_ref().unwrap().activate.disabled.as_deref().unwrap().contains("ticket"));
    play.intend(Intent::EditTicket { text: " 815 ".into() });
    play.write_reason("Mail is down");
    play.press_activate();
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    assert_eq!(wanted.ticket.as_ref().unwrap().number, "815");
    assert_eq!(wanted.reason, "Mail is down");
}

#[test]
fn the_brokers_template_makes_the_reason() {
    let mut play = Play::with(with(overview(&[]), json!({"reason_template": "{customer} #{number}"})));
    play.show_ticket("4711", "Acme Corp").open_popup();
    assert_eq!(play.view().form.as_ref().unwrap().reason, "Acme Corp #4711");
}

#[test]
fn a_reason_that_cannot_be_used_says_why() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    for (text, expected) in [("  ", "Say why"), ("a\u{202e}b", "invisible")] {
        play.write_reason(text);
        let said = play.view().form.clone().unwrap().activate.disabled.unwrap();
        assert!(said.contains(expected), "{said}");
        play.press_activate();
        assert_eq!(play.count_sent("activate"), 0);
    }
}

#[test]
fn pasted_lines_become_one_reason() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.write_reason("Mail is down\r\nsince noon\n");
    play.press_activate();
    read_again(&mut play, "4711", "Acme Corp");
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    assert_eq!(wanted.reason, "Mail is down since noon");
}

#[test]
fn activate_reads_the_page_again_and_asks_if_it_moved_on() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.press_activate();
    read_again(&mut play, "4712", "Globex");
    assert_eq!(play.count_sent("activate"), 0);
    let form = play.view().form.clone().unwrap();
    assert!(form.caution.unwrap().text.contains("#4712"));
    assert_eq!(form.use_page.unwrap().label, "Use ticket #4712");
    // The second click is for what stands on the screen.
    play.press_activate();
    assert_eq!(play.count_sent("activate"), 1);
}

#[test]
fn a_page_that_cannot_be_read_again_is_asked_about_before_anything_is_activated() {
    for gone in [false, true] {
        let mut play = Play::with(overview(&[]));
        play.show_ticket("4711", "Acme Corp");
        play.open_popup();
        play.press_activate();
        if gone {
            let ask = ask(&play);
            play.happen(Input::PageRead { ask, facts: None });
        } else {
            play.wait(1);
        }
        assert_eq!(play.count_sent("activate"), 0, "gone: {gone}");
        assert!(play.view().form.as_ref().unwrap().caution.is_some(), "gone: {gone}");
        play.press_activate();
        assert_eq!(
            play.count_sent("activate"),
            1,
            "gone: {gone}: the second click is for what is on the screen"
        );
    }
}

#[test]
fn a_page_that_was_loaded_again_is_the_one_that_is_read() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.write_reason("Mine");
    let anew = Sender { document: Some("doc-2".into()), ..from_desk() };
    play.page(anew, &json!({"page": "report", "facts": facts("4711", "Acme Corp")}));
    play.press_activate();
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Read { document, .. } if document == "doc-2")));
    read_again(&mut play, "4711", "Acme Corp");
    assert_eq!(play.count_sent("activate"), 1);
}

#[test]
fn a_click_on_a_form_that_changed_under_it_is_not_carried_out() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    let serial = play.view().form.as_ref().unwrap().serial;
    play.show_ticket("4712", "Acme Corp");
    play.intend(Intent::Activate { serial });
    assert!(!play.effects.iter().any(|e| matches!(e, Effect::Read { .. })));
    assert_eq!(play.count_sent("activate"), 0);
}

#[test]
fn a_form_that_follows_its_page_between_click_and_answer_is_not_activated() {
    for (number, queue) in [("4712", "Acme Corp"), ("4711", "Globex")] {
        let more = policy("globex-domain-admin", "Domain Admin", "globex", true);
        let policies = json!([policy("acme-domain-admin", "Domain Admin", "acme", true), more]);
        let mut play = Play::with(with(overview(&[]), json!({"policies": policies})));
        play.show_ticket("4711", "Acme Corp").open_popup();
        play.press_activate();
        let ask = ask(&play);
        play.show_ticket(number, queue);
        play.happen(Input::PageRead { ask, facts: Some(facts(number, queue).to_string()) });
        assert_eq!(play.count_sent("activate"), 0, "{number} {queue}");
        assert!(play.view().form.as_ref().unwrap().caution.is_some(), "{number} {queue}");
        play.press_activate();
        assert_eq!(play.count_sent("activate"), 1, "{number} {queue}: the second click is for what is seen");
    }
}

/// An overview in which another policy has taken the place of Acme's.
fn with_another_policy() -> Value {
    with(overview(&[]), json!({"policies": [policy("acme-everything", "Everything", "acme", true)]}))
}

#[test]
fn a_policy_that_takes_anothers_place_between_click_and_answer_is_not_activated() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp").open_popup();
    play.frame(&json!({"event": "resync"}));
    play.press_activate();
    let ask = ask(&play);
    play.answer("overview", with_another_policy());
    play.happen(Input::PageRead { ask, facts: Some(facts("4711", "Acme Corp").to_string()) });
    assert_eq!(play.count_sent("activate"), 0);
    let form = play.view().form.clone().unwrap();
    assert!(form.caution.is_some());
    assert_eq!(form.activate.label, "Activate Everything for 1 h");
}

#[test]
fn a_click_on_a_policy_that_another_took_the_place_of_is_not_carried_out() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp").open_popup();
    play.frame(&json!({"event": "resync"}));
    let serial = play.view().form.as_ref().unwrap().serial;
    play.answer("overview", with_another_policy());
    play.intend(Intent::Activate { serial });
    assert!(!play.effects.iter().any(|e| matches!(e, Effect::Read { .. })));
    assert_eq!(play.count_sent("activate"), 0);
}

#[test]
fn a_form_that_the_person_works_on_is_not_taken_away() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.write_reason("Mine");
    play.show_ticket("4712", "Acme Corp");
    assert_eq!(play.view().form.as_ref().unwrap().reason, "Mine");
    play.intend(Intent::UsePageTicket {});
    assert_eq!(play.view().form.as_ref().unwrap().ticket.as_ref().unwrap().text, "#4712 Outlook crashes");
}

#[test]
fn an_active_session_shows_all_that_can_be_done_with_it() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.open_popup();
    let card = play.view().sessions[0].clone();
    assert_eq!((card.title.as_str(), card.subtitle.as_str()), ("Acme Corp", "Domain Admin"));
    let ring = card.ring.unwrap();
    assert_eq!((ring.clock.as_str(), ring.part), ("30:00", 0.5));
    assert_eq!(card.ends.as_deref(), Some("Ends at 09:30:00"));
    assert_eq!(card.extend.unwrap().label, "Extend by 1 h");
    assert_eq!(card.copy_password.unwrap().label, "Copy password");
    assert!(card.limits.unwrap().contains("Open connections live on."));
    play.wait(1);
    assert_eq!(play.view().sessions[0].ring.as_ref().unwrap().clock, "29:59");
}

#[test]
fn at_the_maximum_extend_says_why_it_cannot() {
    let full = with(session("s-1", 1800), json!({"latest_end": start_of_time() + TimeDelta::seconds(1800)}));
    let mut play = Play::with(overview(&[full]));
    play.open_popup();
    assert!(play.view().sessions[0].extend.as_ref().unwrap().disabled.as_ref().unwrap().contains("maximum"));
    play.intend(Intent::Extend { session: "s-1".to_owned().try_into().unwrap() });
    assert_eq!(play.count_sent("extend"), 0);
}

#[test]
fn extend_shows_the_new_end() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.open_popup();
    play.intend(Intent::Extend { session: "s-1".to_owned().try_into().unwrap() });
    assert!(play.view().sessions[0].extend.as_ref().unwrap().busy);
    let longer = with(
        session("s-1", 1800),
        json!({"expires_at": start_of_time() + TimeDelta::seconds(5400), "version": 2}),
    );
    play.answer("extend", longer);
    let card = play.view().sessions[0].clone();
    assert!(!card.extend.unwrap().busy);
    assert_eq!(card.note.unwrap().text, "Extended. It ends at 10:30:00 now.");
}

#[test]
fn a_session_whose_end_fails_is_red_and_says_what_is_done_about_it() {
    let stuck = with(
        session("s-1", -5),
        json!({"state": "ending", "trouble": {"problem": {"code": "directory_down", "status": 503, "detail": "Nobody answers."},
            "attempts": 3, "next_try": start_of_time() + TimeDelta::seconds(30)}}),
    );
    let mut play = Play::with(overview(&[stuck]));
    play.open_popup();
    let card = play.view().sessions[0].clone();
    assert_eq!(card.tone, view::Tone::Red);
    let note = card.note.unwrap().text;
    assert!(
        note.contains("Nobody answers.") && note.contains("3 attempts") && note.contains("09:00:30"),
        "{note}"
    );
    assert!(card.end.is_none() && card.extend.is_none());
}

#[test]
fn the_clipboard_is_told_of_and_forgotten_when_it_is_cleared() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.open_popup();
    play.intend(Intent::CopyPassword { session: "s-1".to_owned().try_into().unwrap(), directory: None });
    let clears_at = play.now + TimeDelta::seconds(30);
    play.answer("copy_password", json!({"state": "copied", "clears_at": clears_at}));
    assert!(play.view().sessions[0].note.as_ref().unwrap().text.contains("30 s"));
    play.wait(31);
    assert!(play.view().sessions[0].note.is_none());
}

#[test]
fn a_site_without_permission_is_offered_once_its_ticket_is_recognised() {
    let mut play = Play::with(overview(&[]));
    let front =
        Tab { id: 1, window: 1, active: true, url: Some(format!("{DESK}/Ticket/Display.html?id=4711")) };
    play.happen(Input::Connected { port: 1, name: "popup".into(), sender: own_page(), front: Some(front) });
    assert!(play.effects.contains(&Effect::Inject { tab: 1 }));
    assert!(play.view().allow.is_none());
    play.show_ticket("4711", "Acme Corp");
    assert_eq!(play.view().allow.as_ref().unwrap().pattern, "https://desk.example/*");
    play.happen(Input::Origins { origins: vec!["https://desk.example/*".into()] });
    assert!(play.view().allow.is_none());
    assert!(play.effects.contains(&Effect::Register { patterns: vec!["https://desk.example/*".into()] }));
}

#[test]
fn the_structure_of_a_web_page_in_front_can_be_saved_and_of_no_other() {
    let mut play = Play::with(overview(&[]));
    let front = |url: &str| Some(Tab { id: 1, window: 1, active: true, url: Some(url.into()) });
    let url = format!("{DESK}/Ticket/Display.html?id=4711");
    play.happen(Input::Connected { port: 1, name: "popup".into(), sender: own_page(), front: front(&url) });
    assert_eq!(play.view().report.as_ref().unwrap().title, "This page was not recognised");
    play.show_ticket("4711", "Acme Corp");
    let report = play.view().report.clone().unwrap();
    assert_eq!((report.tab, report.title.as_str()), (1, "Recognised wrongly?"));
    for url in ["chrome://settings", "chrome-extension://abc/options.html"] {
        let front = front(url);
        play.happen(Input::Connected { port: 2, name: "popup".into(), sender: own_page(), front });
        assert_eq!(play.view().report, None, "{url}");
    }
}

#[test]
fn a_session_that_is_over_takes_little_room_and_is_told_in_whole_sentences() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.open_popup();
    let ended = with(session("s-1", 1800), json!({"state": "ended", "version": 2}));
    play.frame(&json!({"event": "session", "data": ended}));
    let card = play.view().sessions[0].clone();
    assert_eq!(card.state.as_deref(), Some("Ended, the rights are taken away"));
    assert!(card.note.is_none());
    assert_eq!(play.view().announce, "Acme Corp Domain Admin: Ended, the rights are taken away");
}

#[test]
fn a_trouble_names_its_command_once() {
    let told = |detail: &str, remedy: &str| {
        let mut play = Play::with(overview(&[]));
        play.wait(10);
        play.open_popup();
        let id = play.last_sent("overview").unwrap().id.clone();
        let error = json!({"code": "broker_unreachable", "status": 503, "detail": detail, "remedy": remedy});
        play.frame(&json!({"id": id, "error": error}));
        play.view().trouble.clone().unwrap()
    };
    let trouble = told("No broker is running.", "Run `ticketgate doctor`.");
    assert_eq!(trouble.text, "No broker is running.");
    assert_eq!(trouble.steps.len(), 1);
    assert_eq!(trouble.steps[0].command.as_deref(), Some("ticketgate doctor"));
    let trouble = told("No broker is running.", "Start it with `ticketgate broker`.");
    assert_eq!(trouble.steps[0].text, "Start it with `ticketgate broker`.");
    assert_eq!(trouble.steps.len(), 2);
}

#[test]
fn a_policy_whose_ticket_is_verified_says_so_before_the_click() {
    for (verified, expected) in [(json!(false), None), (json!(true), Some("the ticket is verified first"))] {
        let mut one = policy("acme-domain-admin", "Domain Admin", "acme", true);
        one["ticket_verified"] = verified;
        let mut play = Play::with(with(overview(&[]), json!({"policies": [one]})));
        play.show_ticket("4711", "Acme Corp").open_popup();
        let mark = play.view().form.as_ref().unwrap().policy_mark.as_ref().map(|mark| mark.text.clone());
        assert_eq!(mark.as_deref(), expected);
    }
}
