//! A team's day, in minutes: three brokers on one PostgreSQL with a standby, a directory, two hundred technicians who signed in at a
//! provider, each by HTTPS and with a key of their own; and faults drawn from a seed: killed and stopped brokers, restarts and fail-overs of
//! the database, cuts between any two, wrong clocks, a full disk. While it runs and afterwards, directory, ledger and audit log are
//! looked at without the product's code.
//!
//! `TICKETGATE_TEAM_SECONDS`, `_SEED`, `_TECHNICIANS`, `_PAUSE` (seconds between two requests of one) and `_FAULTS` (words of
//! [`plan::Kind`], or `none`) say what is played; with `_SHOW` each fault is printed.
#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may panic: that is how it fails"
)]

mod check;
mod faults;
mod ledger;
mod listener;
mod plan;
mod refusals;
mod technician;
mod told;
mod watch;
mod weather;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use ticketgate_tests::Outcome;
use ticketgate_tests::patience::until;
use ticketgate_tests::team::relay::Relay;
use ticketgate_tests::team::site::Site;

use check::End;
use faults::{Field, locked};
use listener::{Listened, Listener};
use plan::{BROKERS, Event, Kind};
use technician::{Day, Technician};
use told::Told;
use watch::Seen;

/// What `cargo xtask test` plays: two minutes with all that comes before and after.
const SEED: u64 = 1;
const SECONDS: u64 = 60;
const TECHNICIANS: u64 = 100;
/// Seconds between two requests of a technician, on average.
const PAUSE: u64 = 25;
/// The longest session that is asked for with two extensions, and what a machine that was just full of faults needs besides.
const SETTLING: Duration = Duration::from_secs(150);
/// Whoever heard nothing goes on asking so long after the last fault.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// After that everybody hears of the last events within this: as long as one more stream takes to be given up.
const HEARING: Duration = Duration::from_secs(60);
/// So many findings are shown that begin alike, by so many letters.
const SHOWN: usize = 4;
const ALIKE: usize = 24;

/// What is played.
struct Played {
    seed: u64,
    time: Duration,
    technicians: usize,
    pause: Duration,
    kinds: Vec<Kind>,
}

fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?} is no number")),
        Err(_) => Ok(otherwise),
    }
}

impl Played {
    fn by_environment() -> Result<Self> {
        let kinds = match std::env::var("TICKETGATE_TEAM_FAULTS") {
            Err(_) => Kind::ALL.to_vec(),
            Ok(words) => words.split(',').filter(|word| *word != "none").map(kind).collect::<Result<_>>()?,
        };
        Ok(Self {
            seed: number("TICKETGATE_TEAM_SEED", SEED)?,
            time: Duration::from_secs(number("TICKETGATE_TEAM_SECONDS", SECONDS)?),
            technicians: usize::try_from(number("TICKETGATE_TEAM_TECHNICIANS", TECHNICIANS)?)?,
            pause: Duration::from_secs(number("TICKETGATE_TEAM_PAUSE", PAUSE)?),
            kinds,
        })
    }
}

fn kind(word: &str) -> Result<Kind> {
    let found = Kind::ALL.into_iter().find(|kind| kind.word() == word);
    found.with_context(|| format!("no fault {word:?}; there are {:?}", Kind::ALL.map(Kind::word)))
}

#[test]
fn a_teams_day_full_of_faults_leaves_no_right_behind_and_loses_no_session() -> Outcome {
    play(&Played::by_environment()?)
}

