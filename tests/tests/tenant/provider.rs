//! What an OpenID provider that knows nothing of us says to the ways in which the product signs in.

use crate::asking::{address, encoded, form, good_assertion, post_form, signed, signed_as, unix_now};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ticketgate_tests::Result;
use ticketgate_tests::http::Response;
use ticketgate_tests::oidc::OpenIdProvider;
use ticketgate_tests::person::{sign_in_at, value};
use ticketgate_tests::tenant::Pair;

const REDIRECT: &str = "http://localhost:41234";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE: &str = "openid offline_access https://graph.microsoft.com/User.Read";

pub(crate) fn play(provider: &OpenIdProvider) -> Result<()> {
    by_assertion(provider)?;
    by_browser(provider)?;
    by_device(provider)
}

fn token(provider: &OpenIdProvider, form: &[(&str, String)]) -> Result<Response> {
    let path = format!("/{}/oauth2/v2.0/token", provider.tenant());
    post_form(address(provider.login_url())?, &path, form)
}

fn refused(answer: &Response, error: &str) -> Result<()> {
    let body = answer.json()?;
    assert!(answer.status >= 400 && body["error"] == error, "{}: {body}", answer.status);
    Ok(())
}

fn by_assertion(provider: &OpenIdProvider) -> Result<()> {
    let url = format!("{}/{}/oauth2/v2.0/token", provider.login_url(), provider.tenant());
    let good = || good_assertion(&url, provider.app());
    let (header, claims) = good()?;
    let pair = Pair::registered()?;
    let fresh = form(provider.app(), &signed(&pair, &header, &claims)?);
    let answer = token(provider, &fresh)?;
    let body = answer.json()?;
    assert_eq!((answer.status, &body["token_type"]), (200, &json!("Bearer")), "{body}");
    // Used before.
    refused(&token(provider, &fresh)?, "invalid_client")?;
    let now = unix_now()?;
    let wrong = [
        ("aud", json!("https://elsewhere.example/token")),
        ("exp", json!(now - 60)),
        ("nbf", json!(now + 3600)),
        ("iss", json!("somebody")),
        ("jti", Value::Null),
    ];
    for (name, value) in wrong {
        let (header, mut claims) = good()?;
        claims[name] = value;
        let answer = token(provider, &form(provider.app(), &signed(&pair, &header, &claims)?))?;
        refused(&answer, "invalid_client").with_context(|| name)?;
    }
    let (mut header, claims) = good()?;
    header["alg"] = json!("RS256");
    let other = signed_as(&RSA_PKCS1_SHA256, &pair, &header, &claims)?;
    refused(&token(provider, &form(provider.app(), &other))?, "invalid_client")?;
    let (header, claims) = good()?;
    let foreign = signed(&Pair::foreign()?, &header, &claims)?;
    refused(&token(provider, &form(provider.app(), &foreign))?, "invalid_client")
}

/// Authorization code with PKCE, as a person's browser goes through it; answers the code that comes back.
fn code(provider: &OpenIdProvider, redirect: &str, challenge: &str) -> Result<String> {
    let address = format!(
        "{}/{}/oauth2/v2.0/authorize?client_id={}&response_type=code&redirect_uri={}&scope={}&state=st&login_hint=tech1\
&code_challenge={challenge}&code_challenge_method=S256",
        provider.login_url(),
        provider.tenant(),
        provider.public_client(),
        encoded(redirect),
        encoded(SCOPE)
    );
    let back = sign_in_at(&address)?;
    Ok(value(&back, "code").with_context(|| format!("no code: {back}"))?.to_owned())
}

fn by_browser(provider: &OpenIdProvider) -> Result<()> {
    let verifier = "a-verifier-of-more-than-forty-three-letters-for-this-test";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let exchange = |code: &str, verifier: &str| {
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", provider.public_client().to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_verifier", verifier.to_owned()),
        ];
        token(provider, &form)
    };
    let found = code(provider, REDIRECT, &challenge)?;
    let answer = exchange(&found, verifier)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let first = answer.json()?["refresh_token"].as_str().context("no refresh token")?.to_owned();
    refused(&exchange(&found, verifier)?, "invalid_grant")?;
    let found = code(provider, REDIRECT, &challenge)?;
    refused(&exchange(&found, "another-verifier-of-more-than-forty-three-letters-for-it")?, "invalid_grant")?;
    // Without PKCE, and to a path that nobody registered, there is no code.
    assert!(code(provider, REDIRECT, "").is_err());
    assert!(code(provider, "http://localhost:41234/elsewhere", &challenge).is_err());
    // A refresh token is good once; the next one comes with the answer.
    let refresh = |token_text: &str| {
        let form = [
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", provider.public_client().to_owned()),
            ("refresh_token", token_text.to_owned()),
        ];
        token(provider, &form)
    };
    let answer = code(provider, REDIRECT, &challenge).and_then(|found| exchange(&found, verifier))?;
    let fresh = answer.json()?["refresh_token"].as_str().context("no refresh token")?.to_owned();
    let next = refresh(&fresh)?.json()?["refresh_token"].as_str().context("no next token")?.to_owned();
    assert_ne!(fresh, next);
    refused(&refresh(&fresh)?, "invalid_grant")?;
    assert_ne!(first, fresh);
    Ok(())
}

fn by_device(provider: &OpenIdProvider) -> Result<()> {
    let ask_code = || -> Result<Value> {
        let path = format!("/{}/oauth2/v2.0/devicecode", provider.tenant());
        let form = [("client_id", provider.public_client().to_owned()), ("scope", SCOPE.to_owned())];
        post_form(address(provider.login_url())?, &path, &form)?.json()
    };
    let poll = |code: &Value| {
        let form = [
            ("grant_type", DEVICE.to_owned()),
            ("client_id", provider.public_client().to_owned()),
            ("device_code", code["device_code"].as_str().unwrap_or_default().to_owned()),
        ];
        token(provider, &form)
    };
    let user_code = |code: &Value| code["user_code"].as_str().unwrap_or_default().to_owned();
    let first = ask_code()?;
    refused(&poll(&first)?, "authorization_pending")?;
    provider.answer_device(&user_code(&first), true)?;
    let answer = poll(&first)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let second = ask_code()?;
    provider.answer_device(&user_code(&second), false)?;
    // Entra ID calls it `authorization_declined`.
    refused(&poll(&second)?, "access_denied")
}
