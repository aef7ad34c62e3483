//! Where Ticketgate's files and its socket are, from the environment and the operating system's customs.
//! Shared by broker, relay, command line, `install` and `doctor`. Nothing is created or opened here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::platform::{Here, Platform};

/// Names another configuration file.
pub const CONFIG_VARIABLE: &str = "TICKETGATE_CONFIG";
/// Names another state folder.
pub const STATE_VARIABLE: &str = "TICKETGATE_STATE";
/// Names another socket.
pub const SOCKET_VARIABLE: &str = "TICKETGATE_SOCKET";

/// The operating systems that places differ by. A value, so that each can be looked at on any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux and other Unix systems that follow the XDG folders.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl System {
    /// The one that this binary was built for.
    #[must_use]
    pub const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }
}

/// What a process sees around itself. A value, so that tests look at temporary folders instead.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The operating system whose customs hold.
    pub system: System,
    /// What stands for `/` (tests put a temporary folder here).
    pub root: PathBuf,
    /// The person's home folder, where one is known.
    pub home: Option<PathBuf>,
    /// The binary `ticketgate`: the running one, or the one beside `ticketgate-relay`.
    pub exe: PathBuf,
    /// Environment variables.
    pub variables: BTreeMap<OsString, OsString>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn here() -> Self {
        let variables: BTreeMap<OsString, OsString> = std::env::vars_os()
            // Windows does not tell cases apart, and writes some of its own as `ProgramData`.
            .map(|(name, value)| (if cfg!(windows) { name.to_ascii_uppercase() } else { name }, value))
            .collect();
        let home_name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        let home = variables.get(OsStr::new(home_name)).filter(|home| !home.is_empty()).map(PathBuf::from);
        Self {
            system: System::here(),
            root: PathBuf::from(if cfg!(windows) { "" } else { "/" }),
            home,
            exe: product_of(std::env::current_exe().unwrap_or_default()),
            variables,
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// An absolute path of the system (`/etc/…`), below this root.
    #[must_use]
    pub fn at_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// An absolute folder from a variable; a relative one is ignored, as the XDG specification asks.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The person's configuration folder (`~/.config`).
    #[must_use]
    pub fn config_home(&self) -> Option<PathBuf> {
        match self.system {
            System::Linux => {
                self.folder("XDG_CONFIG_HOME").or_else(|| Some(self.home.as_ref()?.join(".config")))
            }
            System::MacOs => Some(self.home.as_ref()?.join("Library/Application Support")),
            System::Windows => {
                self.folder("APPDATA").or_else(|| Some(self.home.as_ref()?.join("AppData/Roaming")))
            }
        }
    }

    /// The person's state folder (`~/.local/state`).
    #[must_use]
    pub fn state_home(&self) -> Option<PathBuf> {
        match self.system {
            System::Linux => {
                self.folder("XDG_STATE_HOME").or_else(|| Some(self.home.as_ref()?.join(".local/state")))
            }
            System::MacOs => Some(self.home.as_ref()?.join("Library/Application Support")),
            System::Windows => {
                self.folder("LOCALAPPDATA").or_else(|| Some(self.home.as_ref()?.join("AppData/Local")))
            }
        }
    }

    /// The folder of the whole machine's configuration (`/etc/ticketgate`).
    #[must_use]
    pub fn system_config(&self) -> PathBuf {
        match self.system {
            System::Linux => self.at_root("/etc/ticketgate"),
            System::MacOs => self.at_root("/Library/Application Support/ticketgate"),
            System::Windows => self
                .folder("PROGRAMDATA")
                .unwrap_or_else(|| self.root.join("C:\\ProgramData"))
                .join("ticketgate"),
        }
    }

    /// The folder of the whole machine's state (`/var/lib/ticketgate`).
    #[must_use]
    pub fn system_state(&self) -> PathBuf {
        match self.system {
            System::Linux => self.at_root("/var/lib/ticketgate"),
            System::MacOs | System::Windows => self.system_config().join("state"),
        }
    }
}

/// The name of the binary that holds the relay alone, without the system's suffix.
const RELAY: &str = "ticketgate-relay";

/// The relay's own binary beside `product`, which browsers are to start; `None` where only one binary was put in place.
#[must_use]
pub fn relay_beside(product: &Path) -> Option<PathBuf> {
    let beside = product.with_file_name(format!("{RELAY}{}", std::env::consts::EXE_SUFFIX));
    beside.is_file().then_some(beside)
}

/// The binary that a running one belongs to.
fn product_of(running: PathBuf) -> PathBuf {
    if running.file_stem() == Some(OsStr::new(RELAY)) {
        running.with_file_name(format!("ticketgate{}", std::env::consts::EXE_SUFFIX))
    } else {
        running
    }
}

/// Neither a home folder nor the variable that would replace it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no home folder is known; set HOME, or {CONFIG_VARIABLE}, {STATE_VARIABLE} and {SOCKET_VARIABLE}")]
pub struct NoHome;

/// Where Ticketgate's own files and socket are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The configuration file.
    pub config: PathBuf,
    /// The folder of the ledger, the audit log, keys and logs.
    pub state: PathBuf,
    /// The broker's socket.
    pub socket: PathBuf,
}

