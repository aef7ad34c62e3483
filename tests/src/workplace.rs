//! A technician's workplace: a directory, a ticket system, a broker for both, and a browser whose extension may read the
//! tickets, with one of them open. Everything in it is real; [`Workplace::quick`] alone shows a saved page instead of
//! starting Request Tracker, which takes longer than the rest together.

use crate::Result;
use crate::chromium::{self, Chromium, Page};
use crate::patience::{LIMIT, until, wait_for};
use crate::product::{Configuration, Policy, Product, configuration::login};
use crate::rt::RequestTracker;
use crate::samba::{self, SambaAd};
use crate::site::{Served, Site};
use crate::world::workspace;
use crate::xvfb::Xvfb;
use anyhow::Context;
use serde_json::Value;

/// Everything that runs. Fields are dropped in this order: the browser first, the servers last.
#[derive(Debug)]
pub struct Workplace {
    /// The tab with the ticket.
    pub page: Page,
    /// The browser.
    pub browser: Chromium,
    /// The product.
    pub product: Product,
    /// The ticket system, in a workplace that has one.
    pub rt: Option<RequestTracker>,
    /// Pages of the test's own.
    pub site: Site,
    /// The address of the ticket's page.
    pub url: String,
    /// The directory.
    pub ad: SambaAd,
    /// The display, and with it the clipboard.
    pub display: Xvfb,
}

/// What the workplace's technician may use: one policy at Acme Corp, Domain Admin for an hour, by one click.
pub fn settings(ad: &SambaAd) -> Configuration {
    Configuration::empty()
        .technician("tech1", &login(), &["tier2"], &[("acme-ad", "tech1")])
        .customer("acme", "Acme Corp", &["ACME"])
        .customer("globex", "Globex", &[])
        .directory("acme-ad", "acme", ad)
        .policy(&Policy {
            id: "acme-domain-admin",
            name: "Domain Admin",
            rights: vec![ad.group("domain_admins").to_owned()],
            ticket: true,
            one_click: true,
            ..Policy::default()
        })
}

/// Where saved tickets are shown, as Request Tracker has it.
pub const TICKET_PATH: &str = "/Ticket/Display.html";

/// A ticket page of Request Tracker as it was once saved: #4711 of Acme Corp, "Outlook crashes on start".
///
/// # Errors
/// The file is gone.
pub fn saved_ticket() -> Result<Served> {
    let file = workspace().join("wasm/tests/fixtures/pages/request-tracker-5.html");
    Ok(Served::html(std::fs::read_to_string(file)?))
}

impl Workplace {
    /// With [`settings`], on ticket 1 of a real Request Tracker.
    ///
    /// # Errors
    /// Something does not start.
    pub fn open() -> Result<Self> {
        let rt = RequestTracker::start()?;
        let url = rt.ticket_url(1);
        Self::start(settings, Some(rt), Site::start()?, url)
    }

    /// The same with other settings, which get the ticket system as a broker is told of it ([`RequestTracker::section`]).
    ///
    /// # Errors
    /// Something does not start.
    pub fn open_with(settings: impl FnOnce(&SambaAd, &str) -> Configuration) -> Result<Self> {
        let rt = RequestTracker::start()?;
        let (url, section) = (rt.ticket_url(1), rt.section()?);
        Self::start(|ad| settings(ad, &section), Some(rt), Site::start()?, url)
    }

    /// With [`settings`], on a page saved from Request Tracker.
    ///
    /// # Errors
    /// Something does not start.
    pub fn quick() -> Result<Self> {
        Self::quick_with(settings, saved_ticket()?)
    }

    /// With other settings, or another page in the ticket's place.
    ///
    /// # Errors
    /// Something does not start.
    pub fn quick_with(settings: impl FnOnce(&SambaAd) -> Configuration, page: Served) -> Result<Self> {
        let site = Site::start()?;
        let url = format!("{}?id=4711", site.page(TICKET_PATH, page));
        Self::start(settings, None, site, url)
    }

