//! Handlers of a team's broker: people sign in and out, and administrators see to sign-ins, tokens and people who leave. Their routes
//! stand with all others.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderName, StatusCode, header};
use ticketgate_protocol::ids::TechnicianId;
use ticketgate_protocol::problem::{Code, Problem};

use super::routes::to_the_end;
use super::{Body, Refusal, Who};
use crate::broker::Broker;
use crate::broker::identity::{Peer, RelayKey, ShownToken};
use crate::sign_in::team::{
    RemoveTechnician, RenewalWanted, RevokeSignIns, SignInShown, SignedIn, TeamSignInGoesOn,
    TeamSignInStands, TechnicianRemoved, TokenMade, TokenShown, TokenWanted,
};
use crate::sign_in::{SignInAsked, SignInWanted};

type Answer<T> = Result<Json<T>, Refusal>;
type Shared = State<Arc<Broker>>;

/// No cache keeps what has a token in it.
type Told<T> = ([(HeaderName, &'static str); 1], Json<T>);

fn told<T>(answer: T) -> Told<T> {
    ([(header::CACHE_CONTROL, "no-store")], Json(answer))
}

/// Begins a person's sign-in to the broker.
#[utoipa::path(post, path = "/v1/sign-in", request_body = SignInWanted, params(("DPoP" = String, Header)), responses((status = 200, body = SignInAsked), (status = 401, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn sign_in(
    State(broker): Shared,
    relay: RelayKey,
    Body(wanted): Body<SignInWanted>,
) -> Answer<SignInAsked> {
    Ok(Json(broker.begin_team_sign_in(&relay, wanted).await?))
}

/// Goes on with it: with what the browser came back with, or, by a device's code, whether it is done.
#[utoipa::path(post, path = "/v1/sign-in/go-on", params(("DPoP" = String, Header)), responses((status = 200, description = "The broker's token and what renews it, or after how long to ask again"), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn go_on(
    State(broker): Shared,
    relay: RelayKey,
    Body(on): Body<TeamSignInGoesOn>,
) -> Result<Told<TeamSignInStands>, Refusal> {
    Ok(told(to_the_end(async move { broker.finish_team_sign_in(&relay, &on).await }).await?))
}

/// Renews it.
#[utoipa::path(post, path = "/v1/sign-in/renew", params(("DPoP" = String, Header)), responses((status = 200, description = "A new token"), (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn renew(
    State(broker): Shared,
    shown: ShownToken,
    Body(wanted): Body<RenewalWanted>,
) -> Result<Told<SignedIn>, Refusal> {
    Ok(told(to_the_end(async move { broker.renew_team_sign_in(shown, wanted).await }).await?))
}

/// Ends it.
#[utoipa::path(post, path = "/v1/sign-out", params(("DPoP" = String, Header)), responses((status = 200, description = "Nobody is signed in by this token any more"), (status = 401, body = Problem)))]
pub(super) async fn sign_out(
    State(broker): Shared,
    shown: ShownToken,
    Body(with): Body<RenewalWanted>,
) -> Answer<serde_json::Map<String, serde_json::Value>> {
    to_the_end(async move { broker.team_sign_out(shown, with).await }).await?;
    Ok(Json(serde_json::Map::new()))
}

/// The provider ends sign-ins (OpenID Connect Back-Channel Logout).
#[utoipa::path(post, path = "/v1/sign-in/logout-token", responses((status = 200, description = "Done"), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn logout_token(
    State(broker): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    form: Bytes,
) -> Result<([(HeaderName, &'static str); 1], StatusCode), Refusal> {
    let Peer::Remote { address, .. } = peer else {
        return Err(Refusal(Problem::new(Code::MalformedRequest, "A provider comes over HTTPS.")));
    };
    to_the_end(async move { broker.provider_logs_out(&form, address).await }).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], StatusCode::OK))
}

/// Everybody who is signed in.
#[utoipa::path(get, path = "/v1/sign-ins", responses((status = 200, body = Vec<SignInShown>), (status = 403, body = Problem)))]
pub(super) async fn sign_ins(State(broker): Shared, Who(caller): Who) -> Answer<Vec<SignInShown>> {
    Ok(Json(broker.sign_ins(&caller).await?))
}

/// Ends sign-ins of somebody.
#[utoipa::path(post, path = "/v1/sign-ins/revoke", request_body = RevokeSignIns, responses((status = 200, body = Vec<SignInShown>), (status = 403, body = Problem)))]
pub(super) async fn revoke(
    State(broker): Shared,
    Who(caller): Who,
    Body(which): Body<RevokeSignIns>,
) -> Answer<Vec<SignInShown>> {
    Ok(Json(to_the_end(async move { broker.revoke_sign_ins(&caller, &which).await }).await?))
}

/// Every token of automation that is kept.
#[utoipa::path(get, path = "/v1/tokens", responses((status = 200, body = Vec<TokenShown>), (status = 403, body = Problem)))]
pub(super) async fn tokens(State(broker): Shared, Who(caller): Who) -> Answer<Vec<TokenShown>> {
    Ok(Json(broker.tokens(&caller).await?))
}

/// Makes one; it is told this once.
#[utoipa::path(post, path = "/v1/tokens", request_body = TokenWanted, responses((status = 201, description = "The token, and what is kept of it"), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn make_token(
    State(broker): Shared,
    Who(caller): Who,
    Body(wanted): Body<TokenWanted>,
) -> Result<(StatusCode, Told<TokenMade>), Refusal> {
    let made = to_the_end(async move { broker.make_token(&caller, &wanted).await }).await?;
    Ok((StatusCode::CREATED, told(made)))
}

/// Revokes one.
#[utoipa::path(post, path = "/v1/tokens/{id}/revoke", params(("id" = String, Path)), responses((status = 200, body = TokenShown), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn revoke_token(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
) -> Answer<TokenShown> {
    Ok(Json(to_the_end(async move { broker.revoke_token(&caller, &id).await }).await?))
}

/// Ends everything of somebody who leaves.
#[utoipa::path(post, path = "/v1/technicians/{id}/remove", request_body = RemoveTechnician, params(("id" = String, Path)), responses((status = 200, body = TechnicianRemoved), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn remove_technician(
    State(broker): Shared,
    Who(caller): Who,
    Path(id): Path<String>,
    Body(how): Body<RemoveTechnician>,
) -> Answer<TechnicianRemoved> {
    let id = TechnicianId::new(id).map_err(|bad| {
        Refusal(
            Problem::new(Code::MalformedRequest, format!("That is {bad}."))
                .remedy("The configuration has the ids of technicians."),
        )
    })?;
    Ok(Json(to_the_end(async move { broker.remove_technician(&caller, &id, how).await }).await?))
}
