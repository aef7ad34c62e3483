//! The same for a ledger in PostgreSQL: how long a start takes until what is due is done, what stays in memory, and how late a
//! thousand ends are that fall due within one second.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;
use ticketgate_ledger::{PostgresLedger, PostgresPlace};

use super::growth::Running;
use super::prepare::{self, Prepared};
use super::server::{FIRST, Server};
use super::{Result, quantile, spread};

const STARTS: usize = 3;
/// Ends within one second.
const ENDS: usize = 1_000;
/// What the directory takes for an answer while they are measured.
const ANSWERS_AFTER: Duration = Duration::from_millis(5);
/// From the change of their ends until they begin: time to start a broker, and for its first sweep.
const LEAD: TimeDelta = TimeDelta::seconds(15);
/// Accounts that a sweep is given a second for.
const SWEPT: usize = 1_000;

/// A ledger with so many open sessions, and what a broker on it has in its folder.
struct Template {
    prepared: Prepared,
    folder: TempDir,
    database: String,
}

/// What is measured of one size.
struct Measured {
    starts: Vec<f64>,
    resident: f64,
    private: f64,
    /// How long the first sweep took, in seconds.
    swept: f64,
    late: Vec<f64>,
}

pub(super) fn measure(few: usize, many: usize) -> Result<()> {
    let server = Server::start()?;
    let mut all = Vec::new();
    for sessions in [few, many] {
        let template = template(&server, sessions)?;
        let (mut starts, mut running) = (Vec::new(), None);
        for start in 0..STARTS {
            drop(running.take());
            let (folder, _) = place(&server, &template, &format!("start{start}"))?;
            let mut broker = Running::on(folder, template.prepared, Duration::ZERO)?;
            broker.until("closed 0 ")?;
            starts.push(broker.begun.elapsed().as_secs_f64());
            running = Some(broker);
        }
        let mut running = running.ok_or("never started")?;
        running.until("listed")?;
        running.quiet()?;
        let (resident, private) = (running.memory("Rss:")?, running.memory("Private_Dirty:")?);
        drop(running);
        let (swept, late) = late(&server, &template)?;
        all.push(Measured { starts, resident, private, swept, late });
        for database in ["start0", "start1", "start2", "ends", &template.database] {
            server.sql(FIRST, &format!("DROP DATABASE {database} WITH (FORCE)"))?;
        }
    }
    if let [baseline, value] = &all[..] {
        report(few, baseline, many, value);
    }
    Ok(())
}

/// Written into a file and moved into a database, as an administrator does.
fn template(server: &Server, sessions: usize) -> Result<Template> {
    let folder = prepare::folder()?;
    let now = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).ok_or("a time")?;
    let (first, others) = (now - TimeDelta::seconds(1), now + TimeDelta::hours(3));
    let prepared = Prepared { sessions, early: 1, first, others, apart: TimeDelta::milliseconds(1) };
    let database = format!("open{sessions}");
    server.copy("template1", &database)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let places = prepared.write(folder.path(), "nobody").await?;
        let to = PostgresPlace {
            address: server.address(&database),
            key: places.state.join("audit.key"),
            ..PostgresPlace::default()
        };
        PostgresLedger::copy(&places.state.join("ledger.sqlite"), &to, |_| {}).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    server.sql(&database, "VACUUM (ANALYZE)")?;
    Ok(Template { prepared, folder, database })
}

/// A copy of the ledger, and the folder of a broker on it.
fn place(server: &Server, template: &Template, database: &str) -> Result<(TempDir, String)> {
    server.copy(&template.database, database)?;
    let folder = prepare::folder()?;
    let (from, to) = (template.folder.path(), folder.path());
    fs::DirBuilder::new().mode(0o700).create(to.join("state"))?;
    let key = to.join("state/audit.key");
    fs::copy(from.join("state/audit.key"), &key)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let configuration = fs::read_to_string(from.join("ticketgate.toml"))?;
    let address = server.address(database);
    fs::write(to.join("ticketgate.toml"), format!("[ledger]\npostgres = \"{address}\"\n{configuration}"))?;
    Ok((folder, database.to_owned()))
}

