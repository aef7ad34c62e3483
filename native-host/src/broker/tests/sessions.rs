//! A session from its beginning to its end, and what fails on the way.

use super::*;

#[tokio::test]
async fn an_activation_opens_the_account_with_its_end_and_hands_the_password_over() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    assert_eq!(session.state, State::Active);
    assert_eq!(session.account.as_deref(), Some("ACME\\jit-tech1"));
    let account = world.directory.only();
    assert!(account.enabled);
    assert_eq!(account.end, DirectoryEnd::At(session.expires_at));
    assert_eq!(account.rights, [Right(ADMINS.into())].into());
    let steps = world.directory.steps.lock().unwrap().clone();
    assert_eq!(
        steps,
        ["directory.create", "directory.grant", "directory.open"],
        "prepared first, opened last"
    );
    let over =
        world.broker.password(&world.caller("tech1"), &session.id, PasswordWanted::default()).await.unwrap();
    assert_eq!(world.directory.passwords.lock().unwrap().get("jit-tech1"), Some(&*over.password));
    let actions = world.actions().await;
    for action in ["activation.requested", "activation.granted", "password.delivered"] {
        assert!(actions.iter().any(|a| a == action), "{action} missing in {actions:?}");
    }
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    let granted = records.iter().find(|r| r.action == "activation.granted").unwrap();
    assert_eq!(
        granted.details["guarantee"], "It ends by itself.",
        "what was promised stands beside the grant"
    );
}

#[tokio::test]
async fn the_end_takes_everything_away_also_what_somebody_added_by_hand() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.by_hand("jit-tech1", |a| {
        a.rights.insert(Right("CN=Backup,DC=acme,DC=example".into()));
        a.ordinary_primary_group = false;
    });
    let ended = world.end(&session, "k2").await;
    assert_eq!((ended.state, ended.end_cause), (State::Ended, Some(EndCause::Technician)));
    world.closed("jit-tech1");
    assert!(world.directory.only().ordinary_primary_group);
}

#[tokio::test]
async fn the_time_over_ends_it() {
    let world = World::new().await;
    world.run();
    let session = world.activate("domain", "k1").await;
    world.clock.pass(3599);
    world.broker.sweep().await.unwrap();
    assert_eq!(world.session(&session).await.state, State::Active, "the broker looked, and left it");
    world.clock.pass(1);
    let ended = world.becomes(&session, State::Ended).await;
    assert_eq!(ended.end_cause, Some(EndCause::Expired));
    world.closed("jit-tech1");
}

#[tokio::test]
async fn two_sessions_on_one_account_do_not_break_each_other() {
    let world = World::new().await;
    let first = world.activate("domain", "k1").await;
    let password = world.directory.passwords.lock().unwrap().clone();
    let second = world.try_activate("servers", "k2", 7200).await.unwrap();
    let account = world.directory.only();
    assert_eq!(account.rights.len(), 2);
    assert_eq!(account.end, DirectoryEnd::At(second.expires_at));
    assert_eq!(
        *world.directory.passwords.lock().unwrap(),
        password,
        "the first session's password stays valid"
    );
    world.end(&first, "k3").await;
    let account = world.directory.only();
    assert!(account.enabled);
    assert_eq!(account.rights, [Right(SERVERS.into())].into());
    world.end(&second, "k4").await;
    world.closed("jit-tech1");
}

#[tokio::test]
async fn ending_the_longer_of_two_shortens_the_directorys_end_and_keeps_the_password() {
    let world = World::new().await;
    let first = world.activate("domain", "k1").await;
    let second = world.try_activate("servers", "k2", 7200).await.unwrap();
    let password = world.directory.passwords.lock().unwrap().clone();
    world.end(&second, "k3").await;
    let account = world.directory.only();
    assert!(account.enabled);
    assert_eq!(account.end, DirectoryEnd::At(first.expires_at));
    assert_eq!(*world.directory.passwords.lock().unwrap(), password);
}

#[tokio::test]
async fn a_directory_that_is_down_means_a_clear_error_and_nothing_left() {
    let world = World::new().await;
    world.directory.set(Mood::Down);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::DirectoryDown));
    assert!(world.directory.accounts.lock().unwrap().is_empty());
    let all = world.broker.list(Default::default()).await.unwrap();
    assert_eq!(all.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Failed]);
    world.directory.set(Mood::Well);
    world.activate("domain", "k2").await;
}

