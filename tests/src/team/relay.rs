//! What a technician's relay does towards a team's brokers, without the product's code: signs in by the provider, proves its key with each
//! request, and tells an answer from a request of which nobody knows what became.

use crate::Result;
use crate::team::listening::Listening;
use crate::team::proof::{Claim, Key};
use anyhow::{Context, bail};
use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As long as a relay waits for what changes something.
const LIMIT: Duration = Duration::from_secs(30);
/// A broker that does not take a connection for so long is given up.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// So often a sign-in sends a browser on at most.
const STEPS_MAX: usize = 10;
/// Where the browser is sent back to. Nobody listens: what comes back is read from the address.
const PORT: u16 = 41_234;

/// One technician's relay.
#[derive(Debug)]
pub struct Relay {
    http: Client,
    key: Arc<Key>,
    /// `https://ADDRESS:PORT` of each broker.
    brokers: Vec<String>,
    token: Mutex<Option<String>>,
    /// What each broker gave last to be in a proof.
    nonces: Mutex<Vec<Option<String>>>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// An answer: its status and what it says.
    Answer(u16, Value),
    /// No connection: it did not get there.
    NotSent(String),
    /// It went out, and no answer came back whole.
    Lost(String),
}

impl Relay {
    /// A relay that comes from this address, trusts this authority (PEM) and knows these brokers.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn new(from: Ipv4Addr, authority: &Path, brokers: &[String]) -> Result<Self> {
        let nonces = Mutex::new(vec![None; brokers.len()]);
        let http = client(from, authority)?;
        Ok(Self {
            http,
            key: Arc::new(Key::new()?),
            brokers: brokers.to_vec(),
            token: Mutex::default(),
            nonces,
        })
    }

    /// Another relay of the same person on the same machine, as a second browser starts one: with the same sign-in, and connections of
    /// its own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn beside(&self, from: Ipv4Addr, authority: &Path) -> Result<Self> {
        let (http, nonces) = (client(from, authority)?, Mutex::new(self.nonces().clone()));
        let (key, token) = (Arc::clone(&self.key), Mutex::new(self.token()));
        Ok(Self { http, key, brokers: self.brokers.clone(), token, nonces })
    }

    /// Somebody else's relay, from the same address, who has this one's token and not its key.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn stolen(&self) -> Result<Self> {
        let nonces = Mutex::new(vec![None; self.brokers.len()]);
        let (http, brokers, token) = (self.http.clone(), self.brokers.clone(), Mutex::new(self.token()));
        Ok(Self { http, key: Arc::new(Key::new()?), brokers, token, nonces })
    }

    /// Asks with a token that is bound to no key (RFC 6750): one of automation's, or, without one, this relay's own. Answers the status.
    ///
    /// # Errors
    /// No such broker, or no answer.
    pub async fn bearing(&self, token: Option<&str>, broker: usize, path: &str) -> Result<u16> {
        let at = format!("{}{path}", self.brokers.get(broker).context("no such broker")?);
        let token = token.map(str::to_owned).or_else(|| self.token()).unwrap_or_default();
        Ok(self.http.get(&at).bearer_auth(token).timeout(LIMIT).send().await?.status().as_u16())
    }

    /// How many brokers it knows.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// Signs in at a broker as this person of the provider.
    ///
    /// # Errors
    /// Broker or provider refuse; the sentence shows what they said.
    pub async fn sign_in(&self, broker: usize, person: &str) -> Result<()> {
        self.keep(None);
        let begun = self.granted(broker, "/v1/sign-in", &json!({"port": PORT})).await?;
        let text = |value: &Value, name: &str| {
            let found = value.get(name).and_then(Value::as_str).map(str::to_owned);
            found.with_context(|| format!("no {name}: {value}"))
        };
        let back = self.as_a_browser(&format!("{}&login_hint={person}", text(&begun, "address")?)).await?;
        let came: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        let part = |name: &str| came.get(name).with_context(|| format!("no {name}: {back}"));
        let came = json!({"code": part("code")?, "state": part("state")?, "iss": part("iss")?});
        let came = json!({"id": text(&begun, "id")?, "came": came});
        let done = self.granted(broker, "/v1/sign-in/go-on", &came).await?;
        self.keep(Some(text(done.get("signed_in").context("not signed in")?, "token")?));
        Ok(())
    }

    /// A request that has to succeed.
    async fn granted(&self, broker: usize, path: &str, body: &Value) -> Result<Value> {
        match self.ask(broker, "POST", path, None, body, LIMIT).await? {
            Heard::Answer(200..300, said) => Ok(said),
            other => bail!("{path}: {other:?}"),
        }
    }

    /// Goes where pages send a browser, with cookies, until it is sent back to this machine.
    async fn as_a_browser(&self, address: &str) -> Result<reqwest::Url> {
        let mut address = reqwest::Url::parse(address)?;
        let mut cookies: Vec<(String, String)> = Vec::new();
        for _ in 0..STEPS_MAX {
            let jar: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let asked = self.http.get(address.clone()).header("Cookie", jar.join("; ")).timeout(LIMIT);
            let answer = asked.send().await?;
            for line in answer.headers().get_all(SET_COOKIE) {
                let pair = line.to_str()?.split(';').next().unwrap_or_default();
                if let Some((name, value)) = pair.split_once('=') {
                    cookies.retain(|(known, _)| known != name);
                    cookies.push((name.to_owned(), value.to_owned()));
                }
            }
            let Some(location) = answer.headers().get(LOCATION) else {
                bail!("{address} sends nobody on: {}", answer.text().await?)
            };
            address = address.join(location.to_str()?)?;
            if address.port() == Some(PORT) {
                return Ok(address);
            }
        }
        bail!("it goes round in circles")
    }

    /// Asks a broker. A body that is not null is sent as JSON.
    ///
    /// # Errors
    /// There is no such broker. Whatever comes of the request is an answer.
    pub async fn ask(
        &self,
        broker: usize,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
        limit: Duration,
    ) -> Result<Heard> {
        let (heard, nonce) = self.ask_once(broker, method, path, key, body, limit).await?;
        match (&heard, nonce) {
            // A broker that wants its own time in the proof says so, once.
            (Heard::Answer(401, _), true) => {
                Ok(self.ask_once(broker, method, path, key, body, limit).await?.0)
            }
            _ => Ok(heard),
        }
    }

    /// What came, and whether the broker gave something new to be in the next proof.
    async fn ask_once(
        &self,
        broker: usize,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
        limit: Duration,
    ) -> Result<(Heard, bool)> {
        let (asked, known) = self.proved(broker, method, path)?;
        let mut asked = asked.timeout(limit).header("Accept", "application/json");
        if let Some(key) = key {
            asked = asked.header("Idempotency-Key", key);
        }
        if !body.is_null() {
            asked = asked.header("Content-Type", "application/json").body(body.to_string());
        }
        let answer = match asked.send().await {
            Ok(answer) => answer,
            Err(why) if why.is_connect() => return Ok((Heard::NotSent(said(&why)), false)),
            Err(why) => return Ok((Heard::Lost(said(&why)), false)),
        };
        let is_new = self.takes_nonce(broker, known.as_deref(), &answer);
        let status = answer.status().as_u16();
        Ok(match answer.text().await {
            Ok(text) if text.is_empty() => (Heard::Answer(status, Value::Null), is_new),
            // What is no JSON is a text: an export.
            Ok(text) => {
                let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
                (Heard::Answer(status, body), is_new)
            }
            Err(why) => (Heard::Lost(said(&why)), false),
        })
    }

    /// Listens to what happens to its person's sessions, for as long as the broker tells it.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub async fn listen(&self, broker: usize) -> Result<Listening> {
        self.listen_after(broker, None).await
    }

    /// The same, going on after the event of this id.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub async fn listen_after(&self, broker: usize, last: Option<&str>) -> Result<Listening> {
        let listens = async || {
            let (mut asked, known) = self.proved(broker, "GET", "/v1/events")?;
            if let Some(last) = last {
                asked = asked.header("Last-Event-ID", last);
            }
            let answer = asked.header("Accept", "text/event-stream").send().await?;
            let is_new = self.takes_nonce(broker, known.as_deref(), &answer);
            Ok::<_, anyhow::Error>((answer, is_new))
        };
        let (mut answer, is_new) = listens().await?;
        if answer.status() == 401 && is_new {
            (answer, _) = listens().await?;
        }
        if answer.status() != 200 {
            bail!("no events: {} {}", answer.status(), answer.text().await?);
        }
        Ok(Listening::to(answer))
    }

    /// A request with its proof, and what the broker had given to be in that.
    fn proved(&self, broker: usize, method: &str, path: &str) -> Result<(RequestBuilder, Option<String>)> {
        let at = format!("{}{path}", self.brokers.get(broker).context("no such broker")?);
        let mut asked = self.http.request(Method::from_bytes(method.as_bytes())?, &at);
        let known = self.nonces().get(broker).cloned().flatten();
        let address = at.split('?').next().unwrap_or_default();
        let token = self.token();
        let claim = Claim { method, address, token: token.as_deref(), nonce: known.as_deref() };
        asked = asked.header("DPoP", self.key.proof(&claim)?);
        if let Some(token) = token {
            asked = asked.header("Authorization", format!("DPoP {token}"));
        }
        Ok((asked, known))
    }

    /// Keeps what the broker gave to be in the next proof; whether it is new.
    fn takes_nonce(&self, broker: usize, known: Option<&str>, answer: &reqwest::Response) -> bool {
        let nonce = answer.headers().get("DPoP-Nonce").and_then(|nonce| nonce.to_str().ok());
        let nonce = nonce.filter(|nonce| Some(*nonce) != known).map(str::to_owned);
        let is_new = nonce.is_some();
        if let (Some(place), Some(nonce)) = (self.nonces().get_mut(broker), nonce) {
            *place = Some(nonce);
        }
        is_new
    }

    fn token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, token: Option<String>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn nonces(&self) -> MutexGuard<'_, Vec<Option<String>>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What connects from this address and trusts this authority (PEM).
fn client(from: Ipv4Addr, authority: &Path) -> Result<Client> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .local_address(IpAddr::V4(from))
        .no_proxy()
        .connect_timeout(CONNECT_LIMIT)
        .build()?)
}

/// An error with all that led to it.
fn said(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
