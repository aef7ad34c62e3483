//! How start, memory and activation grow with the sessions that are open.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;
use ticketgate::broker::{Role, Serving, start_with};
use ticketgate::client::{Client, Endpoint};
use ticketgate::places::Places;
use ticketgate_access::session::AccountKey;
use ticketgate_protocol::api::{Activate, State};
use ticketgate_protocol::ids::{IdempotencyKey, PolicyId};

use super::prepare::{self, Prepared};
use super::stub::{Only, Said, Stub};
use super::{Result, quantile, spread};

const STARTS: usize = 5;
const ACTIVATIONS: usize = 300;

/// Ticks in a second in which a broker does nothing: one that shares its ledger looks at it.
const RESTING: u64 = 2;

/// What is measured of one size.
struct Growth {
    sessions: usize,
    starts: Vec<f64>,
    resident: f64,
    private: f64,
    activations: Vec<f64>,
    /// Of the broker with the fewest sessions, in the same rounds.
    beside: Vec<f64>,
}

/// A broker process on a prepared ledger.
pub(super) struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) begun: Instant,
    places: Places,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The broker process, told what [`Running::on`] tells it.
pub(super) fn broker(folder: &str, numbers: [&str; 5]) -> Result<()> {
    let [sessions, early, first, others, answers_after] = numbers;
    let time = |text: &str| -> Result<_> {
        Ok(DateTime::from_timestamp_millis(text.parse()?).ok_or("a time out of range")?)
    };
    let prepared = Prepared {
        sessions: sessions.parse()?,
        early: early.parse()?,
        first: time(first)?,
        others: time(others)?,
        apart: TimeDelta::milliseconds(1),
    };
    let stub = Stub::new(Duration::from_millis(answers_after.parse()?), prepared, aloud);
    let places = places(Path::new(folder));
    // As the command line makes it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime.block_on(async {
        let started = start_with(&places, Role::Serve, Arc::new(Only(stub))).await?;
        let how = Serving { socket: &places.socket, on_demand: false, for_everyone: false };
        started.serve(how, std::future::pending()).await?;
        Ok(())
    })
}

/// Says it on stdout, for another process.
fn aloud(said: Said, key: Option<&AccountKey>) {
    let mut out = std::io::stdout().lock();
    let _ = match said {
        Said::Closed => match key.and_then(Prepared::number) {
            Some(number) => writeln!(out, "closed {number} {}", Utc::now().timestamp_micros()),
            None => Ok(()),
        },
        Said::Listed => writeln!(out, "listed"),
        Said::Opened => Ok(()),
    };
    let _ = out.flush();
}

fn places(folder: &Path) -> Places {
    Places {
        config: folder.join("ticketgate.toml"),
        state: folder.join("state"),
        socket: folder.join("run/s"),
    }
}

pub(super) fn measure(sizes: &[usize]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let login = nix::unistd::User::from_uid(nix::unistd::getuid())?.ok_or("a user without a name")?.name;
    let fewest = *sizes.first().ok_or("no size")?;
    let few = runtime.block_on(template(fewest, &login))?;
    let mut all: Vec<Growth> = Vec::new();
    for sessions in sizes {
        let mut growth = Growth {
            sessions: *sessions,
            starts: Vec::new(),
            resident: 0.0,
            private: 0.0,
            activations: Vec::new(),
            beside: Vec::new(),
        };
        let template = runtime.block_on(template(*sessions, &login))?;
        let mut running = None;
        for _ in 0..STARTS {
            drop(running.take());
            let mut broker = start(&template)?;
            broker.until("closed 0 ")?;
            growth.starts.push(broker.begun.elapsed().as_secs_f64());
            running = Some(broker);
        }
        let mut running = running.ok_or("never started")?;
        running.until("listed")?;
        running.quiet()?;
        growth.resident = running.memory("Rss:")?;
        growth.private = running.memory("Private_Dirty:")?;
        let mut beside = start(&few)?;
        beside.until("listed")?;
        beside.quiet()?;
        runtime.block_on(activations(&running, &beside, &mut growth))?;
        all.push(growth);
    }
    report(&all);
    Ok(())
}

/// A ledger whose first session was over just before, to be copied for every start.
struct Template {
    prepared: Prepared,
    folder: TempDir,
}

async fn template(sessions: usize, login: &str) -> Result<Template> {
    let folder = prepare::folder()?;
    let now = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).ok_or("a time")?;
    let prepared = Prepared {
        sessions,
        early: 1,
        first: now - TimeDelta::seconds(1),
        others: now + TimeDelta::hours(3),
        apart: TimeDelta::milliseconds(1),
    };
    prepared.write(folder.path(), login).await?;
    Ok(Template { prepared, folder })
}

