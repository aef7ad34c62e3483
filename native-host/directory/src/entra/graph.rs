//! One tenant's Microsoft Graph: requests with a token, through the tenant's gate, with bounds on time and size.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ticketgate_access::config::{Entra, Proof};
use ticketgate_access::entra::ObjectId;
use ticketgate_credentials::{ReadSecret, Secret};
use ticketgate_https::{HttpError, retry_after, segment, server_time, wiped, wiped_json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::challenge;
use super::failure::{Failed, GraphError, SAID_MAX, WORD_MAX, sign_in_again, told, unanswered};
use super::people::SignIns;
use super::throttle::{Gate, is_in_background};
use super::tokens::{Bearer, Tokens};
use super::trusting::Trusting;
use super::wire::{ErrorBody, ErrorSaid, Page};
use crate::DirectoryError;

/// For how long a busy tenant is waited for before the caller is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Pages of one list at most: a hundred thousand accounts are nobody's JIT accounts.
const PAGES_MAX: usize = 100;

/// A tenant's Graph.
pub(super) struct Graph {
    http: Trusting,
    settings: Entra,
    secrets: Arc<dyn ReadSecret>,
    tokens: Tokens,
    people: Arc<SignIns>,
    gate: Gate,
    /// The way to the login, which is busy or not by itself: requests with a token that is good go on meanwhile.
    login: Gate,
    /// What the server's clock said last, and when.
    clock: Mutex<Option<(DateTime<Utc>, Instant)>>,
}

/// A request. It may hold a password, so it cannot be printed.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    path: String,
    /// JSON, wiped when it is dropped.
    body: Option<Zeroizing<Vec<u8>>>,
    /// Whether a person waits for it.
    waited_for: bool,
    /// The only person whose answer is of use.
    asker: Option<String>,
}

impl Ask {
    fn new(method: Method, path: String) -> Self {
        Self { method, path, body: None, waited_for: !is_in_background(), asker: None }
    }

    /// `path` is appended to Graph's address; what is variable in it goes through [`segment`].
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(wiped_json(body)), ..Self::new(Method::POST, path.into()) }
    }

    /// Without a body.
    pub(super) fn call(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { body: Some(wiped_json(body)), ..Self::new(Method::PATCH, path.into()) }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    /// With an option of the query; blanks become `%20`, which every reader of OData takes.
    pub(super) fn option(mut self, name: &str, value: &str) -> Self {
        let before = if self.path.contains('?') { '&' } else { '?' };
        self.path.push_str(&format!("{before}{name}={}", segment(value)));
        self
    }

    /// Nobody waits for it.
    pub(super) fn in_the_background(mut self) -> Self {
        self.waited_for = false;
        self
    }

    /// The answer depends on who asks: nobody else may.
    pub(super) fn only_as(mut self, person: &str) -> Self {
        self.asker = Some(person.to_owned());
        self
    }

    fn reads(&self) -> bool {
        self.method == Method::GET
    }
}

/// `principalId eq '…'`; a quote in a text is doubled (OData 4.01, ABNF `string`).
pub(super) fn equals(field: &str, value: &str) -> String {
    format!("{field} eq {}", quoted(value))
}

pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// An answer with a status of success.
pub(super) struct Answer {
    pub(super) time: Option<DateTime<Utc>>,
    /// Wiped: it may hold a pass.
    body: Zeroizing<Vec<u8>>,
    /// Whether it is the answer to a question only.
    read: bool,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failed> {
        Ok(ticketgate_https::json(&self.body).map_err(|error| unread(self.read, error))?)
    }
}

impl Graph {
    /// # Errors
    /// [`DirectoryError::Certificate`] where nobody could vouch for the server.
    pub(super) fn new(
        settings: &Entra,
        secrets: Arc<dyn ReadSecret>,
        people: Arc<SignIns>,
    ) -> Result<Self, DirectoryError> {
        Ok(Self {
            http: Trusting::new(settings)?,
            settings: settings.clone(),
            secrets,
            tokens: Tokens::default(),
            people,
            gate: Gate::new(),
            login: Gate::new(),
            clock: Mutex::default(),
        })
    }

    pub(super) const fn settings(&self) -> &Entra {
        &self.settings
    }

    pub(super) fn secrets(&self) -> &dyn ReadSecret {
        self.secrets.as_ref()
    }

    pub(super) fn people(&self) -> &SignIns {
        &self.people
    }

    pub(super) fn http(&self) -> reqwest::Client {
        self.http.client()
    }

    /// Takes up the authorities of the file that names them, where they are others now. Blocks on the file.
    ///
    /// # Errors
    /// As [`Graph::new`]; those from before then still count.
    pub(super) fn trust_anew(&self) -> Result<(), DirectoryError> {
        self.http.anew(&self.settings)
    }

