//! What a provider says of a person, held against what was asked (OpenID Connect Core §3.1.3.7), and what it says of an end
//! (Back-Channel Logout §2.6). Signatures are looked at before, in `provider.rs`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use ticketgate_access::config::SignInProvider;
use ticketgate_protocol::text;

use super::jwt::BadToken;

/// Clocks of provider and broker may differ by so much.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// The longest text of a claim that is kept.
const TEXT_MAX: usize = 200;

/// The most groups that are kept.
const GROUPS_MAX: usize = 1_000;

/// The event of a logout token.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A person, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    /// `sub`.
    pub(super) subject: String,
    /// What stands in the claim that names the person.
    pub(super) value: String,
    /// To be shown.
    pub(super) name: String,
    pub(super) groups: BTreeSet<String>,
    /// `sid`.
    pub(super) session: Option<String>,
}

/// Whose sessions a provider ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoggedOut {
    pub(super) subject: Option<String>,
    pub(super) session: Option<String>,
}

fn bad<T>(why: impl Into<String>) -> Result<T, BadToken> {
    Err(BadToken::Claim(why.into()))
}

/// Reads an ID token's claims. `nonce` is the one of the question, where there was one.
///
/// # Errors
/// [`BadToken::Claim`]: which is missing or wrong.
pub(super) fn person(
    claims: &Value,
    settings: &SignInProvider,
    nonce: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Person, BadToken> {
    for_us(claims, settings, now)?;
    if claims.get("events").is_some() {
        return bad("it is another kind of token");
    }
    if nonce.is_some() && text_of(claims, "nonce") != nonce {
        return bad("its nonce is not the one that was asked with");
    }
    let Some(subject) = kept(claims, "sub") else { return bad("it does not say whose it is (`sub`)") };
    let claim = settings.claim.as_str();
    let Some(value) = kept(claims, claim) else {
        return bad(format!("it has no claim \"{claim}\", which names the person"));
    };
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return bad("the provider did not verify its e-mail address");
    }
    let names = ["preferred_username", "email", "name"];
    let name = names.iter().find_map(|name| kept(claims, name)).unwrap_or_else(|| subject.clone());
    Ok(Person { groups: groups(claims, settings)?, session: kept(claims, "sid"), subject, value, name })
}

/// Reads a logout token's claims.
///
/// # Errors
/// [`BadToken::Claim`]
pub(super) fn logged_out(
    claims: &Value,
    settings: &SignInProvider,
    now: DateTime<Utc>,
) -> Result<LoggedOut, BadToken> {
    for_us(claims, settings, now)?;
    if !claims.get("events").and_then(|events| events.get(LOGOUT)).is_some_and(Value::is_object) {
        return bad("it is no logout token");
    }
    if claims.get("nonce").is_some() {
        return bad("a logout token has no nonce");
    }
    if text_of(claims, "jti").is_none() {
        return bad("it has no id (`jti`)");
    }
    let found = LoggedOut { subject: kept(claims, "sub"), session: kept(claims, "sid") };
    if found.subject.is_none() && found.session.is_none() {
        return bad("it says neither whose sessions nor which session");
    }
    Ok(found)
}

/// Issuer, audience and times.
fn for_us(claims: &Value, settings: &SignInProvider, now: DateTime<Utc>) -> Result<(), BadToken> {
    if text_of(claims, "iss") != Some(&settings.issuer) {
        return bad("it is of another issuer");
    }
    let ours = |audience: &Value| audience.as_str() == Some(&settings.client_id);
    let several = match claims.get("aud") {
        Some(Value::Array(all)) if all.iter().any(ours) => all.len() > 1,
        Some(one) if ours(one) => false,
        _ => return bad("it is for another audience"),
    };
    match text_of(claims, "azp") {
        Some(party) if party != settings.client_id => return bad("it was given to another party (`azp`)"),
        None if several => return bad("it is for several, and does not say to whom it was given (`azp`)"),
        _ => {}
    }
    let time = |name: &str| {
        let seconds = claims.get(name).and_then(|at| at.as_i64().or_else(|| float(at)));
        seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0))
    };
    match time("exp") {
        Some(end) if now - LEEWAY < end => {}
        Some(_) => return bad("its time is over"),
        None => return bad("it has no end (`exp`)"),
    }
    match (claims.get("nbf").is_some(), time("nbf")) {
        (false, _) => {}
        (true, Some(start)) if start <= now + LEEWAY => {}
        _ => return bad("its time has not come"),
    }
    match time("iat") {
        Some(at) if at <= now + LEEWAY => Ok(()),
        Some(_) => bad("it was made in the future: are the clocks right?"),
        None => bad("it does not say when it was made (`iat`)"),
    }
}

