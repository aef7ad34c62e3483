//! The demo's world: a domain controller per customer, a ticket system, a broker configured for both, a browser.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use ticketgate_tests::chromium::{self, Chromium, Page};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::{Configuration, Policy, Product, configuration};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{self, SambaAd};
use ticketgate_tests::{Result, interrupt, world, xvfb::Xvfb};

/// Prints each step with the time since the start, and what the step took.
pub(crate) struct Teller {
    start: Instant,
    last: std::cell::Cell<Instant>,
}

impl Teller {
    pub(crate) fn new() -> Self {
        println!("    at    took   step");
        Self { start: Instant::now(), last: std::cell::Cell::new(Instant::now()) }
    }

    /// Says what comes now and takes longer than a person would look at nothing.
    pub(crate) fn begins(&self, what: &str) {
        println!("                    … {what}");
    }

    /// Says what was just done.
    pub(crate) fn done(&self, what: &str) {
        let now = Instant::now();
        let took = now.duration_since(self.last.replace(now));
        println!("{:>6.1} s {:>6.2} s   {what}", self.start.elapsed().as_secs_f64(), took.as_secs_f64());
    }

    /// Says something that takes no time.
    pub(crate) fn note(&self, what: &str) {
        println!("                    {what}");
    }
}

/// Everything that runs. Fields are dropped in this order: the browser first, the servers last.
pub(crate) struct Stage {
    pub(crate) browser: Chromium,
    pub(crate) page: Page,
    pub(crate) product: Product,
    pub(crate) tickets: RequestTracker,
    pub(crate) acme: SambaAd,
    _others: [SambaAd; 2],
    pub(crate) clipboard: Option<Xvfb>,
    pictures: PathBuf,
}

impl Stage {
    /// Starts everything and opens the first ticket. `display`: where windows are shown; `None`: nowhere.
    pub(crate) fn set(teller: &Teller, display: Option<String>) -> Result<Self> {
        let pictures = world::target().join("demo");
        std::fs::create_dir_all(&pictures)?;
        let directory = |customer: &'static str| -> Result<SambaAd> {
            teller
                .begins(&format!("a domain for {customer}; the first run makes it, which takes about 10 s"));
            let directory = SambaAd::start(samba::Options { customer, ..samba::Options::default() })?;
            teller.done(&format!(
                "Active Directory {customer}.test (Samba), with a JIT unit and a least-privileged service account"
            ));
            Ok(directory)
        };
        let acme = directory("acme")?;
        let others = [directory("globex")?, directory("initech")?];
        teller.begins("a ticket system; the first run fills it, which takes about 10 s");
        let tickets = RequestTracker::start()?;
        teller.done(&format!("Request Tracker with tickets of three customers at {}", tickets.url()));
        let [globex, initech] = &others;
        let product = Product::start(&settings(&acme, globex, initech))?;
        teller.done("the broker, configured for all of them");
        let clipboard = if display.is_none() { Some(Xvfb::start()?) } else { None };
        let browser = product.browser(chromium::Options {
            headed: display.is_some(),
            display: display.or_else(|| clipboard.as_ref().map(|c| c.display().to_owned())),
            ..chromium::Options::default()
        })?;
        let page = browser.new_tab("about:blank")?;
        tickets.log_in(&page, &tickets.ticket_url(1))?;
        teller.done("Chromium with the extension on ticket 1");
        let stage = Self { browser, page, product, tickets, acme, _others: others, clipboard, pictures };
        stage.allow_ticket_system()?;
        teller.done("the extension is allowed to read the ticket system's pages (a person clicks \"Allow on this site\" once)");
        Ok(stage)
    }

    pub(crate) fn is_for_a_person(&self) -> bool {
        self.clipboard.is_none()
    }

    /// The ticket system has an address of its own, so a person would be asked once. The question's answer cannot be
    /// clicked from outside the browser; the rest of the way is the real one.
    fn allow_ticket_system(&self) -> Result<()> {
        self.browser.allow_host("http://127.0.0.1/*", "options.html")?;
        self.page.open(&self.tickets.ticket_url(1))?;
        // The tab that asked has just closed, and the browser may have brought another one to the front.
        self.page.to_front()
    }

    /// Leaves a picture in `target/demo/`.
    pub(crate) fn picture(&self, page: &Page, name: &str) -> Result<()> {
        page.screenshot_to(&self.pictures.join(format!("{name}.png")))
    }

    /// What helps to find out why the demo stopped: pictures, and what browser and broker wrote.
    pub(crate) fn leave_evidence(&self) {
        let _ = self.picture(&self.page, "stopped-page");
        if let Ok(popup) = self.browser.open_popup() {
            std::thread::sleep(Duration::from_secs(1));
            let _ = self.picture(&popup, "stopped-popup");
        }
        for line in self.browser.console() {
            eprintln!("browser: {line}");
        }
        eprintln!("{}", self.product.broker_log());
    }

    /// Says how to use it and waits until the browser is closed.
    pub(crate) fn wait_for_the_person(&self, teller: &Teller) -> Result<()> {
        teller.note("");
        teller.note("The browser is yours. Click the button in the ticket, or press Alt+Shift+J.");
        teller.note(&format!(
            "Tickets: {}   (user {}, password {})",
            self.tickets.url(),
            ticketgate_tests::rt::USER,
            ticketgate_tests::rt::PASSWORD
        ));
        teller.note(&format!("Command line: export TICKETGATE_SOCKET={}", self.product.socket().display()));
        teller.note("Close the browser, or press Ctrl-C here, to end everything.");
        while !interrupt::asked() && self.browser.targets().is_ok_and(|targets| !targets.is_empty()) {
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Waits for the badge to read so.
    pub(crate) fn badge_becomes(&self, what: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
        let mut seen = String::new();
        until(&format!("the badge to show {what}"), LIMIT, || {
            seen = self.browser.badge_text(None)?;
            Ok(fits(&seen))
        })
        .with_context(|| format!("it shows {seen:?}"))?;
        Ok(seen)
    }
}

fn settings(acme: &SambaAd, globex: &SambaAd, initech: &SambaAd) -> Configuration {
    let right = |ad: &SambaAd, short| vec![ad.group(short).to_owned()];
    let policy = |id, name, directory, rights| Policy {
        id,
        name,
        directory,
        rights,
        ticket: true,
        one_click: true,
        ..Policy::default()
    };
    Configuration::empty()
        .broker("administrators = [\"tech1\"]")
        .technician("tech1", &configuration::login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &["ACME"])
        .customer("globex", "Globex", &[])
        .customer("initech", "Initech", &[])
        .directory("acme-ad", "acme", acme)
        .directory("globex-ad", "globex", globex)
        .directory("initech-ad", "initech", initech)
        .policy(&policy("acme-domain-admin", "Domain Admin", "acme-ad", right(acme, "domain_admins")))
        .policy(&policy("globex-domain-admin", "Domain Admin", "globex-ad", right(globex, "domain_admins")))
        .policy(&Policy {
            mode: "burner",
            ..policy("initech-helpdesk", "Helpdesk", "initech-ad", right(initech, "helpdesk"))
        })
}
