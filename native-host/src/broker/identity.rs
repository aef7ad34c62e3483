//! Who makes a request: the operating system's user at the other end of the local socket, whoever proves a sign-in from elsewhere, or a
//! token of automation. Found once for each request, before any handler, and held against what the route needs ([`needs`]).

pub(super) mod automation;
mod form;
mod id_token;
pub(super) mod jwt;
pub(super) mod leavers;
pub(super) mod needs;
mod proof;
mod provider;
mod rates;
mod revoking;
mod sealed;
pub(super) mod signing_in;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use ticketgate_access::config::{Config, SignInProvider};
use ticketgate_ledger::{Change, Digest, SignIn};
use ticketgate_protocol::api::Notice;
use ticketgate_protocol::problem::{Code, Problem};

use self::needs::Need;
use self::proof::{BadProof, Proved, Shown};
use self::provider::Provider;
use self::rates::Rates;
use super::http::{Api, Refusal};
use super::people::By;
use super::{Broker, Caller, ledger_problem, records};

/// A token that another broker issued may be from a clock that is ahead by so much.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

/// Who is at the other end of a connection. A listener puts it into each request's extensions as `ConnectInfo<Peer>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine, as the operating system tells.
    Local {
        /// The user's login name.
        login: String,
        /// Whether it is the machine's administrator.
        superuser: bool,
        /// Whether it is the user that this broker runs as.
        own: bool,
    },
    /// Somebody on the network. Where the request came from says nothing about who it is.
    Remote {
        /// The connection's other end.
        address: SocketAddr,
        /// The names in the client certificate, where one was asked for and checked.
        certificate: Option<String>,
    },
}

/// What the broker keeps in memory about sign-ins. All of it can be lost: then a proof can be shown once more within its minutes, and
/// the provider is asked anew.
#[derive(Default)]
pub(super) struct Identity {
    provider: tokio::sync::Mutex<Option<Arc<Provider>>>,
    shared: tokio::sync::OnceCell<Digest>,
    shown: Shown,
    rates: Rates,
}

/// What was found out about a request, kept in its extensions.
#[derive(Debug, Clone)]
pub(super) struct Identified(pub(super) Result<Caller, Problem>);

/// Nobody is known by a request: what to answer.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    pub(super) problem: Box<Problem>,
    /// The word of RFC 9449 or RFC 6750; none where nothing was shown at all.
    error: Option<&'static str>,
    nonce: Option<String>,
}

impl From<Problem> for Unknown {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), error: None, nonce: None }
    }
}

