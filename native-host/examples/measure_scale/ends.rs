//! How late many ends are that fall due within a minute.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate::broker::{Broker, Hint, Role, Serving, start_with};
use ticketgate_access::session::AccountKey;
use ticketgate_ledger::{Ledger, SessionFilter, SqliteLedger};
use ticketgate_protocol::api::State;
use tokio::task::JoinHandle;

use super::prepare::{self, Prepared};
use super::stub::{Only, Said, Stub};
use super::{Result, quantile, spread};

/// When the first end is due: time to start and to sweep.
const LEAD: TimeDelta = TimeDelta::seconds(20);
const MINUTE: TimeDelta = TimeDelta::seconds(60);
/// How long after the minute the last end may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// When each prepared account was closed in the directory, in microseconds since 1970; 0: it was not.
static CLOSED: OnceLock<Vec<AtomicI64>> = OnceLock::new();

pub(super) fn measure(ends: usize) -> Result<()> {
    let _ = CLOSED.set((0..ends).map(|_| AtomicI64::new(0)).collect());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime.block_on(run(ends))
}

fn note(said: Said, key: Option<&AccountKey>) {
    let (Said::Closed, Some(key)) = (said, key) else { return };
    if let Some(at) = Prepared::number(key).and_then(|number| CLOSED.get()?.get(number)) {
        at.store(Utc::now().timestamp_micros(), Ordering::Relaxed);
    }
}

async fn run(ends: usize) -> Result<()> {
    let folder = prepare::folder()?;
    let apart = MINUTE / i32::try_from(ends)?;
    let first = Utc::now() + LEAD;
    let prepared = Prepared { sessions: ends, early: 1, first, others: first + apart, apart };
    let places = prepared.write(folder.path(), "nobody").await?;
    if Utc::now() + TimeDelta::seconds(5) > first {
        return Err("preparing took too long; raise LEAD".into());
    }
    let stub = Stub::new(Duration::from_millis(1), prepared, note);
    let started = start_with(&places, Role::Serve, Arc::new(Only(stub))).await?;
    let hearing = hear(&started.broker, ends);
    let clock = std::thread::spawn(move || bare_clock(prepared));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let socket = places.socket.clone();
    let serving = tokio::spawn(async move {
        let how = Serving { socket: &socket, on_demand: false, for_everyone: false };
        started.serve(how, async { drop(stopped.await) }).await
    });
    let patience = (LEAD + MINUTE).to_std()? + PATIENCE;
    let told =
        tokio::time::timeout(patience, hearing).await.map_err(|_| "some sessions have not ended")???;
    let _ = stop.send(());
    serving.await??;
    let baseline = clock.join().map_err(|_| "the bare clock broke off")??;
    let ledger = SqliteLedger::open(&places.state.join("ledger.sqlite"), &places.state.join("audit.key"))?;
    let (mut closed, mut recorded) = (Vec::new(), Vec::new());
    for session in ledger.sessions(SessionFilter::default()).await? {
        if session.state != State::Ended {
            return Err(format!("{} has not ended", session.id).into());
        }
        let number = Prepared::number_of(&session.id).ok_or("another session")?;
        let at = CLOSED.get().and_then(|all| all.get(number)).map_or(0, |at| at.load(Ordering::Relaxed));
        if at == 0 {
            return Err(format!("the account of {} was not closed", session.id).into());
        }
        let at = DateTime::from_timestamp_micros(at).ok_or("a time")?;
        closed.push(seconds(at - prepared.until(number)));
        let told = told.get(number).copied().flatten().ok_or("an end that was not heard")?;
        recorded.push(seconds(told - prepared.until(number)));
    }
    if closed.len() != ends {
        return Err(format!("{} sessions instead of {ends}", closed.len()).into());
    }
    let spread_over =
        format!("{ends} ends spread over one minute, one account each, a directory that answers after 1 ms");
    for (name, numbers, what) in [
        (
            "lateness of 10,000 ends in one minute, p99",
            &closed,
            "until the account is disabled in the directory",
        ),
        (
            "lateness of 10,000 ends in one minute until all is taken away and on record, p99",
            &recorded,
            "until the account is gone, read back, the ledger says so durably, and who listens has heard it",
        ),
    ] {
        let (value, beside) = (quantile(numbers, 0.99), quantile(&baseline, 0.99));
        let line = json!({
            "name": name, "unit": "s", "value": value, "baseline": beside, "ratio": value / beside,
            "spread": spread(numbers),
            "note": format!("{what}; {spread_over}; baseline: the clock, a thread that sleeps until the same instants"),
            "reach": {"value_at_most": 1.0}, "samples": {"value": numbers, "baseline": baseline},
        });
        println!("{line}");
    }
    Ok(())
}

/// When each session was told to have ended, by number: the broker says so after the ledger has it.
type Told = std::result::Result<Vec<Option<DateTime<Utc>>>, String>;

/// Listens from now on as a relay's stream does, until all have ended: each hint is looked up in the ledger.
fn hear(broker: &Broker, ends: usize) -> JoinHandle<Told> {
    let (mut feed, ledger) = (broker.events().listen(), Arc::clone(broker.ledger()));
    tokio::spawn(async move {
        let mut told = vec![None; ends];
        let (mut left, mut heard) = (ends, HashMap::new());
        while left > 0 {
            // An error means that this listener was too slow, and that instants are lost.
            let hint = feed.recv().await.map_err(|error| format!("not every end was heard: {error}"))?;
            let Hint::Changed(technician) = hint else { continue };
            let at = heard.entry(technician.clone()).or_insert(0);
            let rows = ledger.events_since(&technician, *at, u32::MAX).await.map_err(|e| e.to_string())?;
            for row in rows.ok_or("not every end was told")? {
                *at = row.number;
                let session = ledger.session(&row.session).await.map_err(|e| e.to_string())?;
                if session.is_none_or(|session| session.state != State::Ended) {
                    continue;
                }
                let number = Prepared::number_of(&row.session).ok_or("another session")?;
                let told: &mut Option<_> = told.get_mut(number).ok_or("another session")?;
                if told.replace(Utc::now()).is_none() {
                    left -= 1;
                }
            }
        }
        Ok(told)
    })
}

/// How late a thread wakes that only waits for the same instants.
fn bare_clock(prepared: Prepared) -> std::result::Result<Vec<f64>, String> {
    let mut late = Vec::with_capacity(prepared.sessions);
    for number in 0..prepared.sessions {
        let until = prepared.until(number);
        if let Ok(time) = (until - Utc::now()).to_std() {
            std::thread::sleep(time);
        }
        late.push(seconds(Utc::now() - until));
    }
    Ok(late)
}

fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}
