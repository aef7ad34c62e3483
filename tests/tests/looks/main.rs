//! What the extension looks like, in every state: pictures for people in `target/pictures/`, light and dark, and with
//! each the checks that a machine can make (`stage.rs`). What a ticket does to the popup is in `tickets.rs`.
//!
//! The host is scripted: most of these states last a moment with the real one, or need another version.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

mod signing_in;
mod stage;
mod tickets;

use serde_json::{Value, json};
use stage::{Stage, pictures, problem};
use ticketgate_tests::chromium::{Key, Page};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::scripted::{overview, session, welcome};
use ticketgate_tests::site::Served;
use ticketgate_tests::world::{Folder, workspace};
use ticketgate_tests::{Outcome, Result};

impl Stage {
    /// From the popup of a page that was not recognised to its structure in a file, by keyboard alone.
    fn report(&mut self, popup: &Page) -> Result<()> {
        popup.eval("document.querySelector('details summary').focus(), 0")?;
        popup.press(Key::ENTER)?;
        self.picture(
            popup,
            "popup-report",
            &["This page was not recognised", "Save the page's structure for a report"],
        )?;
        popup.press(Key::TAB)?;
        popup.press(Key::ENTER)?;
        let capture = self.browser.attach("the structure's page", |target| {
            target.kind == "page" && target.url.contains("capture.html")
        })?;
        capture.until("document.querySelector('textarea').value.includes('html')")?;
        let text = capture.eval("document.querySelector('textarea').value")?;
        let text = text.as_str().unwrap_or_default();
        anyhow::ensure!(
            text.contains("Page http://…/") && text.contains("h1") && !text.contains("Home"),
            "{text}"
        );
        self.picture(
            &capture,
            "structure",
            &["Read it first", "Save as a file", "Nothing is sent anywhere"],
        )?;
        // What the person changed is what is saved.
        let folder = Folder::new("downloads")?;
        let place = json!({"behavior": "allow", "downloadPath": folder.path()});
        capture.call("Page.setDownloadBehavior", place)?;
        capture.eval("document.querySelector('textarea').focus(), document.execCommand('insertText', false, 'mine '), 0")?;
        capture.press(Key::TAB)?;
        capture.press(Key::ENTER)?;
        let saved = wait_for("the file", LIMIT, || {
            Ok(std::fs::read_to_string(folder.join("ticketgate-page-structure.txt"))
                .ok()
                .filter(|text| !text.is_empty()))
        })?;
        anyhow::ensure!(saved == format!("mine {text}"), "{saved}");
        capture.close()
    }
}

