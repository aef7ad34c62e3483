//! Tickets that are looked up before anything is asked for: what is told to whom, how often, and that nothing comes of it.

use ticketgate_protocol::api::{TicketQuestion, TicketTold};
use ticketgate_psa::{Company, PsaError, Ticket};

use super::tickets::{ALWAYS, asking, right, world};
use super::*;

fn question(number: &str) -> TicketQuestion {
    TicketQuestion {
        system: "request-tracker".into(),
        number: number.into(),
        url: format!("https://rt.example/Ticket/Display.html?id={number}"),
    }
}

/// A ticket of this company.
fn of(company: &str) -> Ticket {
    Ticket { company: Some(Company { name: company.into(), ..Company::default() }), ..right() }
}

impl World {
    async fn look_up(&self, login: &str, question: &TicketQuestion) -> Result<TicketTold, Problem> {
        self.broker.look_up(&self.caller(login), question).await
    }

    async fn code(&self, login: &str, question: &TicketQuestion) -> Code {
        self.look_up(login, question).await.unwrap_err().code
    }
}

#[tokio::test]
async fn a_ticket_of_a_customer_of_ones_own_is_told() {
    let world = world(ALWAYS).await;
    let told = world.look_up("tech1", &question("#4711")).await.unwrap();
    let expected = TicketTold {
        system_name: "Request Tracker".into(),
        number: "#4711".into(),
        customers: vec![CustomerId::new("acme").unwrap()],
        summary: Some("Outlook crashes".into()),
        company: Some("ACME CORP".into()),
        status: Some("open".into()),
        open: true,
    };
    assert_eq!(told, expected);
    assert_eq!(*world.psa.asked.lock().unwrap(), ["4711"]);
    world.psa.tell(Ok(Ticket { closed: true, status: "resolved".into(), summary: None, ..right() }));
    let told = world.look_up("tech1", &question("4711")).await.unwrap();
    assert!(!told.open && told.summary.is_none(), "{told:?}");
}

#[tokio::test]
async fn what_is_not_ones_own_has_one_answer_whether_it_is_there_or_not() {
    let world = world(ALWAYS).await;
    let mut answers = Vec::new();
    for told in [
        Ok(of("Globex")),
        Ok(of("Nobody Knows Ltd")),
        Ok(Ticket { company: None, ..right() }),
        Err(PsaError::NoSuchTicket),
    ] {
        world.psa.tell(told);
        answers.push(world.look_up("tech1", &question("4711")).await.unwrap_err());
    }
    assert_eq!(answers[0].code, Code::TicketUnknown);
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert!(!answers[0].to_string().contains("Globex"), "{}", answers[0]);
}

#[tokio::test]
async fn a_ticket_that_may_be_a_strangers_is_not_told_and_one_of_several_of_ones_own_is() {
    let world = world(ALWAYS).await;
    let shared = asking(ALWAYS)
        .replace("name = \"Acme Corp\"", "name = \"Acme Corp\"\ndomains = [\"acme.example\"]")
        .replace("name = \"Globex\"", "name = \"Globex\"\ndomains = [\"globex.example\"]");
    world.broker.load_settings(&shared).await.unwrap();
    let holding =
        Company { name: "Holding".into(), domains: vec!["acme.example".into()], ..Company::default() };
    let contact_email = Some("pat@globex.example".into());
    world.psa.tell(Ok(Ticket { company: Some(holding), contact_email, ..right() }));
    assert_eq!(world.code("tech1", &question("4711")).await, Code::TicketUnknown);
    // With rights at both, the person can be asked which.
    let both = shared.replace("[[policy]]\nid = \"own\"", &format!(
        "[[directory]]\nid = \"globex-ad\"\ncustomer = \"globex\"\nkind = \"active_directory\"\nservers = [\"ldaps://dc1.globex.example\"]\n\
         bind_dn = \"CN=svc,DC=globex,DC=example\"\npassword = {{ file = \"/none\" }}\naccount_unit = \"OU=JIT,DC=globex,DC=example\"\n\
         [[policy]]\nid = \"globex\"\nname = \"globex\"\ndirectory = \"globex-ad\"\nrights = [\"{}\"]\n\
         duration = {{ default = \"1h\", max = \"4h\" }}\neligible = {{ groups = [\"tier2\"] }}\n\n[[policy]]\nid = \"own\"",
        ADMINS.replace("acme", "globex"),
    ));
    world.broker.load_settings(&both).await.unwrap();
    let told = world.look_up("tech1", &question("4711")).await.unwrap();
    let ids: Vec<&str> = told.customers.iter().map(CustomerId::as_str).collect();
    assert_eq!(ids, ["acme", "globex"]);
}

