//! A relay shows with each request that it has the key that its sign-in is bound to (RFC 9449, DPoP): a proof for this one request,
//! signed a moment ago, taken once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use ring::hmac;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jwt;

/// A proof is good for so long before and after the broker's own time.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(60);

/// A nonce is good for so long.
const NONCE_FOR: TimeDelta = TimeDelta::seconds(300);

/// The longest `jti`.
const JTI_MAX: usize = 256;

/// Proofs that are remembered at once, in one half of their time. Each is of somebody who is signed in; a thousand relays make some
/// 60,000 a minute when each asks once a second.
const REMEMBERED_MAX: usize = 500_000;

/// Why a proof is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadProof {
    /// There is none, it is malformed, for another request, or signed by another key. What, for the log.
    Wrong(&'static str),
    /// It was shown before.
    Again,
    /// Its time is not the broker's: a nonce mends it.
    Time,
    /// Too many to remember.
    TooMany,
}

/// A proof that is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proved {
    /// The thumbprint of its key.
    pub(super) key: String,
    /// What makes it one of a kind.
    once: [u8; 32],
}

/// Looks at a request's proof, and at everything in it but whether it was shown before. `token` is what it has to go with.
///
/// # Errors
/// [`BadProof`]
pub(super) fn check(
    parts: &Parts,
    addresses: &[String],
    token: Option<&str>,
    nonce_key: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Proved, BadProof> {
    let wrong = BadProof::Wrong;
    let mut headers = parts.headers.get_all("dpop").iter();
    let (Some(proof), None) = (headers.next(), headers.next()) else {
        return Err(wrong("not one proof"));
    };
    let proof = proof.to_str().map_err(|_| wrong("a proof that is no text"))?;
    let announced = jwt::announced(proof).map_err(|_| wrong("a proof that cannot be read"))?;
    if announced.typ.as_deref() != Some("dpop+jwt") {
        return Err(wrong("another kind of token"));
    }
    let key = announced.jwk.ok_or(wrong("a proof without its key"))?;
    let thumbprint = jwt::thumbprint(&key).ok_or(wrong("a key of another kind"))?;
    let claims =
        jwt::verified(proof, &key, &[Algorithm::ES256]).map_err(|_| wrong("not signed by its key"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("htm") != Some(parts.method.as_str()) {
        return Err(wrong("for another method"));
    }
    if !text("htu").is_some_and(|address| is_for(address, parts, addresses)) {
        return Err(wrong("for another address"));
    }
    let expected = token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
    if text("ath") != expected.as_deref() {
        return Err(wrong("for another token"));
    }
    let jti = text("jti").filter(|jti| (1..=JTI_MAX).contains(&jti.len())).ok_or(wrong("without an id"))?;
    match text("nonce") {
        Some(nonce) if !is_ours(nonce, nonce_key, now) => return Err(BadProof::Time),
        Some(_) => {}
        None => {
            let at = claims.get("iat").and_then(Value::as_i64).ok_or(wrong("without its time"))?;
            let at = DateTime::from_timestamp(at, 0).ok_or(wrong("without its time"))?;
            if (now - at).abs() > GOOD_FOR {
                return Err(BadProof::Time);
            }
        }
    }
    let once = Sha256::new().chain_update(&thumbprint).chain_update([0]).chain_update(jti).finalize().into();
    Ok(Proved { key: thumbprint, once })
}

/// Whether an address is that of the request: scheme, host, port and path, whatever the query (RFC 9449 §4.3, 9).
fn is_for(address: &str, parts: &Parts, addresses: &[String]) -> bool {
    let Some(rest) = address.strip_prefix("https://") else { return false };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let origin = |host: &str| format!("https://{}", host.to_lowercase()).trim_end_matches(":443").to_owned();
    let asked = parts.uri.authority().map(|authority| authority.as_str());
    let Some(asked) = asked.or_else(|| host_of(&parts.headers)) else { return false };
    let known = addresses.is_empty() || addresses.contains(&origin(host));
    path == parts.uri.path() && origin(host) == origin(asked) && known
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// What a relay puts into its next proof instead of its own time: the broker's, signed with the key that all brokers share.
pub(super) fn nonce(key: &[u8; 32], now: DateTime<Utc>) -> String {
    let at = now.timestamp().to_be_bytes();
    let tag = hmac::sign(&nonce_key(key), &at);
    URL_SAFE_NO_PAD.encode([at.as_slice(), tag.as_ref()].concat())
}

fn is_ours(nonce: &str, key: &[u8; 32], now: DateTime<Utc>) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
    let Some((at, tag)) = bytes.split_first_chunk::<8>() else { return false };
    let made = DateTime::from_timestamp(i64::from_be_bytes(*at), 0);
    // Another broker's clock may be a little ahead.
    let fresh = made.is_some_and(|made| now - made < NONCE_FOR && made - now < GOOD_FOR);
    hmac::verify(&nonce_key(key), at, tag).is_ok() && fresh
}

fn nonce_key(key: &[u8; 32]) -> hmac::Key {
    let digest = Sha256::new().chain_update(b"ticketgate dpop nonce").chain_update(key).finalize();
    hmac::Key::new(hmac::HMAC_SHA256, &digest)
}

/// Proofs that were shown to this broker, for as long as they could be shown again. In two halves: when the time of the younger is
/// over, the older goes and the younger takes its place.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    since: Option<DateTime<Utc>>,
    younger: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

impl Shown {
    /// Takes a proof, once.
    ///
    /// # Errors
    /// [`BadProof::Again`], [`BadProof::TooMany`]
    pub(super) fn take(&self, proved: &Proved, now: DateTime<Utc>) -> Result<(), BadProof> {
        // A proof with a nonce is the one that is good the longest, from a nonce of a clock that is ahead.
        let half = NONCE_FOR + GOOD_FOR;
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *halves.since.get_or_insert(now);
        if now < since {
            // By a clock that goes back nothing is over that could still be shown.
            halves.since = Some(now);
        } else if now - since >= half {
            halves.older = std::mem::take(&mut halves.younger);
            halves.since = Some(now);
        }
        if halves.older.contains(&proved.once) {
            return Err(BadProof::Again);
        }
        if halves.younger.len() >= REMEMBERED_MAX {
            return Err(BadProof::TooMany);
        }
        if halves.younger.insert(proved.once) { Ok(()) } else { Err(BadProof::Again) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::super::jwt::tests::TestKey;
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const TOKEN: &str = "a-token";
    const ADDRESS: &str = "https://broker.example:8443/v1/sessions";

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 500_000_000).unwrap()
    }

    /// The claims of a good proof, with these put in; `null` leaves one out.
    #[expect(clippy::needless_pass_by_value, reason = "each is made on the spot")]
    fn claims(other: Value) -> Value {
        let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN));
        let mut claims =
            json!({ "htm": "POST", "htu": ADDRESS, "iat": now().timestamp(), "jti": "1", "ath": ath });
        for (name, value) in other.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn asked(proofs: &[&str]) -> Parts {
        let mut request = Request::post("/v1/sessions?open=true").header("host", "Broker.example:8443");
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn checked(proof: &str) -> Result<Proved, BadProof> {
        check(&asked(&[proof]), &[], Some(TOKEN), &KEY, now())
    }

    fn header(key: &TestKey) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk })
    }

    #[test]
    fn a_proof_for_this_request_by_its_own_key_is_taken_and_for_any_other_not() {
        let key = TestKey::new();
        let proof = |other| key.sign(&header(&key), &claims(other));
        let proved = checked(&proof(json!({}))).unwrap();
        assert_eq!(Some(proved.key), jwt::thumbprint(&key.public()));
        for good in [
            json!({ "htu": "https://BROKER.example:8443/v1/sessions?x=y" }),
            json!({ "iat": now().timestamp() - 59 }),
            json!({ "iat": now().timestamp() + 60 }),
        ] {
            assert!(checked(&proof(good.clone())).is_ok(), "{good}");
        }
        for (bad, why) in [
            (json!({ "htm": "GET" }), "for another method"),
            (json!({ "htm": null }), "for another method"),
            (json!({ "htu": "https://broker.example:8443/v1/tokens" }), "for another address"),
            (json!({ "htu": "https://evil.example:8443/v1/sessions" }), "for another address"),
            (json!({ "htu": "https://broker.example/v1/sessions" }), "for another address"),
            (json!({ "htu": "http://broker.example:8443/v1/sessions" }), "for another address"),
            (json!({ "htu": "https://broker.example:8443" }), "for another address"),
            (json!({ "ath": null }), "for another token"),
            (json!({ "ath": "x" }), "for another token"),
            (json!({ "jti": null }), "without an id"),
            (json!({ "jti": "" }), "without an id"),
            (json!({ "jti": "x".repeat(257) }), "without an id"),
            (json!({ "iat": null }), "without its time"),
            (json!({ "iat": "1800000000" }), "without its time"),
            (json!({ "iat": i64::MAX }), "without its time"),
        ] {
            assert_eq!(checked(&proof(bad.clone())), Err(BadProof::Wrong(why)), "{bad}");
        }
        for skewed in [-61, 62, -100_000] {
            let bad = proof(json!({ "iat": now().timestamp() + skewed }));
            assert_eq!(checked(&bad), Err(BadProof::Time), "{skewed}");
        }
    }

    #[test]
    fn what_is_no_proof_or_signed_by_another_key_is_refused() {
        let (key, other) = (TestKey::new(), TestKey::new());
        let signed = |header: &Value| key.sign(header, &claims(json!({})));
        for (proof, why) in [
            (signed(&json!({ "typ": "JWT", "alg": "ES256", "jwk": key.jwk })), "another kind of token"),
            (signed(&json!({ "typ": "dpop+jwt", "alg": "ES256" })), "a proof without its key"),
            (
                signed(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": other.jwk })),
                "not signed by its key",
            ),
            (signed(&json!({ "typ": "dpop+jwt", "alg": "ES384", "jwk": key.jwk })), "not signed by its key"),
            (
                signed(&json!({ "typ": "dpop+jwt", "alg": "none", "jwk": key.jwk })),
                "a proof that cannot be read",
            ),
            ("x".to_owned(), "a proof that cannot be read"),
        ] {
            assert_eq!(checked(&proof), Err(BadProof::Wrong(why)));
        }
        let rsa =
            json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" } });
        assert_eq!(checked(&signed(&rsa)), Err(BadProof::Wrong("a key of another kind")));
        let good = signed(&header(&key));
        for proofs in [vec![], vec![good.as_str(), good.as_str()]] {
            let found = check(&asked(&proofs), &[], Some(TOKEN), &KEY, now());
            assert_eq!(found, Err(BadProof::Wrong("not one proof")));
        }
        // Where the brokers' own addresses are known, a proof for another is nobody's, whatever the request says.
        let known = |address: &str| check(&asked(&[&good]), &[address.to_owned()], Some(TOKEN), &KEY, now());
        assert!(known("https://broker.example:8443").is_ok());
        assert_eq!(known("https://broker.example"), Err(BadProof::Wrong("for another address")));
    }

    #[test]
    fn a_nonce_mends_a_wrong_clock_for_its_time_and_cannot_be_made_up() {
        let key = TestKey::new();
        let long_ago = now().timestamp() - 100_000;
        let with = |nonce: &str| {
            checked(&key.sign(&header(&key), &claims(json!({ "iat": long_ago, "nonce": nonce }))))
        };
        let at = |seconds| nonce(&KEY, now() + TimeDelta::seconds(seconds));
        for seconds in [0, -299, 59] {
            assert!(with(&at(seconds)).is_ok(), "{seconds}");
        }
        for bad in [at(-301), at(61), nonce(&[8; 32], now()), String::new(), "AAAA".into(), "?".into()] {
            assert_eq!(with(&bad), Err(BadProof::Time), "{bad}");
        }
    }

    #[test]
    fn a_proof_is_taken_once_for_as_long_as_it_is_good() {
        let shown = Shown::default();
        let proved = |n: u8| Proved { key: "k".into(), once: [n; 32] };
        let at = |seconds| now() + TimeDelta::seconds(seconds);
        assert_eq!(shown.take(&proved(1), now()), Ok(()));
        for seconds in [0, 60, 359, 360, 700] {
            assert_eq!(shown.take(&proved(1), at(seconds)), Err(BadProof::Again), "{seconds}");
        }
        assert_eq!(shown.take(&proved(2), at(700)), Ok(()));
        assert_eq!(shown.take(&proved(1), at(1100)), Ok(()), "no proof is good for that long");
        // A clock that goes back forgets nothing that is good.
        assert_eq!(shown.take(&proved(2), at(1000)), Err(BadProof::Again));
    }
}