fn play(played: &Played) -> Outcome {
    let plan = plan::plan(played.seed, played.time, &played.kinds)?;
    eprintln!("seed {}, {} faults in {} s", played.seed, plan.len(), played.time.as_secs());
    let mut site = Site::prepare(BROKERS, played.technicians)?;
    site.start_brokers()?;
    let relays = (0..played.technicians).map(|number| site.relay(number)).collect::<Result<Vec<_>>>()?;
    // A thread that is started there stays there.
    let runtime = site.relays()?.inside(|| {
        Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
    })?;
    let began = Instant::now();
    let day = |over: Duration, closed: Duration| {
        Arc::new(Day {
            seed: played.seed,
            over: Instant::now() + over,
            closed: Instant::now() + closed,
            pause: played.pause,
            signed_in: AtomicU32::new(0),
        })
    };
    let morning = day(Duration::ZERO, Duration::ZERO);
    let technicians = runtime.block_on(all_sign_in(relays, &morning))?;
    eprintln!("{} technicians signed in within {} s", technicians.len(), began.elapsed().as_secs());

    let (day_is_over, over_is_told) = tokio::sync::watch::channel(false);
    let listeners: Vec<_> = technicians.iter().map(Technician::listener).collect();
    let progress: Vec<_> = listeners.iter().map(Listener::progress).collect();
    let listening: Vec<_> =
        listeners.into_iter().map(|one| runtime.spawn(one.listens(over_is_told.clone()))).collect();
    let day = day(played.time, played.time + LAST_WORDS);
    let Site { brokers, ad, db, wire, .. } = &mut site;
    let field = Field::new(brokers, db, wire);
    let (over, seen) = (AtomicBool::new(false), Mutex::new(Seen::default()));
    let told = std::thread::scope(|scope| -> Result<Vec<Told>> {
        let supervisor = scope.spawn(|| field.supervises(&over));
        let watcher = scope.spawn(|| watch::watches(&field, ad, &over, &seen));
        let working = runtime.spawn(all_work(technicians, day));
        let faults = field.plays(&plan, show);
        let told = runtime.block_on(working).map_err(|why| anyhow!("{why}"))?;
        let settled = until("everything to be over and settled", SETTLING, || {
            Ok(check::is_settled(&locked(&field.db)).unwrap_or(false))
        });
        let heard = until("everybody to have heard of everything", HEARING, || {
            Ok(listener::all_is_heard(&locked(&field.db), &progress).unwrap_or(false))
        });
        locked(&seen).findings.extend(heard.err().map(|why| format!("{why:#}")));
        over.store(true, Ordering::Relaxed);
        for thread in [supervisor, watcher] {
            thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        }
        faults?;
        if let Err(why) = settled {
            let open = ledger::sessions(&locked(&field.db), "s.state NOT IN ('ended', 'failed')")?;
            locked(&seen).findings.push(format!("{why}: {open:?}"));
        }
        told
    })?;

    day_is_over.send_replace(true);
    let listened = listening.into_iter().map(|one| runtime.block_on(one).context("a listener panicked"));
    let listened = listened.collect::<Result<Vec<Listened>>>()?;
    let export = exported(&field)?;
    let mut end = End::read(&told, &locked(&field.db), &export)?;
    end.holds(ad)?;
    let last = ledger::last_events(&locked(&field.db))?;
    let heard = listened.iter().filter_map(|one| one.is_whole(&last, &end.rows).err());
    end.findings.extend(heard.map(|why| format!("{why:#}")).collect::<Vec<_>>());
    let seen = std::mem::take(&mut *locked(&seen));
    report(&told, &end, &seen, &field, &plan);
    report_of_events(&listened);
    let mut findings = seen.findings;
    findings.append(&mut end.findings);
    findings.extend(refusals::without_reason(&told, &end.rows, &field.weather));
    findings.append(&mut locked(&field.crashes));
    if !findings.is_empty() {
        let logs: Vec<_> =
            field.brokers.iter().map(|broker| locked(broker).folder().display().to_string()).collect();
        let shown = some_of_each(&findings).join("\n\n");
        return Err(anyhow!(
            "seed {}: {} findings\n\n{shown}\n\nlogs: {logs:?}",
            played.seed,
            findings.len()
        )
        .into());
    }
    // A run in which nothing happened shows nothing.
    let granted = end.rows.values().filter(|row| row.state == "ended").count();
    let changes = listened.iter().flat_map(|one| &one.events).filter(|told| told.name == "session").count();
    is_worth_something(played, (granted, changes), (seen.looks, seen.blind))?;
    Ok(())
}

fn some_of_each(findings: &[String]) -> Vec<String> {
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    let few = |finding: &&String| {
        let count = shown.entry(finding.chars().take(ALIKE).collect()).or_default();
        *count += 1;
        *count <= SHOWN
    };
    findings.iter().filter(few).cloned().collect()
}

