//! People at the stand-in's sign-in: in a browser, later by refresh token, and at another device.

use crate::asking::{App, address, encoded, post_form};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use ticketgate_tests::Result;
use ticketgate_tests::http::{Response, ask};
use ticketgate_tests::tenant::{Entra, Tenant};

const REDIRECT: &str = "http://localhost:40123";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-letters-for-this-test";
const SCOPE: &str = "offline_access https://graph.microsoft.com/User.Read";

/// The public client at one tenant.
struct Client<'a> {
    entra: &'a Entra,
    tenant: Tenant,
}

impl Client<'_> {
    fn post(&self, what: &str, form: &[(&str, &str)]) -> Result<Response> {
        let id = self.tenant.public_client();
        let mut all = vec![("client_id", id)];
        all.extend(form.iter().map(|(name, value)| (*name, (*value).to_owned())));
        post_form(
            address(&self.entra.login_url())?,
            &format!("/{}/oauth2/v2.0/{what}", self.tenant.id()),
            &all,
        )
    }

    /// Where the browser is sent, with one pair of the query otherwise.
    fn browse(&self, change: (&str, &str)) -> Result<Response> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let id = self.tenant.public_client();
        let pairs = [
            ("client_id", id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPE),
            ("state", "s1"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let query = pairs.map(|(name, value)| {
            format!("{name}={}", encoded(if name == change.0 { change.1 } else { value }))
        });
        let path = format!("/{}/oauth2/v2.0/authorize?{}", self.tenant.id(), query.join("&"));
        ask(address(&self.entra.login_url())?, "GET", &path, &[], &[])
    }

    fn code(&self) -> Result<String> {
        let answer = self.browse(("", ""))?;
        let location = answer.header("location").context("not sent back")?;
        assert!(location.starts_with(&format!("{REDIRECT}?")) && location.contains("state=s1"), "{location}");
        let found = location.split(['?', '&']).find_map(|part| part.strip_prefix("code="));
        Ok(found.with_context(|| format!("no code: {location}"))?.to_owned())
    }

    fn exchange(&self, code: &str, verifier: &str) -> Result<Response> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ];
        self.post("token", &form)
    }

    fn refresh(&self, token: &str) -> Result<Response> {
        self.post("token", &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", SCOPE)])
    }
}

fn refused(answer: &Response, error: &str, code: u32) -> Result<()> {
    let body = answer.json()?;
    assert_eq!(
        (answer.status, &body["error"], &body["error_codes"]),
        (400, &json!(error), &json!([code])),
        "{body}"
    );
    Ok(())
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn play(entra: &Entra, graph: std::net::SocketAddr) -> Result<()> {
    let client = Client { entra, tenant: entra.tenant("people")? };
    let tech = client.tenant.add_user("tech1");
    // Nobody is there; then somebody is.
    assert!(
        client
            .browse(("", ""))?
            .header("location")
            .is_some_and(|location| location.contains("error=access_denied"))
    );
    client.tenant.person(Some(&tech));
    assert_eq!(
        client.browse(("redirect_uri", "http://localhost:1/elsewhere"))?.json()?["error_codes"],
        json!([50011])
    );
    assert_eq!(client.browse(("client_id", "nobody"))?.json()?["error_codes"], json!([700_016]));
    for (name, value) in [("code_challenge", ""), ("scope", "https://graph.microsoft.com/User.ReadWrite.All")]
    {
        let location = client.browse((name, value))?.header("location").unwrap_or_default().to_owned();
        assert!(location.contains("error="), "{name}: {location}");
    }

    let code = client.code()?;
    refused(&client.exchange(&code, "another")?, "invalid_grant", 501_481)?;
    let given = client.exchange(&code, VERIFIER)?.json()?;
    refused(&client.exchange(&code, VERIFIER)?, "invalid_grant", 54005)?;
    let app = App::with_token(graph, &text(&given, "access_token"));
    assert_eq!(app.expect(200, "GET", "/me?$select=id", &Value::Null)?["id"], tech);
    app.refused(403, "Authorization_RequestDenied", "GET", "/users", &Value::Null)?;

    let refresh = text(&given, "refresh_token");
    let next = client.refresh(&refresh)?.json()?;
    assert_ne!(text(&next, "refresh_token"), refresh);
    client.tenant.interaction(true);
    refused(&client.refresh(&refresh)?, "interaction_required", 50076)?;
    client.tenant.interaction(false);
    client.tenant.edit(&tech, &json!({"accountEnabled": false}));
    refused(&client.refresh(&refresh)?, "invalid_grant", 50057)?;
    client.tenant.edit(&tech, &json!({"accountEnabled": true}));
    let admin = App::sign_in(entra, &client.tenant, graph)?;
    admin.expect(200, "POST", &format!("/users/{tech}/revokeSignInSessions"), &Value::Null)?;
    refused(&client.refresh(&refresh)?, "invalid_grant", 50173)?;
    devices(&client, &tech)
}

fn devices(client: &Client<'_>, tech: &str) -> Result<()> {
    let ask_code = || client.post("devicecode", &[("scope", SCOPE)])?.json();
    let poll = |code: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        client.post("token", &[("grant_type", grant), ("device_code", code)])
    };
    let (first, second): (Value, Value) = (ask_code()?, ask_code()?);
    refused(&poll(&text(&first, "device_code"))?, "authorization_pending", 70016)?;
    assert!(client.tenant.answer_device(&text(&first, "user_code"), Some(tech)));
    assert_eq!(poll(&text(&first, "device_code"))?.status, 200);
    assert!(client.tenant.answer_device(&text(&second, "user_code"), None));
    refused(&poll(&text(&second, "device_code"))?, "authorization_declined", 65004)?;
    refused(&poll("nothing")?, "bad_verification_code", 70018)
}

/// Codes are over after a while.
pub(crate) fn late(entra: &Entra) -> Result<()> {
    let client = Client { entra, tenant: entra.tenant("late")? };
    client.tenant.person(Some(&client.tenant.add_user("tech1")));
    let device = client.post("devicecode", &[("scope", SCOPE)])?.json()?;
    let code = client.code()?;
    entra.move_sign_in_clock(Duration::from_secs(901));
    refused(&client.exchange(&code, VERIFIER)?, "invalid_grant", 70008)?;
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let form = [("grant_type", grant), ("device_code", &text(&device, "device_code"))];
    refused(&client.post("token", &form)?, "expired_token", 70019)
}
