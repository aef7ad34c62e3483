//! Servers that hang, die, come back, show a wrong certificate or refuse the service account.

use std::time::{Duration, Instant};

use ticketgate_access::desired::Step;
use ticketgate_directory::{ActiveDirectory, Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::samba::{Certificate, Options, SambaAd};

use crate::world::{World, account, config, given, marker, rights, runtime};

fn with_certificate(certificate: Certificate) -> DirectoryError {
    let world = World::new(Options { certificate, ..Options::default() });
    world.observe(&account("jit-tech1", Mode::Dedicated)).unwrap_err()
}

#[test]
fn an_expired_foreign_or_misnamed_certificate_is_refused_with_what_to_do() {
    for (certificate, word) in [
        (Certificate::Expired, "renew"),
        (Certificate::Foreign, "ca_file"),
        (Certificate::WrongName, "as its certificate names it"),
    ] {
        let error = with_certificate(certificate);
        assert!(matches!(error, DirectoryError::Certificate(_)), "{certificate:?}: {error}");
        assert!(error.to_string().contains(word), "{certificate:?}: {error}");
    }
}

#[test]
fn a_ca_file_that_is_missing_or_empty_is_a_certificate_error() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in ["/nowhere/ca.pem".to_owned(), empty.path().display().to_string()] {
        let world = World::with(Options::default(), |config| config.ca_file = Some(path));
        let error = world.observe(&account("jit-tech1", Mode::Dedicated)).unwrap_err();
        assert!(matches!(error, DirectoryError::Certificate(_)), "{error}");
    }
}

#[test]
fn starttls_upgrades_before_anything_else() {
    let world = World::with(Options::default(), |config| {
        config.servers[0] = config.servers[0].replace("ldaps", "ldap");
    });
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    assert!(!world.seen(&me).enabled);
}

#[test]
fn starttls_checks_the_certificate_too() {
    let options = Options { certificate: Certificate::Foreign, ..Options::default() };
    let world = World::with(options, |config| config.servers[0] = config.servers[0].replace("ldaps", "ldap"));
    let error = world.observe(&account("jit-tech1", Mode::Dedicated)).unwrap_err();
    assert!(matches!(error, DirectoryError::Certificate(_)), "{error}");
}

#[test]
fn a_wrong_password_is_told_and_a_corrected_one_works_at_once() {
    let ad = SambaAd::start(Options::default()).unwrap();
    let secret = given("not it");
    let directory = ActiveDirectory::with_secrets(&config(&ad), rights(&ad), secret.clone()).unwrap();
    let runtime = runtime();
    for _ in 0..3 {
        let error = runtime.block_on(directory.time()).unwrap_err();
        assert!(
            matches!(&error, DirectoryError::Bind(said) if said.contains("wrong name or password")),
            "{error}"
        );
    }
    *secret.0.lock().unwrap() = ad.password("jit-svc").unwrap().to_owned();
    runtime.block_on(directory.time()).unwrap();
}

#[test]
fn an_empty_password_is_never_sent() {
    let ad = SambaAd::start(Options::default()).unwrap();
    let directory = ActiveDirectory::with_secrets(&config(&ad), rights(&ad), given("")).unwrap();
    let error = runtime().block_on(directory.time()).unwrap_err();
    assert!(matches!(error, DirectoryError::NoSecret(_)), "{error}");
}

#[test]
fn a_disabled_or_locked_service_account_is_told_with_what_to_do() {
    let world = World::new(Options::default());
    let dn = world.ad.service_account().to_owned();
    assert_eq!(world.ad.look().unwrap().replace(&dn, "userAccountControl", "514").unwrap(), 0);
    let error = world.runtime.block_on(world.directory.time()).unwrap_err();
    assert!(matches!(&error, DirectoryError::Bind(said) if said.contains("disabled")), "{error}");
}

#[test]
fn a_server_that_hangs_makes_a_write_ambiguous_and_is_used_again_when_it_is_back() {
    let world = World::with(Options::default(), |config| config.timeout_s = 1);
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    world.ad.pause().unwrap();
    let begun = Instant::now();
    let error = world.try_step(&me, &Step::Close, None).unwrap_err();
    // Looking comes first: nothing has been sent, and that is what is said.
    assert!(matches!(error, DirectoryError::Unreachable(_)), "{error}");
    // A second for each of a few tries, on a machine that may be busy; the time limit of ten seconds would take twenty.
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert!(world.observe(&me).unwrap_err().is_passing());
    world.ad.resume().unwrap();
    world.step(&me, &Step::Close);
    assert!(!world.seen(&me).enabled);
}

#[test]
fn a_write_that_a_hanging_server_does_not_answer_may_have_been_made() {
    let world = World::with(Options::default(), |config| config.timeout_s = 1);
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    let seen = world.observe(&me).unwrap();
    world.ad.pause().unwrap();
    let close = || world.runtime.block_on(world.directory.apply(&me, &seen, &Step::Close, None));
    let error = close().unwrap_err();
    assert!(error.is_ambiguous(), "{error}");
    world.ad.resume().unwrap();
    close().unwrap();
}

#[test]
fn a_write_on_a_connection_that_the_server_closed_since_the_look_goes_out_on_a_new_one() {
    let mut world = World::new(Options { durable: true, ..Options::default() });
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    let seen = world.observe(&me).unwrap();
    world.ad.restart().unwrap();
    let note = marker(2, None);
    world.runtime.block_on(world.directory.apply(&me, &seen, &Step::Rotate(note.clone()), None)).unwrap();
    assert_eq!(world.seen(&me).marker, Some(note));
}

#[test]
fn a_server_that_dies_and_comes_back_is_used_again() {
    let mut world = World::new(Options { durable: true, ..Options::default() });
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    world.ad.crash().unwrap();
    let error = world.try_step(&me, &Step::Close, None).unwrap_err();
    assert!(matches!(error, DirectoryError::Unreachable(_)), "{error}");
    world.ad.restart().unwrap();
    world.step(&me, &Step::Close);
    assert_eq!(world.seen(&me).marker, Some(marker(0, None)));
}

#[test]
fn a_connection_that_the_server_closed_is_made_anew_without_a_word() {
    let mut world = World::new(Options { durable: true, ..Options::default() });
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    world.ad.restart().unwrap();
    assert!(!world.seen(&me).enabled);
    world.ad.restart().unwrap();
    world.step(&me, &Step::Close);
}

#[test]
fn another_server_takes_over_and_keeps_the_work() {
    let dead = SambaAd::start(Options::default()).unwrap();
    let mut world = World::with(Options::default(), |config| config.servers.insert(0, dead.url()));
    drop(dead);
    let me = account("jit-tech1", Mode::Burner);
    world.step(&me, &Step::Create(marker(0, None)));
    assert!(!world.seen(&me).enabled);
    world.ad.crash().unwrap();
    assert!(matches!(world.observe(&me), Err(DirectoryError::Unreachable(_))));
}
