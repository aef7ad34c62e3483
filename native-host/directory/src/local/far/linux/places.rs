//! Where things are on a machine. A value, so that tests can bring other places.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::FarError;

/// Folders and programs of the machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// Account databases, `sudo` rules, keys.
    pub etc: PathBuf,
    /// What is gone after a restart: the lock.
    pub run: PathBuf,
    /// Processes.
    pub proc: PathBuf,
    /// Control groups.
    pub cgroup: PathBuf,
    /// Time zones.
    pub zones: PathBuf,
    /// Homes of accounts.
    pub home: PathBuf,
    /// What is kept of accounts elsewhere: jobs for later, lingering sessions, what sudo remembers.
    pub var: PathBuf,
    /// The user whose files count: root.
    pub owner: u32,
    /// Where programs are looked for, in this order. Nobody but root may write there.
    pub programs: Vec<PathBuf>,
}

impl Places {
    /// A Linux machine's own.
    #[must_use]
    pub fn system() -> Self {
        Self {
            etc: "/etc".into(),
            run: "/run".into(),
            proc: "/proc".into(),
            cgroup: "/sys/fs/cgroup".into(),
            zones: "/usr/share/zoneinfo".into(),
            home: "/home".into(),
            var: "/var".into(),
            owner: 0,
            programs: ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from).to_vec(),
        }
    }

    pub(super) fn sudo_rules(&self) -> PathBuf {
        self.etc.join("sudoers.d")
    }

    pub(super) fn keys(&self) -> PathBuf {
        self.etc.join("ssh/ticketgate-keys")
    }

    pub(super) fn program(&self, name: &str) -> Result<PathBuf, FarError> {
        let mut paths = self.programs.iter().map(|folder| folder.join(name));
        paths
            .find(|path| path.is_file())
            .ok_or_else(|| FarError::Failed(format!("`{name}` is not installed")))
    }

    /// 16 hex digits that stand for the machine, whatever its address: of its id, or where it has none of its SSH host key.
    pub(super) fn machine_name(&self) -> Result<String, FarError> {
        let names = ["machine-id", "ssh/ssh_host_ed25519_key.pub", "ssh/ssh_host_rsa_key.pub"];
        let mut ids = names
            .iter()
            .filter_map(|name| fs::read(self.etc.join(name)).ok())
            .filter(|id| !id.trim_ascii().is_empty());
        let id = ids.next().ok_or_else(|| {
            FarError::Failed("the machine has no /etc/machine-id (`systemd-machine-id-setup` or `dbus-uuidgen --ensure=/etc/machine-id` makes one)".into())
        })?;
        Ok(Sha256::digest(id.trim_ascii()).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}
