//! Decisions case by case, and what holds for every wish and every extension.

use std::sync::LazyLock;

use proptest::prelude::*;
use ticketgate_protocol::api::Mode;
use ticketgate_protocol::ids::SessionId;

use super::*;
use crate::config;
use crate::roles::Reach;
use crate::session::{AccountKey, Right};

const FILE: &str = r#"
[[technician]]
id = "tech1"
groups = ["tier2"]
[[technician]]
id = "tech2"
groups = ["tier1"]
[[technician]]
id = "outsider"
[[customer]]
id = "acme"
name = "Acme Corp"
aliases = ["ACME", "Acme Corporation"]
[[customer]]
id = "globex"
name = "Globex"
[[directory]]
id = "acme-ad"
customer = "acme"
kind = "active_directory"
servers = ["ldaps://dc1.acme.example"]
bind_dn = "svc@acme.example"
password = { env = "ACME" }
account_unit = "OU=JIT,DC=acme,DC=example"
[[directory]]
id = "globex-ad"
customer = "globex"
kind = "active_directory"
servers = ["ldaps://dc1.globex.example"]
bind_dn = "svc@globex.example"
password = { env = "GLOBEX" }
account_unit = "OU=JIT,DC=globex,DC=example"
[[policy]]
id = "acme-admin"
name = "Domain Admin"
directory = "acme-ad"
rights = ["CN=Domain Admins,CN=Users,DC=acme,DC=example"]
duration = { default = "1h", max = "4h", choices = ["30m", "1h", "4h"] }
eligible = { groups = ["tier2"] }
ticket = { required = true }
[[policy]]
id = "acme-printers"
name = "Printers"
directory = "acme-ad"
mode = "membership"
rights = ["CN=Printers,DC=acme,DC=example"]
duration = { default = "1h", max = "1h30m" }
eligible = { groups = ["tier2"], technicians = ["tech2"] }
[[policy]]
id = "acme-guarded"
name = "Guarded"
directory = "acme-ad"
rights = ["CN=Schema Admins,CN=Users,DC=acme,DC=example"]
duration = { default = "1h", max = "1h" }
eligible = { groups = ["tier2"] }
passkey = true
[[policy]]
id = "globex-admin"
name = "Domain Admin"
directory = "globex-ad"
rights = ["CN=Domain Admins,CN=Users,DC=globex,DC=example"]
duration = { default = "1h", max = "2h" }
eligible = { technicians = ["tech1"] }
"#;

fn configuration() -> Config {
    static READ: LazyLock<Config> =
        LazyLock::new(|| config::read(FILE).unwrap_or_else(|faults| panic!("{faults}")));
    READ.clone()
}

