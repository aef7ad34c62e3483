//! The proof that a token is used by the one to whom it was given (DPoP, RFC 9449): each request carries one, signed with a key that
//! never leaves this machine. Without the key a token that somebody else got hold of is worth nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;

/// A key of P-256 and what it signs with.
pub struct ProofKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
    random: SystemRandom,
}

/// The public half, as a JSON Web Key (RFC 7518 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

/// Key or signature cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of this machine cannot be used")]
pub struct NoProof;

/// What a proof is for.
#[derive(Debug, Clone, Copy)]
pub struct Proved<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's address without query.
    pub url: &'a str,
    /// The token that goes with it.
    pub token: Option<&'a str>,
    /// The word that the broker wants to find in it.
    pub nonce: Option<&'a str>,
}

impl ProofKey {
    /// A new key, and what it is kept as (PKCS #8, in base64).
    ///
    /// # Errors
    /// [`NoProof`]: there is no randomness.
    pub fn make() -> Result<(Self, Zeroizing<String>), NoProof> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| NoProof)?;
        let kept = Zeroizing::new(URL_SAFE_NO_PAD.encode(made.as_ref()));
        Ok((Self::read(&kept)?, kept))
    }

    /// A key that was kept.
    ///
    /// # Errors
    /// [`NoProof`]: it is none.
    pub fn read(kept: &str) -> Result<Self, NoProof> {
        let random = SystemRandom::new();
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(kept).map_err(|_| NoProof)?);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random)
            .map_err(|_| NoProof)?;
        // An uncompressed point: a 4, then both coordinates (SEC 1 §2.3.3).
        let (x, y) = pair
            .public_key()
            .as_ref()
            .get(1..)
            .filter(|point| point.len() == 2 * COORDINATE)
            .map(|point| point.split_at(COORDINATE))
            .ok_or(NoProof)?;
        let public = PublicKey {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        };
        Ok(Self { pair, public, random })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A proof of this request, made `now`. No two are alike.
    ///
    /// # Errors
    /// [`NoProof`]
    pub fn prove(&self, what: Proved<'_>, now: DateTime<Utc>) -> Result<String, NoProof> {
        let head = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.public });
        let mut claims = serde_json::Map::from_iter([
            ("jti".to_owned(), uuid::Uuid::new_v4().to_string().into()),
            ("htm".to_owned(), json!(what.method)),
            ("htu".to_owned(), json!(what.url)),
            ("iat".to_owned(), now.timestamp().into()),
        ]);
        if let Some(token) = what.token {
            let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
            claims.insert("ath".to_owned(), hash.into());
        }
        if let Some(nonce) = what.nonce {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        let claims = serde_json::Value::Object(claims);
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut text = format!("{}.{}", part(&head), part(&claims));
        let signature = self.pair.sign(&self.random, text.as_bytes()).map_err(|_| NoProof)?;
        text.push('.');
        text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(text)
    }
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    fn parts(proof: &str) -> (Value, Value) {
        let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let mut parts = proof.split('.');
        (read(parts.next().unwrap()), read(parts.next().unwrap()))
    }

    #[test]
    fn a_proof_is_what_rfc_9449_asks_for_and_its_own_key_verifies_it() {
        let (key, kept) = ProofKey::make().unwrap();
        let now = DateTime::from_timestamp(1_900_000_000, 0).unwrap();
        let what = Proved {
            method: "POST",
            url: "https://broker.example/v1/sessions",
            // The token and hash of RFC 9449 §4.2's example.
            token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            nonce: Some("n1"),
        };
        let proof = key.prove(what, now).unwrap();
        let (head, claims) = parts(&proof);
        assert_eq!((&head["typ"], &head["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert_eq!(head["jwk"].as_object().unwrap().len(), 4, "no private member: {head}");
        assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!((&claims["htm"], &claims["iat"]), (&json!("POST"), &json!(1_900_000_000)));
        assert_eq!((&claims["htu"], &claims["nonce"]), (&json!(what.url), &json!("n1")));

        let again = ProofKey::read(&kept).unwrap();
        let (text, signature) = proof.rsplit_once('.').unwrap();
        let point = again.pair.public_key().as_ref();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_ne!(parts(&key.prove(what, now).unwrap()).1["jti"], claims["jti"]);
        assert!(!format!("{key:?}").contains(kept.as_str()));
    }

    #[test]
    fn what_is_no_key_is_said_and_not_used() {
        for text in ["", "AAAA", "not base64 !"] {
            assert_eq!(ProofKey::read(text).unwrap_err(), NoProof);
        }
    }
}
