//! Shapes as the two API documents show them.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind::{self, Freshdesk, Freshservice};

use crate::testing::{Desk, Exchange, SECRET, basic, failures_are_told_apart, get, post};
use crate::{Company, Note, PsaError, Ticket};

const BOTH: [PsaKind; 2] = [Freshdesk, Freshservice];

/// An answer's body as the product wraps it.
fn wrapped(kind: PsaKind, word: &str, body: Value) -> Value {
    if kind == Freshservice { json!({ word: body }) } else { body }
}

fn outlook(kind: PsaKind) -> Value {
    let company = if kind == Freshservice { "department_id" } else { "company_id" };
    json!({
        "id": 20, "subject": "Outlook crashes", "status": 2, company: 3001, "responder_id": 51,
        "requester_id": 7, "requester": {"id": 7, "name": "Ana Reyes", "email": "ana@acme.example"},
        "updated_at": "2026-08-24T11:59:05Z", "spam": false, "custom_fields": {}, "type": "Incident",
    })
}

fn with(kind: PsaKind, fields: &Value) -> Value {
    let mut ticket = outlook(kind);
    for (name, value) in fields.as_object().unwrap() {
        ticket[name] = value.clone();
    }
    ticket
}

fn ticket(kind: PsaKind, body: Value) -> Exchange {
    get("/api/v2/tickets/20")
        .query("include", included(kind))
        .header("authorization", basic(SECRET, "X"))
        .gets(200, &wrapped(kind, "ticket", body))
}

fn included(kind: PsaKind) -> &'static str {
    if kind == Freshservice { "requester" } else { "requester,company" }
}

fn company(kind: PsaKind, id: u32) -> Exchange {
    let (path, word) = customers(kind);
    let body = json!({"id": id, "name": "Acme Corp", "domains": ["acme.example"]});
    get(format!("/api/v2/{path}/3001")).gets(200, &wrapped(kind, word, body))
}

fn customers(kind: PsaKind) -> (&'static str, &'static str) {
    if kind == Freshservice { ("departments", "department") } else { ("companies", "company") }
}

fn agent(kind: PsaKind) -> Exchange {
    let body = if kind == Freshservice {
        json!({"id": 51, "first_name": "Terry", "last_name": "Tech", "email": "terry@msp.example"})
    } else {
        json!({"id": 51, "available": true, "contact": {"name": "Terry Tech", "email": "terry@msp.example"}})
    };
    get("/api/v2/agents/51").gets(200, &wrapped(kind, "agent", body))
}

/// The ticket where it has neither company nor owner, so that nothing else is asked.
async fn alone(kind: PsaKind, fields: &Value) -> Result<Ticket, PsaError> {
    let mut body = with(kind, &json!({"company_id": null, "department_id": null, "responder_id": null}));
    body.as_object_mut().unwrap().retain(|name, value| !(value.is_null() && name.ends_with("y_id")));
    body.as_object_mut().unwrap().remove("department_id");
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    let desk = Desk::plays([ticket(kind, body)]);
    let answer = desk.connect(kind).ticket("20").await;
    desk.end();
    answer
}

#[tokio::test]
async fn a_ticket_is_read_with_everything_that_it_has() {
    for kind in BOTH {
        let desk = Desk::plays([ticket(kind, outlook(kind)), company(kind, 3001), agent(kind)]);
        let found = desk.connect(kind).ticket("20").await.unwrap();
        desk.end();
        let acme =
            Company { id: "3001".into(), name: "Acme Corp".into(), domains: vec!["acme.example".into()] };
        assert_eq!(found.company, Some(acme));
        assert_eq!((found.id.as_str(), found.number.as_str()), ("20", "20"));
        assert_eq!(found.summary.as_deref(), Some("Outlook crashes"));
        assert_eq!(found.contact_email.as_deref(), Some("ana@acme.example"));
        assert_eq!((found.status.as_str(), found.closed), ("Open", false));
        let owner: Vec<_> = found.owner.iter().map(String::as_str).collect();
        assert_eq!(owner, ["51", "Terry Tech", "terry@msp.example"]);
        assert_eq!(found.changed_at.unwrap().to_rfc3339(), "2026-08-24T11:59:05+00:00");
    }
}

