//! The directory is down, hangs, or comes back: at an activation, at an extension, at an end.
use serde_json::json;
use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::{REASON, wish};
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::samba::{Options, SambaAd};

#[test]
fn a_directory_that_is_down_at_an_activation_is_a_clear_error_and_nothing_half_done() -> Outcome {
    let mut ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    ad.crash()?;
    for policy in ["acme-server-admin", "acme-burner", "acme-member"] {
        let refused = product.ask_for(&wish(policy))?;
        let problem = refused.json()?;
        assert_eq!((refused.status, &problem["code"]), (503, &json!("directory_down")), "{problem}");
        assert!(problem["remedy"].as_str().is_some_and(|remedy| remedy.contains("Try again")), "{problem}");
    }
    ad.restart()?;
    assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty());
    assert!(ad.look()?.account("tech1")?.expect("a person").groups.is_empty());
    let states: Vec<_> = product.sessions()?.iter().map(|one| one["state"].clone()).collect();
    assert!(states.len() >= 2 && states.iter().all(|state| state == "failed"), "{states:?}");
    let session = product.activate("acme-server-admin", &REASON)?;
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "it works again without a restart");
    Ok(())
}

#[test]
fn a_directory_that_is_down_at_the_end_is_asked_again_until_the_end_is_done() -> Outcome {
    let mut ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    ad.crash()?;
    let said = product.cli(&["--json", "end", &session.id])?;
    assert_eq!(said.code, Some(1), "a script has to know: {said:?}");
    let ending = said.json()?;
    assert_eq!(ending["state"], "ending", "{ending}");
    assert_eq!(ending["trouble"]["problem"]["code"], "directory_down", "{ending}");
    assert!(product.cli(&["status"])?.stdout.contains("ENDING"));

    ad.restart()?;
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "it really was not done yet");
    product.session_becomes(&session.id, "ended")?;
    assert!(ad.open_accounts()?.is_empty());
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    let actions = product.actions(&session.id)?;
    assert!(actions.contains(&"session.end_retry".to_owned()), "{actions:?}");
    assert_eq!(actions.last().map(String::as_str), Some("session.ended"));
    Ok(())
}

#[test]
fn a_time_that_runs_out_while_the_directory_is_down_is_made_up_for() -> Outcome {
    let mut ad = SambaAd::start(Options::default())?;
    let mut product = Product::install(&Configuration::standard(&ad))?;
    // However slow the machine is, the end is not begun before the directory is down.
    product.start_broker_pausing_at("ledger.session_due")?;
    let mut short = wish("acme-burner");
    short["duration_s"] = json!(5);
    let id = product.granted(&short)?;
    product.broker_reaches("ledger.session_due")?;
    ad.crash()?;
    product.let_broker_go_on()?;
    let ending = product.session_becomes(&id, "ending")?;
    assert_eq!(ending["end_cause"], "expired");
    ad.restart()?;
    product.session_becomes(&id, "ended")?;
    assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty());
    Ok(())
}

#[test]
fn a_directory_that_hangs_at_the_end_is_asked_again_until_the_end_is_done() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    ad.pause()?;
    let state = std::thread::scope(|scope| -> ticketgate_tests::Result<_> {
        let ending = scope.spawn(|| product.cli(&["--json", "end", &session.id]));
        let state = product.session_becomes(&session.id, "ending");
        ad.resume()?;
        ending.join().expect("no panic")?;
        state
    })?;
    assert_eq!(state["end_cause"], "technician");
    product.session_becomes(&session.id, "ended")?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn a_directory_that_hangs_at_an_activation_leaves_nothing_when_it_goes_on() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    ad.pause()?;
    let answer = product.ask_for(&wish("acme-burner"));
    ad.resume()?;
    let problem = answer?.json()?;
    assert!(
        ["directory_down", "timed_out"].contains(&problem["code"].as_str().unwrap_or_default()),
        "{problem}"
    );
    let id = product.sessions()?[0]["id"].as_str().expect("an id").to_owned();
    product.session_becomes(&id, "failed")?;
    assert!(ad.look()?.accounts_below(ad.account_unit())?.is_empty());
    Ok(())
}