fn now() -> DateTime<Utc> {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

fn technician(id: &str) -> TechnicianId {
    id.parse().unwrap()
}

fn wish(customer: &str, policy: &str, duration_s: i64) -> Activate {
    Activate {
        customer: Some(customer.parse().unwrap()),
        policy: policy.parse().unwrap(),
        duration_s,
        reason: "#4711 Outlook crashes on start".into(),
        ticket: Some(Ticket { number: "4711".into(), ..Ticket::default() }),
    }
}

fn ask(who: &str, wish: &Activate) -> Result<Granted, Problem> {
    decide(&configuration(), &technician(who), wish, DecisionFacts { now: now() })
}

fn extended(
    config: &Config,
    session: &Session,
    by_s: i64,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Problem> {
    decide_extension(config, &session.technician, std::slice::from_ref(session), by_s, now)
        .map(|extended| extended.until)
}

fn refusal(who: &str, wish: &Activate) -> Code {
    ask(who, wish).unwrap_err().code
}

#[test]
fn what_is_granted_is_all_that_the_session_needs() {
    let mut wish = wish("acme", "acme-admin", 1800);
    wish.reason = "  #4711 Outlook \t".into();
    let granted = ask("tech1", &wish).unwrap();
    assert_eq!(granted.policy_name, "Domain Admin");
    assert_eq!((granted.customer.as_str(), granted.customer_name.as_str()), ("acme", "Acme Corp"));
    let [grant] = granted.grants.as_slice() else { panic!("{granted:?}") };
    assert_eq!((grant.directory.as_str(), grant.mode), ("acme-ad", Mode::Dedicated));
    assert_eq!(grant.rights, [Right("CN=Domain Admins,CN=Users,DC=acme,DC=example".into())]);
    assert_eq!((granted.duration_s, granted.from), (1800, now()));
    assert_eq!(granted.until, now() + TimeDelta::minutes(30));
    assert_eq!(granted.latest_end, now() + TimeDelta::hours(4));
    assert_eq!(granted.reason, "#4711 Outlook");
    assert_eq!(granted.ticket.unwrap().number, "4711");
}

#[test]
fn each_wish_that_is_not_right_has_its_code() {
    let good = || wish("acme", "acme-admin", 3600);
    let cases = [
        ("stranger", good(), Code::NotATechnician),
        ("tech1", wish("initech", "acme-admin", 3600), Code::UnknownCustomer),
        ("tech1", wish("acme", "acme-root", 3600), Code::UnknownPolicy),
        ("tech1", wish("globex", "acme-admin", 3600), Code::WrongCustomer),
        ("tech2", good(), Code::NotEligible),
        ("tech1", wish("acme", "acme-guarded", 3600), Code::BadConfiguration),
        ("tech2", wish("acme", "acme-guarded", 3600), Code::NotEligible),
        ("tech1", Activate { reason: " ".into(), ..good() }, Code::BadReason),
        ("tech1", Activate { reason: "x".repeat(501), ..good() }, Code::BadReason),
        ("tech1", Activate { reason: "a\u{202e}b".into(), ..good() }, Code::BadReason),
        ("tech1", Activate { reason: "a\nb".into(), ..good() }, Code::BadReason),
        ("tech1", Activate { ticket: None, ..good() }, Code::TicketRequired),
        ("tech1", Activate { ticket: Some(Ticket::default()), ..good() }, Code::BadTicket),
    ];
    for (who, wish, code) in cases {
        let problem = ask(who, &wish).unwrap_err();
        assert_eq!(problem.code, code, "{wish:?}");
        assert!(!problem.remedy.is_empty(), "{problem:?}");
        assert!(problem.detail.ends_with('.') && problem.remedy.ends_with('.'), "{problem:?}");
        for internal in ["CN=", "DC=", "ldaps", "svc@", "acme-ad\"", "jit-"] {
            assert!(!problem.to_string().contains(internal), "{problem:?}");
        }
    }
}

#[test]
fn the_duration_is_between_the_shortest_and_the_policys_maximum() {
    for seconds in [i64::MIN, -3600, -1, 0, 1, 4, 14_401, 86_400, i64::from(u32::MAX) + 3600, i64::MAX] {
        assert_eq!(refusal("tech1", &wish("acme", "acme-admin", seconds)), Code::BadDuration, "{seconds}");
    }
    for seconds in [5, 60, 1800, 2345, 14_400] {
        assert!(ask("tech1", &wish("acme", "acme-admin", seconds)).is_ok(), "{seconds}");
    }
    let problem = ask("tech1", &wish("acme", "acme-printers", 6000)).unwrap_err();
    assert_eq!(problem.detail, "The duration must be between 5 s and 1 h 30 min.");
    assert_eq!(problem.remedy, "Choose one of the durations offered: 1 h, 1 h 30 min.");
}

#[test]
fn where_no_ticket_is_required_a_named_one_is_checked_all_the_same() {
    let none = Activate { ticket: None, ..wish("acme", "acme-printers", 60) };
    assert_eq!(ask("tech2", &none).unwrap().ticket, None);
    let url = Some("javascript:alert(1)".into());
    let bad = Ticket { number: "1".into(), url, ..Ticket::default() };
    let problem = ask("tech2", &Activate { ticket: Some(bad), ..none }).unwrap_err();
    assert_eq!(
        (problem.code, problem.detail.as_str()),
        (Code::BadTicket, "The ticket's address is not an http or https address.")
    );
}

#[test]
fn somebody_without_a_policy_at_a_customer_cannot_tell_it_from_none() {
    let words = |problem: &Problem, id: &str| problem.to_string().replace(id, "…");
    let real = ask("tech2", &wish("globex", "globex-admin", 60)).unwrap_err();
    let none = ask("tech2", &wish("initech", "globex-admin", 60)).unwrap_err();
    assert_eq!(real.code, Code::UnknownCustomer);
    assert_eq!(words(&real, "globex"), words(&none, "initech"));

    let real = ask("tech2", &wish("acme", "globex-admin", 60)).unwrap_err();
    let none = ask("tech2", &wish("acme", "no-such", 60)).unwrap_err();
    assert_eq!(real.code, Code::UnknownPolicy);
    assert_eq!(words(&real, "globex-admin"), words(&none, "no-such"));
}

#[test]
fn a_technician_is_offered_what_can_be_granted() {
    let config = configuration();
    let offered = |who: &str| -> Vec<&str> {
        let who = technician(who);
        policies_for(&config, &who).into_iter().map(|policy| policy.id.as_str()).collect()
    };
    assert_eq!(offered("tech1"), ["acme-admin", "acme-printers", "globex-admin"]);
    assert_eq!(offered("tech2"), ["acme-printers"]);
    assert!(offered("outsider").is_empty() && offered("stranger").is_empty());
    let customers = |who: &str| -> Vec<&str> {
        let who = technician(who);
        customers_for(&config, &who).into_iter().map(|customer| customer.id.as_str()).collect()
    };
    assert_eq!(customers("tech1"), ["acme", "globex"]);
    assert_eq!(customers("tech2"), ["acme"]);
}

#[test]
fn groups_that_the_provider_says_count_beside_the_configurations_and_a_role_ends_at_its_customers() {
    let config = configuration();
    let (who, tier2) = (technician("outsider"), ["tier2".to_owned()].into());
    let asker = Asker { groups: &tier2, ..Asker::from(&who) };
    let facts = DecisionFacts { now: now() };
    assert_eq!(ask("outsider", &wish("acme", "acme-admin", 3600)).unwrap_err().code, Code::UnknownCustomer);
    assert!(decide(&config, asker, &wish("acme", "acme-admin", 3600), facts).is_ok());
    let (tech1, none) = (technician("tech1"), Default::default());
    let reach = Reach::At(["globex".parse().unwrap()].into());
    let there = Asker { technician: &tech1, groups: &none, reach: &reach };
    assert!(decide(&config, there, &wish("globex", "globex-admin", 3600), facts).is_ok());
    // In the very words of a customer that does not exist.
    let refused = decide(&config, there, &wish("acme", "acme-admin", 3600), facts).unwrap_err();
    assert_eq!(refused.code, Code::UnknownCustomer);
    let offered: Vec<_> = policies_for(&config, there).into_iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(offered, ["globex-admin"]);
    // A session at a customer where the role was taken back runs to its end.
    let session = Session { state: State::Active, ..session(&config) };
    let later = now() + TimeDelta::minutes(1);
    let parts = std::slice::from_ref(&session);
    assert!(decide_extension(&config, &tech1, parts, 60, later).is_ok());
    assert_eq!(decide_extension(&config, there, parts, 60, later).unwrap_err().code, Code::NotEligible);
}

#[test]
fn a_customer_is_known_by_its_whole_name_whatever_the_capitals_and_spaces() {
    let config = configuration();
    for written in ["Acme Corp", " acme\t corp ", "ACME", "acme corporation"] {
        assert_eq!(config.customers_named(written), [&"acme".parse::<CustomerId>().unwrap()], "{written}");
    }
    for written in ["", "Acme", "Acme Corp Inc", "AcmeCorp", "Initech"] {
        let expected = usize::from(folded(written) == "acme");
        assert_eq!(config.customers_named(written).len(), expected, "{written}");
    }
}

fn session(config: &Config) -> Session {
    let granted =
        decide(config, &technician("tech1"), &wish("acme", "acme-admin", 3600), DecisionFacts { now: now() });
    let granted = granted.unwrap();
    let grant = granted.grants[0].clone();
    let id: SessionId = "s-1".parse().unwrap();
    Session {
        account: AccountKey::of(&grant.directory, grant.mode, &technician("tech1"), &id),
        id,
        whole: None,
        state: State::Active,
        technician: technician("tech1"),
        customer: granted.customer,
        directory: grant.directory,
        policy: granted.policy,
        policy_name: granted.policy_name,
        mode: grant.mode,
        rights: grant.rights,
        reason: granted.reason,
        ticket: granted.ticket,
        requested_at: now(),
        from: granted.from,
        until: granted.until,
        latest_end: granted.latest_end,
        active_at: Some(now()),
        end_cause: None,
        ended_at: None,
        trouble: None,
        version: 1,
    }
}

#[test]
fn an_extension_moves_the_end_and_stops_at_the_maximum() {
    let config = configuration();
    let mut session = session(&config);
    let later = now() + TimeDelta::minutes(50);
    assert_eq!(extended(&config, &session, 1800, later), Ok(now() + TimeDelta::minutes(90)));
    assert_eq!(extended(&config, &session, 86_400, later), Ok(now() + TimeDelta::hours(4)));
    session.until = session.latest_end;
    assert_eq!(
        decide_extension(&config, &session.technician.clone(), &[session], 1, later).unwrap_err().code,
        Code::AtMaximum
    );
}

#[test]
fn an_extension_asks_the_policy_again() {
    let (config, later) = (configuration(), now() + TimeDelta::minutes(50));
    let active = session(&config);
    let code = |config: &Config, session: &Session, by_s, at| {
        decide_extension(config, &session.technician, std::slice::from_ref(session), by_s, at)
            .unwrap_err()
            .code
    };
    for by_s in [i64::MIN, -1, 0, 86_401, i64::MAX] {
        assert_eq!(code(&config, &active, by_s, later), Code::BadDuration, "{by_s}");
    }
    for state in
        [State::Pending, State::Activating, State::Ending, State::Ended, State::Failed, State::Unknown]
    {
        assert_eq!(
            code(&config, &Session { state, ..active.clone() }, 60, later),
            Code::WrongState,
            "{state:?}"
        );
    }
    assert_eq!(code(&config, &active, 60, active.until), Code::WrongState);

    let edited = |this: &str, by: &str| {
        config::read(&FILE.replacen(this, by, 1)).unwrap_or_else(|faults| panic!("{faults}"))
    };
    let gone = edited("id = \"acme-admin\"", "id = \"acme-other\"");
    assert_eq!(code(&gone, &active, 60, later), Code::UnknownPolicy);
    let burner = edited("directory = \"acme-ad\"", "directory = \"acme-ad\"\nmode = \"burner\"");
    assert_eq!(code(&burner, &active, 60, later), Code::UnknownPolicy);
    let others = edited("eligible = { groups = [\"tier2\"] }", "eligible = { groups = [\"tier1\"] }");
    assert_eq!(code(&others, &active, 60, later), Code::NotEligible);
    let narrowed = edited("CN=Domain Admins,CN=Users,DC=acme", "CN=Operators,CN=Users,DC=acme");
    assert_eq!(code(&narrowed, &active, 60, later), Code::NotEligible);
    let guarded = edited("ticket = { required = true }", "passkey = true");
    assert_eq!(code(&guarded, &active, 60, later), Code::BadConfiguration);
    let shorter = edited(
        "default = \"1h\", max = \"4h\", choices = [\"30m\", \"1h\", \"4h\"]",
        "default = \"1h\", max = \"1h\"",
    );
    assert_eq!(code(&shorter, &active, 60, later), Code::AtMaximum);
    let longer = edited("max = \"4h\"", "max = \"8h\"");
    assert_eq!(extended(&longer, &active, 86_400, later), Ok(active.latest_end));
}

#[test]
fn whoever_names_only_the_policy_means_its_own_customer_and_learns_no_more() {
    let unnamed = |policy| Activate { customer: None, ..wish("acme", policy, 60) };
    assert_eq!(ask("tech1", &unnamed("acme-printers")).unwrap().customer.as_str(), "acme");
    assert_eq!(refusal("tech1", &unnamed("no-such")), Code::UnknownPolicy);
    assert_eq!(refusal("outsider", &unnamed("acme-printers")), Code::UnknownPolicy);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_is_granted_beyond_the_maximum_or_to_the_ineligible(
        who in prop::sample::select(vec!["tech1", "tech2", "outsider", "stranger"]),
        customer in prop::sample::select(vec!["acme", "globex", "initech"]),
        policy in prop::sample::select(vec!["acme-admin", "acme-printers", "acme-guarded", "globex-admin", "no-such"]),
        duration_s in prop_oneof![any::<i64>(), -10i64..20_000],
        reason in prop_oneof![any::<String>(), "[a-z ]{0,20}"],
        number in prop::option::of(prop_oneof![any::<String>(), "[0-9]{0,6}"]),
    ) {
        let config = configuration();
        let ticket = number.map(|number| Ticket { number, ..Ticket::default() });
        let wish = Activate { reason, ticket, ..wish(customer, policy, duration_s) };
        if let Ok(granted) = decide(&config, &technician(who), &wish, DecisionFacts { now: now() }) {
            let policy = config.policies.get(&granted.policy).unwrap();
            prop_assert!(is_eligible(&config, &technician(who), policy) && policy.unmet.is_empty());
            prop_assert_eq!(Some(&config.customer_of(policy).unwrap().id), wish.customer.as_ref());
            prop_assert_eq!(&granted.grants, &policy.grants);
            prop_assert_eq!((granted.until - now()).num_seconds(), wish.duration_s);
            prop_assert!(now() < granted.until && granted.until <= granted.latest_end);
            prop_assert_eq!((granted.latest_end - now()).num_seconds(), i64::from(policy.duration.max_s));
            prop_assert!(granted.ticket.is_some() || !policy.ticket.required);
            prop_assert!(text::line(&granted.reason, REASON_MAX).as_ref() == Ok(&granted.reason));
        }
    }

    #[test]
    fn extensions_only_move_the_end_forward_and_never_past_the_maximum(steps in prop::collection::vec((prop_oneof![any::<i64>(), 1i64..9000], 0i64..4000), 1..12)) {
        let config = configuration();
        let mut session = session(&config);
        let mut at = now();
        for (by_s, pass) in steps {
            at += TimeDelta::seconds(pass);
            if let Ok(until) = extended(&config, &session, by_s, at) {
                prop_assert!(at < session.until && session.until < until && until <= now() + TimeDelta::hours(4));
                session.until = until;
            }
        }
    }

    #[test]
    fn no_clock_makes_it_panic(seconds in any::<i64>(), edge in any::<bool>()) {
        let edges = [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC];
        let now = if edge { edges[usize::from(seconds > 0)] } else { DateTime::from_timestamp(seconds, 0).unwrap_or_default() };
        let decided = decide(&configuration(), &technician("tech1"), &wish("acme", "acme-admin", 3600), DecisionFacts { now });
        prop_assert!(decided.is_ok_and(|granted| granted.until > now) || now > DateTime::<Utc>::MAX_UTC - TimeDelta::hours(5));
    }
}
