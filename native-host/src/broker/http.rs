//! The broker's API: HTTP and JSON, on a local socket or over HTTPS. Translates requests into [`Broker`] calls and problems into
//! answers; decides nothing. Who calls is found out by [`identity`].

mod events;
mod recording;
pub mod routes;
mod team;
mod tenants;
mod tracing;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use ticketgate_protocol::ids::IdempotencyKey;
use ticketgate_protocol::problem::{Code, Problem};

use super::identity::{self, Identified};
use super::service::fault;
use super::{Broker, Caller, on_record, records};

/// The largest body: the same as a native frame.
const BODY_MAX: usize = ticketgate_protocol::native::FRAME_IN_MAX;

/// The longest that a body may take to come in.
const BODY_WITHIN: Duration = if cfg!(test) { Duration::from_secs(1) } else { Duration::from_secs(10) };

/// The longest that any answer but a stream takes. An activation waits 25 seconds for its directory.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// What a request that nobody here understands is most often about.
const OTHER_VERSION: &str = "If the extension or the command line sent this, it and the broker are of different versions: update the older one.";

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    broker: Arc<Broker>,
    stopping: tokio::sync::watch::Receiver<bool>,
}

impl Api {
    pub(super) fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }
}

impl FromRef<Api> for Arc<Broker> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.broker)
    }
}

/// The whole API. `stopping` turns true when the broker stops, which ends the event streams.
pub fn router(broker: Arc<Broker>, stopping: tokio::sync::watch::Receiver<bool>) -> Router {
    let api = Api { broker, stopping };
    routes::all()
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        .layer(middleware::from_fn(identity::admitted))
        .layer(middleware::from_fn_with_state(api.clone(), recording::recorded))
        .layer(middleware::from_fn_with_state(api.clone(), identity::identified))
        .layer(middleware::from_fn_with_state(api.clone(), self::tracing::traced))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
}

async fn unknown_route() -> Refusal {
    Refusal(Problem::new(Code::UnknownMethod, "The broker has no such route.").remedy(OTHER_VERSION))
}

/// A problem as an HTTP answer (RFC 9457), with the id of the request that it answers.
pub struct Refusal(pub Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem { request_id: self.0.request_id.or_else(on_record::id), ..self.0 };
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut body = serde_json::to_value(&problem).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.insert("type".into(), format!("urn:ticketgate:problem:{}", problem.code.as_str()).into());
            members.insert("title".into(), problem.code.as_str().replace('_', " ").into());
        }
        let retry_after_s = problem.retry_after_s;
        let mut response = (status, axum::Json(body)).into_response();
        response.extensions_mut().insert(problem);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON body; anything else is a problem with a stable code.
pub struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let read = tokio::time::timeout(BODY_WITHIN, axum::Json::<T>::from_request(request, state));
        let Ok(read) = read.await else {
            let detail = format!("The body did not come in within {} s.", BODY_WITHIN.as_secs());
            return Err(Refusal(Problem::new(Code::TimedOut, detail).remedy("Try again.")));
        };
        match read {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal(
                Problem::new(Code::TooLarge, format!("The body is larger than {BODY_MAX} bytes."))
                    .remedy("Shorten the reason and the ticket's texts."),
            )),
            Err(rejection) => Err(Refusal(malformed(&rejection))),
        }
    }
}

/// What is wrong with a body, in the words of whoever read it: they name the field and repeat only what was sent.
fn malformed(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
    let why: String = records::printable(why).chars().take(200).collect();
    Problem::new(Code::MalformedRequest, format!("The body is not the JSON that this request takes: {why}."))
        .remedy(OTHER_VERSION)
}

/// The caller, identified under the configuration in force.
pub struct Who(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match parts.extensions.get::<Identified>() {
            Some(Identified(found)) => Ok(Self(found.clone()?)),
            None => Err(Refusal(fault())),
        }
    }
}

/// The `Idempotency-Key` header, which every mutating request carries.
pub struct Key(pub IdempotencyKey);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let key = parts.headers.get("idempotency-key").and_then(|v| v.to_str().ok());
        key.and_then(|k| IdempotencyKey::new(k).ok()).map(Self).ok_or_else(|| {
            let detail = "The request needs an Idempotency-Key header: 1 to 64 of a-z, 0-9, '-', '_', '.'.";
            Refusal(Problem::new(Code::MalformedRequest, detail).remedy(OTHER_VERSION))
        })
    }
}

/// The state with the stop signal, for streams.
pub type WithApi = State<Api>;
