//! An account's life, each step for real, judged by logging on.

use ticketgate_access::desired::{DirectoryEnd, Step};
use ticketgate_access::session::{Account, Right};
use ticketgate_directory::{Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::samba::Options;

use crate::world::{TOKEN, World, account, marker};

fn created(world: &World, name: &str) -> Account {
    let mut account = account(name, Mode::Dedicated);
    world.step(&account, &Step::Create(marker(0, None)));
    account.identity = Some(world.seen(&account).identity);
    account
}

#[test]
fn an_account_lives_from_its_creation_to_its_deletion() {
    let world = World::new(Options::default());
    let mut me = account("jit-tech1", Mode::Dedicated);
    assert_eq!(world.observe(&me).unwrap().account, None);

    world.step(&me, &Step::Create(marker(0, None)));
    let seen = world.seen(&me);
    assert_eq!(seen.display_name, "ACME\\jit-tech1");
    assert_eq!(seen.marker, Some(marker(0, None)));
    assert!(
        !seen.enabled && seen.rights.is_empty() && seen.ordinary_primary_group && seen.right_ends.is_empty()
    );
    assert!(matches!(seen.end, DirectoryEnd::At(at) if at < world.in_(0)));
    me.identity = Some(seen.identity);

    world.grant(&me, "domain_admins");
    let first = world.open(&me, 3600);
    let seen = world.seen(&me);
    assert!(seen.enabled);
    assert_eq!(
        seen.rights.iter().map(|r| r.0.as_str()).collect::<Vec<_>>(),
        [world.ad.group("domain_admins")]
    );
    assert_eq!(world.logon(&me, &first), "");
    // Judged by an administrator's write.
    let mut view = world.ad.look_as(&me.name, first.expose()).unwrap();
    assert_eq!(
        view.replace(world.ad.person("requester"), "description", "written by the JIT account").unwrap(),
        0
    );

    let until = world.in_(7200);
    world.step(&me, &Step::SetEnd { until, marker: marker(1, Some(until)) });
    let seen = world.seen(&me);
    assert_eq!(seen.end, DirectoryEnd::At(until));
    assert_eq!(seen.marker, Some(marker(1, Some(until))));
    assert_eq!(world.logon(&me, &first), "");

    world.step(&me, &Step::Close);
    assert!(!world.seen(&me).enabled);
    assert!(["533", "701"].contains(&world.logon(&me, &first).as_str()));
    world.step(&me, &Step::Revoke(Right(world.ad.group("domain_admins").into())));
    let password_set = || world.ad.look().unwrap().account(&me.name).unwrap().unwrap().password_set;
    let before = password_set();
    world.step(&me, &Step::Rotate(marker(2, None)));
    assert_ne!(password_set(), before);
    let seen = world.seen(&me);
    assert!(seen.rights.is_empty());
    assert_eq!(seen.marker, Some(marker(2, None)));

    // The next session's password; that of the last one is worth nothing, although servers forgive the one before for an hour.
    let second = world.open(&me, 3600);
    assert_eq!(world.logon(&me, &first), "52e");
    assert_eq!(world.logon(&me, &second), "");

    world.step(&me, &Step::Delete);
    assert_eq!(world.observe(&me).unwrap().account, None);
    assert_eq!(world.ad.look().unwrap().account("jit-tech1").unwrap(), None);
}

#[test]
fn every_step_can_be_repeated() {
    let world = World::new(Options::default());
    let me = account("jit-tech1", Mode::Burner);
    let right = Right(world.ad.group("tier1").into());
    let until = world.in_(600);
    let password = ticketgate_directory::generate().unwrap();
    for step in [
        Step::Create(marker(0, None)),
        Step::Grant {
            right: right.clone(),
            until: Some(until),
            why: ticketgate_access::desired::Why::default(),
        },
        Step::Open { until, marker: marker(1, Some(until)) },
        Step::SetEnd { until, marker: marker(1, Some(until)) },
        Step::ResetPrimaryGroup,
        Step::Close,
        Step::Revoke(right),
        Step::Rotate(marker(2, None)),
        Step::Delete,
    ] {
        for round in 1..=2 {
            let result = world.try_step(&me, &step, Some(&password));
            assert!(result.is_ok(), "{} the {round}. time: {result:?}", step.name());
        }
    }
}

#[test]
fn the_directory_itself_stops_the_account_at_its_end() {
    let world = World::new(Options { movable_clock: true, ..Options::default() });
    let me = created(&world, "jit-tech1");
    let password = world.open(&me, 8 * 3600);
    assert_eq!(world.logon(&me, &password), "");
    world.ad.move_clock("+7h").unwrap();
    assert_eq!(world.logon(&me, &password), "");
    world.ad.move_clock("+29000s").unwrap();
    assert_eq!(world.logon(&me, &password), "701");
}

#[test]
fn an_end_is_counted_by_the_directorys_clock() {
    let world = World::new(Options { movable_clock: true, ..Options::default() });
    world.ad.move_clock("+2d").unwrap();
    let me = created(&world, "jit-tech1");
    let here = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    let skew = world.runtime.block_on(world.directory.skew(here)).unwrap();
    assert!((skew - chrono::TimeDelta::days(2)).num_seconds().abs() < 5, "{skew}");
    let until = here + chrono::TimeDelta::hours(1);
    let step = Step::Open { until, marker: marker(1, Some(until)) };
    let password = ticketgate_directory::generate().unwrap();
    // By this machine's clock it would be in an hour; by the directory's it is long over.
    assert!(matches!(world.try_step(&me, &step, Some(&password)), Err(DirectoryError::BadValue(_))));
    assert!(!world.seen(&me).enabled);
    let password = world.open(&me, 3600);
    assert_eq!(world.logon(&me, &password), "");
}

#[test]
fn no_end_outside_the_next_day_ever_reaches_the_directory() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    let password = ticketgate_directory::generate().unwrap();
    let before = world.ad.look().unwrap().account(&me.name).unwrap().unwrap();
    for seconds in [0, -1, 26 * 3600, -500 * 365 * 86_400, 30_000 * 365 * 86_400] {
        let until = world.in_(seconds);
        for step in [
            Step::Open { until, marker: marker(1, Some(until)) },
            Step::SetEnd { until, marker: marker(1, Some(until)) },
        ] {
            let result = world.try_step(&me, &step, Some(&password));
            assert!(matches!(result, Err(DirectoryError::BadValue(_))), "{seconds}: {result:?}");
        }
    }
    assert_eq!(world.ad.look().unwrap().account(&me.name).unwrap().unwrap(), before);
}

