//! The operating system of a machine with accounts of its own.

use serde::{Deserialize, Serialize};

/// Which it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Accounts in `/etc/passwd`; `sudo`, groups and keys as rights.
    #[default]
    Linux,
    /// Accounts in the machine's own SAM; its local groups as rights.
    Windows,
}

impl System {
    /// The longest name of an account, in characters: what `utmp` keeps, and what `NetUserAdd` takes.
    #[must_use]
    pub const fn longest_account_name(self) -> usize {
        match self {
            Self::Linux => 32,
            Self::Windows => 20,
        }
    }

    /// As the configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
        }
    }
}
