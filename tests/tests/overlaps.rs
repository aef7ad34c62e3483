//! Several sessions at once: on one account, on one request, for one person.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::{REASON, new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const HOUR: Duration = Duration::from_secs(3600);

fn sorted(mut groups: Vec<&str>) -> Vec<&str> {
    groups.sort_unstable();
    groups
}

#[test]
fn two_sessions_on_one_account_hold_the_union_and_each_ends_alone() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let servers = product.activate("acme-server-admin", &[&REASON[..], &["--for", "4h"]].concat())?;
    let domain = product.granted(&wish("acme-domain-admin"))?;
    assert_eq!(json!(servers.account), product.session(&domain)?["account"]);
    assert!(
        ad.bind(servers.name(), &servers.password)?.accepted(),
        "the first goes on with the password it has"
    );
    let both = ad.look()?.account(servers.name())?.expect("the account is there");
    assert_eq!(both.groups, sorted(vec![ad.group("domain_admins"), ad.group("tier1")]));
    assert!(both.ends_after(4 * HOUR, &servers.session), "the later of both ends: {both:?}");

    product.cli_json(&["end", &domain])?;
    let one = ad.look()?.account(servers.name())?.expect("the account is there");
    assert!(one.enabled() && one.groups == [ad.group("tier1")], "{one:?}");
    assert!(ad.bind(servers.name(), &servers.password)?.accepted(), "the other session is not disturbed");

    product.cli_json(&["end", &servers.id])?;
    assert!(ad.open_accounts()?.is_empty());
    assert!(!ad.bind(servers.name(), &servers.password)?.accepted());
    Ok(())
}

#[test]
fn ending_the_longer_session_shortens_the_directorys_end_to_the_other_ones() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let long = product.activate("acme-server-admin", &[&REASON[..], &["--for", "4h"]].concat())?;
    let mut short = wish("acme-domain-admin");
    short["duration_s"] = json!(1800);
    let short = product.granted(&short)?;
    product.cli_json(&["end", &long.id])?;
    let account = ad.look()?.account(long.name())?.expect("the account is there");
    assert!(account.ends_after(HOUR / 2, &product.session(&short)?), "{account:?}");
    assert_eq!(account.groups, [ad.group("domain_admins")]);
    assert!(ad.bind(long.name(), &long.password)?.accepted());
    Ok(())
}

#[test]
fn two_sessions_of_one_policy_keep_its_right_until_both_are_over() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let first = product.activate("acme-server-admin", &REASON)?;
    let second = product.granted(&wish("acme-server-admin"))?;
    assert_ne!(first.id, second);
    product.cli_json(&["end", &first.id])?;
    let account = ad.look()?.account(first.name())?.expect("the account is there");
    assert!(account.enabled() && account.groups == [ad.group("tier1")], "{account:?}");
    product.cli_json(&["end", &second])?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn sessions_in_three_modes_at_once_end_without_disturbing_one_another() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let dedicated = product.activate("acme-server-admin", &REASON)?;
    let burner = product.activate("acme-burner", &REASON)?;
    let member = product.granted(&wish("acme-member"))?;
    assert_ne!(dedicated.account, burner.account);
    product.cli_json(&["end", &member])?;
    assert!(ad.look()?.account("tech1")?.expect("a person").groups.is_empty());
    assert!(ad.bind(burner.name(), &burner.password)?.accepted());
    product.cli_json(&["end", &burner.id])?;
    assert!(ad.bind(dedicated.name(), &dedicated.password)?.accepted());
    assert_eq!(ad.open_accounts()?.len(), 1);
    Ok(())
}

#[test]
fn a_repeat_of_a_request_finds_the_first_result_and_a_reused_key_is_refused() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let key = new_key();
    let ask = |wish: &Value| product.api("POST", "/v1/sessions", Some(&key), wish);
    let wish = wish("acme-server-admin");
    let (first, again) = (ask(&wish)?.json()?, ask(&wish)?.json()?);
    assert_eq!(first["id"], again["id"]);
    assert_eq!(again["state"], "active");
    let mut other = wish.clone();
    other["reason"] = json!("something else");
    let refused = ask(&other)?;
    assert_eq!((refused.status, &refused.json()?["code"]), (409, &json!("key_reused")));
    let id = first["id"].as_str().expect("an id");
    assert_eq!(product.actions(id)?, ["activation.requested", "activation.granted"]);
    Ok(())
}

#[test]
fn ten_requests_at_the_same_moment_are_ten_sessions_on_one_account() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let configuration = Configuration::standard(&ad).broker("sessions_at_once = 10");
    let product = Product::start(&configuration)?;
    let ids = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..10).map(|_| scope.spawn(|| product.granted(&wish("acme-server-admin")))).collect();
        asking.into_iter().map(|one| one.join().expect("no panic")).collect::<Result<Vec<_>, _>>()
    })?;
    assert_eq!(ad.look()?.accounts_below(ad.account_unit())?.len(), 1);
    for id in &ids[1..] {
        product.cli_json(&["end", id])?;
        assert_eq!(ad.open_accounts()?.len(), 1);
    }
    product.cli_json(&["end", &ids[0]])?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}
