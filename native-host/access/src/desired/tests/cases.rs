//! The order of steps, case by case: what is written first, what together, and what never.

use super::*;

/// A settled world with one session of each length, in seconds, with rights `R1`, `R2`, ….
fn with_sessions(mode: Mode, lengths: &[i64]) -> World {
    let mut world = World::new(mode, 0, SelfEnding::None);
    for (n, seconds) in lengths.iter().enumerate() {
        world.start(&[right(&format!("R{}", n + 1))], *seconds);
    }
    assert!(world.converge(usize::MAX));
    world
}

fn steps(world: &mut World) -> Vec<Step> {
    let observed = world.directory.observe(world.now);
    plan(&world.account, &desired(&world.account, &world.open(), world.now), &observed, world.now).unwrap()
}

fn names(steps: &[Step]) -> Vec<&'static str> {
    steps.iter().map(Step::name).collect()
}

#[test]
fn a_new_account_is_prepared_while_disabled_and_opened_with_its_end_in_one_write() {
    let mut world = World::new(Mode::Dedicated, 0, SelfEnding::None);
    world.start(&[right("R1"), right("R2")], 3600);
    let steps = steps(&mut world);
    assert_eq!(names(&steps), ["directory.create", "directory.grant", "directory.grant", "directory.open"]);
    let Some(Step::Open { until, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(*until, floor_to_second(start() + TimeDelta::hours(1)));
}

#[test]
fn an_end_disables_first_then_takes_every_right_then_the_password() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    world.tamper(&Tampering::Give(right("R3")));
    world.end(0);
    let names = names(&steps(&mut world));
    assert_eq!(names, ["directory.close", "directory.revoke", "directory.revoke", "directory.rotate"]);
}

#[test]
fn the_account_of_somebody_who_left_goes_once_no_session_needs_it_and_stays_gone() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    world.account.gone = true;
    assert_eq!(names(&steps(&mut world)), Vec::<&str>::new(), "while a session is live it is needed");
    world.end(0);
    assert_eq!(names(&steps(&mut world)), ["directory.close", "directory.revoke", "directory.delete"]);
    assert!(world.converge(usize::MAX));
    assert!(world.directory.account.is_none() && names(&steps(&mut world)).is_empty());
    // A person's own account is never ours to delete.
    let mut world = with_sessions(Mode::Membership, &[3600]);
    world.account.gone = true;
    world.end(0);
    assert_eq!(names(&steps(&mut world)), ["directory.revoke"]);
}

#[test]
fn a_shortened_end_is_written_before_anything_else() {
    let mut world = with_sessions(Mode::Dedicated, &[3600, 600]);
    world.end(0);
    assert_eq!(names(&steps(&mut world)), ["directory.set_end", "directory.revoke"]);
}

#[test]
fn of_two_sessions_that_end_within_a_moment_of_each_other_the_directory_has_the_later_end_and_then_the_earlier()
 {
    let end = |world: &World| world.directory.account.as_ref().unwrap().end;
    let at = |seconds| DirectoryEnd::At(floor_to_second(start() + TimeDelta::seconds(seconds)));
    for apart in 1..5 {
        let mut world = with_sessions(Mode::Dedicated, &[3600]);
        world.start(&[right("R2")], 3600 + apart);
        assert!(world.converge(usize::MAX));
        assert_eq!(end(&world), at(3600 + apart), "{apart}");
        world.end(1);
        assert!(world.converge(usize::MAX));
        assert_eq!(end(&world), at(3600), "{apart}");
    }
}

#[test]
fn an_end_is_written_once_however_the_measured_difference_of_the_clocks_moves() {
    for skew_ms in [0, 1_400, -1_400, 1_990, 2_010, -2_010, 2_990, 40_000] {
        let mut world = World::new(Mode::Dedicated, skew_ms, SelfEnding::None);
        world.start(&[right("R1")], 3600);
        assert!(world.converge(usize::MAX));
        for look in 0..30 {
            world.pass(0);
            assert_eq!(steps(&mut world), [], "{skew_ms} {look}");
        }
    }
}

