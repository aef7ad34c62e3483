//! The token endpoint: client credentials by assertion or secret, and its refusals in Entra ID's form.

use super::answer::Answer;
use super::assertion;
use super::caller::Caller;
use super::organisation::Organisation;
use super::persons;
use super::server::World;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use std::time::SystemTime;

/// How long a token is good, in seconds.
pub(super) const LIFETIME_S: i64 = 3599;
/// What an app asks for: everything that an administrator consented to.
const SCOPE: &str = "https://graph.microsoft.com/.default";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token that was given out.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// The tenant's place in the list.
    pub(super) tenant: usize,
    pub(super) caller: Caller,
    pub(super) until: DateTime<Utc>,
    /// Whether it was asked for with the claims of a challenge.
    pub(super) answers_challenge: bool,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) struct NoToken {
    status: u16,
    error: &'static str,
    /// As in `AADSTS700016`.
    code: u32,
    sentence: String,
}

pub(super) fn no_token(status: u16, error: &'static str, code: u32, sentence: impl Into<String>) -> NoToken {
    NoToken { status, error, code, sentence: sentence.into() }
}

/// The credentials are not those of the app.
pub(super) fn invalid_client(code: u32, sentence: impl Into<String>) -> NoToken {
    no_token(401, "invalid_client", code, sentence)
}

impl NoToken {
    pub(super) fn answer(&self, now: DateTime<Utc>) -> Answer {
        let (trace, correlation) = (super::random_id(), super::random_id());
        let time = now.format("%Y-%m-%d %H:%M:%SZ").to_string();
        let text = format!(
            "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}",
            self.code, self.sentence
        );
        Answer::new(
            self.status,
            json!({
                "error": self.error,
                "error_description": text,
                "error_codes": [self.code],
                "timestamp": time,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
            }),
        )
    }
}

/// `POST /{tenant}/oauth2/v2.0/token`. `url` is the address that was asked.
pub(super) fn token(world: &mut World, name: &str, url: &str, form: &[(String, String)]) -> Answer {
    let now = world.sign_in_now();
    let value = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let given = place_of(world, name).and_then(|place| match persons::token(world, name, place, &value) {
        Some(given) => given,
        None => {
            app_is_checked(world, place, name, url, &value)?;
            Ok(for_app(world, place, value("claims").is_some()))
        }
    });
    given.unwrap_or_else(|refused| refused.answer(now))
}

/// A token of the app.
fn for_app(world: &mut World, place: usize, answers_challenge: bool) -> Answer {
    let now = world.sign_in_now();
    let Some(tenant) = world.tenants.get(place) else { return Answer::new(500, json!({})) };
    let caller = Caller { user: None, permissions: tenant.consents.clone(), answers_challenge };
    let text = written(tenant, &caller, now);
    let lifetime_s = tenant.told.token_lasts_s.unwrap_or(LIFETIME_S);
    let until = now + Duration::seconds(lifetime_s);
    world.tokens.insert(text.clone(), Token { tenant: place, caller, until, answers_challenge });
    Answer::ok(json!({
        "token_type": "Bearer",
        "expires_in": lifetime_s,
        "ext_expires_in": lifetime_s,
        "access_token": text,
    }))
}

/// The place of the tenant with this id or domain.
pub(super) fn place_of(world: &World, name: &str) -> Result<usize, NoToken> {
    let known = |tenant: &Organisation| tenant.id.eq_ignore_ascii_case(name) || tenant.domain == name;
    world.tenants.iter().position(known).ok_or_else(|| {
        let is_id =
            name.len() == 36 && name.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
        if is_id || name.contains('.') {
            let text =
                format!("Tenant '{name}' not found. Check to make sure you have the correct tenant ID.");
            return no_token(400, "invalid_request", 90002, text);
        }
        let text = format!(
            "Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain."
        );
        no_token(400, "invalid_request", 900_023, text)
    })
}

pub(super) fn app_unknown(asked: &str, name: &str) -> NoToken {
    let text = format!("Application with identifier '{asked}' was not found in the directory '{name}'.");
    no_token(400, "unauthorized_client", 700_016, text)
}

/// Whether the tenant's app showed what it is.
fn app_is_checked<'a>(
    world: &mut World,
    place: usize,
    name: &str,
    url: &str,
    value: &impl Fn(&str) -> Option<&'a str>,
) -> Result<(), NoToken> {
    let now = world.sign_in_now();
    let grant = value("grant_type").unwrap_or_default();
    if grant != "client_credentials" {
        return Err(no_token(
            400,
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant}'."),
        ));
    }
    let asked = value("client_id").unwrap_or_default();
    let tenant = world.tenants.get(place).filter(|tenant| tenant.client == asked);
    let Some(Organisation { client, registered, .. }) = tenant else { return Err(app_unknown(asked, name)) };
    let scope = value("scope").unwrap_or_default();
    if scope != SCOPE {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default \
suffixed to the resource identifier (application ID URI)."
        );
        return Err(no_token(400, "invalid_scope", 1_002_012, text));
    }
    match (value("client_assertion"), value("client_secret")) {
        (Some(assertion), None) => {
            if value("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(no_token(400, "invalid_request", 900_144, "client_assertion_type is missing."));
            }
            let id = assertion::check(assertion, &registered.certificates, client, url, now)?;
            if !world.seen_assertions.insert(id) {
                // Entra ID's own number for it is documented nowhere.
                return Err(invalid_client(50027, "JWT token is invalid or malformed: it was used before."));
            }
        }
        (None, Some(secret)) if secret == registered.secret && registered.secret_is_over => {
            let text = format!("The provided client secret keys for app '{client}' are expired.");
            return Err(invalid_client(7_000_222, text));
        }
        (None, Some(secret)) if secret != registered.secret => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the \
client secret ID, for a secret added to app '{client}'."
            );
            return Err(invalid_client(7_000_215, text));
        }
        (None, Some(_)) => {}
        _ => {
            let text = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
            return Err(invalid_client(7_000_216, text));
        }
    }
    Ok(())
}

/// A token looks like Microsoft's; only its holder's `roles` are of use to anybody, and nobody can check its signature.
pub(super) fn written(tenant: &Organisation, caller: &Caller, now: DateTime<Utc>) -> String {
    let (word, names) = match &caller.user {
        None => ("roles", json!(caller.permissions)),
        Some(_) => ("scp", json!(caller.permissions.iter().cloned().collect::<Vec<_>>().join(" "))),
    };
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "stand-in"});
    let mut claims = json!({
        "aud": "https://graph.microsoft.com",
        "iss": format!("https://sts.windows.net/{}/", tenant.id),
        "iat": now.timestamp(),
        "nbf": now.timestamp(),
        "exp": now.timestamp() + LIFETIME_S,
        "appid": tenant.client,
        "idtyp": if caller.user.is_some() { "user" } else { "app" },
        "oid": caller.user,
        "tid": tenant.id,
        "uti": super::random_id(),
    });
    if let Some(map) = claims.as_object_mut() {
        map.insert(word.to_owned(), names);
    }
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode(super::random_id().repeat(4));
    format!("{}.{}.{signature}", part(header.to_string()), part(claims.to_string()))
}

pub(super) fn real_now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now())
}
