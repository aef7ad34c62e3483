//! Bad input and tenants that refuse: each with the meaning that technician and administrator are told by, and nothing half-granted.

use std::time::Duration;

use ticketgate_access::config::{Entra as Settings, Proof, SecretRef};
use ticketgate_directory::DirectoryError;
use ticketgate_tests::tenant::{Pair, Tenant};

use crate::world::{EXCHANGE, ROLE, Scene, World};

type Meant = fn(&DirectoryError) -> bool;
type Refusal = (&'static str, fn(&Tenant), Meant);
type SignIn<'c> = (&'c str, Box<dyn Fn(&mut Settings)>, Meant);

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_meaning_and_leaves_nothing_half_granted() {
    let world = World::new();
    sign_ins(&world).await;
    for (n, (rights, make, meant)) in refusals().into_iter().enumerate() {
        let mut of = world.scene(&format!("refusal-{n}"), &[rights]);
        make(&of.tenant);
        of.start(&[rights], 60);
        let error = of.converge().await.unwrap_err();
        assert!(meant(&error), "{n}: {error:?}");
        nothing_is_left(&mut of, n).await;
    }
    approvals(&world).await;
    elsewhere(&world).await;
    passing(&world).await;
    world.is_as_described();
}

/// Nobody can sign in, and the broker's taking back finds nothing that stays: unless the application may not even do that, which is
/// tried again for as long as it takes.
async fn nothing_is_left(of: &mut Scene, n: usize) {
    assert!(of.tenant.user(of.name()).is_none_or(|user| !user.enabled), "{n}");
    of.tenant.app_role(true);
    // PIM keeps what it gave for its first minutes.
    of.pass(301);
    of.end();
    let taken_back = of.converge().await;
    let may_not = matches!(taken_back, Err(DirectoryError::NotDelegated(_)));
    assert!(taken_back.is_ok() || may_not, "{n}: {taken_back:?}");
    of.holds(&[]);
}

fn refusals() -> Vec<Refusal> {
    use DirectoryError as E;
    vec![
        ("role:Exchange Admin", |_| {}, |e| matches!(e, E::NoSuchRight(w) if w.contains(EXCHANGE))),
        (
            "role:29232cdf-0000-4000-8000-000000000000",
            |_| {},
            |e| matches!(e, E::NoSuchRight(_) | E::Refused(_)),
        ),
        (
            "group:29232cdf-0000-4000-8000-000000000000",
            |_| {},
            |e| matches!(e, E::NoSuchRight(_) | E::Busy(_)),
        ),
        (ROLE, |t| t.approval(EXCHANGE), |e| matches!(e, E::Waiting(_))),
        (
            ROLE,
            |t| t.longest(EXCHANGE, Duration::from_secs(1800)),
            |e| matches!(e, E::TenantPolicy(w) if w.contains("ExpirationRule")),
        ),
        (
            ROLE,
            |t| t.demand(EXCHANGE, &["MultiFactorAuthentication"]),
            |e| matches!(e, E::TenantPolicy(w) if w.contains("MfaRule")),
        ),
        (
            ROLE,
            |t| t.context(EXCHANGE, "c1"),
            |e| matches!(e, E::TenantPolicy(w) if w.contains("authentication context")),
        ),
        (
            ROLE,
            |t| {
                t.consent_without(&[
                    "RoleAssignmentSchedule.ReadWrite.Directory",
                    "RoleManagement.ReadWrite.Directory",
                ]);
            },
            |e| matches!(e, E::NotDelegated(w) if w.contains("RoleAssignmentSchedule")),
        ),
        (
            ROLE,
            |t| t.consent_without(&["User.ReadWrite.All"]),
            |e| matches!(e, E::NotDelegated(w) if w.contains("User.ReadWrite.All")),
        ),
        (ROLE, |t| t.app_role(false), |e| matches!(e, E::NotDelegated(w) if w.contains("directory role"))),
    ]
}