#[test]
fn an_end_that_means_never_is_seen_as_never() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    let dn = world.ad.look().unwrap().account(&me.name).unwrap().unwrap().dn;
    for never in ["0", "-5", "9223372036854775807"] {
        assert_eq!(world.ad.look().unwrap().replace(&dn, "accountExpires", never).unwrap(), 0, "{never}");
        assert_eq!(world.seen(&me).end, DirectoryEnd::Never, "{never}");
    }
    world.step(&me, &Step::Close);
    assert!(matches!(world.seen(&me).end, DirectoryEnd::At(_)));
}

#[test]
fn an_account_is_found_by_its_identity_after_it_was_renamed_and_by_its_note_before_that_is_known() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    let dn = world.ad.look().unwrap().account(&me.name).unwrap().unwrap().dn;
    assert_eq!(world.ad.look().unwrap().replace(&dn, "sAMAccountName", "renamed").unwrap(), 0);
    assert_eq!(world.seen(&me).display_name, "ACME\\renamed");
    world.step(&me, &Step::Close);
    let nameless = Account { identity: None, name: "renamed".into(), ..me };
    world.step(&nameless, &Step::Close);
    assert_eq!(world.seen(&nameless).marker.unwrap().token, TOKEN);
}

#[test]
fn the_unit_tells_what_was_opened_for_whom_until_when() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    world.grant(&me, "tier1");
    let until = world.in_(3600);
    world.open(&me, 3600);
    let person = Person::add(&world, "night-shift");
    let listing = world.runtime.block_on(world.directory.list()).unwrap();
    let mut accounts = listing.accounts;
    accounts.sort_by(|a, b| a.name.cmp(&b.name));
    let [mine, other] = accounts.as_slice() else { panic!("{accounts:?}") };
    assert_eq!((mine.name.as_str(), &mine.seen), ("jit-tech1", &world.seen(&me)));
    assert!(mine.seen.enabled && mine.seen.rights.len() == 1);
    let note = mine.seen.marker.clone().unwrap();
    assert_eq!((note.token.as_str(), note.owner.as_str(), note.generation), (TOKEN, "tech1", 1));
    assert!((note.until.unwrap() - until).num_seconds().abs() < 30, "{note:?}");
    assert_eq!((other.name.as_str(), other.seen.marker.clone()), (person.name, None));
}

