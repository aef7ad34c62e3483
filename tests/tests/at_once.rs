//! Entra ID asked for much at once: the roles of one session, and many tenants, some of which want to be left alone.
#![allow(clippy::indexing_slicing, reason = "a test may panic: that is how it fails")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use ticketgate_tests::Outcome;
use ticketgate_tests::patience::until;
use ticketgate_tests::product::asking::wish;
use ticketgate_tests::product::configuration::login;
use ticketgate_tests::product::{Configuration, Policy, Product};
use ticketgate_tests::tenant::{Asked, Entra, Tenant, too_early};

const TENANTS: usize = 40;
const SESSIONS: usize = 20;
const HOUR: u32 = 3600;
/// As many as a look has requests under way at once.
const A_LOOK: u32 = 3;
/// What tenants say; the last is longer than anybody waits with a request in hand, so the end is tried again.
const WAITS: [&str; 4] = ["0.75", "2.128", "4.5", "11.25"];
/// The longest of them, the work, and a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Broker and stand-in with so many tenants, each with a directory of its own and a policy of the tenant's name.
fn many(entra: &Entra) -> ticketgate_tests::Result<(Product, Vec<Tenant>)> {
    let mut configuration = Configuration::empty()
        .generous()
        .broker("sessions_at_once = 100")
        .technician("tech1", &login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &[]);
    let mut tenants = Vec::new();
    for n in 0..TENANTS {
        let tenant = entra.tenant(&format!("t{n}"))?;
        let name: &'static str = format!("t{n}").leak();
        configuration = configuration.with(&tenant.section(name, "acme")?).policy(&Policy {
            id: name,
            name,
            directory: name,
            rights: vec!["role:Exchange Administrator".into()],
            ..Policy::default()
        });
        tenants.push(tenant);
    }
    Ok((Product::start(&configuration)?, tenants))
}

/// How many answers of those that fit were waited for at one time, where each takes so long.
fn most_at_once(asked: &[Asked], takes: Duration, fits: impl Fn(&Asked) -> bool) -> usize {
    let begins: Vec<_> = asked.iter().filter(|one| fits(one)).map(|one| one.at).collect();
    let with = |begin: &Instant| begins.iter().filter(|at| (*begin..*begin + takes).contains(*at)).count();
    begins.iter().map(with).max().unwrap_or_default()
}

#[test]
fn the_roles_of_one_session_are_asked_for_at_once_and_the_account_opened_after_them_alone() -> Outcome {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    let tenant = entra.tenant("acme")?;
    let roles = ["Exchange", "Groups", "Teams"].map(|name| format!("role:{name} Administrator"));
    let configuration = Configuration::empty()
        .technician("tech1", &login(), &["tier2"], &[])
        .customer("acme", "Acme Corp", &[])
        .with(&tenant.section("acme-entra", "acme")?)
        .policy(&Policy {
            id: "three",
            directory: "acme-entra",
            rights: roles.to_vec(),
            ..Policy::default()
        });
    let product = Product::start(&configuration)?;
    let answer = Duration::from_millis(250);
    tenant.delay(answer);
    let is_request = |asked: &Asked| asked.template.ends_with("ScheduleRequests");
    let writes = |asked: &Asked| asked.method != "GET" && !asked.template.contains("token");

    let id = product.granted(&wish("three"))?;
    let asked = tenant.asked();
    assert_eq!(most_at_once(&asked, answer, is_request), 3, "{asked:?}");
    let opening = |asked: &Asked| asked.method == "PATCH";
    let opened = asked.iter().find(|asked| opening(asked)).map(|asked| asked.at);
    let given = asked.iter().filter(|asked| is_request(asked)).map(|asked| asked.at + answer).max();
    assert!(opened > given, "nobody can sign in before every role has its end");
    // One list of the roles' names, however many ask for it.
    let names = asked.iter().filter(|asked| asked.template.ends_with("roleDefinitions")).count();
    assert_eq!(names, 1);

    // PIM keeps what it gave for its first five minutes.
    tenant.move_clock(Duration::from_secs(301));
    product.move_clocks(301, 0)?;
    tenant.forget_asked();
    product.cli_json(&["end", &id])?;
    let asked = tenant.asked();
    assert_eq!(most_at_once(&asked, answer, is_request), 3, "{asked:?}");
    assert_eq!(most_at_once(&asked, answer, writes), 3, "the rest is in its order: {asked:?}");
    assert_eq!(asked.len(), 12, "look, close, three roles, sign-ins, password, look");
    assert_eq!(entra.strange(), Vec::<String>::new());
    assert_eq!(graph.violations()?, Vec::<String>::new());
    Ok(())
}

#[test]
fn twenty_ends_at_one_second_keep_every_retry_after_lose_none_and_wait_for_no_other_tenant() -> Outcome {
    let entra = Entra::start()?;
    let graph = entra.through_prism()?;
    let (product, tenants) = many(&entra)?;
    let ids: Vec<String> =
        (0..SESSIONS).map(|n| product.granted(&wish(&format!("t{n}")))).collect::<Result<_, _>>()?;
    let held = |tenant: &Tenant| tenant.held_by(&format!("jit-tech1@{}", tenant.domain())).len();
    assert!(tenants.iter().take(SESSIONS).all(|tenant| held(tenant) == 1));

    for (tenant, wait) in tenants.iter().zip(WAITS) {
        tenant.throttle(A_LOOK, Some(wait));
    }
    tenants.iter().for_each(Tenant::forget_asked);
    // All of them end in the second that comes now.
    for tenant in &tenants {
        tenant.move_clock(Duration::from_secs(HOUR.into()));
    }
    product.move_clocks(HOUR.into(), 0)?;
    let mut left = Vec::new();
    until("every session to end", LIMIT, || {
        let all = product.sessions()?;
        left = all.into_iter().filter(|session| session["state"] != "ended").collect::<Vec<Value>>();
        Ok(left.is_empty())
    })?;

    let ended: Vec<_> = ids.iter().map(|id| product.session(id)).collect::<Result<_, _>>()?;
    assert!(ended.iter().all(|session| session["end_cause"] == "expired"), "{ended:?}");
    for tenant in tenants.iter().take(SESSIONS) {
        let user = tenant.user(&format!("jit-tech1@{}", tenant.domain()));
        assert!(user.is_some_and(|user| !user.enabled) && held(tenant) == 0, "{}", tenant.domain());
    }
    assert_eq!(too_early(&entra.journal()), Vec::<String>::new());
    for (tenant, wait) in tenants.iter().zip(WAITS) {
        // The requests of one look, and not one of them a second time.
        let asked = tenant.asked();
        let told: Vec<_> =
            asked.iter().filter(|asked| asked.wait.is_some()).map(|asked| &asked.template).collect();
        let different: BTreeSet<_> = told.iter().collect();
        assert_eq!((told.len(), different.len()), (3, 3), "{wait}: {told:?}");
    }
    // Whoever was not told to wait was done before the first that was could be asked again.
    let at = |session: &Value| session["ended_at"].as_str().unwrap_or_default().to_owned();
    let (waited, others) = ended.split_at(WAITS.len());
    let last = others.iter().map(at).max();
    let slowest = waited.iter().map(at).max();
    assert!(last < slowest, "{last:?} {slowest:?}");
    assert_eq!(entra.strange(), Vec::<String>::new());
    assert_eq!(graph.violations()?, Vec::<String>::new());
    Ok(())
}
