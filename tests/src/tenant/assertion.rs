//! An app's assertion: a JWT that it signed with its certificate's key (Microsoft, "certificate credentials").

use super::sign_in::{NoToken, invalid_client, no_token};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

/// How far clocks may be apart, in seconds.
const SKEW_S: i64 = 300;

fn malformed() -> NoToken {
    no_token(400, "invalid_request", 50027, "JWT token is invalid or malformed.")
}

fn decoded(part: &str) -> Result<Value, NoToken> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    serde_json::from_slice(&bytes).map_err(|_| malformed())
}

/// Checks everything but that it was not used before; answers its id.
pub(super) fn check(
    text: &str,
    registered: &[(String, Vec<u8>)],
    client: &str,
    audience: &str,
    now: DateTime<Utc>,
) -> Result<String, NoToken> {
    let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let (header, claims) = (decoded(header)?, decoded(claims)?);
    let word = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if word(&header, "alg") != "PS256" || word(&header, "typ") != "JWT" {
        return Err(invalid_client(
            700_027,
            format!("Client assertion failed signature validation: algorithm {}.", word(&header, "alg")),
        ));
    }
    let thumbprint = word(&header, "x5t#S256");
    let Some((_, key)) = registered.iter().find(|(known, _)| *known == thumbprint) else {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The \
key was not found., Thumbprint of key used by client: '{thumbprint}'.]"
        );
        return Err(invalid_client(700_027, text));
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key);
    if key.verify(signed.as_bytes(), &signature).is_err() {
        return Err(invalid_client(
            700_027,
            "Client assertion contains an invalid signature. [Reason - The key was found, but the signature is not its.]",
        ));
    }
    if word(&claims, "iss") != client || word(&claims, "sub") != client {
        let text = "Client assertion application identifier doesn't match 'client_id' parameter.";
        return Err(invalid_client(700_021, text));
    }
    if word(&claims, "aud") != audience {
        let text = "Client assertion audience claim does not match Realm issuer.";
        return Err(invalid_client(700_023, text));
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let now = now.timestamp();
    let (from, until) = (time("nbf").unwrap_or(i64::MAX), time("exp").unwrap_or(i64::MIN));
    if from > now + SKEW_S || until <= now {
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {from}, expiry time \
of assertion {until}."
        );
        return Err(invalid_client(700_024, text));
    }
    let id = word(&claims, "jti");
    if id.is_empty() { Err(malformed()) } else { Ok(id) }
}
