//! The directory that the tests run against behaves as Active Directory does where the product relies on it.

use rustix::process::{Pid, test_kill_process};
use std::time::{Duration, Instant, SystemTime};
use ticketgate_tests::ldap::{Expiry, View};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::samba::audit::Record;
use ticketgate_tests::samba::{Certificate, Options, SambaAd};
use ticketgate_tests::{Outcome, Result, witness};

const PASSWORD: &str = "C0mplex-Pass.1";
const NOT_ALLOWED: u32 = 50;

/// Makes an enabled account in the JIT unit and puts it into Domain Admins, as the service account.
fn activate(ad: &SambaAd, name: &str, lasts: Duration) -> Result<(View, String)> {
    let mut service = ad.look_as("jit-svc", ad.password("jit-svc")?)?;
    let dn = format!("CN={name},{}", ad.account_unit());
    assert_eq!(service.create(&dn, name, PASSWORD, SystemTime::now() + lasts)?, 0);
    assert_eq!(service.add_member(ad.group("domain_admins"), &dn)?, 0);
    Ok((service, dn))
}

#[test]
fn the_directory_itself_refuses_an_account_after_its_end() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    activate(&ad, "jit-t1", Duration::from_secs(3))?;
    assert!(ad.bind("jit-t1", PASSWORD)?.accepted());
    until("the end of the account", LIMIT, || Ok(ad.bind("jit-t1", PASSWORD)?.refused_with("701")))?;
    Ok(())
}

#[test]
fn eight_hours_pass_when_the_clock_is_moved() -> Outcome {
    let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    activate(&ad, "jit-t1", Duration::from_secs(8 * 3600))?;
    ad.move_clock("+28700s")?;
    assert!(ad.bind("jit-t1", PASSWORD)?.accepted(), "100 s before the end");
    ad.move_clock("+8h")?;
    let refusal = ad.bind("jit-t1", PASSWORD)?;
    assert!(refusal.refused_with("701"), "after the end: {refusal:?}");
    ad.move_clock("+43d")?;
    let refusal = ad.bind("requester", ad.password("requester")?)?;
    assert!(refusal.refused_with("532"), "42 days later the password is too old: {refusal:?}");
    Ok(())
}

#[test]
fn the_service_account_can_do_its_job_and_nothing_else() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let (mut service, dn) = activate(&ad, "jit-t1", Duration::from_secs(600))?;
    for group in ["tier1", "helpdesk", "comma", "quotes", "umlaut", "backslash", "hash", "space", "brackets"]
    {
        assert_eq!(service.add_member(ad.group(group), &dn)?, 0, "{group} is one of the listed groups");
    }
    assert_eq!(service.set_password(&dn, "An0ther-Pass.1")?, 0);
    assert_eq!(service.replace(&dn, "userAccountControl", "514")?, 0);
    assert_eq!(service.replace(&dn, "accountExpires", "1")?, 0);
    assert_eq!(service.replace(&dn, "description", "request 1")?, 0);

    assert_eq!(service.add_member(ad.group("untouchable"), &dn)?, NOT_ALLOWED);
    let enterprise = format!("CN=Enterprise Admins,CN=Users,{}", ad.base());
    assert_eq!(service.add_member(&enterprise, &dn)?, NOT_ALLOWED);
    assert_eq!(service.set_password(ad.person("jit-clash"), PASSWORD)?, NOT_ALLOWED);
    assert_eq!(service.delete(ad.person("jit-clash"))?, NOT_ALLOWED);
    let elsewhere = format!("CN=jit-t2,CN=Users,{}", ad.base());
    assert_eq!(service.create(&elsewhere, "jit-t2", PASSWORD, SystemTime::now())?, NOT_ALLOWED);

    assert_eq!(service.delete(&dn)?, 0);
    Ok(())
}

#[test]
fn a_crash_keeps_what_was_acknowledged() -> Outcome {
    let mut ad = SambaAd::start(Options { durable: true, ..Options::default() })?;
    let (_, dn) = activate(&ad, "jit-t1", Duration::from_secs(600))?;
    ad.crash()?;
    assert!(ad.look().is_err(), "nobody answers");
    ad.restart()?;
    assert!(ad.look()?.members(ad.group("domain_admins"))?.contains(&dn));
    Ok(())
}

#[test]
fn a_hanging_directory_is_told_from_a_working_one() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    ad.pause()?;
    // The kernel still accepts the connection; nobody answers on it.
    let stream = std::net::TcpStream::connect((ad.address(), 636))?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    let started = Instant::now();
    let silence = std::io::Read::read(&mut &stream, &mut [0]).unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(250), "{silence}");
    ad.resume()?;
    assert!(ad.bind("requester", ad.password("requester")?)?.accepted());
    Ok(())
}

