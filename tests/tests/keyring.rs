//! The service account's password in the desktop's key store instead of a file.

use ticketgate_tests::Outcome;
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

#[test]
fn a_password_in_the_key_store_opens_the_directory_and_a_closed_store_is_a_clear_error() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut keyring = Keyring::start()?;
    let file = ad.service_password_file();
    let in_file = format!("{{ file = \"{}\" }}", file.display());
    let configuration = Configuration::standard(&ad).replace(&in_file, "{ keyring = \"acme-ad\" }")?;
    let mut product = Product::install(&configuration)?;
    product.start_broker_with(&[("DBUS_SESSION_BUS_ADDRESS", keyring.address())])?;

    let early = product.cli(&["check"])?;
    assert!(!early.succeeded() && early.stdout.contains("ticketgate secret set acme-ad"), "{early:?}");

    let kept = keyring.secret(&["set", "acme-ad"], &std::fs::read_to_string(file)?)?;
    assert!(kept.succeeded(), "{kept:?}");
    let session = product.activate("acme-server-admin", &["--reason", "the password is in the key store"])?;
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    product.cli_json(&["end", &session.id])?;

    // A new broker has no connection yet, and asks the store anew.
    product.kill_broker()?;
    keyring.stop_store();
    product.start_broker_with(&[("DBUS_SESSION_BUS_ADDRESS", keyring.address())])?;
    let gone = product.cli(&["activate", "acme-server-admin", "--reason", "no key store"])?;
    assert!(!gone.succeeded() && gone.stderr.contains("[bind_refused]"), "{gone:?}");
    let found = product.cli(&["check"])?;
    assert!(!found.succeeded() && found.stdout.contains("the key store cannot be reached"), "{found:?}");
    keyring.start_store()?;
    product.activate("acme-server-admin", &["--reason", "it is back, without a restart of the broker"])?;
    Ok(())
}

#[test]
fn a_secret_is_kept_replaced_and_removed_and_nothing_is_kept_of_nothing() -> Outcome {
    let keyring = Keyring::start()?;
    for secret in ["first\n", "second with a space\r\nand a second line"] {
        assert!(keyring.secret(&["set", "one"], secret)?.succeeded());
    }
    let empty = keyring.secret(&["set", "one"], "\n")?;
    assert!(!empty.succeeded() && empty.stderr.contains("nothing was changed"), "{empty:?}");
    assert!(keyring.secret(&["remove", "one"], "")?.succeeded());
    let again = keyring.secret(&["remove", "one"], "")?;
    assert!(!again.succeeded() && again.stderr.contains("nothing named one"), "{again:?}");
    Ok(())
}
