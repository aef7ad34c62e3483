//! The token endpoint and its refusals.

use crate::asking::{form, good_assertion, good_form, signed, token, token_at, token_url, unix_now};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::tenant::{Entra, Pair, Tenant};

pub(crate) fn play(entra: &Entra) -> Result<()> {
    let acme = entra.tenant("acme")?;
    let good = good_form(entra, &acme)?;
    let answer = token(entra, &acme, &good)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json()?;
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 3599);
    acme.token_lasts(300);
    let short = token(entra, &acme, &good_form(entra, &acme)?)?.json()?;
    assert_eq!(short["expires_in"], 300);
    // A second time, the same assertion is worth nothing.
    refused(&token(entra, &acme, &good)?, 401, "invalid_client", 50027)?;
    assertions(entra, &acme)?;
    requests(entra, &acme)?;
    secrets(entra, &acme)
}

fn refused(answer: &ticketgate_tests::http::Response, status: u16, error: &str, code: u32) -> Result<()> {
    let body = answer.json()?;
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(body["error"], error, "{body}");
    assert_eq!(body["error_codes"], json!([code]), "{body}");
    let text = body["error_description"].as_str().unwrap_or_default();
    assert!(text.starts_with(&format!("AADSTS{code}: ")), "{text}");
    Ok(())
}

/// Each is right but for one thing.
fn assertions(entra: &Entra, tenant: &Tenant) -> Result<()> {
    let url = token_url(entra, tenant);
    let now = unix_now()?;
    type Change = (&'static str, &'static str, Value, u16, &'static str, u32);
    let cases: [Change; 9] = [
        ("header", "alg", json!("RS256"), 401, "invalid_client", 700_027),
        ("header", "alg", json!("none"), 401, "invalid_client", 700_027),
        ("header", "x5t#S256", json!(Pair::foreign()?.thumbprint()?), 401, "invalid_client", 700_027),
        (
            "claims",
            "aud",
            json!("https://login.microsoftonline.com/common/oauth2/v2.0/token"),
            401,
            "invalid_client",
            700_023,
        ),
        ("claims", "iss", json!("somebody"), 401, "invalid_client", 700_021),
        ("claims", "sub", json!("somebody"), 401, "invalid_client", 700_021),
        ("claims", "exp", json!(now - 1), 401, "invalid_client", 700_024),
        ("claims", "nbf", json!(now + 3600), 401, "invalid_client", 700_024),
        ("claims", "jti", Value::Null, 400, "invalid_request", 50027),
    ];
    for (part, name, value, status, error, code) in cases {
        let (mut header, mut claims) = good_assertion(&url, tenant.client_id())?;
        let changed = if part == "header" { &mut header } else { &mut claims };
        changed[name] = value;
        let text = signed(&Pair::registered()?, &header, &claims)?;
        refused(&token(entra, tenant, &form(tenant.client_id(), &text))?, status, error, code)?;
    }
    // The name of the right key, and the signature of another.
    let (header, claims) = good_assertion(&url, tenant.client_id())?;
    let text = signed(&Pair::foreign()?, &header, &claims)?;
    refused(&token(entra, tenant, &form(tenant.client_id(), &text))?, 401, "invalid_client", 700_027)?;
    // The other key is right once it is registered, and the first one is not any more.
    let (mut header, claims) = good_assertion(&url, tenant.client_id())?;
    header["x5t#S256"] = json!(Pair::foreign()?.thumbprint()?);
    let text = signed(&Pair::foreign()?, &header, &claims)?;
    tenant.register(&Pair::foreign()?)?;
    assert_eq!(token(entra, tenant, &form(tenant.client_id(), &text))?.status, 200);
    refused(&token(entra, tenant, &good_form(entra, tenant)?)?, 401, "invalid_client", 700_027)?;
    tenant.register(&Pair::registered()?)?;
    // Once the sign-in's clock has gone on, an assertion of before is over.
    let form = good_form(entra, tenant)?;
    entra.move_sign_in_clock(std::time::Duration::from_secs(601));
    refused(&token(entra, tenant, &form)?, 401, "invalid_client", 700_024)
}

fn requests(entra: &Entra, tenant: &Tenant) -> Result<()> {
    let with = |name: &str, value: &str| -> Result<Vec<(&'static str, String)>> {
        let mut form = good_form(entra, tenant)?;
        for (known, old) in &mut form {
            if *known == name {
                *old = value.to_owned();
            }
        }
        Ok(form)
    };
    let form = with("", "")?;
    let nobody = "00000000-0000-4000-8000-000000000000";
    refused(&token_at(entra, nobody, &form)?, 400, "invalid_request", 90002)?;
    refused(&token_at(entra, "acme", &form)?, 400, "invalid_request", 900_023)?;
    refused(&token(entra, tenant, &with("client_id", nobody)?)?, 400, "unauthorized_client", 700_016)?;
    let scope = "https://graph.microsoft.com/User.Read";
    refused(&token(entra, tenant, &with("scope", scope)?)?, 400, "invalid_scope", 1_002_012)?;
    refused(&token(entra, tenant, &with("grant_type", "password")?)?, 400, "unsupported_grant_type", 70003)?;
    tenant.fail_next("/token", 503, "temporarily_unavailable");
    assert_eq!(token(entra, tenant, &form)?.status, 503);
    let asked = tenant.asked().pop().map(|asked| (asked.status, asked.body));
    let Some((503, body)) = asked else { anyhow::bail!("not journalled: {asked:?}") };
    assert_eq!(body["client_assertion"], "…", "an assertion is none of a journal's business");
    Ok(())
}

fn secrets(entra: &Entra, tenant: &Tenant) -> Result<()> {
    let form = |secret: &str| {
        let mut form = form(tenant.client_id(), "");
        form.truncate(3);
        form.push(("client_secret", secret.to_owned()));
        form
    };
    assert_eq!(token(entra, tenant, &form(tenant.secret()))?.status, 200);
    refused(&token(entra, tenant, &form("wrong"))?, 401, "invalid_client", 7_000_215)?;
    tenant.secret_is_over();
    refused(&token(entra, tenant, &form(tenant.secret()))?, 401, "invalid_client", 7_000_222)?;
    let mut nothing = form("");
    nothing.truncate(3);
    refused(&token(entra, tenant, &nothing)?, 401, "invalid_client", 7_000_216)
}
