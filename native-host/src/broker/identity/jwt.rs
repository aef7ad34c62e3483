//! Signed tokens (JWT): which algorithms are taken, with which keys, and the signature itself by `ring`. What the claims have to say
//! is for whoever asks; times are held against the broker's clock, which the library does not know.

use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a provider may sign with: asymmetric all of them, since a public key must never serve as a shared secret. `none` is no
/// algorithm to the reader at all.
pub(super) const OF_PROVIDERS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// The longest token that is looked at, in bytes. One with two hundred groups has about ten thousand.
pub(super) const TOKEN_MAX: usize = 48 << 10;

/// Why a token is not taken. Said to administrators; whoever sent it hears less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    /// It is no signed token.
    #[error("it is no signed token")]
    Unreadable,
    /// By an algorithm that is not taken, or that does not belong to the key.
    #[error("it is signed by an algorithm that is not taken")]
    Algorithm,
    /// The signature is not the key's.
    #[error("its signature is not that of the key")]
    Signature,
    /// A claim is missing or another than asked for.
    #[error("{0}")]
    Claim(String),
}

/// The algorithm and the key's name that a token's header says. Nothing of it is checked yet.
pub(super) struct Announced {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    pub(super) jwk: Option<Jwk>,
}

/// Reads a token's header.
///
/// # Errors
/// [`BadToken`]; also for one that asks for what nobody here knows (`crit`).
pub(super) fn announced(token: &str) -> Result<Announced, BadToken> {
    if token.len() > TOKEN_MAX {
        return Err(BadToken::Unreadable);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
        // An algorithm that the library does not even know, `none` among them.
        ErrorKind::Json(_) => BadToken::Algorithm,
        _ => BadToken::Unreadable,
    })?;
    if header.crit.is_some() {
        return Err(BadToken::Unreadable);
    }
    Ok(Announced { algorithm: header.alg, kid: header.kid, typ: header.typ, jwk: header.jwk })
}

/// The claims of a token that was signed by this key, by one of these algorithms.
///
/// # Errors
/// [`BadToken`]
pub(super) fn verified(token: &str, key: &Jwk, algorithms: &[Algorithm]) -> Result<Value, BadToken> {
    install();
    let algorithm = announced(token)?.algorithm;
    if !algorithms.contains(&algorithm) || !fits(key, algorithm) {
        return Err(BadToken::Algorithm);
    }
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    // The broker's clock decides on times, and whoever asks on audience and issuer.
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let key = DecodingKey::from_jwk(key).map_err(|_| BadToken::Algorithm)?;
    let read =
        jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => BadToken::Signature,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => BadToken::Algorithm,
            _ => BadToken::Unreadable,
        })?;
    Ok(read.claims)
}

/// Whether a key is for this algorithm: of its kind and curve, for signatures, and not kept for another algorithm.
pub(super) fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == EllipticCurve::P384,
        _ => false,
    };
    let for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let kept = key.common.key_algorithm.as_ref();
    let word = |value: serde_json::Result<Value>| value.ok();
    let not_for_another =
        kept.is_none_or(|kept| word(serde_json::to_value(kept)) == word(serde_json::to_value(algorithm)));
    kind && for_signatures && not_for_another
}

/// The thumbprint of a relay's key (RFC 7638), base64url. Nothing for a key that is not on P-256.
pub(in crate::broker) fn thumbprint(key: &Jwk) -> Option<String> {
    let AlgorithmParameters::EllipticCurve(curve) = &key.algorithm else { return None };
    if curve.curve != EllipticCurve::P256 {
        return None;
    }
    // As the key is: two texts of one number would be two thumbprints of one key.
    let [x, y] = [&curve.x, &curve.y].map(|part| URL_SAFE_NO_PAD.decode(part).ok().filter(|b| b.len() == 32));
    let [x, y] = [x?, y?].map(|part| URL_SAFE_NO_PAD.encode(part));
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(members)))
}

/// The library's cryptography is chosen once a process.
fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key| Ok(Box::new(Verifier::of(*algorithm, key)?)),
        // Thumbprints are made here, and no key of ours is ever shown.
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    // Nobody else in this process has any use for it.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

