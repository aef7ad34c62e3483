//! Which scripts the extension puts into pages: none, the probe alone, or the button's too.

use crate::desk::{DESK, Desk};
use ticketgate_tests::chromium::Page;
use ticketgate_tests::chromium::page::Script;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;
use ticketgate_tests::{Outcome, Result};

/// A tab whose scripts are noted from its first document on.
fn open(desk: &Desk, url: &str) -> Result<Page> {
    let page = desk.browser.new_tab("about:blank")?;
    page.note_scripts()?;
    page.open(url)?;
    Ok(page)
}

/// A page that is no ticket.
fn home(desk: &Desk, host: &str) -> String {
    desk.site.page_at(host, "/", Served::html("<!doctype html><title>Home</title><p>Home"))
}

/// A ticket that shows its button: by then the worker has answered every page that was opened before.
fn ticket_with_button(desk: &Desk) -> Result<Page> {
    let ticket = open(desk, &desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    Ok(ticket)
}

/// The extension's scripts in a page, each as it is in the extension's folder.
fn whole(desk: &Desk, files: &[&str]) -> Result<Vec<Script>> {
    let folder = ticketgate_tests::product::extension()?;
    let script = |file: &&str| {
        let bytes = std::fs::read(folder.join(file))?.len();
        Ok(Script { url: desk.browser.extension_url(file), bytes })
    };
    files.iter().map(script).collect()
}

#[test]
fn a_page_of_another_site_gets_no_script_even_if_it_is_a_ticket() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let other_home = open(&desk, &home(&desk, "other.example"))?;
    let other_ticket = open(&desk, &desk.ticket("other.example", "Acme Corp")?)?;
    let _ticket = ticket_with_button(&desk)?;
    let id = desk.browser.extension_id();
    assert_eq!(other_home.scripts_of(id)?, []);
    assert_eq!(other_ticket.scripts_of(id)?, []);
    Ok(())
}

#[test]
fn the_buttons_script_comes_only_into_a_page_that_shows_one() -> Outcome {
    let desk = Desk::open()?;
    desk.browser.allow_host(DESK, "options.html")?;
    let id = desk.browser.extension_id();
    let home = open(&desk, &home(&desk, "desk.example"))?;
    until("the probe", LIMIT, || Ok(!home.scripts_of(id)?.is_empty()))?;
    let ticket = ticket_with_button(&desk)?;
    assert_eq!(home.scripts_of(id)?, whole(&desk, &["probe.js"])?);
    assert_eq!(ticket.scripts_of(id)?, whole(&desk, &["probe.js", "chip.js"])?);
    Ok(())
}