    /// Whether a person's sign-in is what the tenant is asked by.
    pub(super) const fn is_by_person(&self) -> bool {
        matches!(self.settings.proof, Proof::Technician { .. })
    }

    /// The same for another tenant of the same people.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub(super) fn of(&self, tenant: &ObjectId) -> Result<Self, DirectoryError> {
        let settings = Entra { tenant: tenant.clone(), ..self.settings.clone() };
        Self::new(&settings, Arc::clone(&self.secrets), Arc::clone(&self.people))
    }

    /// The token that Graph is asked with.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub(super) async fn token(&self) -> Result<Bearer, DirectoryError> {
        self.tokens.get(&self.http(), &self.settings, &self.secrets, &self.people, &self.login).await
    }

    /// Whether this object of the tenant is the person by whose sign-in it is asked.
    ///
    /// # Errors
    /// As [`Graph::token`].
    pub(super) async fn is_asked_by(&self, id: &str) -> Result<bool, DirectoryError> {
        let by_person = self.is_by_person();
        Ok(by_person && self.token().await?.person.is_some_and(|person| person.eq_ignore_ascii_case(id)))
    }

    /// The tenant's time now, by its last answer.
    pub(super) fn now(&self) -> Option<DateTime<Utc>> {
        let (told, at) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(told + TimeDelta::from_std(at.elapsed()).ok()?)
    }

    /// Asks, and answers what came with a status of success.
    ///
    /// A busy tenant is waited for, a token that it does not take is replaced, and a request that did not go out is sent once
    /// more. Nothing that may have been done is done again.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer, Failed> {
        let give_up = Instant::now() + PATIENCE;
        let (mut new_token, mut new_connection) = (false, false);
        loop {
            let token = self.token().await?;
            let is_asker =
                |wanted: &String| token.person.as_ref().is_some_and(|p| p.eq_ignore_ascii_case(wanted));
            if !ask.asker.as_ref().is_none_or(is_asker) {
                return Err(DirectoryError::Busy("somebody else signed in meanwhile".into()).into());
            }
            let token = token.text;
            let left = give_up.saturating_duration_since(Instant::now());
            let seat = self.gate.pass(left, ask.waited_for).await.map_err(busy_for)?;
            let response = self.request(ask, &token).send().await;
            drop(seat);
            let response = match response {
                Ok(response) => response,
                Err(error) => match ticketgate_https::failure(&error) {
                    HttpError::Unreachable(_) if !new_connection => {
                        new_connection = true;
                        continue;
                    }
                    HttpError::Ambiguous(_) if ask.reads() && !new_connection => {
                        new_connection = true;
                        continue;
                    }
                    HttpError::Ambiguous(why) if ask.reads() => {
                        return Err(DirectoryError::Unreachable(why).into());
                    }
                    failure => return Err(failure.into()),
                },
            };
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let time = self.keep_time(&headers);
            if status == 401 && !new_token {
                new_token = true;
                self.tokens.forget(&token).await;
                continue;
            }
            if status == 429 || status == 503 || (status == 504 && ask.reads()) {
                let pause = self.gate.close(retry_after(
                    &headers,
                    time.unwrap_or_else(|| std::time::SystemTime::now().into()),
                ));
                if Instant::now() + pause <= give_up {
                    continue;
                }
                return Err(self.refused(status, &headers, response, Some(pause)).await);
            }
            self.gate.answered();
            if !(200..300).contains(&status) {
                return Err(self.refused(status, &headers, response, None).await);
            }
            let read = ask.reads();
            let body = ticketgate_https::body(response).await.map_err(|error| unread(read, error))?;
            return Ok(Answer { time, body, read });
        }
    }

    async fn refused(
        &self,
        status: u16,
        headers: &HeaderMap,
        response: reqwest::Response,
        pause: Option<Duration>,
    ) -> Failed {
        let error =
            GraphError { by_person: self.is_by_person(), ..refusal(status, headers, response, pause).await };
        // Only the person can answer it: by the next sign-in, with what is wanted besides.
        if error.by_person && (status == 401 || error.is_challenge()) {
            self.people.challenged(&self.settings, challenge::wanted(headers, &error.message));
            let why = format!("the tenant wants more than was shown (request-id {})", error.request);
            return sign_in_again(&self.settings, why).into();
        }
        Failed::Graph(error)
    }

    /// Every page of a list.
    ///
    /// # Errors
    /// [`Failed`]; also where the next page is somewhere else: the token must not go there.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        ask: &Ask,
    ) -> Result<(Vec<T>, Option<DateTime<Utc>>), Failed> {
        let answer = self.send(ask).await?;
        let page: Page<T> = answer.json()?;
        let (mut found, mut next) = (page.value, page.next);
        for _ in 1..PAGES_MAX {
            let Some(link) = next else { return Ok((found, answer.time)) };
            let path = inside(&self.settings.graph_url, &link).ok_or_else(|| {
                DirectoryError::Refused("the next page of a list is at another address than Graph's".into())
            })?;
            let page: Page<T> = self.send(&Ask { path: path.to_owned(), ..ask.clone() }).await?.json()?;
            found.extend(page.value);
            next = page.next;
        }
        match next {
            None => Ok((found, answer.time)),
            Some(_) => Err(DirectoryError::Refused("a list has no end".into()).into()),
        }
    }

    fn request(&self, ask: &Ask, token: &Secret) -> reqwest::RequestBuilder {
        let address = format!("{}{}", self.settings.graph_url, ask.path);
        // To Graph, inside TLS.
        let mut request = self.http().request(ask.method.clone(), address).bearer_auth(token.expose());
        if let Some(id) = request_id() {
            request = request.header("client-request-id", id);
        }
        if ask.waited_for {
            request = request.header("x-ms-throttle-priority", "high");
        }
        match &ask.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(wiped(body.clone())),
            // Some servers in between want to be told that nothing comes.
            None if ask.method == Method::POST => request.header("content-length", "0"),
            None => request,
        }
    }

    fn keep_time(&self, headers: &HeaderMap) -> Option<DateTime<Utc>> {
        let time = server_time(headers)?;
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Instant::now()));
        Some(time)
    }
}