#[tokio::test]
async fn nothing_is_made_up_where_there_is_no_company_and_no_owner() {
    for kind in BOTH {
        let found = alone(kind, &json!({})).await.unwrap();
        assert_eq!(found.company, None);
        assert!(found.owner.is_empty());
        // A key that may not look up companies and agents still has their ids.
        let (path, _) = customers(kind);
        let desk = Desk::plays([
            ticket(kind, outlook(kind)),
            get(format!("/api/v2/{path}/3001")).gets(403, &json!({"code": "access_denied"})),
            get("/api/v2/agents/51").gets(403, &json!({"code": "access_denied"})),
        ]);
        let found = desk.connect(kind).ticket("20").await.unwrap();
        desk.end();
        assert_eq!(found.company, Some(Company { id: "3001".into(), ..Company::default() }));
        assert_eq!(found.owner, ["51".to_owned()].into());
    }
}

#[tokio::test]
async fn a_company_that_comes_with_the_ticket_is_not_asked_for_again() {
    for (id, expected) in [(3001, Some("Acme Corp")), (3002, None)] {
        let loaded = json!({"company": {"id": id, "name": "Acme Corp"}, "responder_id": null});
        let desk = Desk::plays([ticket(Freshdesk, with(Freshdesk, &loaded))]);
        let found = desk.connect(Freshdesk).ticket("20").await;
        desk.end();
        match expected {
            Some(name) => assert_eq!(found.unwrap().company.unwrap().name, name),
            None => assert!(matches!(found, Err(PsaError::Unreadable(_))), "{found:?}"),
        }
    }
}

#[tokio::test]
async fn closed_is_resolved_or_closed_unless_words_are_configured() {
    for (status, word, expected) in [
        (2, "Open", false),
        (3, "Pending", false),
        (4, "Resolved", true),
        (5, "Closed", true),
        (9, "9", false),
    ] {
        let found = alone(Freshdesk, &json!({"status": status})).await.unwrap();
        assert_eq!((found.status.as_str(), found.closed), (word, expected));
    }
    for (words, status, expected) in [("closed", 4, false), ("CLOSED", 5, true), ("9", 9, true)] {
        let body =
            with(Freshservice, &json!({"status": status, "department_id": null, "responder_id": null}));
        let desk = Desk::plays([ticket(Freshservice, body)]);
        let psa = desk.connect_as(Freshservice, |settings| settings.closed = vec![words.into()]);
        assert_eq!(psa.ticket("20").await.unwrap().closed, expected);
    }
}

#[tokio::test]
async fn an_answer_about_another_ticket_or_without_a_field_is_refused() {
    for kind in BOTH {
        for fields in [json!({"id": 21}), json!({"id": null}), json!({"status": null})] {
            let answer = alone(kind, &fields).await;
            assert!(matches!(answer, Err(PsaError::Unreadable(_))), "{fields}: {answer:?}");
        }
        let desk = Desk::plays([ticket(kind, outlook(kind)), company(kind, 3002)]);
        let answer = desk.connect(kind).ticket("20").await;
        assert!(matches!(answer, Err(PsaError::Unreadable(_))), "{answer:?}");
        assert_eq!(alone(kind, &json!({"deleted": true})).await, Err(PsaError::NoSuchTicket));
    }
}

#[tokio::test]
async fn a_number_is_what_the_product_shows() {
    let body = with(Freshservice, &json!({"department_id": null, "responder_id": null}));
    for number in ["20", "INC-20", "sr-20"] {
        let desk = Desk::plays([ticket(Freshservice, body.clone())]);
        let found = desk.connect(Freshservice).ticket(number).await.unwrap();
        assert_eq!((found.id.as_str(), found.number.as_str()), ("20", number));
        desk.end();
    }
    let desk = Desk::plays([]);
    for (kind, number) in
        [(Freshdesk, "INC-20"), (Freshservice, "CHN-20"), (Freshservice, "INC-x"), (Freshdesk, "")]
    {
        assert_eq!(desk.connect(kind).ticket(number).await, Err(PsaError::NoSuchTicket));
    }
    desk.end();
}

