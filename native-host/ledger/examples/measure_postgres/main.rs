//! Measures how many activations a second the ledger writes into PostgreSQL (one commit that grants, one that says it is active),
//! for `cargo xtask bench`, beside `pgbench` that sends the same statements, one after the other, as the server logged them. Both
//! use the same server, which is started here on a socket of its own, with every commit on the disk; they take turns.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod pgbench;
mod replay;
mod server;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use ticketgate_access::config::RateLimits;
use ticketgate_access::session::{Account, AccountKey, Right, Session};
use ticketgate_ledger::{Answer, Change, Guard, Ledger, NewAudit, PostgresLedger, PostgresPlace, Shared};
use ticketgate_protocol::api::{Mode, State};
use ticketgate_protocol::ids::{CustomerId, DirectoryId, IdempotencyKey, PolicyId, SessionId, TechnicianId};

use self::replay::Script;
use self::server::{FIRST, Server};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// So many activations at the same time, each for a customer of its own and by one of two thousand technicians.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let place = |database: &str| PostgresPlace {
        address: server.address(database),
        key: server.folder().join("audit.key"),
        ..PostgresPlace::default()
    };
    let script = recorded(&server, &runtime, &place("recorded"))?;
    let ledger = runtime.block_on(PostgresLedger::open(&place(FIRST)))?;
    runtime.block_on(ledger.enlist("bench"))?;
    let ledger = Arc::new(ledger);
    let begun = format!(
        "INSERT INTO chains SELECT concat('pgbench', n), 0, sha256('') FROM generate_series(0, {AT_ONCE} - 1) n"
    );
    server.sql(FIRST, &begun)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let counter = Arc::new(AtomicU64::new(0));
    for round in 0..=ROUNDS {
        let one = runtime.block_on(activations(&ledger, &counter))?;
        let before = server.count(FIRST, ENDED)?;
        let text = format!("\\set round {round}\n{}", script.text);
        let other = server.pgbench(FIRST, &text, AT_ONCE, ROUND.as_secs())?;
        if server.count(FIRST, ENDED)? != before + other.transactions {
            return Err("pgbench did not do what the ledger does".into());
        }
        // The first fills caches and plans.
        if round > 0 {
            ours.push(one);
            theirs.push(other.a_second);
        }
    }
    // Those of pgbench have no hashes that are worth anything; ours have.
    for who in 0..AT_ONCE {
        let verdict = runtime.block_on(ledger.verify(Some(format!("customer{who}"))))?;
        if !verdict.whole || !verdict.records.is_multiple_of(2) {
            return Err(format!("the audit log is not whole: {verdict:?}").into());
        }
    }
    let (value, baseline) = (median(&ours), median(&theirs));
    let printed = json!({
        "name": "Activations and ends written to PostgreSQL by one broker",
        "unit": "a second",
        "value": value,
        "baseline": baseline,
        "ratio": value / baseline,
        "spread": spread(&ours),
        "note": format!(
            "{AT_ONCE} at once; three commits each (begin, active, over), with request, limits, events, due times and audit chain; against pgbench sending the same {} \
             statements with as many clients; fsync on",
            script.statements
        ),
        "reach": { "ratio_at_least": 0.5 },
        "samples": { "value": ours, "baseline": theirs },
    });
    println!("{printed}");
    Ok(())
}

const ENDED: &str = "SELECT count(*) FROM sessions WHERE state = 'ended'";

/// The statements of one activation and its end, as the server logs them in a database of their own.
fn recorded(server: &Server, runtime: &tokio::runtime::Runtime, place: &PostgresPlace) -> Result<Script> {
    server.copy("template1", "recorded")?;
    server.log_statements("recorded")?;
    let ledger = runtime.block_on(PostgresLedger::open(place))?;
    runtime.block_on(ledger.enlist("bench"))?;
    // The first also begins the chain.
    runtime.block_on(activate(&ledger, 0, 7));
    let log = server.logged(|| {
        runtime.block_on(activate(&ledger, 0, 2_007));
        Ok(())
    })?;
    let number = "concat(:round::bigint, '-', :client_id::bigint, '-', :n::bigint)";
    let first = "\\set n :n + 1\n\\set technician random(0, 1999)";
    let marks = [
        ("2007", number),
        ("tech7", "concat('tech', :technician::bigint)"),
        ("customer0", "concat('pgbench', :client_id::bigint)"),
    ];
    replay::script(&log, first, &marks)
}

