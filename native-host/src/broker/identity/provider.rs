//! The provider by which people sign in (OpenID Connect): what it says of itself, its keys, and its token endpoint. What it says of a
//! person is looked at in `id_token.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ticketgate_access::config::SignInProvider;
use ticketgate_credentials::{MachineSecrets, ReadSecret, Secret};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::form::encoded;
use super::jwt::{self, BadToken, OF_PROVIDERS};

/// How long the provider is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// What the provider says of itself is asked for again after this.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Its keys are asked for again at most this often because of a key that nobody knows: whoever sends tokens with made-up names of keys
/// makes the broker ask no more than that.
const KEYS_EVERY: Duration = Duration::from_secs(10);

/// The most keys that are kept.
const KEYS_MAX: usize = 64;

/// Why the provider was of no use. For administrators, in the log; people hear less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// It did not answer, or not so that it can be used: it may another time.
    #[error("the provider gave no answer that can be used: {0}")]
    Down(String),
    /// It refused the request: its error word and text.
    #[error("the provider refused: {error}: {text}")]
    Refused {
        /// The word of the standards.
        error: String,
        /// Its own words.
        text: String,
    },
    /// A token of it is not in order.
    #[error("what the provider sent is not in order: {0}")]
    Token(#[from] BadToken),
}

/// What it says of itself (OpenID Connect Discovery §3).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Discovered {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    pub(super) device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What a token's endpoint gives.
#[derive(Deserialize)]
pub(super) struct Granted {
    pub(super) id_token: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) refresh_token: Option<Zeroizing<String>>,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

/// What it says to a device that wants a code (RFC 8628 §3.2).
#[derive(Deserialize)]
pub(super) struct DeviceCode {
    pub(super) device_code: String,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) expires_in: u32,
    pub(super) interval: Option<u32>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The provider of one configuration.
pub(super) struct Provider {
    pub(super) settings: SignInProvider,
    http: reqwest::Client,
    known: tokio::sync::Mutex<Option<(Arc<Discovered>, Instant)>>,
    keys: tokio::sync::Mutex<Keys>,
    /// What it said last while it could not be used.
    trouble: Mutex<Option<String>>,
}

#[derive(Default)]
struct Keys {
    all: Vec<Jwk>,
    asked: Option<Instant>,
}

