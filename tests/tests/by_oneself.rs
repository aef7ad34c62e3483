//! The whole product where a technician who is signed in activates by himself what Privileged Identity Management has him eligible
//! for, without any administrator's role; also with a broker that dies at each write. The tenant is a stand-in behind a proxy that holds
//! both sides to Microsoft's own description; no live tenant was ever called.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::time::Duration;

use serde_json::{Value, json};
use ticketgate_tests::keyring::Keyring;
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::person::{sign_in_at, value};
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::tenant::{Entra, Tenant};
use ticketgate_tests::{Outcome, Result};

const ROLE: &str = "Exchange Administrator";
/// PIM takes nothing away that it gave less than five minutes ago.
const YOUNG: u32 = 301;

struct World {
    product: Product,
    entra: Entra,
    graph: ticketgate_tests::prism::Prism,
    keyring: Keyring,
    acme: Tenant,
    terry: String,
    passed: u32,
}

impl World {
    fn start() -> Result<Self> {
        let (entra, keyring) = (Entra::start()?, Keyring::start()?);
        let graph = entra.through_prism()?;
        let acme = entra.tenant("acme")?;
        acme.add_user("terry");
        let terry = format!("terry@{}", acme.domain());
        acme.make_eligible(&terry, ROLE);
        acme.people_administrate();
        acme.people_are_nobody(true);
        acme.person(Some(&terry));
        let directory = format!(
            "[[directory]]\nid = \"acme-entra\"\ncustomer = \"acme\"\nkind = \"entra\"\ntenant = \"{}\"\nclient_id = \"{}\"\n\
             sign_in = \"technician\"\naccount_domain = \"{}\"\nlogin_url = \"{}\"\ngraph_url = \"{}\"\n",
            acme.id(),
            acme.public_client(),
            acme.domain(),
            entra.login_url(),
            graph.url()
        );
        let configuration = Configuration::empty()
            .generous()
            .technician("tech1", &login(), &["tier2"], &[("acme-entra", &terry)])
            .customer("acme", "Acme Corp", &[])
            .with(&directory)
            .policy(&Policy {
                id: "own",
                name: "own",
                directory: "acme-entra",
                mode: "membership",
                rights: vec![format!("role:{ROLE}")],
                ..Policy::default()
            });
        let product = Product::install(&configuration)?;
        let mut world = Self { product, entra, graph, keyring, acme, terry, passed: 0 };
        world.start_broker("")?;
        let asked = world.post("sign-in", &json!({ "port": 1 }))?;
        let back = sign_in_at(asked["address"].as_str().expect("an address"))?;
        let came = json!({ "state": asked["state"], "code": value(&back, "code") });
        let done = world.post("sign-in/go-on", &json!({ "id": asked["id"], "came": came }))?;
        assert_eq!(done["account"], world.terry, "{done}");
        Ok(world)
    }

    fn start_broker(&mut self, fault: &str) -> Result<()> {
        let bus = ("DBUS_SESSION_BUS_ADDRESS", self.keyring.address());
        let environment = [bus, ("TICKETGATE_FAULT", fault)];
        self.product
            .start_broker_with(environment.get(..if fault.is_empty() { 1 } else { 2 }).unwrap_or_default())
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.product.api("POST", &format!("/v1/directories/acme-entra/{what}"), None, body)?.json()
    }

    /// Time passes for the tenant and for the broker alike.
    fn pass(&mut self, seconds: u32) -> Result<()> {
        self.passed += seconds;
        self.acme.move_clock(Duration::from_secs(seconds.into()));
        self.product.move_clocks(self.passed.into(), 0)
    }

    /// In how many seconds the role ends, by the tenant's clock; nothing where it is not held.
    fn left(&self) -> Option<u64> {
        let held = self.acme.held_by(&self.terry);
        let end = held.first()?.end?;
        assert!(held.len() == 1 && held[0].activated, "{held:?}");
        Some(end.duration_since(self.acme.now()).map_or(0, |left| left.as_secs()))
    }

    fn ends_in(&self, seconds: u64) -> Result<()> {
        until(&format!("an end in {seconds} s"), LIMIT, || {
            Ok(self.left().is_some_and(|left| (seconds.saturating_sub(90)..=seconds + 5).contains(&left)))
        })
    }

    /// Nobody asked as an administrator does.
    fn was_by_oneself(&self) -> Result<()> {
        let actions: Vec<_> = self.acme.pim_requests().iter().map(|of| of["action"].to_string()).collect();
        assert!(actions.iter().all(|action| action.starts_with("\"self")), "{actions:?}");
        assert_eq!(self.entra.strange(), Vec::<String>::new());
        assert_eq!(self.graph.violations()?, Vec::<String>::new());
        Ok(())
    }
}

