//! Two brokers that are both well.

use super::process::NO_LEASE;
use super::*;

fn both() -> String {
    crate::broker::tests::parts::second(&configuration())
}

#[tokio::test]
async fn one_account_asked_for_from_two_sides_has_what_both_sessions_give_and_no_more() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    for round in 0..5 {
        let keys = [format!("a{round}"), format!("b{round}")];
        let (first, second) =
            tokio::join!(a.wish("domain", &keys[0], 3600), b.wish("servers", &keys[1], 7200));
        let (first, second) = (first.unwrap(), second.unwrap());
        let account = many.directory.only();
        assert!(account.enabled);
        assert_eq!(account.rights, [Right(ADMINS.into()), Right(SERVERS.into())].into());
        assert_eq!(account.end, DirectoryEnd::At(second.expires_at));
        // Each is ended from the other side.
        let ends = [format!("c{round}"), format!("d{round}")];
        let (first, second) = tokio::join!(b.end(&first, &ends[0]), a.end(&second, &ends[1]));
        assert_eq!((first.state, second.state), (State::Ended, State::Ended));
        assert!(many.is_closed(), "{:?}", many.directory.only());
        many.clock.pass(61);
    }
    assert_eq!(many.count("account.overtaken").await, 0);
    assert_eq!(many.count("account.differs").await, 0);
    assert_eq!(many.count("activation.granted").await, 10);
    assert_eq!(many.count("session.ended").await, 10);
}

#[tokio::test]
async fn an_account_that_another_broker_began_after_it_was_looked_for_has_both_sessions() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    a.process.stop_in(NO_LEASE);
    let first = a.activating("domain", "k1");
    many.until("one to stop where there is no account", async || a.process.is_stopped()).await;
    b.process.stop_in("directory.open");
    let second = b.activating("servers", "k2");
    many.until("the other to stop in the middle", async || b.process.is_stopped()).await;
    a.process.wake();
    tokio::time::sleep(Duration::from_millis(500)).await;
    b.process.wake();
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!((first.state, b.session(&second).await.state), (State::Active, State::Active));
    assert_eq!(many.directory.only().rights, [Right(ADMINS.into()), Right(SERVERS.into())].into());
    assert_eq!(many.count("activation.requested").await, 2);
}

#[tokio::test]
async fn a_session_is_extended_and_ended_by_whichever_broker_is_asked_and_its_password_is_the_ones_that_set_it()
 {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    let session = a.activate("domain", "k1").await;
    let key = |k: &str| IdempotencyKey::new(k).unwrap();
    let longer = b.broker.extend(&b.caller("tech1"), &key("k2"), &session.id, 1800).await.unwrap();
    assert_eq!(many.directory.only().end, DirectoryEnd::At(longer.expires_at));
    let wanted = PasswordWanted::default;
    a.broker.password(&a.caller("tech1"), &session.id, wanted()).await.unwrap();
    let gone = b.broker.password(&b.caller("tech1"), &session.id, wanted()).await.unwrap_err();
    assert_eq!(gone.code, Code::PasswordGone);
    let renew = PasswordWanted { renew: true, ..wanted() };
    let new = b.broker.password(&b.caller("tech1"), &session.id, renew).await.unwrap();
    assert_eq!(many.directory.passwords.lock().unwrap().get("jit-tech1"), Some(&*new.password));
    let gone = a.broker.password(&a.caller("tech1"), &session.id, wanted()).await.unwrap_err();
    assert_eq!(gone.code, Code::PasswordGone);
    a.broker.forget_passwords().await;
    b.broker.forget_passwords().await;
    assert_eq!((a.broker.passwords.accounts().len(), b.broker.passwords.accounts().len()), (0, 1));
    assert_eq!(a.end(&session, "k3").await.state, State::Ended);
    assert!(many.is_closed());
}