impl Places {
    /// Finds them.
    ///
    /// - Configuration: `TICKETGATE_CONFIG`, else the machine's (`/etc/ticketgate/ticketgate.toml`) where there is one,
    ///   so that a person's own file never loosens what the administrator set, else the person's
    ///   (`~/.config/ticketgate/ticketgate.toml`).
    /// - State: `TICKETGATE_STATE`, else `~/.local/state/ticketgate`.
    /// - Socket: `TICKETGATE_SOCKET`, else the machine's broker (`/run/ticketgate/broker.sock`) where there is one,
    ///   else `$XDG_RUNTIME_DIR/ticketgate/broker.sock`, else `broker.sock` in the state folder. On Windows a pipe: the
    ///   machine's (`\\.\pipe\ticketgate`) where it is served, else one with the user's name.
    ///
    /// # Errors
    /// [`NoHome`] when a place would be in the home folder and none is known.
    pub fn find(around: &Surroundings) -> Result<Self, NoHome> {
        let config = match around.variable(CONFIG_VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => Self::config_by_custom(around)?,
        };
        let state = match around.variable(STATE_VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => around.state_home().ok_or(NoHome)?.join("ticketgate"),
        };
        let socket = match around.variable(SOCKET_VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => Self::socket_by_custom(around, &state),
        };
        Ok(Self { config, state, socket })
    }

    fn config_by_custom(around: &Surroundings) -> Result<PathBuf, NoHome> {
        let machine = around.system_config().join("ticketgate.toml");
        if machine.exists() {
            return Ok(machine);
        }
        Ok(around.config_home().ok_or(NoHome)?.join("ticketgate").join("ticketgate.toml"))
    }

    fn socket_by_custom(around: &Surroundings, state: &Path) -> PathBuf {
        let machine = system_socket(around);
        if around.system == System::Windows {
            let named = |name| around.variable(name).map(|text| text.to_string_lossy().into_owned());
            let names = ["USERDOMAIN", "USERNAME"].into_iter().filter_map(named);
            return if Here::somebody_listens(&machine) {
                machine
            } else {
                PathBuf::from(names.fold(SYSTEM_PIPE.to_owned(), |pipe, name| format!("{pipe}-{name}")))
            };
        }
        if machine.exists() {
            return machine;
        }
        match around.folder("XDG_RUNTIME_DIR") {
            Some(runtime) => runtime.join("ticketgate").join("broker.sock"),
            None => state.join("broker.sock"),
        }
    }

    /// The folder of the socket, which has to be private.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("."))
    }
}