#[test]
fn every_state_of_the_popup_is_clear_in_both_schemes_and_zoomed() -> Outcome {
    let mut stage = Stage::open()?;
    let (page, tab) = stage.ticket("desk.example", "4711", "Acme Corp")?;
    page.wait_for_control("button", "Activate · Acme Corp")?;

    let popup = stage.popup(tab)?;
    stage.picture(
        &popup,
        "popup-ready",
        &["Ticket on this page", "Outlook crashes", "Activate Domain Admin for 1 h"],
    )?;
    popup.close()?;

    // What is in the way.
    for (name, answer, says) in [
        (
            "popup-broker-unreachable",
            problem(
                "broker_unreachable",
                503,
                "The broker did not answer.",
                "Find out why with: ticketgate doctor",
            ),
            "The broker does not answer",
        ),
        (
            "popup-not-a-technician",
            problem(
                "not_a_technician",
                403,
                "You are not set up as a technician.",
                "Ask your administrator to add you.",
            ),
            "not set up as a technician",
        ),
        (
            "popup-bad-configuration",
            problem("bad_configuration", 503, "The configuration has a fault, so nothing is granted.", ""),
            "configuration has a fault",
        ),
    ] {
        stage.host.answer("overview", json!({"error": answer}))?;
        let popup = stage.popup(tab)?;
        stage.picture(&popup, name, &[says, "Try again"])?;
        popup.close()?;
    }
    stage.host.answer("overview", overview(&json!([])))?;
    for (name, hello, says) in [
        ("popup-extension-too-old", welcome(99), "Update the extension."),
        ("popup-program-too-old", welcome(0), "Update the program."),
    ] {
        stage.host.answer("hello", hello)?;
        stage.host.leave()?;
        let popup = stage.popup(tab)?;
        popup.until(
            "document.body.innerText.includes('do not fit together') || document.querySelector('.trouble')",
        )?;
        stage.picture(&popup, name, &["Extension and Ticketgate program do not fit together", says])?;
        popup.close()?;
    }
    let manifest = stage.browser.folder().join("NativeMessagingHosts/com.ticketgate.host.json");
    let good = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, good.replace(stage.browser.extension_id(), &"a".repeat(32)))?;
    let popup = stage.popup(tab)?;
    stage.picture(&popup, "popup-forbidden", &["does not serve this extension", "ticketgate install"])?;
    popup.close()?;
    std::fs::remove_file(&manifest)?;
    let popup = stage.popup(tab)?;
    stage.picture(
        &popup,
        "popup-not-installed",
        &["not installed on this computer", "ticketgate install", "ticketgate doctor"],
    )?;
    // The way out works without opening the popup anew.
    std::fs::write(&manifest, good)?;
    stage.host.answer("hello", welcome(1))?;
    popup.click("button", "Try again")?;
    popup.until("document.body.innerText.includes('Activate Domain Admin for 1 h')")?;

    // What a click leads to.
    let refusal = problem(
        "directory_down",
        503,
        "No domain controller of Acme Corp answers. Nothing was granted.",
        "Try again in a minute.",
    );
    stage.host.answer("activate", json!({"error": refusal}))?;
    // A click on a form that is being drawn anew does not count; a person clicks again.
    until("the activation to be refused", LIMIT, || {
        if popup.text()?.contains("Not activated") {
            return Ok(true);
        }
        if let Some(button) = popup.control("button", "Activate Domain Admin for 1 h")? {
            popup.click_node(&button)?;
        }
        Ok(false)
    })?;
    stage.picture(
        &popup,
        "popup-failed",
        &["Not activated: Domain Admin", "Nothing was granted", "Try again"],
    )?;
    stage.host.answer("activate", Value::Null)?;
    popup.click("button", "Try again")?;
    stage.picture(&popup, "popup-activating", &["Activating Domain Admin at Acme Corp"])?;
    // The host goes, and the next one refuses what is asked of it again with the same key.
    stage.host.answer(
        "activate",
        json!({"error": problem("too_many_sessions", 409, "You have 3 sessions already.", "End one first.")}),
    )?;
    stage.host.leave()?;
    popup.click("button", "Change")?;
    let keys: Vec<_> = stage.host.heard("activate")?.iter().map(|frame| frame["key"].clone()).collect();
    assert_eq!(keys.len(), 3);
    assert_ne!(keys[0], keys[1], "a refused activation is over");
    assert_eq!(keys[1], keys[2], "one without an answer is repeated");

    stage.host.answer("overview", overview(&json!([session("1a", 3480, &json!({}))])))?;
    popup.until("document.body.innerText.includes('Ends at')")?;
    stage.picture(
        &popup,
        "popup-active",
        &["Acme Corp", "ACME\\jit-tech1", "Copy password", "Extend by 1 h", "End now"],
    )?;
    let globex = json!({
        "customer": "globex", "customer_name": "Globex", "policy": "globex-server-admin", "policy_name": "Server Admin",
        "directory": "globex-ad", "account": "GLOBEX\\jit-tech1", "rights": ["Tier1 Server Admins", "Backup Operators"],
        "ticket": null, "reason": "Update of the file server", "latest_end": {"$in": 9000}, "password_held": false
    });
    let membership = json!({
        "policy_name": "Helpdesk, own account", "mode": "membership", "account": "ACME\\tech1", "rights": ["Helpdesk Operators"],
        "latest_end": {"$in": 200}
    });
    stage.host.answer(
        "overview",
        overview(&json!([
            session("1d", 42, &json!({})),
            session("1b", 200, &membership),
            session("1c", 9000, &globex),
        ])),
    )?;
    stage.picture(
        &popup,
        "popup-several",
        &["Globex", "GLOBEX\\jit-tech1", "New password", "ACME\\tech1"],
    )?;

    let part = |directory: &str, account: &str, rights: &[&str], more: Value| {
        let mut part = json!({"directory": directory, "mode": "dedicated", "account": account, "rights": rights,
            "state": "active", "password_held": true});
        for (name, value) in more.as_object().into_iter().flatten() {
            part[name] = value.clone();
        }
        part
    };
    let parts = json!({"policy_name": "Server and Exchange", "parts": [
        part("acme-ad", "ACME\\jit-tech1", &["Domain Admins"], json!({})),
        part("acme-entra", "jit-tech1@acme.onmicrosoft.com", &["Exchange Administrator", "Groups Administrator"], json!({"password_held": false})),
        part("acme-web1", "jit-tech1@web1", &["sudo", "your SSH key"], json!({"passwordless": true})),
    ]});
    stage.host.answer("overview", overview(&json!([session("1e", 3480, &parts)])))?;
    stage.picture(
        &popup,
        "popup-parts",
        &["acme-ad", "Copy password", "acme-entra", "New password", "jit-tech1@web1", "End now"],
    )?;
    let down = json!({"state": "ending", "password_held": false, "trouble": {
        "problem": problem("directory_down", 503, "Microsoft Graph does not answer.", ""), "attempts": 4, "next_try": {"$in": 45}}});
    let half = json!({"policy_name": "Server and Exchange", "state": "ending", "version": 5, "trouble": down["trouble"], "parts": [
        part("acme-ad", "ACME\\jit-tech1", &["Domain Admins"], json!({"state": "ended", "password_held": false})),
        part("acme-entra", "jit-tech1@acme.onmicrosoft.com", &["Exchange Administrator"], down),
    ]});
    stage.host.answer("overview", overview(&json!([session("1e", -30, &half)])))?;
    stage.picture(
        &popup,
        "popup-part-stays",
        &["acme-ad", "Ended", "acme-entra: Microsoft Graph does not answer.", "End does not succeed"],
    )?;

    let stuck = json!({
        "state": "ending", "end_cause": "expired", "password_held": false, "version": 5,
        "trouble": {"problem": problem("directory_down", 503, "No domain controller of Acme Corp answers.", ""),
            "attempts": 4, "next_try": {"$in": 45}}
    });
    stage.host.answer("overview", overview(&json!([session("1a", -30, &stuck)])))?;
    stage.picture(
        &popup,
        "popup-end-fails",
        &["End does not succeed", "4 attempts", "may still be there"],
    )?;
    stage.host.answer(
        "overview",
        overview(&json!([session("1a", 600, &json!({"state": "ending", "version": 6}))])),
    )?;
    stage.picture(&popup, "popup-ending", &["Ending"])?;
    stage.host.answer("overview", overview(&json!([])))?;
    popup.until("!document.body.innerText.includes('Ending')")?;
    let mut noticed = overview(&json!([]));
    noticed["ok"]["notices"] = json!([
        {"level": "warning", "text": "The clocks of broker and directory acme-ad are 90 seconds apart. Check the time service."},
        {"level": "error", "text": "The configuration file has 2 faults; the one before it is still in force. Run: ticketgate check"},
    ]);
    stage.host.answer("overview", noticed)?;
    stage.picture(&popup, "popup-notices", &["90 seconds apart", "2 faults"])?;
    stage.host.answer("overview", overview(&json!([])))?;
    popup.until("!document.body.innerText.includes('90 seconds')")?;
    popup.close()?;

    // Other pages.
    let (_other, there) = stage.ticket("desk.example", "4712", "Hooli")?;
    let popup = stage.popup(there)?;
    stage.picture(
        &popup,
        "popup-pick-customer",
        &["the ticket says “Hooli”: pick the customer", "Pick the customer."],
    )?;
    popup.close()?;
    let plain =
        stage.site.page_at("desk.example", "/", Served::html("<!doctype html><title>Home</title><h1>Home"));
    let plain = stage.browser.page(&plain)?;
    let popup = stage.popup(stage.tab(&plain)?)?;
    stage.picture(&popup, "popup-no-ticket", &["No ticket recognised on this page", "Ticket number"])?;
    stage.report(&popup)?;
    popup.close()?;
    let (foreign, there) = stage.ticket("other.example", "4713", "Globex")?;
    foreign.to_front()?;
    stage.browser.click_toolbar(&foreign)?;
    stage.browser.popup()?.until("document.body.innerText.includes('4713')")?;
    stage.browser.popup()?.close()?;
    let popup = stage.popup(there)?;
    stage.picture(&popup, "popup-site-not-allowed", &["other.example", "Allow on this site", "#4713"])?;
    popup.close()?;
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}

