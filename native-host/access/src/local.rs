//! What a policy grants on a machine with local accounts, as the configuration writes it: `sudo:ALL`,
//! `sudo:/usr/bin/systemctl restart nginx`, `group:docker`; and a technician's own SSH key, `key:ssh-ed25519 AAAA…`.
//!
//! These texts end up in files that give power (a sudo rule, a list of keys), so each form takes only what it can write down
//! again letter by letter: no wildcard, no option, no character that means something to the file's reader.

use std::fmt;

/// A right on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalRight {
    /// To run commands as any user by `sudo`.
    Sudo(SudoCommand),
    /// To be in a group.
    Group(GroupName),
    /// To log on with an SSH key.
    Key(PublicKey),
}

/// What `sudo` may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SudoCommand {
    /// Everything.
    All,
    /// One command with exactly these arguments, words separated by one blank; the first is an absolute path.
    Line(String),
}

/// The name of a group, `[a-z_][a-z0-9_-]*`, at most 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupName(String);

/// An SSH public key: its type and its base64, without options or comment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(String);

/// Why a text is no right of a machine; completes "an entry of `rights` …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLocalRight {
    /// No known kind stands before the colon.
    #[error(
        "must begin with sudo: or group:, such as \"sudo:ALL\", \"sudo:/usr/bin/systemctl restart nginx\" or \"group:docker\""
    )]
    Kind,
    /// The command is no absolute path, or holds a character with a meaning of its own in sudoers.
    #[error(
        "must name ALL or one command by its whole path, of letters, digits and _ . / @ % + - only, words separated by one blank"
    )]
    Command,
    /// The group has no plain name.
    #[error("names a group that is not of a-z, 0-9, _ and -, at most 32 characters")]
    Group,
    /// The key is none.
    #[error(
        "is no SSH public key; write its type and its text, such as \"ssh-ed25519 AAAA…\", without options or comment"
    )]
    Key,
}

/// The types of keys that are taken: those that OpenSSH has on by default.
const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// Longest command line and longest key that are taken, in bytes.
const COMMAND_MAX: usize = 1024;
const KEY_MAX: usize = 8192;

impl LocalRight {
    /// Reads a right as the configuration, or this type's own `Display`, writes it.
    ///
    /// # Errors
    /// [`BadLocalRight`]
    pub fn parse(text: &str) -> Result<Self, BadLocalRight> {
        match text.split_once(':') {
            Some(("sudo", command)) => SudoCommand::parse(command).map(Self::Sudo),
            Some(("group", name)) => GroupName::parse(name).map(Self::Group),
            Some(("key", key)) => PublicKey::parse(key).map(Self::Key),
            _ => Err(BadLocalRight::Kind),
        }
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

impl SudoCommand {
    /// Reads `ALL` or a command line.
    ///
    /// # Errors
    /// [`BadLocalRight::Command`]
    pub fn parse(text: &str) -> Result<Self, BadLocalRight> {
        if text == "ALL" {
            return Ok(Self::All);
        }
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./@%+-".contains(&b))
        };
        let mut words = text.split(' ');
        let path = words.next().unwrap_or_default();
        let is_path = path.starts_with('/')
            && !path.ends_with('/')
            && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if text.len() <= COMMAND_MAX && is_path && plain(path) && words.all(plain) {
            Ok(Self::Line(text.to_owned()))
        } else {
            Err(BadLocalRight::Command)
        }
    }
}

impl fmt::Display for SudoCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "ALL",
            Self::Line(line) => line,
        })
    }
}

impl GroupName {
    /// Reads a group's name.
    ///
    /// # Errors
    /// [`BadLocalRight::Group`]
    pub fn parse(text: &str) -> Result<Self, BadLocalRight> {
        if is_plain_name(text) { Ok(Self(text.to_owned())) } else { Err(BadLocalRight::Group) }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicKey {
    /// Reads a key; a comment behind it is refused, since it would be written to the machine.
    ///
    /// # Errors
    /// [`BadLocalRight::Key`]
    pub fn parse(text: &str) -> Result<Self, BadLocalRight> {
        let is_base64 = |blob: &str| {
            let body = blob.trim_end_matches('=');
            blob.len() % 4 == 0
                && blob.len() - body.len() <= 2
                && body.len() >= 16
                && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        let is_key =
            text.split_once(' ').is_some_and(|(kind, blob)| KEY_TYPES.contains(&kind) && is_base64(blob));
        if text.len() <= KEY_MAX && is_key { Ok(Self(text.to_owned())) } else { Err(BadLocalRight::Key) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name of an account or group is one that every tool of a Linux machine takes: `[a-z_][a-z0-9_-]*`, 1 to 32.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_policy_may_name_is_read_and_written_alike() {
        for text in [
            "sudo:ALL",
            "sudo:/usr/bin/systemctl restart nginx",
            "sudo:/usr/bin/systemctl restart getty@tty1.service",
            "group:docker",
            "group:_ssh",
            "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ0",
        ] {
            assert_eq!(LocalRight::parse(text).map(|right| right.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_means_something_to_sudo_or_to_a_list_of_keys_is_refused() {
        for text in [
            "",
            "sudo",
            "sudo:",
            "Domain Admins",
            "role:x",
            "sudo:all",
            "sudo:systemctl restart nginx",
            "sudo:/usr/bin/",
            "sudo:/usr//bin/x",
            "sudo:/usr/bin/../bin/sh",
            "sudo:/bin/cat /var/log/*",
            "sudo:/bin/sh, /bin/bash",
            "sudo:/bin/sh\n",
            "sudo:/bin/x  y",
            "sudo:/bin/x ",
            "sudo:!/bin/sh",
            "sudo:/bin/echo a=b",
            "sudo:/bin/echo \"a\"",
            "sudo:/bin/echo a\\ b",
            "sudo:ALL, !/bin/sh",
            "group:",
            "group:Docker",
            "group:a b",
            "group:-x",
            "group:wheel:x",
            "group:größe",
            "key:",
            "key:ssh-ed25519",
            "key:ssh-ed25519 AAAA",
            "key:ssh-dss AAAAC3NzaC1lZDI1NTE5",
            "key:command=\"sh\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ0",
            "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ0 me@home",
            "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ0\nssh-rsa AAAA",
        ] {
            assert!(LocalRight::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_written_as_it_stood_and_has_no_character_of_the_files_readers(
            text in "(sudo|group|key):(ALL|[ -~\\n\\t]{0,40})"
        ) {
            if let Ok(right) = LocalRight::parse(&text) {
                prop_assert_eq!(right.to_string(), text.clone());
                prop_assert!(!text.contains(['\n', '\t', '"', '\\', '*', '?', '!', ',', '#']));
            }
        }
    }
}
