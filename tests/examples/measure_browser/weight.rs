//! What pages load of the extension's scripts: their bytes as Chromium has them, in a ticket page, in a page of the ticket
//! system that is none, and in a ticket page of a site that the person did not allow.

use super::desk::Desk;
use super::figures::weight;
use super::others::{CLOCKIFY, TOGGL_TRACK};
use serde_json::json;
use ticketgate_tests::Result;
use ticketgate_tests::chromium::Page;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;
use ticketgate_tests::workplace::{TICKET_PATH, saved_ticket};

/// Of another extension's bytes, so much at most.
const SHARE: f64 = 0.1;

pub(crate) fn measure() -> Result<()> {
    let desk = Desk::open()?;
    let ours = desk.browser.extension_id();
    // The same server, by a name that the extension was not allowed.
    let elsewhere = format!("localhost:{}", desk.site.address().port());
    let elsewhere = open(&desk, &desk.site.page_at(&elsewhere, TICKET_PATH, saved_ticket()?))?;
    elsewhere.until("document.body.innerText.includes('Outlook crashes on start')")?;
    let plain = Served::html("<!doctype html><title>Home</title><p>Home");
    let plain = open(&desk, &desk.site.page("/", plain))?;
    until("the probe", LIMIT, || plain.has_world_of(ours))?;
    // Once its button is there, the worker has answered the pages before.
    let ticket = open(&desk, &desk.page.url()?)?;
    ticket.wait_for_control("button", "Activate")?;

    let (in_ticket, files) = loaded(&desk, &ticket)?;
    let how = format!("as Chromium has loaded it, comments and all, top frame: {files}");
    for (whose, other) in [("Toggl Track", TOGGL_TRACK), ("Clockify", CLOCKIFY)] {
        let (baseline, counted) = other.in_a_ticket();
        weight(
            &format!("script bytes of a ticket page, beside {whose}"),
            in_ticket,
            Some(baseline),
            Some(&json!({"ratio_at_most": SHARE})),
            &format!("{how}; baseline: {counted}"),
        );
    }
    let (in_plain, files) = loaded(&desk, &plain)?;
    let note = format!("{files}; no button, so no more; no baseline");
    weight("script bytes of a page of a ticket system without a ticket", in_plain, None, None, &note);
    let (in_another, _) = loaded(&desk, &elsewhere)?;
    let (baseline, counted) = CLOCKIFY.elsewhere();
    let (toggl, _) = TOGGL_TRACK.elsewhere();
    weight(
        "script bytes of a page of another site",
        in_another,
        Some(baseline),
        Some(&json!({"value_at_most": 0.0})),
        &format!("a ticket page whose site was not allowed; Toggl Track {toggl}; baseline: {counted}"),
    );
    Ok(())
}

/// A tab whose scripts are noted from its first document on.
fn open(desk: &Desk, url: &str) -> Result<Page> {
    let page = desk.browser.new_tab("about:blank")?;
    page.note_scripts()?;
    page.open(url)?;
    page.to_front()?;
    Ok(page)
}

/// All bytes of the extension's scripts in a page, and those of each.
fn loaded(desk: &Desk, page: &Page) -> Result<(u64, String)> {
    let scripts = page.scripts_of(desk.browser.extension_id())?;
    let of = |url: &str| url.rsplit('/').next().unwrap_or_default().to_owned();
    let each: Vec<_> = scripts.iter().map(|one| format!("{} {}", of(&one.url), one.bytes)).collect();
    Ok((scripts.iter().map(|one| one.bytes as u64).sum(), each.join(", ")))
}
