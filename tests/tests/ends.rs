//! How a session ends: by the person, by its time, by the directory alone; how its end moves; and that nothing of it
//! stays. What happens when something fails meanwhile is in `kill_points` and `outages`.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use serde_json::json;
use std::time::Duration;
use ticketgate_tests::Outcome;
use ticketgate_tests::product::asking::{REASON, new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};

const HOUR: Duration = Duration::from_secs(3600);

fn movable() -> Options {
    Options { movable_clock: true, ..Options::default() }
}

#[test]
fn an_early_end_disables_the_account_takes_its_rights_and_changes_its_password() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session =
        product.activate("acme-domain-admin", &["--ticket", "4711", "--summary", "Outlook crashes"])?;
    let open = ad.look()?.account(session.name())?.expect("the account is there");
    assert!(open.enabled() && open.ends_after(HOUR, &session.session), "{open:?}");
    assert_eq!(open.groups, [ad.group("domain_admins")]);
    assert!(ad.bind(session.name(), &session.password)?.accepted());

    let ended = product.cli_json(&["end", &session.id])?;
    assert_eq!(ended["state"], "ended", "{ended}");
    assert_eq!(ended["end_cause"], "technician", "{ended}");
    let refusal = ad.bind(session.name(), &session.password)?;
    assert!(!refusal.accepted() && ["533", "52e"].contains(&refusal.reason.as_str()), "{refusal:?}");
    let mut look = ad.look()?;
    let closed = look.account(session.name())?.expect("a dedicated account stays");
    assert!(!closed.enabled() && closed.is_over(), "{closed:?}");
    assert!(closed.groups.is_empty(), "{closed:?}");
    assert_ne!(closed.password_set, open.password_set);
    assert_eq!(closed.guid, open.guid);
    // Even if somebody opens it again by hand, the password is another one.
    assert_eq!(look.replace(&closed.dn, "accountExpires", "0")?, 0);
    assert_eq!(look.replace(&closed.dn, "userAccountControl", "512")?, 0);
    assert!(ad.bind(session.name(), &session.password)?.refused_with("52e"));
    Ok(())
}

#[test]
fn a_session_ends_by_itself_when_its_time_is_over() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let mut wish = wish("acme-server-admin");
    wish["duration_s"] = json!(6);
    let id = product.granted(&wish)?;
    assert_eq!(ad.open_accounts()?.len(), 1);
    let ended = product.session_becomes(&id, "ended")?;
    assert_eq!(ended["end_cause"], "expired", "{ended}");
    assert!(ad.open_accounts()?.is_empty());
    let actions = product.actions(&id)?;
    assert_eq!(actions, ["activation.requested", "activation.granted", "session.ending", "session.ended"]);
    Ok(())
}

#[test]
fn a_connection_that_was_open_lives_on_and_no_new_one_is_let_in() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let mut open = ad.look_as(session.name(), &session.password)?;
    product.cli_json(&["end", &session.id])?;
    // What the guide and the popup say about an end, found true of the directory itself.
    assert!(open.account("tech1")?.is_some());
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    Ok(())
}

#[test]
fn the_directory_keeps_the_end_without_a_broker() -> Outcome {
    let ad = SambaAd::start(movable())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &[&REASON[..], &["--for", "10m"]].concat())?;
    product.kill_broker()?;
    ad.move_clock("+8m")?;
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "two minutes before its end");
    ad.move_clock("+603s")?;
    let refusal = ad.bind(session.name(), &session.password)?;
    assert!(refusal.refused_with("701"), "{refusal:?}");
    assert_eq!(ad.open_accounts()?.len(), 1, "only the directory's own end holds");
    Ok(())
}

#[test]
fn what_ran_out_while_no_broker_ran_is_ended_by_the_next_one() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let mut product = Product::install(&Configuration::standard(&ad))?;
    // However slow the machine is, this broker does not end it.
    product.start_broker_pausing_at("ledger.session_due")?;
    let session = product.activate("acme-server-admin", &[&REASON[..], &["--for", "5s"]].concat())?;
    product.broker_reaches("ledger.session_due")?;
    product.kill_broker()?;
    assert_eq!(ad.open_accounts()?.len(), 1, "only the directory's own end holds");

    product.start_broker()?;
    let ended = product.session_becomes(&session.id, "ended")?;
    assert_eq!(ended["end_cause"], "expired", "{ended}");
    assert!(ad.open_accounts()?.is_empty());
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    Ok(())
}

#[test]
fn an_extension_moves_the_directorys_end_and_keeps_the_password() -> Outcome {
    let ad = SambaAd::start(movable())?;
    let mut product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let extended = product.cli_json(&["extend", &session.id, "--by", "30m"])?;
    assert_eq!(extended["state"], "active", "{extended}");
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert!(account.ends_after(HOUR + HOUR / 2, &session.session), "{account:?}");
    product.kill_broker()?;
    ad.move_clock("+80m")?;
    assert!(ad.bind(session.name(), &session.password)?.accepted(), "past the first end, before the second");
    ad.move_clock("+91m")?;
    assert!(ad.bind(session.name(), &session.password)?.refused_with("701"));
    Ok(())
}

