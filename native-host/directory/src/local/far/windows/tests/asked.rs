//! What is refused and why, what the machine's administrator lets brokers give, and what a check tells.

use super::*;

#[test]
fn what_is_no_group_of_the_machine_is_refused_before_anything_is_written() {
    let key = "key:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    for right in ["sudo:ALL", key, "group:Administratoren", "group:S-1-5-32-551"] {
        let world = World::open();
        assert_eq!(world.step(&grant_right(right, hour())), Some(Refusal::NoSuchRight), "{right}");
        assert_eq!(world.sam().take_wrote(), Vec::<String>::new(), "{right}");
    }
    assert_eq!(World::open().step("{\"do\":\"revoke\",\"right\":\"sudo:ALL\"}"), Some(Refusal::BadValue));
}

#[test]
fn what_the_machine_refuses_is_told_apart() {
    for (code, why) in [
        (5, Refusal::NotAllowed),
        (1722, Refusal::Busy),
        (2221, Refusal::NoSuchAccount),
        (2245, Refusal::Failed),
        (87, Refusal::Failed),
    ] {
        let world = World::open();
        world.sam().fails.set(Some((0, code)));
        assert_eq!(world.step(CLOSE), Some(why), "{code}");
    }
    let mut strict = Fake::new();
    strict.shortest_password = 30;
    let strict = world(strict);
    assert_eq!(strict.step(CREATE), Some(Refusal::Failed));
    assert_eq!(world(Fake::new()).step(CLOSE), Some(Refusal::NoSuchAccount));
    let long = named("jit-technician-number", TOKEN);
    assert_eq!(world(Fake::new()).step_on(&long, CREATE), Some(Refusal::BadValue));
}

#[test]
fn the_machines_administrator_says_what_brokers_may_give() {
    let world = World::open();
    let list = |text: &str| fs::write(&world.machine.places.bounds, text).unwrap();
    list("rights = [\"group:S-1-5-32-544\"]");
    assert_eq!(world.step(&grant(DESKTOP)), Some(Refusal::NotAllowed));
    list("rights = [\"group:S-1-5-32-555\"]");
    assert_eq!(world.step(&grant(DESKTOP)), None);
    list("rights");
    assert_eq!(world.step(&grant(ADMINISTRATORS)), Some(Refusal::NotAllowed), "it cannot be read");
    assert_eq!(world.step(&revoke(DESKTOP)), None, "an end asks no list");
}

#[test]
fn a_check_names_each_thing_that_sessions_would_miss() {
    type Break = fn(&mut World);
    let wrong = |world: &World| -> Vec<String> {
        let rights = vec![format!("group:{ADMINISTRATORS}").parse().unwrap()];
        let Answer::Checked { findings, .. } =
            world.ask(&serde_json::to_string(&Ask::Check { rights }).unwrap())
        else {
            panic!("no findings")
        };
        assert!(findings.iter().any(|one| one.level == "ok"));
        let wrong = findings.into_iter().filter(|one| one.level != "ok");
        wrong.map(|one| format!("{}: {}", one.level, one.text)).collect()
    };
    let good = || {
        let world = world(Fake::new());
        fs::write(&world.machine.places.task, "").unwrap();
        world
    };
    assert_eq!(wrong(&good()), Vec::<String>::new());
    let cases: [(Break, &str); 6] = [
        (|w| w.machine.sam.is_administrator = false, "error: its own side does not act as an administrator"),
        (|w| w.machine.sam.is_controller = true, "error: this machine is a domain controller"),
        (|w| w.machine.sam.shortest_password = 25, "error: it takes no password of less than 25"),
        (
            |w| drop(w.machine.sam.groups.borrow_mut().remove(ADMINISTRATORS)),
            "error: the machine cannot give this right",
        ),
        (
            |w| fs::write(&w.machine.places.bounds, "rights = []").unwrap(),
            "error: the machine does not allow this: group:S-1-5-32-544",
        ),
        (|w| fs::remove_file(&w.machine.places.task).unwrap(), "warning: no task"),
    ];
    for (break_it, expected) in cases {
        let mut world = good();
        break_it(&mut world);
        let found = wrong(&world);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}
