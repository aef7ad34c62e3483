//! What the machine does alone, and who waits for whom.

use super::*;

#[test]
fn the_machine_alone_ends_what_is_over_and_nothing_else() {
    let over = CLOSED.replace("until=-", "until=20261126T103000.250Z end=20061126103000Z proc=stay");
    let still = CLOSED.replace("until=-", "until=20261126T103000.250Z end=29991126103000Z proc=stay");
    let sam = Fake::new()
        .with("jit-over", 1001, &over)
        .with("jit-still", 1002, &still)
        .with("jit-by-hand", 1003, "a person's")
        .with("jit-opened", 1004, CLOSED)
        .with("jit-closed", 1005, CLOSED);
    sam.change("jit-closed", |user| user.flags |= DISABLED);
    for number in 1001..=1005 {
        let account: Sid = format!("{MACHINE}-{number}").parse().unwrap();
        sam::Sam::join(&sam, "Administratoren", &account).unwrap();
    }
    let world = world(sam);
    assert_eq!(world.machine.sweep().unwrap(), Swept { closed: 2, ..Swept::default() });
    let left: Vec<_> = world.sam().members(ADMINISTRATORS).into_iter().collect();
    assert_eq!(left, [1002, 1003, 1005].map(|number| format!("{MACHINE}-{number}")));
    for name in ["jit-over", "jit-opened"] {
        let account = world.sam().account(name).unwrap();
        assert!(account.user.flags & DISABLED != 0 && account.password != "theirs", "{name}");
        assert_eq!(note::parse(&account.user.comment).unwrap().window, None);
    }
    assert!(world.sam().lets_in("jit-still", "theirs", 0) && world.sam().lets_in("jit-by-hand", "theirs", 0));
    assert_eq!(world.machine.sweep().unwrap(), Swept::default(), "all is done");
}

#[test]
fn a_sweep_that_was_cut_is_finished_by_the_next() {
    for cut in 0..5 {
        let world = World::open();
        let note = world.account().user.comment;
        let end = note.split("end=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        world.sam().change(NAME, |user| user.comment = note.replace(&end, "20061126103000Z"));
        world.sam().fails.set(Some((cut, 87)));
        let swept = world.machine.sweep().unwrap();
        assert!(swept.closed == 0 && swept.failures.len() == 1, "{swept:?}");
        world.sam().fails.set(None);
        assert_eq!(world.machine.sweep().unwrap().closed, 1);
        assert!(world.rights().is_empty() && !world.look().unwrap().enabled);
    }
}

#[test]
fn one_request_waits_for_another_on_the_same_machine() {
    let world = world(Fake::new());
    let held = lock::wait(&world.machine.places.lock).unwrap();
    std::thread::scope(|threads| {
        let path = &world.machine.places.lock;
        let waits = threads.spawn(move || lock::wait(path).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!waits.is_finished());
        drop(held);
        assert!(waits.join().unwrap().is_ok());
    });
}
