//! The product in the world of the tests: what the harness promises about it, on the shortest way through it, the
//! command line.

use rustix::process::{Pid, test_kill_process};
use serde_json::json;
use ticketgate_tests::Outcome;
use ticketgate_tests::leash::Exit;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const SIGKILL: i32 = 9;

const REASON: [&str; 2] = ["--reason", "The printer is on fire"];

#[test]
fn a_session_from_the_command_line_opens_an_account_and_closes_it() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert_eq!(account.groups, [ad.group("tier1")]);

    product.cli_json(&["end", &session.id])?;
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    let account = ad.look()?.account(session.name())?.expect("a dedicated account stays");
    assert!(!account.enabled());
    assert!(account.groups.is_empty(), "{account:?}");
    Ok(())
}

#[test]
fn the_directory_ends_a_session_whose_broker_is_dead() -> Outcome {
    let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    product.kill_broker()?;
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    ad.move_clock("+3650s")?;
    let refusal = ad.bind(session.name(), &session.password)?;
    assert!(refusal.refused_with("701"), "{refusal:?}");
    Ok(())
}

#[test]
fn a_broker_killed_before_it_opens_an_account_settles_when_it_is_back() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::install(&Configuration::standard(&ad))?;
    product.start_broker_meeting("directory.open:before")?;
    let refused = product.activate("acme-server-admin", &REASON);
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(product.wait_for_broker_to_end()?, Exit::Signal(SIGKILL));
    let account = ad.look()?.account("jit-tech1")?;
    assert!(account.is_none_or(|account| !account.enabled()), "nothing is open");
    product.start_broker()?;
    until("the session to settle", LIMIT, || {
        let sessions = product.cli_json(&["sessions", "--past"])?;
        Ok(sessions.pointer("/0/state") == Some(&json!("failed")))
    })?;
    let account = ad.look()?.account("jit-tech1")?;
    assert!(
        account.is_none_or(|account| !account.enabled() && account.groups.is_empty()),
        "nothing was granted"
    );
    Ok(())
}

#[test]
fn a_relay_knows_the_technician_and_ends_when_its_port_closes() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let mut relay = product.relay(ticketgate_protocol::EXTENSION_ID)?;
    let hello = json!({"protocol_min": 1, "protocol_max": 1, "extension_version": "0.1.0"});
    relay.send(&json!({"id": "1", "method": "hello", "params": hello}))?;
    let welcome = relay.receive(LIMIT)?.expect("an answer");
    assert_eq!(welcome["id"], json!("1"), "{welcome}");
    assert_eq!(welcome.pointer("/ok/broker/technician"), Some(&json!("tech1")), "{welcome}");
    relay.close();
    relay.wait(LIMIT)?;
    let pid = i32::try_from(relay.pid())?;
    assert!(Pid::from_raw(pid).is_none_or(|pid| test_kill_process(pid).is_err()));
    Ok(())
}