/// How long the first sweep takes, and how late each of the ends is until the directory has its account disabled, in seconds.
fn late(server: &Server, template: &Template) -> Result<(f64, Vec<f64>)> {
    let (folder, database) = place(server, template, "ends")?;
    let lead = LEAD + TimeDelta::seconds(i64::try_from(template.prepared.sessions / SWEPT)?);
    let first = DateTime::from_timestamp_millis((Utc::now() + lead).timestamp_millis()).ok_or("a time")?;
    let ends = ENDS.min(template.prepared.sessions);
    // The others end when they did.
    let others = template.prepared.others + template.prepared.apart * i32::try_from(ends - 1)?;
    let prepared = Prepared { early: ends, first, others, ..template.prepared };
    // The ledger's own way of writing times.
    let until = |number: usize| prepared.until(number).to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
    let rows: Vec<_> =
        (0..ends).map(|number| format!("('s-prepared-{number}', '{}')", until(number))).collect();
    let of = format!("FROM (VALUES {}) AS new(id, until)", rows.join(", "));
    server.sql(&database, &format!("UPDATE sessions s SET until = new.until {of} WHERE s.id = new.id"))?;
    let key = "concat('acme-ad/burner/', new.id)";
    server.sql(&database, &format!("UPDATE accounts a SET due = new.until {of} WHERE a.key = {key}"))?;
    let mut broker = Running::on(folder, prepared, ANSWERS_AFTER)?;
    // Asked for once every account was looked at.
    broker.until("listed")?;
    let swept = broker.begun.elapsed().as_secs_f64();
    if Utc::now() + TimeDelta::seconds(2) > first {
        return Err("the sweep took too long; lower SWEPT".into());
    }
    let mut late = Vec::new();
    while late.len() < ends {
        let said = broker.until("closed ")?;
        let mut words = said.split(' ').skip(1);
        let number: usize = words.next().ok_or("no number")?.parse()?;
        let at = DateTime::from_timestamp_micros(words.next().ok_or("no time")?.parse()?).ok_or("a time")?;
        late.push((at - prepared.until(number)).as_seconds_f64());
    }
    Ok((swept, late))
}

fn report(few: usize, baseline: &Measured, many: usize, value: &Measured) {
    let line = |name: String,
                unit: &str,
                of: [f64; 2],
                spread: Option<f64>,
                note: String,
                most: Option<f64>| {
        println!(
            "{}",
            json!({
                "name": name, "unit": unit, "value": of[0], "baseline": of[1], "ratio": of[0] / of[1], "spread": spread,
                "note": format!("{note}; baseline: {few} open sessions"), "reach": most.map(|most| json!({"value_at_most": most})),
            })
        );
    };
    let median = |of: &Measured| quantile(&of.starts, 0.5);
    line(
        format!("start on PostgreSQL with {many} open sessions until what is due is done"),
        "s",
        [median(value), median(baseline)],
        Some(spread(&value.starts)),
        format!(
            "n = {STARTS}, p50; from the process's start until an end that fell due meanwhile disables its account; an account per session"
        ),
        Some(5.0),
    );
    line(
        format!("resident memory of a broker on PostgreSQL with {many} open sessions"),
        "MB",
        [value.resident, baseline.resident],
        None,
        format!(
            "RSS after start and first sweep, of it private and dirty {:.1} MB and {:.1} MB",
            value.private, baseline.private
        ),
        Some(200.0),
    );
    line(
        format!("first sweep on PostgreSQL over the accounts of {many} open sessions"),
        "s",
        [value.swept, baseline.swept],
        None,
        format!(
            "from the process's start until every account was looked at; all are as they should be; a directory that takes {} ms for an answer, sixteen questions at a time",
            ANSWERS_AFTER.as_millis()
        ),
        None,
    );
    line(
        format!("lateness of {ENDS} ends in one second on PostgreSQL with {many} open sessions, p99"),
        "s",
        [quantile(&value.late, 0.99), quantile(&baseline.late, 0.99)],
        Some(spread(&value.late)),
        format!(
            "until the account is disabled in the directory, which takes {} ms for an answer; one broker, one account each",
            ANSWERS_AFTER.as_millis()
        ),
        Some(2.0),
    );
}
