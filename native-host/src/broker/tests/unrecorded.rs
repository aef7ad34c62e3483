//! Sign-ins and tokens of which the ledger takes no record: nothing is given, nothing is said to be done, and nobody gets in.

use serde_json::{Value, json};
use ticketgate_ledger::SignInFilter;
use ticketgate_tests::http::Response;
use ticketgate_tests::oidc::TeamProvider;

use super::team::{Relay, Team, becomes, code, signing_in_at};
use super::*;

async fn team(names: &'static str) -> (TeamProvider, Team) {
    let provider = TeamProvider::start().unwrap();
    let team = Team::with_ledger_refusing(names, &signing_in_at(&provider, "")).await;
    (provider, team)
}

fn refuses(team: &Team, is: bool) {
    team.world.refusing.refuses.store(is, Ordering::SeqCst);
}

/// The ledger's failure is what is told, and nothing beside it.
fn is_unrecorded(said: &Response) {
    assert_eq!((said.status, code(said).as_str()), (503, "ledger_down"), "{}", said.text());
    assert!(!said.text().contains("tgt_") && !said.text().contains("\"token\""), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_cannot_be_recorded_gives_no_token_and_none_is_good() {
    let (_provider, team) = team("ledger.team_sign_in").await;
    refuses(&team, true);
    is_unrecorded(&Relay::new().sign_in(&team).await);
    assert!(team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap().is_empty());
    assert!(team.records("sign_in.done").await.is_empty());
    refuses(&team, false);
    let mut relay = Relay::signed_in(&team).await;
    // A renewal that cannot be recorded neither lengthens the sign-in nor ends it.
    let found = async || team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap();
    let before = found().await;
    team.world.clock.pass(5);
    refuses(&team, true);
    is_unrecorded(&relay.renew(&team).await);
    let after = found().await;
    assert_eq!((after.len(), after[0].until, after[0].ended), (1, before[0].until, None));
    assert_eq!(relay.get(&team, "/v1/broker").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_a_sign_in_that_cannot_be_recorded_is_not_said_to_be_done_whoever_asks() {
    let (provider, team) = team("ledger.sign_in_ended").await;
    let relay = Relay::signed_in(&team).await;
    becomes(&provider, "boss", &[]);
    let boss = Relay::signed_in(&team).await;
    let out = async || relay.ask(&team, "POST", "/v1/sign-out", &json!({ "refresh": relay.refresh })).await;
    let revoke =
        async || boss.ask(&team, "POST", "/v1/sign-ins/revoke", &json!({ "technician": "tech1" })).await;
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    let logs_out = async || {
        let token = provider.logout_token(&json!({ "sub": "sub-boss" })).unwrap();
        team.ask("POST", "/v1/sign-in/logout-token", &kind, &format!("logout_token={token}")).await
    };
    refuses(&team, true);
    is_unrecorded(&out().await);
    is_unrecorded(&revoke().await);
    is_unrecorded(&logs_out().await);
    for one in [&relay, &boss] {
        assert_eq!(one.get(&team, "/v1/broker").await.status, 200, "as the answers said");
    }
    assert!(team.records("sign_in.ended").await.is_empty());
    refuses(&team, false);
    assert_eq!(out().await.status, 200);
    assert_eq!(logs_out().await.status, 200);
    for one in [&relay, &boss] {
        assert_eq!(one.get(&team, "/v1/broker").await.status, 401);
    }
    assert_eq!(team.records("sign_in.ended").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_that_cannot_be_recorded_is_still_refused_and_the_next_is_on_record() {
    let (provider, team) = team("ledger.sign_in_refused").await;
    let relay = Relay::signed_in(&team).await;
    let thief = Relay { token: relay.token.clone(), ..Relay::new() };
    becomes(&provider, "eve", &["8d1f"]);
    refuses(&team, true);
    is_unrecorded(&Relay::new().sign_in(&team).await);
    is_unrecorded(&thief.get(&team, "/v1/broker").await);
    let found = team.world.ledger.tokens().sign_ins(SignInFilter::default()).await.unwrap();
    assert_eq!(found.iter().map(|one| one.value.as_str()).collect::<Vec<_>>(), ["oid-terry"]);
    // Within the same minute: what was not written is not taken for the minute's record.
    refuses(&team, false);
    for _ in 0..2 {
        assert_eq!(Relay::new().sign_in(&team).await.status, 403);
        assert_eq!(thief.get(&team, "/v1/broker").await.status, 401);
    }
    let refused = team.records("sign_in.refused").await;
    assert_eq!(refused.len(), 2, "one of each kind: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_recorded_does_not_exist_and_one_whose_end_cannot_be_is_not_revoked() {
    let (provider, team) = team("ledger.tokens").await;
    becomes(&provider, "boss", &[]);
    let boss = Relay::signed_in(&team).await;
    let wanted = json!({ "name": "night report", "scopes": ["check"], "lasts_s": 600 });
    let make = async || boss.ask(&team, "POST", "/v1/tokens", &wanted).await;
    refuses(&team, true);
    is_unrecorded(&make().await);
    assert_eq!(boss.get(&team, "/v1/tokens").await.json().unwrap(), json!([]));
    assert!(team.world.ledger.tokens().api_tokens().await.unwrap().is_empty(), "so none is good");
    refuses(&team, false);
    let made = make().await.json().unwrap();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let used = async || team.ask("GET", "/v1/broker", &[("Authorization", &bearer)], "").await.status;
    let path = format!("/v1/tokens/{}/revoke", made["of"]["id"].as_str().unwrap());
    refuses(&team, true);
    is_unrecorded(&boss.ask(&team, "POST", &path, &Value::Null).await);
    assert_eq!(used().await, 200, "as the answer said");
    refuses(&team, false);
    assert_eq!(boss.ask(&team, "POST", &path, &Value::Null).await.status, 200);
    assert_eq!(used().await, 401);
    assert_eq!((team.records("token.made").await.len(), team.records("token.revoked").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_is_refused_also_where_that_cannot_be_recorded_and_the_next_time_on_record() {
    let (provider, team) = team("ledger.token_refused").await;
    becomes(&provider, "boss", &[]);
    let boss = Relay::signed_in(&team).await;
    let wanted = json!({ "name": "night report", "scopes": ["check"], "lasts_s": 600 });
    let made = boss.ask(&team, "POST", "/v1/tokens", &wanted).await.json().unwrap();
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let used = async || team.ask("GET", "/v1/broker", &[("Authorization", &bearer)], "").await;
    team.world.clock.pass(600);
    refuses(&team, true);
    is_unrecorded(&used().await);
    refuses(&team, false);
    for _ in 0..2 {
        assert_eq!(used().await.status, 401);
    }
    let refused = team.records("token.refused").await;
    assert_eq!(refused.len(), 1, "once a minute: {refused:?}");
}
