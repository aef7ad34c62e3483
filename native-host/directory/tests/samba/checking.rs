//! What `check` finds in a good directory, and in ones where something is missing.

use ticketgate_access::session::Right;
use ticketgate_directory::Directory;
use ticketgate_protocol::api::Finding;
use ticketgate_tests::samba::{Certificate, Options};

use crate::world::World;

fn check(world: &World, groups: &[&str]) -> Vec<Finding> {
    let rights: Vec<_> = groups.iter().map(|group| Right(world.ad.group(group).to_owned())).collect();
    world.runtime.block_on(world.directory.check(&rights))
}

fn wrong(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.level != "ok").collect()
}

#[test]
fn a_good_directory_has_nothing_to_mend_and_nothing_stays() {
    let world = World::new(Options::default());
    let findings = check(&world, &["domain_admins", "tier1", "comma", "space", "brackets", "big"]);
    assert!(wrong(&findings).is_empty(), "{findings:#?}");
    assert!(findings.iter().any(|f| f.text.contains("rehearsed")), "{findings:#?}");
    let unit = world.ad.account_unit().to_owned();
    assert_eq!(world.ad.look().unwrap().accounts_below(&unit).unwrap(), []);
}

#[test]
fn a_group_that_is_not_delegated_missing_or_no_group_is_named_with_the_command() {
    let world = World::new(Options::default());
    let rights = [
        Right(world.ad.group("untouchable").into()),
        Right(format!("CN=Not There,{}", world.ad.base())),
        Right(world.ad.account_unit().into()),
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
}
