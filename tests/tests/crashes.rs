//! The broker dies at named points, as in a power cut, while it activates, extends and ends; the next one settles it
//! right. Whether anything is open is asked of the directory itself, before and after.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use serde_json::{Value, json};
use std::time::Duration;
use ticketgate_tests::ldap::Expiry;
use ticketgate_tests::leash::Exit;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::product::asking::{new_key, wish};
use ticketgate_tests::product::{Configuration, Product};
use ticketgate_tests::samba::{Options, SambaAd};
use ticketgate_tests::{Outcome, Result};

const SIGKILL: i32 = 9;
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    product: Product,
    ad: SambaAd,
}

impl World {
    fn new() -> Result<Self> {
        let ad = SambaAd::start(Options::default())?;
        let product = Product::install(&Configuration::standard(&ad).generous())?;
        Ok(Self { product, ad })
    }

    /// Sends a request to a broker that dies of it at `point`, and looks at the directory right after.
    fn dies_at(&mut self, point: &str, path: &str, body: &Value) -> Result<()> {
        if self.product.broker_runs()? {
            self.product.kill_broker()?;
        }
        self.product.start_broker_meeting(point)?;
        let answer = self.product.api("POST", path, Some(&new_key()), body);
        assert!(answer.is_err(), "{point}: nobody answers: {answer:?}");
        assert_eq!(self.product.wait_for_broker_to_end()?, Exit::Signal(SIGKILL), "{point}");
        for account in self.ad.open_accounts()?.iter().filter(|account| account.enabled()) {
            let ends = account.left().is_some_and(|left| left <= 2 * HOUR);
            assert!(ends, "{point}: enabled without a near end: {account:?}");
            assert_ne!(account.expires, Expiry::Never, "{point}");
        }
        Ok(())
    }

    /// The next broker, once it has brought everything that was under way to its end.
    fn comes_back(&mut self, point: &str) -> Result<Vec<Value>> {
        self.product.start_broker()?;
        let mut last = Vec::new();
        until(&format!("everything to be settled after {point}"), LIMIT, || {
            last = self.product.sessions()?;
            Ok(last
                .iter()
                .all(|one| !["activating", "ending"].contains(&one["state"].as_str().unwrap_or_default())))
        })?;
        Ok(last)
    }

    /// What has to hold when nothing is active: nothing is open, and the audit log is whole.
    fn nothing_is_open(&self, point: &str) -> Result<()> {
        let open = self.ad.open_accounts()?;
        assert!(open.is_empty(), "{point}: {open:?}");
        let verdict = self.product.cli_json(&["audit", "verify"])?;
        assert_eq!(verdict["whole"], json!(true), "{point}: {verdict}");
        Ok(())
    }

    /// Killed at each point of an activation: the person's click was lost, so it is taken back, whole.
    fn activations_are_taken_back(&mut self, policy: &str, points: &[&str]) -> Outcome {
        for point in points {
            self.dies_at(point, "/v1/sessions", &wish(policy))?;
            let sessions = self.comes_back(point)?;
            let active = sessions.iter().find(|one| one["state"] == "active");
            assert!(active.is_none(), "{point}: {active:?}");
            self.nothing_is_open(point)?;
        }
        // And after all that an activation works.
        let session = self.product.activate(policy, &["--reason", "after all that"])?;
        assert!(self.ad.bind(session.name(), &session.password)?.accepted());
        Ok(())
    }
}

#[test]
fn an_activation_killed_before_its_account_is_open_is_taken_back() -> Outcome {
    World::new()?.activations_are_taken_back(
        "acme-server-admin",
        &[
            "ledger.session_begin:before",
            "ledger.session_begin:after",
            "directory.create:before",
            "directory.create:after",
            "directory.grant:before",
            "directory.grant:after",
            "directory.open:before",
        ],
    )
}

#[test]
fn an_activation_killed_after_its_account_is_open_is_taken_back() -> Outcome {
    World::new()?.activations_are_taken_back(
        "acme-server-admin",
        &["directory.open:after", "ledger.session_active:before"],
    )
}

#[test]
fn a_killed_activation_of_a_burner_account_leaves_no_account() -> Outcome {
    let mut world = World::new()?;
    for point in [
        "directory.create:after",
        "directory.grant:after",
        "directory.open:after",
        "ledger.session_active:before",
    ] {
        world.dies_at(point, "/v1/sessions", &wish("acme-burner"))?;
        world.comes_back(point)?;
        let left = world.ad.look()?.accounts_below(world.ad.account_unit())?;
        assert!(left.is_empty(), "{point}: {left:?}");
    }
    world.nothing_is_open("the last")?;
    Ok(())
}

#[test]
fn a_killed_activation_of_a_membership_leaves_the_person_as_before() -> Outcome {
    let mut world = World::new()?;
    let before = world.ad.look()?.account("tech1")?;
    for point in [
        "ledger.session_begin:after",
        "ledger.account_known:before",
        "ledger.account_known:after",
        "directory.grant:before",
        "directory.grant:after",
        "ledger.session_active:before",
    ] {
        world.dies_at(point, "/v1/sessions", &wish("acme-member"))?;
        world.comes_back(point)?;
        assert_eq!(world.ad.look()?.account("tech1")?, before, "{point}");
    }
    Ok(())
}

