//! Reading a configuration: the example, defaults, what clashes, and secrets that stay unsaid.

mod arbitrary;
mod faults;
mod grants;
mod machines;
mod service;
mod sign_in;
mod tenants;

use ticketgate_protocol::api::Mode;

use super::*;
use crate::config::{
    ActiveDirectory, DirectoryKind, LedgerPlace, PsaKind, SecretRef, TicketNotes, TicketRule, Verified,
};

const EXAMPLE: &str = include_str!("../../../../example.toml");

/// A small configuration without fault, one key a line.
const BASE: &str = r#"[broker]
administrators = ["boss"]
reason_template = "{number} {summary}"
[[technician]]
id = "tech1"
groups = ["tier2"]
accounts = { acme-ad = "t.one" }
psa = { cw = "tone" }
[[technician]]
id = "boss"
groups = ["tier2"]
login = "the-boss"
[[customer]]
id = "acme"
name = "Acme Corp"
aliases = ["ACME"]
domains = ["acme.example"]
psa = { cw = ["19"] }
[[customer]]
id = "globex"
name = "Globex"
domains = ["globex.example"]
psa = { cw = ["27"] }
[[psa]]
id = "cw"
kind = "connectwise"
url = "https://api-na.myconnectwise.net/v4_6_release/apis/3.0/"
pages = ["na.myconnectwise.net"]
login = "msp+key"
client_id = "0-1"
secret = { env = "CW_KEY" }
[[psa]]
id = "desk"
kind = "request_tracker"
url = "http://127.0.0.1:8080/rt"
secret = { env = "RT_TOKEN" }
[[directory]]
id = "acme-ad"
customer = "acme"
kind = "active_directory"
servers = ["ldaps://dc1.acme.example"]
bind_dn = "CN=svc,DC=acme,DC=example"
password = { file = "/etc/acme.secret" }
account_unit = "OU=JIT,DC=acme,DC=example"
account_name = "jit-{technician}"
[[policy]]
id = "admins"
name = "Domain Admin"
directory = "acme-ad"
rights = ["CN=Domain Admins,CN=Users,DC=acme,DC=example"]
duration = { default = "1h", max = "4h", choices = ["30m", "1h", "4h"] }
eligible = { groups = ["tier2"] }
ticket = { required = true }
[[policy]]
id = "printers"
name = "Printers"
directory = "acme-ad"
mode = "membership"
rights = ["CN=Printers,DC=acme,DC=example"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }
"#;

/// The base with one thing written otherwise.
fn with(this: &str, by: &str) -> String {
    assert!(BASE.contains(this), "the base does not have {this:?}");
    BASE.replacen(this, by, 1)
}

fn faults(text: &str) -> Vec<Fault> {
    read(text).unwrap_err().0
}

fn line_with(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("no line has {part:?}")) + 1
}

