//! What takes time in a tenant: copies that have not heard of a write, provisioning, five minutes of PIM, and being asked to wait.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use ticketgate_access::desired::{Step, Why};
use ticketgate_access::session::Right;
use ticketgate_directory::{Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::tenant::Tenant;

use crate::world::{EXCHANGE, ROLE, Scene, World, account};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_shows_late_is_waited_for_and_what_is_over_is_closed_all_the_same() {
    let world = World::new();
    // Each waits in a tenant of its own.
    tokio::join!(
        copies(world.scene("copies", &[ROLE])),
        provisioning(world.scene("provisioning", &[ROLE])),
        five_minutes(world.scene("young", &[ROLE])),
        busy(&world),
        busy_login(&world),
        lost(world.scene("lost", &[ROLE])),
        lost_and_late(world.scene("both", &[ROLE]), true),
        lost_and_late(world.scene("both-small", &[ROLE]), false),
        own(world.scene("own", &[ROLE])),
        unknown_to_a_copy(world.scene("copy", &[ROLE])),
    );
    world.is_as_described();
}

async fn copies(mut of: Scene) {
    of.tenant.lag(100, Duration::from_secs(3));
    of.start(&[ROLE], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.create", "directory.grant", "directory.open"]);
    of.holds(&["role:Exchange Administrator"]);
    assert!(of.signs_in());
    // The end follows at once: a look that shows nothing yet must not settle it.
    of.pass(301);
    of.end();
    assert_eq!(of.converge().await.unwrap(), ["directory.close", "directory.revoke", "directory.rotate"]);
    of.tenant.show_all();
    of.holds(&[]);
    assert!(!of.user().enabled && !of.signs_in());
}

async fn provisioning(mut of: Scene) {
    of.tenant.provisioning(Duration::from_secs(3));
    of.start(&[ROLE], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.create", "directory.grant", "directory.open"]);
    of.holds(&["role:Exchange Administrator"]);
}

async fn five_minutes(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.end();
    let error = of.converge().await.unwrap_err();
    let DirectoryError::NotYet { after_s, .. } = error else { panic!("{error:?}") };
    assert!((250..=300).contains(&after_s), "{after_s}");
    // All else was done: nobody can sign in, and what was signed in is asked again.
    let user = of.user();
    assert!(!user.enabled && user.sessions_revoked.is_some() && !of.signs_in());
    of.holds(&["role:Exchange Administrator"]);
    of.pass(u64::from(after_s));
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[]);
    // A broker that was restarted does not know how old a right is, and asks again sooner.
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.restart(&[ROLE]);
    of.end();
    let error = of.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::NotYet { after_s: 60, .. }), "{error:?}");
    of.pass(301);
    of.converge().await.unwrap();
    // An extension that leaves less than five minutes is too short; what there is stays.
    of.start(&[ROLE], 10);
    of.converge().await.unwrap();
    of.pass(480);
    of.sessions[0].until += TimeDelta::minutes(1);
    let error = of.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::TooShort(_)), "{error:?}");
    of.holds(&["role:Exchange Administrator"]);
}

async fn busy(world: &World) {
    let (mut of, mut other) = (world.scene("busy", &[ROLE]), world.scene("quiet", &[ROLE]));
    of.start(&[ROLE], 60);
    of.tenant.throttle(2, Some("1.128"));
    let begun = Instant::now();
    of.converge().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(2256), "{:?}", begun.elapsed());
    // Longer than anybody waits: told with its time, and the other tenant is not held up.
    of.tenant.throttle(1, Some("47.5"));
    of.account.password_generation += 1;
    let begun = Instant::now();
    let error = of.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::BusyFor { after_s: 48, .. }), "{error:?}");
    let error = of.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::BusyFor { after_s: 45..=48, .. }), "{error:?}");
    other.start(&[ROLE], 60);
    other.converge().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// A login that asks to be left alone is left alone by all requests of its tenant, and by no other tenant's.
