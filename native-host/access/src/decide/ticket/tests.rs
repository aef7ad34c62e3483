//! Whom to ask, whose a ticket is and what does not fit, case by case; and what holds for everything that a system can tell.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::ticket::Company;

const FILE: &str = r#"
[[psa]]
id = "rt"
kind = "request_tracker"
url = "https://api.rt.example"
pages = ["rt.example", "tickets.example"]
secret = { env = "RT" }
[[psa]]
id = "cw"
kind = "connectwise"
url = "https://api-na.myconnectwise.net/v4_6_release/apis/3.0"
pages = ["na.myconnectwise.net"]
login = "msp+key"
client_id = "id"
secret = { env = "CW" }
[[psa]]
id = "second-rt"
kind = "request_tracker"
url = "https://second.example"
secret = { env = "RT2" }
[[technician]]
id = "tech1"
psa = { rt = "Terry" }
[[technician]]
id = "tech2"
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
[[directory]]
id = "acme-ad"
customer = "acme"
kind = "active_directory"
servers = ["ldaps://dc1.acme.example"]
bind_dn = "svc@acme.example"
password = { env = "ACME" }
account_unit = "OU=JIT,DC=acme,DC=example"
[[policy]]
id = "admin"
directory = "acme-ad"
rights = ["CN=Domain Admins,CN=Users,DC=acme,DC=example"]
duration = { default = "1h", max = "4h" }
eligible = { technicians = ["tech1", "tech2"] }
ticket = { required = true, verified = "always", must_be_mine = true }
"#;

fn configuration() -> &'static Config {
    static READ: LazyLock<Config> =
        LazyLock::new(|| config::read(FILE).unwrap_or_else(|faults| panic!("{faults}")));
    &READ
}

fn claim(system: &str, url: Option<&str>) -> Ticket {
    Ticket { system: system.into(), number: "4711".into(), url: url.map(Into::into), ..Ticket::default() }
}

fn check(psa: &str) -> TicketCheck {
    TicketCheck {
        psa: psa.parse().unwrap(),
        number: "4711".into(),
        rule: configuration().policies[&"admin".parse().unwrap()].ticket,
        customer: "acme".parse().unwrap(),
        technician: "tech1".parse().unwrap(),
    }
}

fn company(id: &str, name: &str) -> Option<Company> {
    Some(Company { id: id.into(), name: name.into(), domains: Vec::new() })
}

/// What Request Tracker tells of a ticket with which everything is right.
fn right() -> told::Ticket {
    told::Ticket {
        id: "4711".into(),
        number: "4711".into(),
        company: company("", "acme  CORP"),
        status: "open".into(),
        owner: ["12".into(), "terry".into(), "Terry Tech".into()].into(),
        ..told::Ticket::default()
    }
}

fn refusal(told: &told::Ticket) -> (Code, String) {
    let problem = fits(configuration(), &check("rt"), told).unwrap_err();
    assert!(!problem.remedy.is_empty(), "{problem}");
    (problem.code, problem.detail)
}

#[test]
fn the_system_that_shows_the_ticket_is_asked() {
    for (system, url, expected) in [
        ("request-tracker", Some("https://rt.example/Ticket/Display.html?id=4711"), Ok("rt")),
        ("request-tracker", Some("http://TICKETS.example:8080/x"), Ok("rt")),
        ("request-tracker", Some("https://second.example/x"), Ok("second-rt")),
        ("connectwise", Some("https://na.myconnectwise.net/x"), Ok("cw")),
        ("connectwise", None, Ok("cw")),
        // A rule of one's own, and an address typed by hand.
        ("our-own", Some("https://rt.example/x"), Ok("rt")),
        ("", Some("https://rt.example/x"), Ok("rt")),
        // Another system's page, another's kind, and hosts that only look like one.
        (
            "request-tracker",
            Some("https://evil.example/x"),
            Err("no ticket system is configured for the page"),
        ),
        ("connectwise", Some("https://rt.example/x"), Err("no ticket system is configured for the page")),
        ("request-tracker", Some("https://rt.example@evil.example/x"), Err("for the page")),
        ("request-tracker", Some("https://evil.example/https://rt.example/"), Err("for the page")),
        ("request-tracker", Some("https://rt.example.evil.example/"), Err("for the page")),
        ("request-tracker", Some("https://evil.example\\@rt.example/"), Err("for the page")),
        ("request-tracker", None, Err("could be in several")),
        ("", None, Err("could be in several")),
        ("zendesk", None, Err("no ticket system of this kind")),
    ] {
        let found = system_of(configuration(), &claim(system, url));
        match expected {
            Ok(id) => assert_eq!(found.map(|psa| psa.id.to_string()), Ok(id.into()), "{system} {url:?}"),
            Err(part) => {
                let problem = found.unwrap_err();
                assert_eq!(problem.code, Code::TicketUnverified);
                assert!(problem.detail.contains(part), "{system} {url:?}: {problem}");
            }
        }
    }
}