#[tokio::test]
async fn whoever_is_no_technician_or_has_no_rights_anywhere_is_told_nothing() {
    let world = world(ALWAYS).await;
    assert_eq!(world.code("mallory", &question("4711")).await, Code::NotATechnician);
    assert_eq!(world.psa.asked(), 0, "nobody is asked for a stranger");
    assert_eq!(world.code("boss", &question("4711")).await, Code::TicketUnknown);
    assert_eq!(world.psa.asked(), 0, "nor for whom nothing could be told");
    assert!(world.broker.overview(&world.caller("boss")).await.unwrap().ticket_hosts.is_empty());
}

#[tokio::test]
async fn only_pages_of_a_ticket_system_are_asked_about() {
    let world = world(ALWAYS).await;
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert_eq!(overview.ticket_hosts, ["rt.example"]);
    let elsewhere = TicketQuestion { url: "https://rt.evil.example/1".into(), ..question("4711") };
    assert_eq!(world.code("tech1", &elsewhere).await, Code::TicketUnknown);
    let another_kind = TicketQuestion { system: "zendesk".into(), ..question("4711") };
    assert_eq!(world.code("tech1", &another_kind).await, Code::TicketUnknown);
    for bad in [
        TicketQuestion { url: "file:///etc/passwd".into(), ..question("4711") },
        TicketQuestion { number: " ".into(), ..question("4711") },
        TicketQuestion { number: "47\u{202e}11".into(), ..question("4711") },
        TicketQuestion { number: "4".repeat(65), ..question("4711") },
    ] {
        assert_eq!(world.code("tech1", &bad).await, Code::BadTicket, "{bad:?}");
    }
    assert_eq!(world.psa.asked(), 0);
    world.psa.unconnectable.store(true, Ordering::SeqCst);
    let another = asking(ALWAYS).replace("timeout = \"1s\"", "timeout = \"2s\"");
    world.broker.load_settings(&another).await.unwrap();
    let overview = world.broker.overview(&world.caller("tech1")).await.unwrap();
    assert!(overview.ticket_hosts.is_empty(), "one that cannot be connected is not offered");
    assert_eq!(world.code("tech1", &question("4711")).await, Code::TicketUnknown);
}

#[tokio::test]
async fn a_system_without_a_usable_word_is_named_and_nothing_else_comes_of_it() {
    let world = world(ALWAYS).await;
    for answer in [
        Err(PsaError::Unreachable("no route to 10.0.0.7".into())),
        Err(PsaError::Busy { retry_after_s: 7 }),
        Err(PsaError::Failed(500)),
        Err(PsaError::Refused("status 401".into())),
        Ok(Ticket { number: "4712".into(), ..right() }),
    ] {
        let what = format!("{answer:?}");
        world.psa.tell(answer);
        let problem = world.look_up("tech1", &question("4711")).await.unwrap_err();
        assert_eq!(problem.code, Code::TicketSystemDown, "{what}");
        assert!(problem.detail.starts_with("Request Tracker ") && !problem.remedy.is_empty(), "{problem}");
        assert!(!problem.detail.contains("10.0.0.7"), "{problem}");
    }
    world.psa.tell(Ok(right()));
    world.activate("domain", "k1").await;
}

#[tokio::test]
async fn what_the_system_writes_is_told_as_clean_lines() {
    let world = world(ALWAYS).await;
    let dirty = Ticket {
        summary: Some(format!("a\r\nb\u{202e}c{}", "x".repeat(400))),
        status: "in\u{0}progress".into(),
        ..right()
    };
    world.psa.tell(Ok(dirty));
    let told = world.look_up("tech1", &question("4711")).await.unwrap();
    let summary = told.summary.unwrap();
    assert!(summary.starts_with("a b cx") && summary.chars().count() == 300, "{summary}");
    assert_eq!(told.status.as_deref(), Some("in progress"));
}

#[tokio::test]
async fn tickets_cannot_be_read_out_and_looking_them_up_takes_nothing_from_requests() {
    let world = world(ALWAYS).await;
    for n in 1..=30 {
        world.look_up("tech1", &question("4711")).await.unwrap_or_else(|problem| panic!("{n}: {problem}"));
    }
    let refused = world.look_up("tech1", &question("4711")).await.unwrap_err();
    assert_eq!((refused.code, refused.retry_after_s), (Code::RateLimited, Some(60)));
    assert_eq!(world.psa.asked(), 30, "the ticket system hears nothing of the rest");
    assert_eq!(world.code("tech1", &question("4711")).await, Code::RateLimited);
    let floods = world.actions().await.iter().filter(|action| *action == "requests.refused").count();
    assert_eq!(floods, 1, "a flood is one record a minute");
    world.activate("domain", "k1").await;
    for _ in 0..6 {
        world.clock.pass(61);
        for _ in 0..30 {
            let _ = world.look_up("tech1", &question("4711")).await;
        }
    }
    let refused = world.look_up("tech1", &question("4711")).await.unwrap_err();
    assert!(refused.code == Code::RateLimited && refused.retry_after_s > Some(600), "{refused}");
    assert_eq!(world.psa.asked(), 201, "200 in an hour, and one for the activation");
    world.clock.pass(3600);
    world.look_up("tech1", &question("4711")).await.unwrap();
}