#[test]
fn an_extension_stops_at_the_policys_maximum() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let longest = product.cli_json(&["extend", &session.id, "--by", "9h"])?;
    assert_eq!(longest["expires_at"], longest["latest_end"], "{longest}");
    let account = ad.look()?.account(session.name())?.expect("the account is there");
    assert!(account.ends_after(4 * HOUR, &session.session), "{account:?}");
    let refused = product.cli(&["extend", &session.id, "--by", "1m"])?;
    assert!(!refused.succeeded() && refused.stderr.contains("[at_maximum]"), "{refused:?}");
    let after = ad.look()?.account(session.name())?.expect("the account is there");
    assert_eq!(after.expires, account.expires);
    Ok(())
}

#[test]
fn an_extension_by_nothing_backwards_or_out_of_reason_is_refused_on_record() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let before = ad.look()?.account(session.name())?;
    for by in [0, -3600, 24 * 3600 + 1, i64::MIN, i64::MAX] {
        let path = format!("/v1/sessions/{}/extend", session.id);
        let refused = product.api("POST", &path, Some(&new_key()), &json!({"by_s": by}))?;
        let problem = refused.json()?;
        assert_eq!((refused.status, &problem["code"]), (422, &json!("bad_duration")), "{by}: {problem}");
        assert!(problem["remedy"].as_str().is_some_and(|remedy| remedy.ends_with('.')), "{problem}");
        let audit = product.audit()?;
        let record = audit.last().expect("a record");
        assert_eq!(record["action"], "session.extension_refused", "{by}: {record}");
        let details = &record["details"];
        assert_eq!((&details["code"], &details["by_s"]), (&json!("bad_duration"), &json!(by)), "{record}");
        assert_eq!(details["session"], json!(session.id), "{record}");
    }
    assert_eq!(product.session(&session.id)?["expires_at"], session.session["expires_at"]);
    assert_eq!(ad.look()?.account(session.name())?, before, "nothing was changed in the directory");
    Ok(())
}

#[test]
fn rights_that_somebody_added_by_hand_are_gone_at_the_end() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let mut look = ad.look()?;
    let dn = look.account(session.name())?.expect("the account is there").dn;
    for group in ["domain_admins", "helpdesk", "nested_outer", "comma"] {
        assert_eq!(look.add_member(ad.group(group), &dn)?, 0);
    }
    product.cli_json(&["end", &session.id])?;
    let closed = look.account(session.name())?.expect("a dedicated account stays");
    assert!(closed.groups.is_empty() && !closed.enabled(), "{closed:?}");
    Ok(())
}

#[test]
fn a_right_hidden_as_the_primary_group_is_gone_at_the_end() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-domain-admin", &["--ticket", "4711"])?;
    let mut look = ad.look()?;
    let dn = look.account(session.name())?.expect("the account is there").dn;
    assert_eq!(look.set_primary_group(&dn, ad.group("domain_admins"))?, 0);
    assert!(look.members(ad.group("domain_admins"))?.iter().all(|member| *member != dn), "hidden");
    product.cli_json(&["end", &session.id])?;
    product.session_becomes(&session.id, "ended")?;
    let account = ad.look()?.account(session.name())?.expect("a dedicated account stays");
    assert!(account.primary_group == 513 && !account.enabled(), "{account:?}");
    assert!(!ad.bind(session.name(), &session.password)?.accepted());
    assert!(ad.open_accounts()?.is_empty(), "{:?}", ad.open_accounts());
    Ok(())
}

#[test]
fn a_new_password_makes_the_old_one_useless_at_once() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let over = product.cli_json(&["password", &session.id, "--new"])?;
    let new = over["password"].as_str().expect("a password");
    assert!(ad.bind(session.name(), new)?.accepted());
    // Not even for the hour in which a domain controller goes on accepting the last but one.
    assert!(ad.bind(session.name(), &session.password)?.refused_with("52e"));
    Ok(())
}

#[test]
fn an_account_that_somebody_deleted_counts_as_ended() -> Outcome {
    let ad = SambaAd::start(Options::default())?;
    let product = Product::start(&Configuration::standard(&ad))?;
    let session = product.activate("acme-server-admin", &REASON)?;
    let mut look = ad.look()?;
    let dn = look.account(session.name())?.expect("the account is there").dn;
    assert_eq!(look.delete(&dn)?, 0);
    let ended = product.cli_json(&["end", &session.id])?;
    assert_eq!(ended["state"], "ended", "{ended}");
    // And the next session makes it anew.
    let again = product.activate("acme-server-admin", &REASON)?;
    assert!(ad.bind(again.name(), &again.password)?.accepted());
    Ok(())
}