/// JSON numbers may have fractions (RFC 7519 §2, NumericDate).
fn float(at: &Value) -> Option<i64> {
    let seconds = at.as_f64()?;
    let whole = (0.0..4e12).contains(&seconds);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within the bounds, and a fraction of a second is cut"
    )]
    whole.then_some(seconds as i64)
}

fn groups(claims: &Value, settings: &SignInProvider) -> Result<BTreeSet<String>, BadToken> {
    // Groups that nothing is made of are none of our business.
    if settings.groups.is_empty() {
        return Ok(BTreeSet::new());
    }
    let name = settings.groups_claim.as_str();
    let elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(name).is_some());
    if elsewhere || claims.get("hasgroups") == Some(&Value::Bool(true)) {
        return bad(format!(
            "the person is in more groups than the provider puts into a token (\"{name}\" stands elsewhere); have it send only the \
             groups that are assigned to the application (docs/sign-in.md)"
        ));
    }
    let listed = match claims.get(name) {
        None => return Ok(BTreeSet::new()),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => {
            let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            if texts.len() != all.len() {
                return bad(format!("its claim \"{name}\" is no list of texts"));
            }
            texts
        }
        Some(_) => return bad(format!("its claim \"{name}\" is no list of texts")),
    };
    if listed.len() > GROUPS_MAX {
        return bad(format!("the person is in more than {GROUPS_MAX} groups"));
    }
    Ok(listed.into_iter().filter(|group| group.len() <= TEXT_MAX).map(str::to_owned).collect())
}

