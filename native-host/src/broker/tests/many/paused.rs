//! Brokers that die, and brokers that are stopped for longer than their leases last and then go on.

use super::*;

/// Stops a broker in the opening write of an activation, after all checks, and waits until another one has taken it back.
async fn stopped_in_opening(
    many: &Many,
    policy: &'static str,
) -> (Member, Member, tokio::task::JoinHandle<Result<Session, Problem>>) {
    let a = many.broker().await;
    stopped_in_opening_as(a, many, policy).await
}

/// The same of this broker.
async fn stopped_in_opening_as(
    a: Member,
    many: &Many,
    policy: &'static str,
) -> (Member, Member, tokio::task::JoinHandle<Result<Session, Problem>>) {
    let b = many.broker().await;
    a.run();
    b.run();
    a.process.stop_in("directory.open");
    let activating = a.activating(policy, "k1");
    many.until("the broker to stop", async || a.process.is_stopped()).await;
    let begun = std::time::Instant::now();
    let all = async || b.broker.list(Default::default()).await.unwrap();
    many.until("the other to take over", async || all().await.iter().all(|s| s.state == State::Failed)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "taken over after {:?}", begun.elapsed());
    assert!(many.is_closed());
    (a, b, activating)
}

#[tokio::test]
async fn an_activation_whose_broker_dies_is_taken_back_by_another_within_seconds() {
    let many = Many::new(configuration()).await;
    let (a, b, _) = stopped_in_opening(&many, "domain").await;
    a.die();
    // Its person clicks again, and is served.
    let session = b.activate("domain", "k2").await;
    assert_eq!(session.state, State::Active);
    assert!(many.directory.only().enabled);
}

#[tokio::test]
async fn a_broker_that_was_stopped_before_a_write_and_sends_it_late_has_it_undone() {
    let many = Many::new(configuration()).await;
    let (a, b, activating) = stopped_in_opening(&many, "domain").await;
    a.process.wake();
    activating.await.unwrap().unwrap_err();
    let steps = many.directory.steps.lock().unwrap().clone();
    let late = steps.iter().position(|step| *step == "directory.open").expect("the late write went out");
    // Whoever has the account now may be at work already, the same broker as well: it only takes away.
    let gives = ["directory.create", "directory.grant", "directory.open", "directory.set_end"];
    assert!(!steps[late + 1..].iter().any(|step| gives.contains(step)), "{steps:?}");
    many.until("the late opening to be undone", async || many.is_closed()).await;
    many.settles().await;
    assert_eq!(many.count("account.overtaken").await, 1);
    let all = b.broker.list(Default::default()).await.unwrap();
    assert_eq!(all.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Failed]);
}

#[tokio::test]
async fn what_arrives_a_minute_after_its_broker_died_is_taken_away_whoever_is_left() {
    let many = Many::new(configuration()).await;
    let (a, b, _) = stopped_in_opening(&many, "domain").await;
    a.die();
    many.settles().await;
    let c = many.broker().await;
    c.run();
    b.die();
    many.clock.pass(60);
    // The network kept what the first one sent until now.
    many.directory.by_hand("jit-tech1", |account| {
        account.enabled = true;
        account.rights.insert(Right(SERVERS.into()));
    });
    let begun = std::time::Instant::now();
    many.until("the late writes to be undone", async || many.is_closed()).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "undone after {:?}", begun.elapsed());
    many.settles().await;
    let all = c.broker.list(Default::default()).await.unwrap();
    assert_eq!(all.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Failed]);
}

#[tokio::test]
async fn a_late_write_whose_record_fails_at_first_is_undone_once_it_is_on_record() {
    let many = Many::new(configuration()).await;
    let a = many.broker_refusing("ledger.account_overtaken").await;
    a.refusing.refuses.store(true, Ordering::SeqCst);
    let (a, b, activating) = stopped_in_opening_as(a, &many, "domain").await;
    a.process.wake();
    activating.await.unwrap().unwrap_err();
    many.until("the record to be refused", async || a.refusing.refused.load(Ordering::SeqCst) > 0).await;
    assert_eq!(many.count("account.overtaken").await, 0);
    assert!(!many.is_closed(), "only the record tells the others of the late opening");
    a.refusing.refuses.store(false, Ordering::SeqCst);
    many.until("the late opening to be undone", async || many.is_closed()).await;
    many.settles().await;
    assert_eq!(many.count("account.overtaken").await, 1);
    let all = b.broker.list(Default::default()).await.unwrap();
    assert_eq!(all.iter().map(|s| s.state).collect::<Vec<_>>(), [State::Failed]);
}

