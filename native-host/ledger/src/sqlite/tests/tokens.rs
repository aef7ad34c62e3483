//! Who is signed in, and tokens of automation.

use std::collections::BTreeSet;

use super::*;
use crate::{ApiToken, AuditQuery, Digest, Issued, LedgerError, SignIn, SignInFilter, TokenChange, Tokens};

fn sign_in(id: &str, owner: &str) -> SignIn {
    SignIn {
        id: id.to_owned(),
        technician: technician(owner),
        issuer: "https://login.example/v2.0".to_owned(),
        claim: "oid".to_owned(),
        value: format!("oid-{owner}"),
        subject: format!("sub-{owner}"),
        session: Some(format!("sid-{id}")),
        name: "Térry \"T\"".to_owned(),
        groups: ["8d1f".to_owned(), "group, \"two\"".to_owned()].into(),
        key: "thumb".to_owned(),
        from: at(0),
        renewed: at(0),
        until: at(3600),
        ended: None,
        ended_by: None,
    }
}

fn issued(sign_in: &str, token: u8, from: i64) -> Issued {
    Issued { token: [token; 32], sign_in: sign_in.to_owned(), from: at(from), until: at(from + 3600) }
}

fn change(seconds: i64, tokens: TokenChange) -> Change {
    Change {
        name: "ledger.test",
        at: at(seconds),
        audit: vec![record(None, "sign_in.test")],
        tokens,
        ..Change::default()
    }
}

fn signs_in(id: &str, owner: &str, token: u8) -> TokenChange {
    TokenChange {
        sign_ins: vec![sign_in(id, owner)],
        issued: vec![issued(id, token, 0)],
        ..TokenChange::default()
    }
}

fn ends(id: &str) -> TokenChange {
    TokenChange { ended: vec![(id.to_owned(), "boss".to_owned())], ..TokenChange::default() }
}

async fn ids(ledger: &SqliteLedger, filter: SignInFilter) -> Vec<String> {
    ledger.sign_ins(filter).await.unwrap().into_iter().map(|found| found.id).collect()
}

#[tokio::test]
async fn a_sign_in_is_found_by_each_of_its_tokens_and_by_no_other() {
    let place = Place::new();
    place.open().commit(change(0, signs_in("i-1", "tech1", 1))).await.unwrap();
    let ledger = place.open();
    let first = Some((sign_in("i-1", "tech1"), issued("i-1", 1, 0)));
    assert_eq!(ledger.by_token(&[1; 32]).await.unwrap(), first);
    assert_eq!(ledger.by_token(&[2; 32]).await.unwrap(), None);
    let renewed = SignIn {
        renewed: at(1800),
        until: at(5400),
        groups: BTreeSet::new(),
        session: None,
        ..sign_in("i-1", "tech1")
    };
    let again = TokenChange {
        sign_ins: vec![renewed.clone()],
        issued: vec![issued("i-1", 2, 1800)],
        ..TokenChange::default()
    };
    ledger.commit(change(1800, again)).await.unwrap();
    assert_eq!(ledger.by_token(&[2; 32]).await.unwrap(), Some((renewed.clone(), issued("i-1", 2, 1800))));
    let before = ledger.by_token(&[1; 32]).await.unwrap();
    assert_eq!(before, Some((renewed.clone(), issued("i-1", 1, 0))), "the answer may have been lost");
    assert_eq!(ledger.sign_in("i-1").await.unwrap(), Some(renewed));
    assert_eq!(ledger.sign_in("i-2").await.unwrap(), None);
}

#[tokio::test]
async fn one_that_was_ended_stays_so_whatever_comes_later() {
    let place = Place::new();
    let ledger = place.open();
    ledger.commit(change(0, signs_in("i-1", "tech1", 1))).await.unwrap();
    ledger.commit(change(5, ends("i-1"))).await.unwrap();
    let records = ledger.audit(AuditQuery::default()).await.unwrap().len();
    let renewal = TokenChange { issued: vec![issued("i-1", 2, 6)], ..signs_in("i-1", "tech1", 2) };
    let refused = ledger.commit(change(6, renewal)).await;
    assert!(matches!(refused, Err(LedgerError::Conflict(_))), "{refused:?}");
    assert_eq!(ledger.by_token(&[2; 32]).await.unwrap(), None);
    assert_eq!(ledger.audit(AuditQuery::default()).await.unwrap().len(), records);
    ledger
        .commit(change(7, TokenChange { ended: vec![("i-1".into(), "x".into())], ..ends("i-2") }))
        .await
        .unwrap();
    let found = ledger.sign_in("i-1").await.unwrap().unwrap();
    assert_eq!((found.ended, found.ended_by.as_deref()), (Some(at(5)), Some("boss")));
}

