//! Requests as the relay and the broker's HTTP read them: a frame's text, a body, an idempotency key. What the relay takes, the
//! broker reads as the same; what is accepted says the same when written again; and a decision never lets more through than
//! the policy and the caps of texts allow.

use std::sync::LazyLock;

use axum::body::Body as Bytes;
use axum::extract::{FromRequest, FromRequestParts};
use axum::http;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ticketgate::broker::http::{Body, Key};
use ticketgate::relay::fuzzing::{Frame, parse};
use ticketgate_access::config::{self, Config};
use ticketgate_access::decide::{DecisionFacts, decide};
use ticketgate_protocol::api::{Activate, EndAll, Extend, PasswordWanted, TicketQuestion};
use ticketgate_protocol::ids::{IdempotencyKey, TechnicianId};
use ticketgate_protocol::native::Method;
use ticketgate_protocol::problem::Problem;
use ticketgate_protocol::text::{self, REASON_MAX};

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| config::read(include_str!("../../native-host/example.toml")).unwrap());

pub(crate) fn run(data: &[u8]) {
    key(data);
    body::<Extend>(data);
    body::<EndAll>(data);
    body::<PasswordWanted>(data);
    body::<TicketQuestion>(data);
    if let Some(wish) = body::<Activate>(data) {
        decided(&wish);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Frame::Request(request) = parse(text) else { return };
    crate::frame::accepted(&request);
    match &request.method {
        Method::Activate(wish) | Method::Preview(wish) => {
            assert_eq!(sent_on(wish).as_ref(), Some(wish));
            decided(wish);
        }
        Method::Ticket(question) => assert_eq!(sent_on(question).as_ref(), Some(question)),
        Method::Extend(wish) => {
            let wish = Extend { by_s: wish.by_s };
            assert_eq!(sent_on(&wish), Some(wish));
        }
        Method::CopyPassword(wish) => {
            let wish = PasswordWanted { renew: wish.renew, once: false, directory: wish.directory.clone() };
            assert_eq!(sent_on(&wish), Some(wish));
        }
        Method::Hello(_) | Method::Overview | Method::End(_) | Method::Diagnose | Method::SignIn => {}
    }
}

/// A body as the broker reads it.
fn body<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(data: &[u8]) -> Option<T> {
    match read::<T>(data) {
        Ok(value) => {
            assert_eq!(sent_on(&value).as_ref(), Some(&value), "it is not read as it was written");
            Some(value)
        }
        Err(problem) => {
            assert!((400..500).contains(&problem.status), "{problem:?}");
            assert!(
                problem.detail.chars().count() <= 300 && !problem.detail.chars().any(text::is_forbidden),
                "{problem:?}"
            );
            None
        }
    }
}

/// What the relay's client makes of a value, read by the broker.
fn sent_on<T: DeserializeOwned + Serialize>(value: &T) -> Option<T> {
    read(&serde_json::to_vec(value).unwrap()).ok()
}

fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, Problem> {
    let request = http::Request::post("/v1/sessions")
        .header("content-type", "application/json")
        .body(Bytes::from(data.to_vec()))
        .unwrap();
    let read = crate::ldap::runtime().block_on(Body::<T>::from_request(request, &()));
    read.map(|Body(value)| value).map_err(|refusal| refusal.0)
}

/// The idempotency key out of a header.
fn key(data: &[u8]) {
    let Ok(value) = http::HeaderValue::from_bytes(data) else { return };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.headers.insert("idempotency-key", value);
    if let Ok(Key(key)) = crate::ldap::runtime().block_on(Key::from_request_parts(&mut parts, &())) {
        assert_eq!(key.as_str().as_bytes(), data);
        assert!(IdempotencyKey::new(key.as_str()).is_ok() && data.len() <= 64);
    }
}

/// Everybody's wish is decided within the policy's bounds, or refused in words that are clean.
fn decided(wish: &Activate) {
    let now = DateTime::<Utc>::from_timestamp(1_767_323_045, 0).unwrap();
    for technician in CONFIG.technicians.keys().cloned().chain(TechnicianId::new("nobody")) {
        match decide(&CONFIG, &technician, wish, DecisionFacts { now }) {
            Ok(granted) => {
                let policy = CONFIG.policies.get(&granted.policy).unwrap();
                let who = CONFIG.technicians.get(&technician).unwrap();
                assert!(
                    policy.eligible.admits(who) && policy.unmet.is_empty(),
                    "granted to whom it is not for"
                );
                assert_eq!(granted.grants, policy.grants);
                assert!(granted.until > now && granted.until <= granted.latest_end);
                assert!(granted.latest_end <= now + TimeDelta::seconds(policy.duration.max_s.into()));
                assert_eq!(text::line(&granted.reason, REASON_MAX).as_ref(), Ok(&granted.reason));
                assert!(granted.ticket.is_some() || !policy.ticket.required);
                if let Some(ticket) = &granted.ticket {
                    assert_eq!(ticket.clone().checked().as_ref(), Ok(ticket));
                }
            }
            Err(problem) => assert!(
                problem.detail.chars().count() < 500 && !problem.detail.chars().any(text::is_forbidden)
            ),
        }
    }
}
