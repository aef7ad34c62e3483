//! The whole product on Entra ID tenants: activation, ends, refusals, a broker that dies, and a lost ledger. The tenants are stand-ins
//! behind a proxy that holds both sides to Microsoft's own description; no live tenant was ever called.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "a test may panic: that is how it fails")]

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ticketgate_tests::patience::{LIMIT, until};
use ticketgate_tests::prism::Prism;
use ticketgate_tests::product::asking::{REASON, wish};
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::tenant::{Entra, PassPolicy, Tenant};
use ticketgate_tests::{Outcome, Result};

const EXCHANGE: &str = "role:Exchange Administrator";
/// PIM takes nothing away that it gave less than five minutes ago.
const YOUNG: u32 = 301;

struct World {
    product: Product,
    entra: Entra,
    graph: Prism,
    acme: Tenant,
    small: Tenant,
}

impl World {
    /// `acme` has PIM, `small` has none and hands out passes; both belong to the customer.
    fn start() -> Result<Self> {
        let entra = Entra::start()?;
        let graph = entra.through_prism()?;
        let (acme, small) = (entra.tenant("acme")?, entra.tenant("small")?);
        acme.add_user("terry");
        small.pim(false);
        let product = Product::start(&configuration(&acme, &small)?)?;
        Ok(Self { product, entra, graph, acme, small })
    }

    /// Time passes for the tenants and for the broker alike.
    fn pass(&self, seconds: u32, since_start: &mut u32) -> Result<()> {
        *since_start += seconds;
        for tenant in [&self.acme, &self.small] {
            tenant.move_clock(Duration::from_secs(seconds.into()));
        }
        self.product.move_clocks((*since_start).into(), 0)
    }

    fn refused(&self, policy: &str, code: &str) -> Result<Value> {
        let answer = self.product.ask_for(&wish(policy))?;
        let problem = answer.json()?;
        assert_eq!(problem["code"], code, "{policy}: {problem}");
        Ok(problem)
    }

    /// Nobody can sign in to any JIT account.
    fn all_closed(&self) {
        for tenant in [&self.acme, &self.small] {
            let open: Vec<_> = tenant
                .users()
                .into_iter()
                .filter(|user| user.enabled && user.name.starts_with("jit-"))
                .collect();
            assert!(open.is_empty(), "{open:?}");
        }
    }
}

fn configuration(acme: &Tenant, small: &Tenant) -> Result<Configuration> {
    let policy = |id: &'static str, directory: &'static str, mode: &'static str, right: &str| Policy {
        id,
        name: id,
        directory,
        mode,
        rights: vec![right.to_owned()],
        ..Policy::default()
    };
    let own = format!("terry@{}", acme.domain());
    Ok(Configuration::empty()
        .generous()
        .technician("tech1", &login(), &["tier2"], &[("acme-entra", &own)])
        .customer("acme", "Acme Corp", &[])
        .with(&acme.section("acme-entra", "acme")?)
        .with(&format!("{}login = \"pass\"\n", small.section("small-entra", "acme")?))
        .policy(&policy("exchange", "acme-entra", "dedicated", EXCHANGE))
        .policy(&policy("once", "acme-entra", "burner", EXCHANGE))
        .policy(&policy("own", "acme-entra", "membership", EXCHANGE))
        .policy(&policy("approved", "acme-entra", "burner", "role:User Administrator"))
        .policy(&policy("unknown", "acme-entra", "burner", "role:Exchange Admin"))
        .policy(&policy("small", "small-entra", "dedicated", EXCHANGE)))
}

/// What was told about the end when a session began.
fn guarantee(product: &Product, session: &str) -> Result<String> {
    let granted = |record: &&Value| {
        record["action"] == "activation.granted"
            && record.pointer("/details/session") == Some(&json!(session))
    };
    let audit = product.audit()?;
    Ok(audit
        .iter()
        .find(granted)
        .map(|record| record["details"]["guarantee"].to_string())
        .unwrap_or_default())
}

