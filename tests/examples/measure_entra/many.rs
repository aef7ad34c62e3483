//! Fifty sessions in fifty of two hundred tenants that end at once, in turns without and with tenants that want to be left alone.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::quantile;
use ticketgate_tests::patience::until;
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::tenant::{Entra, Tenant, too_early};

const TENANTS: usize = 200;
const SESSIONS: usize = 50;
/// Of each kind.
const TURNS: usize = 3;
/// Technicians activate at once.
const AT_ONCE: usize = 8;
/// As many requests as a look has under way at once.
const A_LOOK: u32 = 3;
/// What tenants say; the last is longer than anybody waits with a request in hand.
const WAITS: [&str; 5] = ["0.75", "2.128", "4.5", "8.25", "11.25"];
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn measure() -> Result<()> {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    let tenants = (0..TENANTS).map(|n| entra.tenant(&format!("t{n}"))).collect::<Result<Vec<_>>>()?;
    // Without PIM, whose first five minutes would be everybody's wait.
    tenants.iter().for_each(|tenant| tenant.pim(false));
    let product = Product::start(&configuration(&tenants)?)?;
    let (mut without, mut with, mut throttled) = (Vec::new(), Vec::new(), 0);
    // The first turn signs in everywhere and makes the accounts.
    for turn in 0..=TURNS {
        let plain = turn_of(&product, &entra, &tenants, &[])?;
        let waiting = turn_of(&product, &entra, &tenants, &WAITS)?;
        if turn > 0 {
            without.extend(plain.1);
            with.extend(waiting.1);
            throttled += waiting.0;
        }
    }
    ensure!(entra.strange().is_empty(), "{:?}", entra.strange());
    let violations = graph.violations()?;
    ensure!(violations.is_empty(), "{violations:?}");
    for (name, share) in [("p50", 0.5), ("p95", 0.95)] {
        let (value, baseline) = (quantile(&with, share), quantile(&without, share));
        let spread = (quantile(&with, 0.9) - quantile(&with, 0.1)) / 2.0;
        let mut line = json!({
            "name": format!("end in a tenant while others are throttled, {name}"), "unit": "s", "value": value,
            "baseline": baseline, "ratio": value / baseline, "spread": spread,
            "note": format!(
                "n = {}; {SESSIONS} ends at once in {TENANTS} tenants behind one proxy, {} of them throttled for 0.75 to 11.25 s \
                 ({throttled} requests refused; no end lost, no request before its time); baseline: the same ends with none throttled",
                with.len(), WAITS.len()
            ),
            "samples": {"value": with, "baseline": without},
        });
        line["reach"] = json!({"ratio_at_most": 1.1});
        println!("{line}");
    }
    Ok(())
}

fn configuration(tenants: &[Tenant]) -> Result<Configuration> {
    let mut configuration = Configuration::empty()
        .generous()
        .broker("sessions_at_once = 100")
        .technician("tech1", &login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &[]);
    for (n, tenant) in tenants.iter().enumerate() {
        let name: &'static str = format!("t{n}").leak();
        configuration = configuration.with(&tenant.section(name, "acme")?).policy(&Policy {
            id: name,
            name,
            directory: name,
            rights: vec!["role:Exchange Administrator".into()],
            ..Policy::default()
        });
    }
    Ok(configuration)
}

/// Fifty sessions and their ends, the first tenants throttled so. How many requests were refused, and the seconds that each end in
/// a tenant that is never throttled took from the request for all.
fn turn_of(
    product: &Product,
    entra: &Entra,
    tenants: &[Tenant],
    waits: &[&str],
) -> Result<(usize, Vec<f64>)> {
    let ids = activate(product)?;
    for (tenant, wait) in tenants.iter().zip(waits) {
        tenant.throttle(A_LOOK, Some(wait));
    }
    tenants.iter().for_each(Tenant::forget_asked);
    let (begun, began) = (DateTime::<Utc>::from(std::time::SystemTime::now()), Instant::now());
    let which = json!({"technician": "tech1"});
    product.api("POST", "/v1/end-all", Some(&new_key()), &which)?.json()?;
    until("every session to end", LIMIT, || {
        Ok(product.cli_json(&["sessions"])?.as_array().is_some_and(Vec::is_empty))
    })?;
    let ended: Vec<Value> = ids.iter().map(|id| product.session(id)).collect::<Result<_>>()?;
    ensure!(ended.iter().all(|session| session["state"] == "ended"), "{ended:?}");
    for tenant in tenants.iter().take(SESSIONS) {
        let name = format!("jit-tech1@{}", tenant.domain());
        let closed = tenant.user(&name).is_some_and(|user| !user.enabled) && tenant.held_by(&name).is_empty();
        ensure!(closed, "{name} is open");
    }
    let journal = entra.journal();
    let early = too_early(&journal);
    ensure!(early.is_empty(), "{early:?}");
    let refused = journal.iter().filter(|asked| asked.wait.is_some()).count();
    ensure!(refused == waits.len() * A_LOOK as usize, "{refused} requests were told to wait");
    let taken = |session: &Value| -> Result<f64> {
        let at: DateTime<Utc> = session["ended_at"].as_str().context("no end")?.parse()?;
        let seconds = (at - begun).as_seconds_f64();
        ensure!(seconds <= began.elapsed().as_secs_f64(), "{session}");
        Ok(seconds)
    };
    let taken = ended.iter().skip(WAITS.len()).map(taken).collect::<Result<_>>()?;
    Ok((refused, taken))
}

/// A session in each of the first tenants.
fn activate(product: &Product) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let some = |first: usize| {
            scope.spawn(move || {
                let mine = (first..SESSIONS).step_by(AT_ONCE);
                mine.map(|n| Ok((n, product.granted(&wish(&format!("t{n}")))?))).collect::<Result<Vec<_>>>()
            })
        };
        let threads: Vec<_> = (0..AT_ONCE).map(some).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
        }
        all.sort_unstable();
        Ok(all.into_iter().map(|(_, id)| id).collect())
    })
}
