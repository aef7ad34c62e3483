//! Temporary Access Passes.

use std::time::SystemTime;

use ticketgate_access::config::SignIn;
use ticketgate_directory::{Directory, DirectoryError};
use ticketgate_protocol::api::Mode;
use ticketgate_tests::tenant::PassPolicy;

use crate::world::{ROLE, Scene, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_ends_no_later_than_its_session_and_what_a_tenant_forbids_gives_nothing() {
    let world = World::new();
    let scene = |name: &str, once| {
        world.scene_with(name, &[ROLE], |settings| settings.sign_in = SignIn::Pass { once })
    };
    lives(scene("many", false)).await;
    once(scene("once", true)).await;
    short(scene("short", true)).await;
    shortest(scene("shortest", true)).await;
    for (name, is_once, policy, said) in [
        ("off", true, PassPolicy { enabled: false, ..PassPolicy::default() }, "switched off"),
        ("single", false, PassPolicy { once: true, ..PassPolicy::default() }, "for one use only"),
        ("small", true, PassPolicy { longest: 30, ..PassPolicy::default() }, "to 30 minutes"),
    ] {
        refused(scene(name, is_once), policy, said).await;
    }
    world.is_as_described();
}

async fn lives(mut of: Scene) {
    of.start(&[ROLE], 60);
    let until = SystemTime::from(of.sessions[0].until);
    assert_eq!(of.converge().await.unwrap(), ["directory.create", "directory.grant", "directory.open"]);
    let passes = of.tenant.passes_of(of.name());
    assert_eq!(passes.len(), 1);
    assert!(of.signs_in() && of.signs_in());
    // The account's password is known to nobody: it is not what was handed out.
    assert_ne!(of.user().password, of.credential.clone().unwrap());
    assert!(of.directory.promises(Mode::Dedicated).guarantee.contains("refuses its pass"));
    // Nobody is there at the end: Entra ID itself takes the pass no more, and not much sooner than it has to.
    let left = until.duration_since(of.tenant.now()).unwrap().as_secs();
    of.pass(left - 130);
    assert!(of.signs_in());
    of.pass(132);
    assert!(of.user().enabled && !of.signs_in());
    of.holds(&[]);
    of.end();
    of.converge().await.unwrap();
    assert!(of.tenant.passes_of(of.name()).is_empty() && !of.signs_in());
}

async fn once(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    assert!(of.signs_in() && !of.signs_in(), "it is for one use");
    // A new one takes the place of it, and the account stays open.
    of.account.password_generation += 1;
    assert_eq!(of.converge().await.unwrap(), ["directory.open"]);
    assert!(of.signs_in());
    assert_eq!(of.tenant.passes_of(of.name()).len(), 1);
}

/// Too late in a session for a pass that would end in time: the session goes on as it is.
async fn short(mut of: Scene) {
    of.start(&[ROLE], 30);
    of.converge().await.unwrap();
    of.pass(25 * 60);
    of.account.password_generation += 1;
    let error = of.converge().await.unwrap_err();
    assert!(error.to_string().contains("at least 10 minutes"), "{error}");
    assert!(of.user().enabled);
    of.holds(&["role:Exchange Administrator"]);
}

/// The shortest session that the configuration lets anybody ask for.
async fn shortest(mut of: Scene) {
    of.start(&[ROLE], of.shortest_min());
    of.converge().await.unwrap();
    assert!(of.signs_in());
    assert_eq!(of.tenant.passes_of(of.name())[0].minutes, 10);
}

async fn refused(mut of: Scene, policy: PassPolicy, said: &str) {
    of.tenant.pass_policy(policy);
    of.start(&[ROLE], 60);
    let error = of.converge().await.unwrap_err();
    assert!(matches!(&error, DirectoryError::TenantPolicy(why) if why.contains(said)), "{error:?}");
    assert!(!of.user().enabled && of.tenant.passes_of(of.name()).is_empty());
    // Taken back as the broker does; PIM keeps the role for its first minutes.
    of.pass(400);
    of.end();
    of.converge().await.unwrap();
    of.holds(&[]);
}