#[tokio::test]
async fn a_grant_that_fails_half_way_is_taken_back_whole() {
    for step in ["directory.create", "directory.grant", "directory.open"] {
        let world = World::new().await;
        world.directory.set(Mood::Refuses(step));
        assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::NotDelegated), "{step}");
        let all = world.broker.list(Default::default()).await.unwrap();
        assert_eq!(all[0].state, State::Failed, "{step}");
        if world.directory.account("jit-tech1").is_some() {
            world.closed("jit-tech1");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_not_guessed() {
    for step in ["directory.create", "directory.grant", "directory.open"] {
        let world = World::new().await;
        world.directory.set(Mood::LosesAnswerOf(step));
        let session = world.activate("domain", "k1").await;
        assert_eq!(session.state, State::Active, "{step}");
        let over = world
            .broker
            .password(&world.caller("tech1"), &session.id, PasswordWanted::default())
            .await
            .unwrap();
        assert_eq!(
            world.directory.passwords.lock().unwrap().get("jit-tech1"),
            Some(&*over.password),
            "{step}"
        );
    }
}

#[tokio::test]
async fn an_end_that_fails_stays_ending_and_is_retried_until_it_is_done() {
    let world = World::new().await;
    world.run();
    let session = world.activate("domain", "k1").await;
    world.directory.set(Mood::Down);
    let ending = world.end(&session, "k2").await;
    assert_eq!(ending.state, State::Ending, "never reported as ended");
    assert_eq!(ending.trouble.as_ref().unwrap().problem.code, Code::DirectoryDown);
    // The first, second and fourth attempts are on record.
    world
        .until(
            "three records of retries",
            || world.clock.pass(60),
            async |world| {
                world.actions().await.iter().filter(|action| *action == "session.end_retry").count() >= 3
            },
        )
        .await;
    assert_eq!(world.session(&session).await.state, State::Ending);
    world.directory.set(Mood::Well);
    world.clock.pass(600);
    world.becomes(&session, State::Ended).await;
    world.closed("jit-tech1");
}

#[tokio::test]
async fn a_grant_that_cannot_be_recorded_is_undone() {
    let world = World::with_ledger_refusing("ledger.session_active").await;
    world.run();
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::LedgerDown));
    world.closed("jit-tech1");
    world.refusing.refuses.store(false, Ordering::SeqCst);
    let all = world.broker.list(Default::default()).await.unwrap();
    world.clock.pass(30);
    // Nobody waits for it any more, so it is not completed later.
    world.becomes(&all[0], State::Failed).await;
    world.closed("jit-tech1");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_finds_the_first_result() {
    let world = World::new().await;
    let first = world.activate("domain", "k1").await;
    assert_eq!(world.activate("domain", "k1").await.id, first.id);
    assert_eq!(world.try_activate("domain", "k1", 7200).await, Err(Code::KeyReused));
    assert_eq!(world.broker.list(Default::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_extension_moves_both_ends_up_to_the_maximum() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let key = |k: &str| IdempotencyKey::new(k).unwrap();
    let caller = world.caller("tech1");
    let longer = world.broker.extend(&caller, &key("k2"), &session.id, 1800).await.unwrap();
    assert_eq!(longer.expires_at, session.expires_at + TimeDelta::minutes(30));
    assert_eq!(world.directory.only().end, DirectoryEnd::At(longer.expires_at));
    let longest = world.broker.extend(&caller, &key("k3"), &session.id, 86_000).await.unwrap();
    assert_eq!(longest.expires_at, session.latest_end);
    let refused = world.broker.extend(&caller, &key("k4"), &session.id, 60).await.unwrap_err();
    assert_eq!(refused.code, Code::AtMaximum);
}

#[tokio::test]
async fn an_extension_that_the_directory_does_not_take_is_not_shown() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.set(Mood::Refuses("directory.set_end"));
    let key = IdempotencyKey::new("k2").unwrap();
    let refused = world.broker.extend(&world.caller("tech1"), &key, &session.id, 1800).await.unwrap_err();
    assert_eq!(refused.code, Code::NotDelegated);
    let after = world.session(&session).await;
    assert_eq!((after.state, after.expires_at), (State::Active, session.expires_at));
    // A repeat is told the same, not of a success; and when the directory takes it, of that.
    let again = world.broker.extend(&world.caller("tech1"), &key, &session.id, 1800).await.unwrap_err();
    assert_eq!(again.code, Code::NotDelegated);
    world.directory.set(Mood::Well);
    for _ in 0..2 {
        let longer = world.broker.extend(&world.caller("tech1"), &key, &session.id, 1800).await.unwrap();
        assert_eq!(longer.expires_at, session.expires_at + TimeDelta::seconds(1800), "once, however often");
    }
}

#[tokio::test]
async fn a_burner_account_is_gone_after_its_session() {
    let world = World::new().await;
    let session = world.activate("burner", "k1").await;
    assert!(world.directory.only().enabled);
    world.end(&session, "k2").await;
    assert!(world.directory.accounts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_password_shown_once_is_not_shown_again() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    let caller = world.caller("tech1");
    let once = PasswordWanted { renew: false, once: true, ..PasswordWanted::default() };
    world.broker.password(&caller, &session.id, once.clone()).await.unwrap();
    assert_eq!(world.broker.password(&caller, &session.id, once).await.unwrap_err().code, Code::PasswordGone);
    assert!(!world.session(&session).await.password_held);
    world
        .broker
        .password(
            &caller,
            &session.id,
            PasswordWanted { renew: true, once: true, ..PasswordWanted::default() },
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn the_emergency_brake_is_the_administrators() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.activate("burner", "k2").await;
    let all = EndAll { customer: Some(CustomerId::new("acme").unwrap()), technician: None };
    let refused = world.broker.end_all(&world.caller("tech1"), &all).await.unwrap_err();
    assert_eq!(refused.code, Code::NotAnAdministrator);
    let ended = world.broker.end_all(&world.caller("boss"), &all).await.unwrap();
    assert!(ended.iter().all(|s| s.state == State::Ended) && ended.len() == 2, "{ended:?}");
    assert_eq!(world.session(&session).await.end_cause, Some(EndCause::Administrator));
}