    fn start(
        settings: impl FnOnce(&SambaAd) -> Configuration,
        rt: Option<RequestTracker>,
        site: Site,
        url: String,
    ) -> Result<Self> {
        let display = Xvfb::start()?;
        let ad = SambaAd::start(samba::Options::default())?;
        let product = Product::start(&settings(&ad))?;
        let browser = product.browser(options(&display))?;
        let page = ticket_page(&browser, rt.as_ref(), &url)?;
        Ok(Self { page, browser, product, rt, site, url, ad, display })
    }

    /// Options for one more browser at this workplace.
    pub fn browser_options(&self) -> chromium::Options {
        options(&self.display)
    }

    /// Opens the ticket in another browser at this workplace.
    ///
    /// # Errors
    /// The browser does not show it.
    pub fn ticket_in(&self, browser: &Chromium) -> Result<Page> {
        ticket_page(browser, self.rt.as_ref(), &self.url)
    }

    /// Clicks the in-page button as a person does until a session begins: the guard wants the button in sight for a
    /// while, and a click that comes too soon does not count.
    ///
    /// # Errors
    /// None begins.
    pub fn click_in_page(&self) -> Result<()> {
        self.page.wait_for_control("button", "Activate")?;
        until("a click in the page to begin a session", LIMIT, || {
            if let Some(button) = self.page.control("button", "Activate")? {
                self.page.click_node(&button)?;
            }
            Ok(!self.open_sessions()?.is_empty())
        })
    }

    /// The sessions that are not over, as the broker has them.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn open_sessions(&self) -> Result<Vec<Value>> {
        let over = |one: &Value| matches!(one.get("state").and_then(Value::as_str), Some("ended" | "failed"));
        Ok(self.product.sessions()?.into_iter().filter(|one| !over(one)).collect())
    }

    /// How often anybody asked the broker for rights.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn requests(&self) -> Result<usize> {
        let asked = |record: &&Value| record.get("action").is_some_and(|one| one == "activation.requested");
        Ok(self.product.audit()?.iter().filter(asked).count())
    }

    /// Waits for the one session that is active, and answers its id.
    ///
    /// # Errors
    /// There is none, or more.
    pub fn active_session(&self) -> Result<String> {
        let id = wait_for("one active session", LIMIT, || {
            let open = self.open_sessions()?;
            Ok(match open.as_slice() {
                [one] if one.get("state").is_some_and(|state| state == "active") => {
                    one.get("id").and_then(Value::as_str).map(str::to_owned)
                }
                _ => None,
            })
        });
        id.with_context(|| format!("open are {:?}", self.open_sessions()))
    }

    /// Waits for the password that the relay puts into the clipboard.
    ///
    /// # Errors
    /// None comes.
    pub fn copied(&self) -> Result<String> {
        wait_for("a password in the clipboard", LIMIT, || self.display.clipboard())
    }

    /// Waits until the badge of a browser fits; answers its text.
    ///
    /// # Errors
    /// It never does.
    pub fn badge_becomes(
        &self,
        browser: &Chromium,
        what: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let mut seen = String::new();
        let shown = until(&format!("the badge to show {what}"), LIMIT, || {
            seen = browser.badge_text(None)?;
            Ok(fits(&seen))
        });
        shown.with_context(|| format!("it shows {seen:?}")).map(|()| seen)
    }
}

/// Whether a badge shows that an hour has just begun.
pub fn about_an_hour(badge: &str) -> bool {
    ["1h", "59m"].contains(&badge)
}

fn options(display: &Xvfb) -> chromium::Options {
    chromium::Options { display: Some(display.display().to_owned()), ..chromium::Options::default() }
}

/// The ticket system has an address of its own, so a person would be asked once whether the extension may read it; the
/// question's answer cannot be clicked from outside of the browser, the rest of the way is the real one.
fn ticket_page(browser: &Chromium, rt: Option<&RequestTracker>, url: &str) -> Result<Page> {
    browser.allow_host("http://127.0.0.1/*", "options.html")?;
    let page = browser.new_tab("about:blank")?;
    page.to_front()?;
    match rt {
        Some(rt) => rt.log_in(&page, url)?,
        None => page.open(url)?,
    }
    Ok(page)
}
