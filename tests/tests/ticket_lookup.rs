//! Pages that give a ticket's number and nothing else, under HaloPSA's own address: summary and customer come from its API, by
//! the broker, before the click; and where they do not come, everything is typed as ever. Real but for HaloPSA, whose pages
//! and answers are made up from what is known of them.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::chromium::{Chromium, Options, Page};
use ticketgate_tests::patience::{LIMIT, until, wait_for};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{self, SambaAd};
use ticketgate_tests::site::{Served, Site};
use ticketgate_tests::workplace;
use ticketgate_tests::world::{Folder, workspace};
use ticketgate_tests::xvfb::Xvfb;
use ticketgate_tests::{Outcome, Result};

const HOST: &str = "acme.halopsa.com";
const SECRET: &str = "s3cret-of-the-application";

/// Everything that runs. The browser goes first, the servers last.
struct Desk {
    page: Page,
    browser: Chromium,
    product: Product,
    halo: Option<Site>,
    _pages: Site,
    _secret: Folder,
    ad: SambaAd,
    _display: Xvfb,
}

fn answer(body: &Value) -> Served {
    Served { body: body.to_string(), content_type: "application/json", ..Served::default() }
}

fn ticket(id: u32, summary: &str, client: &str) -> Value {
    json!({
        "id": id, "summary": summary, "status_id": 2, "status_name": "In Progress", "client_id": id, "client_name": client,
        "agent_id": 1, "user_email": "carol@elsewhere.example", "hasbeenclosed": false,
    })
}

/// HaloPSA's API, as far as it is asked: ticket 3079 of Acme Corp, 3080 of Globex.
fn api() -> Result<Site> {
    let halo = Site::start()?;
    halo.page(
        "/auth/token",
        answer(&json!({"token_type": "Bearer", "access_token": "t1", "expires_in": 3600})),
    );
    halo.page("/api/Tickets/3079", answer(&ticket(3079, "Printer  on fire", "ACME")));
    halo.page("/api/Tickets/3080", answer(&ticket(3080, "Merger with Initech", "Globex")));
    Ok(halo)
}

fn settings(ad: &SambaAd, halo: &Site, secret: &Folder) -> Result<Configuration> {
    let file = secret.write("secret", SECRET)?;
    let psa = format!(
        "[[psa]]\nid = \"halo\"\nkind = \"halopsa\"\nurl = \"http://{}\"\npages = [\"{HOST}\"]\nclient_id = \"ticketgate\"\n\
         secret = {{ file = \"{}\" }}\nnotes = \"off\"\n",
        halo.address(),
        file.display()
    );
    workplace::settings(ad)
        .with(&psa)
        .replace("ticket = { required = true }", "ticket = { required = true, verified = \"always\" }")
}

impl Desk {
    /// On the page of a ticket, as its list links it: with zeros before its number.
    fn open(number: u32) -> Result<Self> {
        let display = Xvfb::start()?;
        let ad = SambaAd::start(samba::Options::default())?;
        let (halo, pages, secret) = (api()?, Site::start_tls()?, Folder::new("halo")?);
        let product = Product::start(&settings(&ad, &halo, &secret)?)?;
        let html = std::fs::read_to_string(workspace().join("wasm/tests/fixtures/pages/halopsa.html"))?;
        let url = format!("{}?area=1&id=000{number}", pages.page_at(HOST, "/tickets", Served::html(html)));
        let browser = product.browser(Options {
            display: Some(display.display().to_owned()),
            hosts: vec![(HOST.to_owned(), pages.address().to_string())],
            any_certificate: true,
            ..Options::default()
        })?;
        let page = browser.page(&url)?;
        page.to_front()?;
        Ok(Self {
            page,
            browser,
            product,
            halo: Some(halo),
            _pages: pages,
            _secret: secret,
            ad,
            _display: display,
        })
    }

    /// The tickets that HaloPSA was asked about so far.
    fn asked(&self) -> Vec<String> {
        let requests = self.halo.as_ref().map(Site::requests).unwrap_or_default();
        let numbers = requests.iter().filter_map(|line| line.split("/api/Tickets/").nth(1));
        numbers.map(|rest| rest.split('?').next().unwrap_or_default().to_owned()).collect()
    }

    /// Clicks until a session begins: one that comes too soon does not count.
    fn session_by(&self, click: impl Fn() -> Result<()>) -> Result<Value> {
        wait_for("a session", LIMIT, || {
            click()?;
            Ok(self.product.sessions()?.pop())
        })
    }
}