/// The first directory, a domain.
fn domain(config: &Config) -> &ActiveDirectory {
    match &config.directories.values().next().unwrap().kind {
        DirectoryKind::ActiveDirectory(domain) => domain,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_is_read_without_fault_or_warning() {
    let config = read(EXAMPLE).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    assert_eq!(config.technicians.len(), 2);
    assert_eq!(config.broker.administrators.len(), 1);
    let (ad, terry) = (domain(&config), config.technician_by_login("terry").unwrap());
    assert_eq!(ad.password, SecretRef::File("/etc/ticketgate/acme-ad.secret".into()));
    assert_eq!(ad.dedicated_account(&terry.id), "jit-tech1");
    assert_eq!((ad.timeout_s, ad.servers.len()), (5, 2));
    assert_eq!(terry.own_account(config.directories.keys().next().unwrap()), "t.tech");
    let policy = config.policies.get(&"acme-domain-admin".parse().unwrap()).unwrap();
    assert_eq!(
        (policy.grants[0].mode, policy.one_click, policy.ticket.required),
        (Mode::Dedicated, true, true)
    );
    assert_eq!(
        policy.duration,
        crate::config::DurationRule { default_s: 3600, max_s: 14_400, choices_s: vec![1800, 3600, 14_400] }
    );
}

#[test]
fn the_examples_commented_conditions_are_right_as_well() {
    let verified = "ticket = { required = true, verified = \"always\", must_be_mine = true }";
    let text = EXAMPLE.replace(&format!("# {verified}"), verified);
    let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let policy = config.policies.get(&"acme-printers".parse().unwrap()).unwrap();
    assert!(
        policy.unmet.is_empty() && policy.ticket.verified == Verified::Always && policy.ticket.must_be_mine
    );
    assert_eq!(config.warnings, []);
    let at_closing = "ticket = { required = true, verified = \"always\", end_when_closed = true }";
    let text = EXAMPLE
        .replace(&format!("# {at_closing}"), at_closing)
        .replace("# approval =", "approval =")
        .replace("# passkey", "passkey");
    let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let policy = config.policies.get(&"acme-printers".parse().unwrap()).unwrap();
    assert_eq!(policy.unmet, ["approval", "passkey"]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert_eq!(config.warnings[0].line, line_with(&text, "approval = {"));
    assert!(policy.ticket.end_when_closed);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read(BASE).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.broker.rate, crate::config::RateLimits { per_minute: 10, per_hour: 50, per_day: 100 });
    assert_eq!((config.broker.sessions_at_once, config.broker.clipboard_clear_s), (10, 30));
    let tech1 = config.technicians.get(&"tech1".parse().unwrap()).unwrap();
    assert_eq!((tech1.name.as_str(), tech1.login.as_str()), ("tech1", "tech1"));
    let printers = config.policies.get(&"printers".parse().unwrap()).unwrap();
    assert_eq!(printers.duration.choices_s, [3600, 14_400]);
    assert!(!printers.ticket.required && !printers.one_click && printers.unmet.is_empty());
    let ad = domain(&config);
    assert_eq!((ad.timeout_s, ad.ca_file.as_deref()), (5, None));
}

#[test]
fn a_ticket_system_is_read_with_its_defaults() {
    let config = read(BASE).unwrap_or_else(|faults| panic!("{faults}"));
    let [cw, desk] = ["cw", "desk"].map(|id| &config.psas[&id.parse().unwrap()]);
    assert_eq!(cw.url, "https://api-na.myconnectwise.net/v4_6_release/apis/3.0");
    assert_eq!(
        (cw.kind, cw.pages.as_slice()),
        (PsaKind::ConnectWise, ["na.myconnectwise.net".to_owned()].as_slice())
    );
    assert_eq!((desk.pages.as_slice(), desk.timeout_s), (["127.0.0.1".to_owned()].as_slice(), 5));
    assert_eq!((cw.poll_s, desk.poll_s), (60, 60));
    assert_eq!((desk.notes, cw.secret.clone()), (TicketNotes::Private, SecretRef::Env("CW_KEY".into())));
}

#[test]
fn what_a_policy_asks_of_a_ticket_is_read() {
    let rule = |text: &str| {
        let text = with("ticket = { required = true }", &format!("ticket = {{ required = true, {text} }}"));
        read(&text).unwrap_or_else(|faults| panic!("{faults}")).policies[&"admins".parse().unwrap()].ticket
    };
    let always = TicketRule {
        required: true,
        verified: Verified::Always,
        must_be_open: true,
        ..TicketRule::default()
    };
    assert_eq!(rule("verified = true"), always);
    assert_eq!(rule("verified = \"always\""), always);
    assert_eq!(
        rule("verified = \"when_reachable\", must_be_open = false"),
        TicketRule { verified: Verified::WhenReachable, must_be_open: false, ..always }
    );
    assert_eq!(rule("verified = false"), TicketRule { required: true, ..TicketRule::default() });
    assert_eq!(
        rule("verified = \"always\", must_be_mine = true, end_when_closed = true"),
        TicketRule { must_be_mine: true, end_when_closed: true, ..always }
    );
}

#[test]
fn servers_of_every_permitted_shape_are_taken() {
    for server in [
        "ldaps://dc1",
        "ldap://dc1.acme.example:389",
        "ldaps://192.0.2.1:636",
        "ldaps://[2001:db8::1]",
        "ldap://[::1]:1",
    ] {
        let text = with("ldaps://dc1.acme.example", server);
        assert!(read(&text).is_ok(), "{server}: {:?}", read(&text));
    }
}

#[test]
fn two_people_never_share_an_account_in_membership_mode() {
    let both = with("{ technicians = [\"tech1\"] }", "{ groups = [\"tier2\"] }");
    assert!(read(&both).is_ok());
    let text = both.replacen("login = \"the-boss\"", "accounts = { acme-ad = \"T.One\" }", 1);
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].line, line_with(&text, "T.One"));
    assert!(found[0].text.contains("as technician \"tech1\" (line 4) has"), "{found:#?}");
}