fn start(template: &Template) -> Result<Running> {
    let folder = prepare::folder()?;
    let (from, to) = (template.folder.path(), folder.path());
    fs::DirBuilder::new().mode(0o700).create(to.join("state"))?;
    for file in ["ticketgate.toml", "state/ledger.sqlite", "state/audit.key"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    Running::on(folder, template.prepared, Duration::ZERO)
}

impl Running {
    /// A broker on what is in this folder, with a directory that answers after this time.
    pub(super) fn on(folder: TempDir, prepared: Prepared, answers_after: Duration) -> Result<Self> {
        let begun = Instant::now();
        let mut process = Command::new(std::env::current_exe()?)
            .arg("broker")
            .arg(folder.path())
            .args([prepared.sessions.to_string(), prepared.early.to_string()])
            .arg(prepared.first.timestamp_millis().to_string())
            .arg(prepared.others.timestamp_millis().to_string())
            .arg(answers_after.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(process.stdout.take().ok_or("no stdout")?).lines();
        Ok(Self { process, lines, begun, places: places(folder.path()), _folder: folder })
    }

    /// Waits until the broker says what begins so.
    pub(super) fn until(&mut self, line: &str) -> Result<String> {
        for said in &mut self.lines {
            let said = said?;
            if said.starts_with(line) {
                return Ok(said);
            }
        }
        Err(format!("the broker ended before it said {line}").into())
    }

    /// Waits for the rest of the sweep: until the process has hardly computed for a second.
    pub(super) fn quiet(&self) -> Result<()> {
        let mut before = 0;
        for _ in 0..120 {
            let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
            // User and system time, in ticks.
            let now: u64 =
                text.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            if now <= before + RESTING {
                return Ok(());
            }
            before = now;
            std::thread::sleep(Duration::from_secs(1));
        }
        Err("the broker does not come to rest".into())
    }

    /// Megabytes of a line of the kernel's account of this process's memory.
    pub(super) fn memory(&self, key: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}

/// Activations at both brokers in turn, each ended again.
async fn activations(running: &Running, beside: &Running, growth: &mut Growth) -> Result<()> {
    let client = |broker: &Running| Client::new(Endpoint::Socket(broker.places.socket.clone()));
    let [many, few] = [client(running), client(beside)];
    let wish = Activate {
        customer: None,
        policy: PolicyId::new("acme-dedicated")?,
        duration_s: 3600,
        reason: "#4711 Outlook crashes".into(),
        ticket: None,
    };
    for round in 0..ACTIVATIONS + 5 {
        let mut turns = [(&many, &mut growth.activations), (&few, &mut growth.beside)];
        // Whoever comes second meets another disk than whoever comes first.
        if round % 2 == 1 {
            turns.reverse();
        }
        for (client, times) in turns {
            let begin = Instant::now();
            let session = client.activate(&wish, &IdempotencyKey::new(format!("a{round}"))?).await?;
            let time = begin.elapsed().as_secs_f64() * 1e3;
            if session.state != State::Active {
                return Err(format!("not active: {session:?}").into());
            }
            // The first make the account, the connection and the caches.
            if round >= 5 {
                times.push(time);
            }
            client.end(&session.id, &IdempotencyKey::new(format!("e{round}"))?).await?;
        }
    }
    Ok(())
}

fn report(all: &[Growth]) {
    let curve = |of: fn(&Growth) -> f64| all.iter().map(|g| (g.sessions, of(g))).collect::<Vec<_>>();
    let Some(fewest) = all.first() else { return };
    let limits = [(10_000, 1.0, 60.0), (100_000, 5.0, 200.0)];
    for growth in all.iter().skip(1) {
        // Sizes without a promise are points of the curves.
        let Some((sessions, start, memory)) = limits.into_iter().find(|(n, ..)| *n == growth.sessions) else {
            continue;
        };
        let last = all.last().is_some_and(|last| last.sessions == growth.sessions);
        let few = fewest.sessions;
        let drawn = |of: fn(&Growth) -> f64| if last { curve(of) } else { Vec::new() };
        let (value, baseline) = (quantile(&growth.starts, 0.5), quantile(&fewest.starts, 0.5));
        println!(
            "{}",
            json!({
                "name": format!("restart with {sessions} open sessions until the clock runs"), "unit": "s",
                "value": value, "baseline": baseline, "ratio": value / baseline, "spread": spread(&growth.starts),
                "note": format!("n = {STARTS}, p50; from the process's start until an end that fell due meanwhile disables its account; an account per session; baseline: {few} open sessions"),
                "reach": {"value_at_most": start}, "curve": drawn(|g| quantile(&g.starts, 0.5)), "curve_of": "open sessions",
            })
        );
        println!(
            "{}",
            json!({
                "name": format!("resident memory of a broker with {sessions} open sessions"), "unit": "MB",
                "value": growth.resident, "baseline": fewest.resident, "ratio": growth.resident / fewest.resident,
                "spread": null,
                "note": format!("RSS after start and first sweep, of it private and dirty {:.1} MB; baseline: {few} open sessions, private and dirty {:.1} MB", growth.private, fewest.private),
                "reach": {"value_at_most": memory}, "curve": drawn(|g| g.resident), "curve_of": "open sessions",
            })
        );
        let (value, baseline) = (quantile(&growth.activations, 0.5), quantile(&growth.beside, 0.5));
        println!(
            "{}",
            json!({
                "name": format!("one activation with {sessions} open sessions, p50"), "unit": "ms",
                "value": value, "baseline": baseline, "ratio": value / baseline, "spread": spread(&growth.activations),
                "note": format!("n = {ACTIVATIONS}; at the API, a directory that answers at once, so that the broker's own time is all there is; baseline: a broker with {few} open sessions, in turn"),
                "reach": {"ratio_at_most": 1.2},
                "samples": {"value": growth.activations, "baseline": growth.beside},
                "curve": drawn(|g| quantile(&g.activations, 0.5)), "curve_of": "open sessions",
            })
        );
    }
}
