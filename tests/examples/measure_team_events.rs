//! Measures how long an event takes from its commit to a thousand connected relays, for `cargo xtask bench`: one JSON line per figure.
//!
//! Two brokers on one PostgreSQL, with a directory, all on hosts of their own (network namespaces; needs root); five hundred relays at each
//! broker, each by HTTPS on a connection of its own. Sessions begin and end at both brokers. Two cases:
//! - the relays are those of 250 technicians who signed in, two at each broker for everybody, so that each change is told to four;
//! - all relays are of one person, so that each change has to be told to a thousand of them.
//!
//! An event's time is from its commit, by the database's own record of commits, to its last byte at the relay. Each has to come once.
#![allow(
    clippy::print_stdout,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::figures::quantile;
use ticketgate_tests::patience::until;
use ticketgate_tests::team::listening::Listening;
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::team::site::{AtRelays, Site};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const BROKERS: usize = 2;
const RELAYS: usize = 1000;
/// So many people's, as many of each.
const PEOPLE: usize = 250;
const EACH: usize = RELAYS / PEOPLE;
/// So many begin a session, and end it, at the same time.
const AT_ONCE: usize = 8;
/// So many sessions of the one person who has all relays.
const SESSIONS: usize = 8;
/// As many sign in side by side as a provider of one thread takes, and so often each tries where it is slow.
const SIGN_INS: usize = 4;
const SIGN_INS_TRIES: usize = 5;
/// So many relays connect at the same time: a thousand handshakes on one machine would be too slow for the last.
const CONNECTING: usize = 16;
/// Anything that takes longer is a fault.
const LIMIT: Duration = Duration::from_secs(60);
/// What may be taken at most, in milliseconds.
const MOST: f64 = 500.0;

/// An event as it came: whose, its number among theirs, and when.
#[derive(Debug, Clone)]
struct Came {
    technician: usize,
    number: u64,
    at: SystemTime,
}

/// What came to all relays, and how many are ready to hear.
#[derive(Debug, Default)]
struct Heard {
    ready: usize,
    came: Vec<Came>,
    faults: Vec<String>,
}

type Ears = Arc<Mutex<Heard>>;

fn main() -> Result<()> {
    let mut site = Site::prepare_to_measure(BROKERS, PEOPLE)?;
    site.start_brokers()?;
    let there = site.at_relays(2)?;
    let before = memory(&site)?;
    let people = (0..PEOPLE).map(|number| site.relay(number)).collect::<Result<Vec<_>>>()?;
    let people = there.run(all_sign_in(people))?;
    // Those of one person come from one address, as from one machine.
    let beside = |person: usize, place| {
        let relay = people.get(person).context("no such person")?;
        Ok(Arc::new(site.relay_beside(relay, place)?))
    };
    let relays =
        (0..RELAYS).map(|number| beside(number / EACH, number / EACH)).collect::<Result<Vec<_>>>()?;
    let (ears, began) = (Ears::default(), SystemTime::now());
    let listening = listen(&there, &relays, |number| number / EACH, &ears)?;
    let each = memory(&site)?.saturating_sub(before) as f64 / RELAYS as f64;
    there.run(all_work(people.clone()))?;
    let own = delays(&site, &ears, began, EACH)?;
    drop((listening, relays));

    let relays = (0..RELAYS).map(|number| beside(0, number / EACH)).collect::<Result<Vec<_>>>()?;
    let (ears, began) = (Ears::default(), SystemTime::now());
    let _listening = listen(&there, &relays, |_| 0, &ears)?;
    let one = people.first().context("nobody")?;
    for session in 0..SESSIONS {
        there.run(begin_and_end(Arc::clone(one), session % BROKERS))?;
    }
    let shared = delays(&site, &ears, began, RELAYS)?;

    let note =
        format!("{PEOPLE} technicians with {EACH} relays each begin and end a session, {AT_ONCE} at a time");
    figure("events to 1,000 connected relays, p99", &own, 0.99, Some(MOST), &note);
    figure("events to 1,000 connected relays, p50", &own, 0.5, None, &note);
    let note = format!("{SESSIONS} sessions of one person, whose relays they all are");
    figure("one change told to 1,000 relays, p99", &shared, 0.99, Some(MOST), &note);
    figure("one change told to 1,000 relays, p50", &shared, 0.5, None, &note);
    let line = json!({
        "name": "memory of a broker for each connected relay", "unit": "KB", "value": each, "baseline": null, "ratio": null,
        "spread": null, "note": format!("no baseline; resident, {RELAYS} relays at {BROKERS} brokers; signing in included"),
    });
    println!("{line}");
    Ok(())
}

async fn all_sign_in(relays: Vec<Relay>) -> Result<Vec<Arc<Relay>>> {
    let together = Arc::new(Semaphore::new(SIGN_INS));
    let mut all = JoinSet::new();
    for (number, relay) in relays.into_iter().enumerate() {
        let together = Arc::clone(&together);
        all.spawn(async move {
            let _turn = together.acquire().await?;
            Ok((number, signed_in(relay, number).await?))
        });
    }
    let relays: BTreeMap<_, _> = all.join_all().await.into_iter().collect::<Result<_>>()?;
    Ok(relays.into_values().collect())
}