#[test]
fn certificates_that_a_client_has_to_refuse_are_bad_in_the_way_they_say() -> Outcome {
    use Certificate::{Expired, Foreign, Trusted, WrongName};
    for (certificate, says) in [
        (Trusted, None),
        (Expired, Some("certificate expired")),
        (Foreign, Some("UnknownIssuer")),
        (WrongName, Some("certificate not valid for name")),
    ] {
        let ad = SambaAd::start(Options { certificate, ..Options::default() })?;
        let login = ad.login("requester");
        let answer = ticketgate_tests::ldap::bind(ad.address(), &ad.ca(), &login, ad.password("requester")?);
        match (answer, says) {
            (Ok(bind), None) => assert!(bind.accepted(), "{certificate:?}: {bind:?}"),
            (Err(error), Some(says)) => {
                let text = format!("{error:#}");
                assert!(text.contains(says), "{certificate:?}: {text}");
            }
            (answer, _) => panic!("{certificate:?}: {answer:?}"),
        }
    }
    Ok(())
}

#[test]
fn the_independent_view_shows_what_is_there() -> Outcome {
    let ad = SambaAd::start(Options { audit: true, ..Options::default() })?;
    let (_, dn) = activate(&ad, "jit-t1", Duration::from_secs(600))?;
    let mut admin = ad.look()?;
    let account = admin.account("jit-t1")?.expect("the account is there");
    assert_eq!(account.dn, dn);
    assert!(account.enabled());
    let Expiry::At(end) = account.expires else { panic!("{account:?}") };
    assert!(end.duration_since(SystemTime::now())? < Duration::from_secs(601));
    assert_eq!(account.groups, [ad.group("domain_admins")]);
    assert_eq!(account.primary_group, 513);
    assert_eq!(admin.account("nobody")?, None);
    assert_eq!(admin.members(ad.group("big"))?.len(), 1600);
    assert_eq!(admin.members(ad.group("nested_outer"))?, [ad.group("nested_inner")]);

    assert_eq!(admin.set_primary_group(&dn, ad.group("domain_admins"))?, 0);
    let account = admin.account("jit-t1")?.expect("the account is there");
    assert_eq!(account.primary_group, 512);
    assert!(!admin.members(ad.group("domain_admins"))?.contains(&dn), "a primary group hides its members");

    let service = admin.attribute(ad.service_account(), "objectSid")?;
    assert!(service.is_empty(), "a SID is binary");
    let changes = ad.audit()?;
    let added = changes.iter().any(|record| {
        matches!(record, Record::Change(change) if change.operation == "Add" && change.dn == dn && change.done)
    });
    assert!(added, "{changes:#?}");
    Ok(())
}

#[test]
fn the_witness_sees_every_end_that_is_none_or_too_far_away_also_for_a_moment() -> Outcome {
    type ByHand = fn(&mut View, &str) -> Result<u32>;
    let ten_minutes = Duration::from_secs(600);
    let deeds: [(&str, ByHand); 3] = [
        ("far away", |look, dn| look.enable(dn, PASSWORD, SystemTime::now() + Duration::from_secs(700))),
        ("for ever", |look, dn| look.replace(dn, "accountExpires", "0")),
        ("enabled without", |look, dn| look.replace(dn, "userAccountControl", "512")),
    ];
    for (what, deed) in deeds {
        let ad = SambaAd::start(Options { audit: true, ..Options::default() })?;
        let (_, dn) = activate(&ad, "jit-t1", ten_minutes)?;
        let mut admin = ad.look()?;
        assert_eq!(admin.disable(&dn)?, 0);
        assert_eq!(witness::every_opening_had_its_end(&ad, ten_minutes)?, 1, "{what}");
        assert_eq!(deed(&mut admin, &dn)?, 0, "{what}");
        assert_eq!(admin.disable(&dn)?, 0);
        let seen = witness::every_opening_had_its_end(&ad, ten_minutes);
        assert!(seen.is_err(), "{what}: {seen:?}");
    }
    Ok(())
}

#[test]
fn nothing_of_a_directory_is_left() -> Outcome {
    let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    let (pid, files) = (ad.pid(), ad.ca());
    drop(ad);
    assert!(Pid::from_raw(pid).is_none_or(|pid| test_kill_process(pid).is_err()), "the server runs on");
    assert!(!files.exists(), "its folder is there");
    assert!(!std::path::Path::new(&format!("/dev/shm/faketime_shm_{pid}")).exists(), "its clock is there");
    Ok(())
}
