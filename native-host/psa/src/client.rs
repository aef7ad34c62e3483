//! One HTTP client for every connector: TLS with verification, no redirects (they would carry the secret elsewhere), bounds on time
//! and size, and one meaning for each status. What is asked, and what an answer means, is the connectors'.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ticketgate_access::config::{self, SecretRef};
use ticketgate_credentials::{NoSecret, NoTrust, ReadSecret, Secret, trust};
use zeroize::Zeroizing;

use crate::PsaError;

/// The largest answer that is read, in bytes. A page of a hundred tickets with all their fields is about a tenth of it.
const ANSWER_MAX: usize = 4 << 20;

/// The pause where a busy server names none, and the longest that is believed, in seconds.
const PAUSE_S: u32 = 30;
const LONGEST_PAUSE_S: u32 = 3600;

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
    form: Option<Vec<(&'static str, String)>>,
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
        self.form = Some(fields);
        self
    }
}

/// An answer with a status of success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The body as JSON of this shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, PsaError> {
        // The message names positions and expected types, and may quote a value: it is not repeated.
        serde_json::from_slice(&self.body).map_err(|error| {
            PsaError::Unreadable(format!(
                "not of the documented shape, line {} column {}",
                error.line(),
                error.column()
            ))
        })
    }
}

impl Client {
    /// # Errors
    /// [`PsaError::Certificate`] where nobody could vouch for the server.
    pub(crate) fn new(settings: &config::Psa, secrets: Box<dyn ReadSecret>) -> Result<Self, PsaError> {
        let trusted =
            trust(settings.ca_file.as_deref()).map_err(|NoTrust(why)| PsaError::Certificate(why))?;
        let limit = Duration::from_secs(settings.timeout_s.into());
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*trusted).clone())
            .redirect(redirect::Policy::none())
            .user_agent(concat!("Ticketgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limit)
            .timeout(limit)
            .build()
            .map_err(|error| PsaError::Certificate(error.without_url().to_string()))?;
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
                ask.form.get_or_insert_default().push((*name, secret.expose().to_owned()));
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
            request = request.form(form);
        }
        let response = request.send().await.map_err(|error| failure(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(error) = meaning(status, &headers) {
            return Err(error);
        }
        Ok(Answer { headers, body: body(response).await? })
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

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text.len() > 2)
        {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

async fn body(mut response: Response) -> Result<Vec<u8>, PsaError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(PsaError::Unreadable(format!("larger than {} MiB", ANSWER_MAX >> 20)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
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
        429 | 503 => PsaError::Busy {
            retry_after_s: retry_after(headers, DateTime::from(std::time::SystemTime::now())),
        },
        code @ 500..=599 => PsaError::Failed(code),
        300..=399 => PsaError::Unreadable("it redirects to another address; write that one as `url`".into()),
        code => PsaError::Unreadable(format!("status {code}")),
    })
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> u32 {
    let said = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = said.and_then(|said| {
        said.parse::<i64>().ok().or_else(|| {
            let at = DateTime::parse_from_rfc2822(said).ok()?;
            Some((at.with_timezone(&Utc) - now).num_seconds())
        })
    });
    seconds.map_or(PAUSE_S, |s| u32::try_from(s.max(1)).unwrap_or(LONGEST_PAUSE_S).min(LONGEST_PAUSE_S))
}

/// Why no answer came, without the address: it may name what nobody else should read.
fn failure(error: &reqwest::Error) -> PsaError {
    let mut why = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return PsaError::Certificate(tls.to_string());
        }
        why = inner.to_string();
        source = inner.source();
    }
    if why.contains("certificate") {
        return PsaError::Certificate(why);
    }
    if error.is_timeout() {
        let late = "no answer in time".to_owned();
        return if error.is_connect() { PsaError::Unreachable(late) } else { PsaError::Ambiguous(late) };
    }
    if error.is_connect() {
        return PsaError::Unreachable(if why.is_empty() { "no connection".into() } else { why });
    }
    PsaError::Ambiguous(if why.is_empty() { "the connection broke".into() } else { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_be_left_by_what_stands_in_it() {
        for (text, expected) in [
            ("4711", "4711"),
            ("T20260101.0001", "T20260101.0001"),
            ("../x", "..%2Fx"),
            ("a b?c#", "a%20b%3Fc%23"),
            ("..", "%2E%2E"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(segment(text), expected);
        }
    }

    #[test]
    fn a_busy_server_says_for_how_long() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().with_timezone(&Utc);
        for (said, expected) in [
            (None, PAUSE_S),
            (Some("7"), 7),
            (Some("-5"), 1),
            (Some("99999999999"), LONGEST_PAUSE_S),
            (Some("Thu, 01 Jan 2026 00:01:00 GMT"), 60),
            (Some("soon"), PAUSE_S),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(said));
            }
            assert_eq!(retry_after(&headers, now), expected, "{said:?}");
        }
    }
}
