//! A team's broker that does not know who asks, and one that is not reached.

use super::*;

/// What the policies of `overview` promise.
const GUARANTEE: &str = "It stops by itself.";

fn signed_out() -> Value {
    json!({"code": "sign_in_needed", "status": 401, "detail": "You are not signed in to the broker.", "remedy": "Sign in."})
}

impl Play {
    fn refuse_with(&mut self, method: &str, problem: &Value) -> &mut Self {
        let id = self.last_sent(method).unwrap_or_else(|| panic!("{method} was not sent")).id.clone();
        self.frame(&json!({"id": id, "error": problem}))
    }

    /// A host whose broker knows nobody.
    fn signed_out() -> Self {
        let mut play = Self::new();
        play.frame(&json!({"id": "hello", "ok": {"protocol": 1, "host_version": "0.1.0", "broker_problem": signed_out()}}));
        play.refuse_with("overview", &signed_out());
        play
    }

    fn button(&self) -> (String, Intent) {
        let button = self.view().trouble.as_ref().unwrap().button.as_ref().unwrap();
        (button.label.clone(), button.intent.clone())
    }

    fn badge(&self) -> (String, &'static str, String) {
        self.worker.badge(self.now)
    }
}

#[test]
fn who_is_not_signed_in_finds_the_way_in_where_the_rights_would_be() {
    let mut play = Play::signed_out();
    play.open_popup();
    play.refuse_with("overview", &signed_out());
    let trouble = play.view().trouble.clone().unwrap();
    assert_eq!((trouble.tone, trouble.title.as_str()), (view::Tone::Amber, "Sign in to activate rights"));
    assert!(trouble.steps.is_empty() && play.view().form.is_none() && !play.view().loading);
    assert!(play.view().announce.contains("Sign in to activate rights"));
    assert_eq!(play.badge().0, "!");
    assert!(play.badge().2.contains("sign in"), "{:?}", play.badge());

    assert_eq!(play.button(), ("Sign in".into(), Intent::SignIn {}));
    play.intend(Intent::SignIn {});
    assert_eq!(play.count_sent("sign_in"), 1);
    let trouble = play.view().trouble.clone().unwrap();
    assert_eq!(trouble.tone, view::Tone::Working);
    assert!(trouble.text.contains("goes on by itself"), "{trouble:?}");

    play.answer("sign_in", json!({"technician": "tech1"}));
    play.answer("overview", overview(&[]));
    assert_eq!(play.view().trouble, None);
    assert!(play.view().form.is_some());
    assert_eq!(play.badge().0, "");
}

#[test]
fn a_popup_that_is_closed_meanwhile_does_not_end_the_wait_for_the_sign_in() {
    let mut play = Play::signed_out();
    play.open_popup();
    play.intend(Intent::SignIn {});
    play.happen(Input::Disconnected { port: 1 });
    let effects = play.wait(300);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::ClosePort {})), "{effects:?}");
    play.answer("sign_in", json!({"technician": "tech1"}));
    assert!(play.count_sent("overview") >= 2);
    play.answer("overview", overview(&[]));
    assert_eq!(play.badge().0, "");
}

#[test]
fn a_sign_in_that_does_not_succeed_says_why_and_can_be_tried_again() {
    let mut play = Play::signed_out();
    play.open_popup();
    play.refuse_with("overview", &signed_out());
    play.intend(Intent::SignIn {});
    play.intend(Intent::SignIn {});
    assert_eq!(play.count_sent("sign_in"), 2, "the page can be asked for once more");
    let first = play.sent.iter().find(|sent| sent.method == Method::SignIn).unwrap().id.clone();
    let late =
        json!({"code": "sign_in_needed", "status": 401, "detail": "Nobody signed in in time.", "remedy": ""});
    play.frame(&json!({"id": first, "error": late}));
    assert_eq!(
        play.view().trouble.as_ref().unwrap().tone,
        view::Tone::Working,
        "the other page is still open"
    );
    let why = json!({"code": "sign_in_needed", "status": 401, "detail": "You were not signed in: access_denied.",
        "remedy": "Sign in: ticketgate sign-in"});
    play.refuse_with("sign_in", &why);
    let trouble = play.view().trouble.clone().unwrap();
    assert!(trouble.text.contains("access_denied") && trouble.tone == view::Tone::Red, "{trouble:?}");
    assert!(!trouble.steps.is_empty());
    assert_eq!(play.button(), ("Sign in".into(), Intent::SignIn {}));
    play.intend(Intent::SignIn {});
    assert_eq!(play.view().trouble.as_ref().unwrap().tone, view::Tone::Working);
}

