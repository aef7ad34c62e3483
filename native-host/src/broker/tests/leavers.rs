//! People who leave: everything of theirs ends, their dedicated accounts go where that is asked for, and the report says where each
//! stands.

use ticketgate_ledger::SessionFilter;

use super::*;
use crate::sign_in::team::{AccountLeft, RemoveTechnician, TechnicianRemoved};

async fn removed(world: &World, purge: bool) -> TechnicianRemoved {
    let boss = world.caller("boss");
    let id = "tech1".parse().unwrap();
    world.broker.remove_technician(&boss, &id, RemoveTechnician { purge }).await.unwrap()
}

async fn not_removed(world: &World) -> Code {
    let (boss, id) = (world.caller("boss"), "tech1".parse().unwrap());
    world.broker.remove_technician(&boss, &id, RemoveTechnician { purge: true }).await.unwrap_err().code
}

fn account<'r>(report: &'r TechnicianRemoved, mode: &str) -> &'r AccountLeft {
    report.accounts.iter().find(|account| account.mode == mode).unwrap_or_else(|| panic!("{report:?}"))
}

#[tokio::test]
async fn who_leaves_has_no_session_any_more_and_with_purge_no_account_and_it_can_be_asked_again() {
    let world = World::new().await;
    world.activate("domain", "k1").await;
    let report = removed(&world, false).await;
    let left = account(&report, "dedicated");
    assert_eq!((left.standing.as_str(), left.sessions), ("closed", 1), "{report:?}");
    assert_eq!(left.customer.as_ref().unwrap().as_str(), "acme");
    assert!(report.still_configured);
    world.closed("jit-tech1");
    for n in 0..3 {
        let report = removed(&world, true).await;
        assert_eq!(account(&report, "dedicated").standing, "deleted", "{n}: {report:?}");
        assert!(world.directory.account("jit-tech1").is_none());
    }
    let actions = world.actions().await;
    assert_eq!(actions.iter().filter(|action| *action == "account.purge").count(), 1);
    // Somebody who comes back gets a new account.
    let session = world.activate("servers", "k2").await;
    assert_eq!(session.state, State::Active);
    assert!(world.directory.only().enabled);
    world.end(&session, "k3").await;
    assert!(world.directory.account("jit-tech1").is_some(), "and it stays between sessions again");
}

#[tokio::test]
async fn what_cannot_be_deleted_now_is_said_and_deleted_once_it_can() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    world.run();
    world.directory.set(Mood::Down);
    let report = removed(&world, true).await;
    let left = account(&report, "dedicated");
    assert_eq!(left.standing, "waits", "{report:?}");
    assert!(left.trouble.is_some(), "{report:?}");
    world.directory.set(Mood::Well);
    world
        .until(
            "the account to go",
            || world.clock.pass(60),
            async |world| world.directory.account("jit-tech1").is_none(),
        )
        .await;
    assert_eq!(world.becomes(&session, State::Ended).await.state, State::Ended);
    assert_eq!(account(&removed(&world, true).await, "dedicated").standing, "deleted");
}

#[tokio::test]
async fn a_persons_own_account_stays_and_a_burner_is_gone() {
    let world = World::new().await;
    world.directory.person("tech1", &[]);
    world.activate("own", "k1").await;
    world.activate("burner", "k2").await;
    let report = removed(&world, true).await;
    assert_eq!(account(&report, "membership").standing, "left", "{report:?}");
    assert_eq!(account(&report, "burner").standing, "deleted", "{report:?}");
    assert!(world.directory.account("tech1").is_some());
}

#[tokio::test]
async fn only_an_administrator_removes_and_nobody_is_removed_whom_nobody_knows() {
    let world = World::new().await;
    let (id, nobody) = ("tech1".parse().unwrap(), "nobody".parse().unwrap());
    let how = RemoveTechnician { purge: true };
    let refused = world.broker.remove_technician(&world.caller("tech1"), &id, how).await.unwrap_err();
    assert_eq!(refused.code, Code::NotAnAdministrator);
    let unknown = world.broker.remove_technician(&world.caller("boss"), &nobody, how).await.unwrap_err();
    assert_eq!(unknown.code, Code::MalformedRequest);
}

