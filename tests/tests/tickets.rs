//! Policies that have the ticket verified, with a real ticket system and a real directory: what is right is granted, what is not
//! is refused in words, on record and without a trace, and what an outage means is by the policy.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::new_key;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

/// Everything that runs.
struct Desk {
    product: Product,
    ad: SambaAd,
    rt: RequestTracker,
}

/// The standard configuration, where Domain Admins of Acme Corp are for tickets that are verified like this.
fn asking(ad: &SambaAd, rt: &RequestTracker, rule: &str) -> Result<Configuration> {
    Configuration::standard(ad)
        .generous()
        .with(&rt.section()?)
        .replace("ticket = { required = true }", &format!("ticket = {{ required = true, {rule} }}"))?
        .replace("login =", "psa = { rt = \"root\" }\nlogin =")
}

impl Desk {
    fn open(rule: &str) -> Result<Self> {
        let rt = RequestTracker::start()?;
        let ad = SambaAd::start(Options::default())?;
        let product = Product::start(&asking(&ad, &rt, rule)?)?;
        Ok(Self { product, ad, rt })
    }

    /// The wish of somebody who sees this ticket's page, which says whatever it says.
    fn wish(&self, number: u32) -> Value {
        let url = self.rt.ticket_url(number);
        json!({
            "customer": "acme", "policy": "acme-domain-admin", "duration_s": 3600, "reason": format!("#{number} whatever"),
            "ticket": {"system": "request-tracker", "number": number.to_string(), "url": url, "customer": "Acme Corp"},
        })
    }

    /// Refused so, on record, and nothing in the directory. Answers the words.
    fn is_refused(&self, wish: &Value, code: &str) -> Result<String> {
        let before = self.product.sessions()?.len();
        let problem = self.product.ask_for(wish)?.json()?;
        assert_eq!(problem["code"], code, "{problem}");
        assert!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{problem}");
        assert_eq!(self.product.sessions()?.len(), before);
        assert!(self.ad.open_accounts()?.is_empty());
        let audit = self.product.audit()?;
        let record = audit.last().expect("a record");
        assert_eq!(
            (&record["action"], &record["details"]["code"]),
            (&json!("activation.refused"), &json!(code))
        );
        Ok(problem["detail"].as_str().unwrap_or_default().to_owned())
    }

    /// What the log says of how the ticket of the last activation was checked.
    fn checked(&self) -> Result<Value> {
        let audit = self.product.audit()?;
        let record = audit.iter().rfind(|record| record["action"] == "activation.requested").expect("one");
        Ok(record["details"].clone())
    }
}

#[test]
fn the_ticket_system_says_whether_a_ticket_is_right() -> Outcome {
    let desk = Desk::open("verified = \"always\", must_be_mine = true")?;
    let id = desk.product.granted(&desk.wish(1))?;
    let checked = desk.checked()?;
    assert_eq!(
        (&checked["ticket_checked"], &checked["psa"]),
        (&json!("verified"), &json!("rt")),
        "{checked}"
    );
    assert_eq!(checked["ticket_told"]["summary"], "Outlook crashes on start", "{checked}");

    // Whoever extends it after the ticket was closed is told so, and keeps what there was.
    desk.rt.change(1, &json!({"Status": "resolved"}))?;
    let path = format!("/v1/sessions/{id}/extend");
    let problem = desk.product.api("POST", &path, Some(&new_key()), &json!({"by_s": 600}))?.json()?;
    assert_eq!(problem["code"], "ticket_closed", "{problem}");
    assert_eq!(desk.product.session(&id)?["state"], "active");
    let path = format!("/v1/sessions/{id}/end");
    assert_eq!(desk.product.api("POST", &path, Some(&new_key()), &json!({}))?.json()?["state"], "ended");

    let said = desk.is_refused(&desk.wish(1), "ticket_closed")?;
    assert!(said.contains("resolved"), "{said}");
    let said = desk.is_refused(&desk.wish(2), "ticket_of_another_customer")?;
    assert!(said.starts_with("Ticket 2 belongs to ") && said.contains("not to Acme Corp"), "{said}");
    desk.is_refused(&desk.wish(99), "ticket_not_found")?;
    desk.rt.change(4, &json!({"Owner": "Nobody"}))?;
    desk.is_refused(&desk.wish(4), "ticket_not_yours")?;
    // A page elsewhere that says the same is no ticket of ours.
    let mut elsewhere = desk.wish(1);
    elsewhere["ticket"]["url"] = json!("https://tickets.evil.example/Ticket/Display.html?id=1");
    desk.is_refused(&elsewhere, "ticket_unverified")?;
    Ok(())
}

#[test]
fn a_ticket_system_that_is_away_means_what_the_policy_says() -> Outcome {
    let mut desk = Desk::open("verified = \"always\"")?;
    let when_reachable = asking(&desk.ad, &desk.rt, "verified = \"when_reachable\"")?;
    let wish = desk.wish(1);
    let check = desk.product.cli(&["check"])?;
    assert!(check.stdout.contains("psa rt"), "{check:?}");
    desk.rt.stop()?;
    desk.is_refused(&wish, "ticket_unverified")?;
    let check = desk.product.cli(&["check"])?;
    assert!(!check.succeeded() && check.stdout.contains("cannot be reached"), "{check:?}");
    desk.product.configure(&when_reachable)?;
    until("the other policy to be in force", LIMIT, || Ok(desk.product.ask_for(&wish)?.status < 300))?;
    assert_eq!(desk.checked()?["ticket_checked"], "unreachable");
    assert!(!desk.ad.open_accounts()?.is_empty());
    Ok(())
}
