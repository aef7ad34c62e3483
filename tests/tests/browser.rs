//! What becomes of badge, popup and sessions when parts of the browser's side come and go: the worker, the broker, the
//! browser itself, a second browser.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::chromium::Options;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::samba::SambaAd;
use ticketgate_tests::site::Served;
use ticketgate_tests::workplace::{Workplace, about_an_hour, saved_ticket, settings};

#[test]
fn a_worker_that_was_stopped_knows_the_session_when_it_wakes() -> Outcome {
    let work = Workplace::quick()?;
    work.click_in_page()?;
    let id = work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    work.browser.stop_worker()?;
    // The session is ended behind the sleeping worker's back.
    work.product.cli_json(&["end", &id])?;
    let _worker = work.browser.wake("options.html")?;
    work.badge_becomes(&work.browser, "nothing", str::is_empty)?;
    // And the other way round.
    work.browser.stop_worker()?;
    work.product.granted(&wish("acme-domain-admin"))?;
    let _worker = work.browser.wake("options.html")?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    Ok(())
}

#[test]
fn a_worker_stopped_in_the_middle_of_an_activation_goes_on_with_it_when_it_wakes() -> Outcome {
    // The directory is held up longer than it usually may take.
    let patient = |ad: &SambaAd| {
        let waits = settings(ad).replace("account_unit =", "timeout = \"20s\"\naccount_unit =");
        waits.expect("every directory has a unit")
    };
    let work = Workplace::quick_with(patient, saved_ticket()?)?;
    work.ad.pause()?;
    work.click_in_page()?;
    work.badge_becomes(&work.browser, "that it works", |badge| badge == "…")?;
    work.browser.stop_worker()?;
    let _worker = work.browser.wake("options.html")?;
    work.badge_becomes(&work.browser, "that it works still", |badge| badge == "…")?;
    work.ad.resume()?;
    work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    assert_eq!(work.open_sessions()?.len(), 1, "no second one was begun");
    assert!(work.ad.bind("jit-tech1", &work.copied()?)?.accepted(), "its password reaches the person");
    Ok(())
}

#[test]
fn a_popup_that_opens_over_a_sleeping_worker_has_the_ticket_and_activates() -> Outcome {
    let work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    let kept = "chrome.storage.session.get('view').then(({view}) => view?.[1].form.ticket.text)";
    let text = work.browser.worker()?.eval(kept)?;
    assert!(text.as_str().is_some_and(|text| text.starts_with("#4711 ")), "{text}");
    work.browser.stop_worker()?;
    work.browser.click_toolbar(&work.page)?;
    work.browser.popup()?.click("button", "Activate Domain Admin for 1 h")?;
    work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    let left = work.browser.worker()?.eval(kept)?;
    assert!(left.is_null(), "nothing is kept while a session's time runs: {left}");
    Ok(())
}

