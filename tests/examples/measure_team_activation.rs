//! Measures activations and ends at a team's broker, by HTTPS and over PostgreSQL, for `cargo xtask bench`: one JSON line per figure. Beside
//! each runs, in the same round and against the same domain controller, the same at a broker of one machine: by its socket and over SQLite.
//!
//! The team are two brokers, a database and a directory on hosts of their own (network namespaces; needs root) and a technician who signed
//! in. His relay keeps its connection, proves its key with each request, and asks always the same broker. Both ledgers and the directory
//! have on the disk what they acknowledge; no standby of the database is waited for.
#![allow(
    clippy::print_stdout,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::json;
use ticketgate_tests::Result;
use ticketgate_tests::figures::{quantile, timed};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::team::site::{AtRelays, Site};

const BROKERS: usize = 2;
const ROUNDS: usize = 60;
/// What the team may add, in milliseconds.
const ADDED: f64 = 10.0;

/// A kind of account, by the policies that give it here and there.
struct Kind {
    name: &'static str,
    ours: &'static str,
    alone: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { name: "existing account", ours: "servers", alone: "acme-server-admin" },
    Kind { name: "new account", ours: "burner", alone: "acme-burner" },
];

/// Milliseconds of activations and of their ends.
#[derive(Default)]
struct Times {
    activations: Vec<f64>,
    ends: Vec<f64>,
}

fn main() -> Result<()> {
    let mut site = Site::prepare_to_measure(BROKERS, 1)?;
    site.start_brokers()?;
    let there = site.at_relays(1)?;
    let relay = site.relay(0)?;
    let relay = there.run(async move {
        relay.sign_in(0, "t0").await?;
        Ok(Arc::new(relay))
    })?;
    // Its broker is started from here, where the directory is reached as the team's brokers reach it.
    let alone = Product::start(&Configuration::standard(&site.ad).generous())?;
    let mut times: [(Times, Times); KINDS.len()] = Default::default();
    // The first round makes accounts and connections.
    for round in 0..=ROUNDS {
        for (kind, (team, one)) in KINDS.iter().zip(&mut times) {
            let now = [in_team(&there, &relay, kind.ours)?, at_one(&alone, kind.alone)?];
            if round > 0 {
                for (times, (activation, end)) in [team, one].into_iter().zip(now) {
                    times.activations.push(activation);
                    times.ends.push(end);
                }
            }
        }
    }
    for (kind, (team, one)) in KINDS.iter().zip(&times) {
        let name = format!("activation in a team, {}", kind.name);
        figure(&format!("{name}, p50"), &team.activations, &one.activations, 0.5, Some(ADDED));
        figure(&format!("{name}, p99"), &team.activations, &one.activations, 0.99, None);
        figure(&format!("end in a team, {}, p50", kind.name), &team.ends, &one.ends, 0.5, None);
    }
    Ok(())
}

/// How long a session takes to begin, and to end.
fn in_team(there: &AtRelays, relay: &Arc<Relay>, policy: &'static str) -> Result<(f64, f64)> {
    let mut id = String::new();
    let activation = timed(|| {
        let relay = Arc::clone(relay);
        let begun = there.run(async move { relay.begin(0, policy).await })?;
        id = begun.session_that_is("active")?.to_owned();
        Ok(())
    })?;
    let end = timed(|| {
        let (relay, id) = (Arc::clone(relay), id.clone());
        there.run(async move { relay.end(0, &id).await })?.session_that_is("ended").map(drop)
    })?;
    Ok((activation, end))
}

fn at_one(product: &Product, policy: &str) -> Result<(f64, f64)> {
    let mut id = String::new();
    let wish = wish(policy);
    let activation = timed(|| {
        let answer = product.ask_for(&wish)?.json()?;
        ensure!(answer.get("state").is_some_and(|state| state == "active"), "{answer}");
        id = answer.get("id").and_then(|id| id.as_str()).context("no id")?.to_owned();
        Ok(())
    })?;
    let end = timed(|| {
        let path = format!("/v1/sessions/{id}/end");
        let answer = product.api("POST", &path, Some(&new_key()), &json!({}))?.json()?;
        ensure!(answer.get("state").is_some_and(|state| state == "ended"), "{answer}");
        Ok(())
    })?;
    Ok((activation, end))
}

/// `added` is how much more than the baseline it may be, where that was promised.
fn figure(name: &str, of: &[f64], baseline: &[f64], share: f64, added: Option<f64>) {
    let (value, beside) = (quantile(of, share), quantile(baseline, share));
    let note = format!(
        "n = {}; {BROKERS} brokers, HTTPS, PostgreSQL; baseline: a broker of one machine, by its socket and over SQLite, with the same domain controller",
        of.len()
    );
    let line = json!({
        "name": name, "unit": "ms", "value": value, "baseline": beside, "ratio": value / beside,
        "spread": (quantile(of, 0.9) - quantile(of, 0.1)) / 2.0, "note": note,
        "samples": {"value": of, "baseline": baseline},
        "reach": added.map(|most| json!({ "more_at_most": most })),
    });
    println!("{line}");
}
