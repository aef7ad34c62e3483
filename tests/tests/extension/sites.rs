//! Which sites the extension reads: allowed in the settings, by a click on the toolbar, suggested by an administrator.

use crate::desk::{DESK, Desk};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use ticketgate_tests::chromium::Key;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::site::Served;
use ticketgate_tests::{Outcome, Result};

#[test]
fn a_site_is_added_and_removed_in_the_settings() -> Outcome {
    let desk = Desk::open()?;
    let address = desk.ticket("desk.example", "Acme Corp")?;
    let ticket = desk.browser.page(&address)?;
    let settings = desk.browser.page(&desk.browser.extension_url("options.html"))?;
    settings.wait_for_control("button", "Add")?;
    let list = "document.getElementById('sites').innerText";
    let said = "document.getElementById('said').textContent";
    let add = |text: &str| -> Result<()> {
        settings.eval("{ const a = document.getElementById('address'); a.focus(); a.select(); }")?;
        settings.type_text(text)?;
        settings.press(Key::ENTER)
    };
    for typed in [
        " ",
        "no address at all",
        "ftp://desk.example",
        "chrome://settings",
        "javascript:alert(1)",
        "https://*",
        "*.example",
        "https://desk.*",
    ] {
        settings.eval("document.getElementById('said').textContent = ''")?;
        add(typed)?;
        let told = "Type the address of one web site, such as https://desk.example";
        let heard = settings.until(&format!("{said} === {} || {said}", json!(told)));
        heard.with_context(|| format!("typed: {typed}"))?;
    }
    assert_eq!(desk.registered()?, json!([]));
    assert!(!desk.has_script(&ticket)?);

    desk.browser.grant_host(DESK)?;
    settings.to_front()?;
    add("http://desk.example:8080/Ticket/Display.html?id=1")?;
    settings
        .until(&format!("{said} === 'Ticketgate reads tickets on http://desk.example now.' || {said}"))?;
    settings.until(&format!("{list}.includes('http://desk.example')"))?;
    until("the scripts for the site", LIMIT, || Ok(desk.registered()? == json!([DESK])))?;
    // A page that was open already gets its button without a reload.
    ticket.to_front()?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;

    settings.to_front()?;
    settings.click("button", "Remove http://desk.example")?;
    settings.until(&format!("!{list}.includes('http://desk.example')"))?;
    until("no scripts", LIMIT, || Ok(desk.registered()? == json!([])))?;
    ticket.to_front()?;
    until("the open page to be let go", LIMIT, || Ok(!desk.has_script(&ticket)?))?;
    assert!(ticket.control("button", "Activate")?.is_none(), "its button went without a reload");
    // The browser tells its page processes of it a moment later than it says so itself.
    until("nothing of ours to run there any more", LIMIT, || {
        ticket.reload()?;
        Ok(!desk.has_script(&ticket)?)
    })?;
    assert!(ticket.control("button", "Activate")?.is_none());
    Ok(())
}

#[test]
fn a_click_on_the_toolbar_reads_that_one_page_and_no_other() -> Outcome {
    let desk = Desk::open()?;
    let plain =
        desk.site.page_at("other.example", "/", Served::html("<!doctype html><title>x</title><p>Nothing"));
    let plain = desk.browser.page(&plain)?;
    let address = desk.ticket("desk.example", "Acme Corp")?;
    let second = desk.browser.page(&address)?;
    let ticket = desk.browser.page(&format!("{address}&again"))?;
    for page in [&plain, &second, &ticket] {
        assert!(!desk.has_script(page)?, "no script of ours before the click: {}", page.url()?);
    }
    ticket.to_front()?;
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    popup.until("document.querySelector('.ticket')?.innerText === '#4711 Outlook crashes on start'")?;
    let link = popup.eval("document.querySelector('.ticket a').href")?;
    assert!(link.as_str().is_some_and(|url| url.ends_with("/Ticket/Display.html?id=4711")), "{link}");
    popup.wait_for_control("button", "Allow on this site")?;
    popup.close()?;
    for page in [&plain, &second] {
        assert!(!desk.has_script(page)?, "still none elsewhere: {}", page.url()?);
    }
    assert_eq!(desk.registered()?, json!([]));
    let held =
        desk.browser.worker()?.eval("chrome.permissions.contains({origins: ['http://desk.example/*']})")?;
    assert_eq!(held, false, "the click allowed one page, not the site");
    // Another site in the same tab is another page.
    ticket.open(&format!("{}?here", plain.url()?))?;
    assert!(!desk.has_script(&ticket)?);
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    popup.until(
        "document.body.innerText.includes('No ticket recognised on this page') || document.body.innerText",
    )?;
    assert!(popup.control("button", "Allow on this site")?.is_none(), "no ticket, so nothing to allow");
    Ok(())
}

