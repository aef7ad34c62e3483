//! Which account is meant, when configuration or directory name it anew; and what the sweep says of changes by others.

use super::*;

fn own_account(name: &str) -> String {
    configuration()
        .replace("id = \"tech1\"\n", &format!("id = \"tech1\"\naccounts = {{ acme-ad = \"{name}\" }}\n"))
}

#[tokio::test]
async fn a_persons_account_that_is_configured_anew_is_the_one_that_gets_the_right() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.directory.person("tech1.adm", &[]);
    let session = world.activate("own", "k1").await;
    world.broker.load_settings(&own_account("tech1.adm")).await.unwrap();
    assert_eq!(world.try_activate("own", "k2", 3600).await, Err(Code::WrongState), "the old one is in use");
    world.end(&session, "k3").await;
    let session = world.activate("own", "k4").await;
    assert!(world.directory.account("tech1").unwrap().rights.is_empty());
    assert_eq!(world.directory.account("tech1.adm").unwrap().rights, [Right(ADMINS.into())].into());
    world.end(&session, "k5").await;
    assert!(world.directory.account("tech1.adm").unwrap().rights.is_empty());
}

#[tokio::test]
async fn a_person_who_is_renamed_meanwhile_loses_the_right_and_the_new_bearer_of_the_name_gets_none() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    let session = world.activate("own", "k1").await;
    {
        let mut accounts = world.directory.accounts.lock().unwrap();
        let person = accounts.remove("tech1").unwrap();
        accounts.insert("tech1.married".into(), person);
    }
    world.directory.person("tech1", &[]);
    world.directory.by_hand("tech1", |a| a.identity = "another".into());
    world.broker.sweep().await.unwrap();
    assert!(world.directory.account("tech1").unwrap().rights.is_empty());
    world.end(&session, "k2").await;
    assert!(world.directory.account("tech1.married").unwrap().rights.is_empty());
}

#[tokio::test]
async fn after_a_name_clash_another_configured_name_helps() {
    let world = World::new().await;
    world.directory.person("jit-tech1", &[]);
    assert_eq!(world.try_activate("domain", "k1", 3600).await, Err(Code::NameClash));
    world.broker.sweep().await.unwrap();
    let unit = "account_unit = ";
    let other = configuration().replace(unit, &format!("account_name = \"adm-{{technician}}\"\n{unit}"));
    world.broker.load_settings(&other).await.unwrap();
    let session = world.activate("domain", "k2").await;
    assert_eq!(session.account.as_deref(), Some("ACME\\adm-tech1"));
}

#[tokio::test]
async fn what_others_changed_is_put_right_and_recorded() {
    let world = World::new().await;
    world.activate("domain", "k1").await;
    world.broker.sweep().await.unwrap();
    assert!(!world.actions().await.iter().any(|a| a == "account.differs"), "nothing was changed");
    world.directory.by_hand("jit-tech1", |a| _ = a.rights.insert(Right(SERVERS.into())));
    world.broker.sweep().await.unwrap();
    assert_eq!(world.directory.only().rights, [Right(ADMINS.into())].into());
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    for action in ["account.differs", "account.corrected"] {
        let record = records.iter().find(|r| r.action == action).unwrap();
        assert_eq!(record.chain, "acme");
        assert_eq!(record.details["steps"], serde_json::json!([format!("directory.revoke {SERVERS}")]));
        assert_eq!(record.details["account"], "ACME\\jit-tech1");
    }
}

#[tokio::test]
async fn a_directory_that_left_the_configuration_is_kept_for_its_open_sessions_and_asked_for_after_a_restart()
{
    const OTHER: &str = "[[customer]]\nid = \"acme\"\n";
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.broker.load_settings(OTHER).await.unwrap();
    let notices = world.broker.settings().notices.clone();
    assert!(notices.iter().any(|n| n.text.contains("kept until they have ended")), "{notices:?}");

    let broker = Broker::new(
        world.refusing.clone(),
        world.clock.clone(),
        Arc::new(One::only(Arc::clone(&world.directory))),
    );
    broker.load_settings(OTHER).await.unwrap();
    let notices = broker.settings().notices.clone();
    assert!(notices.iter().any(|n| n.text.contains("put it back")), "{notices:?}");

    let nobody = Caller { administrator: true, ..world.caller("boss") };
    let ended = world.broker.end(&nobody, &IdempotencyKey::new("k2").unwrap(), &session.id).await.unwrap();
    assert_eq!(ended.state, State::Ended);
    world.broker.load_settings(OTHER).await.unwrap();
    let findings = world.broker.sweep().await.unwrap();
    assert!(findings.iter().all(|f| f.level == "ok"), "it is not asked for for ever: {findings:?}");
}

#[tokio::test]
async fn a_clock_set_back_after_a_quiet_hour_is_noticed_by_the_next_broker() {
    let world = World::new().await;
    let session = world.try_activate("domain", "k1", 4 * 3600).await.unwrap();
    world.clock.pass(3600);
    world.broker.note_time().await;
    world.clock.pass(-1800);
    let world = world.restarted().await;
    assert_eq!(world.becomes(&session, State::Ended).await.end_cause, Some(EndCause::ClockSetBack));
}

#[tokio::test]
async fn whoever_closes_the_account_in_the_directory_ends_its_sessions() {
    for delete in [false, true] {
        let world = World::new().await;
        let session = world.activate("domain", "k1").await;
        if delete {
            world.directory.accounts.lock().unwrap().clear();
        } else {
            world.directory.by_hand("jit-tech1", |a| a.enabled = false);
        }
        world.broker.sweep().await.unwrap();
        let ended = world.session(&session).await;
        assert_eq!((ended.state, ended.end_cause), (State::Ended, Some(EndCause::Administrator)));
        if !delete {
            world.closed("jit-tech1");
        }
        assert_eq!(world.activate("domain", "k2").await.state, State::Active, "a new one makes it anew");
    }
}

#[tokio::test]
async fn a_persons_account_in_the_place_of_a_deleted_one_is_not_touched() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.accounts.lock().unwrap().clear();
    world.directory.person("jit-tech1", &[SERVERS]);
    let person = world.directory.only();
    world.broker.sweep().await.unwrap();
    world.broker.sweep().await.unwrap();
    assert_eq!(world.session(&session).await.state, State::Ended, "there is nothing left of it");
    assert_eq!(world.try_activate("domain", "k2", 3600).await, Err(Code::NameClash));
    assert_eq!(world.directory.only(), person);
}

#[tokio::test]
async fn nothing_begins_by_a_configuration_that_was_replaced_meanwhile() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.directory.set(Mood::Held);
    let (granted, ()) = tokio::join!(world.try_activate("own", "k1", 3600), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let without = configuration().replace("id = \"own\"", "id = \"gone\"");
        world.broker.load_settings(&without).await.unwrap();
        world.directory.set(Mood::Well);
    });
    assert_eq!(granted, Err(Code::UnknownPolicy));
    assert!(world.directory.only().rights.is_empty());
}
