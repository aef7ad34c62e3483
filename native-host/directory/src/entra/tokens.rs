//! Signing in as the application, one tenant each. A token stays in memory and nowhere else; while one is fetched, others wait for it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use ticketgate_access::config::{Entra, Proof};
use ticketgate_credentials::{ReadSecret, Secret};
use tokio::time::Instant;

use super::assertion::Signer;
use super::failure::{TokenError, of_sign_in, unanswered};
use crate::DirectoryError;

/// So long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(300);

/// Longest lifetime that is believed.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// The application's token for one tenant.
#[derive(Default)]
pub(super) struct Tokens(tokio::sync::Mutex<Option<Token>>);

pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) good_until: Instant,
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
        secrets: &dyn ReadSecret,
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

async fn fetch(
    http: &reqwest::Client,
    settings: &Entra,
    secrets: &dyn ReadSecret,
) -> Result<Token, DirectoryError> {
    let address = format!("{}/{}/oauth2/v2.0/token", settings.login_url, settings.tenant);
    let scope = format!("{}/.default", settings.cloud.graph_host());
    let client = settings.client_id.as_str();
    let proof = match (&settings.proof, signer(settings, secrets)?) {
        (Proof::Certificate { certificate, .. }, Some(signer)) => {
            let now = DateTime::<Utc>::from(std::time::SystemTime::now());
            signer.assertion(&address, client, now).map_err(|why| {
                DirectoryError::NoSecret(format!(
                    "{certificate}: {why}; make a new pair and upload its certificate"
                ))
            })?
        }
        (Proof::Secret(place), _) | (Proof::Certificate { key: place, .. }, None) => secrets.read(place)?,
    };
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
    granted(response, settings.tenant.as_str(), client, asked).await
}

/// The token that an answer holds.
///
/// # Errors
/// [`DirectoryError`]
pub(super) async fn granted(
    response: reqwest::Response,
    tenant: &str,
    client: &str,
    asked: Instant,
) -> Result<Token, DirectoryError> {
    let status = response.status();
    let is_json = is_json(response.headers());
    let body = ticketgate_https::body(response).await.map_err(unanswered)?;
    if !status.is_success() {
        let said: TokenError =
            if is_json { ticketgate_https::json(&body).unwrap_or_default() } else { TokenError::default() };
        return Err(of_sign_in(status.as_u16(), &said, tenant, client));
    }
    let granted: Granted = ticketgate_https::json(&body).map_err(unanswered)?;
    let text = Secret::new(granted.access_token);
    // What could not be sent is none. Looked at in memory only.
    let token = text.expose();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(DirectoryError::Refused("the sign-in gave a token that cannot be sent".into()));
    }
    let lasts =
        granted.expires_in.as_u64().or_else(|| granted.expires_in.as_str()?.parse().ok()).unwrap_or(0);
    let lasts = Duration::from_secs(lasts).min(LONGEST);
    // One that is shorter than the margin is still good for half of its time.
    let used = lasts.checked_sub(MARGIN).unwrap_or_default().max(lasts / 2);
    Ok(Token { text, good_until: asked + used })
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