/// An answer that cannot be read: to a question it is none, and what a request became of is then not known.
fn unread(read: bool, error: HttpError) -> DirectoryError {
    match error {
        HttpError::Ambiguous(why) if read => DirectoryError::Unreachable(why),
        HttpError::Unreadable(why) if !read => DirectoryError::Ambiguous(why),
        error => unanswered(error),
    }
}

/// The path of an address that is Graph's own.
pub(super) fn inside<'a>(graph_url: &str, link: &'a str) -> Option<&'a str> {
    link.strip_prefix(graph_url).filter(|rest| rest.starts_with('/'))
}

/// By which Microsoft's support finds a request; none where the system gives no randomness.
fn request_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| digits.get(from..to);
    Some([part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-"))
}

pub(super) fn busy_for(left: Duration) -> DirectoryError {
    DirectoryError::BusyFor { why: "the tenant asked to be left alone".into(), after_s: seconds(left) }
}

/// In whole seconds, at least one.
pub(super) fn seconds(pause: Duration) -> u32 {
    u32::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

pub(super) async fn refusal(
    status: u16,
    headers: &HeaderMap,
    response: reqwest::Response,
    pause: Option<Duration>,
) -> GraphError {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = ticketgate_https::body(response).await.unwrap_or_default();
    let said = ticketgate_https::json::<ErrorBody>(&body).ok().map(|body| body.error);
    let inner =
        said.as_ref().and_then(|said| said.inner.as_ref()?.get("request-id")?.as_str().map(str::to_owned));
    let whole = said.as_ref().map_or_else(|| String::from_utf8_lossy(&body), |said| (&said.message).into());
    let mut message = told(&whole, SAID_MAX);
    if text(WWW_AUTHENTICATE.as_str()).contains("insufficient_claims") {
        message.push_str(" insufficient_claims");
    }
    let id = |said: &str| Some(told(said, WORD_MAX)).filter(|id| !id.is_empty());
    let request = id(&text("request-id")).or_else(|| id(&inner?)).unwrap_or_else(|| "unknown".into());
    let conflict = |said: &ErrorSaid| said.details.iter().any(|detail| detail.code == "ObjectConflict");
    let error = GraphError {
        status,
        name_taken: said.as_ref().is_some_and(conflict),
        code: told(&said.map(|said| said.code).unwrap_or_default(), WORD_MAX),
        message,
        request,
        after_s: pause.map(seconds),
        by_person: false,
    };
    tracing::debug!(
        status,
        code = error.code,
        message = error.message,
        request = error.request,
        "Graph refused a request"
    );
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_write_that_cannot_be_read_leaves_open_what_was_done() {
        let unreadable = || HttpError::Unreadable("x".into());
        let broken = || HttpError::Ambiguous("x".into());
        assert!(matches!(unread(false, unreadable()), DirectoryError::Ambiguous(_)));
        assert!(matches!(unread(false, broken()), DirectoryError::Ambiguous(_)));
        assert!(matches!(unread(true, unreadable()), DirectoryError::Refused(_)));
        assert!(matches!(unread(true, broken()), DirectoryError::Unreachable(_)));
        let answer = |read| Answer { time: None, body: b"<html>".to_vec().into(), read };
        assert!(answer(false).json::<Value>().is_err_and(|failed| failed.is_lost()));
        assert!(answer(true).json::<Value>().is_err_and(|failed| !failed.is_lost()));
    }
}