#[test]
fn the_settings_and_the_button_in_the_page_are_clear_in_both_schemes() -> Outcome {
    let mut stage = Stage::open()?;
    let settings = stage.browser.page(&stage.browser.extension_url("options.html"))?;
    stage.picture(&settings, "settings", &["http://desk.example", "Alt+Shift+J", "ticketgate doctor"])?;
    let (page, _) = stage.ticket("desk.example", "4711", "Acme Corp")?;
    page.to_front()?;
    for (name, sessions, says) in [
        ("page-ready", json!([]), "Activate · Acme Corp · Domain Admin 1 h"),
        ("page-active", json!([session("1a", 3480, &json!({}))]), "Active · Acme Corp · Domain Admin"),
    ] {
        stage.host.answer("overview", overview(&sessions))?;
        page.wait_for_control("button", says)?;
        for scheme in ["light", "dark"] {
            page.look(scheme, 900, 420, 1.0)?;
            page.screenshot_to(&pictures().join(format!("{name}-{scheme}.png")))?;
        }
    }
    assert!(stage.wrong.is_empty(), "{}", stage.wrong.join("\n"));
    Ok(())
}

#[test]
fn every_picture_that_a_guide_shows_is_there() -> Outcome {
    let guides = std::fs::read_dir(workspace().join("docs"))?.flatten().map(|entry| entry.path());
    let guides = guides.chain([workspace().join("README.md")]);
    let mut seen = 0;
    for guide in guides.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(&guide)?;
        for shown in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            if shown.ends_with(".png") && !shown.contains("://") {
                let file = guide.parent().unwrap_or(&guide).join(shown);
                assert!(file.exists(), "{} shows {shown}, which is not there", guide.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "the guides show no picture at all: is this looking in the right place?");
    Ok(())
}
