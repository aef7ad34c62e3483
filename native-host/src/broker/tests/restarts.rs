//! What the next broker makes of what an earlier one left.

use super::*;

#[tokio::test]
async fn after_a_restart_a_session_goes_on_with_a_new_password_on_request() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let world = world.restarted().await;
    assert_eq!(world.session(&session).await.state, State::Active);
    let caller = world.caller("tech1");
    let gone = world.broker.password(&caller, &session.id, PasswordWanted::default()).await.unwrap_err();
    assert_eq!(gone.code, Code::PasswordGone);
    let over = world
        .broker
        .password(&caller, &session.id, PasswordWanted { renew: true, once: false })
        .await
        .unwrap();
    assert_eq!(world.directory.passwords.lock().unwrap().get("jit-tech1"), Some(&*over.password));
    assert_eq!(world.directory.only().end, DirectoryEnd::At(session.expires_at));
}

#[tokio::test]
async fn what_ended_while_no_broker_ran_is_taken_away_by_the_next() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.clock.pass(4000);
    let world = world.restarted().await;
    world.becomes(&session, State::Ended).await;
    world.closed("jit-tech1");
}

#[tokio::test]
async fn a_clock_set_back_between_two_brokers_ends_what_was_open() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.clock.pass(-600);
    let world = world.restarted().await;
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!(ended.end_cause, Some(EndCause::ClockSetBack));
    world.closed("jit-tech1");
}

#[tokio::test]
async fn a_stop_is_on_record_with_the_sessions_that_stay_open() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let over = world.activate("burner", "k2").await;
    world.end(&over, "k3").await;
    assert_eq!(world.broker.record_life("broker.stopped").await.unwrap(), 1);
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    let stopped = records.iter().find(|r| r.action == "broker.stopped").unwrap();
    assert_eq!(stopped.details["open"], 1);
    assert_eq!(stopped.details["open_sessions"], serde_json::json!([session.id]));
}
