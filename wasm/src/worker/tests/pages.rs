//! Pages: who may say what, and what a click on the button does.

use super::*;

fn activates(play: &Play) -> bool {
    play.effects
        .iter()
        .any(|e| matches!(e, Effect::Send { frame } if matches!(frame.method, Method::Activate(_))))
}

#[test]
fn a_ticket_page_is_asked_recognised_and_gets_its_button() {
    let mut play = Play::with(overview(&[]));
    play.page(from_desk(), &json!({"page": "arrived"}));
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Answer { questions: Some(_) })));
    play.show_ticket("4711", "Acme Corp");
    let chip = play.chip().unwrap();
    assert_eq!(chip.label, "Activate · Acme Corp · Domain Admin 1 h");
    assert!(chip.one_click);
    let ticket = play.worker.recognised_ticket(1).unwrap();
    assert_eq!((ticket.number.as_str(), ticket.customer.as_deref()), ("4711", Some("Acme Corp")));
    assert!(play.worker.recognised_ticket(2).is_none());
}

#[test]
fn scripts_that_are_put_in_anew_are_given_the_button_again() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.page(from_desk(), &json!({"page": "arrived"}));
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Tell { message: ToPage::Show(_), .. })));
}

#[test]
fn one_click_activates_the_ticket_that_was_seen() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "acme");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "acme");
    assert!(activates(&play));
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    assert_eq!(wanted.reason, "#4711 Outlook crashes (acme)");
    assert_eq!((wanted.policy.as_str(), wanted.duration_s), ("acme-domain-admin", 3600));
    assert_eq!(badges(&play.effects), ["…"]);
}

/// A play in which ticket 4711 was activated from its page, and the password went there.
fn activated(clipboard: Value) -> Play {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "Acme Corp");
    let ticket = serde_json::to_value(play.worker.recognised_ticket(1)).unwrap();
    let begun = with(session("s-1", 3600), json!({"ticket": ticket}));
    play.answer("activate", json!({"session": begun, "clipboard": clipboard}));
    play
}

#[test]
fn the_page_says_which_account_is_ready_and_that_its_password_was_copied() {
    let clears_at = start_of_time() + TimeDelta::seconds(30);
    let mut play = activated(json!({"state": "copied", "clears_at": clears_at}));
    let chip = play.chip().unwrap();
    assert_eq!(chip.label, "ACME\\jit-tech1 is ready · password copied");
    assert_eq!(chip.detail, "Log on as ACME\\jit-tech1. 1 h left. Opens Ticketgate.");
    assert_eq!(notices(&play.effects), Vec::<String>::new(), "once is enough");
    play.wait(11);
    assert_eq!(play.chip().unwrap().label, "Active · Acme Corp · Domain Admin · 59 min");
    // The note in the popup goes with the clipboard, and nothing of it wakes the worker any more.
    play.wait(60);
    assert!(play.timer.is_some_and(|at| at > play.now + TimeDelta::seconds(20)), "{:?}", play.timer);
}

#[test]
fn a_password_that_could_not_be_copied_is_told_wherever_the_activation_came_from() {
    let problem = json!({"code": "clipboard_unavailable", "status": 503, "detail": "No display."});
    let play = activated(json!({"state": "unavailable", "problem": problem}));
    assert_eq!(play.chip().unwrap().label, "ACME\\jit-tech1 is ready · password not copied");
    let said = play.effects.iter().find_map(|e| match e {
        Effect::Notify { title, message, .. } => Some((title.clone(), message.clone())),
        _ => None,
    });
    let (title, message) = said.unwrap();
    assert_eq!(title, "ACME\\jit-tech1 is ready · password not copied");
    assert!(message.ends_with("Run: ticketgate password s-1"), "{message}");
}

#[test]
fn where_the_button_is_hidden_a_notification_says_that_the_account_is_ready() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.page(from_desk(), &json!({"page": "hide_button", "for": "site"}));
    play.happen(Input::Shortcut { tab: Some(Tab { id: 1, window: 1, active: true, url: None }) });
    let ask =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: Some(facts("4711", "Acme Corp").to_string()) });
    let copied = json!({"state": "copied", "clears_at": start_of_time() + TimeDelta::seconds(30)});
    play.answer("activate", json!({"session": session("s-1", 3600), "clipboard": copied}));
    assert_eq!(notices(&play.effects), ["ACME\\jit-tech1 is ready · password copied"]);
}

#[test]
fn a_second_click_while_the_first_works_asks_for_nothing() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "Acme Corp");
    play.click(&token, "4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "Acme Corp");
    assert_eq!(play.count_sent("activate"), 1);
}

