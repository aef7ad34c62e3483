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
        .password(
            &caller,
            &session.id,
            PasswordWanted { renew: true, once: false, ..PasswordWanted::default() },
        )
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
async fn a_clock_that_was_far_ahead_once_ends_sessions_once_and_not_at_every_start() {
    let world = World::new().await;
    world.clock.pass(10 * 86_400);
    for n in 0..20 {
        let _ = world.try_activate("domain", &format!("ahead{n}"), 3600).await;
    }
    assert_eq!(world.try_activate("domain", "one-too-many", 3600).await.unwrap_err(), Code::RateLimited);
    world.clock.pass(-10 * 86_400);
    let world = world.restarted().await;
    let open = || ticketgate_ledger::SessionFilter { open: true, ..Default::default() };
    world
        .until("everything to be over", || {}, async |w| w.ledger.sessions(open()).await.unwrap().is_empty())
        .await;
    world.clock.pass(61);
    let session = world.activate("domain", "after").await;
    let world = world.restarted().await;
    assert_eq!(world.session(&session).await.state, State::Active, "its time is the time now");
    let query = AuditQuery { chain: Some("-".into()), ..AuditQuery::default() };
    let records = world.ledger.audit(query).await.unwrap();
    let told: Vec<_> = records.iter().filter(|r| r.action == "clock.set_back").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].details["was"], "2030-03-27T17:46:40+00:00");
}

#[tokio::test]
async fn a_clock_followed_back_is_recorded_as_soon_as_the_ledger_can_be_written_and_then_no_start_suspects_it()
 {
    let world = World::with_ledger_refusing("ledger.clock_followed").await;
    let session = world.activate("domain", "k1").await;
    world.end(&session, "k2").await;
    world.clock.set_back(86_400);
    world.refusing.refuses.store(true, Ordering::SeqCst);
    world.broker.sweep().await.unwrap();
    let told = async |world: &World| world.actions().await.iter().filter(|a| *a == "clock.set_back").count();
    assert_eq!(told(&world).await, 0);
    world.refusing.refuses.store(false, Ordering::SeqCst);
    let session = world.activate("domain", "k3").await;
    world.broker.sweep().await.unwrap();
    assert_eq!(told(&world).await, 1, "once");
    let world = world.restarted().await;
    assert_eq!(world.session(&session).await.state, State::Active);
}

#[tokio::test]
async fn an_activation_under_way_while_the_clock_is_followed_back_gets_its_end_by_the_new_time() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.directory.set(Mood::Held);
    let follow = async {
        // Decided already, and looks at the directory before it is written.
        let key = ticketgate_access::session::AccountKey("acme-ad/membership/tech1".into());
        let decided = async |world: &World| world.broker.locks.of(&key).try_lock().is_err();
        world.until("the activation to be decided", || {}, decided).await;
        world.clock.set_back(86_400);
        world.broker.follow_clock_when_idle().await;
        world.directory.set(Mood::Well);
    };
    let (session, ()) = tokio::join!(world.activate("own", "k1"), follow);
    assert_eq!(session.state, State::Active);
    assert_eq!(session.expires_at, world.clock.now() + TimeDelta::hours(1));
}

#[tokio::test]
async fn without_the_key_of_the_audit_log_what_is_open_ends_and_nothing_begins_until_it_is_back() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let (key, away) = (world.folder.path().join("audit.key"), world.folder.path().join("away"));
    std::fs::rename(&key, &away).unwrap();
    let world = world.restarted().await;
    assert_eq!(world.try_activate("servers", "k2", 60).await.unwrap_err(), Code::LedgerDown);
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert!(overview.notices.iter().any(|n| n.text.contains("audit.key")), "{:?}", overview.notices);
    assert_eq!(world.end(&session, "k3").await.state, State::Ended);
    world.closed("jit-tech1");
    std::fs::rename(&away, &key).unwrap();
    assert_eq!(world.activate("servers", "k4").await.state, State::Active);
}

#[tokio::test]
async fn a_stop_is_on_record_with_the_sessions_that_stay_open() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let over = world.activate("burner", "k2").await;
    world.end(&over, "k3").await;
    assert_eq!(world.broker.record_life("broker.stopped").await.unwrap().0, 1);
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    let stopped = records.iter().find(|r| r.action == "broker.stopped").unwrap();
    assert_eq!(stopped.details["open"], 1);
    assert_eq!(stopped.details["open_sessions"], serde_json::json!([session.id]));
}