#[test]
fn the_popup_goes_on_when_the_broker_is_restarted() -> Outcome {
    let mut work = Workplace::quick()?;
    let id = work.product.granted(&wish("acme-domain-admin"))?;
    let popup = work.browser.open_popup()?;
    popup.wait_for_control("button", "End now")?;
    work.product.kill_broker()?;
    popup.until(
        "/does not answer|cannot be reached|not running/i.test(document.querySelector('main').innerText)",
    )?;
    work.product.start_broker()?;
    popup.until(
        "!/does not answer|cannot be reached|not running/i.test(document.querySelector('main').innerText)",
    )?;
    popup.click("button", "End now")?;
    work.product.session_becomes(&id, "ended")?;
    assert!(work.ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn after_a_restart_of_the_broker_the_popup_offers_a_new_password() -> Outcome {
    let mut work = Workplace::quick()?;
    work.click_in_page()?;
    work.active_session()?;
    let old = work.copied()?;
    work.product.kill_broker()?;
    work.product.start_broker()?;
    let popup = work.browser.open_popup()?;
    popup.click("button", "New password")?;
    until("a new password in the clipboard", LIMIT, || {
        Ok(work.display.clipboard()?.is_some_and(|text| text != old))
    })?;
    assert!(work.ad.bind("jit-tech1", &work.copied()?)?.accepted());
    assert!(!work.ad.bind("jit-tech1", &old)?.accepted());
    Ok(())
}

#[test]
fn two_browsers_see_one_another_and_an_end_in_one_shows_in_the_other() -> Outcome {
    let work = Workplace::quick()?;
    let other = work.product.browser(work.browser_options())?;
    let _page = work.ticket_in(&other)?;
    work.page.to_front()?;
    work.click_in_page()?;
    let id = work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    work.badge_becomes(&other, "an hour", about_an_hour)?;
    let popup = other.open_popup()?;
    popup.click("button", "End now")?;
    work.product.session_becomes(&id, "ended")?;
    work.badge_becomes(&work.browser, "nothing", str::is_empty)?;
    work.badge_becomes(&other, "nothing", str::is_empty)?;
    Ok(())
}

#[test]
fn a_browser_that_was_closed_or_crashed_shows_the_session_again() -> Outcome {
    let work = Workplace::quick()?;
    work.product.granted(&wish("acme-domain-admin"))?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    let Workplace { browser, page, product, .. } = &work;
    let _ = (browser, page);
    let first = product.browser(Options::default())?;
    let profile = first.close()?;
    let second = product.browser(Options { profile: Some(profile), ..Options::default() })?;
    work.badge_becomes(&second, "an hour", about_an_hour)?;
    let profile = second.crash()?;
    let third = product.browser(Options { profile: Some(profile), ..Options::default() })?;
    work.badge_becomes(&third, "an hour", about_an_hour)?;
    Ok(())
}

#[test]
fn an_end_that_does_not_succeed_is_red_in_badge_and_popup_until_it_does() -> Outcome {
    let mut work = Workplace::quick()?;
    let id = work.product.granted(&wish("acme-domain-admin"))?;
    let popup = work.browser.open_popup()?;
    popup.wait_for_control("button", "End now")?;
    work.ad.crash()?;
    popup.click("button", "End now")?;
    work.badge_becomes(&work.browser, "that it needs somebody", |badge| badge == "!")?;
    popup.until("/Next attempt/.test(document.querySelector('main').innerText)")?;
    work.ad.restart()?;
    work.product.session_becomes(&id, "ended")?;
    work.badge_becomes(&work.browser, "nothing", str::is_empty)?;
    Ok(())
}

#[test]
fn a_failed_activation_says_why_and_try_again_works() -> Outcome {
    let mut work = Workplace::quick()?;
    work.page.wait_for_control("button", "Activate")?;
    work.ad.crash()?;
    let popup = work.browser.open_popup()?;
    popup.click("button", "Activate Domain Admin for 1 h")?;
    popup.until("/Not activated/.test(document.querySelector('main').innerText)")?;
    assert!(popup.text()?.contains("The directory cannot be reached"), "{}", popup.text()?);
    work.badge_becomes(&work.browser, "that it needs somebody", |badge| badge == "!")?;
    work.ad.restart()?;
    popup.click("button", "Try again")?;
    work.active_session()?;
    work.badge_becomes(&work.browser, "an hour", about_an_hour)?;
    Ok(())
}

#[test]
fn two_browsers_that_activate_at_once_both_get_their_session_and_neither_loses_the_others() -> Outcome {
    // The directory is held up longer than it usually may take.
    let patient = |ad: &SambaAd| {
        let waits = settings(ad).replace("account_unit =", "timeout = \"20s\"\naccount_unit =");
        waits.expect("every directory has a unit")
    };
    let work = Workplace::quick_with(patient, saved_ticket()?)?;
    let other = work.product.browser(work.browser_options())?;
    let second = saved_ticket()?;
    let second =
        Served { body: second.body.replace("#4711", "#4712").replace("id=4711", "id=4712"), ..second };
    let url = format!("{}?id=4712", work.site.page("/second/Ticket/Display.html", second));
    let _first = work.ticket_in(&other)?;
    let page = other.page(&url)?;
    page.to_front()?;
    work.page.to_front()?;
    let buttons = [&work.page, &page].map(|page| page.wait_for_control("button", "Activate · Acme Corp"));
    let [mine, theirs] = buttons;
    let (mine, theirs) = (work.page.middle(&mine?)?, page.middle(&theirs?)?);
    // Long enough in sight for the guard.
    page.eval("new Promise(done => setTimeout(done, 1500))")?;
    // Neither is done before both have begun.
    work.ad.pause()?;
    work.page.click_at(mine.0, mine.1)?;
    page.click_at(theirs.0, theirs.1)?;
    for browser in [&work.browser, &other] {
        work.badge_becomes(browser, "that it works", |badge| badge == "…")?;
    }
    work.ad.resume()?;
    until("two active sessions", LIMIT, || {
        let open = work.open_sessions()?;
        Ok(open.len() == 2 && open.iter().all(|one| one["state"] == "active"))
    })?;
    for browser in [&work.browser, &other] {
        work.badge_becomes(browser, "an hour", about_an_hour)?;
    }
    assert_eq!(work.ad.open_accounts()?.len(), 1, "one account serves both");
    let numbers: Vec<Value> =
        work.open_sessions()?.iter().map(|one| one["ticket"]["number"].clone()).collect();
    assert!(numbers.contains(&json!("4711")) && numbers.contains(&json!("4712")), "{numbers:?}");

    // The end of one leaves the other what it needs; the end of both leaves nothing.
    let ids: Vec<String> =
        work.open_sessions()?.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
    for (id, left) in ids.iter().zip([1, 0]) {
        work.product.cli_json(&["end", id])?;
        work.product.session_becomes(id, "ended")?;
        assert_eq!(work.ad.open_accounts()?.len(), left);
    }
    for browser in [&work.browser, &other] {
        work.badge_becomes(browser, "nothing", str::is_empty)?;
    }
    Ok(())
}