async fn sign_ins(world: &World) {
    use DirectoryError as E;
    let certificate = |settings: &mut Settings, pair: &Pair| {
        settings.proof = Proof::Certificate {
            certificate: pair.certificate.display().to_string(),
            key: SecretRef::File(pair.key.display().to_string()),
        };
    };
    let nowhere = "9f4c6d1e-0000-4000-8000-00000000dead";
    let cases: Vec<SignIn<'_>> = vec![
        (
            "wrong-tenant",
            Box::new(|s| s.tenant = nowhere.parse().unwrap()),
            |e| matches!(e, E::Misconfigured(w) if w.contains("there is no tenant")),
        ),
        (
            "wrong-app",
            Box::new(|s| s.client_id = nowhere.parse().unwrap()),
            |e| matches!(e, E::Bind(w) if w.contains("adminconsent?client_id=")),
        ),
        (
            "foreign-pair",
            Box::new(move |s| certificate(s, &Pair::foreign().unwrap())),
            |e| matches!(e, E::Bind(w) if w.contains("not registered")),
        ),
        (
            "old-pair",
            Box::new(move |s| certificate(s, &Pair::over().unwrap())),
            |e| matches!(e, E::NoSecret(w) if w.contains("ended on")),
        ),
        ("no-file", Box::new(|s| s.proof = Proof::Secret(SecretRef::File("/nowhere".into()))), |e| {
            matches!(e, E::NoSecret(_))
        }),
    ];
    for (name, change, meant) in cases {
        let mut of = world.scene_with(name, &[ROLE], |settings| change(settings));
        of.start(&[ROLE], 60);
        let error = of.converge().await.unwrap_err();
        assert!(meant(&error), "{name}: {error:?}");
        assert_eq!(of.tenant.lines(), Vec::<String>::new(), "{name}: something was asked of Graph");
    }
    // By secret; wrong and over.
    let folder = tempfile::tempdir().unwrap();
    let kept = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Proof::Secret(SecretRef::File(path.display().to_string()))
    };
    let mut of = world.scene("by-secret", &[ROLE]);
    for (text, over, meant) in [
        (of.tenant.secret().to_owned(), false, None),
        ("wrong".to_owned(), false, Some("the secret is wrong")),
        (of.tenant.secret().to_owned(), true, Some("secret is over")),
    ] {
        if over {
            of.tenant.secret_is_over();
        }
        let settings = Settings { proof: kept(&text), ..of.settings.clone() };
        of.directory = ticketgate_directory::EntraTenant::new(&settings, &Default::default()).unwrap();
        let seen = ticketgate_directory::Directory::observe(&of.directory, &of.account).await;
        match (meant, seen) {
            (None, seen) => assert!(seen.unwrap().account.is_none()),
            (Some(said), seen) => {
                let error = seen.unwrap_err().to_string();
                assert!(error.contains(said), "{error}");
            }
        }
    }
}

/// A request that waits for an approval is withdrawn, also where its answer was lost; where it cannot be, that is said.
async fn approvals(world: &World) {
    for (name, told, said, left) in [
        (
            "kept",
            (|t| t.fail_next("/cancel", 500, "InternalServerError")) as fn(&Tenant),
            "could not be withdrawn",
            "PendingApproval",
        ),
        // After the look, the account and the names of roles.
        ("unheard", |t| t.lose_answer(3), "was withdrawn", "Canceled"),
    ] {
        let mut of = world.scene(name, &[ROLE]);
        of.tenant.approval(EXCHANGE);
        told(&of.tenant);
        of.start(&[ROLE], 60);
        let error = of.converge().await.unwrap_err();
        assert!(matches!(&error, DirectoryError::Waiting(why) if why.contains(said)), "{name}: {error:?}");
        let requests = of.tenant.pim_requests();
        assert!(requests.iter().all(|request| request["status"] == left), "{name}: {requests:?}");
        assert_eq!(requests.len(), 1);
    }
}

/// Accounts are to be named in a domain that is not the tenant's.
async fn elsewhere(world: &World) {
    let mut of = world.scene("domain", &[ROLE]);
    of.account.name = "jit-tech1@elsewhere.example".into();
    of.start(&[ROLE], 60);
    let error = of.converge().await.unwrap_err();
    assert!(matches!(&error, DirectoryError::Misconfigured(w) if w.contains("verified domain")), "{error:?}");
    assert!(of.tenant.users().is_empty());
}

/// What passes is tried again by itself, or said to be passing.
async fn passing(world: &World) {
    // A token that is no longer taken is replaced by a new one.
    let mut of = world.scene("tokens", &[ROLE]);
    of.start(&[ROLE], 60);
    of.converge().await.unwrap();
    of.tenant.forget_tokens();
    assert_eq!(of.converge().await.unwrap(), Vec::<&str>::new());
    // One that a policy of the tenant does not take at all.
    of.tenant.challenge("{\"access_token\":{\"nbf\":{\"essential\":true}}}");
    let error = of.converge().await.err();
    assert!(matches!(&error, None | Some(DirectoryError::Bind(_))), "{error:?}");

    for (path, status, code, meant) in [
        ("/users", 503, "serviceNotAvailable", None),
        ("roleAssignmentScheduleInstances", 500, "InternalServerError", Some("Busy")),
        ("roleAssignmentScheduleRequests", 500, "InternalServerError", None),
        ("roleAssignmentScheduleRequests", 409, "Directory_ConcurrencyViolation", None),
    ] {
        let mut of = world.scene(&format!("failing-{status}-{}", path.len()), &[ROLE]);
        of.start(&[ROLE], 60);
        of.tenant.fail_next(path, status, code);
        match (of.converge().await, meant) {
            (Ok(_), None) => of.holds(&["role:Exchange Administrator"]),
            (Err(error), Some(meant)) => {
                assert!(format!("{error:?}").starts_with(meant) && error.is_passing(), "{path}: {error:?}");
            }
            (other, _) => panic!("{path} {status}: {other:?}"),
        }
    }
}
