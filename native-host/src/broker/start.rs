//! Brings a broker up on its state folder and socket, and down again: lock, ledger, recovery, configuration watch, signals.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ticketgate_ledger::{Ledger, LedgerError};
use tokio::sync::watch;

use super::clock::{AnchoredClock, BrokerClock, System};
use super::connectors::Connectors;
use super::{Broker, BuildConnectors, Clock, aside, ledgers, listen};
use crate::places::Places;
use crate::platform::{Here, Platform};

/// How often the configuration file is looked at. A look is one `stat`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// An on-demand broker with nothing to do stops after this long.
const IDLE_STOP: Duration = Duration::from_secs(15 * 60);

/// How long a stopping broker finishes what it does to accounts of a ledger that it shares.
const GIVEN_BACK: Duration = Duration::from_secs(20);

/// How long what became of sign-ins is looked for before anything else is done.
const FIRST: Duration = Duration::from_secs(2);

/// Why a broker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one has the state folder.
    #[error("another broker already runs on {0}; stop it first, or name another folder with --state")]
    AlreadyRunning(PathBuf),
    /// The state folder or the socket cannot be used.
    #[error("{what} {path} cannot be used: {error}")]
    Place {
        /// What it is for.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The ledger cannot be used.
    #[error("{0}")]
    Ledger(String),
    /// The ledger is damaged, or its key is gone or another one.
    #[error("{0}")]
    Damaged(String),
    /// The configuration has faults, and what was to be done needs it.
    #[error("the configuration has faults; `ticketgate check` lists them: {0}")]
    Configuration(String),
}

impl From<LedgerError> for StartError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Damaged(_) => Self::Damaged(error.to_string()),
            _ => Self::Ledger(error.to_string()),
        }
    }
}

/// A broker with its state folder locked, recovered, its configuration read. Nothing is served yet.
pub struct Started {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Accounts that were not settled and are due now.
    pub due: usize,
    config: PathBuf,
    state: PathBuf,
    /// The file's stamp before it was read: a change right after that is noticed.
    seen: Stamp,
    _lock: File,
}

/// What a broker is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To serve.
    Serve,
    /// To take away what is over, once.
    Sweep,
}

/// Opens the state folder and recovers. Exactly one process at a time can have it.
///
/// # Errors
/// [`StartError`]
pub async fn start(places: &Places, role: Role) -> Result<Started, StartError> {
    start_with(places, role, Arc::new(Connectors::new(&places.state))).await
}

/// The same with connectors of the caller's: how the broker grows is measured without a directory's own time in it.
///
/// # Errors
/// [`StartError`]
pub async fn start_with(
    places: &Places,
    role: Role,
    connectors: Arc<dyn BuildConnectors>,
) -> Result<Started, StartError> {
    let lock = lock_state(places)?;
    let ledger = ledgers::open(places).await?;
    bring_up(places, role, ledger, lock, connectors).await
}

/// The ledger's file and the key that signs its audit log.
pub(super) fn ledger_places(places: &Places) -> (PathBuf, PathBuf) {
    (places.state.join("ledger.sqlite"), places.state.join("audit.key"))
}

/// Makes this process the only one on the state folder, for as long as the file is open.
pub(super) fn lock_state(places: &Places) -> Result<File, StartError> {
    let place = |what, path: &Path| {
        let path = path.to_owned();
        move |error| StartError::Place { what, path, error }
    };
    Here::make_private_folder(&places.state).map_err(place("the state folder", &places.state))?;
    let lock_path = places.state.join("broker.lock");
    let lock = File::create(&lock_path).map_err(place("the lock", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::AlreadyRunning(places.state.clone())),
        Err(TryLockError::Error(error)) => Err(place("the lock", &lock_path)(error)),
    }
}

/// Reads the configuration and takes up what an earlier broker left.
pub(super) async fn bring_up(
    places: &Places,
    role: Role,
    ledger: Arc<dyn Ledger>,
    lock: File,
    connectors: Arc<dyn BuildConnectors>,
) -> Result<Started, StartError> {
    let ledger = crate::faults::ledger(ledger);
    let clock = clock_for(&ledger).await?;
    let broker = Broker::new(ledger, clock, connectors);
    broker.note_unread(&aside::unread(&places.state)).await;
    if role == Role::Serve {
        // A ledger that cannot be written lets nothing begin; what is over has to end all the same.
        if let Err(problem) = broker.record_life("broker.started").await {
            tracing::error!(%problem, "the start could not be recorded");
        }
    }
    let seen = stamp(&places.config);
    match settings_text(&places.config) {
        // Its faults are told to everybody who asks; a broker without policies still ends what is open.
        Ok(text) => drop(match role {
            Role::Serve => broker.load_settings(&text).await,
            Role::Sweep => broker.adopt_settings(&text).await,
        }),
        Err(error) => {
            let fault = format!("{} cannot be read: {error}", places.config.display());
            match role {
                Role::Serve => broker.settings_unreadable(&fault).await,
                Role::Sweep => broker.refuse_settings(&fault),
            }
        }
    }
    let due = broker.recover().await.map_err(|p| StartError::Ledger(p.to_string()))?;
    let (config, state) = (places.config.clone(), places.state.clone());
    Ok(Started { broker, due, config, state, seen, _lock: lock })
}

