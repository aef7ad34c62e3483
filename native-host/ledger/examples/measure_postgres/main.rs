//! Measures how many activations a second the ledger writes into PostgreSQL (one commit that grants, one that says it is active),
//! for `cargo xtask bench`, beside `pgbench` that sends the same statements from a script, one after the other. Both use the same
//! server, which is started here on a socket of its own, with every commit on the disk; they take turns.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a measuring program prints what it measured, and may stop with a panic"
)]

mod script;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// So many activations at the same time, each for a customer of its own and by one of two thousand technicians.
const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let server = Server::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ledger = runtime.block_on(PostgresLedger::open(&server.place()))?;
    runtime.block_on(ledger.enlist("bench"))?;
    let ledger = Arc::new(ledger);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let counter = Arc::new(AtomicU64::new(0));
    for round in 0..=ROUNDS {
        let one = runtime.block_on(activations(&ledger, &counter))?;
        let other = server.pgbench(round)?;
        // The first fills caches and plans.
        if round > 0 {
            ours.push(one);
            theirs.push(other);
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
            "{AT_ONCE} at once; three commits each (begin, active, over), with request, limits, events, due times and audit chain; against pgbench sending the same \
             statements with as many clients; fsync on"
        ),
        "reach": { "ratio_at_least": 0.5 },
        "samples": { "value": ours, "baseline": theirs },
    });
    println!("{printed}");
    Ok(())
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

/// A PostgreSQL of this run's own; gone with it.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let mut make = as_user("initdb")?;
        if is_root() {
            std::os::unix::fs::chown(folder.path(), Some(OTHER_USER), Some(OTHER_USER))?;
        }
        make.args(["-U", "ticketgate", "--auth=trust", "--locale=C.UTF-8", "-E", "UTF8", "--no-sync", "-D"]);
        let made = make.arg(&data).stdout(Stdio::null()).current_dir("/").status()?;
        if !made.success() {
            return Err("initdb failed".into());
        }
        let socket = folder.path().display();
        let further =
            format!("listen_addresses = ''\nunix_socket_directories = '{socket}'\nmax_wal_size = 1GB\n");
        let path = data.join("postgresql.conf");
        fs::write(&path, format!("{}\n{further}", fs::read_to_string(&path)?))?;
        let log = fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("sh");
        // The shell outlives its input by no longer than it takes to end the server.
        command.args(["-c", "\"$@\" & server=$!; read -r _; kill -QUIT $server; wait $server", "sh"]);
        let server = as_user("postgres")?;
        command.arg(server.get_program()).args(server.get_args()).arg("-D").arg(&data);
        let process =
            command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).current_dir("/").spawn()?;
        let server = Self { folder, process };
        for _ in 0..500 {
            let mut ready = Command::new(program("pg_isready")?);
            if ready.arg("-q").arg("-h").arg(server.folder.path()).status()?.success() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not start".into())
    }

    fn place(&self) -> PostgresPlace {
        PostgresPlace {
            address: format!("host={} dbname=postgres user=ticketgate", self.folder.path().display()),
            key: self.folder.path().join("audit.key"),
            ..PostgresPlace::default()
        }
    }

    /// Transactions a second of the script, each of them one activation.
    fn pgbench(&self, round: usize) -> Result<f64> {
        let script = self.folder.path().join("activation.sql");
        fs::write(&script, script::text(round))?;
        let ran = Command::new(program("pgbench")?)
            .args(["-n", "-M", "prepared", "-U", "ticketgate", "-c", &AT_ONCE.to_string(), "-j", "2"])
            .args(["-T", &ROUND.as_secs().to_string()])
            .arg("-h")
            .arg(self.folder.path())
            .arg("-f")
            .arg(&script)
            .arg("postgres")
            .output()?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let value = line.and_then(|line| line.split(' ').next()).and_then(|number| number.parse().ok());
        value
            .filter(|_| ran.status.success())
            .ok_or_else(|| format!("pgbench: {said}{}", String::from_utf8_lossy(&ran.stderr)).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// PostgreSQL refuses root; `nobody` runs it then.
const OTHER_USER: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn as_user(name: &str) -> Result<Command> {
    let program = program(name)?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={OTHER_USER}"), format!("--regid={OTHER_USER}")]);
    command.args(["--clear-groups", "--"]).arg(program);
    Ok(command)
}

/// Of the newest PostgreSQL that is installed.
fn program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql")?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    let newest = found.pop().ok_or("PostgreSQL is not installed; run `cargo xtask setup`")?;
    Ok(Path::join(&newest.join("bin"), name))
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
