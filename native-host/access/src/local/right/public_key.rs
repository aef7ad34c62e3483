//! A technician's public key for SSH (RFC 4253 §6.6, PROTOCOL.u2f of OpenSSH), as it may stand in a file of authorised keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::BadRight;

/// The types that a server of today takes; DSA is none of them.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];
/// An RSA key of 16 384 bits has 2.8 KB of base64.
const LONGEST: usize = 4096;

/// A type and its base64; no options, which would be ours to answer for, and no comment, which can say anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(String);

impl PublicKey {
    /// Checks a text: the type is known, and the bytes are a key of this type.
    ///
    /// # Errors
    /// [`BadRight::Key`]
    pub fn new(text: &str) -> Result<Self, BadRight> {
        let (kind, base64) = text.split_once(' ').ok_or(BadRight::Key)?;
        if text.len() > LONGEST || !TYPES.contains(&kind) {
            return Err(BadRight::Key);
        }
        // Refuses blanks, line ends, and any other spelling of the same bytes.
        let bytes = STANDARD.decode(base64).map_err(|_| BadRight::Key)?;
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BadRight::Key)?;
        let named = usize::try_from(u32::from_be_bytes(*length))
            .ok()
            .and_then(|length| rest.split_at_checked(length));
        match named {
            Some((name, key)) if name == kind.as_bytes() && !key.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(BadRight::Key),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_key_is_taken_as_it_stands() {
        assert_eq!(PublicKey::new(KEY).unwrap().to_string(), KEY);
    }

    #[test]
    fn a_key_with_an_option_a_comment_or_a_second_line_is_refused() {
        let base64 = KEY.split_once(' ').unwrap().1;
        for bad in [
            "".to_owned(),
            base64.to_owned(),
            format!("{KEY} alice@laptop"),
            format!("{KEY}\n{KEY}"),
            format!("{KEY}\n"),
            format!(" {KEY}"),
            format!("command=\"sh\" {KEY}"),
            format!("ssh-ed25519  {base64}"),
            format!("ssh-rsa {base64}"),
            format!("ssh-dss {base64}"),
            "ssh-ed25519 AAAA".to_owned(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".to_owned(),
            KEY.trim_end_matches('J').to_owned(),
            format!("{KEY}{}", "A".repeat(LONGEST)),
        ] {
            assert_eq!(PublicKey::new(&bad), Err(BadRight::Key), "{bad}");
        }
    }
}
