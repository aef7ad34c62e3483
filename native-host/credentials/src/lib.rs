//! What connectors to directories and ticket systems share: secrets by reference ([`ReadSecret`]), secrets that the program
//! itself is given ([`KeepSecret`]), and whom a TLS connection trusts ([`trust()`]). Nothing is remembered here, and nothing decided.

mod keep;
pub mod keyring;
mod read;
mod trust;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use keep::KeepSecret;
pub use read::{MachineSecrets, NoSecret, ReadSecret};
pub use trust::{NoTrust, trust, trust_as};

/// A text that nobody sees by accident: it prints as `[redacted]` and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text; the caller's own copy is the caller's to wipe.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself. Every call says in a comment where it goes.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}
