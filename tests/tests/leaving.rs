//! The program is stopped, updated or uninstalled while sessions are open: they are ended or handed over, and each is named.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::REASON;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

#[test]
fn uninstalling_ends_what_is_open_and_says_which() -> Outcome {
    let mut ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    assert!(product.cli(&["install", "--browser", "chromium"])?.succeeded());
    let session = product.activate("acme-server-admin", &REASON)?;

    let updated = product.cli(&["install", "--browser", "chromium"])?;
    let handed_over = updated.stdout.contains("handed over") && updated.stdout.contains(&session.id);
    assert!(updated.succeeded() && handed_over, "{updated:?}");

    let dry = product.cli(&["uninstall", "--dry-run"])?;
    assert!(
        dry.stdout.contains(&format!("{} (", session.id)) && dry.stdout.contains("would be ended"),
        "{dry:?}"
    );
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "a dry run ends nothing");

    ad.crash()?;
    let refused = product.cli(&["uninstall"])?;
    assert!(!refused.succeeded() && refused.stdout.contains("Nothing was removed"), "{refused:?}");
    ad.restart()?;
    product.session_becomes(&session.id, "ended")?;

    let other = product.activate("acme-burner", &REASON)?;
    let said = product.cli(&["uninstall"])?;
    assert!(said.succeeded(), "{said:?}");
    let ended = format!("session {} (ACME\\{}, ", other.id, other.name());
    assert!(said.stdout.contains(&ended) && said.stdout.contains("ended"), "{said:?}");
    assert!(said.stdout.contains("removed"), "{said:?}");
    assert!(ad.open_accounts()?.is_empty());
    assert!(ad.look()?.account(other.name())?.is_none());
    Ok(())
}

#[test]
fn what_is_to_be_left_open_at_an_uninstallation_is_named_with_its_end() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    assert!(product.cli(&["install", "--browser", "chromium"])?.succeeded());
    let session = product.activate("acme-server-admin", &REASON)?;
    product.kill_broker()?;
    let unseen = product.cli(&["uninstall"])?;
    assert!(!unseen.succeeded() && unseen.stderr.contains("nothing was removed"), "{unseen:?}");
    product.start_broker()?;
    let said = product.cli(&["uninstall", "--leave-sessions"])?;
    let named =
        said.stdout.contains(&session.id) && said.stdout.contains("is left open; the directory ends it at");
    assert!(said.succeeded() && named && said.stdout.contains("removed"), "{said:?}");
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    Ok(())
}

#[test]
fn a_broker_that_is_told_to_stop_names_what_it_hands_over_and_the_next_one_ends_it() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    product.stop_broker()?;
    let log = product.broker_log();
    assert!(log.contains("stays open") && log.contains(&session.id), "{log}");
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "it goes on");
    product.start_broker()?;
    let stopped = product.audit()?.into_iter().find(|r| r["action"] == "broker.stopped").expect("a record");
    assert_eq!(stopped["details"]["open_sessions"][0], session.id.as_str());
    assert_eq!(product.cli_json(&["end", &session.id])?["state"], "ended");
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}
