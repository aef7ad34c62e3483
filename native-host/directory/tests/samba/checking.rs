//! What `check` finds in a good directory, and in ones where something is missing.

use ticketgate_access::desired::{Marker, Step};
use ticketgate_access::session::Right;
use ticketgate_directory::{Directory, RightUse};
use ticketgate_protocol::api::{Finding, Mode};
use ticketgate_tests::samba::audit::Record;
use ticketgate_tests::samba::{Certificate, Options};

use crate::world::{World, account, marker};

fn check(world: &World, groups: &[&str]) -> Vec<Finding> {
    let rights: Vec<_> = groups.iter().map(|group| used(world.ad.group(group))).collect();
    world.runtime.block_on(world.directory.check(&rights))
}

fn rehearse(world: &World) -> Vec<Finding> {
    world.runtime.block_on(world.directory.rehearse())
}

fn used(dn: &str) -> RightUse {
    RightUse { right: Right(dn.to_owned()), outlives_an_hour: true, on_jit_accounts: true }
}

fn wrong(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.level != "ok").collect()
}

#[test]
fn a_good_directory_has_nothing_to_mend_and_a_check_changes_nothing() {
    let world = World::new(Options { audit: true, ..Options::default() });
    let unit = world.ad.account_unit().to_owned();
    let changed = || {
        let noted = world.ad.audit().unwrap().into_iter();
        noted.filter(|record| matches!(record, Record::Change(_))).count()
    };
    let before = changed();
    let groups = ["domain_admins", "tier1", "comma", "space", "brackets", "big"];
    let findings = check(&world, &groups);
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    assert!(findings.iter().any(|f| f.text.contains("check --rehearse")), "{findings:#?}");
    world.step(&account("jit-check", Mode::Dedicated), &Step::Create(marker(0, None)));
    let made = changed();
    assert!(made > before, "the server notes what is changed");
    let findings = check(&world, &groups);
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    assert!(findings.iter().any(|f| f.text.contains("change what is in it")), "{findings:#?}");
    assert_eq!(changed(), made);
    assert_eq!(world.ad.look().unwrap().accounts_below(&unit).unwrap().len(), 1);
}

#[test]
fn a_rehearsal_in_a_good_directory_finds_nothing_to_mend_and_nothing_stays() {
    let world = World::new(Options::default());
    let findings = rehearse(&world);
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    assert!(findings.iter().any(|f| f.text.contains("rehearsed")), "{findings:#?}");
    let unit = world.ad.account_unit().to_owned();
    assert_eq!(world.ad.look().unwrap().accounts_below(&unit).unwrap(), []);
}

#[test]
fn a_group_that_is_not_delegated_missing_or_no_group_is_named_with_the_command() {
    let world = World::new(Options::default());
    let rights = [
        used(world.ad.group("untouchable")),
        used(&format!("CN=Not There,{}", world.ad.base())),
        used(world.ad.account_unit()),
    ];
    let findings = world.runtime.block_on(world.directory.check(&rights));
    let wrong = wrong(&findings);
    assert_eq!(wrong.iter().map(|f| f.level.as_str()).collect::<Vec<_>>(), ["error"; 3], "{wrong:#?}");
    assert!(
        wrong[0].remedy.contains("dsacls") && wrong[0].remedy.contains("ACME\\jit-svc:RPWP;member"),
        "{wrong:#?}"
    );
    assert!(wrong[0].remedy.contains("S-1-5-21-"), "{wrong:#?}");
    assert!(wrong[1].text.contains("does not exist"), "{wrong:#?}");
    assert!(wrong[2].text.contains("is no group"), "{wrong:#?}");
}

