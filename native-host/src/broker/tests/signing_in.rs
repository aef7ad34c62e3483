//! Signing in from elsewhere, with a provider by others, and everything that must not work.

use serde_json::{Value, json};
use ticketgate_ledger::SignInFilter;
use ticketgate_tests::oidc::TeamProvider;

use super::team::{Relay, Team, becomes, code, signing_in_at};
use super::*;

async fn team(more: &str) -> (TeamProvider, Team) {
    let provider = TeamProvider::start().unwrap();
    let team = Team::new(&signing_in_at(&provider, more)).await;
    (provider, team)
}

fn activation() -> Value {
    json!({ "customer": "acme", "policy": "domain", "duration_s": 3600, "reason": "#4711 Outlook", "ticket": { "number": "4711" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_and_works_by_the_providers_groups_and_nobody_else_does() {
    let (provider, team) = team("").await;
    let stranger = team.ask("GET", "/v1/overview", &[], "").await;
    assert_eq!((stranger.status, code(&stranger).as_str()), (401, "sign_in_needed"));
    assert!(stranger.header("www-authenticate").unwrap().starts_with("DPoP"));
    let mut relay = Relay::new();
    let said = relay.sign_in(&team).await;
    assert_eq!(said.status, 200, "{}", said.text());
    let signed_in = &said.json().unwrap()["signed_in"];
    assert_eq!(
        (&signed_in["technician"], &signed_in["name"]),
        (&json!("tech1"), &json!("terry@example.com"))
    );
    assert_eq!(said.header("cache-control"), Some("no-store"));
    let broker = relay.get(&team, "/v1/broker").await.json().unwrap();
    assert_eq!((&broker["technician"], &broker["administrator"]), (&json!("tech1"), &json!(false)));
    let overview = relay.get(&team, "/v1/overview").await.json().unwrap();
    assert_eq!(overview["policies"].as_array().unwrap().len(), 4);
    let session = relay.ask(&team, "POST", "/v1/sessions", &activation()).await;
    assert_eq!(session.status, 201, "{}", session.text());
    let id = session.json().unwrap()["id"].as_str().unwrap().to_owned();
    let password = relay.ask(&team, "POST", &format!("/v1/sessions/{id}/password"), &json!({})).await;
    assert_eq!(password.status, 200, "{}", password.text());
    // The mapping goes: at the next request the right to ask is gone, and the session still ends.
    let without = signing_in_at(&provider, "").replace("\"8d1f\" = \"tier2\", ", "");
    team.world.broker.load_settings(&without).await.unwrap();
    let refused = relay.ask(&team, "POST", "/v1/sessions", &activation()).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    let ended = relay.ask(&team, "POST", &format!("/v1/sessions/{id}/end"), &Value::Null).await;
    assert_eq!(ended.json().unwrap()["state"], "ended", "{}", ended.text());
    // The technician goes: nobody is known any more.
    let gone = without.replace("sign_in = \"oid-terry\"", "");
    team.world.broker.load_settings(&gone).await.unwrap();
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 401);
    let done = team.records("sign_in.done").await;
    assert!(done.len() == 1 && done[0]["address"] == "192.0.2.7", "{done:?}");
    let all = team.world.ledger.audit(AuditQuery::default()).await.unwrap();
    let text = format!("{all:?}");
    assert!(!text.contains(relay.token.as_ref().unwrap()) && !text.contains(relay.refresh.as_ref().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_here_is_told_what_an_administrator_has_to_write() {
    let (provider, team) = team("").await;
    becomes(&provider, "eve", &["8d1f"]);
    let said = Relay::new().sign_in(&team).await;
    assert_eq!((said.status, code(&said).as_str()), (403, "not_a_technician"));
    assert!(said.text().contains("sign_in = \\\"oid-eve\\\""), "{}", said.text());
    assert_eq!(team.records("sign_in.refused").await[0]["value"], "oid-eve");
    assert!(team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_provider_that_is_not_in_order_signs_nobody_in_and_says_why_to_administrators() {
    let (provider, team) = team("").await;
    // Times are seconds from the broker's.
    let cases = [
        (json!({ "claims": { "aud": "somebody-else" } }), "for another audience"),
        (json!({ "claims": { "aud": [provider.client(), "other"] } }), "for several"),
        (json!({ "claims": { "azp": "other" } }), "another party"),
        (json!({ "claims": { "iss": "https://evil.example" } }), "of another issuer"),
        (json!({ "claims": { "nonce": "replayed" } }), "nonce"),
        (json!({ "claims": { "nonce": null } }), "nonce"),
        (json!({ "claims": { "exp": -120 } }), "its time is over"),
        (json!({ "claims": { "nbf": 120 } }), "has not come"),
        (json!({ "claims": { "iat": 120 } }), "in the future"),
        (json!({ "claims": { "sub": null } }), "whose it is"),
        (json!({ "claims": { "oid": null } }), "no claim \"oid\""),
        (json!({ "claims": { "groups": null, "_claim_names": { "groups": "src1" } } }), "more groups than"),
        (json!({ "sign": "none" }), "an algorithm that is not taken"),
        (json!({ "sign": "hs256" }), "an algorithm that is not taken"),
        (json!({ "sign": "es256" }), "a key that the provider does not publish"),
        (json!({ "sign": "unpublished" }), "a key that the provider does not publish"),
        (json!({ "sign": "key", "header": { "alg": "RS512" } }), "a key that the provider does not publish"),
        (json!({ "header": { "kid": null }, "sign": "unpublished" }), "signature"),
        (json!({ "header": { "crit": ["x"] } }), "no signed token"),
    ];
    for (mut wrong, why) in cases {
        // Each kind is recorded once a minute.
        team.world.clock.pass(61);
        let now = team.world.clock.now().timestamp();
        for time in ["exp", "nbf", "iat"] {
            if let Some(at) = wrong.pointer_mut(&format!("/claims/{time}")) {
                *at = json!(now + at.as_i64().unwrap());
            }
        }
        provider.steer(&wrong).unwrap();
        let mut relay = Relay { claims: json!({ "iat": now }), ..Relay::new() };
        let said = relay.sign_in(&team).await;
        assert_eq!((said.status, code(&said).as_str()), (401, "sign_in_needed"), "{wrong}: {}", said.text());
        let records = team.records("sign_in.refused").await;
        let last = records.last().unwrap()["why"].as_str().unwrap();
        assert!(last.contains(why), "{wrong}: {last}");
        assert!(!said.text().contains("evil") && !said.text().contains("audience"), "{}", said.text());
    }
    assert!(team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap().is_empty());
    let now = json!({ "iat": team.world.clock.now().timestamp() });
    let mut relay = Relay { claims: now, ..Relay::new() };
    assert_eq!(relay.sign_in(&team).await.status, 200, "and the next one in order does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_in_once_and_only_from_where_it_was_asked_for() {
    let (_provider, team) = team("").await;
    let (relay, other) = (Relay::new(), Relay::new());
    let on = relay.came(&team).await;
    let stolen = other.ask(&team, "POST", "/v1/sign-in/go-on", &on).await;
    assert_eq!((stolen.status, code(&stolen).as_str()), (401, "sign_in_needed"));
    for wrong in [json!({ "state": "x" }), json!({ "iss": "https://evil.example" }), json!({ "iss": null })] {
        let mut on = on.clone();
        on["came"].as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let said = relay.ask(&team, "POST", "/v1/sign-in/go-on", &on).await;
        assert!(said.text().contains("came back from another sign-in"), "{wrong}: {}", said.text());
    }
    assert_eq!(relay.ask(&team, "POST", "/v1/sign-in/go-on", &on).await.status, 200);
    let again = relay.ask(&team, "POST", "/v1/sign-in/go-on", &on).await;
    assert!(again.status == 401 && again.text().contains("its code was used"), "{}", again.text());
    // Too late, by the broker's clock.
    let on = relay.came(&team).await;
    team.world.clock.pass(601);
    let late = Relay { claims: json!({ "iat": team.world.clock.now().timestamp() }), ..relay };
    let said = late.ask(&team, "POST", "/v1/sign-in/go-on", &on).await;
    assert!(said.status == 401 && said.text().contains("time for this sign-in is over"), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_of_no_use_without_the_key_it_is_bound_to_and_a_proof_only_once() {
    let (_provider, team) = team("").await;
    let relay = Relay::signed_in(&team).await;
    let proof = relay.proof(&team, "GET", "/v1/broker", None);
    assert_eq!(relay.ask_with(&team, "GET", "/v1/broker", &proof, &Value::Null).await.status, 200);
    let again = relay.ask_with(&team, "GET", "/v1/broker", &proof, &Value::Null).await;
    assert_eq!(again.status, 401);
    assert!(again.header("www-authenticate").unwrap().contains("invalid_dpop_proof"));
    // From elsewhere: with another key, without any, as a bearer's.
    let thief = Relay { token: relay.token.clone(), ..Relay::new() };
    assert_eq!(thief.get(&team, "/v1/broker").await.status, 401);
    let token = format!("DPoP {}", relay.token.as_ref().unwrap());
    assert_eq!(team.ask("GET", "/v1/broker", &[("Authorization", &token)], "").await.status, 401);
    let bearer = token.replace("DPoP", "Bearer");
    assert_eq!(team.ask("GET", "/v1/broker", &[("Authorization", &bearer)], "").await.status, 401);
    let stolen = team.records("sign_in.refused").await;
    assert_eq!(stolen.len(), 1, "once a minute: {stolen:?}");
    assert_eq!((&stolen[0]["technician"], &stolen[0]["why"]), (&json!("tech1"), &json!("by another key")));
    // A proof for something else.
    for (claim, value) in [("htm", "POST"), ("htu", "https://evil.example/v1/broker"), ("ath", "x")] {
        let wrong = Relay {
            token: relay.token.clone(),
            claims: json!({ claim: value }),
            key: relay.key.again(),
            ..Relay::new()
        };
        assert_eq!(wrong.get(&team, "/v1/broker").await.status, 401, "{claim}");
    }
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_clock_is_wrong_is_given_the_brokers_time() {
    let (_provider, team) = team("").await;
    let signed_in = Relay::signed_in(&team).await;
    let late = Relay { claims: json!({ "iat": team.world.clock.now().timestamp() - 3600 }), ..signed_in };
    let said = late.get(&team, "/v1/broker").await;
    assert_eq!(said.status, 401);
    assert!(said.header("www-authenticate").unwrap().contains("use_dpop_nonce"));
    let nonce = said.header("dpop-nonce").unwrap().to_owned();
    let with = |nonce: &str| late.proof(&team, "GET", "/v1/broker", Some(nonce));
    assert_eq!(late.ask_with(&team, "GET", "/v1/broker", &with(&nonce), &Value::Null).await.status, 200);
    assert_eq!(late.ask_with(&team, "GET", "/v1/broker", &with("made-up"), &Value::Null).await.status, 401);
    team.world.clock.pass(301);
    assert_eq!(late.ask_with(&team, "GET", "/v1/broker", &with(&nonce), &Value::Null).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_renewed_until_the_provider_ends_it_and_is_the_same_persons_for_good() {
    let (provider, team) = team("").await;
    let mut relay = Relay::signed_in(&team).await;
    let before = relay.token.clone();
    becomes(&provider, "terry", &["8d1f", "0ad1"]);
    let said = relay.renew(&team).await;
    assert_eq!(said.status, 200, "{}", said.text());
    assert_ne!(relay.token, before);
    let old = Relay { token: before, key: relay.key.again(), ..Relay::new() };
    assert_eq!(old.get(&team, "/v1/broker").await.status, 200, "the answer may have been lost");
    let found = team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap();
    assert!(found.len() == 1 && found[0].groups.contains("0ad1"), "{found:?}");
    // Over: nothing goes but a renewal.
    team.world.clock.pass(3601);
    let now = json!({ "iat": team.world.clock.now().timestamp() });
    let mut relay = Relay { claims: now, ..relay };
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 401);
    provider.steer(&json!({ "claims": { "exp": team.world.clock.now().timestamp() + 600 } })).unwrap();
    assert_eq!(relay.renew(&team).await.status, 200);
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 200);
    // Another person's in its place.
    let exp = team.world.clock.now().timestamp() + 600;
    provider.steer(&json!({ "claims": { "sub": "sub-boss", "oid": "oid-boss", "exp": exp } })).unwrap();
    let said = relay.renew(&team).await;
    assert!(said.status == 401 && said.text().contains("somebody else"), "{}", said.text());
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 401);
    let ended = team.records("sign_in.ended").await;
    assert_eq!(ended.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_does_not_renew_is_over() {
    let (_provider, team) = team("").await;
    let mut relay = Relay::signed_in(&team).await;
    relay.refresh = Some("what-was-revoked".into());
    let said = relay.renew(&team).await;
    assert!(said.status == 401 && said.text().contains("does not renew"), "{}", said.text());
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_away_who_is_signed_in_goes_on_and_others_wait() {
    let (provider, team) = team("").await;
    let mut relay = Relay::signed_in(&team).await;
    let on = Relay::new().came(&team).await;
    provider.steer(&json!({ "silent": true })).unwrap();
    assert_eq!(relay.get(&team, "/v1/overview").await.status, 200);
    let session = relay.ask(&team, "POST", "/v1/sessions", &activation()).await;
    assert_eq!(session.status, 201, "{}", session.text());
    for said in [
        relay.renew(&team).await,
        relay.ask(&team, "POST", "/v1/sign-in/renew", &json!({ "refresh": "x" })).await,
    ] {
        assert_eq!((said.status, code(&said).as_str()), (503, "provider_down"), "{}", said.text());
    }
    let notices = relay.get(&team, "/v1/broker").await.text();
    assert!(notices.contains("Nobody can sign in or renew"), "{notices}");
    drop(on);
    // Nothing was lost by asking in vain.
    provider.steer(&json!({ "silent": false })).unwrap();
    assert_eq!(relay.renew(&team).await.status, 200);
    let notices = relay.get(&team, "/v1/broker").await.text();
    assert!(!notices.contains("Nobody can sign in"), "{notices}");
    // Until the token ends.
    provider.steer(&json!({ "silent": true })).unwrap();
    team.world.clock.pass(3601);
    let relay = Relay { claims: json!({ "iat": team.world.clock.now().timestamp() }), ..relay };
    assert_eq!(relay.get(&team, "/v1/overview").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_the_provider_are_found_and_made_up_names_of_keys_ask_it_nothing() {
    let (provider, team) = team("").await;
    Relay::signed_in(&team).await;
    let asked = provider.count("jwks").unwrap();
    for _ in 0..20 {
        provider.steer(&json!({ "sign": "unpublished" })).unwrap();
        assert_eq!(Relay::new().sign_in(&team).await.status, 401);
    }
    assert!(provider.count("jwks").unwrap() <= asked + 1, "at most once in ten seconds");
    let form = |token: String| format!("logout_token={token}");
    let before = provider.count("jwks").unwrap();
    for n in 0..50 {
        let header = format!("{{\"alg\":\"RS256\",\"kid\":\"made-up-{n}\"}}");
        use base64::Engine as _;
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let token = format!("{}.{}.AAAA", text.encode(header), text.encode("{}"));
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let said = team.ask("POST", "/v1/sign-in/logout-token", &[kind], &form(token)).await;
        assert!(said.status == 400 || said.status == 429, "{}", said.text());
    }
    assert!(provider.count("jwks").unwrap() <= before + 1);
    tokio::time::sleep(Duration::from_secs(11)).await;
    provider.steer(&json!({ "sign": "rotated" })).unwrap();
    assert_eq!(Relay::new().sign_in(&team).await.status, 200, "the rotated key is fetched");
    assert_eq!(Relay::new().sign_in(&team).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_by_a_code_on_another_device_or_declines() {
    let (provider, team) = team("").await;
    for agrees in [true, false] {
        let relay = Relay::new();
        let asked = relay.ask(&team, "POST", "/v1/sign-in", &json!({ "port": null })).await.json().unwrap();
        let on = json!({ "id": asked["id"], "came": null });
        let waits = relay.ask(&team, "POST", "/v1/sign-in/go-on", &on).await.json().unwrap();
        assert_eq!((&waits["signed_in"], waits["after_s"].as_u64()), (&Value::Null, Some(5)), "{waits}");
        provider.answer_device(asked["user_code"].as_str().unwrap(), agrees).unwrap();
        let said = relay.ask(&team, "POST", "/v1/sign-in/go-on", &on).await;
        if agrees {
            assert_eq!(said.json().unwrap()["signed_in"]["technician"], "tech1", "{}", said.text());
        } else {
            assert!(said.status == 401 && said.text().contains("declined"), "{}", said.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_at_once_by_its_person_an_administrator_or_the_provider() {
    let (provider, team) = team("").await;
    let first = Relay::signed_in(&team).await;
    let out = first.ask(&team, "POST", "/v1/sign-out", &json!({ "refresh": first.refresh })).await;
    assert_eq!(out.status, 200, "{}", out.text());
    assert_eq!(first.get(&team, "/v1/broker").await.status, 401);
    let second = Relay::signed_in(&team).await;
    becomes(&provider, "boss", &[]);
    let boss = Relay::signed_in(&team).await;
    let listed = boss.get(&team, "/v1/sign-ins").await.json().unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let ended = boss.ask(&team, "POST", "/v1/sign-ins/revoke", &json!({ "technician": "tech1" })).await;
    assert_eq!(ended.json().unwrap().as_array().unwrap().len(), 1, "{}", ended.text());
    assert_eq!(second.get(&team, "/v1/broker").await.status, 401);
    let renewed = second.ask(&team, "POST", "/v1/sign-in/renew", &json!({ "refresh": second.refresh })).await;
    assert_eq!(renewed.status, 401, "what was revoked is not renewed: {}", renewed.text());
    let none_or_both = [json!({}), json!({ "everybody": true, "technician": "tech1" })];
    for unclear in none_or_both {
        assert_eq!(boss.ask(&team, "POST", "/v1/sign-ins/revoke", &unclear).await.status, 400);
    }
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let logs_out = async |claims: Value| {
        let token = provider.logout_token(&claims).unwrap();
        team.ask("POST", "/v1/sign-in/logout-token", &kind, &format!("logout_token={token}")).await.status
    };
    for wrong in
        [json!({ "sub": "sub-boss", "aud": "other" }), json!({ "sub": "sub-boss", "nonce": "n" }), json!({})]
    {
        assert_eq!(logs_out(wrong).await, 400);
        assert_eq!(boss.get(&team, "/v1/broker").await.status, 200);
    }
    assert_eq!(logs_out(json!({ "sub": "sub-boss" })).await, 200);
    assert_eq!(boss.get(&team, "/v1/broker").await.status, 401);
    assert_eq!(team.records("sign_in.ended").await.len(), 3);
    let (first, boss) = (Relay::signed_in(&team).await, Relay::signed_in(&team).await);
    let all = boss.ask(&team, "POST", "/v1/sign-ins/revoke", &json!({ "everybody": true })).await;
    assert_eq!(all.json().unwrap().as_array().unwrap().len(), 2, "{}", all.text());
    for out in [first, boss] {
        assert_eq!(out.get(&team, "/v1/broker").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_ends_with_its_sign_in() {
    let (_provider, team) = team("").await;
    let relay = Relay::signed_in(&team).await;
    let streams = relay.get(&team, "/v1/events");
    let ends = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let out = relay.ask(&team, "POST", "/v1/sign-out", &json!({})).await;
        assert_eq!(out.status, 200);
        std::time::Instant::now()
    };
    // The client reads a stream to its end; the broker looks every twenty seconds at one on which nothing happens. Its limit is 20 s
    // without a word, which the stream's own heart-beats keep.
    let (stream, ended) = tokio::join!(streams, ends);
    assert_eq!(stream.status, 200);
    assert!(ended.elapsed() < Duration::from_secs(60), "{:?}", ended.elapsed());
}
