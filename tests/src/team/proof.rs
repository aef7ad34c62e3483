//! A relay's key, and the proofs that it makes with it of each request: DPoP (RFC 9449) with ES256.

use crate::Result;
use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// A key pair on P-256.
#[derive(Debug)]
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// What a proof is of.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Its address, without a query.
    pub address: &'a str,
    /// The token that comes with it, where one does.
    pub token: Option<&'a str>,
    /// What the server gave to be in it, where it did.
    pub nonce: Option<&'a str>,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Self> {
        let random = SystemRandom::new();
        let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| anyhow!("no key"))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.as_ref(), &random)
            .map_err(|why| anyhow!("no key: {why}"))?;
        Ok(Self { pair, random })
    }

    /// The public half (RFC 7517).
    ///
    /// # Errors
    /// It is not on P-256.
    pub fn public(&self) -> Result<Value> {
        // Uncompressed: 4, then both coordinates.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(32)).context("no point")?;
        Ok(json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)}))
    }

    /// A proof of a request that is made now.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn proof(&self, of: &Claim<'_>) -> Result<String> {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let mut said = serde_json::Map::from_iter([
            ("jti".to_owned(), json!(crate::tenant::random_id())),
            ("htm".to_owned(), json!(of.method)),
            ("htu".to_owned(), json!(of.address)),
            ("iat".to_owned(), json!(at)),
        ]);
        said.extend(of.token.map(|token| ("ath".to_owned(), json!(encoded(Sha256::digest(token))))));
        said.extend(of.nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
        let said = Value::Object(said);
        let head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public()?});
        let text = format!("{}.{}", encoded(head.to_string()), encoded(said.to_string()));
        let signature = self.pair.sign(&self.random, text.as_bytes()).map_err(|_| anyhow!("not signed"))?;
        Ok(format!("{text}.{}", encoded(signature)))
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