#[test]
fn a_page_that_gives_a_number_alone_gets_summary_and_customer_from_the_ticket_system_and_one_click() -> Outcome
{
    let desk = Desk::open(3079)?;
    let button = desk.page.wait_for_control("button", "Activate · Acme Corp · Domain Admin 1 h")?;
    assert!(button.name.contains("Activates Domain Admin at Acme Corp for 1 h"), "{}", button.name);
    assert_eq!(desk.asked(), ["3079"], "once, and without the zeros");
    let popup = desk.browser.open_popup()?;
    popup.until("document.querySelector('.ticket')?.innerText === '#3079 Printer on fire'")?;
    popup.until("document.body.innerText.includes('from HaloPSA')")?;
    assert_eq!(popup.eval("document.getElementById('reason').value")?, "#3079 Printer on fire (ACME)");
    assert!(desk.product.audit()?.iter().all(|record| record["action"] != "activation.requested"));
    popup.close()?;
    assert_eq!(desk.asked(), ["3079"]);

    desk.page.to_front()?;
    let session = desk.session_by(|| {
        desk.page.control("button", "Activate")?.map_or(Ok(()), |button| desk.page.click_node(&button))
    })?;
    assert_eq!(session["reason"], "#3079 Printer on fire (ACME)", "{session}");
    assert_eq!(session["ticket"]["url"], "https://acme.halopsa.com/ticket?id=3079", "{session}");
    desk.product.session_becomes(session["id"].as_str().expect("an id"), "active")?;
    assert!(!desk.ad.open_accounts()?.is_empty());
    // The click was verified by itself, whatever had been told before.
    assert_eq!(desk.asked(), ["3079", "3079"]);
    let audit = desk.product.audit()?;
    let record = audit.iter().rfind(|record| record["action"] == "activation.requested").expect("one");
    assert_eq!(record["details"]["ticket_checked"], "verified", "{record}");
    Ok(())
}

#[test]
fn a_ticket_of_another_customer_is_not_told_and_the_button_only_opens_the_popup() -> Outcome {
    let desk = Desk::open(3080)?;
    until("the question", LIMIT, || Ok(desk.asked() == ["3080"]))?;
    let popup = desk.browser.open_popup()?;
    let says = "HaloPSA shows no ticket 3080 of a customer of yours: pick the customer";
    popup.until(&format!("document.body.innerText.includes({})", json!(says)))?;
    let text = popup.text()?;
    assert!(!text.contains("Merger") && !text.contains("Globex"), "{text}");
    let saved = desk.browser.worker()?.eval("chrome.storage.session.get().then(JSON.stringify)")?;
    let saved = saved.as_str().expect("a text");
    assert!(saved.contains("3080") && !saved.contains("Merger") && !saved.contains("Globex"), "{saved}");
    popup.close()?;
    desk.page.to_front()?;
    desk.page.wait_for_control("button", "Activate …")?;

    // One that is not there has the same answer, but for its number; so has one of a page elsewhere.
    let ask = |number: &str, url: &str| -> Result<Value> {
        let question = json!({"system": "halopsa", "number": number, "url": url});
        desk.product.api("POST", "/v1/ticket", None, &question)?.json()
    };
    let of = |number: &str| format!("https://{HOST}/ticket?id={number}");
    let (foreign, missing) = (ask("3080", &of("3080"))?, ask("3081", &of("3081"))?);
    assert_eq!((&foreign["code"], &foreign["status"]), (&json!("ticket_unknown"), &json!(404)), "{foreign}");
    for member in ["code", "detail", "remedy"] {
        let missing = missing[member].to_string().replace("3081", "3080");
        assert_eq!(foreign[member].to_string(), missing, "{member}");
    }
    assert_eq!(ask("3079", "https://halo.evil.example/ticket?id=3079")?["code"], "ticket_unknown");
    assert_eq!(ask("3079", &of("3079"))?["summary"], "Printer on fire");
    Ok(())
}

#[test]
fn a_ticket_system_that_is_away_leaves_everything_to_be_typed() -> Outcome {
    let mut desk = Desk::open(3079)?;
    desk.page.wait_for_control("button", "Activate · Acme Corp")?;
    desk.halo = None;
    desk.page.eval("history.pushState(null, '', '/tickets?area=1&id=0003082')")?;
    desk.page.wait_for_control("button", "Activate …")?;
    let popup = desk.browser.open_popup()?;
    popup.until("document.body.innerText.includes('HaloPSA cannot be reached')")?;
    popup.until("document.querySelector('.ticket')?.innerText === '#3082'")?;
    popup.eval("{ const reason = document.getElementById('reason'); reason.focus(); reason.select(); }")?;
    popup.type_text("Printer on fire again")?;
    popup.wait_for_control("button", "Activate Domain Admin for 1 h")?;
    popup.click("button", "Activate Domain Admin for 1 h")?;
    // What is activated is verified as the policy says, so here it is refused in words.
    popup.until("document.body.innerText.includes('HaloPSA cannot be reached, and the policy needs a verified ticket.')")?;
    let audit = desk.product.audit()?;
    let record = audit.iter().rfind(|record| record["action"] == "activation.refused").expect("one");
    assert_eq!(record["details"]["reason"], "Printer on fire again", "{record}");
    assert!(desk.product.sessions()?.is_empty());
    Ok(())
}