#[test]
fn a_click_after_the_ticket_changed_asks_the_person() {
    for (number, queue) in [("4712", "Acme Corp"), ("4711", "Globex"), ("4711", "Nobody knows")] {
        let mut play = Play::with(overview(&[]));
        play.show_ticket("4711", "Acme Corp");
        let token = play.chip().unwrap().token;
        play.click(&token, number, queue);
        assert!(!activates(&play), "{number} {queue}");
        assert!(play.opens_popup(), "{number} {queue}");
        play.open_popup();
        let form = play.view().form.clone().unwrap();
        assert!(form.caution.is_some(), "{number} {queue}");
        assert_eq!(form.ticket.unwrap().text, format!("#{number} Outlook crashes"));
    }
}

#[test]
fn a_policy_without_one_click_opens_the_popup_filled_in() {
    let mut play = Play::with(with(
        overview(&[]),
        json!({"policies": [policy("globex-careful", "Careful Admin", "globex", false)]}),
    ));
    play.show_ticket("4711", "Globex");
    let chip = play.chip().unwrap();
    assert!(!chip.one_click && chip.label.ends_with('…'));
    play.click(&chip.token, "4711", "Globex");
    assert!(!activates(&play) && play.opens_popup());
    play.open_popup();
    let form = play.view().form.clone().unwrap();
    assert_eq!(form.activate.label, "Activate Careful Admin for 1 h");
    assert!(form.activate.disabled.is_none() && form.caution.is_none());
}

#[test]
fn words_that_may_name_a_customer_by_chance_are_never_one_click() {
    let mut play = Play::with(with(
        overview(&[]),
        json!({"policies": [policy("globex-domain-admin", "Domain Admin", "globex", true)]}),
    ));
    let (sender, facts) = in_autotask("42", "Globex");
    play.page(sender, &json!({"page": "report", "facts": facts}));
    let chip = play.chip().unwrap();
    assert_eq!((chip.label.as_str(), chip.one_click), ("Activate · Globex · Domain Admin 1 h …", false));
}

#[test]
fn in_a_frame_the_button_only_opens_the_popup() {
    let mut play = Play::with(overview(&[]));
    let in_frame = || Sender { frame: Some(7), ..from_desk() };
    play.page(in_frame(), &json!({"page": "report", "facts": facts("4711", "Acme Corp")}));
    let chip = play.chip().unwrap();
    assert_eq!((chip.label.as_str(), chip.one_click), ("Activate · Acme Corp · Domain Admin 1 h …", false));
    let click = json!({"page": "click", "token": chip.token, "facts": facts("4711", "Acme Corp")});
    play.page(in_frame(), &click);
    assert!(!activates(&play) && play.opens_popup());
    play.open_popup();
    assert!(play.view().form.as_ref().unwrap().caution.is_none(), "nothing changed under the click");
}

#[test]
fn a_frame_that_speaks_before_its_page_keeps_its_ticket() {
    let mut play = Play::with(overview(&[]));
    let in_frame = || Sender { frame: Some(7), ..from_desk() };
    let around_it =
        Sender { document: Some("doc-0".into()), url: Some(format!("{DESK}/shell")), ..from_desk() };
    play.page(in_frame(), &json!({"page": "arrived"}));
    play.page(in_frame(), &json!({"page": "report", "facts": facts("4711", "Acme Corp")}));
    let token = play.chip().unwrap().token;
    play.page(around_it, &json!({"page": "arrived"}));
    play.page(in_frame(), &json!({"page": "click", "token": token, "facts": facts("4711", "Acme Corp")}));
    assert!(play.opens_popup());
}

