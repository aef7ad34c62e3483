//! The routes: one small handler each. What they answer stands in the OpenAPI document, made from the same lines.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use ticketgate_access::roles::Reach;
use ticketgate_ledger::{AuditQuery, SessionFilter};
use ticketgate_protocol::api;
use ticketgate_protocol::ids::{CustomerId, SessionId, TechnicianId};
use ticketgate_protocol::problem::{Code, Problem};
use utoipa::OpenApi;

use super::{Api, Body, Key, Refusal, Who, events, team, tenants};
use crate::broker::listen::monitoring;
use crate::broker::people::{narrowed, not_reached};
use crate::broker::service::fault;
use crate::broker::{Broker, Caller, ledger_problem, on_record, traces};
use crate::handover::PasswordHandOver;

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<Broker>>;

/// Every route.
pub(super) fn all() -> Router<Api> {
    Router::new()
        .route("/v1/broker", get(broker))
        .route("/v1/overview", get(overview))
        .route("/v1/ticket", post(ticket))
        .route("/v1/preview", post(preview))
        .route("/v1/sessions", get(sessions).post(activate))
        .route("/v1/sessions/{id}", get(session))
        .route("/v1/sessions/{id}/extend", post(extend))
        .route("/v1/sessions/{id}/end", post(end))
        .route("/v1/sessions/{id}/password", post(password))
        .route("/v1/end-all", post(end_all))
        .route("/v1/audit", get(audit))
        .route("/v1/audit/export", get(audit_export))
        .route("/v1/audit/verify", get(audit_verify))
        .route("/v1/check", get(check).post(rehearse))
        .route("/v1/metrics", get(metrics))
        .route("/v1/sweep", post(sweep))
        .route("/v1/directories/{id}/sign-in", post(tenants::sign_in))
        .route("/v1/directories/{id}/sign-in/go-on", post(tenants::go_on))
        .route("/v1/directories/{id}/sign-out", post(tenants::sign_out))
        .route("/v1/directories/{id}/tenants", get(tenants::tenants))
        .route("/v1/sign-in", post(team::sign_in))
        .route("/v1/sign-in/go-on", post(team::go_on))
        .route("/v1/sign-in/renew", post(team::renew))
        .route("/v1/sign-in/logout-token", post(team::logout_token))
        .route("/v1/sign-out", post(team::sign_out))
        .route("/v1/sign-ins", get(team::sign_ins))
        .route("/v1/sign-ins/revoke", post(team::revoke))
        .route("/v1/tokens", get(team::tokens).post(team::make_token))
        .route("/v1/tokens/{id}/revoke", post(team::revoke_token))
        .route("/v1/technicians/{id}/remove", post(team::remove_technician))
        .route("/v1/events", get(events::events))
        .route("/v1/openapi.json", get(openapi))
}

/// The broker's API, as an OpenAPI document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ticketgate broker",
        description = "Just-in-time administrator access. Errors are RFC 9457 problem details."
    ),
    paths(
        broker,
        overview,
        ticket,
        preview,
        sessions,
        activate,
        session,
        extend,
        end,
        password,
        end_all,
        audit,
        audit_export,
        audit_verify,
        check,
        rehearse,
        metrics,
        sweep,
        tenants::sign_in,
        tenants::go_on,
        tenants::sign_out,
        tenants::tenants,
        team::sign_in,
        team::go_on,
        team::renew,
        team::logout_token,
        team::sign_out,
        team::sign_ins,
        team::revoke,
        team::tokens,
        team::make_token,
        team::revoke_token,
        team::remove_technician,
        events::events
    ),
    components(schemas(Problem, api::Event))
)]
pub struct Document;

/// Who serves, and whom.
#[utoipa::path(get, path = "/v1/broker", responses((status = 200, body = api::BrokerInfo)))]
async fn broker(State(broker): Shared, Who(caller): Who) -> Json<api::BrokerInfo> {
    Json(broker.info(&caller))
}

/// Customers, policies and open sessions of the caller.
#[utoipa::path(get, path = "/v1/overview", responses((status = 200, body = api::Overview), (status = 403, body = Problem), (status = 503, body = Problem)))]
async fn overview(State(broker): Shared, Who(caller): Who) -> Answer<api::Overview> {
    Ok(Json(broker.overview(&caller).await?))
}

