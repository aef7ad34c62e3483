//! What the broker shows Entra ID instead of a secret: a short text signed with the key of a registered certificate (PS256, as
//! "Microsoft identity platform application authentication certificate credentials" has it).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use ticketgate_credentials::Secret;
use x509_parser::prelude::FromDer;

/// For how long it can be used, and for how long before this machine's time: clocks differ.
const VALID: TimeDelta = TimeDelta::minutes(10);
const BEFORE: TimeDelta = TimeDelta::minutes(1);

/// A certificate and its key.
pub(super) struct Signer {
    key: RsaKeyPair,
    /// `x5t#S256`: by which certificate Entra ID has to verify.
    thumbprint: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

impl Signer {
    /// Reads both from PEM, and sees to it that they belong together. Nothing of the key stands in an error.
    ///
    /// # Errors
    /// A sentence with what to do.
    pub(super) fn new(certificate_pem: &[u8], key_pem: &Secret) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem)
            .map_err(|_| "the certificate's file holds no certificate in PEM form".to_owned())?;
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&certificate)
            .map_err(|_| "the certificate cannot be read".to_owned())?;
        // To the parser; the key itself goes no further than into the pair.
        let key = match PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(_) => return Err("the key is not an RSA key; Entra ID takes no other here".into()),
            Err(_) => {
                return Err(
                    "the key is not in PEM form, or it is encrypted; a key without a pass phrase is needed, \
                            guarded by its file's access rights"
                        .into(),
                );
            }
        }
        .map_err(|refused| {
            format!("the key cannot be used ({refused}); it has to be RSA of 2048 bits or more")
        })?;
        if key.public().as_ref() != parsed.public_key().subject_public_key.data.as_ref() {
            return Err("certificate and key do not belong together".into());
        }
        let time = |at: x509_parser::time::ASN1Time| {
            DateTime::from_timestamp(at.timestamp(), 0).ok_or("the certificate's validity cannot be read")
        };
        let thumbprint =
            URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, certificate.as_ref()));
        let (not_before, not_after) =
            (time(parsed.validity().not_before)?, time(parsed.validity().not_after)?);
        Ok(Self { key, thumbprint, not_before, not_after })
    }

    /// When the certificate ends.
    pub(super) const fn not_after(&self) -> DateTime<Utc> {
        self.not_after
    }

    /// The text for one request to `audience`.
    ///
    /// # Errors
    /// A sentence: the certificate is not valid now, or the system gives no randomness.
    pub(super) fn assertion(
        &self,
        audience: &str,
        client_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Secret, String> {
        if now >= self.not_after {
            return Err(format!("the certificate ended on {}", self.not_after.format("%Y-%m-%d")));
        }
        if now + BEFORE < self.not_before {
            return Err(format!(
                "the certificate is not valid before {}",
                self.not_before.format("%Y-%m-%d %H:%M UTC")
            ));
        }
        let mut unique = [0_u8; 16];
        getrandom::fill(&mut unique).map_err(|error| format!("no randomness: {error}"))?;
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = json!({
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "jti": URL_SAFE_NO_PAD.encode(unique),
            "nbf": (now - BEFORE).timestamp(),
            "iat": now.timestamp(),
            "exp": (now + VALID).timestamp(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0_u8; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "the key refuses to sign".to_owned())?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::process::Command;

    use super::*;

    /// A key and a certificate made by openssl, as the guide says, valid for so many days.
    pub(crate) fn pair(kind: &[&str], days: &str) -> (tempfile::TempDir, Vec<u8>, Secret) {
        let folder = tempfile::tempdir().unwrap();
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("crt.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-subj", "/CN=ticketgate", "-days", days, "-newkey"])
            .args(kind)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(&key).unwrap();
        (folder, std::fs::read(&certificate).unwrap(), Secret::new(text))
    }

    const AUDIENCE: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";

    #[test]
    fn an_assertion_is_signed_so_that_the_certificate_verifies_it_and_says_whom_it_is_for() {
        let (_folder, certificate, key) = pair(&["rsa:2048"], "30");
        let signer = Signer::new(&certificate, &key).unwrap();
        let now = DateTime::<Utc>::from(std::time::SystemTime::now());
        let first = signer.assertion(AUDIENCE, "client", now).unwrap();
        let parts: Vec<&str> = first.expose().split('.').collect();
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, claims) = (json(parts[0]), json(parts[1]));
        let der = CertificateDer::from_pem_slice(&certificate).unwrap();
        let print = URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &der));
        assert_eq!(header, json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": print }));
        assert_eq!(
            (&claims["aud"], &claims["iss"], &claims["sub"]),
            (&json!(AUDIENCE), &json!("client"), &json!("client"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 660);
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
        let public = ring::signature::UnparsedPublicKey::new(
            &ring::signature::RSA_PSS_2048_8192_SHA256,
            &parsed.public_key().subject_public_key.data,
        );
        let signed = format!("{}.{}", parts[0], parts[1]);
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
        let second = signer.assertion(AUDIENCE, "client", now).unwrap();
        assert_ne!(first.expose().split('.').nth(1), second.expose().split('.').nth(1), "used twice");
    }

    #[test]
    fn what_cannot_sign_is_refused_before_anything_is_sent_and_says_why() {
        let (_a, certificate, key) = pair(&["rsa:2048"], "30");
        let (_b, _, other_key) = pair(&["rsa:2048"], "30");
        let (_c, curve, curve_key) = pair(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "30");
        for (certificate, key, said) in [
            (&certificate, &other_key, "do not belong together"),
            (&curve, &curve_key, "RSA"),
            (&b"nothing".to_vec(), &key, "no certificate"),
            (&certificate, &Secret::new("nothing".into()), "not in PEM form"),
        ] {
            let why = Signer::new(certificate, key).err().unwrap();
            assert!(why.contains(said), "{why}");
        }
        let signer = Signer::new(&certificate, &key).unwrap();
        let today = DateTime::<Utc>::from(std::time::SystemTime::now());
        let at = |days| today + TimeDelta::days(days);
        assert!(signer.assertion(AUDIENCE, "c", at(31)).unwrap_err().contains("ended on"));
        assert!(signer.assertion(AUDIENCE, "c", at(-2)).unwrap_err().contains("not valid before"));
        assert!(signer.not_after() > at(28));
    }
}
