//! The login's side of a tenant: forms that are posted to it, and what it answers. Which form, and what a refusal means, is known
//! elsewhere.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::Value;
use ticketgate_access::config::Entra;
use ticketgate_credentials::Secret;
use ticketgate_https::{retry_after, server_time, wiped};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::failure::{TokenError, unanswered};
use crate::DirectoryError;

/// So long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(300);

/// Longest lifetime that is believed.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

/// A token for Graph.
pub(super) struct Token {
    pub(super) text: Secret,
    pub(super) good_until: Instant,
    /// The object id of the person in the tenant whose token it is, where it is a person's and the tenant said so.
    pub(super) person: Option<String>,
}

/// What the token's endpoint answers.
#[derive(Deserialize)]
pub(super) struct Granted {
    access_token: String,
    expires_in: Value,
    /// What a person's sign-in is renewed by.
    pub(super) refresh_token: Option<String>,
    /// Who signed in.
    pub(super) id_token: Option<String>,
}

impl Granted {
    /// The token that was asked for at this time.
    ///
    /// # Errors
    /// [`DirectoryError::Refused`]: what could not be sent is none.
    pub(super) fn token(&mut self, asked: Instant) -> Result<Token, DirectoryError> {
        let text = Secret::new(std::mem::take(&mut self.access_token));
        // Looked at in memory only.
        let token = text.expose();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(DirectoryError::Refused("the sign-in gave a token that cannot be sent".into()));
        }
        let said = &self.expires_in;
        let lasts = said.as_u64().or_else(|| said.as_str()?.parse().ok()).unwrap_or(0);
        let lasts = Duration::from_secs(lasts).min(LONGEST);
        // One that is shorter than the margin is still good for half of its time.
        let used = lasts.checked_sub(MARGIN).unwrap_or_default().max(lasts / 2);
        let person = self.id_token.as_deref().and_then(object_id);
        Ok(Token { text, good_until: asked + used, person })
    }
}

/// Of an id token that came from the token's endpoint itself (OpenID Connect Core §3.1.3.7, 6).
fn object_id(id_token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        oid: Option<String>,
    }
    let claims: Claims = claims(id_token)?;
    claims.oid
}

/// An address of the login, for people or applications of this tenant.
pub(super) fn address(settings: &Entra, tenant: &str, what: &str) -> String {
    format!("{}/{tenant}/oauth2/v2.0/{what}", settings.login_url)
}

/// What the login says instead of what it was asked for.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) said: TokenError,
    /// For how long it asks to be left alone, where it does and says so.
    named: Option<Duration>,
}

/// Why there is no token.
pub(super) enum NoToken {
    /// The login asks to be left alone, perhaps for so long.
    Busy(Option<Duration>, DirectoryError),
    Other(DirectoryError),
}

impl From<DirectoryError> for NoToken {
    fn from(error: DirectoryError) -> Self {
        Self::Other(error)
    }
}

impl From<NoToken> for DirectoryError {
    fn from(none: NoToken) -> Self {
        match none {
            NoToken::Busy(_, error) | NoToken::Other(error) => error,
        }
    }
}

impl Refused {
    /// With what it means to whoever asked.
    pub(super) fn meaning(&self, error: DirectoryError) -> NoToken {
        match self.status {
            429 | 503 => NoToken::Busy(self.named, error),
            _ => NoToken::Other(error),
        }
    }
}

/// Posts a form: what it asked for, or what the login says instead.
///
/// # Errors
/// [`DirectoryError`]: there is no answer that can be read.
pub(super) async fn post(
    http: &reqwest::Client,
    address: &str,
    form: &[(&str, &str)],
) -> Result<Result<Zeroizing<Vec<u8>>, Refused>, DirectoryError> {
    let request = http.post(address).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let sent = request.body(wiped(ticketgate_https::form(form))).send().await;
    answered(sent.map_err(|error| not_there(&error))?).await
}

/// Asking for a token changes nothing: one whose answer is lost is just not used.
pub(super) fn not_there(error: &reqwest::Error) -> DirectoryError {
    match unanswered(ticketgate_https::failure(error)) {
        DirectoryError::Ambiguous(why) => DirectoryError::Unreachable(why),
        other => other,
    }
}

/// What an answer of the login is, as [`post`] has it.
///
/// # Errors
/// [`DirectoryError`]: it cannot be read.
pub(super) async fn answered(
    response: reqwest::Response,
) -> Result<Result<Zeroizing<Vec<u8>>, Refused>, DirectoryError> {
    let status = response.status();
    let is_json = is_json(response.headers());
    let now = server_time(response.headers()).unwrap_or_else(|| std::time::SystemTime::now().into());
    let named = retry_after(response.headers(), now);
    let body = ticketgate_https::body(response).await.map_err(unanswered)?;
    if status.is_success() {
        return Ok(Ok(body));
    }
    let said: TokenError =
        if is_json { ticketgate_https::json(&body).unwrap_or_default() } else { TokenError::default() };
    Ok(Err(Refused { status: status.as_u16(), said, named }))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}

/// What stands in a token, for texts alone: whether something may be done is the tenant's to say.
pub(super) fn claims<T: for<'de> Deserialize<'de>>(token: &str) -> Option<T> {
    use base64::Engine as _;
    let claims = token.split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}
