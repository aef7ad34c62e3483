//! The demo's world: domain controllers, a Linux machine, stand-in tenants, a ticket system, a broker configured for all, a browser.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use ticketgate_tests::chromium::{self, Chromium, Page};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::Product;
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{self, SambaAd};
use ticketgate_tests::{Result, interrupt, world, xvfb::Xvfb};

use crate::northwind::{self, Northwind};
use crate::settings::settings;
use crate::standins::{CONTOSO, StandIns};

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
    pub(crate) further: Tickets,
    /// None where this is not root.
    pub(crate) northwind: Option<Northwind>,
    pub(crate) tenants: StandIns,
    pub(crate) acme: SambaAd,
    pub(crate) globex: SambaAd,
    _initech: SambaAd,
    pub(crate) clipboard: Option<Xvfb>,
    pictures: PathBuf,
}

/// The numbers of tickets of customers that the ticket system has in the demo only.
pub(crate) struct Tickets {
    pub(crate) northwind: Option<u32>,
    pub(crate) contoso: u32,
}

impl Tickets {
    fn add(tickets: &RequestTracker, with_machine: bool) -> Result<Self> {
        tickets.add_customer(CONTOSO)?;
        let contoso = tickets.add_ticket(
            CONTOSO,
            "Shared mailbox of sales refuses mail",
            "sales@contoso.example",
            "Senders get 5.2.2, mailbox full. Can it be made larger?",
        )?;
        let northwind = if with_machine {
            tickets.add_customer("Northwind")?;
            let number = tickets.add_ticket(
                "Northwind",
                "Web shop is down since 7:40",
                "shop@northwind.example",
                "502 on every page. nginx on northwind-web1 does not come back after the update.",
            )?;
            Some(number)
        } else {
            None
        };
        Ok(Self { northwind, contoso })
    }
}

/// Nothing is left out because somebody asked for the end.
fn interrupted(error: &anyhow::Error) -> Result<()> {
    if interrupt::explains_failure() { anyhow::bail!("{error:#}") } else { Ok(()) }
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
        let (globex, initech) = (directory("globex")?, directory("initech")?);
        let northwind = match Northwind::start() {
            Ok(northwind) => {
                teller.done(&format!(
                    "Northwind's Linux machine {} (namespaces over this machine's files), reached by SSH",
                    northwind::NAME
                ));
                Some(northwind)
            }
            Err(error) => {
                interrupted(&error)?;
                teller.note(&format!("left out: Northwind, the customer with a Linux machine: {error:#}"));
                None
            }
        };
        teller.begins("Microsoft's description of Graph is read by the proxy before the stand-in, which takes some seconds");
        let tenants = StandIns::start()?;
        teller.done("a stand-in for Entra ID with the tenants contoso and globex, behind Microsoft's description of Graph (no live tenant)");
        teller.begins("a ticket system; the first run fills it, which takes about 10 s");
        let tickets = RequestTracker::start()?;
        teller.done(&format!("Request Tracker at {}", tickets.url()));
        let further = Tickets::add(&tickets, northwind.is_some())?;
        teller.done("tickets of all customers in it");
        let product = Product::start(&settings([&acme, &globex, &initech], northwind.as_ref(), &tenants)?)?;
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
        let stage = Self {
            browser,
            page,
            product,
            tickets,
            further,
            northwind,
            tenants,
            acme,
            globex,
            _initech: initech,
            clipboard,
            pictures,
        };
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
        if let (Some(northwind), Some(number)) = (&self.northwind, self.further.northwind) {
            teller.note(&format!(
                "Northwind's machine, for ticket {number}: ssh -p {} jit-tech1@127.0.0.1, then sudo -i",
                northwind.port
            ));
        }
        teller.note(&format!(
            "Ticket {} is of {CONTOSO}, and ticket 2 can have both Globex's domain and its stand-in tenant in one session.",
            self.further.contoso
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
