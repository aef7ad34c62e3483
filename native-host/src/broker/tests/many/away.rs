//! A ledger that cannot be reached.

use super::*;
use crate::broker::monitor::readiness;

#[tokio::test]
async fn what_is_over_is_taken_away_while_the_database_is_away_and_ended_when_it_is_back() {
    let many = Many::new(configuration()).await;
    let a = many.broker().await;
    many.directory.person("tech1", &[]);
    a.run();
    let (first, second) = (a.activate("domain", "k1").await, a.activate("own", "k2").await);
    a.process.cut_off(true);
    many.clock.pass(3601);
    let person = || many.directory.account("tech1").unwrap().rights.is_empty();
    let taken = async || {
        many.clock.pass(1);
        !many.directory.account("jit-tech1").unwrap().enabled && person()
    };
    many.until("what is over to be taken away", taken).await;
    let told = a.broker.notices(&a.broker.settings());
    assert!(told.iter().any(|notice| notice.text.contains("database")), "{told:?}");
    a.process.cut_off(false);
    many.becomes(&a, &first, State::Ended).await;
    many.becomes(&a, &second, State::Ended).await;
    assert!(many.is_closed());
    many.settles().await;
    assert!(a.broker.notices(&a.broker.settings()).iter().all(|notice| !notice.text.contains("database")));
}

#[tokio::test]
async fn a_broker_without_the_database_leaves_alone_what_another_made_longer() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    a.run();
    let session = a.activate("domain", "k1").await;
    a.process.cut_off(true);
    let key = IdempotencyKey::new("k2").unwrap();
    let longer = b.broker.extend(&b.caller("tech1"), &key, &session.id, 3600).await.unwrap();
    let steps = a.steps.load(Ordering::SeqCst);
    many.clock.pass(3601);
    tokio::time::sleep(Duration::from_secs(13)).await;
    let account = many.directory.only();
    assert!(account.enabled && account.end == DirectoryEnd::At(longer.expires_at), "{account:?}");
    assert_eq!(a.steps.load(Ordering::SeqCst), steps);
    many.clock.pass(3601);
    b.run();
    many.becomes(&b, &session, State::Ended).await;
}

#[tokio::test]
async fn an_activation_that_its_broker_could_not_record_is_taken_back_once_whoever_does_it() {
    let many = Many::new(configuration()).await;
    let (a, b) = (many.broker().await, many.broker().await);
    a.run();
    b.run();
    a.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(a.wish("domain", "k1", 3600).await.unwrap_err().code, Code::LedgerDown);
    assert!(many.is_closed());
    let all = async || b.broker.list(Default::default()).await.unwrap();
    many.until("it to be given up", async || all().await[0].state == State::Failed).await;
    a.refusing.refuses.store(false, Ordering::SeqCst);
    many.settles().await;
    assert!(many.is_closed());
    assert_eq!(many.count("activation.failed").await, 1);
    // Alone, it does so itself once it can.
    b.die();
    a.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(a.wish("servers", "k2", 3600).await.unwrap_err().code, Code::LedgerDown);
    a.refusing.refuses.store(false, Ordering::SeqCst);
    many.until("the other to be given up", async || many.count("activation.failed").await == 2).await;
    many.settles().await;
    assert!(many.is_closed());
}

/// The database shows the write, and would lose it with its server.
#[tokio::test]
async fn nothing_is_given_for_a_session_whose_record_is_not_known_to_stay() {
    let many = Many::new(configuration()).await;
    let a = many.broker_refusing("ledger.session_begin").await;
    a.refusing.writes.store(true, Ordering::SeqCst);
    a.refusing.refuses.store(true, Ordering::SeqCst);
    a.process.standby_lacks(true);
    assert_eq!(a.wish("domain", "k1", 3600).await.unwrap_err().code, Code::LedgerDown);
    assert!(many.directory.accounts.lock().unwrap().is_empty());
    // The standby has it.
    a.process.standby_lacks(false);
    a.refusing.refuses.store(false, Ordering::SeqCst);
    a.run();
    let all = async || a.broker.list(Default::default()).await.unwrap();
    many.until("it to be given up", async || all().await[0].state == State::Failed).await;
    many.settles().await;
    assert!(many.is_closed());
    let second = a.activate("domain", "k2").await;
    assert_eq!(second.state, State::Active);
}

#[tokio::test]
async fn a_broker_whose_database_can_only_be_read_is_not_ready_and_says_why() {
    let many = Many::new(configuration()).await;
    let a = many.broker().await;
    a.run();
    assert!(readiness(&a.broker, false).await.ready);
    many.database.is_only_read();
    let asked = async || readiness(&a.broker, false).await;
    many.until("the broker to say why", async || {
        let reasons = asked().await.reasons;
        reasons.iter().any(|reason| reason.contains("its database can only be read"))
    })
    .await;
}
