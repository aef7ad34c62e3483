//! `grant`: one policy that gives in several directories of one customer.

use super::*;

const WEB: &str =
    "[[directory]]\nid = \"acme-web\"\ncustomer = \"acme\"\nkind = \"local\"\nmachine = \"here\"\n";
const OTHER: &str = "[[directory]]\nid = \"globex-web\"\ncustomer = \"globex\"\nkind = \"local\"\nmachine = \"here\"\naccount_name = \"jit-g-{technician}\"\n";
const AD: &str = "{ directory = \"acme-ad\", rights = [\"CN=Domain Admins,CN=Users,DC=acme,DC=example\"] }";
const SUDO: &str = "{ directory = \"acme-web\", mode = \"burner\", rights = [\"sudo:ALL\"] }";

/// A policy with this in it beside what every one has.
fn policy(grants: &str) -> String {
    format!(
        "{BASE}\n{WEB}\n[[policy]]\nid = \"all\"\nname = \"All\"\n{grants}\nduration = {{ default = \"1h\", max = \"4h\" }}\n\
         eligible = {{ technicians = [\"tech1\"] }}\n"
    )
}

fn first_fault(text: &str) -> String {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].text.clone()
}

#[test]
fn a_policy_grants_in_several_directories_of_one_customer() {
    let config =
        read(&policy(&format!("grant = [{AD}, {SUDO}]"))).unwrap_or_else(|faults| panic!("{faults}"));
    let grants = &config.policies[&"all".parse().unwrap()].grants;
    let seen: Vec<_> = grants.iter().map(|g| (g.directory.as_str(), g.mode, g.rights.len())).collect();
    assert_eq!(seen, [("acme-ad", Mode::Dedicated, 1), ("acme-web", Mode::Burner, 1)], "in the file's order");
}

#[test]
fn the_flat_form_is_a_list_of_one() {
    let flat = "directory = \"acme-web\"\nmode = \"burner\"\nrights = [\"sudo:ALL\"]";
    let flat = read(&policy(flat)).unwrap_or_else(|faults| panic!("{faults}"));
    let listed = read(&policy(&format!("grant = [{SUDO}]"))).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(flat.policies, listed.policies);
    let under_its_own = format!(
        "{}[[policy.grant]]\ndirectory = \"acme-web\"\nmode = \"burner\"\nrights = [\"sudo:ALL\"]\n",
        policy("")
    );
    let written_so = read(&under_its_own).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(written_so.policies, listed.policies, "as tables under [[policy.grant]]");
}

#[test]
fn what_contradicts_itself_is_a_fault() {
    let both = policy(&format!("directory = \"acme-ad\"\ngrant = [{AD}, {SUDO}]"));
    assert!(first_fault(&both).contains("has `grant` and `directory`"), "{}", first_fault(&both));
    let twice = first_fault(&policy(&format!("grant = [{AD}, {AD}]")));
    assert!(twice.contains("grants in directory \"acme-ad\" twice"), "{twice}");
    let others = AD
        .replace("acme-ad", "globex-web")
        .replace("CN=Domain Admins,CN=Users,DC=acme,DC=example", "sudo:ALL");
    let two = first_fault(&policy(&format!("grant = [{SUDO}, {others}]")).replacen(
        WEB,
        &format!("{WEB}{OTHER}"),
        1,
    ));
    assert!(
        two.contains("of customer \"acme\" and in directory \"globex-web\" of customer \"globex\""),
        "{two}"
    );
}

#[test]
fn each_entry_is_checked_as_a_policy_is() {
    let unknown = first_fault(&policy(&format!("grant = [{SUDO}, {}]", AD.replace("acme-ad", "acme-da"))));
    assert!(unknown.contains("names directory \"acme-da\""), "{unknown}");
    let wrong = first_fault(&policy(&format!("grant = [{AD}, {}]", SUDO.replace("sudo:ALL", "CN=x"))));
    assert!(wrong.contains("an entry of `rights` of policy \"all\""), "{wrong}");
    let own = faults(&policy(&format!("grant = [{AD}, {}]", SUDO.replace("burner", "membership"))));
    assert!(own.iter().any(|fault| fault.text.contains("which a machine does not know")), "{own:#?}");
    let slip = first_fault(&policy(&format!("grant = [{}]", SUDO.replace("mode", "mod"))));
    assert!(slip.contains("did you mean `mode`?"), "{slip}");
    let empty = first_fault(&policy("grant = []"));
    assert!(empty.contains("`grant` of policy \"all\" is empty"), "{empty}");
    for text in ["grant = 1", "grant = [\"acme-ad\"]", "grant = { directory = \"acme-ad\" }"] {
        assert!(first_fault(&policy(text)).contains("must be a list of tables"), "{text}");
    }
    let many = faults(&policy(&format!("grant = [{}]", [AD; 9].join(", "))));
    assert!(many.iter().any(|fault| fault.text.contains("has more than 8 entries")), "{many:#?}");
}
