//! Measures how long it takes after a SIGKILL of the broker that works until another one has brought to its end what that one had begun, for
//! `cargo xtask bench`: one JSON line per figure.
//!
//! Two brokers on one PostgreSQL, with a directory, all on hosts of their own (network namespaces; needs root). Sixteen technicians begin and
//! end sessions at one broker at the same moment; at a moment that is drawn it is killed. What the ledger then has as under way is waited for:
//! an activation has to be taken back and an end carried out by the other broker. It counts when that was committed, by the database's own
//! record of commits; and then each of these accounts has to be closed and without rights in the directory, which is asked by LDAP.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::quantile;
use ticketgate_tests::patience::until;
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::team::site::{AtRelays, Site};
use tokio::task::JoinSet;

const BROKERS: usize = 2;
const TECHNICIANS: usize = 16;
/// So many accounts are taken over at least, and so many kills are enough for that.
const SAMPLES: usize = 120;
const KILLS_MAX: usize = 60;
/// The kill comes so many milliseconds after the requests: from when the first is in the ledger to when the last is nearly done.
const MOMENTS: std::ops::Range<u64> = 30..800;
const SEED: u64 = 1;
/// Anything that takes longer is a fault.
const LIMIT: Duration = Duration::from_secs(60);
/// What may be taken at most, in seconds.
const MOST: f64 = 5.0;

/// A session that a dead broker had under way.
struct Left {
    id: String,
    account: String,
    was: String,
}

/// Seconds from a kill until an account was brought to its end, of each kind of work.
type Took = BTreeMap<String, Vec<f64>>;

fn main() -> Result<()> {
    let mut site = Site::prepare_to_measure(BROKERS, TECHNICIANS)?;
    site.start_brokers()?;
    let there = site.at_relays(1)?;
    let relays = (0..TECHNICIANS).map(|number| site.relay(number)).collect::<Result<Vec<_>>>()?;
    let relays = there.run(all_sign_in(relays))?;
    let mut took = Took::new();
    let (mut state, mut kills) = (SEED, 0);
    while took.values().map(Vec::len).sum::<usize>() < SAMPLES {
        ensure!(kills < KILLS_MAX, "{kills} kills left too little to do: {took:?}");
        let victim = kills % BROKERS;
        let moment = MOMENTS.start + drawn(&mut state) % (MOMENTS.end - MOMENTS.start);
        kill_at_work(&mut site, &there, &relays, victim, Duration::from_millis(moment), &mut took)
            .with_context(|| format!("kill {kills}, after {moment} ms"))?;
        kills += 1;
    }
    report(&took, kills);
    Ok(())
}

async fn all_sign_in(relays: Vec<Relay>) -> Result<Vec<Arc<Relay>>> {
    let mut signed_in = Vec::new();
    for (number, relay) in relays.into_iter().enumerate() {
        relay.sign_in(number % BROKERS, &format!("t{number}")).await?;
        signed_in.push(Arc::new(relay));
    }
    Ok(signed_in)
}

