//! One session in two domains.

use serde_json::json;
use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

use crate::{JIT, both, password, states};

const HOUR: Duration = Duration::from_secs(3600);

/// Two domains, and a policy that grants in both.
fn two_domains() -> ticketgate_tests::Result<(SambaAd, SambaAd, Configuration)> {
    let ad = SambaAd::start(Options::default())?;
    let second = SambaAd::start(Options { customer: "globex", ..Options::default() })?;
    let rights = [("acme-ad", ad.group("domain_admins")), ("acme-two", second.group("tier1"))];
    let configuration =
        Configuration::standard(&ad).directory("acme-two", "acme", &second).with(&both("acme-both", rights));
    Ok((ad, second, configuration))
}

#[test]
fn one_activation_opens_an_account_in_each_domain_and_one_end_closes_both() -> Outcome {
    let (ad, second, configuration) = two_domains()?;
    let product = Product::start(&configuration)?;
    let id = product.granted(&wish("acme-both"))?;
    let session = product.session(&id)?;
    assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
    let passwords = [password(&product, &id, "acme-ad")?, password(&product, &id, "acme-two")?];
    assert_ne!(passwords[0], passwords[1]);
    assert!(ad.bind(JIT, &passwords[0])?.accepted() && second.bind(JIT, &passwords[1])?.accepted());
    assert!(!second.bind(JIT, &passwords[0])?.accepted(), "each has its own");
    for (domain, right) in [(&ad, "domain_admins"), (&second, "tier1")] {
        let account = domain.look()?.account(JIT)?.expect("the account is there");
        assert_eq!(account.groups, [domain.group(right)]);
        assert!(account.ends_after(HOUR, &session), "{account:?}");
    }
    let longer = product.cli_json(&["extend", &id, "--by", "1h"])?;
    for domain in [&ad, &second] {
        let account = domain.look()?.account(JIT)?.expect("the account is there");
        assert!(account.ends_after(2 * HOUR, &longer), "{account:?}");
    }
    let ended = product.cli_json(&["end", &id])?;
    assert_eq!((ended["state"].as_str(), states(&ended)), (Some("ended"), vec!["ended", "ended"]));
    for (domain, password) in [(&ad, &passwords[0]), (&second, &passwords[1])] {
        assert!(domain.open_accounts()?.is_empty());
        assert!(!domain.bind(JIT, password)?.accepted());
    }
    Ok(())
}

#[test]
fn where_one_domain_is_away_nothing_is_left_in_the_other() -> Outcome {
    let (ad, mut second, configuration) = two_domains()?;
    let product = Product::start(&configuration)?;
    second.crash()?;
    let refused = product.cli(&["activate", "acme-both", "--reason", "#4711 Outlook"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[directory_down]"), "{refused:?}");
    assert!(refused.stderr.contains("acme-two: "), "it is said where: {refused:?}");
    assert!(ad.open_accounts()?.is_empty());
    let left = ad.look()?.account(JIT)?;
    assert!(left.as_ref().is_none_or(|account| account.groups.is_empty()), "{left:?}");
    let all = product.cli_json(&["sessions", "--past"])?;
    assert_eq!((all.as_array().map(Vec::len), &all[0]["state"]), (Some(1), &json!("failed")), "{all}");
    second.restart()?;
    let id = product.granted(&wish("acme-both"))?;
    second.crash()?;
    let ending = product.cli(&["end", &id, "--json"])?.json()?;
    assert_eq!((ending["state"].as_str(), states(&ending)), (Some("ending"), vec!["ended", "ending"]));
    assert!(ad.open_accounts()?.is_empty(), "the one that answers does not wait for the other");
    second.restart()?;
    product.session_becomes(&id, "ended")?;
    assert!(second.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn a_session_goes_on_whole_with_the_next_broker_and_ends_whole() -> Outcome {
    let (ad, second, configuration) = two_domains()?;
    let mut product = Product::start(&configuration)?;
    let id = product.granted(&wish("acme-both"))?;
    product.kill_broker()?;
    product.start_broker()?;
    let session = product.session(&id)?;
    assert_eq!((session["state"].as_str(), states(&session)), (Some("active"), vec!["active", "active"]));
    assert_eq!((ad.open_accounts()?.len(), second.open_accounts()?.len()), (1, 1));
    let renewed = product.cli_json(&["password", &id, "--new", "--directory", "acme-two"])?;
    assert!(second.bind(JIT, renewed["password"].as_str().unwrap_or_default())?.accepted());
    assert_eq!(product.cli_json(&["end", &id])?["state"], "ended");
    assert!(ad.open_accounts()?.is_empty() && second.open_accounts()?.is_empty());
    Ok(())
}