#[test]
fn an_end_that_somebody_removed_is_put_back_before_anything_else() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    world.tamper(&Tampering::EnableForEver);
    world.tamper(&Tampering::Give(right("R3")));
    assert_eq!(names(&steps(&mut world)), ["directory.set_end", "directory.revoke"]);
}

#[test]
fn an_account_enabled_by_hand_is_closed_and_its_password_changed() {
    let mut world = with_sessions(Mode::Dedicated, &[60]);
    world.pass(100);
    assert!(world.converge(usize::MAX));
    world.tamper(&Tampering::EnableForEver);
    assert_eq!(names(&steps(&mut world)), ["directory.close", "directory.rotate"]);
}

#[test]
fn a_new_password_closes_nothing_while_the_directorys_end_is_right() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    world.account.password_generation += 1;
    assert_eq!(names(&steps(&mut world)), ["directory.open"]);
}

#[test]
fn a_hidden_right_is_brought_to_light_and_taken() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    world.tamper(&Tampering::Hide(right("R3")));
    assert!(world.converge(usize::MAX));
    let rights = &world.directory.account.as_ref().unwrap().rights;
    assert_eq!(rights.keys().collect::<Vec<_>>(), [&right("R1")]);
}

#[test]
fn a_short_sessions_right_does_not_wait_for_a_longer_sessions_end() {
    let mut world = World::new(Mode::Membership, 0, SelfEnding::All);
    world.start(&[right("R1")], 600);
    world.start(&[right("R1"), right("R2")], 60);
    assert!(world.converge(usize::MAX));
    let rights = &world.directory.account.as_ref().unwrap().rights;
    let end = |seconds| Some(floor_to_second(start() + TimeDelta::seconds(seconds)));
    assert_eq!((rights[&right("R1")], rights[&right("R2")]), (end(600), end(60)));
}

#[test]
fn a_membership_for_good_gets_its_end_where_the_forest_has_ends() {
    for mode in [Mode::Dedicated, Mode::Membership] {
        let mut world = World::new(mode, 0, SelfEnding::All);
        world.start(&[right("R1")], 600);
        assert!(world.converge(usize::MAX));
        world.directory.account.as_mut().unwrap().rights.insert(right("R1"), None);
        assert!(
            matches!(steps(&mut world).as_slice(), [Step::Grant { until: Some(_), .. }]),
            "{:?}",
            steps(&mut world)
        );
        world.directory.self_ending = SelfEnding::None;
        assert_eq!(steps(&mut world), []);
    }
}

#[test]
fn rights_that_the_person_had_before_are_neither_given_nor_taken() {
    let mut world = World::new(Mode::Membership, 0, SelfEnding::None);
    world.start(&[right("R0"), right("R1")], 600);
    let given = steps(&mut world);
    assert!(
        matches!(given.as_slice(), [Step::Grant { right: given, .. }] if *given == right("R1")),
        "{given:?}"
    );
    assert!(world.converge(usize::MAX));
    world.end(0);
    assert_eq!(steps(&mut world), [Step::Revoke(right("R1"))]);
}

#[test]
fn where_a_directory_knows_no_ends_of_accounts_the_note_tells_them_apart_and_disabled_is_closed() {
    let mut world = World::of(Mode::Dedicated, 0, SelfEnding::All, false);
    world.start(&[right("R1")], 3600);
    assert!(world.converge(usize::MAX));
    world.extend(0, 600);
    assert_eq!(names(&steps(&mut world)), ["directory.set_end", "directory.grant"]);
    assert!(world.converge(usize::MAX));
    world.account.password_generation += 1;
    assert_eq!(names(&steps(&mut world)), ["directory.open"]);
    assert!(world.converge(usize::MAX));
    world.end(0);
    assert_eq!(names(&steps(&mut world)), ["directory.close", "directory.revoke", "directory.rotate"]);
    assert!(world.converge(usize::MAX));
    assert_eq!(steps(&mut world), []);
    // Nothing but the broker stops one that somebody enabled, so it does not wait for its password.
    world.start(&[right("R1")], 3600);
    world.tamper(&Tampering::EnableForEver);
    assert_eq!(names(&steps(&mut world)), ["directory.close", "directory.grant", "directory.open"]);
}

