//! Directories that show their writes late, and one that keeps a right for its first minutes, as Entra ID does both.

use super::*;

const YOUNG_S: u32 = 240;

#[tokio::test]
async fn a_directory_that_shows_its_writes_late_is_looked_at_until_it_does_and_written_to_once() {
    let world = World::new().await;
    // More looks than a call makes that it may trust.
    world.directory.lags.store(20, Ordering::SeqCst);
    let session = world.activate("domain", "k1").await;
    assert_eq!(world.session(&session).await.state, State::Active);
    assert_eq!(
        *world.directory.steps.lock().unwrap(),
        ["directory.create", "directory.grant", "directory.open"]
    );
}

#[tokio::test]
async fn what_is_over_is_closed_while_the_directory_shows_old_things_and_is_ended_when_it_shows_the_new() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.directory.lags.store(u32::MAX, Ordering::SeqCst);
    let shown = async {
        let closed = async |world: &World| !world.directory.only().enabled;
        world.until("the account to be closed", || {}, closed).await;
        // Nothing else is believed, and nothing called ended.
        assert_eq!(world.session(&session).await.state, State::Ending);
        assert!(!world.directory.only().rights.is_empty());
        world.directory.lags.store(0, Ordering::SeqCst);
    };
    let (ended, ()) = tokio::join!(world.end(&session, "k2"), shown);
    assert_eq!(ended.state, State::Ended);
    assert!(world.directory.only().rights.is_empty());
}

#[tokio::test]
async fn a_right_that_the_directory_keeps_for_now_is_taken_when_it_says_and_all_else_at_once() {
    let world = World::new().await;
    world.run();
    let session = world.activate("domain", "k1").await;
    world.directory.set(Mood::NotYet(YOUNG_S));
    let ending = world.end(&session, "k2").await;
    assert_eq!(ending.state, State::Ending);
    let problem = ending.trouble.unwrap().problem;
    assert_eq!(problem.retry_after_s, Some(YOUNG_S));
    assert!(problem.remedy.contains("To activate anything else, try again in 4 min"), "{problem:?}");
    let account = world.directory.only();
    assert!(!account.enabled && account.marker.unwrap().until.is_none());
    world.directory.set(Mood::Well);
    let looks = world.directory.looks.load(Ordering::SeqCst);
    world.clock.pass(i64::from(YOUNG_S) - 5);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.directory.looks.load(Ordering::SeqCst), looks, "sooner than it says is in vain");
    world.clock.pass(10);
    world.becomes(&session, State::Ended).await;
    assert!(world.directory.only().rights.is_empty());
}

#[tokio::test]
async fn a_burner_account_takes_with_it_what_the_directory_would_keep() {
    let world = World::new().await;
    let session = world.activate("burner", "k1").await;
    world.directory.set(Mood::NotYet(YOUNG_S));
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert!(world.directory.accounts.lock().unwrap().is_empty());
}