#[test]
fn a_session_whose_broker_died_right_after_the_grant_is_active_and_usable() -> Outcome {
    let mut world = World::new()?;
    world.dies_at("ledger.session_active:after", "/v1/sessions", &wish("acme-server-admin"))?;
    let sessions = world.comes_back("ledger.session_active:after")?;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["state"], "active", "{sessions:?}");
    let id = sessions[0]["id"].as_str().expect("an id");
    let over = world.product.cli_json(&["password", id, "--new"])?;
    assert!(world.ad.bind("jit-tech1", over["password"].as_str().expect("a password"))?.accepted());
    assert!(world.ad.open_accounts()?[0].ends_after(HOUR, &sessions[0]));
    world.product.cli_json(&["end", id])?;
    world.nothing_is_open("its end")?;
    Ok(())
}

#[test]
fn a_session_goes_on_when_its_broker_is_killed_and_ends_with_the_next() -> Outcome {
    let mut world = World::new()?;
    world.product.start_broker()?;
    let session = world.product.activate("acme-server-admin", &["--reason", "a long one"])?;
    for _ in 0..3 {
        world.product.kill_broker()?;
        assert!(world.ad.bind(session.name(), &session.password)?.accepted());
        world.product.start_broker()?;
        assert_eq!(world.product.session(&session.id)?["state"], "active");
    }
    assert!(world.ad.bind(session.name(), &session.password)?.accepted(), "no restart changes the password");
    let gone = world.product.cli(&["password", &session.id])?;
    assert!(gone.stderr.contains("[password_gone]"), "{gone:?}");
    world.product.cli_json(&["end", &session.id])?;
    assert!(!world.ad.bind(session.name(), &session.password)?.accepted());
    world.nothing_is_open("its end")?;
    Ok(())
}

#[test]
fn an_end_killed_at_any_point_is_finished_by_the_next_broker() -> Outcome {
    let mut world = World::new()?;
    for point in [
        "ledger.session_ending:after",
        "directory.close:before",
        "directory.close:after",
        "directory.revoke:before",
        "directory.revoke:after",
        "directory.rotate:before",
        "directory.rotate:after",
        "ledger.session_ended:before",
        "ledger.session_ended:after",
    ] {
        if !world.product.broker_runs()? {
            world.product.start_broker()?;
        }
        let session = world.product.activate("acme-domain-admin", &["--ticket", "4711"])?;
        world.dies_at(point, &format!("/v1/sessions/{}/end", session.id), &json!({}))?;
        let sessions = world.comes_back(point)?;
        let settled = sessions.iter().all(|one| one["state"] == "ended");
        assert!(settled, "{point}: {sessions:?}");
        assert!(!world.ad.bind(session.name(), &session.password)?.accepted(), "{point}");
        world.nothing_is_open(point)?;
    }
    Ok(())
}

#[test]
fn an_end_that_died_before_it_was_written_down_did_not_happen() -> Outcome {
    let mut world = World::new()?;
    world.product.start_broker()?;
    let session = world.product.activate("acme-server-admin", &["--reason", "ends later"])?;
    let point = "ledger.session_ending:before";
    world.dies_at(point, &format!("/v1/sessions/{}/end", session.id), &json!({}))?;
    let sessions = world.comes_back(point)?;
    assert_eq!(sessions[0]["state"], "active");
    assert!(world.ad.bind(session.name(), &session.password)?.accepted());
    Ok(())
}

#[test]
fn a_burner_that_died_while_it_was_deleted_is_gone() -> Outcome {
    let mut world = World::new()?;
    for point in ["directory.close:after", "directory.delete:before", "directory.delete:after"] {
        if !world.product.broker_runs()? {
            world.product.start_broker()?;
        }
        let session = world.product.activate("acme-burner", &["--reason", "short"])?;
        world.dies_at(point, &format!("/v1/sessions/{}/end", session.id), &json!({}))?;
        let sessions = world.comes_back(point)?;
        assert!(sessions.iter().all(|one| one["state"] == "ended"), "{point}: {sessions:?}");
        assert!(world.ad.look()?.accounts_below(world.ad.account_unit())?.is_empty(), "{point}");
    }
    Ok(())
}

#[test]
fn an_extension_that_died_half_way_leaves_one_end_that_both_sides_agree_on() -> Outcome {
    let mut world = World::new()?;
    for (point, hours) in [
        ("ledger.session_extended:before", 1),
        ("ledger.session_extended:after", 2),
        ("directory.set_end:before", 2),
        ("directory.set_end:after", 2),
    ] {
        if !world.product.broker_runs()? {
            world.product.start_broker()?;
        }
        let session = world.product.activate("acme-server-admin", &["--reason", "longer"])?;
        world.dies_at(point, &format!("/v1/sessions/{}/extend", session.id), &json!({"by_s": 3600}))?;
        world.comes_back(point)?;
        until(&format!("the directory's end after {point}"), LIMIT, || {
            let account = world.ad.look()?.account(session.name())?;
            Ok(account.is_some_and(|account| {
                account.enabled() && account.ends_after(hours * HOUR, &session.session)
            }))
        })?;
        assert!(world.ad.bind(session.name(), &session.password)?.accepted(), "{point}: without a gap");
        world.product.cli_json(&["end", &session.id])?;
        world.nothing_is_open(point)?;
    }
    Ok(())
}
