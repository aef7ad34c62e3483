//! Recognition rules of an administrator's: handed over by the broker, or set by the browser's policy.

use crate::desk::Desk;
use crate::sites::ManagedSettings;
use serde_json::{Value, json};
use ticketgate_tests::chromium::Page;
use ticketgate_tests::product::scripted::overview;
use ticketgate_tests::site::Served;
use ticketgate_tests::{Outcome, Result};

/// A rule for a help desk that nobody knows.
fn rule(host: &str, customer: &str) -> String {
    json!({"system": "own-desk", "name": "Own desk", "source": "ours", "hosts": [host],
        "addresses": [{"source": "seen", "path": "/case/(?<id>[0-9]+)"}], "link": "{origin}/case/{id}",
        "number": [{"source": "seen", "address": "id"}], "summary": [{"source": "seen", "selector": "h1"}],
        "customer": [{"source": "seen", "selector": customer}]})
    .to_string()
}

fn open(desk: &Desk, host: &str) -> Result<Page> {
    let html = "<!doctype html><title>Case</title><h1>Printer is out</h1><p class=company>Acme Corp<p class=other>Globex";
    let url = desk.site.page_at(host, "/case/815", Served::html(html));
    desk.browser.allow_host(&format!("http://{host}/*"), "options.html")?;
    let page = desk.browser.page(&url)?;
    page.to_front()?;
    Ok(page)
}

fn with_rules(rules: &[String], notices: &Value) -> Value {
    let mut answer = overview(&json!([]));
    answer["ok"]["rules"] = json!(rules);
    answer["ok"]["notices"] = notices.clone();
    answer
}

#[test]
fn an_open_page_follows_the_brokers_rules_without_a_reload() -> Outcome {
    let desk = Desk::open()?;
    let page = open(&desk, "desk.example")?;
    assert!(page.control("button", "Activate")?.is_none(), "nobody knows this desk yet");
    desk.host.answer("overview", with_rules(&[rule("desk.example", ".company")], &json!([])))?;
    page.wait_for_control("button", "Activate · Acme Corp")?;
    desk.host.answer("overview", with_rules(&[rule("desk.example", ".other")], &json!([])))?;
    page.wait_for_control("button", "Activate · Globex")?;
    // A worker that wakes still has them.
    desk.browser.stop_worker()?;
    page.reload()?;
    page.wait_for_control("button", "Activate · Globex")?;
    Ok(())
}

#[test]
fn a_rule_of_the_browsers_policy_wins_over_the_brokers_and_a_faulty_one_is_said() -> Outcome {
    let id = ticketgate_tests::chromium::extension_id(&ticketgate_tests::product::extension()?)?;
    let faulty = "{\n  \"system\": \"faulty\",\n  \"script\": \"x\"\n}";
    let rules = [faulty.to_owned(), rule("ruled.example", ".company")];
    let _managed = ManagedSettings::write(&id, &json!({"rules": rules}))?;
    let desk = Desk::open_with(&with_rules(&[rule("ruled.example", ".other")], &json!([])))?;
    let page = open(&desk, "ruled.example")?;
    page.wait_for_control("button", "Activate · Acme Corp")?;
    desk.browser.click_toolbar(&page)?;
    let popup = desk.browser.popup()?;
    popup.until("document.body.innerText.includes('policy, rule 1, line 1:') || document.body.innerText")?;
    Ok(())
}