#[test]
fn a_technician_who_is_eligible_activates_a_role_by_a_session_and_holds_no_administrators_role() -> Outcome {
    let mut world = World::start()?;
    let check = world.product.cli(&["check"])?;
    assert!(check.stdout.contains("may activate the role Exchange Administrator"), "{check:?}");
    let id = world.product.granted(&wish("own"))?;
    world.ends_in(3600)?;
    let request = world.acme.pim_requests().remove(0);
    assert!(request["justification"].as_str().is_some_and(|why| why.ends_with(" (Ticketgate)")), "{request}");

    // Longer: not in its first five minutes, and then by giving it back.
    let young = world.product.cli(&["extend", &id, "--by", "30m"])?;
    assert!(!young.succeeded() && young.stderr.contains("[directory_down]"), "{young:?}");
    world.ends_in(3600)?;
    world.pass(YOUNG)?;
    world.product.cli_json(&["extend", &id, "--by", "30m"])?;
    world.ends_in(5400 - u64::from(YOUNG))?;
    // A broker that knows nothing any more ends it all the same.
    world.product.kill_broker()?;
    world.start_broker("")?;
    world.pass(YOUNG)?;
    world.product.cli_json(&["end", &id])?;
    assert_eq!(world.left(), None);

    // What he activated himself is his, while it lasts; the session gives the rest, at that time and by itself.
    world.acme.activate(&world.terry, ROLE, Duration::from_secs(900));
    let id = world.product.granted(&wish("own"))?;
    world.ends_in(900)?;
    world.pass(905)?;
    world.ends_in(3600 - 905)?;
    world.pass(YOUNG)?;
    world.product.cli_json(&["end", &id])?;
    assert_eq!(world.left(), None);
    Ok(world.was_by_oneself()?)
}

#[test]
fn a_broker_that_dies_at_any_write_of_an_own_activation_leaves_none_behind_and_takes_none_early() -> Outcome {
    let mut world = World::start()?;
    for point in ["ledger.session_begin:after", "directory.grant:before", "directory.grant:after"] {
        world.product.kill_broker()?;
        world.start_broker(point)?;
        let _ = world.product.ask_for(&wish("own"));
        world.product.wait_for_broker_to_end()?;
        world.start_broker("")?;
        world.pass(YOUNG)?;
        until(&format!("what {point} left to be taken back"), LIMIT, || Ok(world.left().is_none()))?;
        all_are(&world.product, "failed")?;
    }
    // The extension's one step is two requests: to give back, and to activate.
    for point in ["directory.grant:before", "directory.grant:after"] {
        let id = world.product.granted(&wish("own"))?;
        world.pass(YOUNG)?;
        world.product.kill_broker()?;
        world.start_broker(point)?;
        let said = world.product.cli(&["extend", &id, "--by", "30m"])?;
        assert!(!said.succeeded(), "{said:?}");
        world.product.wait_for_broker_to_end()?;
        world.start_broker("")?;
        world.ends_in(5400 - u64::from(YOUNG))?;
        end(&mut world, &id)?;
    }
    // In between, by a tenant that answers the second no more.
    let id = world.product.granted(&wish("own"))?;
    world.pass(YOUNG)?;
    world.acme.lets_go_after(Duration::from_secs(600));
    let said = world.product.cli(&["extend", &id, "--by", "30m"])?;
    assert!(!said.succeeded(), "{said:?}");
    world.acme.lets_go_after(Duration::ZERO);
    world.pass(600)?;
    world.ends_in(3600 - u64::from(YOUNG) - 600)?;
    end(&mut world, &id)?;

    for point in [
        "ledger.session_ending:after",
        "directory.revoke:before",
        "directory.revoke:after",
        "ledger.session_ended:before",
    ] {
        let id = world.product.granted(&wish("own"))?;
        world.pass(YOUNG)?;
        world.product.kill_broker()?;
        world.start_broker(point)?;
        let _ = world.product.cli(&["end", &id])?;
        world.product.wait_for_broker_to_end()?;
        world.start_broker("")?;
        world.product.session_becomes(&id, "ended")?;
        assert_eq!(world.left(), None, "{point}");
    }
    Ok(world.was_by_oneself()?)
}

fn end(world: &mut World, id: &str) -> Result<()> {
    world.pass(YOUNG)?;
    world.product.cli_json(&["end", id])?;
    assert_eq!(world.left(), None);
    Ok(())
}

fn all_are(product: &Product, state: &str) -> Result<()> {
    until(&format!("all sessions to be {state}"), LIMIT, || {
        Ok(product.sessions()?.iter().all(|session| session["state"] == state))
    })
}