#[test]
fn technicians_get_roles_of_a_tenant_for_a_time_and_nothing_outlives_it() -> Outcome {
    let world = World::start()?;
    let mut passed = 0;
    let World { product, acme, small, .. } = &world;

    // A JIT account with a role that Entra ID itself takes away.
    let session = product.activate("exchange", &REASON)?;
    let name = format!("jit-tech1@{}", acme.domain());
    assert_eq!(session.account, name);
    assert!(acme.sign_in(&name, &session.password));
    let held = acme.held_by(&name);
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0].right, EXCHANGE);
    let end = held[0].end.expect("an end").duration_since(SystemTime::now())?.as_secs();
    assert!((3500..=3600).contains(&end), "{end}");
    assert_eq!(acme.pim_requests()[0]["justification"], REASON[1]);
    let guarantee = self::guarantee(product, &session.id)?;
    assert!(guarantee.contains("Entra ID itself takes the roles"), "{guarantee}");

    // Extended: the end in the tenant moves along.
    product.cli_json(&["extend", &session.id, "--by", "30m"])?;
    let moved = acme.held_by(&name)[0].end.expect("an end").duration_since(SystemTime::now())?.as_secs();
    assert!((5300..=5400).contains(&moved), "{moved}");

    // Ended in the first five minutes: closed at once, said to be ending until the role is gone.
    let ending = product.cli(&["--json", "end", &session.id])?;
    assert!(!ending.succeeded(), "{ending:?}");
    let trouble = product.session(&session.id)?;
    assert_eq!(trouble["state"], "ending", "{trouble}");
    world.all_closed();
    assert!(!acme.sign_in(&name, &session.password));
    world.pass(YOUNG, &mut passed)?;
    product.session_becomes(&session.id, "ended")?;
    assert!(acme.held_by(&name).is_empty());

    // A burner goes with all that it has, at once.
    let burner = product.activate("once", &REASON)?;
    assert!(acme.sign_in(&burner.account, &burner.password));
    product.cli_json(&["end", &burner.id])?;
    assert!(acme.user(&burner.account).is_none());

    // A person's own account is lent the role and otherwise left alone.
    let own = format!("terry@{}", acme.domain());
    let before = acme.user(&own).expect("a person").properties;
    let id = product.granted(&wish("own"))?;
    assert_eq!(acme.held_by(&own).len(), 1);
    assert_eq!(acme.user(&own).expect("a person").properties, before);
    world.pass(YOUNG, &mut passed)?;
    product.cli_json(&["end", &id])?;
    assert!(acme.held_by(&own).is_empty());

    // No PIM: given for good and taken by the broker, which is said; the pass ends by itself.
    let pass = product.activate("small", &REASON)?;
    assert!(small.sign_in(&pass.account, &pass.password));
    assert_ne!(small.user(&pass.account).expect("an account").password, pass.password);
    let said = self::guarantee(product, &pass.id)?;
    assert!(
        said.contains("Entra ID itself refuses the pass") && said.contains("by the broker alone"),
        "{said}"
    );
    assert!(small.held_by(&pass.account)[0].end.is_none());
    // At its end, without anybody's doing.
    world.pass(3600, &mut passed)?;
    product.session_becomes(&pass.id, "ended")?;
    assert!(small.held_by(&pass.account).is_empty() && small.passes_of(&pass.account).is_empty());
    world.all_closed();

    let check = product.cli(&["check"])?;
    for said in ["the tenant has PIM", "taken away by the broker alone", "has no role \"exchange admin\""] {
        assert!(check.stdout.contains(said), "{said}: {check:?}");
    }
    assert_eq!(world.entra.strange(), Vec::<String>::new());
    assert_eq!(world.graph.violations()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_a_tenant_refuses_is_told_in_words_and_a_broker_that_dies_leaves_nothing_behind() -> Outcome {
    let mut world = World::start()?;
    let mut passed = 0;
    world.acme.approval("User Administrator");
    world.small.pass_policy(PassPolicy { enabled: false, ..PassPolicy::default() });
    for (policy, code) in
        [("unknown", "unknown_right"), ("approved", "directory_waits"), ("small", "tenant_policy")]
    {
        let problem = world.refused(policy, code)?.to_string();
        // No id of a tenant, no answer of a server.
        assert!(!problem.contains(world.acme.id()) && !problem.contains("request-id"), "{problem}");
        world.all_closed();
    }
    world.acme.app_role(false);
    world.refused("once", "not_delegated")?;
    world.acme.app_role(true);
    world.acme.throttle(1, Some("11.5"));
    let busy = world.refused("once", "directory_down")?;
    assert!(busy["retry_after_s"].as_u64().is_some_and(|s| (10..=12).contains(&s)), "{busy}");
    world.acme.throttle(0, None);
    world.pass(YOUNG, &mut passed)?;
    until("all that failed to be taken back", LIMIT, || {
        let sessions = world.product.sessions()?;
        Ok(sessions.iter().all(|session| session["state"] == "failed"))
    })?;
    assert!(world.acme.users().iter().all(|user| !user.name.starts_with("jit-")), "{:?}", world.acme.users());

    // Killed at each write of an activation: the next broker takes back what nobody waits for any more.
    for point in
        ["directory.create:after", "directory.grant:after", "directory.open:before", "directory.open:after"]
    {
        world.product.kill_broker()?;
        world.product.start_broker_meeting(point)?;
        let _ = world.product.ask_for(&wish("once"));
        world.product.wait_for_broker_to_end()?;
        world.product.start_broker()?;
        until(&format!("what {point} left to be taken back"), LIMIT, || {
            Ok(world.acme.users().iter().all(|user| !user.name.starts_with("jit-")))
        })?;
    }

    // The ledger is lost while a role is out.
    let session = world.product.activate("exchange", &REASON)?;
    world.product.kill_broker()?;
    for entry in fs::read_dir(world.product.state())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("ledger") {
            fs::remove_file(entry.path())?;
        }
    }
    let recovered = world.product.cli(&["recover"])?;
    let closed = world.acme.user(&session.account).expect("the account");
    assert!(!closed.enabled && !world.acme.sign_in(&session.account, &session.password), "{recovered:?}");
    world.pass(YOUNG, &mut passed)?;
    world.product.cli(&["recover"])?;
    until("the role to be taken", LIMIT, || Ok(world.acme.held_by(&session.account).is_empty()))?;
    assert_eq!(world.entra.strange(), Vec::<String>::new());
    assert_eq!(world.graph.violations()?, Vec::<String>::new());
    assert!(!world.product.broker_log().contains(&json!(session.password).to_string()));
    Ok(())
}
