//! Measures what verifying the ticket adds to an activation, for `cargo xtask bench`: one JSON line per figure. In each round one
//! activation by a policy that asks a real Request Tracker, the same by one that does not, and the bare question to it.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::{quantile, timed};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::rt::RequestTracker;
use ticketgate_tests::samba::{Options, SambaAd};

const ROUNDS: usize = 80;

fn main() -> Result<()> {
    let rt = RequestTracker::start()?;
    let ad = SambaAd::start(Options { durable: true, ..Options::default() })?;
    let verified = Policy {
        id: "acme-verified",
        name: "Server Admin, verified",
        rights: vec![ad.group("tier1").to_owned()],
        ticket: true,
        ..Policy::default()
    };
    let configuration = Configuration::standard(&ad)
        .replace("ticket = { required = true }", "ticket = { required = false }")?
        .policy(&verified)
        .replace("ticket = { required = true }", "ticket = { required = true, verified = \"always\" }")?
        .with(&rt.section()?)
        .generous();
    let product = Product::start(&configuration)?;
    let mut asked = wish("acme-verified");
    asked["ticket"] = json!({"system": "request-tracker", "number": "1", "url": rt.ticket_url(1)});
    let plain = wish("acme-server-admin");

    let (mut with, mut without, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    // The first of each makes the account, the connections, and Perl's compiled pages.
    for round in 0..ROUNDS + 2 {
        let times =
            [session(&product, &asked)?, session(&product, &plain)?, timed(|| rt.ticket(1).map(drop))?];
        if round >= 2 {
            with.push(times[0]);
            without.push(times[1]);
            bare.push(times[2]);
        }
    }
    let added: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    let (value, baseline) = (quantile(&added, 0.5), quantile(&bare, 0.5));
    let spread = (quantile(&added, 0.9) - quantile(&added, 0.1)) / 2.0;
    let note = format!(
        "n = {ROUNDS}; activation {:.1} ms with it, {:.1} ms without; baseline: GET of the ticket over REST 2.0, bare",
        quantile(&with, 0.5),
        quantile(&without, 0.5)
    );
    let line: Value = json!({
        "name": "verification added to an activation against Request Tracker, p50", "unit": "ms", "value": value,
        "baseline": baseline, "ratio": value / baseline, "spread": spread, "note": note,
        "reach": {"ratio_at_most": 1.2}, "samples": {"value": added, "baseline": bare},
    });
    println!("{line}");
    Ok(())
}

/// The milliseconds of one activation, which is ended again.
fn session(product: &Product, wish: &Value) -> Result<f64> {
    let mut id = String::new();
    let time = timed(|| {
        let answer = product.ask_for(wish)?.json()?;
        ensure!(answer["state"] == "active", "{answer}");
        id = answer["id"].as_str().context("no id")?.to_owned();
        Ok(())
    })?;
    let path = format!("/v1/sessions/{id}/end");
    let answer = product.api("POST", &path, Some(&new_key()), &json!({}))?.json()?;
    ensure!(answer["state"] == "ended", "{answer}");
    Ok(time)
}