/// The pipe of a broker that the whole machine shares. Anybody may make one of this name, so whose it is, is looked at.
const SYSTEM_PIPE: &str = r"\\.\pipe\ticketgate";

/// The socket of a broker that the whole machine shares. Only root can make its folder.
#[must_use]
pub fn system_socket(around: &Surroundings) -> PathBuf {
    if around.system == System::Windows {
        return SYSTEM_PIPE.into();
    }
    around.at_root("/run/ticketgate/broker.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(root: &Path, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            system: System::Linux,
            root: root.to_owned(),
            home: Some(root.join("home/tech1")),
            exe: PathBuf::new(),
            variables: variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect(),
        }
    }

    #[test]
    fn variables_win_over_every_custom() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::find(&around(
            folder.path(),
            &[
                ("TICKETGATE_CONFIG", "/c.toml"),
                ("TICKETGATE_STATE", "/s"),
                ("TICKETGATE_SOCKET", "/b.sock"),
                ("XDG_RUNTIME_DIR", "/run/user/1"),
            ],
        ))
        .unwrap();
        assert_eq!(places, Places { config: "/c.toml".into(), state: "/s".into(), socket: "/b.sock".into() });
    }

    #[test]
    fn without_variables_everything_is_in_the_home_folder() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home/tech1");
        let places = Places::find(&around(folder.path(), &[])).unwrap();
        assert_eq!(places.config, home.join(".config/ticketgate/ticketgate.toml"));
        assert_eq!(places.state, home.join(".local/state/ticketgate"));
        assert_eq!(places.socket, home.join(".local/state/ticketgate/broker.sock"));
    }

    #[test]
    fn the_runtime_folder_holds_the_socket_unless_it_is_relative() {
        let folder = tempfile::tempdir().unwrap();
        let with = Places::find(&around(folder.path(), &[("XDG_RUNTIME_DIR", "/run/user/7")])).unwrap();
        assert_eq!(with.socket, Path::new("/run/user/7/ticketgate/broker.sock"));
        let relative = Places::find(&around(folder.path(), &[("XDG_RUNTIME_DIR", "run")])).unwrap();
        assert!(relative.socket.ends_with(".local/state/ticketgate/broker.sock"));
    }

    #[test]
    fn the_machines_configuration_and_broker_win_over_the_persons() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["etc/ticketgate/ticketgate.toml", "run/ticketgate/broker.sock"] {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let places = Places::find(&around(folder.path(), &[("XDG_RUNTIME_DIR", "/run/user/7")])).unwrap();
        assert_eq!(places.config, folder.path().join("etc/ticketgate/ticketgate.toml"));
        assert_eq!(places.socket, folder.path().join("run/ticketgate/broker.sock"));
    }

    #[test]
    fn on_windows_each_user_of_each_domain_has_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let mut around = around(folder.path(), &[("USERDOMAIN", "CORP"), ("USERNAME", "alice")]);
        around.system = System::Windows;
        let places = Places::find(&around).unwrap();
        assert_eq!(places.socket, Path::new(r"\\.\pipe\ticketgate-CORP-alice"));
        assert_eq!(system_socket(&around), Path::new(r"\\.\pipe\ticketgate"));
    }

    #[test]
    fn no_home_is_said_and_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let mut around = around(folder.path(), &[]);
        around.home = None;
        assert_eq!(Places::find(&around), Err(NoHome));
    }

    #[test]
    fn a_relay_of_its_own_belongs_to_the_binary_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let (product, relay) = (name("ticketgate"), name("ticketgate-relay"));
        assert_eq!(relay_beside(&product), None);
        std::fs::write(&relay, "").unwrap();
        assert_eq!(relay_beside(&product), Some(relay.clone()));
        assert_eq!(product_of(relay), product);
        assert_eq!(product_of(product.clone()), product);
        assert_eq!(product_of(name("tg")), name("tg"), "under another name it is the whole program");
    }
}
