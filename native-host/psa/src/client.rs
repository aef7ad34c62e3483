//! One HTTP client for every connector: how the integration's user shows who it is, and one meaning for each status. TLS and
//! bounds are `ticketgate-https`'s; what is asked, and what an answer means, is the connectors'.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ticketgate_access::config::{self, SecretRef};
use ticketgate_credentials::{NoSecret, ReadSecret, Secret};
use ticketgate_https::{HttpError, failure, retry_after, wiped};
use zeroize::Zeroizing;

use crate::PsaError;
pub(crate) use ticketgate_https::segment;

/// The pause where a busy server names none, in seconds.
const PAUSE_S: u32 = 30;

/// Talks to one ticket system as its integration's user.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    secret: SecretRef,
    secrets: Box<dyn ReadSecret>,
}

/// How the integration's user shows who it is.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// `Authorization: WORD SECRET`.
    Word(&'static str),
    /// `Authorization: Basic`, the secret being the password of this user.
    Basic(String),
    /// `Authorization: Basic`, the secret being the user, with this password.
    BasicKey(&'static str),
    /// A header of its own.
    Header(&'static str),
    /// `Authorization: Bearer` with a token that was got for the secret.
    Token(Secret),
    /// No header: the secret is this field of the form.
    Form(&'static str),
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    form: Option<Vec<(&'static str, Zeroizing<String>)>>,
}

impl Ask {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: None, form: None }
    }

    /// `path` is appended to the base address; what is variable in it goes through [`segment`].
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    pub(crate) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PATCH, path) }
    }

    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    pub(crate) fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn form(mut self, fields: Vec<(&'static str, String)>) -> Self {
        self.form = Some(fields.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect());
        self
    }
}

/// An answer with a status of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body as JSON of this shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, PsaError> {
        Ok(ticketgate_https::json(&self.body)?)
    }
}

impl Client {
    /// # Errors
    /// [`PsaError::Certificate`] where nobody could vouch for the server.
    pub(crate) fn new(settings: &config::Psa, secrets: Box<dyn ReadSecret>) -> Result<Self, PsaError> {
        let http = ticketgate_https::client(
            settings.ca_file.as_deref(),
            Duration::from_secs(settings.timeout_s.into()),
        )?;
        Ok(Self { http, base: settings.url.clone(), secret: settings.secret.clone(), secrets })
    }

    /// The integration's secret.
    pub(crate) fn secret(&self) -> Result<Secret, PsaError> {
        self.secrets.read(&self.secret).map_err(|NoSecret(why)| PsaError::NoSecret(why))
    }

    /// Asks, and answers what came with a status of success.
    pub(crate) async fn send(&self, auth: &Auth, mut ask: Ask) -> Result<Answer, PsaError> {
        let mut request = self.http.request(ask.method.clone(), format!("{}{}", self.base, ask.path));
        if !ask.query.is_empty() {
            request = request.query(&ask.query);
        }
        for (name, value) in std::mem::take(&mut ask.headers) {
            request = request.header(name, value);
        }
        request = match auth {
            // To the server, inside TLS.
            Auth::Token(token) => request.bearer_auth(token.expose()),
            Auth::Form(name) => {
                let secret = self.secret()?;
                // To the server, inside TLS; the form is sent below and then dropped.
                ask.form.get_or_insert_default().push((*name, Zeroizing::new(secret.expose().to_owned())));
                request
            }
            Auth::Basic(user) => {
                let secret = self.secret()?;
                // To the server, inside TLS.
                request.basic_auth(user, Some(secret.expose()))
            }
            Auth::BasicKey(password) => {
                let secret = self.secret()?;
                // To the server, inside TLS.
                request.basic_auth(secret.expose(), Some(password))
            }
            Auth::Word(word) => request.header("authorization", self.hidden(&format!("{word} "))?),
            Auth::Header(name) => request.header(HeaderName::from_static(name), self.hidden("")?),
        };
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        if let Some(form) = &ask.form {
            let fields: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(wiped(ticketgate_https::form(&fields)));
        }
        let response = request.send().await.map_err(|error| failure(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(error) = meaning(status, &headers) {
            return Err(error);
        }
        Ok(Answer { headers, body: ticketgate_https::body(response).await? })
    }

    /// The secret as a header's value that no log shows.
    fn hidden(&self, before: &str) -> Result<HeaderValue, PsaError> {
        let secret = self.secret()?;
        // To the server, inside TLS.
        let text = Zeroizing::new(format!("{before}{}", secret.expose()));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| PsaError::NoSecret("it holds characters that no header may have".into()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Whether the server knows nobody by what it was shown, as opposed to somebody who may not do this.
pub(crate) fn is_unauthorised(error: &PsaError) -> bool {
    matches!(error, PsaError::Refused(why) if why == "status 401")
}

/// What a status means, where it is none of success.
fn meaning(status: StatusCode, headers: &HeaderMap) -> Option<PsaError> {
    Some(match status.as_u16() {
        200..=299 => return None,
        401 | 403 => PsaError::Refused(format!("status {}", status.as_u16())),
        404 | 410 => PsaError::NoSuchTicket,
        429 | 503 => PsaError::Busy { retry_after_s: pause_s(headers) },
        code @ 500..=599 => PsaError::Failed(code),
        300..=399 => PsaError::Unreadable("it redirects to another address; write that one as `url`".into()),
        code => PsaError::Unreadable(format!("status {code}")),
    })
}

/// In whole seconds, at least one; a usual pause where the server names none.
fn pause_s(headers: &HeaderMap) -> u32 {
    let said = retry_after(headers, DateTime::from(std::time::SystemTime::now()));
    said.map_or(PAUSE_S, |pause| u32::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(PAUSE_S).max(1))
}

impl From<HttpError> for PsaError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Certificate(why) => Self::Certificate(why),
            HttpError::Unreachable(why) => Self::Unreachable(why),
            HttpError::Ambiguous(why) => Self::Ambiguous(why),
            HttpError::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_of_whole_seconds_and_at_least_one() {
        for (said, expected) in [
            (None, PAUSE_S),
            (Some("7"), 7),
            (Some("2.128"), 3),
            (Some("-5"), 1),
            (Some("99999999999"), 3600),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(reqwest::header::RETRY_AFTER, HeaderValue::from_static(said));
            }
            assert_eq!(pause_s(&headers), expected, "{said:?}");
        }
    }
}
