//! What differs by operating system, behind one trait with a file each. Clipboard and registry have their own.

use std::io;
use std::path::Path;
use std::process::Command;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(unix, not(target_os = "linux")))]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub use linux::Linux as Here;
#[cfg(all(unix, not(target_os = "linux")))]
pub use macos::MacOs as Here;
#[cfg(windows)]
pub use windows::Windows as Here;

/// What the operating system does for us.
pub trait Platform {
    /// Refuses a socket that somebody else may have put there: it and its folder have to be this user's or root's,
    /// and the folder closed to everybody else's writes.
    ///
    /// # Errors
    /// [`Distrust`] says what is wrong.
    fn trust_socket(socket: &Path) -> Result<(), Distrust>;

    /// Whether something listens behind the socket. Blocks for microseconds on a local socket.
    fn somebody_listens(socket: &Path) -> bool;

    /// Keeps this process's memory out of core dumps and away from debuggers of the same user, as far as the system can.
    fn guard_memory();

    /// Gives this process a session of its own, so that it outlives the terminal or browser that started it.
    fn leave_session();

    /// Runs a program in this process's place, with its pipes. Comes back only where that fails, and says why.
    fn take_our_place(command: &mut Command) -> std::io::Error;

    /// Makes a child that signals for our process group do not reach.
    fn set_apart(command: &mut Command);

    /// Makes a folder, and what is missing above it, that only this user (and root) can enter.
    ///
    /// # Errors
    /// It cannot be made; on Windows also when it is there and others may use it.
    fn make_private_folder(path: &Path) -> io::Result<()>;

    /// Refuses to obey a file that other users may change, where the place by custom is one in which anybody may make files.
    ///
    /// # Errors
    /// Who may, with the command that mends it.
    fn refuse_if_others_write(path: &Path) -> io::Result<()>;

    /// Whether this user may execute the file.
    fn may_execute(file: &Path) -> bool;

    /// Whether somebody other than its owner may read or enter a file or folder. Unknown counts as no.
    fn is_open_to_others(path: &Path) -> bool;

    /// The command that closes a folder to others.
    fn command_to_close(folder: &Path) -> String;

    /// The command that starts the broker.
    const HOW_TO_START: &'static str;

    /// The command that starts it anew.
    const HOW_TO_RESTART: &'static str;
}

/// Why a socket is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is none.
    #[error("there is no socket")]
    Missing,
    /// Something else has its name.
    #[error("it is not a socket")]
    NotASocket,
    /// It is somebody else's.
    #[error("it belongs to another user ({owner})")]
    ForeignOwner {
        /// Whose: `uid 1000`, or a SID.
        owner: String,
    },
    /// Others may replace it.
    #[error("others may write in its folder {folder}")]
    OpenFolder {
        /// The folder.
        folder: String,
    },
    /// It cannot be looked at.
    #[error("it cannot be looked at: {0}")]
    Unreadable(String),
}
