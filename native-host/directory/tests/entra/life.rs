//! The life of an account in each mode, with and without PIM: what is written, in which requests, and what is left at the end.

use std::time::{Duration, Instant, SystemTime};

use ticketgate_access::session::Right;
use ticketgate_directory::{Directory, DirectoryError};
use ticketgate_protocol::api::Mode;

use crate::world::{EXCHANGE, ROLE, Scene, World, account};

#[tokio::test(flavor = "multi_thread")]
async fn accounts_live_and_end_in_every_mode() {
    let world = World::new();
    dedicated(world.scene("dedicated", &[ROLE])).await;
    groups(&world).await;
    ends_by_itself(world.scene("alone", &[ROLE])).await;
    shortest(world.scene("shortest", &[ROLE])).await;
    two_sessions(world.scene("two", &[ROLE, "role:User Administrator"])).await;
    burner(world.scene("burner", &[ROLE])).await;
    membership(world.scene("membership", &[ROLE, "role:User Administrator"])).await;
    other_group(world.scene("other", &[ROLE])).await;
    for pim in [true, false] {
        unnamed(&world, pim).await;
    }
    spelled(world.scene("spelled", &[ROLE])).await;
    without_pim(&world).await;
    by_hand(world.scene("by-hand", &[ROLE])).await;
    foreign(world.scene("foreign", &[ROLE])).await;
    lists(world.scene("lists", &[ROLE])).await;
    world.is_as_described();
}

async fn dedicated(mut of: Scene) {
    of.start(&[ROLE], 60);
    let until = of.sessions[0].until;
    assert_eq!(of.converge().await.unwrap(), ["directory.create", "directory.grant", "directory.open"]);
    let user = of.user();
    assert!(user.enabled && of.signs_in());
    assert!(
        user.attributes[0].1.contains("token=token-of-the-ledger owner=tech1 gen=1"),
        "{:?}",
        user.attributes
    );
    assert_eq!(of.held()[0].end, Some(SystemTime::from(until)));
    let request = &of.tenant.pim_requests()[0];
    assert_eq!(request["justification"], "#4711 mailbox");
    assert_eq!(request["ticketInfo"]["ticketNumber"], "4711");
    let mut lines = of.tenant.lines();
    // What is looked at together comes in no order.
    lines[5..].sort();
    assert_eq!(
        lines,
        [
            "GET /users/{user-id} 404",
            "POST /users 201",
            "GET /roleManagement/directory/roleDefinitions 200",
            "POST /roleManagement/directory/roleAssignmentScheduleRequests 201",
            "PATCH /users/{user-id} 204",
            "GET /roleManagement/directory/roleAssignmentScheduleInstances 200",
            "GET /users/{user-id} 200",
            "GET /users/{user-id}/memberOf 200",
        ]
    );
    of.tenant.forget_asked();

    // Extension: the end of the right and the note move; nobody is thrown out.
    of.sessions[0].until += chrono::TimeDelta::minutes(30);
    assert_eq!(of.converge().await.unwrap(), ["directory.set_end", "directory.grant"]);
    assert_eq!(of.held()[0].end, Some(SystemTime::from(of.sessions[0].until)));
    assert!(of.signs_in());

    of.pass(600);
    of.end();
    of.tenant.forget_asked();
    assert_eq!(of.converge().await.unwrap(), ["directory.close", "directory.revoke", "directory.rotate"]);
    of.holds(&[]);
    let user = of.user();
    assert!(!user.enabled && user.sessions_revoked.is_some() && !of.signs_in());
    assert!(user.attributes[0].1.ends_with("until=-"), "{:?}", user.attributes);
    assert_eq!(
        of.tenant.lines().iter().filter(|line| !line.starts_with("GET")).collect::<Vec<_>>(),
        [
            "PATCH /users/{user-id} 204",
            "POST /roleManagement/directory/roleAssignmentScheduleRequests 201",
            "POST /users/{user-id}/revokeSignInSessions 200",
            "PATCH /users/{user-id} 204",
        ]
    );

    // Used again: no other requests than the two writes and two looks.
    of.tenant.forget_asked();
    of.start(&[ROLE], 30);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant", "directory.open"]);
    assert_eq!(of.tenant.lines().len(), 8, "{:?}", of.tenant.lines());
    assert!(of.signs_in());
    // A new password closes nothing and the one before it is over.
    let before = of.credential.clone().unwrap();
    of.account.password_generation += 1;
    assert_eq!(of.converge().await.unwrap(), ["directory.open"]);
    assert!(of.signs_in() && !of.tenant.sign_in(of.name(), &before));
    assert_eq!(of.directory.right_name(&of.sessions[0].rights[0]), "exchange administrator");
    assert!(of.directory.promises(Mode::Dedicated).guarantee.contains("Entra ID itself takes the roles"));
}

