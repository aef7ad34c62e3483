//! How people sign in to the public client: in a browser (authorization code with PKCE), on another device by a code, and later by the
//! refresh token. Nobody clicks: a test says who sits there.

use super::answer::Answer;
use super::caller::Caller;
use super::server::World;
use super::sign_in::{NoToken, Token, app_unknown, invalid_client, no_token, place_of, written};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const GRAPH: &str = "https://graph.microsoft.com/";
/// What is no permission.
const OF_OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// The only address that is registered; the port does not count, the path does.
const REDIRECT: &str = "http://localhost";
/// A code of the browser, and one of a device.
const CODE_LASTS: Duration = Duration::minutes(10);
const DEVICE_CODE_LASTS_S: i64 = 900;
/// The form's fields, or the query's.
type Value<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// What somebody agreed to.
#[derive(Debug, Clone)]
pub(super) struct Agreed {
    tenant: usize,
    user: String,
    scope: String,
    at: DateTime<Utc>,
    answers_challenge: bool,
}

/// An authorization code.
#[derive(Debug, Clone)]
pub(super) struct Code {
    agreed: Agreed,
    redirect: String,
    challenge: String,
    used: bool,
}

/// A device's code, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Device {
    tenant: usize,
    scope: String,
    pub(super) user_code: String,
    until: DateTime<Utc>,
    /// Nothing yet; then who agreed, or that somebody declined.
    pub(super) answer: Option<Option<String>>,
}

fn client_of(world: &World, place: usize, name: &str, value: &Value<'_>) -> Result<(), NoToken> {
    let asked = value("client_id").unwrap_or_default();
    let known = world.tenants.get(place).is_some_and(|tenant| tenant.public_client == asked);
    if known { Ok(()) } else { Err(app_unknown(asked, name)) }
}

/// Of what is asked for, whether each is consented to.
fn scopes(world: &World, place: usize, asked: &str) -> Result<(), NoToken> {
    let Some(tenant) = world.tenants.get(place) else { return Err(app_unknown("", "")) };
    for scope in asked.split(' ').filter(|scope| !OF_OPENID.contains(scope)) {
        let name = scope.strip_prefix(GRAPH).unwrap_or_default();
        if name != ".default" && !tenant.delegated.contains(name) {
            let text =
                format!("The user or administrator has not consented to use the application for '{scope}'.");
            return Err(no_token(400, "invalid_grant", 65001, text));
        }
    }
    Ok(())
}

/// `GET …/authorize`: sends the browser back with a code, or with what is wrong. What may not be sent anywhere is a page.
pub(super) fn authorize(world: &mut World, name: &str, value: &Value<'_>) -> Answer {
    let now = world.sign_in_now();
    let page = |no: NoToken| no.answer(now);
    let place = match place_of(world, name) {
        Ok(place) => place,
        Err(no) => return page(no),
    };
    if let Err(no) = client_of(world, place, name, value) {
        return page(no);
    }
    let redirect = value("redirect_uri").unwrap_or_default().to_owned();
    if !is_registered(&redirect) {
        let text = format!(
            "The redirect URI '{redirect}' specified in the request does not match the redirect URIs configured."
        );
        return page(no_token(400, "invalid_request", 50011, text));
    }
    let state = value("state").unwrap_or_default().to_owned();
    let back = |pairs: &str| {
        let answer = Answer { status: 302, headers: Vec::new(), body: None };
        answer.with(
            "location",
            format!("{redirect}?{pairs}&state={state}&session_state={}", super::random_id()),
        )
    };
    if value("response_type") != Some("code") {
        return back("error=unsupported_response_type");
    }
    let challenge = value("code_challenge").unwrap_or_default().to_owned();
    // Entra ID lets a native app do without; no client of ours may.
    if challenge.is_empty() || value("code_challenge_method") != Some("S256") {
        return back("error=invalid_request");
    }
    let scope = value("scope").unwrap_or_default().to_owned();
    if scopes(world, place, &scope).is_err() {
        return back("error=access_denied&error_subcode=cancel");
    }
    let Some(tenant) = world.tenants.get(place) else { return back("error=server_error") };
    let person = tenant.told.person.clone().and_then(|name| tenant.state.user(&name).cloned());
    let Some(person) = person.filter(super::state::User::is_enabled) else {
        return back("error=access_denied&error_subcode=cancel");
    };
    let code = super::random_id();
    let agreed = Agreed {
        tenant: place,
        user: person.id,
        scope,
        at: now,
        answers_challenge: value("claims").is_some(),
    };
    world.codes.insert(code.clone(), Code { agreed, redirect: redirect.clone(), challenge, used: false });
    back(&format!("code={code}"))
}