#[test]
fn two_directories_never_claim_one_account() {
    let second = "[[directory]]\nid = \"globex-ad\"\ncustomer = \"globex\"\nkind = \"active_directory\"\n\
        servers = [\"ldaps://dc2\", \"ldaps://dc1.acme.example\"]\nbind_dn = \"svc@globex.example\"\n\
        password = { env = \"GLOBEX\" }\naccount_unit = \"OU=Other,DC=acme,DC=example\"\n";
    let found = faults(&format!("{BASE}{second}"));
    assert!(
        found.len() == 1 && found[0].text.contains("would both claim the same JIT accounts"),
        "{found:#?}"
    );
    assert!(read(&format!("{BASE}{second}account_name = \"g-{{technician}}\"\n")).is_ok());
}

#[test]
fn one_right_in_two_spellings_is_one_right() {
    let text = with("CN=Printers,DC=acme,DC=example", "cn=domain admins,CN=Users,DC=ACME,dc=example");
    let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let rights: Vec<_> = config.policies.values().map(|policy| &policy.grants[0].rights).collect();
    assert_eq!(rights[0], rights[1]);
    assert_eq!(rights[0][0].0, "CN=Domain Admins,CN=Users,DC=acme,DC=example");
}

#[test]
fn slips_that_are_no_contradictions_are_warnings() {
    let cases = [
        (
            "eligible = { groups = [\"tier2\"] }",
            "eligible = { groups = [\"tire2\"] }",
            "did you mean \"tier2\"?",
        ),
        ("CN=Printers,DC=acme,DC=example", "CN=Printers,DC=globex,DC=example", "is in another domain"),
        (
            "domains = [\"globex.example\"]",
            "domains = [\"GMail.com\"]",
            "anybody can have an address at gmail.com",
        ),
    ];
    for (this, by, says) in cases {
        let text = with(this, by);
        let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
        let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
        assert!(warning.line == line_with(&text, by) && warning.text.contains(says), "{warning:?}");
    }
    let private = with("domains = [\"globex.example\"]", "domains = [\"gmail.com\", \"globex.example\"]");
    let globex = read(&private).unwrap().customers.into_values().find(|c| c.name == "Globex").unwrap();
    assert_eq!(globex.domains, ["globex.example"], "what tells nothing of a customer is not used");
    let nothing = read("").unwrap();
    assert_eq!(nothing.warnings.len(), 4, "{:?}", nothing.warnings);
}

