//! What a session can give on a machine, as policies write it and as the far side reads it: one grammar for both ends.

mod public_key;
mod sudo_command;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::{BadName, GroupName};
pub use public_key::PublicKey;
pub use sudo_command::SudoCommand;

/// A right on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LocalRight {
    /// `sudo:ALL`, `sudo:/usr/bin/systemctl restart nginx`. The machine ends it by itself, to the second.
    Sudo(SudoCommand),
    /// `group:docker`. It has no end of its own.
    Group(GroupName),
    /// `key:ssh-ed25519 AAAA…`. The machine ends it by itself, to the second.
    Key(PublicKey),
}

/// Why a text is not a right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRight {
    /// It begins with none of the three words.
    #[error("{0:?} is no right of a machine: sudo:COMMAND, group:NAME or key:TYPE BASE64")]
    Kind(String),
    /// The command.
    #[error(
        "{0:?} cannot be a command of sudo here: ALL, or a path from `/` and arguments of A-Z a-z 0-9 _ . / @ % + - with one blank between"
    )]
    Command(String),
    /// The group.
    #[error(transparent)]
    Group(#[from] BadName),
    /// The key.
    #[error(
        "this is no public key of SSH: a known type and its base64, without options and without a comment"
    )]
    Key,
}

impl FromStr for LocalRight {
    type Err = BadRight;

    fn from_str(text: &str) -> Result<Self, BadRight> {
        match text.split_once(':') {
            Some(("sudo", command)) => Ok(Self::Sudo(SudoCommand::new(command)?)),
            Some(("group", name)) => Ok(Self::Group(GroupName::new(name)?)),
            Some(("key", key)) => Ok(Self::Key(PublicKey::new(key)?)),
            _ => Err(BadRight::Kind(text.chars().take(60).collect())),
        }
    }
}

impl TryFrom<String> for LocalRight {
    type Error = BadRight;

    fn try_from(text: String) -> Result<Self, BadRight> {
        text.parse()
    }
}

impl From<LocalRight> for String {
    fn from(right: LocalRight) -> Self {
        right.to_string()
    }
}

impl fmt::Display for LocalRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo(command) => write!(f, "sudo:{command}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Key(key) => write!(f, "key:{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_right_is_read_and_written_alike() {
        for right in ["sudo:ALL", "sudo:/usr/bin/systemctl restart nginx", "group:docker"] {
            assert_eq!(right.parse::<LocalRight>().unwrap().to_string(), right);
        }
    }

    #[test]
    fn a_right_of_another_directory_is_none_here() {
        for bad in [
            "",
            "docker",
            "role:Exchange Administrator",
            "CN=Domain Admins,DC=acme",
            "Sudo:ALL",
            "group:",
            " sudo:ALL",
        ] {
            assert!(bad.parse::<LocalRight>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_comes_back_as_it_was(text in "(sudo|group|key):\\PC{0,60}|sudo:(/[a-z.]{0,5}){1,4}( [a-z@%+.-]{0,6}){0,3}") {
            if let Ok(right) = text.parse::<LocalRight>() {
                prop_assert_eq!(right.to_string(), text);
            }
        }
    }
}