#[test]
fn a_click_on_a_button_that_shows_a_session_opens_the_popup_without_a_caution() {
    let ticket = json!({"system": "request-tracker", "number": "4711"});
    let mut play = Play::with(overview(&[with(session("s-1", 3600), json!({"ticket": ticket}))]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    play.click(&token, "4711", "Acme Corp");
    assert!(!activates(&play) && play.opens_popup());
    play.open_popup();
    assert!(play.view().form.as_ref().unwrap().caution.is_none());
}

#[test]
fn a_session_is_shown_on_its_own_ticket_and_not_on_one_of_that_number_elsewhere() {
    let here = format!("{DESK}/Ticket/Display.html?id=4711");
    for (ticket, expected) in [
        (json!({"system": "request-tracker", "number": "4711", "url": here}), ChipState::Active),
        (json!({"system": "request-tracker", "number": "4711"}), ChipState::Active),
        (json!({"number": "4711"}), ChipState::Active),
        (
            json!({"system": "request-tracker", "number": "4711", "url": "https://rt.example/Ticket/Display.html?id=4711"}),
            ChipState::Ready,
        ),
        (json!({"system": "halopsa", "number": "4711"}), ChipState::Ready),
    ] {
        let mut play = Play::with(overview(&[with(session("s-1", 3600), json!({"ticket": ticket}))]));
        play.show_ticket("4711", "Acme Corp");
        assert_eq!(play.chip().unwrap().state, expected, "{ticket}");
    }
}

#[test]
fn a_customer_that_is_not_named_exactly_is_never_guessed() {
    for queue in ["Acme Inc", "Acme Corporation", "Acme Corp and Globex", "General"] {
        let mut play = Play::with(overview(&[]));
        play.show_ticket("4711", queue);
        let chip = play.chip().unwrap();
        assert_eq!((chip.label.as_str(), chip.one_click), ("Activate …", false), "{queue}");
        play.click(&chip.token, "4711", queue);
        assert!(!activates(&play), "{queue}");
    }
}

#[test]
fn forged_and_foreign_messages_do_nothing() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    let click = json!({"page": "click", "token": token, "facts": facts("4711", "Acme Corp")});
    let other = |change: fn(&mut Sender)| {
        let mut sender = from_desk();
        change(&mut sender);
        sender
    };
    let senders = [
        ("another extension", other(|s| s.id = Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".into()))),
        ("no extension", other(|s| s.id = None)),
        ("no tab", other(|s| s.tab = None)),
        ("no document", other(|s| s.document = None)),
        ("another document", other(|s| s.document = Some("doc-2".into()))),
        ("a tab in the background", other(|s| s.tab.as_mut().unwrap().active = false)),
        ("an extension page", own_page()),
    ];
    for (who, sender) in senders {
        play.page(sender, &click);
        assert!(!activates(&play) && !play.opens_popup(), "{who}");
    }
    for message in [
        json!({"page": "activate", "customer": "acme"}),
        json!({"do": "activate", "serial": 1}),
        json!({"page": "click", "token": "made-up", "facts": facts("4711", "Acme Corp")}),
        json!({"page": "report", "facts": facts("4711", "Acme Corp"), "tab": 2}),
        json!("x".repeat(100_000)),
        json!(null),
    ] {
        play.page(from_desk(), &message);
        assert!(!activates(&play) && !play.opens_popup(), "{message}");
    }
    play.click(&token, "4711", "Acme Corp");
    assert!(activates(&play), "the same click from the real sender does");
}

#[test]
fn intents_count_only_from_our_own_pages() {
    let mut play = Play::with(overview(&[session("s-1", 3600)]));
    let forged = Sender { url: Some(format!("{DESK}/popup.html")), ..own_page() };
    for (who, sender) in [("a content script", from_desk()), ("a forged address", forged)] {
        play.happen(Input::Connected { port: 7, name: "popup".into(), sender, front: None });
        assert!(play.effects.contains(&Effect::Refuse { port: 7 }), "{who}");
        play.happen(Input::Intent {
            port: 7,
            intent: Intent::End { session: "s-1".to_owned().try_into().unwrap() },
        });
        assert_eq!(play.count_sent("end"), 0, "{who}");
    }
}

#[test]
fn a_flood_is_ignored_after_its_share() {
    let mut play = Play::with(overview(&[]));
    play.page(from_desk(), &json!({"page": "arrived"}));
    for _ in 0..500 {
        play.page(from_desk(), &json!({"page": "report", "facts": facts("1", "Globex")}));
    }
    play.page(from_desk(), &json!({"page": "report", "facts": facts("2", "Globex")}));
    assert_eq!(play.worker.recognised_ticket(1).unwrap().number, "1");
    play.now += TimeDelta::seconds(11);
    play.page(from_desk(), &json!({"page": "report", "facts": facts("2", "Globex")}));
    assert_eq!(play.worker.recognised_ticket(1).unwrap().number, "2");
}

fn allow(play: &mut Play, patterns: &[&str]) {
    play.happen(Input::Origins { origins: patterns.iter().map(|&p| p.to_owned()).collect() });
}

fn stops(play: &Play) -> bool {
    play.effects.iter().any(|e| matches!(e, Effect::Tell { message: ToPage::Stop(true), .. }))
}

#[test]
fn scripts_on_a_site_that_was_taken_back_are_stopped_and_not_heard_any_more() {
    let mut play = Play::with(overview(&[]));
    allow(&mut play, &["https://desk.example/*"]);
    play.show_ticket("4711", "Acme Corp");
    let token = play.chip().unwrap().token;
    allow(&mut play, &[]);
    assert!(stops(&play));
    assert!(play.worker.recognised_ticket(1).is_none());
    // One that the browser kept for "back" was not told.
    play.show_ticket("4711", "Acme Corp");
    play.click(&token, "4711", "Acme Corp");
    assert!(play.worker.recognised_ticket(1).is_none() && !activates(&play) && !play.opens_popup());
    // A click on the toolbar is the person's word again, and so is the site's return.
    play.open_popup();
    assert!(play.effects.contains(&Effect::Inject { tab: 1 }));
    play.show_ticket("4711", "Acme Corp");
    assert!(play.chip().is_some());
    allow(&mut play, &["https://desk.example/*"]);
    assert!(!stops(&play));
}

#[test]
fn a_site_that_was_taken_back_while_the_worker_slept_is_stopped_when_it_wakes() {
    let mut play = Play::with(overview(&[]));
    allow(&mut play, &["https://desk.example/*"]);
    play.show_ticket("4711", "Acme Corp");
    let mut next = Play::unstarted();
    next.start(play.saved.clone(), play.memory.clone());
    assert!(stops(&next));
    assert!(next.worker.recognised_ticket(1).is_none());
}

#[test]
fn taking_one_site_back_leaves_a_page_alone_that_was_pointed_at_elsewhere() {
    let mut play = Play::with(overview(&[]));
    allow(&mut play, &["https://other.example/*"]);
    play.show_ticket("4711", "Acme Corp");
    allow(&mut play, &[]);
    assert!(!stops(&play));
    assert!(play.chip().is_some());
}

#[test]
fn a_hidden_button_stays_away_until_it_is_wanted_again() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.page(from_desk(), &json!({"page": "hide_button", "for": "site"}));
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Tell { message: ToPage::Hide(true), .. })));
    play.show_ticket("4712", "Acme Corp");
    assert!(play.chip().is_none());
    play.open_popup();
    assert!(play.view().form.as_ref().unwrap().show_button.is_some());
    play.intend(Intent::ShowButtonAgain {});
    assert!(play.chip().is_some());
}

