//! The one body that holds a password: the broker's answer to `POST /v1/sessions/{id}/password`.
//! It is no type of the protocol crate, so that nothing the extension is built from can even name it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// An account and its password, on the way from the broker to the clipboard or a terminal.
/// Wiped when dropped; prints without the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHandOver {
    /// The account to log on with (`ACME\jit-tech1`).
    pub account: String,
    /// Its password.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub password: Zeroizing<String>,
    /// Seconds after which it is taken out of the clipboard, as configured.
    pub clear_after_s: u32,
}

impl std::fmt::Debug for PasswordHandOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHandOver")
            .field("account", &self.account)
            .field("password", &"[redacted]")
            .field("clear_after_s", &self.clear_after_s)
            .finish()
    }
}

/// A secret text that leaves this process over the broker's socket, and nowhere else.
pub(crate) fn write_secret<S: Serializer>(secret: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret)
}

pub(crate) fn read_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_crosses_json_and_never_the_log() {
        let over = PasswordHandOver {
            account: "ACME\\jit-tech1".into(),
            password: Zeroizing::new("s3cret \"\\ ü".into()),
            clear_after_s: 30,
        };
        let json = serde_json::to_string(&over).unwrap();
        assert_eq!(serde_json::from_str::<PasswordHandOver>(&json).unwrap(), over);
        assert!(!format!("{over:?}").contains("s3cret"));
    }
}
