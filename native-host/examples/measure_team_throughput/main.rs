//! Measures for `cargo xtask bench` how many activations a second brokers on one PostgreSQL come to: one beside `pgbench`, which sends
//! the same statements as the server logged them, then two and four. Brokers are this program again, as processes of their own; their
//! directory takes 5 ms for each answer. After each round ledger and directory are held against what was answered.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod broker;
mod check;
#[path = "../../ledger/examples/measure_postgres/pgbench.rs"]
mod pgbench;
#[path = "../../ledger/examples/measure_postgres/replay.rs"]
mod replay;
#[path = "../../ledger/examples/measure_postgres/server.rs"]
mod server;
#[path = "../measure_scale/stub.rs"]
mod stub;
mod world;

use std::error::Error;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use ticketgate_ledger::{PostgresLedger, PostgresPlace};

use self::broker::{Done, Running, request_key};
use self::replay::Script;
use self::server::{FIRST, Server};
use self::world::{CUSTOMERS, PAIRS, Pair};

/// The product's (`src/main.rs`).
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TEAMS: [usize; 3] = [1, 2, 4];
/// Technicians at each broker who wait for an activation at any time: enough that two processors are never idle.
const AT_ONCE: usize = 32;
/// As many as a broker has.
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;
const WARMING: TimeDelta = TimeDelta::seconds(1);
const ROUND: TimeDelta = TimeDelta::seconds(4);

/// The ledger that every run begins with.
const PREPARED: &str = "prepared";

fn main() -> Result<()> {
    // Nothing is heard unless asked for, as with the product's own log.
    let wanted = tracing_subscriber::EnvFilter::try_from_env("TICKETGATE_LOG");
    let wanted = wanted.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(wanted).with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["broker", folder, first, step] => broker::run(folder, first, step),
        // To read them.
        ["statements"] => {
            let server = prepared()?;
            println!("{}", statements(&server)?.text);
            Ok(())
        }
        // For trying out.
        ["rounds", rounds] => measure(rounds.parse()?),
        _ => measure(ROUNDS),
    }
}

/// Brokers on one ledger, and all that they answered.
struct Team {
    size: usize,
    database: String,
    brokers: Vec<Running>,
    sessions: Vec<String>,
    a_second: Vec<f64>,
    took: Vec<f64>,
}

fn measure(rounds: usize) -> Result<()> {
    let server = prepared()?;
    let script = statements(&server)?;
    let mut teams = Vec::new();
    for size in TEAMS {
        let database = format!("team{size}");
        server.copy(PREPARED, &database)?;
        let key = server.folder().join("audit.key");
        let brokers = (0..size).map(|first| Running::start(&server.address(&database), &key, first, size));
        let brokers = brokers.collect::<Result<Vec<_>>>()?;
        for broker in &brokers {
            broker.quiet()?;
        }
        let (sessions, a_second, took) = Default::default();
        teams.push(Team { size, database, brokers, sessions, a_second, took });
    }
    let mut alone = Vec::new();
    for round in 0..=rounds {
        for team in &mut teams {
            team.round(round > 0)?;
            check::ledger(&server, &team.database, &team.sessions)?;
        }
        let baseline = baseline(&server, &script, round)?;
        // The first fills caches and plans.
        if round > 0 {
            alone.push(baseline);
        }
    }
    for team in &mut teams {
        team.brokers.clear();
        check::chains(&server, &team.database)?;
    }
    report(&teams, &alone, script.statements);
    Ok(())
}

impl Team {
    /// One round of all its brokers at once.
    fn round(&mut self, counts: bool) -> Result<()> {
        let begin = Utc::now() + WARMING;
        for broker in &mut self.brokers {
            broker.ask_for_round(AT_ONCE, begin, ROUND)?;
        }
        let done = self.brokers.iter_mut().map(Running::done).collect::<Result<Vec<Done>>>()?;
        let (opened, most) =
            done.iter().fold((0, 0), |(all, most), done| (all + done.opened.0, most.max(done.opened.1)));
        let in_time: u64 = done.iter().map(|done| done.in_time).sum();
        for mut done in done {
            self.sessions.append(&mut done.sessions);
            if counts {
                self.took.append(&mut done.took);
            }
        }
        if opened != self.sessions.len() as u64 || most > 1 {
            let answered = self.sessions.len();
            return Err(format!("{answered} activations opened {opened} accounts, one {most} times").into());
        }
        if counts {
            #[allow(clippy::cast_precision_loss, reason = "a count of activations")]
            self.a_second.push(in_time as f64 / ROUND.as_seconds_f64());
        }
        Ok(())
    }
}