/// A person's account in the unit of JIT accounts.
struct Person {
    name: &'static str,
    dn: String,
}

impl Person {
    fn add(world: &World, name: &'static str) -> Self {
        let dn = format!("CN={name},{}", world.ad.account_unit());
        Self::add_as(world, &dn, name);
        Self { name, dn }
    }

    fn add_as(world: &World, dn: &str, name: &str) {
        let password = ticketgate_directory::generate_for(name).unwrap();
        let next_year = std::time::SystemTime::now() + std::time::Duration::from_secs(365 * 86_400);
        assert_eq!(world.ad.look().unwrap().create(dn, name, password.expose(), next_year).unwrap(), 0);
    }

    /// Nothing of it may change, whatever is tried.
    fn state(&self, world: &World) -> ticketgate_tests::ldap::Account {
        let found = world.ad.look().unwrap().account(self.name).unwrap().unwrap();
        assert_eq!(found.dn, self.dn);
        found
    }
}

/// Every step that would change an account.
fn every_step(world: &World) -> Vec<Step> {
    let (until, right) = (world.in_(60), Right(world.ad.group("tier1").into()));
    vec![
        Step::Create(marker(0, None)),
        Step::Open { until, marker: marker(1, Some(until)) },
        Step::SetEnd { until, marker: marker(1, Some(until)) },
        Step::Grant { right: right.clone(), until: None, why: ticketgate_access::desired::Why::default() },
        Step::Revoke(right),
        Step::ResetPrimaryGroup,
        Step::Close,
        Step::Rotate(marker(1, None)),
        Step::Delete,
    ]
}

#[test]
fn an_unmarked_person_inside_the_unit_is_never_touched_though_the_service_account_could() {
    let world = World::new(Options::default());
    let person = Person::add(&world, "jit-tech1");
    let before = person.state(&world);
    let me = account("jit-tech1", Mode::Dedicated);
    assert_eq!(world.seen(&me).marker, None);
    let password = ticketgate_directory::generate().unwrap();
    for step in every_step(&world) {
        let result = world.try_step(&me, &step, Some(&password));
        assert!(matches!(result, Err(DirectoryError::NameTaken(_))), "{}: {result:?}", step.name());
    }
    assert_eq!(person.state(&world), before);
}

#[test]
fn a_name_that_something_with_another_logon_name_has_is_taken() {
    let world = World::new(Options::default());
    let dn = format!("CN=jit-tech1,{}", world.ad.account_unit());
    Person::add_as(&world, &dn, "somebody-else");
    let me = account("jit-tech1", Mode::Dedicated);
    assert_eq!(world.observe(&me).unwrap().account, None, "nobody has the logon name");
    let result = world.try_step(&me, &Step::Create(marker(0, None)), None);
    assert!(
        matches!(&result, Err(DirectoryError::NameTaken(said)) if said.contains("something else")),
        "{result:?}"
    );
    let there = world.ad.look().unwrap().account("somebody-else").unwrap().unwrap();
    assert_eq!((there.dn, there.description), (dn, String::new()));
}

#[test]
fn a_person_in_the_place_of_a_deleted_jit_account_is_never_touched() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    world.step(&me, &Step::Delete);
    let person = Person::add(&world, "jit-tech1");
    let before = person.state(&world);
    assert_eq!(world.observe(&me).unwrap().account, None, "by its identity ours is gone");
    let password = ticketgate_directory::generate().unwrap();
    for step in every_step(&world) {
        let result = world.try_step(&me, &step, Some(&password));
        match step {
            Step::Revoke(_) | Step::Delete => assert!(result.is_ok(), "already gone: {result:?}"),
            Step::Create(_) => assert!(matches!(result, Err(DirectoryError::NameTaken(_))), "{result:?}"),
            _ => assert!(matches!(result, Err(DirectoryError::NoSuchAccount(_))), "{result:?}"),
        }
    }
    assert_eq!(person.state(&world), before);
}

