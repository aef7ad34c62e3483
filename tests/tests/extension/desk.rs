//! A browser with the extension, a scripted host and a site.

use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::chromium::{Chromium, Options, Page};
use ticketgate_tests::product::scripted::{ScriptedHost, overview};
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::world::workspace;

pub(crate) const DESK: &str = "http://desk.example/*";

/// A browser with the extension, and a site of many names with ticket pages of Request Tracker.
pub(crate) struct Desk {
    pub(crate) browser: Chromium,
    pub(crate) host: ScriptedHost,
    pub(crate) site: Site,
}

impl Desk {
    pub(crate) fn open() -> Result<Self> {
        Self::open_with(&overview(&json!([])))
    }

    pub(crate) fn open_with(overview: &Value) -> Result<Self> {
        let site = Site::start()?;
        let host = ScriptedHost::new(&json!({"overview": overview}))?;
        let browser = host.browser(options(&site))?;
        Ok(Self { browser, host, site })
    }

    /// The address of a ticket page.
    pub(crate) fn ticket(&self, name: &str, customer: &str) -> Result<String> {
        let html =
            std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages/request-tracker-5.html"))?;
        let page = Served::html(html.replace("Acme Corp", customer));
        Ok(format!("{}?id=4711", self.site.page_at(name, "/Ticket/Display.html", page)))
    }

    pub(crate) fn has_script(&self, page: &Page) -> Result<bool> {
        let id = self.browser.extension_id();
        // The browser may keep an empty world where scripts were before.
        Ok(page.has_world_of(id)?
            && page.eval_in_content_script(id, "typeof ticketgatePage !== 'undefined'")? == true)
    }

    pub(crate) fn registered(&self) -> Result<Value> {
        self.browser.worker()?.eval(
            "chrome.scripting.getRegisteredContentScripts().then(all => all.flatMap(one => one.matches))",
        )
    }
}

pub(crate) fn options(site: &Site) -> Options {
    let at = |name: &str| (name.to_owned(), site.address().to_string());
    Options {
        hosts: vec![at("desk.example"), at("other.example"), at("suggested.example"), at("ruled.example")],
        ..Options::default()
    }
}
