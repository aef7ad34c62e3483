//! Tickets whose pages do not say enough: what is asked of the broker, and what its answer fills in.

use super::*;

const HALO: &str = "https://acme.halopsa.com";

/// A HaloPSA page in a tab, whose document is called like it.
fn in_halo(tab: i32, number: u32, title: &str) -> (Sender, Value) {
    let url = format!("{HALO}/tickets?area=1&id=000{number}");
    let questions = Rules::built_in().questions(&url).unwrap();
    let facts =
        json!({"rules": questions.rules, "address": url, "title": title, "shown": true, "answers": []});
    let sender = Sender {
        url: Some(url),
        origin: Some(HALO.into()),
        tab: Some(Tab { id: tab, window: 1, active: true, url: None }),
        document: Some(format!("doc-{tab}")),
        ..from_desk()
    };
    (sender, facts)
}

fn show_in(play: &mut Play, tab: i32, number: u32) {
    let (sender, facts) = in_halo(tab, number, "HaloPSA");
    play.page(sender.clone(), &json!({"page": "arrived"}));
    play.page(sender, &json!({"page": "report", "facts": facts}));
}

/// Shows it for as long as a page may take to say the rest.
fn show(play: &mut Play, number: u32) {
    show_in(play, 1, number);
    play.wait_ms(600);
}

/// An overview of a broker that has a ticket system for those pages, and for Request Tracker's.
fn connected() -> Value {
    with(overview(&[]), json!({"ticket_hosts": ["acme.halopsa.com", "desk.example"]}))
}

/// Of one customer alone.
fn one_customer() -> Value {
    let mut overview = connected();
    overview["customers"].as_array_mut().unwrap().truncate(1);
    overview["policies"].as_array_mut().unwrap().truncate(1);
    overview
}

fn printer() -> Value {
    json!({"system_name": "HaloPSA", "number": "3079", "customers": ["acme"], "summary": "Printer on fire",
        "company": "Acme Holdings", "status": "In Progress", "open": true})
}

/// A page with ticket 3079 has been asked about, and the broker said this.
fn told(answer: Value) -> Play {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    play.answer("ticket", answer);
    play
}

fn no(play: &mut Play, code: &str, detail: &str) {
    let id = play.last_sent("ticket").unwrap().id.clone();
    play.frame(&json!({"id": id, "error": {"code": code, "status": 500, "detail": detail, "remedy": ""}}));
}

fn form(play: &Play) -> view::FormView {
    play.view().form.clone().unwrap()
}

fn chosen(form: &view::FormView) -> Option<&str> {
    form.customers.iter().find(|c| c.chosen).map(|c| c.label.as_str())
}

fn mark(form: &view::FormView) -> &str {
    form.customer_mark.as_ref().map_or("", |mark| mark.text.as_str())
}

fn click(play: &mut Play, number: u32) {
    let (sender, facts) = in_halo(1, number, "HaloPSA");
    let token = play.chip().unwrap().token;
    play.page(sender, &json!({"page": "click", "token": token, "facts": facts}));
}

#[test]
fn a_page_that_gives_a_number_alone_is_asked_about_once() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    let Method::Ticket(question) = &play.last_sent("ticket").unwrap().method else { panic!() };
    assert_eq!(
        (question.system.as_str(), question.number.as_str(), question.url.as_str()),
        ("halopsa", "3079", "https://acme.halopsa.com/ticket?id=3079")
    );
    show(&mut play, 3079);
    play.answer("ticket", printer());
    show(&mut play, 3079);
    play.open_popup();
    play.wait(60);
    assert_eq!(play.count_sent("ticket"), 1);
}

#[test]
fn nothing_is_asked_in_vain() {
    // The page says it all.
    let mut play = Play::with(connected());
    play.show_ticket("4711", "Acme Corp").wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 0);
    // Or does a moment later.
    let mut play = Play::with(connected());
    play.show_ticket("4711", "General").wait_ms(500);
    play.show_ticket("4711", "Acme Corp").wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 0);
    // No ticket system for the page, or a broker that knows no such question.
    let mut play = Play::with(with(overview(&[]), json!({"ticket_hosts": ["desk.example"]})));
    show(&mut play, 3079);
    assert_eq!(play.count_sent("ticket"), 0);
    let mut play = Play::with(overview(&[]));
    show(&mut play, 3079);
    assert_eq!(play.count_sent("ticket"), 0);
}