#[tokio::test]
async fn who_is_taken_out_of_the_configuration_loses_the_sessions_and_others_do_not() {
    let world = World::new().await;
    let two = configuration().replace(
        "[[technician]]\nid = \"boss\"",
        "[[technician]]\nid = \"tech2\"\ngroups = [\"tier2\"]\n[[technician]]\nid = \"boss\"",
    );
    world.broker.load_settings(&two).await.unwrap();
    let session = world.activate("domain", "k1").await;
    world.broker.end_what_leavers_have().await;
    assert_eq!(world.session(&session).await.state, State::Active);
    let without = two.replace("[[technician]]\nid = \"tech1\"\ngroups = [\"tier2\"]\n", "");
    world.broker.load_settings(&without).await.unwrap();
    world.broker.end_what_leavers_have().await;
    assert_eq!(world.session(&session).await.state, State::Ended);
    let open = SessionFilter { open: true, ..SessionFilter::default() };
    assert!(world.ledger.sessions(open).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_that_was_emptied_ends_nothing_at_a_running_broker_and_at_one_that_starts() {
    let world = World::new().await;
    let session = world.activate("domain", "k1").await;
    for emptied in ["", "# nothing\n[broker]\nsessions_at_once = 3\n"] {
        let said = world.broker.load_settings(emptied).await.unwrap_err();
        assert!(said.contains("names no technician") && said.contains("end what is open"), "{said}");
        world.broker.end_what_leavers_have().await;
        assert_eq!(world.session(&session).await.state, State::Active);
    }
    let one = || One { directory: Arc::clone(&world.directory), psa: Arc::clone(&world.psa) };
    let starts = || Broker::new(world.refusing.clone(), world.clock.clone(), Arc::new(one()));
    let next = starts();
    assert!(next.load_settings("").await.is_err(), "while something is open");
    next.end_what_leavers_have().await;
    assert_eq!(world.session(&session).await.state, State::Active);
    // A directory that leaves alone, and the last of everything when nothing is open any more, are as they were.
    world.end(&session, "k2").await;
    starts().load_settings("").await.unwrap();
    let technician = "[[technician]]\nid = \"tech1\"\n";
    world.broker.load_settings(technician).await.unwrap();
    world.broker.load_settings("").await.unwrap();
}

#[tokio::test]
async fn a_removal_that_cannot_be_recorded_ends_and_deletes_nothing_and_can_be_asked_again() {
    let world = World::with_ledger_refusing("ledger.technician_removed").await;
    let session = world.activate("domain", "k1").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(not_removed(&world).await, Code::LedgerDown);
    assert_eq!(world.session(&session).await.state, State::Active);
    assert!(world.directory.only().enabled);
    assert!(!world.actions().await.iter().any(|action| action == "technician.removed"));
    world.refusing.refuses.store(false, Ordering::SeqCst);
    assert_eq!(account(&removed(&world, true).await, "dedicated").standing, "deleted");
    assert!(world.directory.account("jit-tech1").is_none());
}

#[tokio::test]
async fn an_account_whose_deletion_cannot_be_recorded_is_closed_and_stays_until_it_can() {
    let world = World::with_ledger_refusing("ledger.account_gone").await;
    let session = world.activate("domain", "k1").await;
    world.refusing.refuses.store(true, Ordering::SeqCst);
    assert_eq!(not_removed(&world).await, Code::LedgerDown, "nobody is told that it is gone");
    // What was on record is done: the removal, and the end of the session.
    assert_eq!(world.session(&session).await.state, State::Ended);
    world.closed("jit-tech1");
    assert!(!world.actions().await.iter().any(|action| action == "account.purge"));
    world.broker.sweep().await.unwrap();
    assert!(world.directory.account("jit-tech1").is_some(), "nothing deletes it off the record");
    world.refusing.refuses.store(false, Ordering::SeqCst);
    assert_eq!(account(&removed(&world, true).await, "dedicated").standing, "deleted");
    assert!(world.directory.account("jit-tech1").is_none());
    assert_eq!(world.actions().await.iter().filter(|action| *action == "account.purge").count(), 1);
}