/// Activations a second.
async fn activations(ledger: &Arc<PostgresLedger>, counter: &Arc<AtomicU64>) -> Result<f64> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|who| {
            let (ledger, counter) = (Arc::clone(ledger), Arc::clone(counter));
            tokio::spawn(async move {
                let mut done = 0u32;
                while began.elapsed() < ROUND {
                    activate(&ledger, who, counter.fetch_add(1, Ordering::Relaxed)).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await?;
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

async fn activate(ledger: &PostgresLedger, who: usize, number: u64) {
    let now = Utc::now();
    let (session, account) = rows(who, number, now);
    let technician = session.technician.clone();
    let record = |action| NewAudit {
        customer: Some(session.customer.clone()),
        action,
        actor: technician.to_string(),
        outcome: "ok",
        details: [("session", json!(session.id)), ("technician", json!(technician))].into(),
    };
    let begin = Change {
        name: "ledger.session_begin",
        at: now,
        accounts: vec![account.clone()],
        sessions: vec![session.clone()],
        audit: vec![record("activation.requested")],
        answers: Some(Answer {
            technician: technician.clone(),
            key: IdempotencyKey::new(format!("k-{number}")).unwrap(),
            request: [7; 32],
            session: session.id.clone(),
        }),
        guard: Some(Guard {
            technician: technician.clone(),
            rate: Some(RateLimits { per_minute: 1_000, per_hour: 1_000, per_day: 1_000 }),
            sessions_at_once: Some(1_000),
        }),
        widens: true,
        ..Change::default()
    };
    ledger.commit(begin).await.unwrap();
    let active = Change {
        name: "ledger.session_active",
        at: now,
        accounts: vec![Account { settled: true, version: 1, ..account }],
        sessions: vec![Session { state: State::Active, active_at: Some(now), version: 1, ..session.clone() }],
        audit: vec![record("activation.granted")],
        ..Change::default()
    };
    ledger.commit(active).await.unwrap();
    // Over at once, so that what is open does not grow with the time of the run.
    let over = Change {
        name: "ledger.session_over",
        at: now,
        sessions: vec![Session { state: State::Ended, ended_at: Some(now), version: 2, ..session }],
        ..Change::default()
    };
    ledger.commit(over).await.unwrap();
}

fn rows(who: usize, number: u64, now: DateTime<Utc>) -> (Session, Account) {
    let technician = TechnicianId::new(format!("tech{}", number % 2000)).unwrap();
    let directory = DirectoryId::new("acme-ad").unwrap();
    let id = SessionId::new(format!("s-{number}")).unwrap();
    let key = AccountKey(format!("acme-ad/burner/{id}"));
    let account = Account {
        key: key.clone(),
        directory: directory.clone(),
        mode: Mode::Burner,
        technician: technician.clone(),
        name: format!("jit-{number}"),
        identity: None,
        display_name: None,
        token: "b3f1".to_owned(),
        password_generation: 1,
        standing: Vec::new(),
        settled: false,
        attempts: 0,
        next_try: None,
        gone: false,
        version: 0,
    };
    let session = Session {
        id,
        whole: None,
        state: State::Activating,
        technician,
        customer: CustomerId::new(format!("customer{who}")).unwrap(),
        directory,
        policy: PolicyId::new("acme-domain-admin").unwrap(),
        policy_name: "Domain Admin".to_owned(),
        mode: Mode::Burner,
        account: key,
        rights: vec![Right("CN=Domain Admins,CN=Users,DC=acme,DC=example".to_owned())],
        reason: "#4711 Outlook does not start (Acme Corp)".to_owned(),
        ticket: None,
        requested_at: now,
        from: now,
        until: now + TimeDelta::hours(1),
        latest_end: now + TimeDelta::hours(4),
        active_at: None,
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 0,
    };
    (session, account)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &[f64]) -> Value {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    json!((values[values.len() - 1] - values[0]) / 2.0)
}