#[test]
fn a_company_that_fits_no_customer_is_asked_about_too() {
    let mut play = Play::with(connected());
    play.show_ticket("4711", "General").wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 1);
    play.answer("ticket", with(printer(), json!({"number": "4711", "system_name": "Request Tracker"})));
    assert!(play.chip().unwrap().label.starts_with("Activate · Acme Corp"));
    play.open_popup();
    let form = form(&play);
    assert_eq!(mark(&form), "from Request Tracker");
    assert_eq!(form.ticket.unwrap().text, "#4711 Outlook crashes", "the page's own summary stays");
}

#[test]
fn the_answer_fills_button_and_popup_and_one_click_activates() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    assert_eq!(play.chip().unwrap().label, "Activate …");
    play.answer("ticket", printer());
    let chip = play.chip().unwrap();
    assert_eq!((chip.label.as_str(), chip.one_click), ("Activate · Acme Corp · Domain Admin 1 h", true));
    play.open_popup();
    let form = form(&play);
    assert_eq!((chosen(&form), mark(&form)), (Some("Acme Corp"), "from HaloPSA"));
    assert_eq!(form.customer_mark.unwrap().tone, view::Tone::Good);
    assert_eq!(form.reason, "#3079 Printer on fire (Acme Holdings)");
    assert_eq!(form.said.as_deref(), Some("Acme Holdings · from HaloPSA"));
    click(&mut play, 3079);
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    assert_eq!(wanted.reason, "#3079 Printer on fire (Acme Holdings)");
    assert_eq!(wanted.customer.as_ref().unwrap().as_str(), "acme");
    let ticket = wanted.ticket.as_ref().unwrap();
    assert_eq!(ticket.summary.as_deref(), Some("Printer on fire"));
    assert_eq!(ticket.url.as_deref(), Some("https://acme.halopsa.com/ticket?id=3079"));
}

#[test]
fn a_click_on_what_stood_there_before_the_answer_is_no_click() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    let (sender, facts) = in_halo(1, 3079, "HaloPSA");
    let token = play.chip().unwrap().token;
    play.answer("ticket", printer());
    play.page(sender, &json!({"page": "click", "token": token, "facts": facts}));
    assert_eq!(play.count_sent("activate"), 0);

    let mut play = Play::with(one_customer());
    show(&mut play, 3079);
    play.open_popup();
    let before = form(&play);
    assert_eq!(mark(&before), "the only one, not named by the ticket: check");
    play.answer("ticket", printer());
    assert_eq!(
        (form(&play).reason.as_str(), mark(&form(&play))),
        ("#3079 Printer on fire (Acme Holdings)", "from HaloPSA")
    );
    play.intend(Intent::Activate { serial: before.serial });
    assert!(
        !play.effects.iter().any(|e| matches!(e, Effect::Read { .. })),
        "the form changed under the click"
    );
    play.press_activate();
    assert!(play.effects.iter().any(|e| matches!(e, Effect::Read { .. })));
}

#[test]
fn a_late_answer_leaves_what_was_written_and_picked() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    play.open_popup();
    play.write_reason("Weekly maintenance");
    let before = form(&play);
    play.answer("ticket", printer());
    let after = form(&play);
    assert_eq!((after.reason.as_str(), after.serial), ("Weekly maintenance", before.serial));
    assert_eq!(
        (chosen(&after), mark(&after)),
        (Some("Acme Corp"), "from HaloPSA"),
        "what was left open is filled in"
    );

    let mut play = Play::with(connected());
    show(&mut play, 3079);
    play.open_popup();
    play.intend(Intent::PickCustomer { customer: Some("globex".parse().unwrap()) });
    play.intend(Intent::PickPolicy { policy: Some("globex-careful".parse().unwrap()) });
    let before = form(&play);
    play.answer("ticket", printer());
    let after = form(&play);
    assert_eq!((chosen(&after), mark(&after)), (Some("Globex"), ""));
    assert_eq!(after.reason, "#3079 Printer on fire (Acme Holdings)", "nobody had written one");
    assert_ne!(after.serial, before.serial, "a click on the reason before does not count");

    let mut play = Play::with(connected());
    show(&mut play, 3079);
    play.open_popup();
    play.intend(Intent::EditTicket { text: "5000".into() });
    let before = form(&play);
    play.answer("ticket", printer());
    assert_eq!(form(&play), before, "another ticket was typed");
}

#[test]
fn what_was_being_written_when_the_answer_came_stands() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    play.open_popup();
    let before = form(&play).serial;
    play.answer("ticket", printer());
    let filled = form(&play);
    assert_eq!(filled.reason, "#3079 Printer on fire (Acme Holdings)");
    // Typed into the form before, and heard after.
    play.intend(Intent::EditReason { text: "Weekly".into(), serial: before });
    let after = form(&play);
    assert_eq!(after.reason, "Weekly");
    assert_ne!(after.serial, filled.serial, "it is drawn again");
    play.intend(Intent::EditReason { text: "Weekly m".into(), serial: after.serial });
    assert_eq!((form(&play).reason.as_str(), form(&play).serial), ("Weekly m", after.serial));
}

