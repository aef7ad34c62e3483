//! Answers as the vendor's description has them.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind;

use super::*;
use crate::testing::{
    Desk, Played, SECRET, connected, connected_with, failures_are_told_apart, known_ticket, note, settings,
};

const KIND: PsaKind = PsaKind::Syncro;

/// The number is not the id.
fn listed(id: u64, number: u64) -> Value {
    json!({
        "id": id,
        "number": number,
        "subject": "Some major problem",
        "created_at": "2019-11-05T07:40:54.824Z",
        "customer_id": 19,
        "customer_business_then_name": "Acme Corp",
        "problem_type": "Virus",
        "status": "New",
        "properties": {},
        "user_id": 31,
        "updated_at": "2026-01-02T03:04:05.000Z",
        "resolved_at": null,
        "comments": [],
        "user": null,
    })
}

fn detailed(id: u64, number: u64) -> Value {
    let mut ticket = listed(id, number);
    ticket["user"] =
        json!({ "id": 31, "email": "terry@msp.example", "full_name": "Terry Tech", "admin": true });
    ticket["contact"] = json!({ "id": 7, "name": "Carol", "email": "carol@acme.example" });
    ticket["customer"] = json!({
        "id": 19, "fullname": "Al Acme", "email": "office@acme.example", "business_then_name": "Acme Corp",
    });
    ticket
}

fn list(tickets: &[Value]) -> Played {
    Played::json(200, &json!({ "tickets": tickets, "meta": { "total_pages": 1, "page": 1 } }))
}

fn one(ticket: &Value) -> Played {
    Played::json(200, &json!({ "ticket": ticket }))
}

async fn read(ticket: &Value) -> Result<Ticket, PsaError> {
    let server = Desk::answers(vec![list(&[listed(5, 4)]), one(ticket)]);
    connected(KIND, &server.url()).ticket("4").await
}