async fn groups(world: &World) {
    let tenant = world.entra.tenant("groups").unwrap();
    let (helpdesk, other) = (tenant.add_group("Helpdesk"), tenant.add_group("Other"));
    let right = format!("group:{helpdesk}");
    let mut of = world.scene_on(tenant, &[&right]);
    of.start(&[&right], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.create", "directory.grant", "directory.open"]);
    assert_eq!(of.held()[0].end, Some(SystemTime::from(of.sessions[0].until)));
    // Put into another group by hand, without PIM: that goes, and what the session needs stays.
    of.tenant.give(of.name(), &other);
    of.pass(301);
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[&right]);
    of.pass(600);
    of.end();
    of.converge().await.unwrap();
    of.holds(&[]);
}

/// No broker runs: Entra ID takes the role itself.
async fn ends_by_itself(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    // Time passes by itself, too, on a slow machine more of it.
    of.pass(3540);
    of.holds(&["role:Exchange Administrator"]);
    of.pass(61);
    of.holds(&[]);
}

/// The shortest session that the configuration lets anybody ask for.
async fn shortest(mut of: Scene) {
    of.start(&[ROLE], of.shortest_min());
    of.converge().await.unwrap();
    of.holds(&["role:Exchange Administrator"]);
}

async fn two_sessions(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.start(&["role:User Administrator"], 30);
    of.converge().await.unwrap();
    of.holds(&["role:Exchange Administrator", "role:User Administrator"]);
    let end =
        |of: &Scene, name: &str| of.held().into_iter().find(|held| held.right.contains(name)).unwrap().end;
    assert_eq!(end(&of, "Exchange"), Some(SystemTime::from(of.sessions[0].until)));
    assert_eq!(end(&of, "User"), Some(SystemTime::from(of.sessions[1].until)));
    of.pass(1810);
    of.sessions.remove(1);
    assert_eq!(of.converge().await.unwrap(), Vec::<&str>::new());
    of.holds(&["role:Exchange Administrator"]);
    assert!(of.signs_in());
}

async fn burner(mut of: Scene) {
    of.account = account(Mode::Burner, "jit-tech1-k3v9q0", &of.tenant.domain());
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    assert!(of.signs_in());
    of.end();
    // Within the first five minutes, in which PIM keeps the role: it goes with the account.
    let steps = of.converge().await.unwrap();
    assert_eq!(steps, ["directory.close", "directory.revoke", "directory.delete"]);
    assert!(of.tenant.user(of.name()).is_none() && of.tenant.deleted().len() == 1);
}

async fn membership(mut of: Scene) {
    of.tenant.add_user("terry");
    of.account = account(Mode::Membership, "terry", &of.tenant.domain());
    let standing = "role:User Administrator";
    of.tenant.give(of.name(), "User Administrator");
    of.account.standing = vec![Right(standing.into())];
    let before = of.user();
    of.start(&[ROLE, standing], 60);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant"]);
    of.holds(&["role:Exchange Administrator", standing]);
    of.pass(400);
    of.end();
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&[standing]);
    let after = of.user();
    assert_eq!(
        (before.enabled, before.attributes, before.password),
        (after.enabled, after.attributes, after.password)
    );
}

/// Somebody put the account into a group, and only the permission for groups without PIM is there: the next session begins all the same.
async fn other_group(mut of: Scene) {
    of.tenant.consent_without(&["PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup"]);
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.pass(400);
    of.end();
    of.converge().await.unwrap();
    let group = of.tenant.add_group("Other");
    of.tenant.give(of.name(), &group);
    of.start(&[ROLE], 60);
    let steps = of.converge().await.unwrap();
    assert_eq!(steps, ["directory.revoke", "directory.grant", "directory.open"]);
    of.holds(&["role:Exchange Administrator"]);
}

/// No policy names a session's rights any more when it ends, and the broker was restarted: they go all the same, and nothing else.
async fn unnamed(world: &World, pim: bool) {
    let tenant = world.entra.tenant(if pim { "unnamed" } else { "unnamed-small" }).unwrap();
    tenant.pim(pim);
    tenant.add_user("terry");
    let (helpdesk, own) = (tenant.add_group("Helpdesk"), tenant.add_group("Own"));
    let (group, own_group) = (format!("group:{helpdesk}"), format!("group:{own}"));
    let mut of = world.scene_on(tenant, &[ROLE, &group]);
    of.account = account(Mode::Membership, "terry", &of.tenant.domain());
    of.tenant.give(of.name(), &own);
    of.start(&[ROLE, &group], 60);
    of.converge().await.unwrap();
    of.holds(&["role:Exchange Administrator", &group, &own_group]);
    of.pass(400);
    of.restart(&[]);
    of.end();
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke", "directory.revoke"]);
    of.holds(&[&own_group]);
}

