//! A sign-in that is under way. What proves that a code is ours goes with its id, sealed by a key that only the brokers of the team
//! have: so nobody who asks makes a broker remember anything, and the one that goes on need not be the one that began.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest id that is looked at.
const ID_MAX: usize = 16 << 10;

/// What was begun.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    /// The thumbprint of the relay's key.
    pub(super) key: String,
    /// With whom: issuer and client.
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) until: DateTime<Utc>,
    pub(super) how: How,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    Browser { state: String, verifier: String, nonce: String, redirect: String },
    Device { code: String, after_s: u32 },
}

/// `count` random bytes as text.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn random(count: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// An id that holds it, for whoever asked.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn seal(under_way: &UnderWay, key: &[u8; 32]) -> Result<String, getrandom::Error> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce)?;
    let mut sealed = serde_json::to_vec(under_way).unwrap_or_default();
    let key = sealing(key).ok_or(getrandom::Error::UNSUPPORTED)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .map_err(|_| getrandom::Error::UNSUPPORTED)?;
    Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
}

/// What an id holds; nothing where it was not made here.
pub(super) fn unseal(id: &str, key: &[u8; 32]) -> Option<UnderWay> {
    if id.len() > ID_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = sealing(key)?.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
    serde_json::from_slice(plain).ok()
}

fn sealing(key: &[u8; 32]) -> Option<LessSafeKey> {
    let digest = Sha256::new().chain_update(b"ticketgate sign-in under way").chain_update(key).finalize();
    UnboundKey::new(&CHACHA20_POLY1305, &digest).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_by_whoever_has_the_key_and_says_nothing_to_others() {
        let under_way = UnderWay {
            key: "k".into(),
            issuer: "i".into(),
            client_id: "c".into(),
            until: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            how: How::Device { code: "the-device-code".into(), after_s: 5 },
        };
        let id = seal(&under_way, &[1; 32]).unwrap();
        assert!(unseal(&id, &[1; 32]) == Some(under_way.clone()));
        assert!(unseal(&id, &[2; 32]).is_none());
        assert_ne!(id, seal(&under_way, &[1; 32]).unwrap());
        let plain = URL_SAFE_NO_PAD.decode(&id).unwrap();
        assert!(!String::from_utf8_lossy(&plain).contains("device"));
        for at in 0..plain.len() {
            let mut bytes = plain.clone();
            bytes[at] ^= 1;
            assert!(unseal(&URL_SAFE_NO_PAD.encode(bytes), &[1; 32]).is_none(), "{at}");
        }
        for bad in ["", "?", "AAAA", &id[..id.len() - 1], &"A".repeat(ID_MAX + 1)] {
            assert!(unseal(bad, &[1; 32]).is_none(), "{bad}");
        }
    }
}
