//! The broker's machine sleeps, and its wall clock is set while the broker runs.

use super::REASON;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::witness::Ledger;
use ticketgate_tests::{Outcome, Result};

/// "At once", on a machine that builds meanwhile: the next that would end it is the sweep of every quarter of an hour.
const AT_ONCE: Duration = Duration::from_secs(10);

const DAY: i64 = 86_400;

fn ends_at_once(product: &Product, id: &str) -> Result<Value> {
    let began = Instant::now();
    let ended = product.session_becomes(id, "ended")?;
    assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
    assert_eq!(ended["end_cause"], "expired", "{ended}");
    Ok(ended)
}

#[test]
fn a_broker_that_was_stopped_for_longer_than_a_session_ends_it_at_once_when_it_goes_on() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &[REASON.as_slice(), &["--for", "5s"]].concat())?;
    product.pause_broker(true)?;
    until("the directory's own end", LIMIT, || {
        Ok(ad.bind(session.name(), &session.password)?.refused_with("701"))
    })?;
    assert_eq!(ad.open_accounts()?.len(), 1, "the right is still there: nobody was awake to take it");
    product.pause_broker(false)?;
    ends_at_once(&product, &session.id)?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn a_machine_that_slept_ends_what_is_over_when_it_wakes() -> Outcome {
    let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let (short, long) = (product.granted(&wish("acme-server-admin"))?, {
        let mut four = wish("acme-member");
        four["duration_s"] = json!(4 * 3600);
        product.granted(&four)?
    });
    product.pause_broker(true)?;
    ad.move_clock("+2h")?;
    product.move_clocks(7200, 7200)?;
    product.pause_broker(false)?;
    ends_at_once(&product, &short)?;
    assert_eq!(product.session(&long)?["state"], "active", "it slept only two hours");
    Ok(())
}

#[test]
fn a_wall_clock_that_is_set_forward_ends_what_is_over_by_it_and_one_set_back_lengthens_nothing() -> Outcome {
    for far in [3 * 3600, 5 * DAY] {
        let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
        let product = Product::start(&Configuration::standard(&ad))?;
        // Back: nothing changes, and it ends when it would have ended.
        let session = product.activate("acme-server-admin", &REASON)?;
        product.move_clocks(-far, 0)?;
        let shown = product.session(&session.id)?;
        assert_eq!(
            (&shown["state"], &shown["expires_at"]),
            (&json!("active"), &session.session["expires_at"])
        );
        let notices = product.api("GET", "/v1/broker", None, &Value::Null)?.json()?["notices"].to_string();
        assert!(notices.contains("set back"), "{notices}");
        let extended = product.cli_json(&["extend", &session.id, "--by", "30m"])?;
        let account = ad.look()?.account(session.name())?.expect("the account is there");
        assert!(account.ends_after(Duration::from_secs(5400), &session.session), "{extended} {account:?}");
        // The hour and a half passes, on a wall clock that is still behind.
        ad.move_clock("+5400s")?;
        product.move_clocks(5400 - far, 5400)?;
        ends_at_once(&product, &session.id)?;
        assert!(ad.open_accounts()?.is_empty());

        // Forward: over is over, and where the directory did not jump along nothing is opened.
        ad.move_clock("+0")?;
        product.move_clocks(0, 5400)?;
        let session = product.activate("acme-server-admin", &REASON)?;
        product.move_clocks(far, 5400)?;
        ends_at_once(&product, &session.id)?;
        assert!(ad.open_accounts()?.is_empty());
        let refused = product.cli(&[&["activate", "acme-server-admin"], REASON.as_slice()].concat())?;
        assert!(refused.stderr.contains("[clock_skew]"), "{refused:?}");

        // And back again: it works, at its true length.
        product.move_clocks(0, 5400)?;
        let session = product.activate("acme-server-admin", &REASON)?;
        let account = ad.look()?.account(session.name())?.expect("the account is there");
        assert!(account.ends_after(Duration::from_secs(3600), &session.session), "{account:?}");
        let left = account.left().expect("an end");
        assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500), "{left:?}");
    }
    Ok(())
}

#[test]
fn a_clock_that_jumps_forward_and_back_while_a_session_is_open_ends_it_and_nothing_stays() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let ids = [product.granted(&wish("acme-server-admin"))?, product.granted(&wish("acme-member"))?];
    let ledger = Ledger::open(&product.state())?;
    let jumped = SystemTime::now() + Duration::from_secs(2 * DAY.unsigned_abs());
    product.move_clocks(2 * DAY, 0)?;
    until("the broker to see the jump", LIMIT, || {
        let told = product.api("GET", "/v1/broker", None, &Value::Null)?.json()?;
        Ok(ledger.time(told["now"].as_str().expect("a time"))? + Duration::from_secs(1) >= jumped)
    })?;
    product.move_clocks(0, 0)?;
    for id in &ids {
        let ended = product.session_becomes(id, "ended")?;
        assert_eq!(ended["end_cause"], "expired", "{ended}");
    }
    assert!(ad.open_accounts()?.is_empty());
    assert!(ad.look()?.account("tech1")?.expect("a person").groups.is_empty());
    Ok(())
}
