//! `check`: finds what sessions would meet, and changes nothing.

use ticketgate_access::config::SignIn;
use ticketgate_access::session::Right;
use ticketgate_directory::{Directory, RightUse};
use ticketgate_tests::tenant::PassPolicy;

use crate::world::{ROLE, Scene, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_sessions_would_meet_and_changes_nothing() {
    let world = World::new();
    let of = world.scene("good", &[ROLE]);
    let group = of.tenant.add_group("Helpdesk");
    let found = findings(&of, &[ROLE, &format!("group:{group}")]).await;
    assert!(found.iter().all(|(level, _)| level == "ok"), "{found:#?}");
    assert!(found.iter().any(|(_, text)| text.contains("the tenant has PIM")), "{found:#?}");
    assert!(of.tenant.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", of.tenant.lines());

    let of = world.scene_with("bad", &[ROLE], |settings| {
        settings.sign_in = SignIn::Pass { once: false };
        settings.account_domain = "elsewhere.example".into();
    });
    of.tenant.pim(false);
    of.tenant.consent_without(&["User.RevokeSessions.All"]);
    of.tenant.pass_policy(PassPolicy { once: true, ..PassPolicy::default() });
    let found = findings(&of, &["role:Exchange Admin", "group:29232cdf-0000-4000-8000-000000000000"]).await;
    for (level, said) in [
        ("error", "User.RevokeSessions.All is not consented"),
        ("error", "elsewhere.example is no verified domain"),
        ("warning", "taken away by the broker alone"),
        ("error", "has no role \"exchange admin\"; it has Exchange Administrator"),
        ("error", "group 29232cdf"),
        ("error", "for one use only"),
    ] {
        assert!(found.iter().any(|(is, text)| is == level && text.contains(said)), "{said}: {found:#?}");
    }
    assert!(of.tenant.users().is_empty());

    // A JIT account is taken out of groups that nobody lent it, and roles without PIM have a permission of their own.
    for (pim, permissions) in [
        (true, ["GroupMember.ReadWrite.All", "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup"]),
        (false, ["GroupMember.ReadWrite.All", "RoleManagement.ReadWrite.Directory"]),
    ] {
        let of = world.scene(if pim { "few" } else { "few-small" }, &[ROLE]);
        of.tenant.pim(pim);
        of.tenant.consent_without(&permissions);
        let found = findings(&of, &[ROLE]).await;
        for permission in permissions {
            let said = format!("{permission} is not consented");
            assert!(found.iter().any(|(is, text)| is == "error" && text.contains(&said)), "{found:#?}");
        }
    }

    let of = world.scene_with("nobody", &[ROLE], |settings| {
        settings.client_id = "9f4c6d1e-0000-4000-8000-00000000dead".parse().unwrap();
    });
    let found = findings(&of, &[ROLE]).await;
    let (level, text) = found.last().unwrap();
    assert!(level == "error" && text.contains("adminconsent"), "{found:#?}");
    world.is_as_described();
}

async fn findings(of: &Scene, rights: &[&str]) -> Vec<(String, String)> {
    let used: Vec<RightUse> = rights
        .iter()
        .map(|right| RightUse {
            right: Right((*right).into()),
            outlives_an_hour: false,
            on_jit_accounts: true,
        })
        .collect();
    of.directory.check(&used).await.into_iter().map(|found| (found.level, found.text)).collect()
}
