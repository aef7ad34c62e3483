//! A person who is signed in takes by himself what Privileged Identity Management has him eligible for: without any administrator's
//! role, as the tenant's people here hold none unless a case says so.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use ticketgate_directory::{By, Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::person;
use ticketgate_tests::tenant::Tenant;

use crate::people::{Store, is_sign_in, people_of, sign_in, started, started_for, texts};
use crate::world::{EXCHANGE, ROLE, Scene, World, account};

const HELD: &str = "role:Exchange Administrator";

/// Terry, who is signed in, his own account, and what he is eligible for.
async fn terrys(world: &World, name: &str, eligible: &[&str]) -> Scene {
    terrys_in(world, name, eligible, &Arc::default()).await
}

async fn terrys_in(world: &World, name: &str, eligible: &[&str], store: &Arc<Store>) -> Scene {
    let mut of = people_of(world, name, store);
    of.account = account(Mode::Membership, "terry", &of.tenant.domain());
    for what in eligible {
        of.tenant.make_eligible(of.name(), what);
    }
    of.tenant.people_are_nobody(true);
    sign_in(&of.directory).await;
    of
}

/// The actions that PIM was asked for, in order.
fn actions(tenant: &Tenant) -> Vec<String> {
    let requests = tenant.pim_requests();
    requests.iter().map(|request| request["action"].as_str().unwrap_or_default().to_owned()).collect()
}

fn end_of(of: &Scene) -> DateTime<Utc> {
    of.held()[0].end.unwrap().into()
}

