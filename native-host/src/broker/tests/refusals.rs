//! What is refused changes nothing, whoever asks.

use super::*;

#[tokio::test]
async fn refusals_are_audited_and_change_nothing() {
    let world = World::new().await;
    assert_eq!(world.try_activate("domain", "k1", 0).await, Err(Code::BadDuration));
    assert_eq!(world.try_activate("nothing", "k2", 3600).await, Err(Code::UnknownPolicy));
    assert_eq!(world.try_activate("domain", "k3", 99_999).await, Err(Code::BadDuration));
    let refused = world.actions().await.iter().filter(|a| *a == "activation.refused").count();
    assert_eq!(refused, 3);
    assert!(world.broker.list(Default::default()).await.unwrap().is_empty());
    assert!(world.ledger.verify(None).await.unwrap().whole);
}

#[tokio::test]
async fn a_flood_is_refused() {
    let world = World::new().await;
    for n in 0..20 {
        assert_eq!(world.try_activate("domain", &format!("k{n}"), 0).await, Err(Code::BadDuration));
    }
    assert_eq!(world.try_activate("domain", "last", 3600).await, Err(Code::RateLimited));
    world.clock.pass(61);
    world.activate("domain", "later").await;
}

#[tokio::test]
async fn a_faulty_new_configuration_leaves_the_old_one_in_force_and_says_so() {
    let world = World::new().await;
    world.broker.load_settings("[[policy]]\nid = 3\n").await.unwrap_err();
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert!(overview.notices.iter().any(|n| n.level == "error"));
    assert_eq!(overview.policies.len(), 4);
    world.activate("domain", "k1").await;
}

#[tokio::test]
async fn strangers_and_other_technicians_see_nothing() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let stranger = world.caller("mallory");
    assert_eq!(world.broker.overview(&stranger).await.unwrap_err().code, Code::NotATechnician);
    assert_eq!(
        world.broker.show_session(&stranger, &session.id).await.unwrap_err().code,
        Code::UnknownSession
    );
    let key = IdempotencyKey::new("k9").unwrap();
    assert_eq!(world.broker.end(&stranger, &key, &session.id).await.unwrap_err().code, Code::UnknownSession);
    assert_eq!(
        world
            .broker
            .password(&world.caller("boss"), &session.id, PasswordWanted::default())
            .await
            .unwrap_err()
            .code,
        Code::UnknownSession
    );
}

#[tokio::test]
async fn a_persons_account_of_the_same_name_is_never_taken_over() {
    let world = World::new().await;
    world.directory.person("jit-tech1", &[]);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::NameClash));
    assert!(world.directory.steps.lock().unwrap().is_empty());
}

#[tokio::test]
async fn clocks_too_far_apart_open_nothing() {
    let world = World::new().await;
    *world.directory.skew.lock().unwrap() = TimeDelta::seconds(301);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::ClockSkew));
    assert!(world.directory.steps.lock().unwrap().is_empty());
    *world.directory.skew.lock().unwrap() = TimeDelta::seconds(-120);
    let session = world.activate("domain", "k2").await;
    let by_directory = session.expires_at - TimeDelta::seconds(120);
    assert_eq!(
        world.directory.only().end,
        DirectoryEnd::At(by_directory),
        "the end is set by the directory's own clock"
    );
}

#[tokio::test]
async fn nothing_is_granted_that_the_ledger_did_not_take() {
    let world = World::with_ledger_refusing("ledger.session_begin").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::LedgerDown));
    assert!(world.directory.steps.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_check_is_on_record_or_does_not_happen() {
    let world = World::with_ledger_refusing("ledger.request").await;
    world.broker.check(&world.caller("tech1"), false).await.unwrap();
    assert_eq!(world.actions().await.last().map(String::as_str), Some("broker.checked"));
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.broker.check(&world.caller("tech1"), false).await.unwrap_err().code, Code::LedgerDown);
    let stranger = world.broker.check(&world.caller("nobody"), false).await.unwrap_err();
    assert_eq!(stranger.code, Code::NotATechnician);
}