async fn signed_in(relay: Relay, technician: usize) -> Result<Arc<Relay>> {
    let mut tries = 0;
    while let Err(why) = relay.sign_in(technician % BROKERS, &format!("t{technician}")).await {
        tries += 1;
        if tries == SIGN_INS_TRIES {
            return Err(why);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(Arc::new(relay))
}

/// Lets all listen, and waits until they do.
fn listen(
    there: &AtRelays,
    relays: &[Arc<Relay>],
    technician: impl Fn(usize) -> usize,
    ears: &Ears,
) -> Result<JoinSet<()>> {
    let (mut all, turns) = (JoinSet::new(), Arc::new(Semaphore::new(CONNECTING)));
    for (number, relay) in relays.iter().enumerate() {
        let turns = Arc::clone(&turns);
        let (relay, ears, technician) = (Arc::clone(relay), Arc::clone(ears), technician(number));
        let listening = async move {
            let heard = async {
                let turn = turns.acquire().await?;
                let stream = relay.listen(number % BROKERS).await?;
                drop(turn);
                hears(stream, technician, &ears).await
            };
            let why = heard.await.err();
            locked(&ears).faults.push(format!("relay {number} hears nothing any more: {why:?}"));
        };
        all.spawn_on(listening, there.handle());
    }
    until("all relays to listen", LIMIT, || {
        no_faults(ears)?;
        Ok(locked(ears).ready == relays.len())
    })?;
    Ok(all)
}

async fn hears(mut stream: Listening, technician: usize, ears: &Ears) -> Result<()> {
    // The first says that everything has to be read.
    let first = stream.next().await?.context("nothing came")?;
    ensure!(first.name == "resync", "{first:?} came first");
    locked(ears).ready += 1;
    while let Some(told) = stream.next().await? {
        match (told.name.as_str(), told.number) {
            ("session", Some(number)) => locked(ears).came.push(Came { technician, number, at: told.at }),
            // What everybody may do changed; no session is meant.
            ("overview", None) => {}
            _ => bail!("{told:?} came"),
        }
    }
    Ok(())
}

async fn all_work(people: Vec<Arc<Relay>>) -> Result<()> {
    let together = Arc::new(Semaphore::new(AT_ONCE));
    let mut all = JoinSet::new();
    for (number, relay) in people.into_iter().enumerate() {
        let together = Arc::clone(&together);
        all.spawn(async move {
            let _turn = together.acquire().await?;
            begin_and_end(relay, number % BROKERS).await
        });
    }
    all.join_all().await.into_iter().collect()
}

async fn begin_and_end(relay: Arc<Relay>, broker: usize) -> Result<()> {
    let begun = relay.begin(broker, "servers").await?;
    let ended = relay.end(broker, begun.session_that_is("active")?).await?;
    ended.session_that_is("ended").map(drop)
}

/// Milliseconds from the commit of each event since then until each of its so many relays had it, once all have all.
fn delays(site: &Site, ears: &Ears, since: SystemTime, relays: usize) -> Result<Vec<f64>> {
    let mut committed: BTreeMap<(usize, u64), (SystemTime, usize)> = BTreeMap::new();
    let rows = "SELECT technician, number, pg_xact_commit_timestamp(xmin) AS at FROM events";
    for row in site.db.sql(rows)? {
        let text =
            |name: &str| row.get(name).and_then(Value::as_str).with_context(|| format!("no {name}: {row}"));
        let technician = text("technician")?.trim_start_matches('t').parse()?;
        let number = row.get("number").and_then(Value::as_u64).context("no number")?;
        let at = SystemTime::from(text("at")?.parse::<DateTime<Utc>>()?);
        if at >= since {
            committed.insert((technician, number), (at, 0));
        }
    }
    until("all relays to have heard all", LIMIT, || {
        no_faults(ears)?;
        Ok(locked(ears).came.len() >= relays * committed.len())
    })?;
    let mut delays = Vec::new();
    for Came { technician, number, at } in locked(ears).came.clone() {
        let found = committed.get_mut(&(technician, number));
        let (committed, times) =
            found.with_context(|| format!("event {number} of t{technician} is of nobody"))?;
        *times += 1;
        delays.push(at.duration_since(*committed)?.as_secs_f64() * 1e3);
    }
    for ((technician, number), (_, times)) in committed {
        ensure!(times == relays, "event {number} of t{technician} came {times} times to {relays} relays");
    }
    Ok(delays)
}

fn no_faults(ears: &Ears) -> Result<()> {
    locked(ears).faults.first().map_or(Ok(()), |fault| Err(anyhow!("{fault}")))
}

fn locked(ears: &Ears) -> std::sync::MutexGuard<'_, Heard> {
    ears.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the brokers' processes hold resident, in KB.
fn memory(site: &Site) -> Result<u64> {
    site.brokers
        .iter()
        .map(|broker| {
            let pid = broker.pid().context("no broker runs")?;
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            Ok(line.split_whitespace().next().context("no number")?.parse::<u64>()?)
        })
        .sum()
}

fn figure(name: &str, delays: &[f64], share: f64, most: Option<f64>, note: &str) {
    let note = format!(
        "no baseline; n = {}; {BROKERS} brokers, half of the relays at each, on one machine with database, directory and relays; {note}",
        delays.len()
    );
    let line = json!({
        "name": name, "unit": "ms", "value": quantile(delays, share), "baseline": null, "ratio": null,
        "spread": (quantile(delays, 0.9) - quantile(delays, 0.1)) / 2.0, "note": note,
        "samples": {"value": delays}, "reach": most.map(|most| json!({ "value_at_most": most })),
    });
    println!("{line}");
}