fn is_worth_something(
    played: &Played,
    (granted, changes): (usize, usize),
    (looks, blind): (usize, usize),
) -> Result<()> {
    ensure!(changes >= granted, "only {changes} changes were heard of {granted} sessions");
    ensure!(granted >= played.technicians / 2, "only {granted} sessions were granted");
    ensure!(looks >= blind, "the database could hardly ever be looked at");
    Ok(())
}

fn show(event: &Event) {
    if std::env::var_os("TICKETGATE_TEAM_SHOW").is_some() {
        eprintln!("{:>6} ms  {:?} for {} ms", event.at.as_millis(), event.fault, event.lasts.as_millis());
    }
}

/// Side by side, as many as a provider of one thread takes.
async fn all_sign_in(relays: Vec<Relay>, day: &Arc<Day>) -> Result<Vec<Technician>> {
    let together = Arc::new(tokio::sync::Semaphore::new(8));
    let mut all = tokio::task::JoinSet::new();
    for (number, relay) in relays.into_iter().enumerate() {
        let (together, day) = (Arc::clone(&together), Arc::clone(day));
        all.spawn(async move {
            let _turn = together.acquire().await?;
            let mut technician = Technician::new(number, relay, day);
            technician.signs_in().await?;
            Ok::<_, anyhow::Error>(technician)
        });
    }
    all.join_all().await.into_iter().collect()
}

async fn all_work(technicians: Vec<Technician>, day: Arc<Day>) -> Result<Vec<Told>> {
    let mut all = tokio::task::JoinSet::new();
    for technician in technicians {
        all.spawn(technician.works(Arc::clone(&day)));
    }
    let mut told = Vec::new();
    for one in all.join_all().await {
        told.extend(one?);
    }
    Ok(told)
}

/// The audit log as an administrator gets it.
fn exported(field: &Field<'_>) -> Result<String> {
    let broker = field.brokers.first().context("no broker")?;
    let answer = locked(broker).api("GET", "/v1/audit/export", &Value::Null)?;
    if answer.status != 200 {
        bail!("no export: {} {}", answer.status, answer.text());
    }
    Ok(answer.text())
}

fn report(told: &[Told], end: &End<'_>, seen: &Seen, field: &Field<'_>, plan: &[Event]) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for event in plan {
        *kinds.entry(event.fault.kind().word()).or_default() += 1;
    }
    eprintln!("faults: {kinds:?}");
    eprintln!("{} requests: {:?}", told.len(), refusals::counted(told));
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for row in end.rows.values() {
        *states.entry(&row.state).or_default() += 1;
    }
    eprintln!("sessions: {states:?}, {} audit records", end.records.len());
    let in_ms = |times: &[Duration], share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().saturating_sub(1)))
            .map_or(0, Duration::as_millis)
    };
    let late = check::lateness(&end.rows);
    eprintln!(
        "{} ends by time: {} ms late at the median, {} at the 99th percentile, {} at most",
        late.len(),
        in_ms(&late, 50),
        in_ms(&late, 99),
        in_ms(&late, 100)
    );
    let mut took: Vec<_> = told
        .iter()
        .filter(|told| matches!(told.ask, told::Ask::Activate { .. }))
        .filter_map(|told| Some(told.attempts.iter().find(|one| one.granted().is_some())?.took()))
        .collect();
    took.sort();
    eprintln!(
        "an activation took {} ms at the median, {} at the 99th percentile",
        in_ms(&took, 50),
        in_ms(&took, 99)
    );
    eprintln!(
        "{} looks while it ran, {} blind, at most {} accounts open",
        seen.looks, seen.blind, seen.open_most
    );
    for ended in locked(&field.ended).iter() {
        eprintln!("{ended}");
    }
}

fn report_of_events(listened: &[Listened]) {
    let streams: usize = listened.iter().map(|one| one.streams).sum();
    let named =
        |name: &str| listened.iter().flat_map(|one| &one.events).filter(|told| told.name == name).count();
    eprintln!(
        "{streams} streams of events, {} changes of sessions, {} times to read anew",
        named("session"),
        named("resync")
    );
}