#[test]
fn a_guess_gives_way_to_the_systems_word_even_after_the_person_typed() {
    let mut play = Play::with(one_customer());
    show(&mut play, 3079);
    play.open_popup();
    play.write_reason("Weekly maintenance");
    assert_eq!(mark(&form(&play)), "the only one, not named by the ticket: check");
    no(&mut play, "ticket_unknown", "HaloPSA shows no ticket 3079 of a customer of yours.");
    let after = form(&play);
    assert_eq!(chosen(&after), None);
    assert_eq!(mark(&after), "HaloPSA shows no ticket 3079 of a customer of yours: pick the customer");
    assert_eq!(after.reason, "Weekly maintenance");
}

#[test]
fn several_or_contradicting_words_are_asked_about() {
    for (company, customers, says, suggested) in [
        ("Shared Ltd", json!(["acme", "globex"]), "“Shared Ltd” may be one of several: pick the customer", 2),
        ("Globex", json!(["acme"]), "HaloPSA and the page name different customers: pick the customer", 1),
    ] {
        let play = {
            let mut play = told(with(printer(), json!({"company": company, "customers": customers})));
            assert!(!play.chip().unwrap().one_click, "{company}");
            play.open_popup();
            play
        };
        let form = form(&play);
        assert_eq!((chosen(&form), mark(&form)), (None, says));
        assert_eq!(form.suggested.len(), suggested, "{company}");
    }
}

#[test]
fn a_ticket_that_is_closed_there_is_marked_and_not_for_one_click() {
    let mut play = told(with(printer(), json!({"open": false, "status": "Closed"})));
    let chip = play.chip().unwrap();
    assert_eq!((chip.label.as_str(), chip.one_click), ("Activate · Acme Corp · Domain Admin 1 h …", false));
    play.open_popup();
    assert_eq!(mark(&form(&play)), "from HaloPSA, where the ticket is closed: check");
    assert_eq!(form(&play).activate.disabled, None, "what may be done is the policy's matter");
}

#[test]
fn without_a_word_the_form_is_typed_by_hand_and_says_why() {
    for (code, detail, says) in [
        ("ticket_system_down", "HaloPSA cannot be reached.", "HaloPSA cannot be reached: pick the customer"),
        (
            "rate_limited",
            "More than 30 tickets were looked up in a minute.",
            "More than 30 tickets were looked up in a minute: pick the customer",
        ),
        ("unknown_method", "This version does not know the method.", ""),
        ("broker_unreachable", "No broker answers.", ""),
    ] {
        let mut play = Play::with(connected());
        show(&mut play, 3079);
        play.open_popup();
        no(&mut play, code, detail);
        let before = form(&play);
        assert_eq!((chosen(&before), mark(&before)), (None, says), "{code}");
        assert_eq!(play.chip().unwrap().label, "Activate …", "{code}");
        play.intend(Intent::PickCustomer { customer: Some("acme".parse().unwrap()) });
        play.write_reason("Printer");
        assert_eq!(form(&play).activate.disabled, None, "{code}");
    }
}

#[test]
fn the_only_customer_is_still_offered_where_the_system_gives_no_word() {
    let mut play = Play::with(one_customer());
    show(&mut play, 3079);
    play.open_popup();
    no(&mut play, "ticket_system_down", "HaloPSA cannot be reached.");
    let form = form(&play);
    assert_eq!(
        (chosen(&form), mark(&form)),
        (Some("Acme Corp"), "the only one; HaloPSA cannot be reached: check")
    );
    assert!(!play.chip().unwrap().one_click);
}

#[test]
fn an_outage_is_asked_about_again_while_the_person_looks_and_no_sooner() {
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    no(&mut play, "ticket_system_down", "HaloPSA cannot be reached.");
    play.wait(120);
    show(&mut play, 3079);
    assert_eq!(play.count_sent("ticket"), 1, "nobody looks");
    play.open_popup();
    play.greet();
    play.answer("overview", connected());
    play.wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 2);
    no(&mut play, "ticket_system_down", "HaloPSA cannot be reached.");
    play.wait(20);
    assert_eq!(play.count_sent("ticket"), 2);
    play.wait(20);
    assert_eq!(play.count_sent("ticket"), 3);
    play.answer("ticket", printer());
    assert_eq!(mark(&form(&play)), "from HaloPSA");
    // A broker that was away is another matter: once it answers again, so does the ticket system.
    let mut play = Play::with(connected());
    show(&mut play, 3079);
    no(&mut play, "broker_unreachable", "No broker answers.");
    play.frame(&json!({"event": "overview"}));
    assert_eq!(play.count_sent("ticket"), 1);
    play.answer("overview", connected());
    play.wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 2);
}

