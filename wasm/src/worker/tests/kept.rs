//! What is kept for a popup that opens while the worker sleeps, and the pointer that wakes it.

use super::popup::read_again;
use super::*;

/// What is kept for the next popup, as it was last told to the browser.
fn kept(play: &Play) -> Option<(i32, View)> {
    let told = |e: &Effect| match e {
        Effect::KeepView { view } => Some(view.as_ref().map(|(tab, view)| (*tab, (**view).clone()))),
        _ => None,
    };
    play.effects.iter().find_map(told).expect("nothing was said of the next popup")
}

#[test]
fn a_popup_that_opens_while_the_worker_sleeps_has_the_same_form_and_its_click_counts() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let (tab, drawn) = kept(&play).unwrap();
    let saved = play.saved.clone();
    let mut woken = Play::unstarted();
    woken.now = play.now;
    woken.start(saved, play.memory.clone());
    woken.greet();
    woken.open_popup();
    assert_eq!(tab, 1);
    assert_eq!(woken.view().form, drawn.form);
    woken.intend(drawn.form.unwrap().activate.intent);
    read_again(&mut woken, "4711", "Acme Corp");
    let Method::Activate(wanted) = &woken.last_sent("activate").unwrap().method else { panic!() };
    assert_eq!(wanted.ticket.as_ref().unwrap().number, "4711");
}

#[test]
fn a_click_on_a_kept_form_that_stands_for_another_ticket_by_now_does_nothing() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    let (_, drawn) = kept(&play).unwrap();
    play.show_ticket("4712", "Acme Corp");
    play.open_popup();
    play.intend(drawn.form.unwrap().activate.intent);
    assert!(play.last_sent("activate").is_none());
}

#[test]
fn nothing_is_kept_that_changes_by_itself_or_that_the_person_wrote() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    assert!(kept(&play).is_some());
    play.open_popup();
    play.write_reason("Mail is down");
    play.happen(Input::Disconnected { port: 1 });
    assert_eq!(kept(&play), None, "typed words");
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    assert!(kept(&play).is_some());
    play.click(&play.chip().unwrap().token, "4711", "Acme Corp");
    assert_eq!(kept(&play), None, "an activation is under way");
}

#[test]
fn a_pointer_at_the_button_opens_the_brokers_door() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.happen(Input::PortClosed { error: None });
    assert!(!play.effects.iter().any(|e| matches!(e, Effect::OpenPort { .. })));
    play.page(from_desk(), &json!({"page": "near"}));
    assert!(play.effects.iter().any(|e| matches!(e, Effect::OpenPort { .. })), "{:?}", play.effects);
}

#[test]
fn a_tab_that_goes_takes_what_was_kept_for_it_along() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    assert!(kept(&play).is_some());
    play.happen(Input::TabRemoved { tab: 1 });
    assert_eq!(kept(&play), None);
}