#[test]
fn a_number_is_asked_for_without_the_zeros_that_its_system_shows_before_it() {
    let of_kind = |kind| Psa { kind, ..configuration().psas[&"rt".parse().unwrap()].clone() };
    for (kind, typed, asked) in [
        (PsaKind::HaloPsa, "0001234", "1234"),
        (PsaKind::HaloPsa, "#0001234", "1234"),
        (PsaKind::HaloPsa, "1200", "1200"),
        // Nothing that is a number, and so nothing of Halo's.
        (PsaKind::HaloPsa, "000", "000"),
        (PsaKind::HaloPsa, "00IN-7", "00IN-7"),
        // Elsewhere zeros are part of it.
        (PsaKind::RequestTracker, "0001234", "0001234"),
        (PsaKind::ServiceNow, "0001234", "0001234"),
    ] {
        let ticket = Ticket { number: typed.into(), ..Ticket::default() };
        assert_eq!(asked_number(&of_kind(kind), &ticket), asked, "{kind:?} {typed}");
    }
}

#[test]
fn only_a_policy_that_asks_has_something_asked() {
    let config = configuration();
    let policy = &config.policies[&"admin".parse().unwrap()];
    let page = Some("https://rt.example/4711");
    let tech = |id: &str| id.parse::<TechnicianId>().unwrap();
    let numbered = Ticket { number: "# 4711".into(), ..claim("request-tracker", page) };
    let found = check_of(config, policy, &tech("tech1"), Some(&numbered)).unwrap();
    assert_eq!(found, Some(check("rt")));
    let code =
        |who: &str, ticket: Option<&Ticket>| check_of(config, policy, &tech(who), ticket).unwrap_err().code;
    assert_eq!(code("tech1", None), Code::TicketRequired);
    assert_eq!(code("tech1", Some(&claim("request-tracker", None))), Code::TicketUnverified);
    assert_eq!(code("tech2", Some(&claim("request-tracker", page))), Code::TicketNotYours);
    let never = Policy { ticket: TicketRule { required: true, ..TicketRule::default() }, ..policy.clone() };
    assert_eq!(check_of(config, &never, &tech("tech2"), Some(&claim("", None))), Ok(None));
}

#[test]
fn what_differs_is_said() {
    assert_eq!(fits(configuration(), &check("rt"), &right()), Ok(()));
    let is = |told, code, said: &str| assert_eq!(refusal(&told), (code, said.into()));
    is(
        told::Ticket { number: "4712".into(), ..right() },
        Code::TicketUnverified,
        "Request Tracker was asked about ticket 4711 and answered about another one.",
    );
    is(
        told::Ticket { company: company("", "Globex"), closed: true, ..right() },
        Code::TicketOfAnotherCustomer,
        "Ticket 4711 belongs to \"Globex\", not to Acme Corp.",
    );
    is(
        told::Ticket { company: company("", "Initech"), ..right() },
        Code::TicketOfAnotherCustomer,
        "Ticket 4711 belongs to \"Initech\" in Request Tracker, which is not known as Acme Corp.",
    );
    is(
        told::Ticket { company: None, ..right() },
        Code::TicketOfAnotherCustomer,
        "Request Tracker does not say which customer ticket 4711 belongs to.",
    );
    let both = Company {
        name: "Both".into(),
        domains: vec!["acme.example".into(), "GLOBEX.example".into()],
        ..Company::default()
    };
    is(
        told::Ticket { company: Some(both), ..right() },
        Code::TicketOfAnotherCustomer,
        "Ticket 4711 belongs to \"Both\" in Request Tracker, and that is more than one customer here.",
    );
    is(
        told::Ticket { closed: true, status: "resolved".into(), ..right() },
        Code::TicketClosed,
        "Ticket 4711 is closed: its status in Request Tracker is \"resolved\".",
    );
    is(
        told::Ticket { owner: ["7".into(), "jane".into(), "Jane Doe".into()].into(), ..right() },
        Code::TicketNotYours,
        "Ticket 4711 is owned by \"Jane Doe\" in Request Tracker, and the policy needs one of yours.",
    );
    is(
        told::Ticket { owner: BTreeSet::new(), ..right() },
        Code::TicketNotYours,
        "Ticket 4711 is nobody's in Request Tracker, and the policy needs one of yours.",
    );
}