#[test]
fn all_faults_come_at_once_in_the_order_of_their_lines() {
    let text = BASE
        .replacen("name = \"Globex\"", "nmae = \"Globex\"", 1)
        .replacen("kind = \"active_directory\"", "kind = \"ldap\"", 1)
        .replacen("password = { file = \"/etc/acme.secret\" }", "password = \"hunter2\"", 1)
        .replacen("max = \"4h\", choices", "max = \"30h\", choices", 1)
        .replacen("technicians = [\"tech1\"]", "technicians = [\"nobody\"]", 1);
    let found = faults(&text);
    assert_eq!(found.iter().map(|fault| fault.line).collect::<Vec<_>>(), [21, 40, 43, 51, 61], "{found:#?}");
    let shown = Faults(found).to_string();
    assert_eq!(shown.lines().count(), 5);
    assert!(
        shown.starts_with(
            "line 21: unknown key `nmae` in customer \"globex\"; did you mean `name`?\nline 40: "
        ),
        "{shown}"
    );
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    for (this, by) in [
        ("name = \"Globex\"", "name = \"Globex"),
        ("name = \"Globex\"", "name = Globex"),
        ("name = \"Globex\"", "name \"Globex\""),
        ("name = \"Globex\"", "id = \"globex\""),
        ("name = \"Globex\"", "name = \"\\q\""),
    ] {
        let found = faults(&with(this, by));
        assert!(
            found.iter().any(|fault| fault.line == 21 && fault.text.starts_with("this is not TOML: ")),
            "{by}: {found:#?}"
        );
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    let ways = [
        "password = \"hunter2\"",
        "password = hunter2",
        "password = \"hunter2",
        "password = \"\\hunter2\"",
        "password = { hunter2 = \"x\" }",
        "password = { value = \"hunter2\" }",
        "password = { plain = 'hunter2' }",
        "password = { file = \"hunter2\" }",
        "password = { file = \"hunter2\", env = \"X\" }",
        "password = { env = \"hunter2!\" }",
        "password = { credential = \"../hunter2\" }",
        "password = { file = [\"hunter2\"] }",
        "password = { env = \"X\", hunter2 = 1 }",
        "password = [\"hunter2\"]",
        "password = \"\"\"\nhunter2\"\"\"",
        "password = { file = \"/x\" }\nservers = \"ldaps://svc:hunter2@dc1\"",
        "bind_password = \"hunter2\"",
        "password.file.hunter2 = 1",
        "password = hunter2\nhunter2",
    ];
    for way in ways {
        let found = Faults(faults(&with("password = { file = \"/etc/acme.secret\" }", way))).to_string();
        assert!(!found.contains("hunter2"), "{way}: {found}");
        assert!(
            found.contains("line 43: ") || found.contains("line 44: ") || found.contains("line 37: "),
            "{way}: {found}"
        );
    }
    let server = with("ldaps://dc1.acme.example", "ldaps://svc:hunter2@dc1");
    let found = Faults(faults(&server)).to_string();
    assert!(found.contains("holds a user or a password") && !found.contains("hunter2"), "{found}");
}

#[test]
fn a_secret_is_found_by_file_variable_key_store_or_credential() {
    let kept = [
        ("{ file = 'C:\\ticketgate\\acme' }", SecretRef::File("C:\\ticketgate\\acme".into())),
        ("{ env = \"ACME_1\" }", SecretRef::Env("ACME_1".into())),
        ("{ keyring = \"acme ad\" }", SecretRef::Keyring("acme ad".into())),
        ("{ credential = \"acme-ad\" }", SecretRef::Credential("acme-ad".into())),
    ];
    for (written, meant) in kept {
        let config = read(&with("{ file = \"/etc/acme.secret\" }", written))
            .unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(domain(&config).password, meant);
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read_at_all() {
    let found = faults(&"#".repeat(SIZE_MAX + 1));
    assert!(found[0].text.contains("larger than 4 MiB"), "{found:?}");
}

#[test]
fn the_ledgers_database_is_read_with_the_file_and_alone_whatever_else_is_wrong() {
    let table = "[ledger]\npostgres = \"host=db user=tg dbname=tg\"\npassword = { file = \"/etc/p\" }\nca_file = \"/etc/ca\"\n";
    let meant = LedgerPlace {
        postgres: "host=db user=tg dbname=tg".to_owned(),
        password: Some(SecretRef::File("/etc/p".to_owned())),
        ca_file: Some("/etc/ca".to_owned()),
    };
    let whole = read(&format!("{table}\n{}", with("", ""))).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(whole.ledger, Some(meant.clone()));
    assert_eq!(ledger(&format!("{table}\n[broker]\nnonsense = 1\n")).unwrap(), Some(meant));
    assert_eq!(ledger("[broker]\nnonsense = 1\n").unwrap(), None);
    for (text, what) in [
        ("[ledger]", "has no `postgres`"),
        ("[ledger]\npostgres = \"host=db password=hunter2\"", "holds a password"),
        ("[ledger]\npostgres = \"postgresql://tg:hunter2@db/tg\"", "holds a password"),
        ("[ledger]\npostgres = \"host=db\"\npassword = \"hunter2\"", "is written out"),
        ("[ledger]\npostgres = \"host=db\"\nca_file = \"ca.crt\"", "whole path"),
        ("[ledger]\npostgres = \"host=db\"\nsqlite = 1", "sqlite"),
        ("[ledger", "TOML"),
    ] {
        let said = ledger(text).unwrap_err().to_string();
        assert!(said.contains(what) && !said.contains("hunter2"), "{text}: {said}");
    }
}
