//! Names that need escaping, and groups with more members than one answer holds.

use std::collections::BTreeSet;

use ticketgate_access::desired::Step;
use ticketgate_access::session::Right;
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::samba::Options;

use crate::world::{World, account, config, marker, rights};

#[test]
fn groups_with_odd_names_and_many_members_are_granted_and_taken_away() {
    let world = World::new(Options::default());
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    let groups =
        ["big", "comma", "quotes", "umlaut", "backslash", "hash", "space", "brackets", "nested_inner"];
    for group in groups {
        world.grant(&me, group);
    }
    let wanted: BTreeSet<_> = groups.iter().map(|group| Right(world.ad.group(group).to_owned())).collect();
    assert_eq!(world.seen(&me).rights, wanted);
    for group in groups {
        world.step(&me, &Step::Revoke(Right(world.ad.group(group).into())));
    }
    assert_eq!(world.seen(&me).rights, BTreeSet::new());
    let named = |group| world.directory.right_name(&Right(world.ad.group(group).into()));
    assert_eq!(named("comma"), "Servers, Frankfurt");
    assert_eq!(named("space"), " Leading Space");
    assert_eq!(named("brackets"), "Ops (night) * <all> +;=");
}

#[test]
fn a_right_is_answered_in_the_configured_spelling() {
    let mut world = World::new(Options::default());
    let spelled = world.ad.group("domain_admins").to_uppercase().replace(',', ", ");
    let odd = world.ad.group("umlaut").replace("ö", r"\C3\B6");
    let known = BTreeSet::from([Right(spelled.clone()), Right(odd.clone())]);
    world.directory = ActiveDirectory::new(&config(&world.ad), known.clone()).unwrap();
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    for right in &known {
        world.step(
            &me,
            &Step::Grant {
                right: right.clone(),
                until: None,
                why: ticketgate_access::desired::Why::default(),
            },
        );
    }
    assert_eq!(world.seen(&me).rights, known);
}

#[test]
fn accounts_and_units_with_odd_names_work() {
    let ad = ticketgate_tests::samba::SambaAd::start(Options::default()).unwrap();
    let runtime = crate::world::runtime();
    let directory = ActiveDirectory::new(&config(&ad), rights(&ad)).unwrap();
    for name in ["jit größe", "#jit'1", "jit (a) & b!", "jit~{x}^%$"] {
        let me = account(name, Mode::Burner);
        let apply = |step: Step| {
            let seen = runtime.block_on(directory.observe(&me)).unwrap();
            runtime
                .block_on(directory.apply(&me, &seen, &step, None))
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        };
        apply(Step::Create(marker(0, None)));
        apply(Step::Grant {
            right: Right(ad.group("brackets").into()),
            until: None,
            why: ticketgate_access::desired::Why::default(),
        });
        let seen = runtime.block_on(directory.observe(&me)).unwrap().account.unwrap();
        assert_eq!(seen.display_name, format!("ACME\\{name}"));
        assert_eq!(seen.rights.len(), 1, "{name}");
        apply(Step::Delete);
        assert_eq!(runtime.block_on(directory.observe(&me)).unwrap().account, None, "{name}");
    }
}

#[test]
fn a_right_that_is_no_name_or_is_not_there_is_told_apart() {
    let world = World::new(Options::default());
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    let grant = |right: String| {
        world.try_step(
            &me,
            &Step::Grant {
                right: Right(right),
                until: None,
                why: ticketgate_access::desired::Why::default(),
            },
            None,
        )
    };
    let missing = format!("CN=Nobody Made This,{}", world.ad.base());
    assert!(matches!(grant(missing.clone()), Err(DirectoryError::NoSuchRight(_))));
    assert!(matches!(grant("Domain Admins".into()), Err(DirectoryError::BadValue(_))));
    let result = grant(world.ad.group("untouchable").into());
    assert!(matches!(result, Err(DirectoryError::NotDelegated(_))), "{result:?}");
    // What is gone needs no taking away.
    world.step(&me, &Step::Revoke(Right(missing)));
    world.step(&me, &Step::Revoke(Right(world.ad.group("untouchable").into())));
    let bad = BTreeSet::from([Right("Domain Admins".into())]);
    assert!(matches!(ActiveDirectory::new(&config(&world.ad), bad), Err(DirectoryError::BadValue(_))));
}
