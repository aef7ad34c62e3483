//! Which password opens what, and when no longer: a domain controller goes on accepting the last but one for an hour.

use ticketgate_access::desired::Step;
use ticketgate_access::session::Account;
use ticketgate_credentials::Secret;
use ticketgate_protocol::api::Mode;
use ticketgate_tests::samba::Options;

use crate::world::{World, account, marker};

/// The account of the ledger, made and never opened.
fn made(world: &World) -> Account {
    let mut me = account("jit-tech1", Mode::Dedicated);
    world.step(&me, &Step::Create(marker(0, None)));
    me.identity = Some(world.seen(&me).identity);
    me
}

/// As somebody does by hand: enabled, and without an end.
fn enable_by_hand(world: &World, me: &Account) {
    let mut look = world.ad.look().unwrap();
    let dn = look.account(&me.name).unwrap().unwrap().dn;
    assert_eq!(look.replace(&dn, "accountExpires", "0").unwrap(), 0);
    assert_eq!(look.replace(&dn, "userAccountControl", "512").unwrap(), 0);
}

fn end(world: &World, me: &Account) {
    world.step(me, &Step::Close);
    world.step(me, &Step::Rotate(marker(2, None)));
}

#[test]
fn an_account_that_was_made_and_not_opened_lets_nobody_in_even_when_somebody_enables_it() {
    let world = World::new(Options::default());
    let me = made(&world);
    let flags = world.ad.look().unwrap().account(&me.name).unwrap().unwrap().flags;
    assert_eq!(flags & 0x22, 0x2, "disabled, and not one that needs no password: {flags:#x}");
    let guesses = ["", " ", "\"\"", &me.name, "Passw0rd-of 24 characters"];
    let refused = |why: &str| {
        for guess in guesses {
            assert_eq!(world.logon(&me, &Secret::new(guess.into())), "52e", "{guess:?} {why}");
        }
    };
    refused("while it is closed");
    enable_by_hand(&world, &me);
    refused("enabled by hand");
    world.step(&me, &Step::Close);
    let password = world.open(&me, 3600);
    assert_eq!(world.logon(&me, &password), "", "its first password is the one of its opening");
    refused("opened");
}

#[test]
fn the_password_of_an_ended_session_stays_worthless_through_the_next_one() {
    let world = World::new(Options::default());
    let me = made(&world);
    let first = world.open(&me, 3600);
    end(&world, &me);
    assert_eq!(world.logon(&me, &first), "52e", "not even told that the account is closed");
    let second = world.open(&me, 3600);
    assert_eq!((world.logon(&me, &first).as_str(), world.logon(&me, &second).as_str()), ("52e", ""));
    end(&world, &me);
    let third = world.open(&me, 3600);
    for old in [&first, &second] {
        assert_eq!(world.logon(&me, old), "52e");
    }
    assert_eq!(world.logon(&me, &third), "");
}

/// The broker died, or the directory was away, between closing an account and giving it another password.
#[test]
fn the_password_of_a_session_whose_end_was_cut_short_is_worthless_in_the_next_one() {
    let world = World::new(Options::default());
    let me = made(&world);
    let first = world.open(&me, 3600);
    world.step(&me, &Step::Close);
    let second = world.open(&me, 3600);
    assert_eq!((world.logon(&me, &first).as_str(), world.logon(&me, &second).as_str()), ("52e", ""));
}

#[test]
fn a_new_password_of_an_open_account_makes_the_old_one_worthless_at_once() {
    let world = World::new(Options::default());
    let me = made(&world);
    let first = world.open(&me, 3600);
    let second = world.open(&me, 3600);
    assert_eq!((world.logon(&me, &first).as_str(), world.logon(&me, &second).as_str()), ("52e", ""));
}

#[test]
fn the_password_of_an_ended_session_stays_worthless_even_when_somebody_enables_the_account() {
    let world = World::new(Options::default());
    let me = made(&world);
    let first = world.open(&me, 3600);
    end(&world, &me);
    enable_by_hand(&world, &me);
    assert_eq!(world.logon(&me, &first), "52e");
    let second = world.open(&me, 3600);
    assert_eq!((world.logon(&me, &first).as_str(), world.logon(&me, &second).as_str()), ("52e", ""));
}