fn is_registered(redirect: &str) -> bool {
    let Some(rest) = redirect.strip_prefix(REDIRECT) else { return false };
    let port = rest.trim_end_matches('/');
    port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// `POST …/devicecode`.
pub(super) fn device_code(world: &mut World, name: &str, value: &Value<'_>) -> Result<Answer, NoToken> {
    let place = place_of(world, name)?;
    client_of(world, place, name, value)?;
    let scope = value("scope").unwrap_or_default().to_owned();
    scopes(world, place, &scope)?;
    let (code, user_code) = (super::random_id(), super::random_id().replace('-', "").to_uppercase());
    let user_code: String = user_code.chars().take(9).collect();
    let until = world.sign_in_now() + Duration::seconds(DEVICE_CODE_LASTS_S);
    let device = Device { tenant: place, scope, user_code: user_code.clone(), until, answer: None };
    world.devices.insert(code.clone(), device);
    let message = format!(
        "To sign in, use a web browser to open the page https://microsoft.com/devicelogin and enter the code {user_code} to \
authenticate."
    );
    Ok(Answer::ok(json!({
        "user_code": user_code,
        "device_code": code,
        "verification_uri": "https://microsoft.com/devicelogin",
        "expires_in": DEVICE_CODE_LASTS_S,
        "interval": 1,
        "message": message,
    })))
}

/// The grants of people at `…/token`; `None`: it is another.
pub(super) fn token(
    world: &mut World,
    name: &str,
    place: usize,
    value: &Value<'_>,
) -> Option<Result<Answer, NoToken>> {
    let agreed = match value("grant_type")? {
        "authorization_code" => by_code(world, value),
        "refresh_token" => by_refresh(world, value),
        "urn:ietf:params:oauth:grant-type:device_code" => by_device(world, value),
        _ => return None,
    };
    let checked = client_of(world, place, name, value).and_then(|()| {
        if value("client_secret").is_some() || value("client_assertion").is_some() {
            let text =
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
            return Err(invalid_client(700_025, text));
        }
        agreed
    });
    Some(checked.and_then(|agreed| {
        let partner = world.tenants.get(place).and_then(|tenant| tenant.partner);
        let renewed = value("grant_type") == Some("refresh_token");
        if agreed.tenant != place && !(renewed && partner == Some(agreed.tenant)) {
            return Err(no_token(400, "invalid_grant", 70000, "The grant is another tenant's."));
        }
        given(world, place, agreed, value("claims").is_some())
    }))
}

fn grant(code: u32, sentence: &str) -> NoToken {
    no_token(400, "invalid_grant", code, sentence)
}

fn by_code(world: &mut World, value: &Value<'_>) -> Result<Agreed, NoToken> {
    let now = world.sign_in_now();
    let found = world.codes.get_mut(value("code").unwrap_or_default());
    let code = found.ok_or_else(|| grant(9_002_313, "The code is malformed or unknown."))?;
    if code.used {
        return Err(grant(
            54005,
            "OAuth2 Authorization code was already redeemed, please retry with a new valid code.",
        ));
    }
    if now >= code.agreed.at + CODE_LASTS {
        return Err(grant(70008, "The provided authorization code or refresh token has expired."));
    }
    if value("redirect_uri") != Some(code.redirect.as_str()) {
        return Err(grant(500_112, "The redirect address specified by the client does not match."));
    }
    let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier").unwrap_or_default()));
    if shown != code.challenge {
        let text =
            "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
        return Err(grant(501_481, text));
    }
    code.used = true;
    Ok(code.agreed.clone())
}

fn by_refresh(world: &World, value: &Value<'_>) -> Result<Agreed, NoToken> {
    let found = world.refresh.get(value("refresh_token").unwrap_or_default());
    let agreed = found.ok_or_else(|| grant(9_002_313, "The refresh token is malformed or unknown."))?;
    let tenant = world.tenants.get(agreed.tenant);
    if tenant.is_some_and(|tenant| tenant.told.interaction) {
        let text = "Due to a configuration change made by your administrator, or because you moved to a new location, you must use \
multi-factor authentication.";
        return Err(no_token(400, "interaction_required", 50076, text));
    }
    Ok(agreed.clone())
}

fn by_device(world: &World, value: &Value<'_>) -> Result<Agreed, NoToken> {
    let now = world.sign_in_now();
    let asked = value("device_code").or_else(|| value("code")).unwrap_or_default();
    let no = |error: &'static str, code: u32, text: &str| no_token(400, error, code, text);
    let Some(device) = world.devices.get(asked) else {
        return Err(no("bad_verification_code", 70018, "The verification code is bad."));
    };
    if now >= device.until {
        return Err(no("expired_token", 70019, "The verification code expired."));
    }
    match &device.answer {
        None => {
            Err(no("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending."))
        }
        Some(None) => Err(no("authorization_declined", 65004, "User declined to consent to access the app.")),
        Some(Some(user)) => Ok(Agreed {
            tenant: device.tenant,
            user: user.clone(),
            scope: device.scope.clone(),
            at: now,
            answers_challenge: false,
        }),
    }
}

/// Tokens for a person who is still what they were, for the tenant at this place: their own, or a customer's.
fn given(world: &mut World, place: usize, agreed: Agreed, claims: bool) -> Result<Answer, NoToken> {
    let now = world.sign_in_now();
    let Some(tenant) = world.tenants.get(agreed.tenant) else { return Err(app_unknown("", "")) };
    let Some(user) = tenant.state.user(&agreed.user).filter(|user| user.is_enabled()) else {
        return Err(grant(50057, "The user account is disabled."));
    };
    // By the tenant's clock; both are the same unless a test moved one.
    if user.sessions_revoked.is_some_and(|revoked| revoked > agreed.at) {
        let text = "The provided grant has expired due to it being revoked, a fresh auth token is needed.";
        return Err(grant(50173, text));
    }
    let name = user.name().to_owned();
    let Some(tenant) = world.tenants.get(place) else { return Err(app_unknown("", "")) };
    let asked = agreed.scope.split(' ').filter_map(|scope| scope.strip_prefix(GRAPH));
    let permissions: BTreeSet<String> = asked
        .flat_map(|name| match name {
            ".default" => tenant.delegated.iter().cloned().collect::<Vec<_>>(),
            name => vec![name.to_owned()],
        })
        .collect();
    let answers_challenge = agreed.answers_challenge || claims;
    let caller = Caller { user: Some(agreed.user.clone()), permissions, answers_challenge };
    let text = written(tenant, &caller, now);
    let scope = caller.permissions.iter().cloned().collect::<Vec<_>>().join(" ");
    let until = now + Duration::seconds(super::sign_in::LIFETIME_S);
    world.tokens.insert(text.clone(), Token { tenant: place, caller, until, answers_challenge });
    let mut body = json!({
        "token_type": "Bearer",
        "scope": scope,
        "expires_in": super::sign_in::LIFETIME_S,
        "ext_expires_in": super::sign_in::LIFETIME_S,
        "access_token": text,
    });
    if let Some(body) =
        body.as_object_mut().filter(|_| agreed.scope.split(' ').any(|scope| scope == "openid"))
    {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"typ": "JWT", "alg": "RS256", "kid": "stand-in"}));
        let claims = part(json!({"preferred_username": name, "oid": agreed.user, "sub": agreed.user}));
        let signature = URL_SAFE_NO_PAD.encode(super::random_id().repeat(4));
        body.insert("id_token".to_owned(), format!("{header}.{claims}.{signature}").into());
    }
    let lasting = agreed.scope.split(' ').any(|scope| scope == "offline_access");
    if let Some(body) = body.as_object_mut().filter(|_| lasting) {
        let refresh = format!("1.{}", super::random_id());
        // The one before goes on to be good, as Microsoft's does.
        body.insert("refresh_token".to_owned(), refresh.clone().into());
        world.refresh.insert(refresh, Agreed { answers_challenge, ..agreed });
    }
    Ok(Answer::ok(body))
}
