//! Notifications: warnings in time, with buttons that work, and an end that does not succeed.

use serde_json::{Value, json};
use ticketgate_tests::Outcome;
use ticketgate_tests::chromium::Options;
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{self, SambaAd};

/// Colours of the badge.
const CALM: [u8; 4] = [27, 110, 79, 255];
const AMBER: [u8; 4] = [154, 91, 0, 255];
const RED: [u8; 4] = [179, 38, 30, 255];

fn title(notice: &Value) -> &str {
    notice["title"].as_str().unwrap_or_default()
}

#[test]
fn notifications_warn_in_time_extend_end_and_say_when_an_end_fails() -> Outcome {
    let mut ad = SambaAd::start(samba::Options::default())?;
    let product = Product::start(&Configuration::standard(&ad).broker("sessions_at_once = 5"))?;
    let browser = product.browser(Options::default())?;
    browser.keep_notices()?;
    let granted = |policy: &str, seconds: u32| {
        let mut wish = wish(policy);
        wish["duration_s"] = json!(seconds);
        product.granted(&wish)
    };
    let first = |id: &str| wait_for(id, LIMIT, || Ok(browser.notices(id)?.into_iter().next()));
    let (warning, end) = (|id: &str| format!("warning {id}"), |id: &str| format!("end {id}"));
    let badge_is = |what: &str, color: [u8; 4], fits: &dyn Fn(&str) -> bool| {
        until(what, LIMIT, || Ok(fits(&browser.badge_text(None)?) && browser.badge_color(None)? == color))
    };

    // Five minutes: amber, and Extend moves the end in the broker.
    let five = granted("acme-server-admin", 302)?;
    let told = first(&warning(&five))?;
    assert_eq!(title(&told), "Acme Corp · Server Admin: 5 min left", "{told}");
    assert_eq!(told["buttons"], json!([{"title": "Extend by 1 h"}, {"title": "End now"}]));
    badge_is("an amber badge", AMBER, &|text| text == "5m" || text == "4m")?;
    assert!(browser.notifications()?.contains(&warning(&five)), "it stays until the person reacts");
    let before = product.session(&five)?["expires_at"].clone();
    browser.press_notification(&warning(&five), 0)?;
    until("the later end", LIMIT, || Ok(product.session(&five)?["expires_at"] != before))?;
    badge_is("a calm badge", CALM, &|text| text == "1h")?;
    until("the warning to go", LIMIT, || Ok(!browser.notifications()?.contains(&warning(&five))))?;

    // One minute: red, to the second, and End ends. A session that runs out meanwhile is told once, when it is over.
    let short = granted("acme-member", 6)?;
    let one = granted("acme-burner", 62)?;
    let over = first(&end(&short))?;
    assert_eq!(title(&over), "Acme Corp · Helpdesk, own account ended", "{over}");
    assert_eq!(over["message"], "Its time was over. The rights are taken away.");
    assert_eq!(product.session(&short)?["state"], "ended");
    assert_eq!(title(&first(&warning(&one))?), "Acme Corp · Helpdesk, disposable account: 1 min left");
    badge_is("a red badge with seconds", RED, &|text| text.ends_with('s'))?;
    browser.press_notification(&warning(&one), 1)?;
    product.session_becomes(&one, "ended")?;
    assert_eq!(first(&end(&one))?["message"], "You ended it. The rights are taken away.");
    assert_eq!(browser.notices(&end(&short))?.len(), 1);
    assert!(browser.notices(&warning(&short))?.is_empty(), "six seconds are no news");

    // An end that does not succeed: red, loud, and not called an end.
    let last = granted("acme-burner", 6)?;
    ad.crash()?;
    let stuck = first(&end(&last))?;
    assert_eq!(
        title(&stuck),
        "Acme Corp · Helpdesk, disposable account: the end does not succeed",
        "{stuck}"
    );
    assert!(stuck["message"].as_str().is_some_and(|text| text.contains("may still be there")), "{stuck}");
    assert_eq!(stuck["requireInteraction"], true);
    badge_is("a red !", RED, &|text| text == "!")?;
    Ok(())
}
