//! The account modes `burner` and `membership`. `dedicated` is what most other tests use.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::{REASON, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::samba::{Options, SambaAd};

#[test]
fn a_burner_account_is_made_for_its_session_and_deleted_after_it() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-burner", &REASON)?;
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert_eq!(account.groups, [ad.group("helpdesk")]);
    assert!(account.ends_after(Duration::from_secs(3600), &session.session), "{account:?}");
    product.cli_json(&["end", &session.id])?;
    assert!(ad.look()?.account(session.name())?.is_none());
    assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty());
    assert!(ad.bind(session.name(), &session.password)?.refused_with("52e"));
    Ok(())
}

#[test]
fn every_burner_session_has_an_account_of_its_own() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let (first, second) =
        (product.activate("acme-burner", &REASON)?, product.activate("acme-burner", &REASON)?);
    assert_ne!(first.account, second.account);
    product.cli_json(&["end", &first.id])?;
    assert!(ad.bind(second.name(), &second.password)?.accepted());
    assert_eq!(ad.look()?.accounts_below(ad.account_unit())?.len(), 1);
    Ok(())
}

#[test]
fn membership_lends_the_right_to_the_persons_own_account_and_touches_nothing_else_of_it() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let mut look = ad.look()?;
    let before = look.account("tech1")?.expect("a person");
    let id = product.granted(&wish("acme-member"))?;
    let during = look.account("tech1")?.expect("a person");
    assert_eq!(during.groups, [ad.group("helpdesk")]);
    assert!(ad.bind("tech1", ad.password("tech1")?)?.accepted());
    product.cli_json(&["end", &id])?;
    assert_eq!(look.account("tech1")?, Some(before));
    assert!(ad.bind("tech1", ad.password("tech1")?)?.accepted(), "the person goes on working");
    assert!(look.accounts_below(ad.account_unit())?.is_empty(), "no account was made");
    Ok(())
}

#[test]
fn membership_never_takes_a_right_that_the_person_had_before() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let both = Policy {
        id: "acme-member-both",
        mode: "membership",
        rights: vec![ad.group("helpdesk").to_owned(), ad.group("tier1").to_owned()],
        ..Policy::default()
    };
    let product = Product::start(&Configuration::standard(&ad).policy(&both))?;
    let mut look = ad.look()?;
    look.add_member(ad.group("helpdesk"), ad.person("tech1"))?;
    look.add_member(ad.group("big"), ad.person("tech1"))?;
    let standing = look.account("tech1")?.expect("a person").groups;
    let id = product.granted(&wish("acme-member-both"))?;
    assert_eq!(look.account("tech1")?.expect("a person").groups.len(), 3);
    product.cli_json(&["end", &id])?;
    assert_eq!(look.account("tech1")?.expect("a person").groups, standing);
    Ok(())
}

#[test]
fn a_membership_session_has_no_password_to_hand_out() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let id = product.granted(&wish("acme-member"))?;
    for arguments in [&["password", &id][..], &["password", &id, "--new"]] {
        let refused = product.cli(arguments)?;
        assert!(!refused.succeeded() && refused.stderr.contains("[no_password]"), "{refused:?}");
    }
    assert!(ad.bind("tech1", ad.password("tech1")?)?.accepted());
    Ok(())
}

#[test]
fn rights_behind_odd_names_and_big_groups_come_and_go() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let shorts =
        ["comma", "quotes", "umlaut", "backslash", "hash", "space", "brackets", "big", "nested_inner"];
    let odd = Policy {
        id: "acme-odd",
        name: "Grüße, \"odd\" #1",
        rights: shorts.iter().map(|short| ad.group(short).to_owned()).collect(),
        ..Policy::default()
    };
    let product = Product::start(&Configuration::standard(&ad).policy(&odd))?;
    let session = product.activate("acme-odd", &REASON)?;
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert_eq!(account.groups.len(), shorts.len(), "{account:?}");
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    product.cli_json(&["end", &session.id])?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}