#[tokio::test]
async fn sign_ins_are_listed_by_person_by_the_providers_names_and_by_whether_they_are_good() {
    let place = Place::new();
    let ledger = place.open();
    for (id, owner, token) in [("i-1", "tech1", 1), ("i-2", "tech1", 2), ("i-3", "boss", 3)] {
        ledger.commit(change(0, signs_in(id, owner, token))).await.unwrap();
    }
    let all = SignInFilter::default();
    assert_eq!(ids(&ledger, all.clone()).await, ["i-1", "i-2", "i-3"]);
    let of = SignInFilter { technician: Some(technician("tech1")), ..all.clone() };
    assert_eq!(ids(&ledger, of).await, ["i-1", "i-2"]);
    let of = SignInFilter { subject: Some("sub-boss".into()), ..all.clone() };
    assert_eq!(ids(&ledger, of).await, ["i-3"]);
    let of = SignInFilter { session: Some("sid-i-2".into()), ..all.clone() };
    assert_eq!(ids(&ledger, of).await, ["i-2"]);
    let of = SignInFilter { issuer: Some("https://other.example".into()), ..all.clone() };
    assert!(ids(&ledger, of).await.is_empty());
    ledger.commit(change(1, ends("i-2"))).await.unwrap();
    let good = |seconds| SignInFilter { good_at: Some(at(seconds)), ..SignInFilter::default() };
    assert_eq!(ids(&ledger, good(2)).await, ["i-1", "i-3"]);
    assert!(ids(&ledger, good(3600)).await.is_empty());
    assert_eq!(ids(&ledger, SignInFilter { limit: 1, ..all }).await, ["i-1"]);
}

#[tokio::test]
async fn a_token_of_automation_is_found_by_its_hash_and_revoked_once() {
    let place = Place::new();
    let ledger = place.open();
    let token = ApiToken {
        id: "a-1".to_owned(),
        name: "night report".to_owned(),
        token: [9; 32],
        scopes: ["audit:read".to_owned()].into(),
        customers: Some([CustomerId::new("acme").unwrap()].into()),
        made_by: "boss".to_owned(),
        from: at(0),
        until: at(86_400),
        ended: None,
    };
    let everywhere = ApiToken { id: "a-2".into(), token: [8; 32], customers: None, ..token.clone() };
    let new = TokenChange { api_tokens: vec![token.clone(), everywhere.clone()], ..TokenChange::default() };
    ledger.commit(change(0, new.clone())).await.unwrap();
    assert_eq!(ledger.api_token(&[9; 32]).await.unwrap(), Some(token.clone()));
    assert_eq!(ledger.api_token(&[7; 32]).await.unwrap(), None);
    assert_eq!(ledger.api_tokens().await.unwrap(), [token.clone(), everywhere]);
    assert!(ledger.commit(change(1, new)).await.is_err(), "an id is given once");
    let revoked = TokenChange { api_ended: vec!["a-1".into()], ..TokenChange::default() };
    for seconds in [2, 3] {
        ledger.commit(change(seconds, revoked.clone())).await.unwrap();
    }
    assert_eq!(ledger.api_token(&[9; 32]).await.unwrap(), Some(ApiToken { ended: Some(at(2)), ..token }));
}

#[tokio::test]
async fn what_is_over_for_a_month_is_forgotten_and_what_is_good_stays() {
    const DAY: i64 = 86_400;
    let place = Place::new();
    let ledger = place.open();
    ledger.commit(change(0, signs_in("i-1", "tech1", 1))).await.unwrap();
    let long = SignIn { until: at(40 * DAY), ..sign_in("i-2", "tech1") };
    let tokens = vec![issued("i-2", 2, 0), Issued { until: at(40 * DAY), ..issued("i-2", 3, 0) }];
    let put = TokenChange { sign_ins: vec![long], issued: tokens, ..TokenChange::default() };
    ledger.commit(change(0, put)).await.unwrap();
    ledger.commit(change(30 * DAY, ends("nobody"))).await.unwrap();
    assert_eq!(
        ids(&ledger, SignInFilter::default()).await,
        ["i-1", "i-2"],
        "its hour is not over for a month"
    );
    ledger.commit(change(30 * DAY + 3600, ends("nobody"))).await.unwrap();
    assert_eq!(ids(&ledger, SignInFilter::default()).await, ["i-2"]);
    let found = async |token: Digest| ledger.by_token(&token).await.unwrap().is_some();
    assert_eq!((found([1; 32]).await, found([2; 32]).await, found([3; 32]).await), (false, false, true));
}

#[tokio::test]
async fn every_broker_on_a_ledger_has_one_key_alike_and_another_ledger_another() {
    let (place, other) = (Place::new(), Place::new());
    let key = place.open().shared_key().await.unwrap();
    assert_eq!(place.open().shared_key().await.unwrap(), key);
    assert_ne!(other.open().shared_key().await.unwrap(), key);
    assert_ne!(key, [0; 32]);
}

#[test]
fn a_ledger_of_the_release_before_gets_its_tables_and_keeps_its_accounts() {
    let place = Place::new();
    runtime().block_on(async {
        let begin = Change { accounts: vec![account("tech1")], ..note(None, 0) };
        place.open().commit(begin).await.unwrap();
        let back = "ALTER TABLE accounts DROP COLUMN gone; DROP TABLE api_tokens; DROP TABLE sign_in_tokens; DROP TABLE sign_ins;
            DELETE FROM facts WHERE name = 'shared_key'; PRAGMA user_version = 4";
        place.stranger().execute_batch(back).unwrap();
        let salvaged = SqliteLedger::salvage(&place.ledger()).unwrap();
        assert!(salvaged.whole && salvaged.accounts.len() == 1, "{salvaged:?}");
        let ledger = place.open();
        let kept = ledger.accounts().await.unwrap().pop().unwrap();
        assert!(!kept.gone);
        let leaves = Account { gone: true, ..kept };
        ledger.commit(Change { accounts: vec![leaves], ..note(None, 1) }).await.unwrap();
        assert!(ledger.accounts().await.unwrap()[0].gone);
        ledger.commit(change(1, signs_in("i-1", "tech1", 1))).await.unwrap();
        assert!(ledger.shared_key().await.is_ok());
    });
}