impl Provider {
    /// # Errors
    /// Nobody could vouch for a server.
    pub(super) fn new(settings: SignInProvider) -> Result<Self, Trouble> {
        let http = ticketgate_https::client(settings.ca_file.as_deref(), LIMIT)
            .map_err(|error| Trouble::Down(error.to_string()))?;
        Ok(Self {
            settings,
            http,
            known: tokio::sync::Mutex::default(),
            keys: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// Why it could not be used the last time, while that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it says of itself; what it said before where it does not answer now.
    ///
    /// # Errors
    /// [`Trouble::Down`]
    pub(super) async fn discovered(&self) -> Result<Arc<Discovered>, Trouble> {
        let mut known = self.known.lock().await;
        if let Some((found, at)) = known.as_ref()
            && at.elapsed() < KNOWN_FOR
        {
            return Ok(Arc::clone(found));
        }
        match self.discover().await {
            Ok(found) => {
                let found = Arc::new(found);
                *known = Some((Arc::clone(&found), Instant::now()));
                Ok(found)
            }
            Err(trouble) => match known.as_ref() {
                Some((found, _)) => Ok(Arc::clone(found)),
                None => Err(trouble),
            },
        }
    }

    async fn discover(&self) -> Result<Discovered, Trouble> {
        let issuer = &self.settings.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Discovered = self.get(&address).await?;
        // Discovery §4.3: else another provider could answer in its place.
        if found.issuer != *issuer {
            return Err(
                self.down(format!("it calls itself {}, and the configuration {issuer}", found.issuer))
            );
        }
        let loopback = issuer.starts_with("http://");
        let endpoints = [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri];
        let optional = [&found.device_authorization_endpoint, &found.revocation_endpoint];
        let guarded = |address: &String| {
            address.starts_with("https://") || (loopback && address.starts_with("http://"))
        };
        let all_guarded = endpoints.into_iter().chain(optional.into_iter().flatten()).all(guarded);
        if !all_guarded {
            return Err(self.down("it names an address without TLS".into()));
        }
        Ok(found)
    }

    /// The scopes to ask for. Who does not know `offline_access` (Google) is told otherwise that the sign-in has to last.
    pub(super) fn scope(&self, discovered: &Discovered) -> String {
        let mut scopes = vec!["openid", "profile"];
        if discovered.lasts_by_scope() {
            scopes.push("offline_access");
        }
        scopes.extend(self.settings.scopes.iter().map(String::as_str));
        scopes.join(" ")
    }

    /// The claims of a token that the provider signed.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn claims(&self, token: &str) -> Result<Value, Trouble> {
        let announced = jwt::announced(token)?;
        if !OF_PROVIDERS.contains(&announced.algorithm) {
            return Err(BadToken::Algorithm.into());
        }
        let kid = announced.kid.as_deref();
        let fitting = |keys: &Keys| -> Vec<Jwk> {
            let named = |key: &&Jwk| kid.is_none() || key.common.key_id.as_deref() == kid;
            let fits = |key: &&Jwk| jwt::fits(key, announced.algorithm);
            keys.all.iter().filter(named).filter(fits).cloned().collect()
        };
        let mut keys = self.keys.lock().await;
        let mut found = fitting(&keys);
        let stale = keys.asked.is_none_or(|asked| asked.elapsed() >= KEYS_EVERY);
        if (found.is_empty() || keys.asked.is_none_or(|at| at.elapsed() >= KNOWN_FOR)) && stale {
            keys.asked = Some(Instant::now());
            match self.fetch_keys().await {
                Ok(all) => keys.all = all,
                // The keys from before are as good as they were.
                Err(trouble) if found.is_empty() => {
                    // Nobody is kept out for a moment's silence.
                    keys.asked = None;
                    return Err(trouble);
                }
                Err(_) => {}
            }
            found = fitting(&keys);
        }
        drop(keys);
        if found.is_empty() {
            return Err(
                BadToken::Claim("it is signed by a key that the provider does not publish".into()).into()
            );
        }
        let mut last = BadToken::Signature;
        for key in found {
            match jwt::verified(token, &key, &OF_PROVIDERS) {
                Ok(claims) => return Ok(claims),
                Err(bad) => last = bad,
            }
        }
        Err(last.into())
    }

    async fn fetch_keys(&self) -> Result<Vec<Jwk>, Trouble> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let address = self.discovered().await?.jwks_uri.clone();
        let set: Set = self.get(&address).await?;
        // A key of a kind that nobody here knows does not make the others useless.
        Ok(set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// Asks the token endpoint. What is in `form` goes there, inside TLS, and nowhere else.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn token(&self, form: &[(&str, &str)]) -> Result<Granted, Trouble> {
        let discovered = self.discovered().await?;
        self.post(&discovered, &discovered.token_endpoint, form).await
    }

    /// Asks for a code that is typed in elsewhere.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn device_code(
        &self,
        discovered: &Discovered,
        scope: &str,
    ) -> Result<DeviceCode, Trouble> {
        let Some(address) = &discovered.device_authorization_endpoint else {
            return Err(Trouble::Refused {
                error: "unsupported".into(),
                text: "it offers no sign-in by a code on another device".into(),
            });
        };
        self.post(discovered, address, &[("scope", scope)]).await
    }

    /// Has the provider forget what renews a sign-in, where it can. What it answers changes nothing here.
    pub(super) async fn revoke(&self, refresh: &str) {
        let Ok(discovered) = self.discovered().await else { return };
        let Some(address) = &discovered.revocation_endpoint else { return };
        let form = [("token", refresh), ("token_type_hint", "refresh_token")];
        match self.send(&discovered, address, &form).await {
            Ok(_) => {}
            Err(trouble) => tracing::info!(%trouble, "the provider did not take a sign-out"),
        }
    }

    async fn post<T: DeserializeOwned>(
        &self,
        discovered: &Discovered,
        address: &str,
        form: &[(&str, &str)],
    ) -> Result<T, Trouble> {
        let body = self.send(discovered, address, form).await?;
        ticketgate_https::json(&body).map_err(|error| self.down(error.to_string()))
    }

    async fn send(
        &self,
        discovered: &Discovered,
        address: &str,
        form: &[(&str, &str)],
    ) -> Result<Vec<u8>, Trouble> {
        let secret = self.client_secret().await?;
        let client = self.settings.client_id.as_str();
        let mut form = form.to_vec();
        let mut request = self.http.post(address).header(ACCEPT, "application/json");
        match &secret {
            // To the provider, inside TLS.
            Some(secret) if discovered.takes_secret_in_form() => {
                form.extend([("client_id", client), ("client_secret", secret.expose())]);
            }
            Some(secret) => {
                // RFC 6749 §2.3.1: each of both is written as in a form before they are joined.
                let part = ticketgate_https::segment;
                request = request.basic_auth(part(client), Some(part(secret.expose())));
            }
            None => form.push(("client_id", client)),
        }
        let answer = request
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(&form).to_string())
            .send()
            .await
            .map_err(|error| self.down(ticketgate_https::failure(&error).to_string()))?;
        let status = answer.status();
        let body = ticketgate_https::body(answer).await.map_err(|error| self.down(error.to_string()))?;
        if status.is_success() {
            self.up();
            return Ok(body);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) if status.is_client_error() && status.as_u16() != 429 => {
                self.up();
                let clean = |text: &str| super::super::records::printable(text).chars().take(300).collect();
                Err(Trouble::Refused {
                    error: clean(&refusal.error),
                    text: clean(&refusal.error_description),
                })
            }
            _ => Err(self.down(format!("status {}", status.as_u16()))),
        }
    }

    async fn get<T: DeserializeOwned>(&self, address: &str) -> Result<T, Trouble> {
        let answer = self.http.get(address).header(ACCEPT, "application/json").send().await;
        let answer = answer.map_err(|error| self.down(ticketgate_https::failure(&error).to_string()))?;
        if !answer.status().is_success() {
            return Err(self.down(format!("status {}", answer.status().as_u16())));
        }
        let body = ticketgate_https::body(answer).await.map_err(|error| self.down(error.to_string()))?;
        let read = ticketgate_https::json(&body).map_err(|error| self.down(error.to_string()))?;
        self.up();
        Ok(read)
    }

    async fn client_secret(&self) -> Result<Option<Secret>, Trouble> {
        let Some(place) = self.settings.client_secret.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || MachineSecrets.read(&place)).await;
        match read {
            Ok(Ok(secret)) => Ok(Some(secret)),
            Ok(Err(why)) => Err(self.down(format!("`client_secret` of [sign_in]: {why}"))),
            Err(_) => Err(self.down("`client_secret` of [sign_in] cannot be read".into())),
        }
    }

    fn down(&self, why: String) -> Trouble {
        tracing::warn!(issuer = self.settings.issuer, why, "the provider of sign-ins cannot be used");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        Trouble::Down(why)
    }

    fn up(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Discovered {
    /// Whether it knows the scope by which a sign-in lasts. Who does not list scopes is taken to know it.
    pub(super) fn lasts_by_scope(&self) -> bool {
        self.scopes_supported.as_ref().is_none_or(|all| all.iter().any(|scope| scope == "offline_access"))
    }

    /// Basic authentication is the rule (Discovery §3), unless it says that it does not take it.
    fn takes_secret_in_form(&self) -> bool {
        let Some(methods) = &self.token_endpoint_auth_methods_supported else { return false };
        let has = |method: &str| methods.iter().any(|known| known == method);
        has("client_secret_post") && !has("client_secret_basic")
    }
}