#[test]
fn a_button_that_was_moved_stands_there_on_every_page_of_the_site() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.page(
        from_desk(),
        &json!({"page": "placement", "placement": {"corner": "top_left", "x": 5, "y": 6}}),
    );
    assert!(play.memory.is_some());
    assert_eq!(play.chip().unwrap().placement.x, 5);
}

#[test]
fn a_document_that_is_gone_is_forgotten() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.happen(Input::TabUpdated { tab: 1 });
    let ask =
        play.effects.iter().find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: None });
    assert!(play.worker.recognised_ticket(1).is_none());
    assert!(play.effects.iter().any(|e| matches!(e, Effect::TabIcon { tab: 1, lit: false, .. })));
}

#[test]
fn the_shortcut_activates_what_is_remembered_and_asks_when_the_page_moved_on() {
    for (now_there, expected) in [("4711", true), ("4712", false)] {
        let mut play = Play::with(overview(&[]));
        play.show_ticket("4711", "Acme Corp");
        play.happen(Input::Shortcut { tab: Some(Tab { id: 1, window: 1, active: true, url: None }) });
        let ask = play
            .effects
            .iter()
            .find_map(|e| if let Effect::Read { ask, .. } = e { Some(*ask) } else { None });
        play.happen(Input::PageRead {
            ask: ask.unwrap(),
            facts: Some(facts(now_there, "Acme Corp").to_string()),
        });
        assert_eq!(activates(&play), expected, "{now_there}");
        assert_eq!(play.opens_popup(), !expected, "{now_there}");
    }
}

#[test]
fn the_shortcut_without_a_ticket_opens_the_popup() {
    let mut play = Play::with(overview(&[]));
    play.happen(Input::Shortcut { tab: Some(Tab { id: 2, window: 1, active: true, url: None }) });
    assert!(play.opens_popup());
}

#[test]
fn a_page_too_busy_to_answer_is_not_forgotten() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.happen(Input::TabUpdated { tab: 1 });
    play.wait(2);
    assert_eq!(play.worker.recognised_ticket(1).unwrap().number, "4711");
    // The shortcut does not activate what could not be read again; it asks.
    play.happen(Input::Shortcut { tab: Some(Tab { id: 1, window: 1, active: true, url: None }) });
    let effects = play.wait(2);
    assert_eq!(play.count_sent("activate"), 0);
    assert!(effects.iter().any(|e| matches!(e, Effect::OpenPopup { .. })));
}
