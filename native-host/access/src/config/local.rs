//! Machines with accounts of their own (`[[directory]]` of kind `local`).

use ticketgate_protocol::ids::TechnicianId;

use crate::local::{PublicKey, System};

/// How a machine is reached, and how its accounts are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Which machine.
    pub machine: Machine,
    /// What it runs.
    pub system: System,
    /// How a dedicated account is named; `{technician}` stands for the id. It begins with `jit-`, at most 32 characters (of Windows 20).
    pub account_name: String,
    /// By what people log on.
    pub login: Login,
    /// Which of an account's processes an end stops.
    pub processes: Processes,
    /// Seconds until an operation counts as failed.
    pub timeout_s: u32,
}

/// Which machine it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    /// The broker's own.
    Here,
    /// One that is reached by the system's `ssh`.
    Ssh(Ssh),
}

/// How `ssh` reaches a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Its name or address, as the list of known hosts has it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom.
    pub user: String,
    /// The file of the broker's private key.
    pub key: String,
    /// The file of host keys that were checked by a person. Nothing is ever added to it.
    pub known_hosts: String,
}

/// By what people log on to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// A password for the session.
    Password,
    /// Their own SSH keys (`ssh_keys` of the technician).
    SshKey,
    /// Either.
    Both,
}

/// Which processes of an account an end stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// None.
    Stay,
    /// Those that run as the account. Not of Windows.
    Own,
    /// Those, and whatever was started from its log-ons under another name (by `sudo`). Not of Windows.
    All,
}

impl Login {
    /// Whether a session comes with a password.
    #[must_use]
    pub const fn has_password(self) -> bool {
        matches!(self, Self::Password | Self::Both)
    }

    /// Whether a session takes the technician's SSH keys in.
    #[must_use]
    pub const fn has_key(self) -> bool {
        matches!(self, Self::SshKey | Self::Both)
    }
}

impl Local {
    /// The name of a technician's dedicated JIT account. [`crate::config::read()`] has seen to it that it is a valid one.
    #[must_use]
    pub fn dedicated_account(&self, technician: &TechnicianId) -> String {
        self.account_name.replace("{technician}", technician.as_str())
    }

    /// The machine in words: `this machine`, or the host.
    #[must_use]
    pub fn machine_name(&self) -> &str {
        match &self.machine {
            Machine::Here => "this machine",
            Machine::Ssh(ssh) => &ssh.host,
        }
    }
}

/// The keys of a technician as rights.
#[must_use]
pub fn key_rights(keys: &[PublicKey]) -> Vec<crate::session::Right> {
    keys.iter().map(|key| crate::session::Right(format!("key:{key}"))).collect()
}
