//! Random histories.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Start(Vec<Right>, i64),
    End(usize),
    Extend(usize, i64),
    Renew,
    Pass(i64),
    Converge(usize),
    Tamper(Tampering),
}

fn any_right() -> impl Strategy<Value = Right> {
    prop::sample::select(vec![right("R0"), right("R1"), right("R2"), right("R3")])
}

fn tampering() -> impl Strategy<Value = Tampering> {
    prop_oneof![
        any_right().prop_map(Tampering::Give),
        any_right().prop_map(Tampering::Take),
        any_right().prop_map(Tampering::Hide),
        Just(Tampering::EnableForEver),
        Just(Tampering::Disable),
        Just(Tampering::NoMarker),
        Just(Tampering::DeleteIt),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (prop::collection::vec(any_right(), 1..4), 5i64..5000).prop_map(|(rights, s)| Event::Start(rights, s)),
        2 => (0usize..6).prop_map(Event::End),
        1 => (0usize..6, prop_oneof![1i64..5, 1i64..3000]).prop_map(|(at, s)| Event::Extend(at, s)),
        1 => Just(Event::Renew),
        3 => (0i64..3000).prop_map(Event::Pass),
        // Small numbers die between two steps; the large one comes to its end.
        6 => prop_oneof![0usize..7, Just(99)].prop_map(Event::Converge),
        2 => tampering().prop_map(Event::Tamper),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_happens_the_invariants_hold_and_the_account_settles(
        mode in prop::sample::select(vec![Mode::Dedicated, Mode::Burner, Mode::Membership]),
        skew_ms in prop::sample::select(vec![0i64, 1_400, -1_400, 1_990, 2_010, 2_990, 40_000, -200_000]),
        self_ending in prop::sample::select(vec![
            SelfEnding::None,
            SelfEnding::All,
            SelfEnding::Beginning(&["CN=R0,", "CN=R1,"]),
        ]),
        keeps_ends: bool,
        events in prop::collection::vec(event(), 1..30),
    ) {
        let mut world = World::of(mode, skew_ms, self_ending, keeps_ends);
        for event in &events {
            match event {
                Event::Start(rights, seconds) => world.start(rights, *seconds),
                Event::End(at) => world.end(*at),
                Event::Extend(at, seconds) => world.extend(*at, *seconds),
                Event::Renew => world.renew(),
                Event::Pass(seconds) => world.pass(*seconds),
                Event::Converge(dies_after) => drop(world.converge(*dies_after)),
                Event::Tamper(how) => world.tamper(how),
            }
            world.holds();
        }
        prop_assert!(world.converge(usize::MAX));
        prop_assert!(world.converge(0), "a second plan is not empty");
        world.pass(100_000);
        prop_assert!(world.converge(usize::MAX));
        prop_assert!(world.sessions.iter().all(|s| s.state == State::Ended));
        prop_assert!(world.converge(0), "a second plan is not empty");
        match (&world.directory.account, mode) {
            (None, _) => {}
            (Some(seen), Mode::Membership) => {
                prop_assert!(world.own.iter().all(|right| seen.rights.contains_key(right)));
            }
            (Some(seen), Mode::Dedicated) => prop_assert!(!seen.enabled && seen.rights.is_empty() && seen.hidden.is_none()),
            (Some(seen), Mode::Burner) => prop_assert!(false, "a burner account was left: {:?}", seen),
        }
    }
}
