//! One request to the broker before it is known by which way it goes.

use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request};
use serde::Serialize;
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::Problem;

use super::transport::unsayable;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    body: Option<String>,
    key: Option<String>,
    last_id: Option<String>,
    /// Whether it may be sent once more when its answer was lost: nothing is done twice by that.
    pub(super) again: bool,
}

impl Ask {
    /// A question, which changes nothing.
    pub(super) fn get(path: &str) -> Self {
        let path = path.to_owned();
        Self { method: Method::GET, path, body: None, key: None, last_id: None, again: true }
    }

    /// Something to be done. With a key it may be repeated.
    pub(super) fn post(
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Self, Problem> {
        let body = body.map(serde_json::to_string).transpose().map_err(|_| unsayable())?;
        Ok(Self {
            method: Method::POST,
            path: path.to_owned(),
            body,
            key: key.map(|key| key.as_str().to_owned()),
            last_id: None,
            again: key.is_some(),
        })
    }

    /// The same, which changes nothing although it is a `POST`, or nothing more by a repeat.
    pub(super) fn repeatable(mut self) -> Self {
        self.again = true;
        self
    }

    /// The same, going on behind this event.
    pub(super) fn after(mut self, last_id: Option<&str>) -> Self {
        self.last_id = last_id.map(str::to_owned);
        self
    }

    /// Whether a repeat finds what was begun: then it is worth waiting for a broker that comes back.
    pub(super) const fn is_keyed(&self) -> bool {
        self.key.is_some()
    }

    /// The path without its query.
    pub(super) fn plain_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The request for this host.
    pub(super) fn request(&self, host: &str) -> Result<Request<String>, Problem> {
        self.head(host).body(self.body.clone().unwrap_or_default()).map_err(|_| unsayable())
    }

    /// The same, for a way on which nothing is repeated.
    pub(super) fn into_request(mut self, host: &str) -> Result<Request<String>, Problem> {
        let head = self.head(host);
        head.body(self.body.take().unwrap_or_default()).map_err(|_| unsayable())
    }

    fn head(&self, host: &str) -> Builder {
        let mut head = Request::builder().method(self.method.clone()).uri(&self.path).header(HOST, host);
        if self.body.is_some() {
            head = head.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            head = head.header("Idempotency-Key", key);
        }
        if let Some(id) = &self.last_id {
            head = head.header("Last-Event-ID", id);
        }
        head
    }
}
