//! Accounts that are somebody else's, or another machine's, or a domain's.

use super::*;

#[test]
fn an_account_that_is_not_ours_is_seen_and_never_changed() {
    let foreign = CLOSED.replace("k3", "k4");
    let trust = |sam: Fake| {
        sam.change(NAME, |user| user.flags = 0x1001);
        sam
    };
    let abroad = |sam: Fake| {
        sam.change(NAME, |user| user.sid = "S-1-5-21-1-2-3-1104".parse().unwrap());
        sam
    };
    for (sam, case) in [
        (Fake::new().with(NAME, 1001, "Tech One"), "a person's"),
        (Fake::new().with(NAME, 1001, &foreign), "another broker's"),
        (Fake::new().with(NAME, 500, CLOSED), "the administrator of every Windows under our name"),
        (trust(Fake::new().with(NAME, 1001, CLOSED)), "one of a workstation"),
        (abroad(Fake::new().with(NAME, 1001, CLOSED)), "one of a domain"),
        (Fake::new().with("JIT-Tech1", 1001, "Tech One"), "a person's, in capitals"),
    ] {
        // Or the machine would close it, as one that somebody enabled by hand.
        sam.users.borrow_mut().values_mut().for_each(|account| account.user.flags |= DISABLED);
        let world = world(sam);
        assert!(world.look().is_some(), "{case}");
        for step in [
            CREATE,
            &grant(DESKTOP),
            &revoke(DESKTOP),
            &open(hour()),
            &set_end(hour()),
            CLOSE,
            ROTATE,
            DELETE,
        ] {
            assert_eq!(world.step(step), Some(Refusal::NameTaken), "{case}: {step}");
        }
        assert_eq!(world.machine.sweep().unwrap(), Swept::default(), "{case}");
        assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn another_machine_or_another_account_than_meant_is_not_touched() {
    let world = World::open();
    let identity = world.look().unwrap().identity;
    let delete = |identity: &str| {
        world.step_on(
            &format!("{{\"name\":\"{NAME}\",\"token\":\"{TOKEN}\",\"identity\":\"{identity}\"}}"),
            DELETE,
        )
    };
    assert_eq!(delete("0000000000000000:1001"), Some(Refusal::NotAllowed));
    assert_eq!(delete("nonsense"), Some(Refusal::NotAllowed));
    assert_eq!(delete(&identity.replace(":1001", ":1002")), Some(Refusal::NameTaken));
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new());
    assert_eq!(delete(&identity), None);
}

#[test]
fn accounts_of_a_domain_are_nothing_of_a_machines() {
    let mut world = World::open();
    world.machine.sam.is_controller = true;
    for step in [CREATE, &grant(DESKTOP), &open(hour()), CLOSE, ROTATE, DELETE] {
        assert_eq!(world.step(step), Some(Refusal::NotAllowed), "{step}");
    }
    assert_eq!(world.sam().take_wrote(), Vec::<String>::new());
}

#[test]
fn all_accounts_with_a_name_of_ours_are_listed_in_whatever_case() {
    let sam = Fake::new()
        .with("JIT-Tech2", 1005, CLOSED)
        .with("alice", 1006, "Alice")
        .with("jit-x", 1007, "by hand");
    match world(sam).ask("{\"ask\":\"list\"}") {
        Answer::Listed { accounts, .. } => {
            let names: Vec<_> =
                accounts.iter().map(|one| (one.name.as_str(), one.seen.note.is_some())).collect();
            assert_eq!(names, [("jit-tech2", true), ("jit-x", false)]);
        }
        other => panic!("{other:?}"),
    }
}
