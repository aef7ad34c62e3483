//! Measures sessions in Entra ID for `cargo xtask bench`: one JSON line per figure. The tenant is the stand-in behind Prism, with
//! Microsoft's description of Graph; how fast Microsoft answers nobody can tell here, what is done beside the requests can.
//!
//! - One tenant: activation and end at the broker's API, beside the very same requests sent bare, one after the other, over one
//!   connection to the same proxy (`bare.rs`), and how many they are.
//! - Two hundred tenants: fifty ends at once while some tenants want to be left alone (`many.rs`).
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod bare;
mod many;

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::{quantile, timed};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::tenant::{Asked, Entra, Tenant};

use self::bare::Bare;

const ROUNDS: usize = 40;
/// Entra ID takes no right away in its first five minutes, so the tenant's clock is moved before each end, and back after it.
const YOUNG: Duration = Duration::from_secs(301);
const ROLES: [&str; 3] =
    ["role:Exchange Administrator", "role:Groups Administrator", "role:Teams Administrator"];

/// A policy with so many roles, how many requests its sessions are, and how long they take.
struct Kind {
    policy: &'static str,
    what: &'static str,
    /// The fewest that there can be: two looks at a user, roles and groups, a request a role, and the account's own writes (one to
    /// open it; one to close it, one that ends what is signed in, one for password and note).
    fewest: [usize; 2],
    requests: [usize; 2],
    times: [Vec<f64>; 2],
    bare: [Vec<f64>; 2],
}

impl Kind {
    fn new(policy: &'static str, what: &'static str, roles: usize) -> Self {
        let fewest = [3 + roles + 1 + 3, 3 + 1 + roles + 2 + 3];
        Self { policy, what, fewest, requests: [0; 2], times: Default::default(), bare: Default::default() }
    }
}

fn main() -> Result<()> {
    one_tenant()?;
    many::measure()
}

fn one_tenant() -> Result<()> {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    let tenant = entra.tenant("acme")?;
    let policy = |id, roles: usize| Policy {
        id,
        name: id,
        directory: "acme-entra",
        rights: ROLES.iter().take(roles).map(|role| (*role).to_owned()).collect(),
        ..Policy::default()
    };
    let configuration = Configuration::empty()
        .generous()
        .technician("tech1", &login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &[])
        .with(&tenant.section("acme-entra", "acme")?)
        .policy(&policy("one", 1))
        .policy(&policy("three", 3));
    let product = Product::start(&configuration)?;
    let ours = format!("jit-tech1@{}", tenant.domain());
    let theirs = tenant.add_user("bare");
    let mut bare = Bare::new(&tenant, &entra.login_url(), graph.address())?;

    let mut kinds = [Kind::new("one", "one role", 1), Kind::new("three", "three roles", 3)];
    // The first sessions sign in, make the account and ask for the roles' names.
    for kind in &kinds {
        let id = product.granted(&wish(kind.policy))?;
        tenant.move_clock(YOUNG);
        ended(&product, &id)?;
        tenant.set_clock_back(YOUNG);
    }
    for _ in 0..ROUNDS {
        for kind in &mut kinds {
            tenant.forget_asked();
            let mut id = String::new();
            let activation = timed(|| {
                id = product.granted(&wish(kind.policy))?;
                Ok(())
            })?;
            let asked = graph_requests(&tenant);
            let our_id = tenant.user(&ours).context("the account is there")?.id;
            let bare_activation = bare.replay(&asked, &our_id, &theirs)?;
            tenant.move_clock(YOUNG);
            tenant.forget_asked();
            let end = timed(|| ended(&product, &id))?;
            let asked_to_end = graph_requests(&tenant);
            let bare_end = bare.replay(&asked_to_end, &our_id, &theirs)?;
            tenant.set_clock_back(YOUNG);
            kind.requests = [asked.len(), asked_to_end.len()];
            for (times, taken) in kind.times.iter_mut().zip([activation, end]) {
                times.push(taken);
            }
            for (times, taken) in kind.bare.iter_mut().zip([bare_activation, bare_end]) {
                times.push(taken);
            }
        }
    }
    ensure!(entra.strange().is_empty(), "{:?}", entra.strange());
    let violations = graph.violations()?;
    ensure!(violations.is_empty(), "{violations:?}");
    kinds.iter().for_each(report);
    Ok(())
}

fn ended(product: &Product, id: &str) -> Result<()> {
    let answer =
        product.api("POST", &format!("/v1/sessions/{id}/end"), Some(&new_key()), &json!({}))?.json()?;
    ensure!(answer["state"] == "ended", "{answer}");
    Ok(())
}

fn graph_requests(tenant: &Tenant) -> Vec<Asked> {
    tenant.asked().into_iter().filter(|asked| !asked.template.starts_with("/{tenant}")).collect()
}

fn report(kind: &Kind) {
    let what = kind.what;
    let of_broker = ["activation", "end"];
    for (n, name) in of_broker.into_iter().enumerate() {
        let (ours, bare) = (&kind.times[n], &kind.bare[n]);
        let (value, baseline) = (quantile(ours, 0.5), quantile(bare, 0.5));
        let spread = (quantile(ours, 0.9) - quantile(ours, 0.1)) / 2.0;
        let mut line = json!({
            "name": format!("{name} in Entra ID, {what}, p50"), "unit": "ms", "value": value, "baseline": baseline,
            "ratio": value / baseline, "spread": spread, "samples": {"value": ours, "baseline": bare},
            "note": format!(
                "n = {}; a stand-in tenant behind Prism; baseline: the same {} requests bare, one after the other, by the same way",
                ours.len(), kind.requests[n]
            ),
        });
        if n == 0 {
            line["reach"] = json!({"ratio_at_most": 1.1});
        }
        println!("{line}");
    }
    for (n, name) in of_broker.into_iter().enumerate() {
        println!(
            "{}",
            requests(&format!("requests of an {name} in Entra ID, {what}"), kind.requests[n], kind.fewest[n])
        );
    }
}

fn requests(name: &str, made: usize, fewest: usize) -> Value {
    json!({
        "name": name, "unit": "requests", "value": made, "baseline": null, "ratio": null, "spread": null,
        "note": "of a dedicated account with PIM that was used before; docs/entra.md lists them; no sign-in, which is one an hour",
        "reach": {"value_at_most": fewest},
    })
}
