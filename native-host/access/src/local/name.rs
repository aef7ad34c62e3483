//! Names that may be written into the machine's databases, a `sudo` rule or an argument list, by type. Stricter than the tools
//! are: Debian's `useradd` takes `0abc` and `jit.größe` without complaint.

use serde::{Deserialize, Serialize};

use super::Sid;

/// What every JIT account's name begins with; nothing else is ever touched.
const PREFIX: &str = "jit-";
/// `utmp` and the tools of shadow-utils end here.
const LONGEST: usize = 32;
/// As the broker makes them.
const TOKEN: usize = 26;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Of an account.
    #[error("{0:?} cannot be an account's name here: `jit-` and up to 28 of a-z, 0-9, '-', '_'")]
    Account(String),
    /// Of a group.
    #[error(
        "{0:?} cannot be a group's name here: up to 32 of A-Z, a-z, 0-9, '-', '_', '.', beginning with a letter or '_'; of Windows its SID"
    )]
    Group(String),
    /// Of a token.
    #[error("a token is 26 lower-case letters and digits")]
    Token,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// [`BadName`]
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                let check: fn(&str) -> Result<(), BadName> = $check;
                check(&text).map(|()| Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a JIT account: no name of a person or of the system can be one.
    AccountName,
    |text| {
        let rest = text.strip_prefix(PREFIX).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !rest.is_empty() && text.len() <= LONGEST && rest.bytes().all(plain) {
            return Ok(());
        }
        Err(BadName::Account(text.to_owned()))
    }
);

name!(
    /// The name of a group that can be a right; of Windows its SID. A JIT account's own group is none.
    GroupName,
    |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if begins && text.len() <= LONGEST && text.bytes().all(plain) && !text.starts_with(PREFIX) {
            return Ok(());
        }
        // Longer, and of the same characters.
        if text.parse::<Sid>().is_ok() {
            return Ok(());
        }
        Err(BadName::Group(text.to_owned()))
    }
);

impl GroupName {
    pub(super) fn of_sid(sid: Sid) -> Self {
        Self(sid.into())
    }
}

name!(
    /// The random text by which an account is known as one broker's. No secret: it marks, it opens nothing.
    Token,
    |text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if text.len() == TOKEN && text.bytes().all(plain) {
            return Ok(());
        }
        Err(BadName::Token)
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_person_or_a_system_account_is_no_account_of_ours() {
        for good in ["jit-tech1", "jit-a_b-c", "jit-0", "jit-abcdefghijklmnopqrstuvwxyz01"] {
            assert!(AccountName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "root",
            "alice",
            "jit",
            "jit-",
            "JIT-a",
            "xjit-a",
            "jit-A",
            "jit-a.b",
            "jit-ä",
            "jit-a b",
            "jit-a\n",
            "jit-a:",
            "-jit-a",
            "jit-a/",
            "jit-%",
            "jit-abcdefghijklmnopqrstuvwxyz012",
        ] {
            assert_eq!(AccountName::new(bad), Err(BadName::Account(bad.into())));
        }
    }

    #[test]
    fn a_group_that_could_be_an_option_or_an_own_group_is_refused() {
        for good in ["docker", "sudo", "_x", "Domain.Users", "systemd-journal"] {
            assert!(GroupName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-d", "0x", "a b", "a,b", "a:b", "jit-tech1", "größe", "a\n", "%sudo"] {
            assert_eq!(GroupName::new(bad), Err(BadName::Group(bad.into())));
        }
    }

    #[test]
    fn a_name_on_the_wire_is_checked() {
        assert!(serde_json::from_str::<AccountName>("\"jit-tech1\"").is_ok());
        assert!(serde_json::from_str::<AccountName>("\"root\"").is_err());
        assert!(serde_json::from_str::<Token>("\"k3v9\"").is_err());
    }

    proptest! {
        #[test]
        fn what_passes_has_nothing_that_a_database_a_rule_or_a_shell_reads_otherwise(text in "jit-\\PC{0,30}|(jit-)?[a-z:,=\\n #%-]{0,30}") {
            if let Ok(name) = AccountName::new(text) {
                prop_assert!(!name.as_str().contains([':', ',', '=', '\n', ' ', '#', '%', '.', '/', '\\', '\0']));
            }
        }
    }
}
