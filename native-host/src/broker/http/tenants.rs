//! Handlers about tenants: signing in, signing out, a partner's customers. Their routes stand with all others.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use ticketgate_protocol::ids::DirectoryId;
use ticketgate_protocol::problem::{Code, Problem};

use super::routes::to_the_end;
use super::{Body, Refusal, Who};
use crate::broker::Broker;
use crate::sign_in::{PartnerTenant, SignInAsked, SignInGoesOn, SignInStands, SignInWanted};

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<Broker>>;

/// Begins a person's sign-in to a tenant.
#[utoipa::path(post, path = "/v1/directories/{id}/sign-in", request_body = SignInWanted, params(("id" = String, Path)), responses((status = 200, body = SignInAsked), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn sign_in(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
    Body(wanted): Body<SignInWanted>,
) -> Answer<SignInAsked> {
    Ok(Json(broker.begin_sign_in(&caller, &directory_id(id)?, wanted).await?))
}

/// Goes on with it: with what the browser came back with (its state and code), or, by a device's code, whether it is done.
#[utoipa::path(post, path = "/v1/directories/{id}/sign-in/go-on", params(("id" = String, Path)), responses((status = 200, body = SignInStands), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn go_on(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
    Body(on): Body<SignInGoesOn>,
) -> Result<([(header::HeaderName, &'static str); 1], Json<SignInStands>), Refusal> {
    let id = directory_id(id)?;
    let stands = to_the_end(async move { broker.finish_sign_in(&caller, &id, &on).await }).await?;
    // The buffers of a connection keep what went through them; with the connection they go.
    Ok(([(header::CONNECTION, "close")], Json(stands)))
}

/// Forgets the sign-in.
#[utoipa::path(post, path = "/v1/directories/{id}/sign-out", params(("id" = String, Path)), responses((status = 200, body = SignInStands), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn sign_out(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
) -> Answer<SignInStands> {
    let id = directory_id(id)?;
    Ok(Json(to_the_end(async move { broker.sign_out(&caller, &id).await }).await?))
}

/// The tenants of a partner's customers (GDAP).
#[utoipa::path(get, path = "/v1/directories/{id}/tenants", params(("id" = String, Path)), responses((status = 200, body = Vec<PartnerTenant>), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn tenants(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
) -> Answer<Vec<PartnerTenant>> {
    Ok(Json(broker.partner_tenants(&caller, &directory_id(id)?).await?))
}

fn directory_id(text: String) -> Result<DirectoryId, Refusal> {
    DirectoryId::new(text).map_err(|bad| {
        Refusal(
            Problem::new(Code::MalformedRequest, format!("That is {bad}."))
                .remedy("The configuration has the ids of directories."),
        )
    })
}