fn ends_with_the_session(of: &Scene) {
    let (end, until) = (end_of(of), of.sessions[0].until);
    assert!((end - until).abs() <= TimeDelta::seconds(3), "{end} {until}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_eligible_needs_no_administrators_role() {
    let world = World::new();
    lives(terrys(&world, "lives", &[EXCHANGE]).await).await;
    groups(&world).await;
    several(terrys(&world, "several", &[EXCHANGE, "Teams Administrator"]).await).await;
    another_broker(&world).await;
    world.is_as_described();
}

async fn lives(mut of: Scene) {
    of.start(&[ROLE], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant"]);
    assert!(of.held()[0].activated);
    ends_with_the_session(&of);
    let request = of.tenant.pim_requests().remove(0);
    assert_eq!(request["justification"], "#4711 mailbox (Ticketgate)");
    assert_eq!(request["ticketInfo"], json!({ "ticketNumber": "4711", "ticketSystem": "autotask" }));
    assert_eq!(request["scheduleInfo"]["expiration"]["type"], "afterDateTime");

    // Nothing is asked for that is known: two looks, one question what he may, one request.
    of.tenant.forget_asked();
    assert!(of.converge().await.unwrap().is_empty());
    assert_eq!(of.tenant.lines().len(), 3, "{:?}", of.tenant.lines());

    // Longer: PIM moves no end of an activation, so it is given back and taken anew; not in its first five minutes.
    of.sessions[0].until += TimeDelta::minutes(30);
    let young = of.converge().await.unwrap_err();
    assert!(matches!(young, DirectoryError::NotYet { after_s: 290..=300, .. }), "{young:?}");
    assert!(of.held()[0].activated);
    of.pass(301);
    of.tenant.lets_go_after(Duration::from_secs(2));
    of.converge().await.unwrap();
    ends_with_the_session(&of);
    assert_eq!(actions(&of.tenant), ["selfActivate", "selfDeactivate", "selfActivate"]);

    // Its end, as soon as PIM lets it.
    of.end();
    let young = of.converge().await.unwrap_err();
    assert!(matches!(young, DirectoryError::NotYet { .. }), "{young:?}");
    of.pass(301);
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[]);
    assert_eq!(actions(&of.tenant).last().unwrap(), "selfDeactivate");

    // At its own end it is over without anybody.
    of.start(&[ROLE], 60);
    of.tenant.lets_go_after(Duration::ZERO);
    of.converge().await.unwrap();
    of.pass(3601);
    of.holds(&[]);
    of.end();
    assert!(of.converge().await.unwrap().is_empty());
}

async fn groups(world: &World) {
    let store = Arc::default();
    let mut of = terrys_in(world, "groups", &[], &store).await;
    let group = of.tenant.add_group("Helpdesk");
    of.tenant.make_eligible(of.name(), &group);
    let right = format!("group:{group}");
    of.directory = started_for(&of.settings, &store, &[&right]);
    of.start(&[&right], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant"]);
    assert!(of.held()[0].activated);
    ends_with_the_session(&of);
    of.pass(301);
    of.end();
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[]);
    assert_eq!(actions(&of.tenant), ["selfActivate", "selfDeactivate"]);
}

/// Two rights of one session ask once what he may.
async fn several(mut of: Scene) {
    let teams = "role:Teams Administrator";
    of.start(&[ROLE, teams], 60);
    of.converge().await.unwrap();
    of.holds(&[HELD, teams]);
    let asked = of.tenant.lines().iter().filter(|line| line.contains("roleEligibility")).count();
    assert_eq!(asked, 1, "{:?}", of.tenant.lines());
}

/// A broker that knows nothing any more tells its session's activation from the person's own by the request.
async fn another_broker(world: &World) {
    let store = Arc::default();
    let mut of = terrys_in(world, "restarted", &[EXCHANGE], &store).await;
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.pass(301);
    of.directory = started(&of.settings, &store);
    of.tenant.forget_asked();
    of.end();
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[]);
    let asked = of.tenant.lines();
    assert_eq!(asked.iter().filter(|line| line.contains("Requests/filterBy")).count(), 1, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_activates_himself_beside_a_session_stays_his_and_the_session_gives_the_rest() {
    let world = World::new();
    for by_people in [true, false] {
        // The same where the application itself signs in, and gives as an administrator does.
        let mut of = match by_people {
            true => terrys(&world, "beside", &[EXCHANGE]).await,
            false => {
                let mut of = world.scene("beside-app", &[ROLE]);
                of.tenant.add_user("terry");
                of.account = account(Mode::Membership, "terry", &of.tenant.domain());
                of
            }
        };
        // His own lasts longer than the session.
        of.tenant.activate(of.name(), EXCHANGE, Duration::from_secs(2 * 3600));
        let own = end_of(&of);
        let seen = of.directory.observe(&of.account).await.unwrap().account.unwrap();
        assert_eq!(seen.own, seen.rights);
        of.start(&[ROLE], 30);
        assert!(of.converge().await.unwrap().is_empty());
        of.pass(301);
        of.end();
        assert!(of.converge().await.unwrap().is_empty());
        assert_eq!(end_of(&of), own);

        // It is over before the session is: what is left of it is given, and taken.
        of.pass(2 * 3600);
        of.holds(&[]);
        of.tenant.activate(of.name(), EXCHANGE, Duration::from_secs(900));
        of.start(&[ROLE], 60);
        assert!(of.converge().await.unwrap().is_empty());
        of.pass(901);
        of.holds(&[]);
        assert_eq!(of.converge().await.unwrap(), ["directory.grant"]);
        ends_with_the_session(&of);
        assert_eq!(of.held()[0].activated, by_people);
        of.pass(301);
        of.end();
        assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
        of.holds(&[]);
    }
    world.is_as_described();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_an_activation_is_said_and_gives_nothing() {
    let world = World::new();
    settings_of_the_role(&world).await;
    context(terrys(&world, "context", &[EXCHANGE]).await).await;
    administrators(&world).await;
    not_eligible_any_more(&world).await;
    world.is_as_described();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_costs_no_activation_and_leaves_none() {
    let world = World::new();
    lost(&world).await;
    world.is_as_described();
}

async fn settings_of_the_role(world: &World) {
    type Told = fn(&Tenant);
    let rows: [(&str, Told, &str); 3] = [
        ("short", |t| t.longest(EXCHANGE, Duration::from_secs(1800)), "ExpirationRule"),
        ("ticket", |t| t.demand(EXCHANGE, &["Ticketing"]), "TicketingRule"),
        ("factor", |t| t.demand(EXCHANGE, &["MultiFactorAuthentication"]), "MfaRule"),
    ];
    for (name, told, rule) in rows {
        let mut of = terrys(world, name, &[EXCHANGE]).await;
        of.start(&[ROLE], 60);
        of.sessions[0].ticket = None;
        told(&of.tenant);
        let refused = of.converge().await.unwrap_err();
        let said = matches!(&refused, DirectoryError::TenantPolicy(why) if why.contains(rule));
        assert!(said, "{name}: {refused:?}");
        of.holds(&[]);
    }
    // An approval: withdrawn, also where the answer to the request was lost.
    for (name, lost) in [("approval", None), ("approval-lost", Some(4))] {
        let mut of = terrys(world, name, &[EXCHANGE]).await;
        of.tenant.approval(EXCHANGE);
        if let Some(nth) = lost {
            of.tenant.lose_answer(nth);
        }
        of.start(&[ROLE], 60);
        let waits = of.converge().await.unwrap_err();
        let said = matches!(&waits, DirectoryError::Waiting(why) if why.contains("was withdrawn") && !why.contains("administrator"));
        assert!(said, "{name}: {waits:?}");
        let requests: Vec<Value> = of.tenant.pim_requests();
        assert!(requests.len() == 1 && requests[0]["status"] == "Canceled", "{name}: {requests:?}");
        of.holds(&[]);
    }
}

/// An authentication context is shown at the next sign-in, and then the role is there.
async fn context(mut of: Scene) {
    of.tenant.context(EXCHANGE, "c1");
    of.start(&[ROLE], 60);
    assert!(is_sign_in(&of.converge().await.unwrap_err()));
    let asked = of.directory.begin_sign_in(By::Browser { port: 1 }).await.unwrap();
    assert!(person::value(&asked.address, "claims").unwrap().contains("c1"), "{}", asked.address);
    sign_in(&of.directory).await;
    of.converge().await.unwrap();
    of.holds(&[HELD]);
}

/// Who is not eligible, somebody else who is signed in, and JIT accounts: given and taken as an administrator does.
async fn administrators(world: &World) {
    for (name, eligible, signed_in, permitted) in [
        ("assigned", false, "terry", true),
        ("for-another", true, "andy", true),
        ("not-asked", true, "terry", false),
    ] {
        let mut of = terrys(world, name, if eligible { &[EXCHANGE] } else { &[] }).await;
        of.tenant.people_are_nobody(false);
        let andy = of.tenant.add_user("andy");
        if signed_in == "andy" {
            of.tenant.person(Some(&andy));
            sign_in(&of.directory).await;
        }
        if !permitted {
            let reads = ["RoleEligibilitySchedule.Read.Directory", "RoleManagement.Read.Directory"];
            of.tenant.delegated_without(&reads);
            of.tenant.forget_tokens();
        }
        of.start(&[&format!("role:{}", of.tenant.role(EXCHANGE).unwrap())], 60);
        let done = of.converge().await;
        if permitted {
            done.unwrap();
            assert!(!of.held()[0].activated);
        }
        assert_eq!(actions(&of.tenant), ["adminAssign"], "{name}");
        of.tenant.person(Some(of.name()));
    }
    // Nobody who may not give it.
    let mut of = terrys(world, "nobody", &[]).await;
    of.start(&[ROLE], 60);
    let refused = of.converge().await.unwrap_err();
    assert!(matches!(refused, DirectoryError::NotDelegated(_)), "{refused:?}");
    // What somebody activated is taken by another who is signed in when it is to end.
    let mut of = terrys(world, "another-takes", &[EXCHANGE]).await;
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.tenant.people_are_nobody(false);
    of.tenant.person(Some(&of.tenant.add_user("andy")));
    sign_in(&of.directory).await;
    of.pass(301);
    of.end();
    of.converge().await.unwrap();
    of.holds(&[]);
    assert_eq!(actions(&of.tenant), ["selfActivate", "adminRemove"]);
}

/// The eligibility went while the role was active: an administrator's hand takes it, nobody else's, and that is said.
async fn not_eligible_any_more(world: &World) {
    for administrates in [true, false] {
        let mut of = terrys(world, &format!("went-{administrates}"), &[EXCHANGE]).await;
        of.start(&[ROLE], 60);
        of.converge().await.unwrap();
        of.pass(301);
        of.tenant.make_ineligible(of.name(), EXCHANGE);
        // It cannot be made longer; as it is it stays.
        of.sessions[0].until += TimeDelta::minutes(30);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let refused = of.converge().await.unwrap_err();
        assert!(
            matches!(&refused, DirectoryError::TenantPolicy(why) if why.contains("not eligible for it any more")),
            "{refused:?}"
        );
        of.holds(&[HELD]);
        of.tenant.people_are_nobody(!administrates);
        of.tenant.fail_next("ScheduleRequests", 400, "RoleAssignmentRequestPolicyValidationFailed");
        of.end();
        let ended = of.converge().await;
        if administrates {
            ended.unwrap();
            of.holds(&[]);
            assert_eq!(actions(&of.tenant), ["selfActivate", "adminRemove"]);
        } else {
            assert!(matches!(ended, Err(DirectoryError::TenantPolicy(_))), "{ended:?}");
            of.pass(3600);
            of.converge().await.unwrap();
            of.holds(&[]);
        }
    }
}

/// The work was done and its answer did not arrive: at each request of an activation, an extension and an end in turn.
async fn lost(world: &World) {
    let mut of = terrys(world, "lost", &[EXCHANGE]).await;
    for nth in 0..5 {
        of.tenant.lets_go_after(Duration::ZERO);
        of.start(&[ROLE], 60);
        of.tenant.lose_answer(nth);
        settles(&mut of).await;
        of.holds(&[HELD]);
        of.pass(301);
        of.sessions[0].until += TimeDelta::minutes(30);
        of.tenant.lets_go_after(Duration::from_secs(1));
        of.tenant.lose_answer(nth + 2);
        settles(&mut of).await;
        ends_with_the_session(&of);
        of.pass(301);
        of.end();
        of.tenant.lose_answer(nth);
        settles(&mut of).await;
        of.holds(&[]);
        of.sessions.clear();
    }
    assert!(actions(&of.tenant).iter().all(|action| action.starts_with("self")), "{:?}", actions(&of.tenant));
}

async fn settles(of: &mut Scene) {
    let mut done = of.converge().await;
    for _ in 0..3 {
        if matches!(&done, Err(error) if error.is_passing()) {
            done = of.converge().await;
        }
    }
    done.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_which_way_a_role_would_be_given_and_what_that_needs() {
    let world = World::new();
    let of = terrys(&world, "check", &[EXCHANGE]).await;
    let found = texts(&of.directory).await;
    let says = |found: &[String], part: &str| {
        assert!(found.iter().any(|text| text.contains(part)), "{part}: {found:#?}");
    };
    says(&found, "ok terry@check.onmicrosoft.com may activate the role Exchange Administrator");
    says(&found, "RoleAssignmentSchedule.ReadWrite.Directory");
    of.tenant.make_ineligible(of.name(), EXCHANGE);
    says(&texts(&of.directory).await, "is not eligible for the role Exchange Administrator");
    says(&texts(&of.directory).await, "Privileged Role Administrator");
    world.is_as_described();
}