/// One policy names a role, another gives its id: to the tenant it is one right, given once and shown at once.
async fn spelled(mut of: Scene) {
    let by_id = format!("role:{}", of.tenant.role(EXCHANGE).unwrap().to_uppercase());
    of.restart(&[ROLE, &by_id]);
    for (first, then) in [(ROLE, by_id.as_str()), (by_id.as_str(), ROLE)] {
        let begun = Instant::now();
        of.start(&[first], 60);
        of.converge().await.unwrap();
        of.start(&[then], 90);
        assert_eq!(of.converge().await.unwrap(), ["directory.set_end", "directory.grant"]);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        of.holds(&["role:Exchange Administrator"]);
        of.pass(400);
        of.end();
        of.converge().await.unwrap();
        of.holds(&[]);
    }
}

async fn without_pim(world: &World) {
    let tenant = world.entra.tenant("small").unwrap();
    tenant.pim(false);
    let group = format!("group:{}", tenant.add_group("Helpdesk"));
    let mut of = world.scene_on(tenant, &[ROLE, &group]);
    of.start(&[ROLE, &group], 60);
    of.converge().await.unwrap();
    of.holds(&["role:Exchange Administrator", &group]);
    assert!(of.held().iter().all(|held| held.end.is_none()) && of.signs_in());
    assert!(
        of.directory.promises(Mode::Dedicated).guarantee.starts_with("Entra ID does not end this by itself")
    );
    of.end();
    assert_eq!(
        of.converge().await.unwrap(),
        ["directory.close", "directory.revoke", "directory.revoke", "directory.rotate"]
    );
    of.holds(&[]);
    assert!(!of.signs_in());

    // Where the configuration demands ends of their own, nothing is given, and nobody can sign in.
    let mut strict = world.scene_with("strict", &[ROLE], |settings| settings.pim_only = true);
    strict.tenant.pim(false);
    strict.start(&[ROLE], 60);
    let error = strict.converge().await.unwrap_err();
    assert!(matches!(error, DirectoryError::NoLicence(_)), "{error:?}");
    strict.holds(&[]);
    assert!(!strict.user().enabled);
}

/// What somebody does to the account by hand is taken back.
async fn by_hand(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.tenant.give(of.name(), "Global Administrator");
    of.pass(301);
    assert_eq!(of.converge().await.unwrap(), ["directory.revoke"]);
    of.holds(&["role:Exchange Administrator"]);
    // Made permanent: it gets its end back.
    of.tenant.take(of.name(), EXCHANGE);
    assert_eq!(of.converge().await.unwrap(), ["directory.grant"]);
    of.pass(600);
    of.end();
    of.converge().await.unwrap();
    of.tenant.edit(of.name(), &serde_json::json!({ "accountEnabled": true }));
    assert_eq!(of.converge().await.unwrap(), ["directory.close", "directory.rotate"]);
    assert!(!of.user().enabled);
}

/// A person's account of the JIT account's name is never touched.
async fn foreign(mut of: Scene) {
    of.tenant.add_user("jit-tech1");
    let before = of.user();
    of.start(&[ROLE], 60);
    let seen = of.directory.observe(&of.account).await.unwrap();
    let step = ticketgate_access::desired::Step::Close;
    let error = of.step(&seen, &step).await.unwrap_err();
    assert!(matches!(error, DirectoryError::NameTaken(_)), "{error:?}");
    assert_eq!(of.user().properties, before.properties);
}

async fn lists(mut of: Scene) {
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.tenant.add_user("jitter");
    of.tenant.add_user("jit-by-hand");
    of.tenant.page_size(1);
    let mut found = of.directory.list().await.unwrap().accounts;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = found.iter().map(|account| account.name.split('@').next().unwrap()).collect();
    assert_eq!(names, ["jit-by-hand", "jit-tech1"]);
    assert!(found[0].seen.marker.is_none());
    assert_eq!(found[1].seen.marker.as_ref().unwrap().token, "token-of-the-ledger");
    let role = format!("role:{}", of.tenant.role(EXCHANGE).unwrap());
    assert_eq!(found[1].seen.rights.iter().map(|right| right.0.as_str()).collect::<Vec<_>>(), [role]);
    assert_eq!(
        of.directory.right_key(&found[1].seen.rights.first().unwrap().clone()),
        of.directory.right_key(&Right(ROLE.into()))
    );
    let asked = of.tenant.asked();
    let listed = asked.iter().filter(|asked| asked.template == "/users" && asked.method == "GET");
    assert!(
        listed
            .into_iter()
            .all(|asked| asked.query.contains("$top=999") || asked.query.contains("%24top=999"))
    );
    // A next page somewhere else is not fetched: the token would go there.
    of.tenant.foreign_links("https://elsewhere.example/v1.0/users?x");
    let error = of.directory.list().await.unwrap_err();
    assert!(error.to_string().contains("another address"), "{error}");
}