#[test]
fn a_closed_ticket_or_anothers_is_fine_where_the_policy_says_so() {
    let mut check = check("rt");
    check.rule.must_be_open = false;
    check.rule.must_be_mine = false;
    let told = told::Ticket { closed: true, owner: BTreeSet::new(), ..right() };
    assert_eq!(fits(configuration(), &check, &told), Ok(()));
}

#[test]
fn whose_a_ticket_is_goes_by_id_then_name_then_domain() {
    let of = |psa: &str, company: Option<Company>, contact: &str| -> Vec<String> {
        let contact_email = Some(contact.to_owned()).filter(|c| !c.is_empty());
        let told = told::Ticket { company, contact_email, ..right() };
        let psa = psa.parse().unwrap();
        customers_of(configuration(), &psa, &told).iter().map(|c| c.id.to_string()).collect()
    };
    assert_eq!(of("cw", company("19", "Whatever"), ""), ["acme"], "its id");
    assert_eq!(of("rt", company("19", "Whatever"), ""), [""; 0], "an id of another system");
    assert_eq!(of("rt", company("7", "acme"), "x@globex.example"), ["acme"], "an alias, whoever reported it");
    assert_eq!(of("cw", company("27", "Acme Corp"), ""), [""; 0], "another company of the same name");
    assert_eq!(of("cw", company("27", "Acme Corp"), "x@acme.example"), [""; 0], "nor by its people");
    assert_eq!(of("cw", company("27", "Globex"), ""), ["globex"], "who has no ids there is known by name");
    assert_eq!(of("cw", None, "x@ACME.example"), ["acme"], "the contact's domain");
    assert_eq!(of("rt", None, "x@mail.acme.example"), [""; 0], "no other domain than that");
    assert_eq!(of("rt", None, "acme.example"), [""; 0], "no address");
    assert_eq!(of("rt", company("", ""), ""), [""; 0]);
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "19",
            "Acme Corp",
            "acme",
            "Globex",
            "acme.example",
            "x@acme.example",
            "x@globex.example",
            "terry",
            "4711"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

prop_compose! {
    fn anything()(
        number in word(), closed in any::<bool>(), contact in prop::option::of(word()), status in word(),
        company in prop::option::of((word(), word(), prop::collection::vec(word(), 0..3))),
        owner in prop::collection::btree_set(word(), 0..3),
    ) -> told::Ticket {
        let company = company.map(|(id, name, domains)| Company { id, name, domains });
        told::Ticket { number, closed, contact_email: contact, status, company, owner, ..told::Ticket::default() }
    }
}

#[test]
fn a_ticket_is_told_only_to_whoever_could_use_a_policy_at_each_customer_that_it_can_be_of() {
    let psa: PsaId = "rt".parse().unwrap();
    let told_to = |technician: &str, told: &told::Ticket| -> Vec<String> {
        let technician = technician.parse().unwrap();
        let found = told_to(configuration(), &technician, &psa, told);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(told_to("tech1", &right()), ["acme"]);
    assert_eq!(told_to("tech2", &right()), ["acme"]);
    assert!(told_to("nobody", &right()).is_empty());
    let nobodys = told::Ticket { company: None, ..right() };
    assert!(told_to("tech1", &nobodys).is_empty());
    assert!(told_to("tech1", &told::Ticket { company: company("", "Globex"), ..right() }).is_empty());
    // Of a company that nobody knows, by addresses of both.
    let holding =
        Company { name: "Holding".into(), domains: vec!["acme.example".into()], ..Company::default() };
    let shared =
        told::Ticket { company: Some(holding), contact_email: Some("pat@globex.example".into()), ..right() };
    assert_eq!(customers_of(configuration(), &psa, &shared).len(), 2);
    assert!(told_to("tech1", &shared).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_fits_is_the_ticket_asked_for_of_this_customer_alone_open_and_the_technicians(
        told in anything(),
        psa in prop::sample::select(vec!["rt", "cw"]),
    ) {
        let mut check = check(psa);
        check.rule.must_be_mine = psa == "rt";
        if fits(configuration(), &check, &told).is_ok() {
            prop_assert_eq!(&told.number.trim_start_matches('#').trim().to_lowercase(), "4711");
            let owners: Vec<_> = customers_of(configuration(), &check.psa, &told).iter().map(|c| c.id.to_string()).collect();
            prop_assert_eq!(owners, ["acme"]);
            prop_assert!(!told.closed);
            prop_assert!(psa != "rt" || told.owner.iter().any(|name| folded(name) == "terry"));
        }
    }
}
