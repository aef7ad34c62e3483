//! Puts a password into the operating system's clipboard, and takes it out again on time.
//! A detached holder process of this same binary does it: on X11 a clipboard's text lives only as long as the process
//! that offers it, and everywhere somebody has to be there to clear it after the browser has ended the relay.

#[cfg(target_os = "linux")]
#[path = "clipboard/linux.rs"]
mod board;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "clipboard/macos.rs"]
mod board;
#[cfg(windows)]
#[path = "clipboard/windows.rs"]
mod board;
mod holder;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ticketgate_protocol::ids::SessionId;
use ticketgate_protocol::problem::{Code, Problem};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use zeroize::Zeroizing;

pub use self::holder::holder_main;
use crate::handover::PasswordHandOver;
use crate::places::{Surroundings, System};
use crate::platform::{Here, Platform};

/// The hidden command that the holder runs as.
pub const HOLDER_COMMAND: &str = "clipboard-holder";
/// How long the holder may take until it says that it holds the text. An X server answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(4);
/// The longest time in the clipboard, whatever is configured.
pub const CLEAR_MAX_S: u32 = 600;

/// What a holder needs to find the screen, and nothing else.
const PASSED_ON: &[&str] = &[
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "HOME",
    "SYSTEMROOT",
    "USERPROFILE",
    "LOCALAPPDATA",
];

/// Why a password is not in the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClipboardError {
    /// No screen, or none that lets us in.
    #[error("no clipboard can be reached from here")]
    NoneReached,
    /// The holder could not be started or said nothing.
    #[error("the clipboard did not answer")]
    Silent,
}

impl ClipboardError {
    /// What the person is told.
    #[must_use]
    pub fn problem(self, session: &SessionId) -> Problem {
        Problem::new(Code::NoClipboard, format!("The password was not copied: {self}."))
            .remedy(format!("Run `ticketgate password {session}` in a terminal."))
    }
}

/// The way to the clipboard.
#[derive(Debug, Clone)]
pub struct Clipboard {
    exe: PathBuf,
    variables: Vec<(OsString, OsString)>,
    needs_screen: bool,
}

impl Clipboard {
    /// The clipboard of the person who runs this process.
    #[must_use]
    pub fn of_this_process(around: &Surroundings) -> Self {
        let variables = around
            .variables
            .iter()
            .filter(|(name, value)| PASSED_ON.iter().any(|n| name.as_os_str() == *n) && !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self { exe: around.exe.clone(), variables, needs_screen: around.system == System::Linux }
    }

    /// Whether there is a screen that could have a clipboard.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        !self.needs_screen
            || self.variables.iter().any(|(name, _)| name == "DISPLAY" || name == "WAYLAND_DISPLAY")
    }

    /// Puts the password there and answers when it is cleared. Neither `argv` nor the environment ever holds it.
    ///
    /// # Errors
    /// [`ClipboardError`]
    pub async fn put(&self, over: &PasswordHandOver) -> Result<DateTime<Utc>, ClipboardError> {
        if !self.has_screen() {
            return Err(ClipboardError::NoneReached);
        }
        let seconds = over.clear_after_s.clamp(1, CLEAR_MAX_S);
        let mut command = std::process::Command::new(&self.exe);
        command
            .arg(HOLDER_COMMAND)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if cfg!(windows) {
            Here::set_apart(&mut command); // On Unix the holder gives itself a session, which a group leader cannot.
        }
        let mut child =
            Command::from(command).kill_on_drop(false).spawn().map_err(|_| ClipboardError::Silent)?;
        let (Some(stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ClipboardError::Silent);
        };
        let told = async {
            tell(stdin, seconds, over).await?;
            let mut word = String::new();
            BufReader::new((&mut stdout).take(64)).read_line(&mut word).await?;
            Ok::<_, std::io::Error>(word)
        };
        let clears_at = Utc::now() + TimeDelta::seconds(seconds.into());
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(word)) if word.trim() == holder::HELD => Ok(clears_at),
            Ok(Ok(word)) if word.trim() == holder::NONE => Err(ClipboardError::NoneReached),
            _ => {
                let _ = child.start_kill();
                Err(ClipboardError::Silent)
            }
        }
    }
}

/// First line: the seconds. The rest: the text.
async fn tell(mut stdin: ChildStdin, seconds: u32, over: &PasswordHandOver) -> std::io::Result<()> {
    let order = Zeroizing::new(format!("{seconds}\n{}", over.password.as_str()));
    stdin.write_all(order.as_bytes()).await?;
    stdin.shutdown().await
}
