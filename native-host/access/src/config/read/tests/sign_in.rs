//! `[sign_in]`, `[[role]]` and a technician's `sign_in`.

use std::collections::BTreeSet;

use super::*;
use crate::config::Role;

const SIGN_IN: &str = "[sign_in]\nissuer = \"https://login.example.com/t/v2.0\"\nclient_id = \"ticketgate\"\ngroups = { \"8d1f\" = \"tier2\", \"/Night shift\" = \"night\" }\n";

const ROLE: &str = "[[role]]\nrole = \"auditor\"\ntechnicians = [\"boss\"]\ncustomers = [\"acme\"]\n";

/// The base with both sections after it; this in them written otherwise.
fn team(this: &str, by: &str) -> String {
    let text = format!("{BASE}{SIGN_IN}{ROLE}").replacen(
        "groups = [\"tier2\"]\naccounts",
        "sign_in = \"oid-1\"\ngroups = [\"tier2\"]\naccounts",
        1,
    );
    assert!(text.contains(this), "{this}");
    // The last place: what stands in the base stands before.
    let at = text.rfind(this).unwrap();
    format!("{}{by}{}", &text[..at], &text[at + this.len()..])
}

#[test]
fn a_provider_is_read_with_its_defaults_and_roles_with_their_reach() {
    let config = read(&team("", "")).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    let provider = config.sign_in.as_ref().unwrap();
    assert_eq!(
        (provider.issuer.as_str(), provider.client_id.as_str(), provider.claim.as_str()),
        ("https://login.example.com/t/v2.0", "ticketgate", "sub")
    );
    assert_eq!((provider.groups_claim.as_str(), provider.lasts_s), ("groups", 3600));
    assert!(provider.client_secret.is_none() && provider.addresses.is_empty() && provider.scopes.is_empty());
    let theirs: BTreeSet<String> = ["8d1f", "unknown"].map(str::to_owned).into();
    assert_eq!(provider.mapped(&theirs), ["tier2".to_owned()].into());
    assert_eq!(config.technician_by_sign_in("oid-1").unwrap().id.as_str(), "tech1");
    assert!(config.technician_by_sign_in("OID-1").is_none() && config.technician_by_sign_in("").is_none());
    let [role] = config.roles.as_slice() else { panic!("{:?}", config.roles) };
    assert_eq!((role.role, role.customers.as_ref().map(BTreeSet::len)), (Role::Auditor, Some(1)));
}

#[test]
fn what_else_a_provider_can_be_told_is_read() {
    let more = "client_id = \"x\"\nclient_secret = { credential = \"oidc\" }\nclaim = \"oid\"\ngroups_claim = \"roles\"\nscopes = [\"groups\"]\n\
        lasts = \"15m\"\nca_file = \"/etc/ca.pem\"\naddresses = [\"https://Broker.example.com:443/\", \"https://10.0.0.1:8443\"]";
    let config = read(&team("client_id = \"ticketgate\"", more)).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    let provider = config.sign_in.unwrap();
    assert_eq!(provider.client_secret, Some(SecretRef::Credential("oidc".into())));
    assert_eq!((provider.claim.as_str(), provider.lasts_s, provider.scopes.len()), ("oid", 900, 1));
    assert_eq!(provider.addresses, ["https://broker.example.com", "https://10.0.0.1:8443"]);
}

#[test]
fn every_fault_of_sign_ins_and_roles_is_said_with_its_line_and_remedy() {
    let cases = [
        ("issuer =", "isuer =", "isuer", "did you mean `issuer`?"),
        (
            "https://login.example.com/t/v2.0",
            "http://login.example.com",
            "issuer",
            "must start with https://",
        ),
        ("https://login.example.com/t/v2.0", "https://u:p@login.example.com", "issuer", "no proper host"),
        (
            "https://login.example.com/t/v2.0",
            "https://login.microsoftonline.com/common/v2.0",
            "issuer",
            "name your own tenant's",
        ),
        ("client_id = \"ticketgate\"\n", "", "[sign_in]", "has no `client_id`"),
        (
            "client_id = \"ticketgate\"",
            "client_id = \"x\"\nclient_secret = \"s\"",
            "client_secret",
            "is written out",
        ),
        ("client_id = \"ticketgate\"", "client_id = \"x\"\nlasts = \"2m\"", "lasts", "between 5m and 24h"),
        ("client_id = \"ticketgate\"", "client_id = \"x\"\nscopes = [\"a b\"]", "scopes", "is no scope"),
        (
            "client_id = \"ticketgate\"",
            "client_id = \"x\"\naddresses = [\"broker.example.com\"]",
            "addresses",
            "must be https://, host and port",
        ),
        ("role = \"auditor\"", "role = \"auditer\"", "auditer", "did you mean \"auditor\"?"),
        (
            "role = \"auditor\"",
            "role = \"king\"",
            "king",
            "\"technician\", \"approver\", \"administrator\" and \"auditor\"",
        ),
        ("technicians = [\"boss\"]\n", "", "[[role]]", "says nobody's name"),
        ("technicians = [\"boss\"]", "technicians = [\"bos\"]", "[\"bos\"]", "did you mean \"boss\""),
        ("customers = [\"acme\"]", "customers = [\"akme\"]", "akme", "did you mean \"acme\""),
        ("customers = [\"acme\"]", "customers = []", "customers = []", "is empty"),
    ];
    for (this, by, at, says) in cases {
        let text = team(this, by);
        let found = faults(&text);
        let line = text.lines().count() - text.lines().rev().position(|line| line.contains(at)).unwrap();
        assert!(
            found.iter().any(|fault| fault.line == line && fault.text.contains(says)),
            "{by:?}: no fault on line {line} says {says:?}, but {found:#?}"
        );
        assert!(found.len() <= 2, "{found:#?}");
    }
    let twice = team("", "").replacen("login = \"the-boss\"", "sign_in = \"oid-1\"", 1);
    let found = faults(&twice);
    assert!(found.len() == 1 && found[0].text.contains("both have sign_in = \"oid-1\""), "{found:#?}");
}

#[test]
fn what_lets_anybody_become_somebody_else_is_warned_of() {
    let warned = |text: &str, says: &str| {
        let config = read(text).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(
            config.warnings.len() == 1 && config.warnings[0].text.contains(says),
            "{:?}",
            config.warnings
        );
    };
    let changeable = team("client_id = \"ticketgate\"", "client_id = \"x\"\nclaim = \"email\"");
    warned(&changeable, "which can be changed");
    let without = team("", "").replace(SIGN_IN, "");
    warned(&without, "the file has no [sign_in]");
    let empty = team("technicians = [\"boss\"]", "groups = [\"nigt\"]");
    warned(&empty, "did you mean \"night\"?");
    assert_eq!(read(&team("technicians = [\"boss\"]", "groups = [\"night\"]")).unwrap().warnings, []);
}

#[test]
fn who_may_be_put_into_a_group_by_the_provider_shares_no_account_with_another_either() {
    // The boss is in the group by the configuration; tech1 may come into it by signing in.
    let text = team("", "")
        .replacen("groups = [\"tier2\"]\naccounts", "accounts", 1)
        .replacen("login = \"the-boss\"", "accounts = { acme-ad = \"T.One\" }", 1)
        .replacen("{ technicians = [\"tech1\"] }", "{ groups = [\"tier2\"] }", 1);
    let found = faults(&text);
    assert!(found.len() == 1 && found[0].text.contains("as technician \"tech1\""), "{found:#?}");
}
