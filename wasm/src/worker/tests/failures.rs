//! What an activation that failed leads to.

use super::popup::read_again;
use super::*;

#[test]
fn a_failed_activation_shows_the_way_out() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.press_activate();
    read_again(&mut play, "4711", "Acme Corp");
    assert_eq!(play.view().job.as_ref().unwrap().title, "Activating Domain Admin at Acme Corp");
    play.refuse("activate", "directory_down");
    let job = play.view().job.clone().unwrap();
    assert_eq!(
        (job.title.as_str(), job.text.as_str()),
        ("Not activated: Domain Admin at Acme Corp", "It is so.")
    );
    assert_eq!(job.steps.last().unwrap().command.as_deref(), Some("r-7"), "by which the log has it");
    assert_eq!(play.worker.badge(play.now).0, "!");
    play.intend(Intent::Dismiss {});
    assert!(play.view().form.is_some());
    assert_eq!(play.worker.badge(play.now).0, "");
}

/// A play whose activation for ticket 4711 was refused, with the popup open.
fn refused(code: &str) -> Play {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    play.press_activate();
    read_again(&mut play, "4711", "Acme Corp");
    play.refuse("activate", code);
    play
}

#[test]
fn a_wish_that_cannot_succeed_offers_to_change_it_first() {
    for (code, change_first) in [
        ("directory_down", false),
        ("ticket_unverified", false),
        ("rate_limited", false),
        ("too_many_sessions", false),
        ("ticket_of_another_customer", true),
        ("ticket_not_found", true),
        ("ticket_closed", true),
        ("not_eligible", true),
    ] {
        let job = refused(code).view().job.clone().unwrap();
        assert_eq!(job.change_first, change_first, "{code}");
        let names_request = job.steps.iter().any(|step| step.command.as_deref() == Some("r-7"));
        assert_eq!(names_request, ["directory_down", "ticket_unverified"].contains(&code), "{code}");
        assert!(job.retry.is_some() && job.dismiss.is_some(), "{code}");
    }
}

#[test]
fn connecting_again_repeats_no_activation() {
    let mut play = refused("directory_down");
    play.intend(Intent::Reconnect {});
    assert_eq!(play.count_sent("activate"), 1);
    play.intend(Intent::RetryJob {});
    assert_eq!(play.count_sent("activate"), 2);
}

/// Activates what the form shows and answers the key of the request.
fn activate(play: &mut Play) -> String {
    play.press_activate();
    read_again(play, "4711", "Acme Corp");
    play.last_sent("activate").unwrap().key.clone().unwrap().to_string()
}

#[test]
fn an_activation_that_may_have_been_made_keeps_its_key_when_it_is_put_aside() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    let first = activate(&mut play);
    play.wait(41);
    assert!(play.view().job.as_ref().unwrap().steps[0].text.contains("nothing is done twice"));
    play.intend(Intent::Dismiss {});
    // Something else in between is another wish.
    play.intend(Intent::PickDuration { seconds: 1800 });
    assert_ne!(activate(&mut play), first);
    play.refuse("activate", "directory_down");
    play.intend(Intent::Dismiss {});
    play.intend(Intent::PickDuration { seconds: 3600 });
    assert_eq!(activate(&mut play), first);
    // A refusal is an answer: what comes after it is a new request.
    play.refuse("activate", "directory_down");
    play.intend(Intent::Dismiss {});
    assert_ne!(activate(&mut play), first);
}

#[test]
fn an_activation_that_may_have_been_made_is_another_wish_after_a_while() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    let first = activate(&mut play);
    play.wait(41);
    play.intend(Intent::Dismiss {});
    play.wait(10 * 60);
    assert_ne!(activate(&mut play), first);
}

#[test]
fn a_repeat_that_finds_its_session_ended_calls_nothing_ready() {
    let mut play = Play::with(overview(&[]));
    play.show_ticket("4711", "Acme Corp");
    play.open_popup();
    activate(&mut play);
    play.happen(Input::Disconnected { port: 1 });
    let ended = with(session("s-1", 3600), json!({"state": "ended", "version": 3}));
    play.answer("activate", json!({"session": ended, "clipboard": {"state": "not_needed"}}));
    assert_eq!(notices(&play.effects), Vec::<String>::new());
}

#[test]
fn what_failed_for_one_ticket_leaves_the_next_its_form_and_cannot_be_repeated_there() {
    let mut play = refused("directory_down");
    assert!(play.view().form.is_none());
    play.show_ticket("4712", "Globex");
    let view = play.view().clone();
    assert_eq!(view.form.unwrap().ticket.unwrap().text, "#4712 Outlook crashes");
    let job = view.job.unwrap();
    assert_eq!(job.title, "Not activated: Domain Admin at Acme Corp · #4711");
    assert!(job.retry.is_none());
    assert_eq!(job.dismiss.unwrap().label, "Dismiss");
}

#[test]
fn what_failed_is_forgotten_after_a_while() {
    let mut play = refused("directory_down");
    play.happen(Input::Disconnected { port: 1 });
    play.wait(10 * 60 - 1);
    assert_eq!(play.worker.badge(play.now).0, "!");
    play.wait(1);
    assert_eq!(play.worker.badge(play.now).0, "");
}