#[test]
fn what_a_system_writes_is_one_clean_line_and_never_another_tickets() {
    let dirty = with(
        printer(),
        json!({"summary": format!("Printer\r\non\u{202e} fire{}", "!".repeat(400)), "company": "Acme\u{0}\nHoldings"}),
    );
    let mut play = told(dirty);
    play.open_popup();
    let form = form(&play);
    let line = form.ticket.unwrap().text;
    assert!(line.starts_with("#3079 Printer on fire!!") && line.chars().count() == 306, "{line}");
    assert_eq!(form.said.as_deref(), Some("Acme Holdings · from HaloPSA"));
    for wrong in [
        json!({"number": "3080"}),
        json!({"customers": []}),
        json!({"customers": ["hooli"]}),
        json!({"open": "yes"}),
    ] {
        let play = told(with(printer(), wrong.clone()));
        assert_eq!(play.chip().unwrap().label, "Activate …", "{wrong}");
    }
}

#[test]
fn a_summary_that_the_page_may_mean_gives_way_to_the_systems() {
    let mut play = Play::with(connected());
    let (sender, facts) = in_halo(1, 3079, "[IN-0003079] Something else");
    play.page(sender.clone(), &json!({"page": "arrived"}));
    play.page(sender, &json!({"page": "report", "facts": facts})).wait_ms(600);
    play.open_popup();
    assert!(form(&play).caution.unwrap().text.contains("summary was guessed"));
    play.answer("ticket", printer());
    let form = form(&play);
    assert_eq!((form.ticket.unwrap().text.as_str(), form.caution), ("#3079 Printer on fire", None));
}

#[test]
fn pages_are_asked_about_one_after_the_other_and_answers_are_kept_within_bounds() {
    let mut play = Play::unstarted();
    play.happen(Input::Started(Started {
        id: EXTENSION_ID.into(),
        version: "0.1.0".into(),
        tabs: (1..=80).collect(),
        ..Started::default()
    }));
    play.greet();
    play.answer("overview", connected());
    for tab in 1..=80 {
        show_in(&mut play, tab, 3000 + u32::try_from(tab).unwrap());
    }
    play.wait_ms(2000);
    assert_eq!(play.count_sent("ticket"), 1, "one at a time");
    for _ in 0..100 {
        let Method::Ticket(question) = &play.last_sent("ticket").unwrap().method else { panic!() };
        let number = question.number.clone();
        play.answer("ticket", with(printer(), json!({"number": number})));
        play.wait_ms(600);
    }
    assert_eq!(play.count_sent("ticket"), 64, "no more than is kept, and none is asked about twice");
    play.happen(Input::TabRemoved { tab: 1 });
    play.wait_ms(600);
    assert_eq!(play.count_sent("ticket"), 65, "there is room again");
}

#[test]
fn an_answer_outlives_the_worker_and_is_forgotten_some_minutes_after_its_page() {
    let play = told(printer());
    let saved = play.saved.clone();
    let mut play = Play::unstarted();
    play.start(saved, None);
    show(&mut play, 3079);
    assert_eq!(play.chip().unwrap().label, "Activate · Acme Corp · Domain Admin 1 h");
    play.happen(Input::TabRemoved { tab: 1 });
    play.now += TimeDelta::minutes(9);
    show(&mut play, 3079);
    assert_eq!(play.chip().unwrap().label, "Activate · Acme Corp · Domain Admin 1 h");
    play.happen(Input::TabRemoved { tab: 1 });
    play.now += TimeDelta::minutes(2);
    show(&mut play, 3079);
    assert_eq!(play.chip().unwrap().label, "Activate …");
}

#[test]
fn a_choice_that_the_system_made_is_not_remembered_as_the_persons() {
    let mut play = told(printer());
    click(&mut play, 3079);
    let Method::Activate(wanted) = &play.last_sent("activate").unwrap().method else { panic!() };
    let ticket = serde_json::to_value(&wanted.ticket).unwrap();
    let over = with(session("s-1", 3600), json!({"ticket": ticket, "state": "ended"}));
    play.answer("activate", json!({"session": over, "clipboard": {"state": "not_needed"}}));
    assert!(!play.memory.unwrap().contains("acme holdings"));
}