#[test]
fn a_right_is_given_for_what_the_session_that_ends_last_was_asked_for() {
    let mut world = World::new(Mode::Dedicated, 0, SelfEnding::All);
    for (seconds, reason) in [(600, "mailbox"), (3600, "printer"), (60, "disk")] {
        world.start(&[right("R1")], seconds);
        world.sessions.last_mut().unwrap().reason = reason.into();
    }
    let given = steps(&mut world).into_iter().find_map(|step| match step {
        Step::Grant { why, .. } => Some(why.reason),
        _ => None,
    });
    assert_eq!(given.as_deref(), Some("printer"));
}

fn foreign() -> ObservedAccount {
    ObservedAccount {
        identity: "guid-of-somebody".into(),
        place: "CN=jit-tech1,OU=People".into(),
        display_name: "ACME\\jit-tech1".into(),
        enabled: true,
        end: DirectoryEnd::Never,
        rights: [right("R1")].into(),
        right_ends: Vec::new(),
        marker: None,
        ordinary_primary_group: true,
    }
}

#[test]
fn an_account_that_is_not_ours_is_never_touched_and_holds_up_no_end() {
    let mut world = World::new(Mode::Dedicated, 0, SelfEnding::None);
    let observed = Observed {
        directory_time: start(),
        self_ending: SelfEnding::None,
        account: Some(foreign()),
        behind: false,
    };
    let planned = |world: &World| {
        plan(&world.account, &desired(&world.account, &world.open(), world.now), &observed, world.now)
    };
    world.start(&[right("R1")], 600);
    assert_eq!(planned(&world), Err(PlanError::ForeignAccount));
    // The activation is given up: nothing of ours was ever there.
    world.end(0);
    assert_eq!(planned(&world), Ok(Vec::new()));
    // Ours was there once, and what is there now is something else: a person has to look.
    world.account.identity = Some("guid-1".into());
    assert_eq!(planned(&world), Err(PlanError::ForeignAccount));
}

#[test]
fn a_person_without_an_account_gets_nothing_and_loses_nothing() {
    let mut world = World::new(Mode::Membership, 0, SelfEnding::None);
    world.directory.account = None;
    world.start(&[right("R1")], 600);
    let observed = world.directory.observe(world.now);
    let planned = |world: &World| {
        plan(&world.account, &desired(&world.account, &world.open(), world.now), &observed, world.now)
    };
    assert_eq!(planned(&world), Err(PlanError::NoOwnAccount));
    world.end(0);
    assert_eq!(planned(&world), Ok(Vec::new()));
}

#[test]
fn sessions_of_other_accounts_change_nothing() {
    let mut world = with_sessions(Mode::Dedicated, &[3600]);
    let mut other = world.sessions[0].clone();
    other.account = AccountKey("acme-ad/dedicated/somebody".into());
    other.rights = vec![right("R3")];
    let both = [world.sessions[0].clone(), other];
    assert_eq!(desired(&world.account, &both, world.now), desired(&world.account, &both[..1], world.now));
    assert!(steps(&mut world).is_empty());
}

#[test]
fn in_its_last_moments_a_session_gets_no_right_that_the_directory_takes_at_once() {
    let mut world = World::new(Mode::Dedicated, 1_990, SelfEnding::All);
    world.start(&[right("R1")], 505);
    world.pass(503);
    assert!(world.converge(usize::MAX), "the directory's clock is past the right's end");
    assert!(world.directory.account.as_ref().is_some_and(|seen| seen.rights.is_empty()));
}
