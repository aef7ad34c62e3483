//! A client as small as can be: it shares nothing with the product's.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaEncoding};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::SystemTime;
use ticketgate_tests::Result;
use ticketgate_tests::http::{Response, ask};
use ticketgate_tests::tenant::{Entra, Pair, Tenant};

/// An app that has signed in.
pub(crate) struct App {
    graph: SocketAddr,
    token: String,
}

impl App {
    pub(crate) fn sign_in(entra: &Entra, tenant: &Tenant, graph: SocketAddr) -> Result<Self> {
        let answer = token(entra, tenant, &good_form(entra, tenant)?)?;
        let token = answer.json()?["access_token"].as_str().context("no token")?.to_owned();
        Ok(Self { graph, token })
    }

    pub(crate) fn with_token(graph: SocketAddr, token: &str) -> Self {
        Self { graph, token: token.to_owned() }
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("client-request-id", "4c7b8a2e-1111-4222-8333-123456789012"),
            ("x-ms-throttle-priority", "high"),
        ];
        let (bytes, with_body) = match body {
            Value::Null => (Vec::new(), 1),
            body => (body.to_string().into_bytes(), 0),
        };
        let sent: Vec<_> =
            headers.iter().filter(|(name, _)| with_body == 0 || *name != "Content-Type").copied().collect();
        ask(self.graph, method, &path.replace(' ', "%20"), &sent, &bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Response> {
        self.send("GET", path, &Value::Null)
    }

    /// Sends and expects this status; answers the body.
    pub(crate) fn expect(&self, status: u16, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(method, path, body)?;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        if answer.body.is_empty() { Ok(Value::Null) } else { answer.json() }
    }

    /// Sends and expects this refusal.
    pub(crate) fn refused(
        &self,
        status: u16,
        code: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<()> {
        let refused = self.expect(status, method, path, body)?;
        assert_eq!(refused["error"]["code"], code, "{method} {path}");
        Ok(())
    }
}

pub(crate) fn address(url: &str) -> Result<SocketAddr> {
    Ok(url.trim_start_matches("http://").parse()?)
}

/// Asks for a token with this form.
pub(crate) fn token(entra: &Entra, tenant: &Tenant, form: &[(&str, String)]) -> Result<Response> {
    token_at(entra, tenant.id(), form)
}

pub(crate) fn token_at(entra: &Entra, tenant: &str, form: &[(&str, String)]) -> Result<Response> {
    let path = format!("/{tenant}/oauth2/v2.0/token");
    post_form(address(&entra.login_url())?, &path, form)
}

pub(crate) fn post_form(at: SocketAddr, path: &str, form: &[(&str, String)]) -> Result<Response> {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    ask(at, "POST", path, &headers, pairs.join("&").as_bytes())
}

pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

pub(crate) fn good_form(entra: &Entra, tenant: &Tenant) -> Result<Vec<(&'static str, String)>> {
    let (header, claims) = good_assertion(&token_url(entra, tenant), tenant.client_id())?;
    Ok(form(tenant.client_id(), &signed(&Pair::registered()?, &header, &claims)?))
}

pub(crate) fn token_url(entra: &Entra, tenant: &Tenant) -> String {
    format!("{}/{}/oauth2/v2.0/token", entra.login_url(), tenant.id())
}

pub(crate) fn form(client: &str, assertion: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "client_credentials".to_owned()),
        ("client_id", client.to_owned()),
        ("scope", "https://graph.microsoft.com/.default".to_owned()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
        ("client_assertion", assertion.to_owned()),
    ]
}

pub(crate) fn unix_now() -> Result<i64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs().try_into()?)
}

/// Header and claims that are right.
pub(crate) fn good_assertion(audience: &str, client: &str) -> Result<(Value, Value)> {
    let now = unix_now()?;
    let nonce = format!("{:?}-{:?}", SystemTime::now(), std::thread::current().id());
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": Pair::registered()?.thumbprint()?});
    let claims = json!({
        "aud": audience, "iss": client, "sub": client, "jti": nonce, "nbf": now - 60, "iat": now, "exp": now + 600,
    });
    Ok((header, claims))
}

pub(crate) fn signed(pair: &Pair, header: &Value, claims: &Value) -> Result<String> {
    signed_as(&RSA_PSS_SHA256, pair, header, claims)
}

pub(crate) fn signed_as(
    padding: &'static dyn RsaEncoding,
    pair: &Pair,
    header: &Value,
    claims: &Value,
) -> Result<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let key = pair.signer()?;
    let mut signature = vec![0; key.public().modulus_len()];
    let made = key.sign(padding, &SystemRandom::new(), text.as_bytes(), &mut signature);
    made.ok().context("no signature")?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