enum How {
    Rsa(&'static signature::RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

/// Verifies by `ring`. RSA keys of less than 2,048 bits are refused there.
struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
    how: How,
}

impl Verifier {
    fn of(algorithm: Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Self> {
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        let how = match algorithm {
            Algorithm::RS256 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => How::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => How::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => How::Curve(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => How::Curve(&signature::ECDSA_P384_SHA384_FIXED),
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Self { algorithm, key: key.clone(), how })
    }
}

impl ::signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), ::signature::Error> {
        let verified = match (&self.how, self.key.kind()) {
            (How::Rsa(how), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(how, message, signed)
            }
            (How::Curve(how), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*how, point).verify(message, signed)
            }
            _ => Err(ring::error::Unspecified),
        };
        verified.map_err(|_| ::signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
pub(in crate::broker) mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    /// A key of a relay, or of a provider, made for a test.
    pub(crate) struct TestKey {
        der: Vec<u8>,
        pair: EcdsaKeyPair,
        pub(crate) jwk: Value,
    }

    impl TestKey {
        pub(crate) fn new() -> Self {
            let random = SystemRandom::new();
            let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self::of(der.as_ref())
        }

        /// The same key once more.
        pub(crate) fn again(&self) -> Self {
            Self::of(&self.der)
        }

        fn of(der: &[u8]) -> Self {
            let random = SystemRandom::new();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).unwrap();
            let point = pair.public_key().as_ref();
            let text = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
            let jwk =
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) });
            Self { der: der.to_vec(), pair, jwk }
        }

        pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signed = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
        }

        pub(crate) fn public(&self) -> Jwk {
            serde_json::from_value(self.jwk.clone()).unwrap()
        }
    }

    #[test]
    fn a_thumbprint_is_the_one_of_the_standard() {
        // RFC 9449 §6.1, "jkt", of the key of §4.1.
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA" });
        let key: Jwk = serde_json::from_value(jwk).unwrap();
        assert_eq!(thumbprint(&key).unwrap(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn what_is_signed_by_the_key_is_read_and_nothing_else() {
        let (key, other) = (TestKey::new(), TestKey::new());
        let claims = json!({ "sub": "terry" });
        let good = key.sign(&json!({ "alg": "ES256" }), &claims);
        assert_eq!(verified(&good, &key.public(), &OF_PROVIDERS).unwrap(), claims);
        assert_eq!(verified(&good, &other.public(), &OF_PROVIDERS), Err(BadToken::Signature));
        let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
        parts[1] = URL_SAFE_NO_PAD.encode(r#"{"sub":"boss"}"#);
        assert_eq!(verified(&parts.join("."), &key.public(), &OF_PROVIDERS), Err(BadToken::Signature));
        for bad in
            ["", ".", "..", "a.b.c", &good[..good.len() - 1], &format!("{good}."), &good.replace('.', "")]
        {
            assert!(verified(bad, &key.public(), &OF_PROVIDERS).is_err(), "{bad}");
        }
        let crit = key.sign(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &claims);
        assert_eq!(verified(&crit, &key.public(), &OF_PROVIDERS), Err(BadToken::Unreadable));
        assert!(announced(&"x".repeat(TOKEN_MAX + 1)).is_err());
    }

    #[test]
    fn no_algorithm_is_taken_but_those_that_are_listed_and_fit_the_key() {
        let key = TestKey::new();
        for alg in ["none", "None", "HS256", "RS256", "ES384", "EdDSA", "ES512", ""] {
            let token = key.sign(&json!({ "alg": alg }), &json!({}));
            assert_eq!(verified(&token, &key.public(), &OF_PROVIDERS), Err(BadToken::Algorithm), "{alg}");
        }
        // Signed with the public key as if it were a shared secret.
        let point = URL_SAFE_NO_PAD.decode(key.jwk["x"].as_str().unwrap()).unwrap();
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(r#"{"sub":"boss"}"#));
        let shared = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &point);
        let signed = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&shared, message.as_bytes()));
        let forged = format!("{message}.{signed}");
        assert_eq!(verified(&forged, &key.public(), &OF_PROVIDERS), Err(BadToken::Algorithm));
        let mut unsigned = json!({ "alg": "none" }).to_string();
        unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(unsigned), URL_SAFE_NO_PAD.encode("{}"));
        assert_eq!(verified(&unsigned, &key.public(), &OF_PROVIDERS), Err(BadToken::Algorithm));
        // A key that is kept for something else.
        let good = key.sign(&json!({ "alg": "ES256" }), &json!({}));
        for (member, value) in [("use", "enc"), ("alg", "ES384"), ("alg", "RSA-OAEP")] {
            let mut jwk = key.jwk.clone();
            jwk[member] = json!(value);
            let kept: Jwk = serde_json::from_value(jwk).unwrap();
            assert_eq!(verified(&good, &kept, &OF_PROVIDERS), Err(BadToken::Algorithm), "{member} {value}");
        }
    }
}
