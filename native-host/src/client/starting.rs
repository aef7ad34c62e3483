//! Starts a broker on this machine when none runs. Two starters at once start one broker: a lock file decides,
//! and the broker locks its state once more by itself.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ticketgate_protocol::problem::{Code, Problem};
use tokio::time::{Instant, sleep};

use crate::places::{CONFIG_VARIABLE, Places, SOCKET_VARIABLE, STATE_VARIABLE, Surroundings};
use crate::platform::{Here, Platform};

/// Set to `never` where a service manager alone starts the broker.
pub const START_VARIABLE: &str = "TICKETGATE_START";
/// How long a started broker may take until it listens.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the socket is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// The log is started anew above this size; the one before is kept beside it.
const LOG_MAX: u64 = 4 * 1024 * 1024;

/// The variables that a broker gets besides `TICKETGATE_*`: to find its user, its bus (keyring), its certificates and
/// its language. The browser's others are none of its business.
const PASSED_ON: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "USERPROFILE",
    "USERNAME",
    "USERDOMAIN",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "SYSTEMROOT",
    "WINDIR",
    "TEMP",
    "TMP",
];

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct Starter {
    exe: PathBuf,
    places: Places,
    variables: Vec<(OsString, OsString)>,
    patience: Duration,
}

impl Starter {
    /// A starter of `exe broker --on-demand` for these places; `None` where `TICKETGATE_START=never` says so.
    #[must_use]
    pub fn new(around: &Surroundings, places: Places) -> Option<Self> {
        if around.variable(START_VARIABLE).is_some_and(|value| value == "never") {
            return None;
        }
        let variables = around
            .variables
            .iter()
            .filter(|(name, _)| {
                let name = name.to_string_lossy();
                PASSED_ON.contains(&name.as_ref()) || name.starts_with("TICKETGATE_")
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(Self { exe: around.exe.clone(), places, variables, patience: PATIENCE })
    }

    /// Starts a broker and waits until it listens. Does nothing when one does already.
    ///
    /// # Errors
    /// `broker_unreachable` with what to look at.
    pub async fn start(&self) -> Result<(), Problem> {
        let socket = &self.places.socket;
        let lock = self.lock().map_err(|e| {
            Problem::new(
                Code::BrokerUnreachable,
                format!("No broker is running, and its state folder cannot be used: {e}."),
            )
            .remedy(format!(
                "Make {} yours and writable, or name another with {STATE_VARIABLE}.",
                self.places.state.display()
            ))
        })?;
        if Here::somebody_listens(socket) {
            return Ok(());
        }
        let mut child = match &lock {
            Some(_) => Some(self.spawn().map_err(|e| {
                Problem::new(
                    Code::BrokerUnreachable,
                    format!("No broker is running, and none can be started: {e}."),
                )
                .remedy("Run `ticketgate doctor`.")
            })?),
            None => None, // Somebody else is starting one right now.
        };
        let end = Instant::now() + self.patience;
        while Instant::now() < end {
            if Here::somebody_listens(socket) {
                return Ok(());
            }
            if child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
                // It gave up, or found another broker's lock: a last look decides.
                sleep(LOOK).await;
                break;
            }
            sleep(LOOK).await;
        }
        if Here::somebody_listens(socket) {
            return Ok(());
        }
        Err(Problem::new(Code::BrokerUnreachable, "A broker was started but does not answer.")
            .remedy(format!("Look into {}, or run `ticketgate broker` in a terminal.", self.log().display()))
            .retry_after(5))
    }

    /// Where a started broker logs to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.places.state.join("broker.log")
    }

    /// `None` when another process holds it. Released when dropped.
    fn lock(&self) -> io::Result<Option<File>> {
        Here::make_private_folder(&self.places.state)?;
        let file = private_file(&self.places.state.join("start.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn spawn(&self) -> io::Result<std::process::Child> {
        let log = self.log();
        if fs::metadata(&log).is_ok_and(|meta| meta.len() > LOG_MAX) {
            fs::rename(&log, log.with_extension("log.1"))?;
        }
        let mut command = Command::new(&self.exe);
        command
            .args(["broker", "--on-demand"])
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // Resolved here once, so that both sides mean the same socket and files.
            .env(CONFIG_VARIABLE, &self.places.config)
            .env(STATE_VARIABLE, &self.places.state)
            .env(SOCKET_VARIABLE, &self.places.socket)
            .current_dir(&self.places.state)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(private_file(&log)?);
        Here::set_apart(&mut command);
        command.spawn()
    }
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes `ring` the process's TLS provider, once; later calls change nothing. Whoever talks to a directory needs it.
pub fn install_tls_provider() {
    // An error says that another provider is set already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