#[test]
fn a_program_that_stops_meanwhile_opens_no_second_page_by_itself() {
    let mut play = Play::signed_out();
    play.open_popup();
    play.intend(Intent::SignIn {});
    play.happen(Input::PortClosed { error: Some("Native host has exited.".into()) });
    play.wait(2);
    play.frame(&json!({"id": "hello", "ok": {"protocol": 1, "host_version": "0.1.0", "broker_problem": signed_out()}}));
    play.refuse_with("overview", &signed_out());
    assert_eq!(play.count_sent("sign_in"), 1);
    assert_eq!(play.button(), ("Sign in".into(), Intent::SignIn {}));
}

#[test]
fn the_button_in_the_page_says_that_nobody_is_signed_in_and_activates_nothing() {
    let mut play = Play::signed_out();
    play.show_ticket("4711", "ACME");
    let chip = play.chip().unwrap();
    assert_eq!((chip.state, chip.one_click), (ChipState::Attention, false));
    assert!(chip.label.contains("Sign in") && chip.detail.contains("Nothing is activated"), "{chip:?}");
    play.click(&chip.token, "4711", "ACME");
    assert!(play.opens_popup());
    assert_eq!(play.count_sent("activate"), 0);
    assert_eq!(play.count_sent("sign_in"), 0, "a page never starts a sign-in");

    // What was known before is not offered either, and a click on what stood there before does nothing.
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "ACME");
    let before = play.chip().unwrap();
    assert!(before.one_click);
    play.open_popup();
    play.wait(10);
    play.happen(Input::Disconnected { port: 1 });
    play.frame(&json!({"event": "resync"}));
    play.refuse_with("overview", &signed_out());
    let chip = play.chip().unwrap();
    assert!(chip.label.contains("Sign in") && chip.token != before.token, "{chip:?}");
    play.click(&before.token, "4711", "ACME");
    assert_eq!(play.count_sent("activate"), 0);
}

#[test]
fn the_time_that_runs_is_shown_also_to_who_was_signed_out() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.open_popup();
    play.frame(&json!({"event": "resync"}));
    play.refuse_with("overview", &signed_out());
    assert_eq!(play.view().sessions.len(), 1);
    assert!(play.view().form.is_none());
    assert!(!play.view().foot.contains("Signed in"), "{}", play.view().foot);
    let (text, _, title) = play.badge();
    assert!(text.contains('m') && title.contains("sign in to extend"), "{text} {title}");
    // A worker that is started anew knows it before it has asked again.
    let mut again = Play::unstarted();
    again.start(play.saved.clone(), play.memory.clone());
    assert!(again.worker.badge(again.now).2.contains("sign in to extend"));
}

#[test]
fn an_act_that_meets_a_sign_in_that_is_over_leads_to_the_sign_in() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "ACME");
    play.open_popup();
    play.press_activate();
    let ask = play.effects.iter().find_map(|effect| match effect {
        Effect::Read { ask, .. } => Some(*ask),
        _ => None,
    });
    play.happen(Input::PageRead { ask: ask.unwrap(), facts: Some(facts("4711", "ACME").to_string()) });
    play.refuse_with("activate", &signed_out());
    play.refuse_with("overview", &signed_out());
    assert_eq!(play.button(), ("Sign in".into(), Intent::SignIn {}));
    assert!(play.view().job.is_some(), "and the wish can be repeated afterwards");
}