#[test]
fn a_directory_that_dies_between_the_grant_and_the_opening_leaves_nothing_when_it_comes_back() -> Outcome {
    for (policy, point) in [
        ("acme-server-admin", "directory.open"),
        ("acme-burner", "directory.open"),
        ("acme-member-both", "directory.grant#2"),
    ] {
        let mut ad = SambaAd::start(Options::default())?;
        let both = Policy {
            id: "acme-member-both",
            mode: "membership",
            rights: vec![ad.group("helpdesk").to_owned(), ad.group("tier1").to_owned()],
            ..Policy::default()
        };
        let mut product = Product::install(&Configuration::standard(&ad).policy(&both))?;
        let before = ad.look()?.account("tech1")?;
        product.start_broker_pausing_at(point)?;
        let answer = std::thread::scope(|scope| -> ticketgate_tests::Result<_> {
            let asking = scope.spawn(|| product.ask_for(&wish(policy)));
            product.broker_reaches(point)?;
            assert!(holds_a_right(&ad)?, "{policy}: the right is there, and half of the rest");
            ad.crash()?;
            product.let_broker_go_on()?;
            asking.join().expect("no panic")
        })?;
        let problem = answer.json()?;
        assert_eq!((answer.status, &problem["code"]), (503, &json!("directory_down")), "{problem}");
        let session = &product.sessions()?[0];
        assert_eq!(session["state"], "ending", "not called failed before it is taken back: {session}");
        ad.restart()?;
        product.session_becomes(session["id"].as_str().expect("an id"), "failed")?;
        assert!(ad.open_accounts()?.is_empty(), "{policy}");
        assert_eq!(ad.look()?.account("tech1")?, before, "{policy}");
    }
    Ok(())
}

/// Whether an account of the technician, their own or a JIT one, is a member of a group that policies grant.
fn holds_a_right(ad: &SambaAd) -> ticketgate_tests::Result<bool> {
    let mut look = ad.look()?;
    let mut accounts = look.accounts_below(ad.account_unit())?;
    accounts.extend(look.account("tech1")?);
    Ok(accounts.iter().any(|account| !account.groups.is_empty()))
}

#[test]
fn an_extension_that_the_directory_does_not_take_is_not_shown() -> Outcome {
    let mut ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let before = product.session(&session.id)?["expires_at"].clone();
    ad.crash()?;
    let refused = product.cli(&["extend", &session.id, "--by", "30m"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[directory_down]"), "{refused:?}");
    let after = product.session(&session.id)?;
    assert_eq!((&after["state"], &after["expires_at"]), (&json!("active"), &before));
    ad.restart()?;
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert!(account.ends_after(Duration::from_secs(3600), &session.session), "{account:?}");
    let extended = product.cli_json(&["extend", &session.id, "--by", "30m"])?;
    assert_ne!(extended["expires_at"], before);
    Ok(())
}

#[test]
fn a_second_server_takes_over_from_one_that_does_not_answer() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let url = format!("[\"{}\"]", ad.url());
    let two = format!("[\"ldaps://127.0.0.2\", \"{}\"]", ad.url());
    let product = Product::start(&Configuration::standard(&ad).replace(&url, &two)?)?;
    let session = product.activate("acme-server-admin", &REASON)?;
    assert!(ad.bind(session.name(), &session.password)?.accepted());
    product.cli_json(&["end", &session.id])?;
    assert!(ad.open_accounts()?.is_empty());
    Ok(())
}

#[test]
fn clocks_too_far_apart_open_nothing_and_say_so() -> Outcome {
    let ad = SambaAd::start(Options { movable_clock: true, ..Options::default() })?;
    let product = Product::start(&Configuration::standard(&ad))?;
    for by in ["-10m", "+10m"] {
        ad.move_clock(by)?;
        let refused = product.ask_for(&wish("acme-server-admin"))?;
        let problem = refused.json()?;
        assert_eq!(problem["code"], "clock_skew", "{problem}");
        assert!(problem["remedy"].as_str().is_some_and(|remedy| remedy.contains("clock")), "{problem}");
        assert!(ad.look()?.account("jit-tech1")?.is_none_or(|account| !account.enabled()));
    }
    ad.move_clock("+0")?;
    product.granted(&wish("acme-server-admin"))?;
    Ok(())
}