/// What the ticket system says of a ticket of the caller's customers; changes nothing.
#[utoipa::path(post, path = "/v1/ticket", request_body = api::TicketQuestion, responses((status = 200, body = api::TicketTold), (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn ticket(
    State(broker): Shared,
    Who(caller): Who,
    Body(question): Body<api::TicketQuestion>,
) -> Answer<api::TicketTold> {
    Ok(Json(broker.look_up(&caller, &question).await?))
}

/// What an activation would answer now; changes nothing.
#[utoipa::path(post, path = "/v1/preview", request_body = api::Activate, responses((status = 200, body = api::Preview), (status = 403, body = Problem)))]
async fn preview(
    State(broker): Shared,
    Who(caller): Who,
    Body(wish): Body<api::Activate>,
) -> Answer<api::Preview> {
    Ok(Json(broker.preview(&caller, &wish)?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct SessionsQuery {
    /// This technician's (administrators may name another than themselves).
    technician: Option<TechnicianId>,
    /// At this customer.
    customer: Option<CustomerId>,
    /// Only those that are not over.
    #[serde(default)]
    open: bool,
    /// Everybody's (administrators).
    #[serde(default)]
    all: bool,
}

/// Sessions, soonest end first, at most 1,000.
#[utoipa::path(get, path = "/v1/sessions", params(SessionsQuery), responses((status = 200, body = Vec<api::Session>), (status = 403, body = Problem)))]
async fn sessions(
    State(broker): Shared,
    Who(caller): Who,
    query: Result<Query<SessionsQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Vec<api::Session>> {
    let Query(query) = query.map_err(|_| bad_query())?;
    let technician = query.technician.or_else(|| caller.person.clone().filter(|_| !query.all));
    let own = technician.is_some() && technician == caller.person;
    let customer = if own { query.customer } else { narrowed(&caller.sees_sessions(), query.customer)? };
    let filter = SessionFilter {
        technician,
        customer,
        open: query.open,
        limit: Some(1_000),
        ..SessionFilter::default()
    };
    Ok(Json(broker.list(filter).await?))
}

/// Grants a session.
#[utoipa::path(post, path = "/v1/sessions", request_body = api::Activate, params(("Idempotency-Key" = String, Header)), responses((status = 201, body = api::Session), (status = 202, body = api::Session, description = "Still under way"), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn activate(
    State(broker): Shared,
    Who(caller): Who,
    Key(key): Key,
    Body(wish): Body<api::Activate>,
) -> Result<(StatusCode, Json<api::Session>), Refusal> {
    let session = to_the_end(async move { broker.activate(&caller, &key, &wish).await }).await?;
    let status =
        if session.state == api::State::Activating { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    Ok((status, Json(session)))
}

/// One session.
#[utoipa::path(get, path = "/v1/sessions/{id}", params(("id" = String, Path)), responses((status = 200, body = api::Session), (status = 404, body = Problem)))]
async fn session(State(broker): Shared, Who(caller): Who, Path(id): Path<String>) -> Answer<api::Session> {
    Ok(Json(broker.show_session(&caller, &session_id(id)?).await?))
}

/// Moves a session's end.
#[utoipa::path(post, path = "/v1/sessions/{id}/extend", request_body = api::Extend, params(("id" = String, Path), ("Idempotency-Key" = String, Header)), responses((status = 200, body = api::Session), (status = 409, body = Problem)))]
async fn extend(
    State(broker): Shared,
    Who(caller): Who,
    Key(key): Key,
    Path(id): Path<String>,
    Body(wish): Body<api::Extend>,
) -> Answer<api::Session> {
    let id = session_id(id)?;
    Ok(Json(to_the_end(async move { broker.extend(&caller, &key, &id, wish.by_s).await }).await?))
}

/// Ends a session. The answer's state is `ended`, or `ending` while it cannot be taken away yet.
#[utoipa::path(post, path = "/v1/sessions/{id}/end", params(("id" = String, Path), ("Idempotency-Key" = String, Header)), responses((status = 200, body = api::Session), (status = 404, body = Problem)))]
async fn end(
    State(broker): Shared,
    Who(caller): Who,
    Key(key): Key,
    Path(id): Path<String>,
) -> Answer<api::Session> {
    let id = session_id(id)?;
    Ok(Json(to_the_end(async move { broker.end(&caller, &key, &id).await }).await?))
}

/// Hands over an open session's password to the relay or the command line.
#[utoipa::path(post, path = "/v1/sessions/{id}/password", request_body = api::PasswordWanted, params(("id" = String, Path)), responses((status = 200, description = "The account, its password, and when to clear the clipboard"), (status = 410, body = Problem)))]
async fn password(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
    Body(wish): Body<api::PasswordWanted>,
) -> Result<([(header::HeaderName, &'static str); 1], Json<PasswordHandOver>), Refusal> {
    let id = session_id(id)?;
    let over = to_the_end(async move { broker.password(&caller, &id, wish).await }).await?;
    // The buffers of a connection keep what went through them; with the connection they go, on both sides.
    Ok(([(header::CONNECTION, "close")], Json(over)))
}

/// Ends every session of a technician or at a customer.
#[utoipa::path(post, path = "/v1/end-all", request_body = api::EndAll, responses((status = 200, body = Vec<api::Session>), (status = 403, body = Problem)))]
async fn end_all(
    State(broker): Shared,
    Who(caller): Who,
    Body(which): Body<api::EndAll>,
) -> Answer<Vec<api::Session>> {
    Ok(Json(to_the_end(async move { broker.end_all(&caller, &which).await }).await?))
}

#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    /// This customer's chain; `-` for what belongs to none.
    customer: Option<String>,
    /// From then on.
    since: Option<DateTime<Utc>>,
    /// Until then.
    until: Option<DateTime<Utc>>,
    /// After this position of the log.
    after: Option<u64>,
    /// At most so many, 1,000 at most.
    limit: Option<u32>,
    /// Where more match: the newest of them, not the oldest.
    #[serde(default)]
    newest: bool,
    /// Of an export: `jsonl` or `csv`.
    format: Option<String>,
}

impl RecordsQuery {
    /// What the caller may read: what is at their customers for administrators and auditors, else what concerns oneself.
    fn for_caller(self, caller: &Caller) -> Result<AuditQuery, Problem> {
        let reach = caller.reads_audit();
        let (technician, chain) = if reach.is_somewhere() {
            (None, chain(&reach, self.customer)?)
        } else {
            (Some(caller.technician()?.clone()), self.customer)
        };
        Ok(AuditQuery {
            actions: None,
            chain,
            from: self.since,
            until: self.until,
            technician,
            after: self.after,
            limit: self.limit.unwrap_or(1_000).clamp(1, 1_000),
            newest: self.newest,
        })
    }
}

/// Audit records, oldest first.
#[utoipa::path(get, path = "/v1/audit", params(RecordsQuery), responses((status = 200, body = Vec<api::AuditRecord>), (status = 403, body = Problem)))]
async fn audit(
    State(broker): Shared,
    Who(caller): Who,
    query: Result<Query<RecordsQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<Vec<api::AuditRecord>> {
    let Query(query) = query.map_err(|_| bad_query())?;
    let records = broker.ledger().audit(query.for_caller(&caller)?).await;
    Ok(Json(records.map_err(|e| ledger_problem(&e))?))
}

/// The audit log as JSON Lines or CSV, streamed.
#[utoipa::path(get, path = "/v1/audit/export", params(RecordsQuery), responses((status = 200, description = "JSON Lines or CSV"), (status = 403, body = Problem)))]
async fn audit_export(
    State(broker): Shared,
    Who(caller): Who,
    query: Result<Query<RecordsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query.map_err(|_| bad_query())?;
    let csv = match query.format.as_deref() {
        None | Some("jsonl") => false,
        Some("csv") => true,
        Some(_) => return Err(bad_query()),
    };
    // Page after page from the front.
    let query = AuditQuery { newest: false, ..query.for_caller(&caller)? };
    let pages = futures_util::stream::try_unfold((Some(query), true), move |(query, first)| {
        let ledger = Arc::clone(broker.ledger());
        async move {
            let Some(mut query) = query else { return Ok::<_, std::io::Error>(None) };
            let records = ledger.audit(query.clone()).await.map_err(std::io::Error::other)?;
            let mut page = Vec::new();
            if csv {
                ticketgate_ledger::export::csv(&mut page, &records)?;
                if !first {
                    // The line of names stands once, on the first page.
                    let names = page.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
                    page.drain(..names);
                }
            } else {
                ticketgate_ledger::export::json_lines(&mut page, &records)?;
            }
            let more = u32::try_from(records.len()).is_ok_and(|n| n >= query.limit);
            query.after = records.last().map(|r| r.position);
            Ok(Some((page, (more.then_some(query), false))))
        }
    });
    let kind = if csv { "text/csv; charset=utf-8" } else { "application/jsonl" };
    Ok(([(header::CONTENT_TYPE, kind)], axum::body::Body::from_stream(pages)).into_response())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct VerifyQuery {
    /// This customer's chain alone; `-` for what belongs to none.
    customer: Option<String>,
}

/// Checks the audit log's hash chains and signatures.
#[utoipa::path(get, path = "/v1/audit/verify", params(VerifyQuery), responses((status = 200, body = api::AuditVerdict), (status = 403, body = Problem)))]
async fn audit_verify(
    State(broker): Shared,
    Who(caller): Who,
    query: Result<Query<VerifyQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<api::AuditVerdict> {
    let Query(query) = query.map_err(|_| bad_query())?;
    let chain = chain(&caller.reads_audit(), query.customer)?;
    Ok(Json(broker.ledger().verify(chain).await.map_err(|e| ledger_problem(&e))?))
}

/// Looks for everything that sessions will need. Changes nothing.
#[utoipa::path(get, path = "/v1/check", responses((status = 200, body = Vec<api::Finding>), (status = 403, body = Problem)))]
async fn check(State(broker): Shared, Who(caller): Who) -> Answer<Vec<api::Finding>> {
    Ok(Json(broker.check(&caller, false).await?))
}

/// The same, and tries in each directory, with an account of its own that is never enabled and deleted at once, what only doing
/// it tells.
#[utoipa::path(post, path = "/v1/check", responses((status = 200, body = Vec<api::Finding>), (status = 403, body = Problem)))]
async fn rehearse(State(broker): Shared, Who(caller): Who) -> Answer<Vec<api::Finding>> {
    Ok(Json(broker.check(&caller, true).await?))
}

/// The broker's numbers as Prometheus reads them, of all customers.
#[utoipa::path(get, path = "/v1/metrics", responses((status = 200, description = "OpenMetrics"), (status = 403, body = Problem)))]
async fn metrics(State(broker): Shared, Who(caller): Who) -> Result<Response, Refusal> {
    caller.require_metrics()?;
    Ok(monitoring::metrics(State(broker)).await)
}

/// Converges every account now.
#[utoipa::path(post, path = "/v1/sweep", responses((status = 200, body = Vec<api::Finding>), (status = 403, body = Problem)))]
async fn sweep(State(broker): Shared, Who(caller): Who) -> Answer<Vec<api::Finding>> {
    caller.require_own_or_administrator()?;
    Ok(Json(broker.sweep().await?))
}

/// The API's own description.
async fn openapi() -> impl IntoResponse {
    Json(Document::openapi())
}

/// Carries a change out to its end, also when the caller hangs up in the middle.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(on_record::carried(work)).await.map_err(|_| fault()).flatten()
}

/// The chain that is asked for, where the asker may read some only. What belongs to no customer is for those who may read all.
fn chain(reach: &Reach, asked: Option<String>) -> Result<Option<String>, Problem> {
    if *reach == Reach::Everywhere {
        return Ok(asked);
    }
    // What is no id is no customer of theirs either.
    let named = asked.map(|chain| CustomerId::new(chain).map_err(|_| not_reached())).transpose()?;
    Ok(narrowed(reach, named)?.map(|customer| customer.to_string()))
}

fn session_id(text: String) -> Result<SessionId, Refusal> {
    let id = SessionId::new(text).map_err(|bad| {
        let problem = Problem::new(Code::UnknownSession, format!("That is {bad}."));
        Refusal(problem.remedy("`ticketgate sessions` lists yours."))
    })?;
    traces::note("ticketgate.session", &id);
    Ok(id)
}

fn bad_query() -> Refusal {
    let problem = Problem::new(Code::MalformedRequest, "The query has an unknown or malformed parameter.");
    Refusal(problem.remedy("The broker's OpenAPI document (`/v1/openapi.json`) lists them."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_describes_every_route() {
        let document = Document::openapi();
        let described: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
        let source = include_str!("routes.rs");
        let served =
            source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next());
        for route in served.filter(|route| *route != "/v1/openapi.json") {
            assert!(described.contains(&route), "{route} is not in the OpenAPI document");
        }
    }
}