#[test]
fn a_tenant_that_needs_somebodys_sign_in_is_not_the_persons_own_sign_in() {
    let mut play = Play::with(overview(&[]));
    play.open_popup();
    play.wait(6);
    play.intend(Intent::Reconnect {});
    play.refuse("overview", "sign_in_needed");
    assert_ne!(play.button().1, Intent::SignIn {});
}

#[test]
fn a_broker_that_is_not_reached_is_said_what_was_known_stays_and_it_comes_back_by_itself() {
    let mut play = Play::with(overview(&[session("s-1", 1800)]));
    play.show_ticket("4712", "ACME");
    play.open_popup();
    play.frame(&json!({"event": "resync"}));
    let gone = json!({"code": "broker_unreachable", "status": 503,
        "detail": "The team's broker is not reached: nobody answers there.",
        "remedy": "Check the network, and the VPN where there is one. It is tried again by itself.", "retry_after_s": 2});
    play.refuse_with("overview", &gone);
    let trouble = play.view().trouble.clone().unwrap();
    assert_eq!(trouble.title, "The broker does not answer");
    assert!(
        trouble.text.contains("nobody answers there") && trouble.steps[0].text.contains("VPN"),
        "{trouble:?}"
    );
    let [card] = play.view().sessions.as_slice() else { panic!("{:?}", play.view().sessions) };
    let counts = card.counts.as_ref().unwrap();
    assert_eq!((counts.tone, counts.text.as_str()), (view::Tone::Calm, GUARANTEE), "what still counts");
    assert!(play.view().form.is_some());
    let (text, _, title) = play.badge();
    assert!(text.contains('m') && title.contains("the broker does not answer"), "{text} {title}");
    let asked = play.count_sent("overview");
    play.wait(2);
    assert_eq!(play.count_sent("overview"), asked + 1, "without a click");
    play.answer("overview", overview(&[session("s-1", 1800)]));
    assert_eq!((&play.view().trouble, &play.view().sessions[0].counts), (&None, &None));
    assert!(!play.badge().2.contains("answer"));
}

#[test]
fn a_remedy_that_ends_with_a_command_is_said_whole_and_the_command_once() {
    for (remedy, said) in [
        (
            "Your administrator has to name the authority (ca_file in relay.toml). Run: ticketgate doctor",
            "Your administrator has to name the authority (ca_file in relay.toml). Run:",
        ),
        (
            "Ask an administrator to look at the disk: `ticketgate doctor`.",
            "Ask an administrator to look at the disk:",
        ),
        ("`ticketgate doctor`", "Find out what is wrong:"),
        ("Run `ticketgate doctor` there.", "Run `ticketgate doctor` there."),
    ] {
        let mut play = Play::with(overview(&[]));
        play.open_popup();
        play.frame(&json!({"event": "resync"}));
        let gone =
            json!({"code": "broker_unreachable", "status": 503, "detail": "Not reached.", "remedy": remedy});
        play.refuse_with("overview", &gone);
        let steps = play.view().trouble.as_ref().unwrap().steps.clone();
        let steps: Vec<_> = steps.iter().map(|step| (step.text.as_str(), step.command.as_deref())).collect();
        assert_eq!(steps, [(said, Some("ticketgate doctor"))]);
    }
}

#[test]
fn what_a_broker_told_before_it_was_lost_is_no_news_any_more() {
    let told = json!([{"level": "warning", "text": "The clocks are apart."}]);
    let mut play = Play::with(with(overview(&[]), json!({"notices": told})));
    play.open_popup();
    assert_eq!(play.view().notices.len(), 1);
    play.frame(&json!({"event": "resync"}));
    play.refuse("overview", "ledger_down");
    assert_eq!(play.view().trouble.as_ref().unwrap().title, "The broker's ledger is out of reach");
    assert_eq!(play.view().notices, []);
}
