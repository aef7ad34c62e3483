//! What connectors to ticket systems and to Microsoft Graph share of HTTP: TLS with verification, no redirects (they would carry
//! the secret elsewhere), bounds on time and size. What is asked, and what a status means, is the connectors'.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ticketgate_credentials::{NoTrust, trust};
use zeroize::{Zeroize, Zeroizing};

/// The largest answer that is read, in bytes. A page of a hundred tickets with all their fields is about a tenth of it.
const ANSWER_MAX: usize = 4 << 20;

/// The longest pause that is believed.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Why there is no answer, or none that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server's certificate is expired, foreign, or for another name, or nobody could vouch for one.
    #[error("{0}")]
    Certificate(String),
    /// The request did not go out.
    #[error("{0}")]
    Unreachable(String),
    /// It went out, and what became of it is not known.
    #[error("{0}")]
    Ambiguous(String),
    /// The answer is too large, or not of the documented shape.
    #[error("{0}")]
    Unreadable(String),
}

/// A client that trusts `ca_file` (PEM), or the system's own authorities where there is none. `limit` is for a whole request.
///
/// # Errors
/// [`HttpError::Certificate`] where nobody could vouch for a server.
pub fn client(ca_file: Option<&str>, limit: Duration) -> Result<reqwest::Client, HttpError> {
    let trusted = trust(ca_file).map_err(|NoTrust(why)| HttpError::Certificate(why))?;
    let builder = reqwest::Client::builder();
    // What is sent arrives within a minute or never, also after this process is gone: another broker may look for it.
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(Duration::from_secs(60));
    builder
        .tls_backend_preconfigured((*trusted).clone())
        .redirect(redirect::Policy::none())
        .user_agent(concat!("Ticketgate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limit)
        .timeout(limit)
        .build()
        .map_err(|error| HttpError::Certificate(error.without_url().to_string()))
}

/// The whole of an answer's body, wiped when it is dropped: it may hold a token or a pass.
///
/// # Errors
/// [`HttpError`]
pub async fn body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    let told = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Zeroizing::new(Vec::with_capacity(told.min(ANSWER_MAX)));
    while let Some(piece) = response.chunk().await.map_err(|error| failure(&error))? {
        let length = body.len() + piece.len();
        if length > ANSWER_MAX {
            return Err(HttpError::Unreadable(format!("larger than {} MiB", ANSWER_MAX >> 20)));
        }
        if length > body.capacity() {
            // The vector's own growth would leave copies behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * body.capacity())));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A request's body that is wiped once it is sent. What TLS and the socket keep of it is theirs.
#[must_use]
pub fn wiped(body: Zeroizing<Vec<u8>>) -> reqwest::Body {
    struct Wiped(Zeroizing<Vec<u8>>);
    impl AsRef<[u8]> for Wiped {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    bytes::Bytes::from_owner(Wiped(body)).into()
}

/// A form (`application/x-www-form-urlencoded`) for [`wiped`], or a query: letters, digits and signs of ASCII.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Each byte is three at most, so it never grows.
    let most = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push(b'&');
        }
        form.extend_from_slice(Zeroizing::new(segment(name)).as_bytes());
        form.push(b'=');
        form.extend_from_slice(Zeroizing::new(segment(value)).as_bytes());
    }
    form
}

/// JSON for [`wiped`]; the texts of `value` are wiped, too.
#[must_use]
pub fn wiped_json(mut value: Value) -> Zeroizing<Vec<u8>> {
    // Counted first: a buffer that grows leaves copies of what it held.
    let mut length = Counted(0);
    let counted = serde_json::to_writer(&mut length, &value);
    let mut text = Zeroizing::new(Vec::with_capacity(counted.map_or(0, |()| length.0)));
    // Neither can fail: it is a value already, and memory takes all.
    let _ = serde_json::to_writer(&mut *text, &value);
    wipe(&mut value);
    text
}

struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A body as JSON of this shape.
///
/// # Errors
/// [`HttpError::Unreadable`]
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    // The message names positions and expected types, and may quote a value: it is not repeated.
    serde_json::from_slice(body).map_err(|error| {
        HttpError::Unreadable(format!(
            "not of the documented shape, line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// A text as one segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    // Never grows: what is in a text may be a secret, and growth leaves copies.
    let mut out = String::with_capacity(3 * text.len());
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

/// For how long a busy server asks to be left alone: seconds, also with a fraction (Microsoft Graph), or a date. `None` where it
/// says nothing that can be read; never more than [`LONGEST_PAUSE`].
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match said.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => {
            Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_PAUSE.as_secs_f64()))
        }
        Ok(_) => return None,
        Err(_) => (date_of(said)? - now).to_std().unwrap_or_default(),
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// The server's own clock at the answer, to a second.
#[must_use]
pub fn server_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    date_of(headers.get(DATE)?.to_str().ok()?)
}

/// A year has four digits (RFC 9110, `IMF-fixdate`). One that has more would be too far away to be counted with.
fn date_of(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc);
    (0..10_000).contains(&time.year()).then_some(time)
}

/// Why no answer came, without the address: it may name what nobody else should read.
#[must_use]
pub fn failure(error: &reqwest::Error) -> HttpError {
    let mut why = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return HttpError::Certificate(tls.to_string());
        }
        why = inner.to_string();
        source = inner.source();
    }
    if why.contains("certificate") {
        return HttpError::Certificate(why);
    }
    if error.is_timeout() {
        let late = "no answer in time".to_owned();
        return if error.is_connect() { HttpError::Unreachable(late) } else { HttpError::Ambiguous(late) };
    }
    if error.is_connect() {
        return HttpError::Unreachable(if why.is_empty() { "no connection".into() } else { why });
    }
    HttpError::Ambiguous(if why.is_empty() { "the connection broke".into() } else { why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

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
    fn a_body_that_is_wiped_is_the_one_that_was_to_be_sent() {
        let form = form(&[("grant_type", "a b"), ("secret", "s&=+%ü~.")]);
        assert_eq!(form.as_slice(), b"grant_type=a%20b&secret=s%26%3D%2B%25%C3%BC~.");
        let value = serde_json::json!({ "a": ["x", { "b": "y\n" }], "c": 1 });
        let text = wiped_json(value.clone());
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), value);
        assert_eq!(text.len(), text.capacity());
        let body = wiped(text.clone());
        assert_eq!(body.as_bytes(), Some(text.as_slice()));
    }

    #[test]
    fn a_busy_server_says_for_how_long() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().with_timezone(&Utc);
        let ms = |ms| Some(Duration::from_millis(ms));
        for (said, expected) in [
            (None, None),
            (Some("7"), ms(7000)),
            (Some("2.128"), ms(2128)),
            (Some("-5"), ms(0)),
            (Some("99999999999"), Some(LONGEST_PAUSE)),
            (Some("Thu, 01 Jan 2026 00:01:00 GMT"), ms(60_000)),
            (Some("Wed, 01 Jan 2025 00:01:00 GMT"), ms(0)),
            (Some("soon"), None),
            (Some("NaN"), None),
            (Some("Fri, 31 Dec 262142 23:59:59 GMT"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(said) = said {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(said));
            }
            assert_eq!(retry_after(&headers, now), expected, "{said:?}");
        }
    }

    #[test]
    fn the_servers_clock_is_read_from_its_answer() {
        let mut headers = HeaderMap::new();
        assert_eq!(server_time(&headers), None);
        headers.insert(DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:01:00 GMT"));
        assert_eq!(server_time(&headers).unwrap().timestamp(), 1_767_225_660);
        headers.insert(DATE, HeaderValue::from_static("Fri, 31 Dec 262142 23:59:59 GMT"));
        assert_eq!(server_time(&headers), None, "an end by that clock could not be counted");
    }
}
