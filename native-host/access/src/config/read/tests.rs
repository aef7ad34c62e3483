//! Reading a configuration: the example, every kind of fault with its line, secrets that stay unsaid, and arbitrary text.

use proptest::prelude::*;
use ticketgate_protocol::api::Mode;

use super::*;
use crate::config::{DirectoryKind, SecretRef};

const EXAMPLE: &str = include_str!("../../../../example.toml");

/// A small configuration without fault, one key a line.
const BASE: &str = r#"[broker]
administrators = ["boss"]
reason_template = "{number} {summary}"
[[technician]]
id = "tech1"
groups = ["tier2"]
accounts = { acme-ad = "t.one" }
[[technician]]
id = "boss"
groups = ["tier2"]
login = "the-boss"
[[customer]]
id = "acme"
name = "Acme Corp"
aliases = ["ACME"]
[[customer]]
id = "globex"
name = "Globex"
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

#[test]
fn the_example_is_read_without_fault_or_warning() {
    let config = read(EXAMPLE).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    assert_eq!(config.technicians.len(), 2);
    assert_eq!(config.broker.administrators.len(), 1);
    let (DirectoryKind::ActiveDirectory(ad), terry) =
        (&config.directories.values().next().unwrap().kind, config.technician_by_login("terry").unwrap());
    assert_eq!(ad.password, SecretRef::File("/etc/ticketgate/acme-ad.secret".into()));
    assert_eq!(ad.dedicated_account(&terry.id), "jit-tech1");
    assert_eq!((ad.timeout_s, ad.servers.len()), (5, 2));
    assert_eq!(terry.own_account(config.directories.keys().next().unwrap()), "t.tech");
    let policy = config.policies.get(&"acme-domain-admin".parse().unwrap()).unwrap();
    assert_eq!((policy.mode, policy.one_click, policy.ticket_required), (Mode::Dedicated, true, true));
    assert_eq!(
        policy.duration,
        crate::config::DurationRule { default_s: 3600, max_s: 14_400, choices_s: vec![1800, 3600, 14_400] }
    );
}

