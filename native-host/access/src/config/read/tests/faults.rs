//! Every kind of fault, each with its line and its remedy.

use super::*;

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
        ("[broker]", "[broker]\nrules = \"rules\"", "rules", "the whole path of a folder"),
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
        ("[\"boss\"]", "[\"bos\"]", "[\"bos\"]", "did you mean \"boss\" on line 9?"),
        ("accounts = { acme-ad", "accounts = { acme-da", "accounts", "did you mean \"acme-ad\" on line 37?"),
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
        // Ticket systems.
        ("kind = \"connectwise\"", "kind = \"conectwise\"", "conectwise", "\"connectwise\", \"autotask\""),
        ("login = \"msp+key\"", "notes = \"secret\"", "secret\"", "\"private\", \"public\" or \"off\""),
        ("id = \"desk\"", "id = \"desk\"\npoll = \"5s\"", "poll", "30"),
        ("login = \"msp+key\"\n", "", "[[psa]]", "the company id and the API member's public key"),
        (
            "url = \"http://127.0.0.1:8080/rt\"",
            "url = \"http://rt.example\"",
            "rt.example",
            "must start with https://",
        ),
        ("url = \"http://127.0.0.1:8080/rt\"", "url = \"https://u:p@rt.example\"", "u:p@", "no proper host"),
        ("url = \"http://127.0.0.1:8080/rt\"", "url = \"https://rt.example/?x\"", "?x", "more than scheme"),
        ("id = \"desk\"", "id = \"desk\"\nlogin = \"x\"", "login = \"x\"", "Request Tracker needs none"),
        ("id = \"desk\"", "id = \"desk\"\npages = [\"https://x\"]", "pages = [\"https", "not a host name"),
        ("secret = { env = \"CW_KEY\" }", "secret = \"abc\"", "secret = \"abc", "is written out"),
        (
            "psa = { cw = \"tone\" }",
            "psa = { wc = \"tone\" }",
            "wc =",
            "names psa \"wc\", which does not exist",
        ),
        (
            "psa = { cw = [\"27\"] }",
            "psa = { cw = [\"27\", \"19\"] }",
            "[\"27\", \"19\"]",
            "company \"19\" of psa \"cw\"",
        ),
        (
            "domains = [\"globex.example\"]",
            "domains = [\"Acme.example\"]",
            "Acme.example",
            "by customer \"acme\" and by",
        ),
        ("domains = [\"globex.example\"]", "domains = [\"@globex\"]", "@globex", "not a domain"),
        (
            "{ required = true }",
            "{ required = true, verified = \"sometimes\" }",
            "sometimes",
            "\"when_reachable\"",
        ),
        ("{ required = true }", "{ verified = \"always\" }", "{ verified", "without required = true"),
        ("{ required = true }", "{ required = true, must_be_mine = true }", "must_be_mine", "needs verified"),
        // People and customers.
        (
            "login = \"the-boss\"",
            "login = \"tech1\"",
            "login",
            "technicians \"tech1\" (line 4) and \"boss\" both have login",
        ),
        ("name = \"Globex\"", "name = \"acme  CORP\"", "acme  CORP", "on line 15, of customer \"acme\""),
        (
            "name = \"Globex\"",
            "aliases = [\"Glob\", \"acme\"]",
            "aliases = [\"Glob",
            "is a name of customer \"globex\" and, on line 16",
        ),
        // Directories.
        (
            "kind = \"active_directory\"",
            "kind = \"okta\"",
            "okta",
            "write kind = \"active_directory\", kind = \"local\" or kind = \"entra\"",
        ),
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
        ("name = \"Printers\"", "name = \"domain admin\"", "name = \"domain admin\"", "the other on line 48"),
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
        ("customer = \"acme\"\n", 37, "no `customer`"),
        ("kind = \"active_directory\"\n", 37, "no `kind`"),
        ("servers = [\"ldaps://dc1.acme.example\"]\n", 37, "no `servers`"),
        ("bind_dn = \"CN=svc,DC=acme,DC=example\"\n", 37, "no `bind_dn`"),
        (
            "password = { file = \"/etc/acme.secret\" }\n",
            37,
            "no `password`; secrets never stand in this file",
        ),
        ("account_unit = \"OU=JIT,DC=acme,DC=example\"\n", 37, "no `account_unit`"),
        ("id = \"printers\"\n", 54, "[[policy]] has no `id`"),
        ("rights = [\"CN=Printers,DC=acme,DC=example\"]\n", 54, "no `rights`"),
        ("duration = { default = \"1h\", max = \"4h\" }\n", 54, "no `duration`"),
        ("eligible = { technicians = [\"tech1\"] }\n", 54, "nobody could use it"),
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
    assert_eq!(found[0].line, 19);
    assert_eq!(found[0].text, "customer \"acme\" is there already, on line 13; give this one another id");
}
