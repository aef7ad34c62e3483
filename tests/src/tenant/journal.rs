//! What a tenant was asked.

use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Arrived {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }
}

/// A request with what came of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The tenant's name; empty where the token was nobody's.
    pub tenant: String,
    /// When it came.
    pub at: Instant,
    /// As `POST`.
    pub method: String,
    /// Decoded and without the query, as `/users/jit-tech1@acme.onmicrosoft.com`.
    pub path: String,
    /// The same as the description has it, as `/users/{user-id}`.
    pub template: String,
    /// As it was sent.
    pub query: String,
    /// The body, passwords and all; `Null` where there was none. Of a token request: its form without what is secret.
    pub body: Value,
    /// The answer's status.
    pub status: u16,
    /// The answer's error code, where it was a refusal.
    pub code: Option<String>,
    /// For how long the tenant wants to be left alone (`Retry-After`).
    pub wait: Option<Duration>,
    /// What the stand-in itself did not understand: a request, an option or a filter that no client of ours should send.
    pub strange: Option<String>,
    /// Whether it asked to be served before others (`x-ms-throttle-priority: high`).
    pub urgent: bool,
    /// The client's own id of the request; empty where it sent none.
    pub client_request_id: String,
    /// The stand-in's id of the request.
    pub request_id: String,
}

impl Asked {
    pub(super) fn new(
        arrived: &Arrived,
        tenant: Option<String>,
        path: String,
        template: &str,
        body: Value,
    ) -> Self {
        Self {
            tenant: tenant.unwrap_or_default(),
            at: Instant::now(),
            method: arrived.method.clone(),
            path,
            template: template.to_owned(),
            query: arrived.query.clone(),
            body,
            status: 0,
            code: None,
            wait: None,
            strange: None,
            urgent: arrived.header("x-ms-throttle-priority").eq_ignore_ascii_case("high"),
            client_request_id: arrived.header("client-request-id").to_owned(),
            request_id: super::random_id(),
        }
    }

    pub(super) fn told(&mut self, status: u16, code: Option<&str>) {
        self.status = status;
        self.code = code.map(str::to_owned);
    }

    /// Method, path as described and status in one line, as `PATCH /users/{user-id} 204`.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.method, self.template, self.status)
    }
}

/// Requests that a tenant took though it had said when to come back and that time was not over, as lines. What was under way already
/// when it said so is itself told to wait (429), if the test throttles as many requests.
#[must_use]
pub fn too_early(journal: &[Asked]) -> Vec<String> {
    let mut closed: HashMap<&str, Instant> = HashMap::new();
    let mut early = Vec::new();
    for asked in journal {
        let until = closed.get(asked.tenant.as_str()).copied();
        if let Some(wait) = asked.wait {
            let until = until.map_or(asked.at + wait, |until| until.max(asked.at + wait));
            closed.insert(&asked.tenant, until);
        } else if let Some(left) = until.and_then(|until| until.checked_duration_since(asked.at))
            && !left.is_zero()
        {
            early.push(format!("{} {}: {left:?} too early", asked.tenant, asked.line()));
        }
    }
    early
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_before_its_time_is_told_and_one_after_it_or_of_another_tenant_is_not() {
        let begin = Instant::now();
        let asked = |tenant: &str, ms: u64, wait_ms: Option<u64>| {
            let arrived = Arrived {
                method: "GET".into(),
                path: String::new(),
                query: String::new(),
                headers: Vec::new(),
                body: Vec::new(),
            };
            let mut asked = Asked::new(&arrived, Some(tenant.into()), String::new(), "/users", Value::Null);
            asked.at = begin + Duration::from_millis(ms);
            asked.wait = wait_ms.map(Duration::from_millis);
            asked
        };
        let kept = [
            asked("a", 0, Some(2128)),
            asked("a", 1, Some(500)),
            asked("b", 2, None),
            asked("a", 2128, None),
        ];
        assert_eq!(too_early(&kept), Vec::<String>::new());
        let broken = [asked("a", 0, Some(2128)), asked("a", 1, Some(500)), asked("a", 2127, None)];
        assert_eq!(too_early(&broken), ["a GET /users 0: 1ms too early"]);
    }
}