#[tokio::test]
async fn failures_have_one_meaning_each() {
    for kind in BOTH {
        failures_are_told_apart(kind, "20").await;
    }
}

#[tokio::test]
async fn tickets_that_are_gone_are_left_out() {
    let body = with(Freshdesk, &json!({"company_id": null, "responder_id": null}));
    let gone = get("/api/v2/tickets/21").query("include", "requester,company").gets(404, &json!({}));
    let desk = Desk::plays([gone, ticket(Freshdesk, body)]);
    let found = desk.connect(Freshdesk).tickets(&["21".to_owned(), "20".to_owned()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["20"]);
    desk.end();
}

#[tokio::test]
async fn companies_and_agents_of_several_tickets_are_looked_up_once() {
    let numbers = ["20".to_owned(), "INC-20".to_owned()];
    let again = || ticket(Freshservice, outlook(Freshservice));
    let desk = Desk::plays([again(), company(Freshservice, 3001), agent(Freshservice), again()]);
    let found = desk.connect(Freshservice).tickets(&numbers).await.unwrap();
    assert!(found.iter().all(|ticket| ticket.owner.contains("Terry Tech") && ticket.company.is_some()));
    desk.end();
}

#[tokio::test]
async fn a_note_is_private_or_public_and_cannot_be_markup() {
    let ticket = Ticket { id: "20".into(), number: "20".into(), ..Ticket::default() };
    for kind in BOTH {
        for public in [false, true] {
            let desk = Desk::plays([post("/api/v2/tickets/20/notes")
                .header("authorization", basic(SECRET, "X"))
                .json(json!({"body": "A &amp; B &lt;x&gt;<br>[m1]", "private": !public}))
                .gets(201, &json!({"id": 5}))]);
            let note = Note { text: "A & B <x>\n[m1]".into(), mark: "[m1]".into(), public };
            desk.connect(kind).add_note(&ticket, &note).await.unwrap();
            desk.end();
        }
    }
}

#[tokio::test]
async fn a_note_is_found_on_any_page() {
    let ticket = Ticket { id: "20".into(), number: "20".into(), ..Ticket::default() };
    for kind in BOTH {
        let page = |number: &str, bodies: Vec<&str>| {
            let items =
                bodies.iter().map(|b| json!({"body": format!("<div>{b}</div>"), "body_text": b})).collect();
            get("/api/v2/tickets/20/conversations")
                .query("per_page", "30")
                .query("page", number)
                .gets(200, &wrapped(kind, "conversations", items))
        };
        for (last, expected) in [("Begun [m1]", true), ("Begun [m2]", false)] {
            let desk = Desk::plays([page("1", vec!["x"; 30]), page("2", vec![last])]);
            assert_eq!(desk.connect(kind).has_note(&ticket, "[m1]").await, Ok(expected));
            desk.end();
        }
    }
}

#[tokio::test]
async fn companies_are_read_page_by_page() {
    for kind in BOTH {
        let (path, _) = customers(kind);
        let page = |number: &str, count: usize| {
            let items =
                (0..count).map(|id| json!({"id": id, "name": format!("{number}/{id}"), "domains": null}));
            get(format!("/api/v2/{path}"))
                .query("per_page", "100")
                .query("page", number)
                .gets(200, &wrapped(kind, path, items.collect()))
        };
        let desk = Desk::plays([page("1", 100), page("2", 1)]);
        let found = desk.connect(kind).companies().await.unwrap();
        assert_eq!((found.len(), found.last().map(|c| c.name.as_str())), (101, Some("2/0")));
        desk.end();
    }
}