#[test]
fn the_examples_commented_conditions_are_right_as_well() {
    let text = EXAMPLE
        .replace("# ticket = {", "ticket = {")
        .replace("# approval =", "approval =")
        .replace("# passkey", "passkey");
    let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
    let policy = config.policies.get(&"acme-printers".parse().unwrap()).unwrap();
    assert_eq!(policy.unmet, ["ticket.verified", "ticket.end_when_closed", "approval", "passkey"]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert_eq!(config.warnings[0].line, line_with(&text, "verified"));
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
    assert!(!printers.ticket_required && !printers.one_click && printers.unmet.is_empty());
    let DirectoryKind::ActiveDirectory(ad) = &config.directories.values().next().unwrap().kind;
    assert_eq!((ad.timeout_s, ad.ca_file.as_deref()), (5, None));
}

#[test]
fn every_fault_is_found_with_its_line_and_its_remedy() {
    // What is written instead of what; a part of the line that the fault is on; what the fault says.
    let cases = [
        // Keys and shapes.
        ("name = \"Globex\"", "nmae = \"Globex\"", "nmae", "did you mean `name`?"),
        ("[broker]", "[brokr]", "[brokr]", "did you mean `broker`?"),
        ("administrators = [\"boss\"]", "administrators = \"boss\"", "administrators", "must be a list"),
        ("[broker]", "[broker]\nsessions_at_once = \"5\"", "sessions_at_once", "whole number from 1 to 100"),
        ("[broker]", "[broker]\nsessions_at_once = 0", "sessions_at_once", "whole number from 1 to 100"),
        ("[broker]", "[broker]\nsessions_at_once = -1", "sessions_at_once", "whole number from 1 to 100"),
        ("[broker]", "[broker]\nsessions_at_once = 99999999999999999999", "sessions_at_once", "whole number"),
        (
            "[broker]",
            "[broker]\nrate = { per_second = 3 }",
            "rate",
            "unknown key `per_second` in `rate` of [broker]",
        ),
        ("[broker]", "[broker]\nclipboard_clear = 30", "clipboard_clear", "must be a duration in quotes"),
        ("[broker]", "[broker]\nclipboard_clear = \"1h\"", "clipboard_clear", "between 5s and 10m"),
        ("[broker]", "[broker]\nhosts = [\"https://x/\"]", "hosts", "not a host name"),
        ("{number} {summary}", "{number} {sumary}", "reason_template", "a placeholder that does not exist"),
        ("{number} {summary}", "{number", "reason_template", "a brace without its partner"),
        (
            "ticket = { required = true }",
            "ticket = { required = \"yes\" }",
            "ticket",
            "true or false, without quotes",
        ),
        ("ticket = { required = true }", "ticket = true", "ticket", "must be a table"),
        ("name = \"Globex\"", "name = \"Glo\\u202Ebex\"", "Glo", "control or invisible character"),
        ("name = \"Globex\"", "name = \"  \"", "name = \"  \"", "is empty"),
        ("name = \"Globex\"", "name = 7", "name = 7", "must be text in quotes"),
        // Ids.
        ("id = \"globex\"", "id = \"Globex\"", "id = \"Globex\"", "not a valid customer id"),
        // References.
        ("[\"boss\"]", "[\"bos\"]", "[\"bos\"]", "did you mean \"boss\" on line 8?"),
        ("accounts = { acme-ad", "accounts = { acme-da", "accounts", "did you mean \"acme-ad\" on line 19?"),
        (
            "customer = \"acme\"",
            "customer = \"initech\"",
            "initech",
            "names customer \"initech\", which does not exist",
        ),
        ("directory = \"acme-ad\"", "directory = \"other\"", "\"other\"", "add a [[directory]] with this id"),
        (
            "technicians = [\"tech1\"]",
            "technicians = [\"tech11\"]",
            "tech11",
            "did you mean \"tech1\" on line 4?",
        ),
        // People and customers.
        (
            "login = \"the-boss\"",
            "login = \"tech1\"",
            "login",
            "technicians \"tech1\" (line 4) and \"boss\" both have login",
        ),
        ("name = \"Globex\"", "name = \"acme  CORP\"", "acme  CORP", "on line 14, of customer \"acme\""),
        (
            "name = \"Globex\"",
            "aliases = [\"Glob\", \"acme\"]",
            "aliases = [\"Glob",
            "is a name of customer \"globex\" and, on line 15",
        ),
        // Directories.
        ("kind = \"active_directory\"", "kind = \"entra\"", "entra", "the only kind in this release"),
        (
            "servers = [\"ldaps://dc1.acme.example\"]",
            "servers = []",
            "servers",
            "`servers` of directory \"acme-ad\" is empty",
        ),
        ("ldaps://dc1.acme.example", "dc1.acme.example", "servers", "must start with ldaps://"),
        ("ldaps://dc1.acme.example", "https://dc1.acme.example", "servers", "must start with ldaps://"),
        ("ldaps://dc1.acme.example", "ldaps://dc1.acme.example/", "servers", "holds a path"),
        ("ldaps://dc1.acme.example", "ldaps://dc1:0", "servers", "from 1 to 65535"),
        ("ldaps://dc1.acme.example", "ldaps://dc1:65536", "servers", "from 1 to 65535"),
        ("ldaps://dc1.acme.example", "ldaps://dc1:+636", "servers", "from 1 to 65535"),
        ("ldaps://dc1.acme.example", "ldaps://-dc1", "servers", "no proper host name"),
        ("ldaps://dc1.acme.example", "ldaps://", "servers", "no proper host name"),
        ("ldaps://dc1.acme.example", "ldaps://[::g]", "servers", "something other than an IPv6 address"),
        ("CN=svc,DC=acme,DC=example", "svc", "bind_dn", "name@domain"),
        ("CN=svc,DC=acme,DC=example", "svc@", "bind_dn", "name@domain"),
        ("OU=JIT,DC=acme,DC=example", "OU=JIT, DC=acme", "account_unit", "a space after a comma"),
        (
            "OU=JIT,DC=acme,DC=example",
            "acme.example/JIT",
            "account_unit",
            "`account_unit` of directory \"acme-ad\"",
        ),
        ("jit-{technician}", "jit", "account_name", "all technicians would share one account"),
        ("jit-{technician}", "jit-{tech}", "account_name", "use {technician}"),
        (
            "jit-{technician}",
            "just-in-time-accounts-{technician}",
            "account_name",
            "longer than the 20 characters",
        ),
        ("jit-{technician}", "jit:{technician}", "account_name", "a character that Active Directory forbids"),
        ("account_name = \"jit-{technician}\"", "timeout = \"0s\"", "timeout", "between 1s and 1m"),
        (
            "account_name = \"jit-{technician}\"",
            "ca_file = \"ca.pem\"",
            "ca_file",
            "the whole path of a file",
        ),
        (
            "acme-ad = \"t.one\"",
            "acme-ad = \"ACME\\\\tech1\"",
            "accounts",
            "a character that Active Directory forbids",
        ),
        ("acme-ad = \"t.one\"", "acme-ad = \"JIT-tech1\"", "JIT-tech1", "which is the name of a JIT account"),
        // Policies.
        ("name = \"Printers\"", "name = \"domain admin\"", "name = \"domain admin\"", "the other on line 30"),
        (
            "mode = \"membership\"",
            "mode = \"permanent\"",
            "permanent",
            "\"dedicated\", \"burner\" or \"membership\"",
        ),
        (
            "rights = [\"CN=Printers,DC=acme,DC=example\"]",
            "rights = []",
            "rights = []",
            "name at least one group",
        ),
        ("CN=Printers,DC=acme,DC=example", "Printers", "\"Printers\"]", "is not of the form CN=name"),
        (
            "[\"CN=Printers,DC=acme,DC=example\"]",
            "[\"CN=a,DC=acme,DC=example\", \"cn=A,dc=acme,dc=example\"]",
            "cn=A",
            "stands there twice",
        ),
        (
            "{ default = \"1h\", max = \"4h\" }",
            "{ default = \"5h\", max = \"4h\" }",
            "\"5h\"",
            "longer than its `max` of 4h",
        ),
        (
            "{ default = \"1h\", max = \"4h\" }",
            "{ default = \"1h\" }",
            "{ default = \"1h\" }",
            "has no `max`",
        ),
        ("{ default = \"1h\", max = \"4h\" }", "\"1h\"", "duration = \"1h\"", "must be a table"),
        (
            "{ default = \"1h\", max = \"4h\" }",
            "{ default = \"30s\", max = \"4h\" }",
            "30s",
            "between 1m and 24h",
        ),
        (
            "{ default = \"1h\", max = \"4h\" }",
            "{ default = \"1h\", max = \"25h\" }",
            "25h",
            "between 1m and 24h",
        ),
        (
            "{ default = \"1h\", max = \"4h\" }",
            "{ default = \"1 hour\", max = \"4h\" }",
            "1 hour",
            "such as \"90s\"",
        ),
        ("[\"30m\", \"1h\", \"4h\"]", "[\"30m\", \"8h\"]", "8h", "(8h) is longer than its `max` of 4h"),
        ("{ technicians = [\"tech1\"] }", "{}", "eligible = {}", "nobody could use the policy"),
        (
            "{ technicians = [\"tech1\"] }",
            "{ groups = [], technicians = [] }",
            "eligible = { groups = []",
            "nobody could use",
        ),
        ("ticket = { required = true }", "approval = { required = 1 }", "approval", "nobody could approve"),
        (
            "ticket = { required = true }",
            "approval = { required = 0, from = [\"tier2\"] }",
            "approval",
            "from 1 to 10",
        ),
    ];
    for (this, by, at, says) in cases {
        let text = with(this, by);
        let found = match read(&text) {
            Ok(_) => panic!("{by:?} is no fault"),
            Err(faults) => faults.0,
        };
        let line = line_with(&text, at);
        assert!(
            found.iter().any(|fault| fault.line == line && fault.text.contains(says)),
            "{by:?}: no fault on line {line} says {says:?}, but {found:#?}"
        );
        assert!(found.len() <= 2, "{by:?} has consequences that confuse: {found:#?}");
    }
}

#[test]
fn what_is_missing_is_said_at_its_section() {
    let cases = [
        ("customer = \"acme\"\n", 19, "no `customer`"),
        ("kind = \"active_directory\"\n", 19, "no `kind`"),
        ("servers = [\"ldaps://dc1.acme.example\"]\n", 19, "no `servers`"),
        ("bind_dn = \"CN=svc,DC=acme,DC=example\"\n", 19, "no `bind_dn`"),
        (
            "password = { file = \"/etc/acme.secret\" }\n",
            19,
            "no `password`; secrets never stand in this file",
        ),
        ("account_unit = \"OU=JIT,DC=acme,DC=example\"\n", 19, "no `account_unit`"),
        ("id = \"printers\"\n", 36, "[[policy]] has no `id`"),
        ("rights = [\"CN=Printers,DC=acme,DC=example\"]\n", 36, "no `rights`"),
        ("duration = { default = \"1h\", max = \"4h\" }\n", 36, "no `duration`"),
        ("eligible = { technicians = [\"tech1\"] }\n", 36, "nobody could use it"),
    ];
    for (this, line, says) in cases {
        let found = faults(&with(this, ""));
        let [fault] = found.as_slice() else { panic!("without {this:?}: {found:#?}") };
        assert!(fault.line == line && fault.text.contains(says), "without {this:?}: {fault:?}");
    }
}

#[test]
fn an_id_that_comes_twice_is_said_with_both_lines() {
    let found = faults(&with("id = \"globex\"", "id = \"acme\""));
    assert_eq!(found[0].line, 16);
    assert_eq!(found[0].text, "customer \"acme\" is there already, on line 12; give this one another id");
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
    let rights: Vec<_> = config.policies.values().map(|policy| &policy.rights).collect();
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
    ];
    for (this, by, says) in cases {
        let text = with(this, by);
        let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
        let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
        assert!(warning.line == line_with(&text, by) && warning.text.contains(says), "{warning:?}");
    }
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
    assert_eq!(found.iter().map(|fault| fault.line).collect::<Vec<_>>(), [18, 22, 25, 33, 43], "{found:#?}");
    let shown = Faults(found).to_string();
    assert_eq!(shown.lines().count(), 5);
    assert!(
        shown.starts_with(
            "line 18: unknown key `nmae` in customer \"globex\"; did you mean `name`?\nline 22: "
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
            found.iter().any(|fault| fault.line == 18 && fault.text.starts_with("this is not TOML: ")),
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
            found.contains("line 25: ") || found.contains("line 26: ") || found.contains("line 19: "),
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
        let DirectoryKind::ActiveDirectory(ad) = &config.directories.values().next().unwrap().kind;
        assert_eq!(ad.password, meant);
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read_at_all() {
    let found = faults(&"#".repeat(SIZE_MAX + 1));
    assert!(found[0].text.contains("larger than 4 MiB"), "{found:?}");
}

/// What the rest of the product takes for granted about a configuration that was read.
fn holds_what_is_promised(config: &Config) {
    for directory in config.directories.values() {
        assert!(config.customers.contains_key(&directory.customer));
        let DirectoryKind::ActiveDirectory(ad) = &directory.kind;
        assert!(!ad.servers.is_empty() && ad.timeout_s >= 1);
    }
    for technician in config.technicians.values() {
        assert!(technician.accounts.keys().all(|id| config.directories.contains_key(id)));
    }
    assert!(config.broker.administrators.iter().all(|id| config.technicians.contains_key(id)));
    for policy in config.policies.values() {
        assert!(config.customer_of(policy).is_some());
        assert!(!policy.rights.is_empty());
        assert!(!policy.eligible.groups.is_empty() || !policy.eligible.technicians.is_empty());
        let rule = &policy.duration;
        assert!(60 <= rule.default_s && rule.default_s <= rule.max_s && rule.max_s <= 86_400);
        assert!(rule.choices_s.is_sorted() && rule.choices_s.contains(&rule.default_s));
        assert!(rule.choices_s.iter().all(|choice| (60..=rule.max_s).contains(choice)));
        let Some(DirectoryKind::ActiveDirectory(ad)) =
            config.directories.get(&policy.directory).map(|d| &d.kind)
        else {
            unreachable!("the directory is there")
        };
        for technician in config.technicians.values().filter(|t| policy.eligible.admits(t)) {
            let name = match policy.mode {
                Mode::Dedicated => ad.dedicated_account(&technician.id),
                _ => technician.own_account(&policy.directory).to_owned(),
            };
            assert!(policy.mode == Mode::Burner || directory::account_name_fault(&name).is_none(), "{name}");
        }
    }
}

/// Pieces from which text that is nearly a configuration is made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(BASE.lines().collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["= ", "[", "]]", "\"", "{ ", "}", "''' ", "\\", "0x", "1979-05-27", "true", "nan", "id = 1", "é", "\u{202e}"]).prop_map(str::to_owned),
        1 => "[a-z_]{1,8} = \"[ -~]{0,12}\"",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn text_near_a_configuration_is_read_or_refused_with_lines_that_exist(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = pieces.join("\n");
        match read(&text) {
            Ok(config) => holds_what_is_promised(&config),
            Err(faults) => {
                prop_assert!(!faults.0.is_empty());
                let lines = text.split('\n').count();
                prop_assert!(faults.0.iter().all(|fault| fault.line <= lines && !fault.text.contains('\n')), "{}", faults);
            }
        }
    }

    #[test]
    fn one_line_left_out_or_one_value_changed_is_read_or_refused(
        drop in prop::option::of(0usize..44),
        change in prop::option::of((0usize..44, "[ -~]{0,16}")),
    ) {
        let mut lines: Vec<String> = BASE.lines().map(str::to_owned).collect();
        if let Some((at, by)) = change
            && let Some(line) = lines.get_mut(at)
            && let Some((key, _)) = line.clone().split_once('=')
        {
            *line = format!("{key}= \"{by}\"");
        }
        if let Some(at) = drop.filter(|at| *at < lines.len()) {
            lines.remove(at);
        }
        match read(&lines.join("\n")) {
            Ok(config) => holds_what_is_promised(&config),
            Err(faults) => prop_assert!(!faults.0.is_empty()),
        }
    }

    #[test]
    fn a_secret_is_never_repeated_wherever_it_is_broken(cut in 0usize..30, junk in "[\\[\\]{}\"'=\\\\\n #]{0,3}") {
        let whole = "password = \"hunter2hunter2\"";
        let (head, tail) = whole.split_at(cut.min(13));
        let text = with("password = { file = \"/etc/acme.secret\" }", &format!("{head}{junk}{tail}"));
        if let Err(faults) = read(&text) {
            prop_assert!(!faults.to_string().contains("hunter2hunter2"), "{}", faults);
        }
    }
}
