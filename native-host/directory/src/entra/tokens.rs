//! Signing in as the application, one tenant each. A token stays in memory and nowhere else; while one is fetched, others wait for it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use ticketgate_access::config::{Entra, Proof};
use ticketgate_credentials::{ReadSecret, Secret};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::assertion::Signer;
use super::failure::{TokenError, of_sign_in, unanswered};
use crate::DirectoryError;

/// So long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(300);

/// Longest lifetime that is believed.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The application's token for one tenant.
#[derive(Default)]
pub(super) struct Tokens(tokio::sync::Mutex<Option<Token>>);

struct Token {
    text: Secret,
    good_until: Instant,
}

/// What the token's endpoint answers.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Value,
}

impl Tokens {
    /// The token, fetched where there is none that lasts.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn get(
        &self,
        http: &reqwest::Client,
        settings: &Entra,
        secrets: &Arc<dyn ReadSecret>,
    ) -> Result<Secret, DirectoryError> {
        let mut kept = self.0.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.good_until > Instant::now()) {
            return Ok(token.text.clone());
        }
        let token = fetch(http, settings, secrets).await?;
        let text = token.text.clone();
        *kept = Some(token);
        Ok(text)
    }

    /// The tenant did not take this one: the next is a new one.
    pub(super) async fn forget(&self, refused: &Secret) {
        let mut kept = self.0.lock().await;
        // Compared in memory, and only with what was sent just now.
        if kept.as_ref().is_some_and(|token| token.text.expose() == refused.expose()) {
            *kept = None;
        }
    }
}

/// The certificate with its key, read anew so that a replaced pair counts without a restart.
pub(super) fn signer(settings: &Entra, secrets: &dyn ReadSecret) -> Result<Option<Signer>, DirectoryError> {
    let Proof::Certificate { certificate, key } = &settings.proof else { return Ok(None) };
    let no_secret = |why: String| {
        DirectoryError::NoSecret(format!(
            "{certificate}: {why}; a new pair: openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=ticketgate \
             -keyout acme.key -out acme.crt, and upload the .crt under Certificates & secrets"
        ))
    };
    let pem = std::fs::read(certificate).map_err(|error| no_secret(error.to_string()))?;
    Signer::new(&pem, &secrets.read_text(key)?).map(Some).map_err(no_secret)
}

/// What the application shows at this address. Reads from a key store, which may ask a person first, and from files.
fn proof(settings: &Entra, secrets: &dyn ReadSecret, address: &str) -> Result<Secret, DirectoryError> {
    match (&settings.proof, signer(settings, secrets)?) {
        (Proof::Certificate { certificate, .. }, Some(signer)) => {
            let now = DateTime::<Utc>::from(std::time::SystemTime::now());
            signer.assertion(address, settings.client_id.as_str(), now).map_err(|why| {
                DirectoryError::NoSecret(format!(
                    "{certificate}: {why}; make a new pair and upload its certificate"
                ))
            })
        }
        (Proof::Secret(place), _) | (Proof::Certificate { key: place, .. }, None) => Ok(secrets.read(place)?),
    }
}

async fn fetch(
    http: &reqwest::Client,
    settings: &Entra,
    secrets: &Arc<dyn ReadSecret>,
) -> Result<Token, DirectoryError> {
    let address = format!("{}/{}/oauth2/v2.0/token", settings.login_url, settings.tenant);
    let scope = format!("{}/.default", settings.cloud.graph_host());
    let client = settings.client_id.as_str();
    let (of, secrets, at) = (settings.clone(), Arc::clone(secrets), address.clone());
    // Other tenants, and everything else here, go on meanwhile.
    let proof = tokio::task::spawn_blocking(move || proof(&of, secrets.as_ref(), &at));
    let proof = proof.await.map_err(|error| DirectoryError::NoSecret(error.to_string()))??;
    let mut form =
        vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", scope.as_str())];
    // To the tenant's token endpoint, inside TLS.
    match &settings.proof {
        Proof::Certificate { .. } => form.extend([
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", proof.expose()),
        ]),
        Proof::Secret(_) => form.push(("client_secret", proof.expose())),
    }
    let asked = Instant::now();
    // Asking for a token changes nothing: one whose answer is lost is just not used.
    let not_there = |error: reqwest::Error| match unanswered(ticketgate_https::failure(&error)) {
        DirectoryError::Ambiguous(why) => DirectoryError::Unreachable(why),
        other => other,
    };
    let response = http.post(&address).form(&form).send().await.map_err(not_there)?;
    let status = response.status();
    let is_json = is_json(response.headers());
    let body = Zeroizing::new(ticketgate_https::body(response).await.map_err(unanswered)?);
    if !status.is_success() {
        let said: TokenError =
            if is_json { ticketgate_https::json(&body).unwrap_or_default() } else { TokenError::default() };
        return Err(of_sign_in(status.as_u16(), &said, settings.tenant.as_str(), client));
    }
    let granted: Granted = ticketgate_https::json(&body).map_err(unanswered)?;
    let lasts =
        granted.expires_in.as_u64().or_else(|| granted.expires_in.as_str()?.parse().ok()).unwrap_or(0);
    let lasts = Duration::from_secs(lasts).min(LONGEST);
    // One that is shorter than the margin is still good for half of its time.
    let used = lasts.checked_sub(MARGIN).unwrap_or_default().max(lasts / 2);
    Ok(Token { text: Secret::new(granted.access_token), good_until: asked + used })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(reqwest::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}

/// The permissions that a token names, for `check` alone: whether something may be done is the tenant's to say.
pub(super) fn permissions(token: &Secret) -> Option<Vec<String>> {
    use base64::Engine as _;
    #[derive(Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
    }
    // Into the decoder, for the list of permissions only.
    let claims = token.expose().split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.roles)
}

#[cfg(test)]
mod tests {
    use ticketgate_access::config::{Cloud, SecretRef, SignIn};
    use ticketgate_credentials::NoSecret;

    use super::*;

    struct Slow;

    impl ReadSecret for Slow {
        fn read(&self, _: &SecretRef) -> Result<Secret, NoSecret> {
            std::thread::sleep(Duration::from_millis(300));
            Err(NoSecret("locked".into()))
        }
    }

    #[tokio::test]
    async fn nobody_else_waits_for_a_key_store_that_asks_somebody_first() {
        let id = "9f4c6d1e-0000-4000-8000-000000000001";
        let settings = Entra {
            tenant: id.parse().unwrap(),
            client_id: id.parse().unwrap(),
            proof: Proof::Secret(SecretRef::Keyring("acme".into())),
            account_domain: "acme.example".into(),
            account_name: "jit-{technician}".into(),
            sign_in: SignIn::Password,
            pim_only: false,
            cloud: Cloud::Global,
            login_url: "https://login.example".into(),
            graph_url: "https://graph.example".into(),
            ca_file: None,
            timeout_s: 10,
        };
        let http = ticketgate_https::client(None, Duration::from_secs(1)).unwrap();
        let secrets: Arc<dyn ReadSecret> = Arc::new(Slow);
        let (tokens, begun) = (Tokens::default(), Instant::now());
        let other = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            begun.elapsed()
        };
        let (token, waited) = tokio::join!(tokens.get(&http, &settings, &secrets), other);
        assert!(matches!(token, Err(DirectoryError::NoSecret(_))));
        assert!(waited < Duration::from_millis(300), "{waited:?}");
    }
}