#[test]
fn a_persons_account_of_the_same_name_is_shown_and_never_touched() {
    let world = World::new(Options::default());
    let me = account("jit-clash", Mode::Dedicated);
    let before = world.ad.look().unwrap().account("jit-clash").unwrap().unwrap();
    let seen = world.seen(&me);
    assert_eq!((seen.marker, seen.enabled), (None, true));
    let until = world.in_(60);
    let password = ticketgate_directory::generate().unwrap();
    let right = Right(world.ad.group("tier1").into());
    for step in [
        Step::Create(marker(0, None)),
        Step::Open { until, marker: marker(1, Some(until)) },
        Step::Grant { right: right.clone(), until: None, why: ticketgate_access::desired::Why::default() },
        Step::Revoke(right),
        Step::Close,
        Step::Rotate(marker(1, None)),
        Step::Delete,
    ] {
        let result = world.try_step(&me, &step, Some(&password));
        assert!(matches!(result, Err(DirectoryError::NameTaken(_))), "{}: {result:?}", step.name());
    }
    // Somebody writes our note into a person's description: outside the unit it does not count.
    let stolen = format!("ticketgate token={TOKEN} owner=tech1 gen=0 until=-");
    assert_eq!(world.ad.look().unwrap().replace(&before.dn, "description", &stolen).unwrap(), 0);
    assert_eq!(world.seen(&me).marker, None);
    assert!(matches!(world.try_step(&me, &Step::Close, None), Err(DirectoryError::NameTaken(_))));
    let after = world.ad.look().unwrap().account("jit-clash").unwrap().unwrap();
    assert_eq!(
        (before.flags, before.groups, before.password_set),
        (after.flags, after.groups, after.password_set)
    );
}

#[test]
fn a_right_hidden_as_primary_group_is_noticed_and_given_back() {
    let world = World::new(Options::default());
    let me = created(&world, "jit-tech1");
    world.grant(&me, "domain_admins");
    let mut view = world.ad.look().unwrap();
    let dn = view.account(&me.name).unwrap().unwrap().dn;
    assert_eq!(view.set_primary_group(&dn, world.ad.group("domain_admins")).unwrap(), 0);
    let seen = world.seen(&me);
    assert!(!seen.ordinary_primary_group);
    assert!(seen.rights.is_empty(), "the ordinary group is not one of the rights: {:?}", seen.rights);
    world.step(&me, &Step::ResetPrimaryGroup);
    let seen = world.seen(&me);
    assert!(seen.ordinary_primary_group);
    let admins = Right(world.ad.group("domain_admins").into());
    assert!(seen.rights.contains(&admins), "the old primary group stays as a plain membership");
    world.step(&me, &Step::Revoke(admins));
    assert!(world.seen(&me).rights.is_empty());
}

#[test]
fn a_primary_group_that_the_service_account_may_not_put_back_is_told_and_the_account_closed_all_the_same() {
    let world = World::in_sparse_unit();
    let me = created(&world, "jit-tech1");
    world.grant(&me, "domain_admins");
    let mut view = world.ad.look().unwrap();
    let dn = view.account(&me.name).unwrap().unwrap().dn;
    assert_eq!(view.set_primary_group(&dn, world.ad.group("domain_admins")).unwrap(), 0);
    let refused = world.try_step(&me, &Step::ResetPrimaryGroup, None);
    assert!(matches!(refused, Err(DirectoryError::NotDelegated(_))), "{refused:?}");
    world.step(&me, &Step::Close);
    let seen = world.seen(&me);
    assert!(!seen.enabled && !seen.ordinary_primary_group, "{seen:?}");
}

#[test]
fn a_persons_own_account_gets_rights_and_loses_them_and_nothing_else() {
    let world = World::new(Options::default());
    let me = account("tech1", Mode::Membership);
    let before = world.ad.look().unwrap().account("tech1").unwrap().unwrap();
    world.grant(&me, "helpdesk");
    let right = Right(world.ad.group("helpdesk").into());
    assert!(world.seen(&me).rights.contains(&right));
    let until = world.in_(60);
    let password = ticketgate_directory::generate().unwrap();
    for step in [
        Step::Create(marker(0, None)),
        Step::Open { until, marker: marker(1, Some(until)) },
        Step::SetEnd { until, marker: marker(1, Some(until)) },
        Step::Close,
        Step::Rotate(marker(1, None)),
        Step::ResetPrimaryGroup,
        Step::Delete,
    ] {
        let result = world.try_step(&me, &step, Some(&password));
        assert!(matches!(result, Err(DirectoryError::BadValue(_))), "{}: {result:?}", step.name());
    }
    world.step(&me, &Step::Revoke(right));
    assert_eq!(world.ad.look().unwrap().account("tech1").unwrap().unwrap(), before);
    // A group of the technician's name is no person.
    assert_eq!(world.observe(&account("Helpdesk Operators", Mode::Membership)).unwrap().account, None);
}