async fn busy_login(world: &World) {
    let mut of = world.scene("login", &[ROLE]);
    let sign_ins = |tenant: &Tenant| {
        let asked = tenant.asked().into_iter();
        asked.filter(|asked| asked.template.ends_with("/token")).map(|asked| asked.at).collect::<Vec<_>>()
    };
    of.start(&[ROLE], 60);
    of.tenant.throttle_sign_in(1, Some("2.128"));
    of.converge().await.unwrap();
    let at = sign_ins(&of.tenant);
    assert!(at.len() == 2 && at[1] - at[0] >= Duration::from_millis(2128), "{at:?}");
    // Without a time it names: as Graph's, a second, and two.
    of.tenant.forget_tokens();
    of.tenant.forget_asked();
    of.tenant.throttle_sign_in(2, None);
    of.directory.observe(&of.account).await.unwrap();
    let at = sign_ins(&of.tenant);
    assert!(at.len() == 3 && at[2] - at[0] >= Duration::from_secs(3), "{at:?}");
    // Longer than anybody waits: told at once, and nobody of the tenant asks meanwhile, however many need a token.
    of.tenant.forget_tokens();
    of.tenant.forget_asked();
    of.tenant.throttle_sign_in(1, Some("45.5"));
    for _ in 0..3 {
        let error = of.directory.observe(&of.account).await.unwrap_err();
        assert!(matches!(error, DirectoryError::BusyFor { after_s: 40..=46, .. }), "{error:?}");
    }
    assert_eq!(sign_ins(&of.tenant).len(), 1);
    let other = world.scene("login-of-others", &[ROLE]);
    let begun = Instant::now();
    other.directory.observe(&other.account).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// The work was done and the answer did not arrive, at each write of an activation in turn.
async fn lost(mut of: Scene) {
    for nth in 1..=3 {
        of.start(&[ROLE], 60);
        of.tenant.lose_answer(nth + 2);
        let mut done = of.converge().await;
        for _ in 0..3 {
            if matches!(&done, Err(error) if error.is_passing()) {
                done = of.converge().await;
            }
        }
        done.unwrap();
        of.holds(&["role:Exchange Administrator"]);
        assert_eq!(of.tenant.users().len(), 1, "{nth}");
        of.pass(400);
        of.end();
        of.converge().await.unwrap();
        of.holds(&[]);
    }
}

/// The answer is lost, and no copy shows for a while that the work was done: once asked again, the tenant says it.
async fn lost_and_late(mut of: Scene, pim: bool) {
    of.tenant.pim(pim);
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.pass(400);
    of.end();
    of.converge().await.unwrap();
    of.start(&[ROLE], 60);
    of.tenant.lag(100, Duration::from_secs(2));
    // After the three of the look.
    of.tenant.lose_answer(3);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant", "directory.open"]);
    of.holds(&["role:Exchange Administrator"]);
}

/// Somebody gave a person the role for good after the look: it stays as it was given.
async fn own(mut of: Scene) {
    for pim in [true, false] {
        of.tenant.pim(pim);
        of.restart(&[ROLE]);
        let name = format!("terry-{pim}");
        of.tenant.add_user(&name);
        of.account = account(Mode::Membership, &name, &of.tenant.domain());
        let seen = of.directory.observe(&of.account).await.unwrap();
        of.tenant.give(of.name(), EXCHANGE);
        let until = Some(seen.directory_time + TimeDelta::hours(1));
        let step = Step::Grant { right: Right(ROLE.into()), until, why: Why::default() };
        let error = of.step(&seen, &step).await.unwrap_err();
        assert!(matches!(error, DirectoryError::Busy(_)), "{error:?}");
        assert_eq!(of.held()[0].end, None);
    }
}

/// One copy has the account and another has not: that it holds nothing, or is signed in nowhere, is not said.
async fn unknown_to_a_copy(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    let unknown = |path| of.tenant.fail_next(path, 404, "Request_ResourceNotFound");
    unknown("/memberOf");
    let seen = of.directory.observe(&of.account).await.unwrap();
    assert!(!seen.behind && !seen.account.unwrap().rights.is_empty(), "it is looked at once more");
    unknown("/memberOf");
    unknown("/memberOf");
    assert!(of.directory.observe(&of.account).await.unwrap().behind);
    of.pass(400);
    of.end();
    of.tenant.fail_next("/revokeSignInSessions", 404, "Request_ResourceNotFound");
    let error = of.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::NoSuchAccount(_)), "{error:?}");
    assert_eq!(of.converge().await.unwrap(), ["directory.rotate"]);
    assert!(of.user().sessions_revoked.is_some());
}