#[test]
fn a_unit_that_is_missing_or_not_delegated_is_named_with_the_command() {
    let world =
        World::with(Options::default(), |config| config.account_unit = "OU=Nowhere,DC=acme,DC=test".into());
    let findings = check(&world, &[]);
    assert!(wrong(&findings).iter().any(|f| f.text.contains("does not exist")), "{findings:#?}");
    let world =
        World::with(Options::default(), |config| config.account_unit = "CN=Users,DC=acme,DC=test".into());
    let findings = check(&world, &[]);
    let wrong = wrong(&findings);
    assert!(
        wrong.iter().any(|f| f.text.contains("may not create") && f.remedy.contains("CCDC;user")),
        "{wrong:#?}"
    );
}

#[test]
fn a_unit_without_the_right_to_put_a_primary_group_back_is_a_warning_with_the_command() {
    let world = World::in_sparse_unit();
    let rehearsed = rehearse(&world);
    world.step(&account("jit-check", Mode::Dedicated), &Step::Create(marker(0, None)));
    for findings in [rehearsed, check(&world, &[])] {
        let wrong = wrong(&findings);
        assert_eq!(wrong.len(), 1, "{wrong:#?}");
        assert_eq!(wrong[0].level, "warning");
        assert!(wrong[0].text.contains("primaryGroupID"), "{wrong:#?}");
        assert!(wrong[0].remedy.contains("/G \"ACME\\jit-svc:RPWP;primaryGroupID;user\""), "{wrong:#?}");
    }
}

#[test]
fn what_an_interrupted_rehearsal_left_is_deleted_by_the_next_and_nothing_else() {
    let world = World::new(Options::default());
    let note = |owner: &str, until| Marker { owner: owner.into(), ..marker(0, Some(until)) };
    let (past, future) = (world.in_(-60), world.in_(600));
    for (name, note) in [
        ("tgchk-left", note("check", past)),
        ("tgchk-running", note("check", future)),
        ("tgchk-of-a-person", note("tech1", past)),
        ("jit-check", note("check", past)),
    ] {
        world.step(&account(name, Mode::Burner), &Step::Create(note));
    }
    let findings = rehearse(&world);
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    assert!(findings.iter().any(|f| f.text.starts_with("tgchk-left")), "{findings:#?}");
    let left = world.ad.look().unwrap().accounts_below(world.ad.account_unit()).unwrap();
    let mut left: Vec<_> = left.iter().map(|a| a.dn.split(',').next().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, ["CN=jit-check", "CN=tgchk-of-a-person", "CN=tgchk-running"]);
    // A rehearsal's own account is nobody's JIT account.
    let listed = world.runtime.block_on(world.directory.list()).unwrap();
    assert!(listed.accounts.iter().all(|a| a.name != "tgchk-running"), "{listed:?}");
}

#[test]
fn a_service_account_whose_password_will_expire_is_told() {
    let world = World::new(Options::default());
    let dn = world.ad.service_account().to_owned();
    assert_eq!(world.ad.look().unwrap().replace(&dn, "userAccountControl", "512").unwrap(), 0);
    let findings = check(&world, &[]);
    let wrong = wrong(&findings);
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert!(wrong[0].text.contains("password expires at"), "{wrong:#?}");
}

#[test]
fn clocks_that_differ_are_a_warning_and_then_an_error() {
    let world = World::new(Options { movable_clock: true, ..Options::default() });
    for (moved, level) in [("+120s", "warning"), ("-120s", "warning"), ("+600s", "error")] {
        world.ad.move_clock(moved).unwrap();
        let findings = check(&world, &[]);
        let wrong = wrong(&findings);
        assert_eq!(
            wrong.iter().map(|f| f.level.as_str()).collect::<Vec<_>>(),
            [level],
            "{moved}: {wrong:#?}"
        );
    }
}

#[test]
fn a_refused_certificate_is_the_one_finding() {
    let world = World::new(Options { certificate: Certificate::Foreign, ..Options::default() });
    let findings = check(&world, &["tier1"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].level == "error" && findings[0].text.contains("ca_file"), "{findings:#?}");
    assert!(findings[0].remedy.contains("The servers' certificate"), "{findings:#?}");
}
