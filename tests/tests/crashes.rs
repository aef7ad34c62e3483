//! The broker dies while a session is open, and no point is named: what it remembered is gone, what it began goes on. Where it
//! dies, or fails, at each point of everything that it does is in `kill_points`.

use ticketgate_tests::Outcome;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

#[test]
fn a_session_goes_on_when_its_broker_is_killed_and_ends_with_the_next() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &["--reason", "a long one"])?;
    for _ in 0..3 {
        product.kill_broker()?;
        assert!(ad.bind(session.name(), &session.password)?.accepted());
        product.start_broker()?;
        assert_eq!(product.session(&session.id)?["state"], "active");
    }
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "no restart changes the password");
    let gone = product.cli(&["password", &session.id])?;
    assert!(gone.stderr.contains("[password_gone]"), "{gone:?}");
    product.cli_json(&["end", &session.id])?;
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    assert!(ad.open_accounts()?.is_empty(), "{:?}", ad.open_accounts());
    assert!(product.cli(&["audit", "verify"])?.succeeded());
    Ok(())
}
