//! A team's broker as a relay sees it: real requests over loopback, in which the listener says that they come from elsewhere; and a
//! provider by others.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ticketgate_tests::http::Response;
use ticketgate_tests::oidc::TeamProvider;

use super::super::http::router;
use super::super::identity::Peer;
use super::super::identity::jwt::tests::TestKey;
use super::*;

/// A broker that is asked from elsewhere.
pub(super) struct Team {
    pub(super) world: World,
    at: SocketAddr,
    _stopping: tokio::sync::watch::Sender<bool>,
}

/// A relay: its key, and its token once somebody is signed in.
pub(super) struct Relay {
    pub(super) key: TestKey,
    pub(super) token: Option<String>,
    pub(super) refresh: Option<String>,
    /// What is put into proofs instead of what belongs there.
    pub(super) claims: Value,
}

impl Team {
    /// On this configuration, with the clock at the machine's own time: that is the provider's.
    pub(super) async fn new(configuration: &str) -> Self {
        Self::with_ledger_refusing("", configuration).await
    }

    /// The same on a ledger that refuses writes of these names once told to.
    pub(super) async fn with_ledger_refusing(names: &'static str, configuration: &str) -> Self {
        let world = World::with_ledger_refusing(names).await;
        let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
        world.clock.pass((now - world.clock.now()).num_seconds());
        world.broker.load_settings(configuration).await.unwrap();
        let (stopping, told) = tokio::sync::watch::channel(false);
        let peer = Peer::Remote { address: SocketAddr::from(([192, 0, 2, 7], 4711)), certificate: None };
        let app = router(Arc::clone(&world.broker), told).layer(axum::Extension(ConnectInfo(peer)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { world, at, _stopping: stopping }
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let (at, method, path, body) = (self.at, method.to_owned(), path.to_owned(), body.to_owned());
        let mut headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if !headers.iter().any(|(name, _)| name == "Content-Type") {
            headers.push(("Content-Type".into(), "application/json".into()));
        }
        tokio::task::spawn_blocking(move || {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            ticketgate_tests::http::ask(at, &method, &path, &headers, body.as_bytes()).unwrap()
        })
        .await
        .unwrap()
    }

    pub(super) async fn records(&self, action: &str) -> Vec<Value> {
        let all = self.world.ledger.audit(AuditQuery::default()).await.unwrap();
        all.into_iter().filter(|record| record.action == action).map(|record| record.details).collect()
    }
}

impl Relay {
    pub(super) fn new() -> Self {
        Self { key: TestKey::new(), token: None, refresh: None, claims: json!({}) }
    }

    /// The proof for a request.
    pub(super) fn proof(&self, team: &Team, method: &str, path: &str, nonce: Option<&str>) -> String {
        let number = crate::random::letters(16);
        let path = path.split('?').next().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut claims =
            json!({ "htm": method, "htu": format!("https://{}{path}", team.at), "iat": now, "jti": number });
        if let Some(token) = &self.token {
            claims["ath"] = json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        claims.as_object_mut().unwrap().extend(self.claims.as_object().unwrap().clone());
        self.key.sign(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk }), &claims)
    }

    pub(super) async fn ask_with(
        &self,
        team: &Team,
        method: &str,
        path: &str,
        proof: &str,
        body: &Value,
    ) -> Response {
        let token = self.token.as_ref().map(|token| format!("DPoP {token}"));
        let key = crate::random::letters(16);
        let mut headers = vec![("DPoP", proof), ("Idempotency-Key", key.as_str())];
        headers.extend(token.as_deref().map(|token| ("Authorization", token)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        team.ask(method, path, &headers, &body).await
    }

    pub(super) async fn ask(&self, team: &Team, method: &str, path: &str, body: &Value) -> Response {
        let proof = self.proof(team, method, path, None);
        self.ask_with(team, method, path, &proof, body).await
    }

    pub(super) async fn get(&self, team: &Team, path: &str) -> Response {
        self.ask(team, "GET", path, &Value::Null).await
    }

    /// Begins to sign in, and lets a person do so in a browser: what goes on with it.
    pub(super) async fn came(&self, team: &Team) -> Value {
        let asked = self.ask(team, "POST", "/v1/sign-in", &json!({ "port": 8123 })).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        let asked = asked.json().unwrap();
        let address = asked["address"].as_str().unwrap().to_owned();
        let back =
            tokio::task::spawn_blocking(move || ticketgate_tests::person::sign_in_at(&address).unwrap())
                .await
                .unwrap();
        let value = |name| {
            ticketgate_tests::person::value(&back, name).map(|v| v.replace("%3A", ":").replace("%2F", "/"))
        };
        let came = json!({ "state": value("state"), "code": value("code"), "iss": value("iss") });
        json!({ "id": asked["id"], "came": came })
    }

    /// Signs in; the answer.
    pub(super) async fn sign_in(&mut self, team: &Team) -> Response {
        self.token = None;
        let on = self.came(team).await;
        let said = self.ask(team, "POST", "/v1/sign-in/go-on", &on).await;
        if said.status == 200 {
            self.keep(&said.json().unwrap()["signed_in"]);
        }
        said
    }

    pub(super) fn keep(&mut self, signed_in: &Value) {
        self.token = signed_in["token"].as_str().map(str::to_owned);
        self.refresh = signed_in["refresh"].as_str().map(str::to_owned);
    }

    pub(super) async fn signed_in(team: &Team) -> Self {
        let mut relay = Self::new();
        let said = relay.sign_in(team).await;
        assert_eq!(said.status, 200, "{}", said.text());
        relay
    }

    pub(super) async fn renew(&mut self, team: &Team) -> Response {
        let said = self.ask(team, "POST", "/v1/sign-in/renew", &json!({ "refresh": self.refresh })).await;
        if said.status == 200 {
            self.keep(&said.json().unwrap());
        }
        said
    }
}

/// A configuration whose people sign in at this provider.
pub(super) fn signing_in_at(provider: &TeamProvider, more: &str) -> String {
    let sign_in = format!(
        "[sign_in]\nissuer = \"{}\"\nclient_id = \"{}\"\nclaim = \"oid\"\ngroups = {{ \"8d1f\" = \"tier2\", \"0ad1\" = \"admins\" }}\n{more}",
        provider.issuer(),
        provider.client()
    );
    let technician = "[[technician]]\nid = \"tech1\"\nsign_in = \"oid-terry\"\n";
    let text = configuration().replace("[[technician]]\nid = \"tech1\"\ngroups = [\"tier2\"]\n", technician);
    let text = text.replace(
        "[[technician]]\nid = \"boss\"\n",
        "[[technician]]\nid = \"boss\"\nsign_in = \"oid-boss\"\n",
    );
    format!("{text}\n{sign_in}")
}

/// Somebody else signs in from now on.
pub(super) fn becomes(provider: &TeamProvider, who: &str, groups: &[&str]) {
    let person = json!({ "sub": format!("sub-{who}"), "oid": format!("oid-{who}"), "preferred_username": format!("{who}@example.com"), "groups": groups });
    provider.steer(&json!({ "person": person })).unwrap();
}

pub(super) fn code(said: &Response) -> String {
    said.json().unwrap()["code"].as_str().unwrap_or_default().to_owned()
}
