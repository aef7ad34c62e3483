//! Directories of kind `entra`: tenants.

use super::*;
use crate::config::{Cloud, Entra, Proof, SignIn};

const TENANT: &str = r#"[[technician]]
id = "tech1"
accounts = { acme-entra = "terry@acme.example" }
[[customer]]
id = "acme"
[[directory]]
id = "acme-entra"
customer = "acme"
kind = "entra"
tenant = "9F4C6D1E-0000-4000-8000-000000000001"
client_id = "9f4c6d1e-0000-4000-8000-000000000002"
certificate = "/etc/ticketgate/acme.crt"
key = { credential = "acme-graph.key" }
account_domain = "acme.onmicrosoft.com"
[[policy]]
id = "exchange"
directory = "acme-entra"
rights = ["role:Exchange Administrator", "group:fdd7a751-b60b-444a-984c-02652fe8fa1c"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1"] }
"#;

fn tenant(config: &Config) -> &Entra {
    match &config.directories.values().next().unwrap().kind {
        DirectoryKind::Entra(tenant) => tenant,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tenant_is_read_with_what_it_has_and_what_it_has_by_itself() {
    let config = read(TENANT).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.warnings, []);
    let tenant = tenant(&config);
    assert_eq!(tenant.tenant.as_str(), "9f4c6d1e-0000-4000-8000-000000000001");
    assert_eq!((tenant.sign_in, tenant.cloud, tenant.pim_only), (SignIn::Password, Cloud::Global, false));
    assert_eq!(tenant.graph_url, "https://graph.microsoft.com/v1.0");
    assert_eq!(tenant.login_url, "https://login.microsoftonline.com");
    let Proof::Certificate { certificate, key } = &tenant.proof else { panic!("{tenant:?}") };
    assert_eq!(certificate, "/etc/ticketgate/acme.crt");
    assert_eq!(*key, SecretRef::Credential("acme-graph.key".into()));
    let kind = &config.directories.values().next().unwrap().kind;
    let tech1 = &"tech1".parse().unwrap();
    assert_eq!(kind.dedicated_account(tech1), "jit-tech1@acme.onmicrosoft.com");
    let burner = kind.burner_account(tech1, "k3v9q0");
    assert_eq!(burner, "jit-tech1-k3v9q0@acme.onmicrosoft.com");
    assert!(
        kind.is_burner_account(tech1, &burner)
            && !kind.is_burner_account(tech1, "jit-tech1-k3v9q0@x.example")
    );
}

#[test]
fn people_sign_in_instead_of_the_application_in_the_tenant_or_in_their_partners() {
    let keys = "certificate = \"/etc/ticketgate/acme.crt\"\nkey = { credential = \"acme-graph.key\" }";
    let by_people = |more: &str| TENANT.replace(keys, &format!("sign_in = \"technician\"\n{more}"));
    for (more, home) in [
        ("", "9f4c6d1e-0000-4000-8000-000000000001"),
        ("partner = \"9f4c6d1e-0000-4000-8000-000000000003\"", "9f4c6d1e-0000-4000-8000-000000000003"),
    ] {
        let config = read(&by_people(more)).unwrap_or_else(|faults| panic!("{faults}"));
        let tenant = tenant(&config);
        let directory = "acme-entra".parse().unwrap();
        assert_eq!(tenant.proof, Proof::Technician { home: home.parse().unwrap(), directory });
        let name = format!("entra/{home}/9f4c6d1e-0000-4000-8000-000000000002");
        assert_eq!(tenant.sign_in_name(), Some(name));
    }
    let faults = read(&by_people("partner = \"msp.example\"")).unwrap_err().to_string();
    assert!(faults.contains("write the id of the partner's tenant"), "{faults}");
}

#[test]
fn a_tenant_in_another_cloud_is_asked_there() {
    for (cloud, login, graph) in [
        ("us_gov", "https://login.microsoftonline.us", "https://graph.microsoft.us/v1.0"),
        ("us_dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us/v1.0"),
        ("china", "https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/v1.0"),
    ] {
        let text = TENANT.replace("kind = \"entra\"", &format!("kind = \"entra\"\ncloud = \"{cloud}\""));
        let config = read(&text).unwrap_or_else(|faults| panic!("{faults}"));
        let tenant = tenant(&config);
        assert_eq!((tenant.login_url.as_str(), tenant.graph_url.as_str()), (login, graph));
    }
}

#[test]
fn what_a_tenant_cannot_have_is_said_with_its_line() {
    let more = |line: &'static str| ("kind = \"entra\"", format!("kind = \"entra\"\n{line}"));
    let instead = |what: &'static str, with: &str| (what, with.to_owned());
    for ((written, instead), said) in [
        (instead("9F4C6D1E-0000-4000-8000-000000000001", "acme.onmicrosoft.com"), "not a domain of it"),
        (instead("tenant = \"9F4C6D1E-0000-4000-8000-000000000001\"\n", ""), "has no `tenant`"),
        (instead("client_id = \"9f4c6d1e-0000-4000-8000-000000000002\"\n", ""), "has no `client_id`"),
        (instead("certificate = \"/etc/ticketgate/acme.crt\"\n", ""), "has no `certificate`"),
        (instead("/etc/ticketgate/acme.crt", "acme.crt"), "by its whole path"),
        (instead("key = { credential = \"acme-graph.key\" }\n", ""), "has no `key`"),
        (instead("{ credential = \"acme-graph.key\" }", "\"hunter2\""), "is written out"),
        (more("secret = { env = \"X\" }"), "has `secret` and `certificate`"),
        (instead("acme.onmicrosoft.com", "acme"), "is no domain"),
        (more("account_name = \"jit\""), "has no {technician}"),
        (more("account_name = \"jit {technician}\""), "is no user principal name"),
        (more("account_name = \"{technician}-adm\""), "begins with {technician}"),
        (more("sign_in = \"technician\""), "has sign_in = \"technician\" and `certificate`"),
        (more("sign_in = \"somebody\""), "must be \"app\" or \"technician\""),
        (
            more("partner = \"9f4c6d1e-0000-4000-8000-000000000003\""),
            "`partner` of directory \"acme-entra\" needs sign_in",
        ),
        (more("pass = \"once\""), "needs login = \"pass\""),
        (more("login = \"key\""), "must be \"password\" or \"pass\""),
        (more("pim = \"never\""), "must be \"when_there\" or \"always\""),
        (more("cloud = \"moon\""), "must be \"global\" or \"us_gov\" or \"us_dod\" or \"china\""),
        (more("graph_url = \"http://graph.example\""), "must start with https://"),
        (more("servers = [\"ldaps://x\"]"), "`servers`"),
        (
            instead("role:Exchange Administrator", "CN=Domain Admins,DC=acme"),
            "is \"role:NAME\" or \"group:ID\"",
        ),
        (instead("group:fdd7a751-b60b-444a-984c-02652fe8fa1c", "group:Helpdesk"), "five groups"),
        (
            instead("group:fdd7a751-b60b-444a-984c-02652fe8fa1c", "role:exchange  administrator"),
            "stands there twice",
        ),
    ] {
        let text = TENANT.replace(written, &instead);
        assert_ne!(text, TENANT, "{written}");
        let faults = read(&text).err().map(|faults| faults.to_string()).unwrap_or_default();
        assert!(faults.contains(said), "{instead}: {faults}");
        assert!(!faults.contains("hunter2"));
    }
}

#[test]
fn a_persons_own_account_is_a_user_principal_name() {
    let membership = TENANT.replace("id = \"exchange\"", "id = \"exchange\"\nmode = \"membership\"");
    assert!(read(&membership).is_ok());
    let faults = read(&membership.replace("terry@acme.example", "terry")).unwrap_err().to_string();
    assert!(faults.contains("has no @ and domain"), "{faults}");
}

#[test]
fn what_entra_id_gives_for_a_longer_time_only_is_refused_before_anybody_asks_for_it() {
    let pass = TENANT.replace("kind = \"entra\"", "kind = \"entra\"\nlogin = \"pass\"");
    let config = read(&pass).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(tenant(&config).sign_in, SignIn::Pass { once: true });
    let short = |text: &str, time: &str| text.replace("default = \"1h\"", &format!("default = \"{time}\""));
    let faults = read(&short(&pass, "10m")).unwrap_err().to_string();
    assert!(faults.contains("offers less than 11 minutes"), "{faults}");
    assert!(read(&short(&pass, "11m")).is_ok() && read(&short(TENANT, "6m")).is_ok());
    let faults = read(&short(TENANT, "5m")).unwrap_err().to_string();
    assert!(faults.contains("offers less than 6 minutes"), "{faults}");
}

#[test]
fn a_wish_for_less_than_a_tenant_gives_is_refused_and_says_how_much_there_is() {
    use crate::decide::{DecisionFacts, decide};
    let decided = |text: &str, seconds: i64| {
        let config = read(text).unwrap_or_else(|faults| panic!("{faults}"));
        let wish = ticketgate_protocol::api::Activate {
            customer: None,
            policy: "exchange".parse().unwrap(),
            duration_s: seconds,
            reason: "mailbox".into(),
            ticket: None,
        };
        let facts = DecisionFacts { now: chrono::DateTime::UNIX_EPOCH };
        decide(&config, &"tech1".parse().unwrap(), &wish, facts)
            .map(|granted| granted.duration_s)
            .map_err(|problem| problem.detail)
    };
    let pass = TENANT.replace("kind = \"entra\"", "kind = \"entra\"\nlogin = \"pass\"");
    assert_eq!((decided(TENANT, 360), decided(&pass, 660)), (Ok(360), Ok(660)));
    assert!(decided(TENANT, 359).unwrap_err().contains("between 6 min and"), "{:?}", decided(TENANT, 359));
    assert!(decided(&pass, 659).unwrap_err().contains("between 11 min and"), "{:?}", decided(&pass, 659));
}

#[test]
fn one_tenant_twice_with_the_same_names_is_a_fault() {
    let start = TENANT.find("[[directory]]").unwrap();
    let end = TENANT.find("[[policy]]").unwrap();
    let twice = format!("{TENANT}{}", TENANT[start..end].replace("acme-entra", "again"));
    let faults = read(&twice).unwrap_err().to_string();
    assert!(faults.contains("would both claim the same JIT accounts"), "{faults}");
}