fn text_of<'c>(claims: &'c Value, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// A claim that is kept and compared: as it is, or not at all.
fn kept(claims: &Value, name: &str) -> Option<String> {
    let found = text_of(claims, name)?;
    let clean = (1..=TEXT_MAX).contains(&found.len()) && !found.chars().any(text::is_forbidden);
    clean.then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn settings() -> SignInProvider {
        SignInProvider {
            issuer: "https://login.example".into(),
            client_id: "ticketgate".into(),
            client_secret: None,
            ca_file: None,
            claim: "oid".into(),
            groups_claim: "groups".into(),
            groups: BTreeMap::from([("8d1f".to_owned(), "tier2".to_owned())]),
            scopes: Vec::new(),
            lasts_s: 3600,
            addresses: Vec::new(),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "each is made on the spot")]
    fn claims(other: Value) -> Value {
        let at = now().timestamp();
        let mut claims = json!({ "iss": "https://login.example", "aud": "ticketgate", "sub": "s-1", "oid": "o-1", "nonce": "n",
            "iat": at - 5, "nbf": at - 5, "exp": at + 3600, "groups": ["8d1f", "else"], "preferred_username": "terry@x" });
        for (name, value) in other.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn read(other: Value) -> Result<Person, String> {
        person(&claims(other), &settings(), Some("n"), now()).map_err(|bad| bad.to_string())
    }

    #[test]
    fn a_person_is_read_from_what_is_for_us_and_in_its_time() {
        let person = read(json!({})).unwrap();
        assert_eq!(
            (person.subject.as_str(), person.value.as_str(), person.name.as_str()),
            ("s-1", "o-1", "terry@x")
        );
        assert_eq!(person.groups, ["8d1f".to_owned(), "else".to_owned()].into());
        let at = now().timestamp();
        for good in [
            json!({ "aud": ["ticketgate"] }),
            json!({ "aud": ["other", "ticketgate"], "azp": "ticketgate" }),
            json!({ "azp": "ticketgate" }),
            json!({ "nbf": null }),
            json!({ "exp": at - 59 }),
            json!({ "nbf": at + 60, "iat": at + 60 }),
            json!({ "exp": at as f64 + 0.5 }),
            json!({ "groups": null }),
            json!({ "groups": "8d1f" }),
            json!({ "preferred_username": null }),
        ] {
            assert!(read(good.clone()).is_ok(), "{good}: {:?}", read(good.clone()));
        }
    }

    #[test]
    fn everything_that_is_wrong_is_refused_and_named() {
        let at = now().timestamp();
        let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
        for (wrong, says) in [
            (json!({ "iss": "https://login.example/" }), "another issuer"),
            (json!({ "iss": null }), "another issuer"),
            (json!({ "aud": "other" }), "another audience"),
            (json!({ "aud": null }), "another audience"),
            (json!({ "aud": [] }), "another audience"),
            (json!({ "aud": { "ticketgate": 1 } }), "another audience"),
            (json!({ "aud": ["ticketgate", "other"] }), "for several"),
            (json!({ "azp": "other" }), "another party"),
            (json!({ "exp": at - 60 }), "over"),
            (json!({ "exp": null }), "no end"),
            (json!({ "exp": "9999999999" }), "no end"),
            (json!({ "exp": 1e300 }), "no end"),
            (json!({ "nbf": at + 61 }), "has not come"),
            (json!({ "nbf": "soon" }), "has not come"),
            (json!({ "iat": at + 61 }), "in the future"),
            (json!({ "iat": null }), "when it was made"),
            (json!({ "nonce": "other" }), "nonce"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "sub": null }), "whose it is"),
            (json!({ "sub": "" }), "whose it is"),
            (json!({ "oid": null }), "no claim \"oid\""),
            (json!({ "oid": 7 }), "no claim \"oid\""),
            (json!({ "oid": "a\u{202e}b" }), "no claim \"oid\""),
            (json!({ "oid": "x".repeat(201) }), "no claim \"oid\""),
            (json!({ "events": {} }), "another kind"),
            (json!({ "groups": [1] }), "no list of texts"),
            (json!({ "groups": { "a": 1 } }), "no list of texts"),
            (json!({ "groups": many }), "more than 1000 groups"),
            (json!({ "groups": null, "_claim_names": { "groups": "src1" } }), "more groups than"),
            (json!({ "groups": null, "hasgroups": true }), "more groups than"),
        ] {
            let why = read(wrong.clone()).expect_err(&wrong.to_string());
            assert!(why.contains(says), "{wrong}: {why}");
        }
    }

    #[test]
    fn an_address_names_somebody_only_when_it_was_verified_and_groups_are_looked_at_only_where_they_count() {
        let by_mail = SignInProvider { claim: "email".into(), groups: BTreeMap::new(), ..settings() };
        let read = |other| person(&claims(other), &by_mail, None, now());
        assert!(read(json!({ "email": "t@x", "email_verified": true, "hasgroups": true })).is_ok());
        for verified in [json!(false), json!("true"), Value::Null] {
            assert!(read(json!({ "email": "t@x", "email_verified": verified })).is_err());
        }
    }

    #[test]
    fn a_logout_token_is_one_and_no_other_is() {
        let event = json!({ LOGOUT: {} });
        let read = |other: Value| {
            let mut all = json!({ "events": event, "jti": "j", "nonce": null, "sid": "sid-1" });
            all.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
            logged_out(&claims(all), &settings(), now())
        };
        let found = read(json!({})).unwrap();
        assert_eq!((found.subject.as_deref(), found.session.as_deref()), (Some("s-1"), Some("sid-1")));
        assert!(read(json!({ "sub": null })).is_ok() && read(json!({ "sid": null })).is_ok());
        for wrong in [
            json!({ "events": null }),
            json!({ "events": { "other": {} } }),
            json!({ "events": { LOGOUT: "x" } }),
            json!({ "nonce": "n" }),
            json!({ "jti": null }),
            json!({ "sub": null, "sid": null }),
            json!({ "aud": "other" }),
            json!({ "exp": 1 }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
