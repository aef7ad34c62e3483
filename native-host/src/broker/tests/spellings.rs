//! One right, spelled differently by the ledger, the configuration and the directory.

use super::*;

const AS_THE_SERVER_WRITES_IT: &str = "cn=domain admins,CN=Users,dc=acme,dc=example";

fn respelled(world: &World, name: &str) {
    world.directory.by_hand(name, |a| a.rights = [Right(AS_THE_SERVER_WRITES_IT.into())].into());
}

#[tokio::test]
async fn a_right_of_a_persons_account_is_taken_away_however_the_directory_spells_it() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    let session = world.activate("own", "k1").await;
    respelled(&world, "tech1");
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert!(world.directory.only().rights.is_empty(), "{:?}", world.directory.only());
}

#[tokio::test]
async fn a_right_that_the_person_had_before_stays_however_the_directory_spells_it() {
    let world = World::new().await;
    world.directory.person("tech1", &[AS_THE_SERVER_WRITES_IT]);
    let session = world.activate("own", "k1").await;
    world.end(&session, "k2").await;
    assert_eq!(world.directory.only().rights, [Right(AS_THE_SERVER_WRITES_IT.into())].into());
}

#[tokio::test]
async fn a_right_that_is_there_in_another_spelling_is_left_alone() {
    let world = World::new().await;
    world.activate("domain", "k1").await;
    respelled(&world, "jit-tech1");
    world.directory.steps.lock().unwrap().clear();
    world.broker.sweep().await.unwrap();
    assert!(world.directory.steps.lock().unwrap().is_empty(), "{:?}", world.directory.steps.lock().unwrap());
}
