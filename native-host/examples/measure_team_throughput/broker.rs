//! A broker of the team, as a process of its own: the product's, from its state folder to its socket, with a directory that only
//! answers, and with technicians in it who activate one session after the other.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use ticketgate::broker::{Broker, Caller, Role, Serving, start_with};
use ticketgate::places::Places;
use ticketgate_access::session::AccountKey;
use ticketgate_protocol::api::State;
use ticketgate_protocol::ids::IdempotencyKey;

use super::Result;
use super::stub::{Only, Said, Stub};
use super::world::{Closed, PAIRS, Pair, configuration};

/// What the directory takes for an answer.
const ANSWERS_AFTER: Duration = Duration::from_millis(5);

/// How often each account was opened in the directory, by its key.
static OPENED: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

/// What one broker's technicians did in one round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Activations that were answered between the round's instants.
    pub(super) in_time: u64,
    /// All that were answered: the sessions.
    pub(super) sessions: Vec<String>,
    /// How long each took, in milliseconds.
    pub(super) took: Vec<f64>,
    /// How many accounts the directory was asked to open so far, and the most times that one was.
    pub(super) opened: (u64, u64),
}

fn note(said: Said, key: Option<&AccountKey>) {
    let (Said::Opened, Some(key)) = (said, key) else { return };
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    *opened.get_or_insert_default().entry(key.0.clone()).or_default() += 1;
}

/// The broker process. `first` and `step` tell which activations are its own.
pub(super) fn run(folder: &str, first: &str, step: &str) -> Result<()> {
    let (first, step) = (first.parse()?, step.parse()?);
    let places = places(Path::new(folder));
    // As the command line makes it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    runtime.block_on(async {
        let stub = Stub::new(ANSWERS_AFTER, Closed, note);
        let started = start_with(&places, Role::Serve, Arc::new(Only(stub))).await?;
        let broker = Arc::clone(&started.broker);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let socket = places.socket.clone();
        let serving = tokio::spawn(async move {
            let how = Serving { socket: &socket, on_demand: false, for_everyone: false };
            started.serve(how, async { drop(stopped.await) }).await
        });
        let next = Arc::new(AtomicUsize::new(first));
        println!("ready");
        loop {
            // Nothing else runs in this task meanwhile.
            let asked = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?;
            let Some(asked) = asked.transpose()? else { break };
            let done = match asked.split(' ').collect::<Vec<_>>()[..] {
                [at_once, begin, end] => {
                    let window = (time(begin)?, time(end)?);
                    round(&broker, &next, step, at_once.parse()?, window).await?
                }
                _ => one(&broker, &next, step).await?,
            };
            println!("{}", serde_json::to_string(&done)?);
        }
        let _ = stop.send(());
        serving.await??;
        Ok(())
    })
}

fn time(text: &str) -> Result<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_millis(text.parse()?).ok_or("a time out of range")?)
}

/// One activation.
async fn one(broker: &Arc<Broker>, next: &AtomicUsize, step: usize) -> Result<Done> {
    let (session, took) = activate(broker, next.fetch_add(step, Ordering::Relaxed)).await?;
    Ok(Done { in_time: 1, sessions: vec![session], took: vec![took], opened: opened() })
}