/// The same statements without a broker.
fn baseline(server: &Server, script: &Script, round: usize) -> Result<f64> {
    let database = format!("pgbench{round}");
    server.copy(PREPARED, &database)?;
    // The ledger begins a chain where there is none yet; this begins all.
    let chains =
        "INSERT INTO chains SELECT concat('customer-', n), 0, sha256('') FROM generate_series(0, $) n";
    server.sql(&database, &chains.replace('$', &(CUSTOMERS - 1).to_string()))?;
    let seconds = ROUND.to_std().unwrap_or(Duration::ZERO).as_secs();
    let ran = server.pgbench(&database, &script.text, CONNECTIONS, seconds)?;
    let active = server.count(
        &database,
        "SELECT count(*) FROM sessions s JOIN accounts a ON a.key = s.account AND a.settled WHERE s.state = 'active'",
    )?;
    if active != ran.transactions {
        let transactions = ran.transactions;
        return Err(format!("pgbench made {active} sessions in {transactions} transactions").into());
    }
    server.sql(FIRST, &format!("DROP DATABASE {database}"))?;
    Ok(ran.a_second)
}

/// A server with the ledger that every run begins with.
fn prepared() -> Result<Server> {
    let server = Server::start()?;
    server.copy("template1", PREPARED)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ledger = PostgresLedger::open(&place(&server, PREPARED)).await?;
        world::fill(&ledger).await
    })?;
    drop(runtime);
    server.sql(PREPARED, "VACUUM (ANALYZE)")?;
    Ok(server)
}

fn place(server: &Server, database: &str) -> PostgresPlace {
    PostgresPlace {
        address: server.address(database),
        key: server.folder().join("audit.key"),
        ..PostgresPlace::default()
    }
}

/// The statements of one activation, as the server logs them.
fn statements(server: &Server) -> Result<Script> {
    let database = "recorded";
    server.copy(PREPARED, database)?;
    server.log_statements(database)?;
    let key = server.folder().join("audit.key");
    let mut broker = Running::start(&server.address(database), &key, 0, CUSTOMERS)?;
    broker.quiet()?;
    // The first also begins what a broker begins once, and the customer's chain.
    broker.ask("one")?;
    broker.done()?;
    let mut session = None;
    let log = server.logged(|| {
        broker.ask("one")?;
        session = broker.done()?.sessions.pop();
        Ok(())
    })?;
    let session = session.ok_or("no session")?;
    drop(broker);
    let pair = Pair::of(CUSTOMERS);
    let (technician, customer, request) = (pair.technician(), pair.customer(), request_key(CUSTOMERS));
    // Each client has accounts of its own.
    let first =
        format!("\\set n :n + 1\n\\set pair :client_id * {} + :n\n{}", PAIRS / CONNECTIONS, Pair::sql());
    let number = "concat('bench-', :client_id::bigint, '-', :n::bigint)";
    let marks = [
        (session.as_str(), number),
        (request.as_str(), number),
        (technician.as_str(), "concat('technician-', :technician::bigint)"),
        (customer.as_str(), "concat('customer-', :customer::bigint)"),
    ];
    replay::script(&log, &first, &marks)
}

fn report(teams: &[Team], alone: &[f64], statements: usize) {
    let curve: Vec<_> = teams.iter().map(|team| (team.size, quantile(&team.a_second, 0.5))).collect();
    let Some(one) = teams.first() else { return };
    let checked = "after each round: every answered activation is one active session with one request, each of its records once, its account opened once and settled, and the chains verify";
    for (team, (size, value)) in teams.iter().zip(&curve) {
        let is_one = *size == 1;
        let beside = if is_one { alone } else { &one.a_second };
        let baseline = quantile(beside, 0.5);
        let (p50, p99) = (quantile(&team.took, 0.5), quantile(&team.took, 0.99));
        let than = if is_one {
            format!(
                "baseline: pgbench sends the same {statements} statements of each on {CONNECTIONS} connections, as many as a broker has"
            )
        } else {
            "baseline: one broker, in the same rounds".to_owned()
        };
        let brokers =
            if is_one { "one broker".to_owned() } else { format!("{size} brokers on one PostgreSQL") };
        let line = json!({
            "name": format!("activations a second, {brokers}"), "unit": "a second",
            "value": value, "baseline": baseline, "ratio": value / baseline, "spread": spread(&team.a_second),
            "note": format!(
                "n = {}, p50; {AT_ONCE} technicians at once at each broker, a directory that takes 5 ms for each answer, four answers an activation; one took {p50:.0} ms (p50), {p99:.0} ms (p99); {checked}; {than}; fsync on",
                team.a_second.len()
            ),
            "reach": if is_one { json!({"ratio_at_least": 0.5}) } else { json!(null) },
            "samples": {"value": team.a_second, "baseline": beside},
            "curve": if teams.last().is_some_and(|last| last.size == team.size) { curve.clone() } else { Vec::new() },
            "curve_of": "brokers",
        });
        println!("{line}");
    }
}

/// The measurement at this share of the sorted ones.
fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Half of the range between the 10th and the 90th percentile.
fn spread(numbers: &[f64]) -> f64 {
    (quantile(numbers, 0.9) - quantile(numbers, 0.1)) / 2.0
}
