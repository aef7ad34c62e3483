//! Accounts in the unit that the ledger does not know.

use ticketgate_access::desired::Marker;

use super::*;

#[tokio::test]
async fn accounts_in_the_unit_that_the_ledger_does_not_know_are_told_and_left() {
    let world = World::new().await;
    world.activate("domain", "k1").await;
    let told = async || {
        let said: Vec<_> = world.broker.sweep().await.unwrap();
        said.into_iter().filter(|f| f.level != "ok").map(|f| (f.level, f.subject, f.text)).collect::<Vec<_>>()
    };
    assert!(told().await.is_empty());
    world.directory.person("jit-night", &[]);
    world.directory.by_hand("jit-night", |a| a.enabled = false);
    world.directory.person("jit-old", &[ADMINS]);
    let note = Marker { token: "t".into(), owner: "tech9".into(), generation: 1, until: None };
    world.directory.by_hand("jit-old", |a| a.marker = Some(note));
    let found = told().await;
    let [(night, subject, text), (old, _, whose)] = found.as_slice() else { panic!("{found:?}") };
    assert!(night == "warning" && subject.contains("jit-night"), "{found:?}");
    assert!(text.contains("no account of Ticketgate"), "{found:?}");
    assert!(old == "error" && whose.contains("made it for tech9"), "{found:?}");
    assert_eq!(
        world
            .broker
            .check(&world.caller("boss"), false)
            .await
            .unwrap()
            .into_iter()
            .filter(|f| f.level != "ok")
            .count(),
        2
    );
    assert!(world.directory.account("jit-old").unwrap().enabled, "told, not touched");
}

#[tokio::test]
async fn a_burner_account_that_is_brought_back_after_its_end_is_deleted_again() {
    let world = World::new().await;
    let session = world.activate("burner", "k1").await;
    let (name, before) = {
        let accounts = world.directory.accounts.lock().unwrap();
        let (name, account) = accounts.first_key_value().unwrap();
        (name.clone(), account.clone())
    };
    assert_eq!(world.end(&session, "k2").await.state, State::Ended);
    assert!(world.directory.account(&name).is_none());
    world.directory.accounts.lock().unwrap().insert(name.clone(), before);
    world.broker.sweep().await.unwrap();
    assert!(world.directory.account(&name).is_none());
    let records = world.ledger.audit(AuditQuery::default()).await.unwrap();
    assert!(records.iter().any(|r| r.action == "account.differs"), "{records:?}");
}

#[tokio::test]
async fn an_account_that_is_brought_back_beside_the_one_that_took_its_place_is_told() {
    let world = World::new().await;
    world.activate("domain", "k1").await;
    let before = world.directory.only();
    world.directory.accounts.lock().unwrap().clear();
    world.broker.sweep().await.unwrap();
    world.activate("domain", "k2").await;
    assert_ne!(world.directory.only().identity, before.identity);
    let name = before.display_name.clone();
    world.directory.accounts.lock().unwrap().insert("jit-again".into(), before);
    let found = world.broker.sweep().await.unwrap();
    assert!(found.iter().any(|f| f.level == "error" && f.subject.contains(&name)), "{found:?}");
}
