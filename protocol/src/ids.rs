//! Newtype ids. Each is checked when it is made, so one that exists is well formed. Nothing here looks ids up.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tree::{Faults, FromJson, ToTree, Tree, Value};

/// An id was not of the form that its type asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadId {
    /// Which kind of id was expected, for the message.
    pub kind: &'static str,
}

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a valid {}: use 1 to 64 lower-case letters, digits, '-', '_' or '.', starting with a letter or digit",
            self.kind
        )
    }
}

impl std::error::Error for BadId {}

fn well_formed(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`: 1 to 64 of `a-z 0-9 - _ .`, starting with a letter or digit.
            ///
            /// # Errors
            /// [`BadId`] when the text is of another form.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                if well_formed(&text) { Ok(Self(text)) } else { Err(BadId { kind: $kind }) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromJson for $name {
            fn read(value: Option<Value<'_>>, faults: &mut Faults) -> Self {
                let text = String::read(value, faults);
                if !well_formed(&text) {
                    faults.expected(concat!("a ", $kind, " was expected"));
                }
                Self(text)
            }
        }

        impl ToTree for $name {
            fn to_tree(&self) -> Tree {
                self.0.to_tree()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A customer of the provider, as configured (`acme`).
    CustomerId, "customer id"
);
id!(
    /// A directory: an Active Directory domain, an Entra tenant, a set of machines (`acme-ad`).
    DirectoryId, "directory id"
);
id!(
    /// A ticket system that the broker asks about tickets, as configured (`rt`).
    PsaId, "ticket system id"
);
id!(
    /// A policy: a reusable template of rights, durations, people and conditions (`acme-domain-admin`).
    PolicyId, "policy id"
);
id!(
    /// A technician, as configured (`tech1`).
    TechnicianId, "technician id"
);
id!(
    /// A session: one time-boxed grant. The broker makes it (`s-` and 26 characters that sort by time).
    SessionId, "session id"
);
id!(
    /// The caller's key of one mutating request; a repeat with the same key finds the first result.
    IdempotencyKey, "idempotency key"
);