#[tokio::test]
async fn a_ticket_is_searched_by_its_number_and_read_by_its_id() {
    let expected = Ticket {
        id: "5".into(),
        number: "4".into(),
        summary: Some("Some major problem".into()),
        company: Some(Company { id: "19".into(), name: "Acme Corp".into(), domains: Vec::new() }),
        contact_email: Some("carol@acme.example".into()),
        status: "New".into(),
        closed: false,
        owner: ["31", "terry@msp.example", "Terry Tech"].map(String::from).into(),
        changed_at: when(Some("2026-01-02T03:04:05Z")),
    };
    for path in ["", "/api/v1"] {
        let server = Desk::answers(vec![list(&[listed(5, 4)]), one(&detailed(5, 4))]);
        let psa = connected(KIND, &format!("{}{path}", server.url()));
        assert_eq!(psa.ticket("4").await, Ok(expected.clone()));
        let heard = server.heard();
        assert_eq!((heard[0].line().as_str(), heard[0].query("number")), ("GET /api/v1/tickets", Some("4")));
        assert_eq!(heard[1].line(), "GET /api/v1/tickets/5");
        assert_eq!(heard[1].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    }
}

#[tokio::test]
async fn a_ticket_may_have_no_contact_and_nobody_who_works_on_it() {
    let mut answer = detailed(5, 4);
    answer["contact"] = Value::Null;
    // As in the document's own example: somebody in `user`, nobody in `user_id`.
    answer["user_id"] = Value::Null;
    let found = read(&answer).await.unwrap();
    assert_eq!(found.contact_email.as_deref(), Some("office@acme.example"));
    assert!(found.owner.is_empty());
    for field in ["customer", "customer_id", "customer_business_then_name"] {
        answer[field] = Value::Null;
    }
    let found = read(&answer).await.unwrap();
    assert_eq!((found.company, found.contact_email), (None, None));
}

#[tokio::test]
async fn closed_is_the_vendors_list_unless_words_are_configured() {
    for (status, expected) in [("Resolved", true), ("Invoiced", true), ("Waiting on Customer", false)] {
        let mut answer = detailed(5, 4);
        answer["status"] = json!(status);
        assert_eq!(read(&answer).await.unwrap().closed, expected, "{status}");
    }
    let server = Desk::answers(vec![list(&[listed(5, 4)]), one(&detailed(5, 4))]);
    let mut settings = settings(KIND, &server.url());
    settings.closed = vec!["NEW".into()];
    assert!(connected_with(&settings).ticket("4").await.unwrap().closed);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for field in ["number", "status"] {
        let mut answer = detailed(5, 4);
        answer.as_object_mut().unwrap().remove(field);
        let said = read(&answer).await.unwrap_err().to_string();
        assert!(said.contains(field), "{said}");
    }
}

#[tokio::test]
async fn no_ticket_another_ticket_and_two_tickets_are_refused() {
    for (found, expected) in [
        (vec![], PsaError::NoSuchTicket),
        (vec![listed(5, 44)], another_ticket()),
        (vec![listed(5, 4), listed(6, 4)], many_tickets()),
    ] {
        let server = Desk::answers(vec![list(&found)]);
        assert_eq!(connected(KIND, &server.url()).ticket("4").await, Err(expected));
    }
    assert_eq!(read(&detailed(5, 44)).await, Err(another_ticket()));
    assert_eq!(read(&detailed(6, 4)).await, Err(another_ticket()));
    let server = Desk::answers(vec![]);
    assert_eq!(connected(KIND, &server.url()).ticket("4&user_id=1").await, Err(PsaError::NoSuchTicket));
    assert_eq!(server.heard().len(), 0);
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    failures_are_told_apart(KIND, "4").await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_one_by_one() {
    let server = Desk::answers(vec![list(&[listed(5, 4)]), list(&[]), list(&[listed(9, 8)])]);
    let found = connected(KIND, &server.url()).tickets(&["4".into(), "6".into(), "8".into()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["4", "8"]);
    let busy = Played::text(429, "").header("Retry-After", "9");
    let server = Desk::answers(vec![list(&[listed(5, 4)]), busy]);
    let error = connected(KIND, &server.url()).tickets(&["4".into(), "6".into()]).await.unwrap_err();
    assert_eq!(error, PsaError::Busy { retry_after_s: 9 });
}

#[tokio::test]
async fn a_note_is_hidden_and_mailed_to_nobody_unless_the_customer_shall_see_it() {
    let server = Desk::answers(vec![Played::text(200, ""), Played::text(200, "")]);
    let psa = connected(KIND, &server.url());
    for public in [false, true] {
        psa.add_note(&known_ticket("5"), &note(public)).await.unwrap();
    }
    for (heard, public) in server.heard().iter().zip([false, true]) {
        assert_eq!(heard.line(), "POST /api/v1/tickets/5/comment");
        let expected = json!({
            "subject": "Ticketgate",
            "body": "Access was granted.\n[tg-1]",
            "hidden": !public,
            "do_not_email": !public,
        });
        assert_eq!(heard.json(), expected);
    }
}

#[tokio::test]
async fn a_note_is_found_by_its_mark_on_any_page() {
    let page = |body: &str| {
        let comments = json!([{ "id": 1, "body": body, "hidden": true }, { "id": 2, "body": null }]);
        Played::json(
            200,
            &json!({ "comments": comments, "meta": { "total_pages": 2, "page": 1, "per_page": 100 } }),
        )
    };
    let server = Desk::answers(vec![page("x"), page("y [tg-1]"), page("x"), page("y")]);
    let psa = connected(KIND, &server.url());
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-1]").await, Ok(true));
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-1]").await, Ok(false));
    let heard = server.heard();
    assert_eq!(heard.len(), 4);
    assert_eq!(heard[1].line(), "GET /api/v1/tickets/5/comments");
    assert_eq!((heard[1].query("sort_direction"), heard[1].query("page")), (Some("DESC"), Some("2")));
}

#[tokio::test]
async fn customers_are_read_to_the_last_page() {
    let page = |id: u64| {
        let customers = json!([{ "id": id, "business_then_name": format!("C{id}"), "email": null }]);
        Played::json(200, &json!({ "customers": customers, "meta": { "total_pages": 2, "page": 1 } }))
    };
    let server = Desk::answers(vec![page(1), page(2), page(3)]);
    let found = connected(KIND, &server.url()).companies().await.unwrap();
    assert_eq!(
        found.iter().map(|its| (its.id.as_str(), its.name.as_str())).collect::<Vec<_>>(),
        [("1", "C1"), ("2", "C2")]
    );
    assert_eq!(server.heard()[1].query("page"), Some("2"));
}