/// Technicians who activate, so many at a time, until the end.
async fn round(
    broker: &Arc<Broker>,
    next: &Arc<AtomicUsize>,
    step: usize,
    at_once: usize,
    (begin, end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Done> {
    let in_time = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..at_once)
        .map(|_| {
            let (broker, next, in_time) = (Arc::clone(broker), Arc::clone(next), Arc::clone(&in_time));
            tokio::spawn(async move {
                let mut done = Vec::new();
                while Utc::now() < end {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    let activated = activate(&broker, number).await.map_err(|error| error.to_string())?;
                    let now = Utc::now();
                    if now >= begin && now < end {
                        in_time.fetch_add(1, Ordering::Relaxed);
                    }
                    done.push(activated);
                }
                Ok::<_, String>(done)
            })
        })
        .collect();
    let mut all = Done::default();
    for task in tasks {
        for (session, took) in task.await?? {
            all.sessions.push(session);
            all.took.push(took);
        }
    }
    all.in_time = in_time.load(Ordering::Relaxed);
    all.opened = opened();
    Ok(all)
}

/// The key of an activation's request.
pub(super) fn request_key(number: usize) -> String {
    format!("request-{number:06}")
}

/// The session, and how long its activation took in milliseconds.
async fn activate(broker: &Arc<Broker>, number: usize) -> Result<(String, f64)> {
    if number >= PAIRS {
        return Err("more activations than accounts; raise TECHNICIANS".into());
    }
    let pair = Pair::of(number);
    let begin = Instant::now();
    let caller = Caller::identify(broker.settings().config.as_ref(), &pair.technician(), false);
    let key = IdempotencyKey::new(request_key(number)).map_err(|error| format!("{error:?}"))?;
    let wish = pair.wish();
    let session = broker.activate(&caller, &key, &wish).await.map_err(|problem| problem.detail)?;
    if session.state != State::Active {
        return Err(format!("not active: {session:?}").into());
    }
    Ok((session.id.to_string(), begin.elapsed().as_secs_f64() * 1e3))
}

fn opened() -> (u64, u64) {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let times = || opened.iter().flat_map(HashMap::values).copied();
    (times().sum(), times().max().unwrap_or(0))
}

fn places(folder: &Path) -> Places {
    Places {
        config: folder.join("ticketgate.toml"),
        state: folder.join("state"),
        socket: folder.join("run/s"),
    }
}

/// A broker process, from outside.
pub(super) struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    orders: Option<ChildStdin>,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts one on the ledger at this address.
    pub(super) fn start(address: &str, key: &Path, first: usize, step: usize) -> Result<Self> {
        // Short, since a socket's path has room for 107 bytes.
        let folder = tempfile::Builder::new().prefix("tg-team-").tempdir()?;
        let places = places(folder.path());
        fs::DirBuilder::new().mode(0o700).create(&places.state)?;
        fs::write(&places.config, configuration(address))?;
        let own = places.state.join("audit.key");
        fs::copy(key, &own)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o600))?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("broker")
            .arg(folder.path())
            .args([first.to_string(), step.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().ok_or("no stdout")?).lines();
        let mut running = Self { process, lines, orders, _folder: folder };
        let said = running.lines.next().transpose()?;
        if said.as_deref() != Some("ready") {
            return Err("a broker does not start".into());
        }
        Ok(running)
    }

    pub(super) fn ask(&mut self, order: &str) -> Result<()> {
        let orders = self.orders.as_mut().ok_or("the broker stops")?;
        writeln!(orders, "{order}")?;
        Ok(orders.flush()?)
    }

    /// Technicians activate from now on, until the end.
    pub(super) fn ask_for_round(
        &mut self,
        at_once: usize,
        begin: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<()> {
        let end = begin + length;
        self.ask(&format!("{at_once} {} {}", begin.timestamp_millis(), end.timestamp_millis()))
    }

    pub(super) fn done(&mut self) -> Result<Done> {
        let line = self.lines.next().ok_or("a broker broke off")??;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for the sweep at the start: until it has hardly computed for a second.
    pub(super) fn quiet(&self) -> Result<()> {
        let mut before = 0;
        for _ in 0..120 {
            let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
            // User and system time, in ticks.
            let now: u64 =
                text.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
            if now <= before + 3 {
                return Ok(());
            }
            before = now;
            std::thread::sleep(Duration::from_secs(1));
        }
        Err("a broker does not come to rest".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It gives its leases back, and says that it stops.
        drop(self.orders.take());
        let _ = self.process.wait();
    }
}