#[test]
fn the_button_stays_when_the_site_of_a_page_that_was_pointed_at_is_allowed() -> Outcome {
    let desk = Desk::open()?;
    let ticket = desk.browser.page(&desk.ticket("desk.example", "Acme Corp")?)?;
    ticket.to_front()?;
    desk.browser.click_toolbar(&ticket)?;
    let popup = desk.browser.popup()?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    ticket.eval_in_content_script(desk.browser.extension_id(), "ticketgatePage.before = true")?;
    desk.browser.grant_host(DESK)?;
    popup.click("button", "Allow on this site")?;
    until("the scripts for the site", LIMIT, || Ok(desk.registered()? == json!([DESK])))?;
    until("the scripts to be put in anew", LIMIT, || {
        let id = desk.browser.extension_id();
        Ok(ticket.eval_in_content_script(id, "ticketgatePage?.before === undefined")? == true)
    })?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    Ok(())
}

/// A policy file for every Chromium of this machine, gone at the end of the test whatever happens.
pub(crate) struct ManagedSettings(PathBuf);

impl ManagedSettings {
    pub(crate) fn write(extension: &str, settings: &Value) -> Result<Self> {
        let folder = Path::new("/etc/chromium/policies/managed");
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("ticketgate-test-{}.json", std::process::id()));
        let settings = json!({"3rdparty": {"extensions": {extension: settings}}});
        std::fs::write(&file, settings.to_string())?;
        Ok(Self(file))
    }
}

impl Drop for ManagedSettings {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_site_that_the_administrator_suggests_is_offered_and_still_the_persons_to_allow() -> Outcome {
    // A name of its own: other tests' browsers read the same file.
    let site = "http://suggested.example/*";
    let id = ticketgate_tests::chromium::extension_id(&ticketgate_tests::product::extension()?)?;
    let _managed = ManagedSettings::write(&id, &json!({"hosts": [site]}))?;
    let desk = Desk::open()?;
    let page = desk.browser.page(&desk.browser.extension_url("options.html"))?;
    page.until("document.getElementById('sites').innerText.includes('suggested by your administrator')")?;
    // On the site itself the popup offers it before anything was read there.
    let home = Served::html("<!doctype html><title>Home</title><p>Home");
    let home = desk.browser.page(&desk.site.page_at("suggested.example", "/", home))?;
    desk.browser.click_toolbar(&home)?;
    let popup = desk.browser.popup()?;
    popup.until("document.body.innerText.includes('Your administrator suggests it.')")?;
    popup.close()?;
    assert_eq!(desk.registered()?, json!([]), "a suggestion allows nothing");
    desk.browser.grant_host(site)?;
    page.to_front()?;
    page.click("button", "Allow http://suggested.example")?;
    page.until("document.querySelector('#sites button')?.ariaLabel === 'Remove http://suggested.example'")?;
    let ticket = desk.browser.page(&desk.ticket("suggested.example", "Acme Corp")?)?;
    ticket.wait_for_control("button", "Activate · Acme Corp")?;
    Ok(())
}