/// One kill, and all that comes of it.
fn kill_at_work(
    site: &mut Site,
    there: &AtRelays,
    relays: &[Arc<Relay>],
    victim: usize,
    moment: Duration,
    took: &mut Took,
) -> Result<()> {
    // Half of them have a session, which they are about to end.
    for (number, relay) in relays.iter().enumerate().filter(|(number, _)| number / 2 % 2 == victim) {
        if !active(site)?.contains_key(&format!("t{number}")) {
            let (relay, other) = (Arc::clone(relay), (victim + 1) % BROKERS);
            there.run(async move { relay.begin(other, policy(number)).await })?.session_that_is("active")?;
        }
    }
    let mut open = active(site)?;
    let mut asking = JoinSet::new();
    for (number, relay) in relays.iter().enumerate() {
        let (relay, session) = (Arc::clone(relay), open.remove(&format!("t{number}")));
        let work = async move {
            match session {
                Some(session) => relay.end(victim, &session).await,
                None => relay.begin(victim, policy(number)).await,
            }
        };
        asking.spawn_on(work, there.handle());
    }
    std::thread::sleep(moment);
    let killed = SystemTime::now();
    site.brokers.get_mut(victim).context("no such broker")?.kill()?;
    let left = under_way(site)?;
    // Nobody is told anything any more; the next round begins when all have noticed.
    there.run(async move { asking.join_all().await.into_iter().collect::<Result<Vec<_>>>() })?;
    let settled = until("what was under way to be over", LIMIT, || Ok(under_way(site)?.is_empty()));
    settled.map_err(|why| anyhow!("{why}: {}", site.brokers.iter().map(|b| b.log()).collect::<String>()))?;
    for (left, over) in left.iter().zip(when_over(site, &left)?) {
        took.entry(left.was.clone()).or_default().push(over.duration_since(killed)?.as_secs_f64());
    }
    let mut directory = site.ad.look()?;
    for Left { id, account, .. } in &left {
        let found = directory.account(account)?;
        let is_closed = found.as_ref().is_none_or(|found| !found.enabled() && found.groups.is_empty());
        ensure!(is_closed, "session {id} is over, and its account is not: {found:?}");
    }
    eprintln!("{} left {} under way", moment.as_millis(), left.len());
    site.start_broker(victim)
}

/// One account that stays, one that is made for the session.
const fn policy(technician: usize) -> &'static str {
    if technician.is_multiple_of(2) { "servers" } else { "burner" }
}

/// Who has a session in force, and which.
fn active(site: &Site) -> Result<BTreeMap<String, String>> {
    let rows = site.db.sql("SELECT technician, id FROM sessions WHERE state = 'active'")?;
    rows.iter().map(|row| Ok((text(row, "technician")?, text(row, "id")?))).collect()
}

/// What is neither in force nor over.
fn under_way(site: &Site) -> Result<Vec<Left>> {
    let rows = site.db.sql(
        "SELECT s.id, s.state, a.name FROM sessions s JOIN accounts a ON a.key = s.account
          WHERE s.state NOT IN ('active', 'ended', 'failed') ORDER BY s.id",
    )?;
    let left = |row| Ok(Left { id: text(row, "id")?, account: text(row, "name")?, was: text(row, "state")? });
    rows.iter().map(left).collect()
}

/// When each was committed as over, in their order.
fn when_over(site: &Site, left: &[Left]) -> Result<Vec<SystemTime>> {
    let ids: Vec<_> = left.iter().map(|left| format!("'{}'", left.id)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = site.db.sql(&format!(
        "SELECT pg_xact_commit_timestamp(xmin) AS at FROM sessions WHERE id IN ({}) ORDER BY id",
        ids.join(", ")
    ))?;
    ensure!(rows.len() == left.len(), "sessions were lost: {rows:?}");
    rows.iter().map(|row| Ok(text(row, "at")?.parse::<DateTime<Utc>>()?.into())).collect()
}

fn text(row: &Value, name: &str) -> Result<String> {
    row.get(name).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {name}: {row}"))
}

/// SplitMix64: the same moments in each run.
fn drawn(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn report(took: &Took, kills: usize) {
    let all: Vec<_> = took.values().flatten().copied().collect();
    let counts: Vec<_> = took.iter().map(|(was, took)| format!("{} {was}", took.len())).collect();
    let note = format!(
        "no baseline; {} accounts ({}) of {kills} kills, up to {TECHNICIANS} at once; {BROKERS} brokers, PostgreSQL, Samba; until the ledger has it \
         as over, which it has only once the directory was read back",
        all.len(),
        counts.join(", "),
    );
    for (name, share, reach) in [
        ("take-over after SIGKILL of the working broker, p99", 0.99, Some(json!({ "value_at_most": MOST }))),
        ("take-over after SIGKILL of the working broker, p50", 0.5, None),
    ] {
        let line = json!({
            "name": name, "unit": "s", "value": quantile(&all, share), "baseline": null, "ratio": null,
            "spread": (quantile(&all, 0.9) - quantile(&all, 0.1)) / 2.0, "note": note, "reach": reach,
            "samples": {"value": all},
        });
        println!("{line}");
    }
}