/// The time by which a broker on this ledger acts: that of its database where several share it, so that no broker's own clock counts.
/// The broker is one of them from then on.
async fn clock_for(ledger: &Arc<dyn Ledger>) -> Result<Arc<dyn Clock>, LedgerError> {
    let system = crate::faults::time(System);
    let Some(shared) = ledger.shared() else { return Ok(Arc::new(BrokerClock::new(system))) };
    shared.enlist(&this_process()).await?;
    Ok(Arc::new(AnchoredClock::new(Arc::clone(ledger), system).await?))
}

/// By which this broker is told from others.
pub(super) fn this_process() -> String {
    let machine = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}/{}", machine.trim(), std::process::id())
}

/// How a broker serves.
#[derive(Debug, Clone, Copy)]
pub struct Serving<'a> {
    /// Where.
    pub socket: &'a Path,
    /// Stops by itself when nothing has been open or asked for a while.
    pub on_demand: bool,
    /// Every user of the machine may connect, as to a service of the system; the kernel says who each is.
    pub for_everyone: bool,
}

impl Started {
    /// Serves until `stop` completes, or until an on-demand broker has had nothing to do for a while.
    ///
    /// # Errors
    /// [`StartError::Place`] when the socket cannot be opened.
    pub async fn serve(self, how: Serving<'_>, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let Serving { socket, on_demand, for_everyone } = how;
        let listener = listen::listen(socket, for_everyone).await.map_err(|error| StartError::Place {
            what: "the socket",
            path: socket.to_owned(),
            error,
        })?;
        let (stopping, told) = watch::channel(false);
        // A key store that asks somebody first does not keep the ends waiting; what is being written then is written to its end.
        let broker = Arc::clone(&self.broker);
        let first = tokio::spawn(async move { broker.finish_records().await });
        let _ = tokio::time::timeout(FIRST, first).await;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(&self.broker).run_ends());
        tasks.spawn(Arc::clone(&self.broker).run_upkeep());
        tasks.spawn(Arc::clone(&self.broker).run_deliveries());
        tasks.spawn(Arc::clone(&self.broker).run_closing());
        tasks.spawn(Arc::clone(&self.broker).run_signed_in());
        tasks.spawn(Arc::clone(&self.broker).run_hearing());
        tasks.spawn(watch_settings(Arc::clone(&self.broker), self.config.clone(), self.seen));
        let broker = Arc::clone(&self.broker);
        tasks.spawn(async move { broker.end_what_leavers_have().await });
        tracing::info!(socket = %socket.display(), due = self.due, "the broker is ready");
        let mut elsewhere = listen::Elsewhere::open(&self.config, &self.state, &self.broker, &told);
        let server = tokio::spawn(listen::serve(listener, Arc::clone(&self.broker), told));
        tokio::select! {
            () = stop => {}
            () = idle(&self.broker), if on_demand => tracing::info!("nothing to do; stopping"),
        }
        // Requests under way are answered; streams end; then the clock stops. The directory's own ends remain.
        self.broker.monitor.stop();
        let _ = stopping.send(true);
        let finished = async { tokio::join!(server, elsewhere.finished()) };
        if tokio::time::timeout(Duration::from_secs(30), finished).await.is_err() {
            tracing::warn!("some requests were still under way");
        }
        tasks.shutdown().await;
        // Others on the same ledger go on at once with what is given back.
        self.broker.leases.all_given_back(GIVEN_BACK).await;
        match self.broker.record_life("broker.stopped").await {
            Ok((open, first)) => {
                if open > first.len() {
                    tracing::warn!(open, "more sessions stay open than are named here");
                }
                // Of several brokers on one ledger the others go on.
                let left = first.into_iter().filter(|_| self.broker.ledger.shared().is_none());
                for session in left {
                    tracing::warn!(
                        session = %session.id,
                        account = %session.account.0,
                        until = %session.until,
                        "the session stays open: the directory ends it, and the next broker or sweep takes the rest away"
                    );
                }
            }
            Err(problem) => tracing::error!(%problem, "the stop could not be recorded"),
        }
        let _ = self.broker.ledger.checkpoint(self.broker.clock.now()).await;
        listen::remove(socket);
        elsewhere.close().await;
        Ok(())
    }
}

/// Completes when nothing has been open and nobody connected for a while.
async fn idle(broker: &Broker) {
    let mut quiet = Duration::ZERO;
    let look = Duration::from_secs(30);
    while quiet < IDLE_STOP {
        tokio::time::sleep(look).await;
        let busy = !broker.ends.is_empty() || broker.events.is_heard() || broker.deliveries.wait();
        quiet = if busy { Duration::ZERO } else { quiet + look };
    }
}

/// Reads the configuration again when its file changed, and the recognition rules when one of theirs did.
async fn watch_settings(broker: Arc<Broker>, path: PathBuf, mut seen: Stamp) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        broker.follow_rules().await;
        let now = stamp(&path);
        if now == seen {
            continue;
        }
        seen = now;
        match settings_text(&path) {
            // Faults are told to everybody who asks, and are in the log and the audit log.
            Ok(text) => {
                if broker.load_settings(&text).await.is_ok() {
                    let broker = Arc::clone(&broker);
                    tokio::spawn(async move { broker.end_what_leavers_have().await });
                }
            }
            Err(error) => {
                broker.settings_unreadable(&format!("{} cannot be read: {error}", path.display())).await;
            }
        }
    }
}

/// The configuration, unless others may write it: who can, would grant himself what he likes.
fn settings_text(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Here::refuse_if_others_write(path)?;
    Ok(text)
}

/// When a file was last written, and its size; `None`: it is not there.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