#[tokio::test]
async fn a_late_write_takes_nothing_from_a_session_that_began_meanwhile() {
    let many = Many::new(configuration()).await;
    let (a, b, activating) = stopped_in_opening(&many, "domain").await;
    let session = b.wish("servers", "k2", 7200).await.unwrap();
    a.process.wake();
    activating.await.unwrap().unwrap_err();
    let as_wanted = async || {
        let account = many.directory.only();
        account.enabled
            && account.rights == [Right(SERVERS.into())].into()
            && account.end == DirectoryEnd::At(session.expires_at)
            && account.marker.as_ref().unwrap().until == Some(session.expires_at)
    };
    many.until("the account to be as the session wants it", as_wanted).await;
    many.settles().await;
    assert!(as_wanted().await, "{:?}", many.directory.only());
    assert_eq!(b.session(&session).await.state, State::Active);
    // Its password is the one that is set, whoever set it last.
    let renew = PasswordWanted { renew: true, ..PasswordWanted::default() };
    let password = b.broker.password(&b.caller("tech1"), &session.id, renew).await.unwrap();
    assert_eq!(many.directory.passwords.lock().unwrap().get("jit-tech1"), Some(&*password.password));
}

#[tokio::test]
async fn an_end_stopped_half_way_is_brought_to_its_end_by_another() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    a.run();
    let session = a.activate("domain", "k1").await;
    a.process.stop_in("directory.revoke");
    many.clock.pass(3601);
    many.until("the broker to stop", async || a.process.is_stopped()).await;
    assert!(!many.directory.only().rights.is_empty());
    b.run();
    many.becomes(&b, &session, State::Ended).await;
    assert!(many.is_closed());
    a.process.wake();
    many.settles().await;
    assert!(many.is_closed());
    assert_eq!(many.count("session.ended").await, 1);
}

#[tokio::test]
async fn what_a_dead_broker_would_have_ended_another_ends() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    a.run();
    b.run();
    let session = a.activate("domain", "k1").await;
    a.die();
    many.clock.pass(3601);
    many.becomes(&b, &session, State::Ended).await;
    assert!(many.is_closed());
}

#[tokio::test]
async fn a_broker_stopped_before_it_writes_an_activation_down_writes_it_no_more() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    many.directory.person("tech1", &[]);
    // So that the ledger knows the account, and gives leases on it.
    let before = a.activate("own", "k0").await;
    a.end(&before, "k1").await;
    many.directory.set(Mood::Held);
    let looks = many.directory.looks.load(Ordering::SeqCst);
    let activating = a.activating("own", "k2");
    let looking = async || many.directory.looks.load(Ordering::SeqCst) > looks;
    many.until("the activation to look at the account", looking).await;
    a.process.stop();
    many.directory.set(Mood::Well);
    let session = b.activate("own", "k3").await;
    a.process.wake();
    // Decided anew, by what the ledger says now.
    let second = activating.await.unwrap().unwrap();
    assert_eq!((second.state, b.session(&session).await.state), (State::Active, State::Active));
    b.end(&session, "k4").await;
    a.end(&second, "k5").await;
    assert!(many.directory.only().rights.is_empty(), "{:?}", many.directory.only());
}

#[tokio::test]
async fn a_session_in_two_directories_whose_broker_stops_is_taken_back_in_both_and_stays_so() {
    let many = Many::new(crate::broker::tests::parts::second(&configuration())).await;
    let (a, b, activating) = stopped_in_opening(&many, "both").await;
    a.process.wake();
    activating.await.unwrap().unwrap_err();
    many.settles().await;
    many.until("late openings to be undone", async || many.is_closed()).await;
    let all = b.broker.list(Default::default()).await.unwrap();
    assert_eq!((all.len(), all[0].state), (1, State::Failed));
    assert_eq!((many.count("activation.failed").await, many.count("activation.granted").await), (1, 0));
}