#[tokio::test]
async fn a_request_repeated_at_another_broker_finds_the_first_result() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    let (first, second) = tokio::join!(a.wish("domain", "k1", 3600), b.wish("domain", "k1", 3600));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.id, first.state), (second.id, State::Active));
    assert_eq!(many.ledger.sessions(Default::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_activation_under_way_at_another_broker_is_not_taken_back() {
    let many = Many::new(configuration()).await;
    let a = many.broker().await;
    a.run();
    many.directory.set(Mood::Held);
    let activating = a.activating("domain", "k1");
    let begun = async || many.directory.looks.load(Ordering::SeqCst) > 0;
    many.until("the activation to begin", begun).await;
    // One that starts, looks for what is due, and sweeps; for longer than a lease lasts.
    let b = many.broker().await;
    b.run();
    let sweeping = tokio::spawn({
        let b = Arc::clone(&b.broker);
        async move { b.sweep().await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    many.directory.set(Mood::Well);
    assert_eq!(activating.await.unwrap().unwrap().state, State::Active);
    sweeping.await.unwrap().unwrap();
    assert!(many.directory.only().enabled);
    assert_eq!(b.steps.load(Ordering::SeqCst), 0);
    assert_eq!(many.count("session.ending").await, 0);
}

#[tokio::test]
async fn parts_that_two_brokers_bring_to_an_end_are_over_once() {
    let many = Many::new(both()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    let mut ended = 0;
    for round in 0..6 {
        let session = a.activate("both", &format!("k{round}")).await;
        let parts: Vec<_> = session.parts.iter().map(|part| part.directory.clone()).collect();
        many.clock.pass(3601);
        let account =
            |at: usize| ticketgate_access::session::AccountKey(format!("{}/dedicated/tech1", parts[at]));
        let (first, second) = (account(0), account(1));
        let (one, other) = tokio::join!(a.broker.converge(&first), b.broker.converge(&second));
        one.unwrap();
        other.unwrap();
        ended += 1;
        assert_eq!(b.session(&session).await.state, State::Ended);
        assert_eq!(many.count("session.ended").await, ended);
    }
    assert!(many.is_closed());
}

#[tokio::test]
async fn what_one_broker_does_at_a_time_another_goes_on_with() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    let leading = a.broker.lead("sweep").await;
    let waiting = tokio::time::timeout(Duration::from_secs(1), b.broker.lead("sweep")).await;
    assert!(waiting.is_err());
    a.die();
    let next = tokio::time::timeout(Duration::from_secs(15), b.broker.lead("sweep")).await.unwrap();
    assert!(!next.is_lost());
    a.process.wake();
    tokio::time::timeout(Duration::from_secs(5), leading.until_lost()).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_another_one_for_each_broker_is_told() {
    let here = "[[directory]]\nid = \"here\"\ncustomer = \"acme\"\nkind = \"local\"\nmachine = \"here\"\n";
    let many = Many::new([configuration(), here.to_owned()].join("\n")).await;
    let a = many.broker().await;
    let told = a.broker.notices(&a.broker.settings());
    assert!(told.iter().any(|notice| notice.text.contains("directory here")), "{told:?}");
}

#[tokio::test]
async fn a_sweep_takes_no_lease_on_what_is_as_wanted_and_puts_right_what_is_not() {
    let many = Many::new(configuration()).await;
    let (a, b, beside) = (many.broker().await, many.broker().await, many.broker().await);
    let session = a.activate("domain", "k1").await;
    let key = many.ledger.accounts().await.unwrap().remove(0).key;
    let shared = beside.refusing.shared().unwrap();
    // Each new holder adds one.
    let fence = async || {
        loop {
            if let Some(lease) = shared.lease(&key).await.unwrap() {
                shared.release(&lease).await.unwrap();
                return lease.fence;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let before = fence().await;
    b.broker.sweep().await.unwrap();
    assert_eq!(fence().await, before + 1, "somebody had it in between");
    many.directory.by_hand("jit-tech1", |account| _ = account.rights.insert(Right(SERVERS.into())));
    b.broker.sweep().await.unwrap();
    assert!(fence().await > before + 2);
    assert_eq!(many.directory.only().rights, [Right(ADMINS.into())].into());
    assert_eq!(many.count("account.corrected").await, 1);
    assert_eq!(b.end(&session, "k2").await.state, State::Ended);
    assert!(many.is_closed());
}