impl IntoResponse for Unknown {
    fn into_response(self) -> Response {
        let unauthorized = self.problem.status == 401;
        let mut response = Refusal(*self.problem).into_response();
        if !unauthorized {
            return response;
        }
        let challenge = match self.error {
            Some(error) => format!("DPoP error=\"{error}\", algs=\"ES256\""),
            None => "DPoP algs=\"ES256\"".to_owned(),
        };
        for (name, value) in [("www-authenticate", Some(challenge)), ("dpop-nonce", self.nonce)] {
            if let Some(Ok(value)) = value.map(|value| HeaderValue::from_str(&value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Finds out who makes a request, for every handler and for the record of what is refused.
pub(super) async fn identified(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let for_anybody = need_of(&parts) == Some(Need::Anybody);
    let found = match parts.extensions.get::<ConnectInfo<Peer>>().cloned() {
        // What it shows is looked at by the route itself, once.
        Some(ConnectInfo(Peer::Remote { .. })) if for_anybody => Err(nobody(None)),
        Some(ConnectInfo(peer)) => api.broker().caller(&peer, &parts).await,
        None => Err(Problem::new(Code::NotATechnician, "The operating system does not say who is calling.")
            .remedy("Connect to the broker's own socket.")
            .into()),
    };
    let found = match found {
        Ok(caller) => Ok(caller),
        Err(unknown) if for_anybody => Err(*unknown.problem),
        Err(unknown) => return unknown.into_response(),
    };
    if let Some(technician) = found.as_ref().ok().and_then(|caller| caller.technician.as_ref()) {
        tracing::Span::current().record("technician", tracing::field::display(technician));
    }
    parts.extensions.insert(Identified(found));
    next.run(Request::from_parts(parts, body)).await
}

/// Refuses what a caller's roles, or a token's scopes, do not allow. Who comes by the socket is the handlers' own to refuse, as ever.
pub(super) async fn admitted(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(Identified(Ok(caller))) = parts.extensions.get::<Identified>()
        && caller.by != By::Local
        && let Some(need) = need_of(&parts)
        && let Err(problem) = need.admits(caller)
    {
        return Refusal(problem).into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// What the route of a request needs; nothing for a route that is not there.
fn need_of(parts: &Parts) -> Option<Need> {
    needs::of(&parts.method, parts.extensions.get::<MatchedPath>()?.as_str())
}

/// The key that a sign-in is going to be bound to, and from where it is asked for.
pub(super) struct RelayKey {
    pub(super) key: String,
    pub(super) address: SocketAddr,
}

impl FromRequestParts<Api> for RelayKey {
    type Rejection = Unknown;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Unknown> {
        let broker = api.broker();
        let address = remote(parts)?;
        broker.identity.rates.of_nobody(address, broker.clock.now())?;
        let provider = broker.provider_settings()?;
        let proved = broker.proved(parts, &provider, None).await?;
        Ok(Self { key: proved.key, address })
    }
}

/// A token as it was shown, with its sign-in whether or not that is over: for what may be done with one that is.
pub(super) struct ShownToken {
    pub(super) sign_in: SignIn,
    pub(super) issued: ticketgate_ledger::Issued,
    pub(super) address: SocketAddr,
}

impl FromRequestParts<Api> for ShownToken {
    type Rejection = Unknown;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Unknown> {
        let broker = api.broker();
        let address = remote(parts)?;
        broker.identity.rates.of_nobody(address, broker.clock.now())?;
        let provider = broker.provider_settings()?;
        let token = shown_token(parts).ok_or_else(|| nobody(None))?;
        broker.by_token(parts, address, &provider, &token).await
    }
}

fn remote(parts: &Parts) -> Result<SocketAddr, Unknown> {
    match parts.extensions.get::<ConnectInfo<Peer>>() {
        Some(ConnectInfo(Peer::Remote { address, .. })) => Ok(*address),
        _ => {
            let detail = "At the broker's own socket the operating system says who you are.";
            Err(Problem::new(Code::MalformedRequest, detail).remedy("Sign in over HTTPS.").into())
        }
    }
}

/// The token of a sign-in in a request's headers.
fn shown_token(parts: &Parts) -> Option<String> {
    authorization(parts, "DPoP")
}

fn authorization(parts: &Parts, scheme: &str) -> Option<String> {
    let mut all = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (named, token) = only.to_str().ok()?.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| token.trim().to_owned())
}

fn hashed(token: &str) -> Digest {
    Sha256::digest(token).into()
}

/// Nobody is known by this request. 401, where a tenant's `sign_in_needed` is 503: the one is the caller's to mend, the
/// other an administrator's.
fn nobody(error: Option<&'static str>) -> Unknown {
    let problem = Box::new(sign_in_again("You are not signed in to the broker."));
    Unknown { problem, error, nonce: None }
}

/// Sign in (again), since.
fn sign_in_again(detail: &str) -> Problem {
    Problem { status: 401, ..Problem::new(Code::SignInNeeded, detail).remedy("Sign in again.") }
}

impl Broker {
    /// The caller behind a request's connection and its headers.
    async fn caller(&self, peer: &Peer, parts: &Parts) -> Result<Caller, Unknown> {
        let address = match peer {
            Peer::Local { login, superuser, own } => {
                let snapshot = self.settings();
                let caller = Caller::identify(snapshot.config.as_ref(), login, *superuser);
                return Ok(Caller { own: *own, ..caller });
            }
            Peer::Remote { address, .. } => *address,
        };
        if let Some(token) = authorization(parts, "Bearer") {
            return self.automation(&token, address).await;
        }
        let Some(token) = shown_token(parts) else { return Err(nobody(None)) };
        let provider = self.provider_settings().map_err(|_| nobody(Some("invalid_token")))?;
        let shown = self.by_token(parts, address, &provider, &token).await?;
        let now = self.clock.now();
        if shown.issued.from > now + AHEAD || now >= shown.issued.until {
            return Err(nobody(Some("invalid_token")));
        }
        let snapshot = self.settings();
        let known = snapshot.config.as_ref().and_then(|config| person_of(config, &shown.sign_in));
        known.ok_or_else(|| nobody(Some("invalid_token")))
    }

    /// The sign-in that a token belongs to, shown with a proof by its key, and not ended.
    async fn by_token(
        &self,
        parts: &Parts,
        address: SocketAddr,
        provider: &SignInProvider,
        token: &str,
    ) -> Result<ShownToken, Unknown> {
        let found = self.ledger.tokens().by_token(&hashed(token)).await.map_err(|e| ledger_problem(&e))?;
        let Some((sign_in, issued)) = found else { return Err(nobody(Some("invalid_token"))) };
        let proved = match self.proved(parts, provider, Some(token)).await {
            Ok(proved) if proved.key == sign_in.key => proved,
            Ok(_) => return Err(self.refuse_token(&sign_in, address, "by another key").await),
            // Whoever has the token and not the key is no relay of ours; a clock that is wrong, or a request sent twice, may be.
            Err(unknown) if unknown.error == Some("invalid_dpop_proof") => {
                return Err(self.refuse_token(&sign_in, address, "without a proof that fits").await);
            }
            Err(unknown) => return Err(unknown),
        };
        if sign_in.ended.is_some() || sign_in.issuer != provider.issuer || sign_in.claim != provider.claim {
            return Err(nobody(Some("invalid_token")));
        }
        self.identity.shown.take(&proved, self.clock.now()).map_err(|bad| match bad {
            BadProof::TooMany => Problem::new(Code::RateLimited, "The broker has too many requests at once.")
                .remedy("Try again in a minute.")
                .retry_after(60)
                .into(),
            _ => nobody(Some("invalid_dpop_proof")),
        })?;
        Ok(ShownToken { sign_in, issued, address })
    }

    /// A request's proof, and why it is none.
    async fn proved(
        &self,
        parts: &Parts,
        provider: &SignInProvider,
        token: Option<&str>,
    ) -> Result<Proved, Unknown> {
        let (key, now) = (self.shared_key().await?, self.clock.now());
        proof::check(parts, &provider.addresses, token, &key, now).map_err(|bad| match bad {
            BadProof::Time => {
                Unknown { nonce: Some(proof::nonce(&key, now)), ..nobody(Some("use_dpop_nonce")) }
            }
            BadProof::Wrong(why) => {
                tracing::debug!(why, "a proof was refused");
                nobody(Some("invalid_dpop_proof"))
            }
            BadProof::Again | BadProof::TooMany => nobody(Some("invalid_dpop_proof")),
        })
    }

    /// The key that all brokers on this ledger share.
    async fn shared_key(&self) -> Result<Digest, Problem> {
        let read = || async { self.ledger.tokens().shared_key().await };
        self.identity.shared.get_or_try_init(read).await.copied().map_err(|error| ledger_problem(&error))
    }

    /// Somebody has a token and not its key: on record, once a minute for each sign-in.
    async fn refuse_token(&self, sign_in: &SignIn, address: SocketAddr, why: &'static str) -> Unknown {
        let unknown = nobody(Some("invalid_dpop_proof"));
        tracing::warn!(sign_in = sign_in.id, technician = %sign_in.technician, %address, why, "a token was refused");
        let details = records::details([
            ("sign_in", json!(sign_in.id)),
            ("technician", json!(sign_in.technician)),
            ("address", json!(address.ip())),
            ("why", json!(why)),
        ]);
        let record = records::record(None, "sign_in.refused", "nobody", "refused", details);
        let kind = format!("sign-in {}", sign_in.id);
        match self.record_once_a_minute(&kind, "ledger.sign_in_refused", record).await {
            Ok(()) => unknown,
            Err(problem) => problem.into(),
        }
    }

    /// One record, and nothing else.
    pub(super) async fn record_alone(
        &self,
        name: &'static str,
        record: ticketgate_ledger::NewAudit,
    ) -> Result<(), Problem> {
        let change = Change { name, at: self.clock.now(), audit: vec![record], ..Change::default() };
        self.commit(change).await.map_err(|error| ledger_problem(&error))
    }

    /// How people sign in here.
    ///
    /// # Errors
    /// Nobody does.
    fn provider_settings(&self) -> Result<SignInProvider, Problem> {
        let snapshot = self.settings();
        snapshot.config.as_ref().and_then(|config| config.sign_in.clone()).ok_or_else(|| {
            Problem::new(Code::BadConfiguration, "Nobody can sign in to this broker: it has no provider.")
                .remedy("An administrator has to add a [sign_in] to its configuration.")
        })
    }

    /// What everybody should know while people cannot sign in.
    pub(super) fn sign_in_notice(&self) -> Option<Notice> {
        let known = self.identity.provider.try_lock().ok()?;
        let why = known.as_ref()?.trouble()?;
        let text = format!(
            "Nobody can sign in or renew a sign-in at the moment, since the provider cannot be used ({why}). Whoever is signed in \
             goes on until that sign-in ends."
        );
        Some(Notice { level: "warning".into(), text })
    }

    /// Whether somebody who was known at the beginning of a stream still is, as the same technician. Where the ledger cannot say it,
    /// yes: streams tell nothing that was not theirs.
    pub(super) async fn still_is(&self, caller: &Caller) -> bool {
        let snapshot = self.settings();
        let config = snapshot.config.as_ref();
        let now = match &caller.by {
            By::Local => Some(Caller::identify(config, &caller.login, false)),
            By::Token { .. } => None,
            By::SignIn(id) => match self.ledger.tokens().sign_in(id).await {
                Ok(Some(sign_in)) if sign_in.ended.is_none() && self.clock.now() < sign_in.until => {
                    config.and_then(|config| person_of(config, &sign_in))
                }
                Ok(_) => None,
                Err(_) => return true,
            },
        };
        caller.technician.is_some() && now.and_then(|now| now.technician) == caller.technician
    }
}

/// Whoever signed in, as the configuration has it now.
fn person_of(config: &Config, sign_in: &SignIn) -> Option<Caller> {
    let provider = config
        .sign_in
        .as_ref()
        .filter(|provider| provider.issuer == sign_in.issuer && provider.claim == sign_in.claim)?;
    let technician = config.technician_by_sign_in(&sign_in.value)?;
    let groups = provider.mapped(&sign_in.groups);
    let by = By::SignIn(sign_in.id.clone());
    Some(Caller::person(Some(config), Some(technician.id.clone()), groups, &sign_in.name, by))
}
