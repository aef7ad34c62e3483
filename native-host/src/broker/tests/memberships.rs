//! Rights on a person's own account: what sessions gave is taken, for a day after their end too, and nothing else.

use super::*;

#[tokio::test]
async fn membership_never_takes_what_the_person_had_before() {
    let world = World::new().await;
    world.directory.person("tech1", &[SERVERS]);
    let session = world.activate("own", "k1").await;
    assert_eq!(world.directory.only().rights.len(), 2);
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
    assert!(world.directory.only().enabled, "a person's own account is never disabled");

    // For a day the session answers for what it gave; after that it is the person's.
    world.clock.pass(25 * 3600);
    world.directory.by_hand("tech1", |a| _ = a.rights.insert(Right(ADMINS.into())));
    let session = world.activate("own", "k3").await;
    world.end(&session, "k4").await;
    world.broker.sweep().await.unwrap();
    assert_eq!(world.directory.only().rights.len(), 2, "a standing right is not ours to take");
}

#[tokio::test]
async fn a_right_that_the_directory_brings_back_after_its_session_is_taken_again() {
    let world = World::new().await;
    world.directory.person("tech1", &[SERVERS]);
    let session = world.activate("own", "k1").await;
    world.end(&session, "k2").await;
    // A domain controller that had not heard of the membership was asked; now replication brings it.
    let returns = || world.directory.by_hand("tech1", |a| _ = a.rights.insert(Right(ADMINS.to_lowercase())));
    returns();
    world.broker.sweep().await.unwrap();
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
    let actions = world.actions().await;
    assert!(actions.ends_with(&["account.differs".into(), "account.corrected".into()]), "{actions:?}");
    // The next session does not take it for the person's own either.
    returns();
    let session = world.activate("own", "k3").await;
    world.end(&session, "k4").await;
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
}

#[tokio::test]
async fn a_connector_is_told_of_rights_that_only_open_sessions_have_any_more() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    let session = world.activate("own", "k1").await;
    // Another policy of the directory names another right, and none the session's.
    let left = configuration().replace(ADMINS, SERVERS);
    world.broker.load_settings(&left).await.unwrap();
    let known = || world.directory.known.lock().unwrap().clone();
    assert_eq!(known(), [Right(ADMINS.into()), Right(SERVERS.into())].into());
    world.end(&session, "k2").await;
    world.broker.load_settings(&left).await.unwrap();
    assert_eq!(known(), [Right(SERVERS.into())].into());
}

#[tokio::test]
async fn a_standing_right_that_somebody_took_is_a_sessions_when_a_session_gives_it() {
    let world = World::new().await;
    world.directory.person("tech1", &[SERVERS, ADMINS]);
    let session = world.activate("own", "k1").await;
    world.end(&session, "k2").await;
    assert_eq!(world.directory.only().rights.len(), 2);
    world.directory.by_hand("tech1", |a| _ = a.rights.remove(&Right(ADMINS.into())));
    let session = world.activate("own", "k3").await;
    assert_eq!(world.directory.only().rights.len(), 2);
    world.end(&session, "k4").await;
    assert_eq!(world.directory.only().rights, [Right(SERVERS.into())].into());
}

#[tokio::test]
async fn what_a_person_took_for_a_time_stays_until_it_is_over_and_the_session_gives_the_rest() {
    let world = World::new().await;
    world.run();
    world.directory.person("tech1", &[ADMINS]);
    let until = world.clock.now() + TimeDelta::minutes(10);
    let takes = |a: &mut ticketgate_access::desired::ObservedAccount| {
        a.rights.insert(Right(ADMINS.into()));
        a.own.insert(Right(ADMINS.into()));
        a.right_ends = vec![(Right(ADMINS.into()), until)];
    };
    world.directory.by_hand("tech1", takes);
    let steps = || world.directory.steps.lock().unwrap().clone();
    // Ended before it is over: it is the person's.
    let session = world.activate("own", "k1").await;
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert_eq!(steps(), Vec::<&str>::new());
    assert_eq!(world.directory.only().rights, [Right(ADMINS.into())].into());

    // Over before the session is: given at that time, without anybody asking, and taken at the session's end.
    let session = world.activate("own", "k3").await;
    assert_eq!((session.state, steps().len()), (State::Active, 0));
    world.directory.by_hand("tech1", |a| {
        (a.rights, a.own, a.right_ends) = Default::default();
    });
    world.clock.pass(603);
    world.until("the rest to be given", || {}, async |_| steps() == ["directory.grant"]).await;
    world.directory.by_hand("tech1", |a| a.own.clear());
    world.end(&session, "k4").await;
    assert_eq!(steps(), ["directory.grant", "directory.revoke"]);
    assert!(world.directory.only().rights.is_empty());
}
