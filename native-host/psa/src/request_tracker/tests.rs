//! Shapes as RT 5.0.3 answers them; the same against RT itself: `tests/request_tracker.rs`.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind::RequestTracker;

use crate::testing::{Desk, Exchange, SECRET, failures_are_told_apart, get, post};
use crate::{Company, Note, PsaError, Ticket};

fn search(query: &str) -> Exchange {
    get("/REST/2.0/tickets")
        .query("query", query)
        .query("fields", "Subject,Status,Owner,Requestor,Queue,CustomFields,LastUpdated")
        .query("fields[Owner]", "Name,EmailAddress,RealName")
        .query("fields[Requestor]", "EmailAddress")
        .query("fields[Queue]", "Name")
        .query("per_page", "100")
        .header("authorization", format!("token {SECRET}"))
}

fn active(query: &str) -> Exchange {
    search(&format!("({query}) AND Status = '__Active__'"))
}

fn page(items: &[Value]) -> Value {
    json!({"count": items.len(), "page": 1, "pages": 1, "per_page": 100, "total": items.len(), "items": items})
}

fn outlook() -> Value {
    json!({
        "type": "ticket", "id": "7", "_url": "https://rt.example.com/REST/2.0/ticket/7",
        "Subject": "Outlook crashes", "Status": "open", "LastUpdated": "2026-11-26T06:31:40Z",
        "Owner": {"type": "user", "id": "terry", "Name": "terry", "EmailAddress": "terry@msp.example",
            "RealName": "Terry Tech"},
        "Requestor": [{"type": "user", "id": "ana", "EmailAddress": "ana@acme.example"}],
        "Queue": {"type": "queue", "id": "3", "Name": "Helpdesk"},
        "CustomFields": [
            {"type": "customfield", "id": "2", "name": "Blob",
                "values": [{"filename": "a.bin", "content_type": "application/octet-stream"}]},
            {"type": "customfield", "id": "1", "name": "Customer", "values": ["Acme Corp"]},
        ],
    })
}

/// The ticket with some fields otherwise.
fn with(fields: &Value) -> Value {
    let mut ticket = outlook();
    for (name, value) in fields.as_object().unwrap() {
        ticket[name] = value.clone();
    }
    ticket
}

async fn read(ticket: &Value) -> Result<Ticket, PsaError> {
    let desk = Desk::plays([active("id = 7").gets(200, &page(std::slice::from_ref(ticket)))]);
    let answer = desk.connect(RequestTracker).ticket("7").await;
    if answer.is_ok() {
        desk.end();
    }
    answer
}

#[tokio::test]
async fn a_ticket_is_read_with_everything_that_it_has() {
    let ticket = read(&outlook()).await.unwrap();
    let company = Company { id: "Acme Corp".into(), name: "Acme Corp".into(), domains: Vec::new() };
    assert_eq!(ticket.company, Some(company));
    assert_eq!((ticket.id.as_str(), ticket.number.as_str()), ("7", "7"));
    assert_eq!(ticket.summary.as_deref(), Some("Outlook crashes"));
    assert_eq!(ticket.contact_email.as_deref(), Some("ana@acme.example"));
    assert_eq!((ticket.status.as_str(), ticket.closed), ("open", false));
    assert_eq!(
        ticket.owner.iter().map(String::as_str).collect::<Vec<_>>(),
        ["Terry Tech", "terry", "terry@msp.example"]
    );
    assert_eq!(ticket.changed_at.unwrap().to_rfc3339(), "2026-11-26T06:31:40+00:00");
}

#[tokio::test]
async fn the_company_is_the_fields_then_the_queues_and_never_one_of_two() {
    for (fields, expected) in [
        (json!({"CustomFields": ""}), Some("Helpdesk")),
        (json!({"CustomFields": [{"name": "Customer", "values": []}]}), Some("Helpdesk")),
        (json!({"CustomFields": [{"name": "Customer", "values": ["A", "B"]}]}), None),
        (
            json!({"CustomFields": [{"name": "Client", "values": ["A"]}, {"name": "COMPANY", "values": ["B"]}]}),
            Some("B"),
        ),
        (json!({"CustomFields": "", "Queue": {"id": "3", "Name": ""}}), None),
    ] {
        let name = read(&with(&fields)).await.unwrap().company.map(|company| company.name);
        assert_eq!(name.as_deref(), expected, "{fields}");
    }
}

#[tokio::test]
async fn nobody_is_no_owner() {
    let nobody = json!({"Owner": {"id": "Nobody", "Name": "Nobody", "EmailAddress": "", "RealName": "Nobody in particular"}});
    assert!(read(&with(&nobody)).await.unwrap().owner.is_empty());
}

#[tokio::test]
async fn closed_is_what_the_life_cycle_calls_inactive_unless_words_are_configured() {
    let desk = Desk::plays([
        active("id = 7").gets(200, &page(&[])),
        search("id = 7").gets(200, &page(&[outlook()])),
    ]);
    assert!(desk.connect(RequestTracker).ticket("7").await.unwrap().closed);
    desk.end();
    for (word, expected) in [("OPEN", true), ("done", false)] {
        let desk = Desk::plays([search("id = 7").gets(200, &page(&[outlook()]))]);
        let psa = desk.connect_as(RequestTracker, |settings| settings.closed = vec![word.into()]);
        assert_eq!(psa.ticket("7").await.unwrap().closed, expected);
        desk.end();
    }
}

#[tokio::test]
async fn an_answer_about_another_ticket_is_refused() {
    let another = read(&with(&json!({"id": "8"}))).await;
    assert!(matches!(another, Err(PsaError::Unreadable(_))), "{another:?}");
    // Merged: RT answers with the one that it became.
    let desk = Desk::plays([
        active("id = 7").gets(200, &page(&[])),
        search("id = 7").gets(200, &page(&[])),
        get("/REST/2.0/ticket/7").gets(200, &json!({"id": 8})),
    ]);
    let merged = desk.connect(RequestTracker).ticket("7").await;
    assert!(matches!(merged, Err(PsaError::Unreadable(_))), "{merged:?}");
    desk.end();
}

#[tokio::test]
async fn a_ticket_that_is_not_there_or_not_to_be_seen_or_no_number_is_none() {
    for (status, body) in [(404, json!({"message": "Not Found"})), (403, json!({})), (200, json!({"id": 7}))]
    {
        let desk = Desk::plays([
            active("id = 7").gets(200, &page(&[])),
            search("id = 7").gets(200, &page(&[])),
            get("/REST/2.0/ticket/7").gets(status, &body),
        ]);
        assert_eq!(desk.connect(RequestTracker).ticket("7").await, Err(PsaError::NoSuchTicket));
        desk.end();
    }
    let desk = Desk::plays([]);
    for number in ["1 OR id > 0", "T1", ""] {
        assert_eq!(desk.connect(RequestTracker).ticket(number).await, Err(PsaError::NoSuchTicket));
    }
    desk.end();
}

#[tokio::test]
async fn a_field_that_must_be_there_is_named() {
    let mut bare = outlook();
    bare.as_object_mut().unwrap().remove("Status");
    assert_eq!(read(&bare).await, Err(PsaError::Unreadable("it has no `Status`".into())));
}

#[tokio::test]
async fn failures_have_one_meaning_each() {
    failures_are_told_apart(RequestTracker, "7").await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once() {
    let numbers: Vec<String> = ["7", "x", "8"].map(str::to_owned).to_vec();
    let desk = Desk::plays([
        active("id = 7 OR id = 8").gets(200, &page(&[outlook()])),
        search("id = 8").gets(200, &page(&[with(&json!({"id": 8}))])),
    ]);
    let found = desk.connect(RequestTracker).tickets(&numbers).await.unwrap();
    let found: Vec<_> = found.iter().map(|ticket| (ticket.number.as_str(), ticket.closed)).collect();
    assert_eq!(found, [("7", false), ("8", true)]);
    desk.end();
}

#[tokio::test]
async fn a_note_is_a_comment_or_correspondence() {
    for (public, kind) in [(false, "comment"), (true, "correspond")] {
        let desk = Desk::plays([post(format!("/REST/2.0/ticket/7/{kind}"))
            .json(json!({"ContentType": "text/plain", "Content": "Begun\n[m1]"}))
            .gets(201, &json!(["Comments added"]))]);
        let note = Note { text: "Begun\n[m1]".into(), mark: "[m1]".into(), public };
        let ticket = Ticket { id: "7".into(), number: "7".into(), ..Ticket::default() };
        desk.connect(RequestTracker).add_note(&ticket, &note).await.unwrap();
        desk.end();
    }
}

#[tokio::test]
async fn a_note_is_found_by_its_mark_to_the_letter() {
    let asked = |number: &str, contents: &[&str], pages: f64| {
        let items: Vec<_> = contents.iter().map(|content| json!({"id": "1", "Content": content})).collect();
        get("/REST/2.0/ticket/7/attachments")
            .query(
                "query",
                &json!([{"field": "ContentType", "value": "text/plain"},
                    {"field": "Content", "operator": "LIKE", "value": "m_1"}])
                .to_string(),
            )
            .query("fields", "Content")
            .query("orderby", "id")
            .query("order", "DESC")
            .query("page", number)
            .gets(200, &json!({"items": items, "pages": pages}))
    };
    let ticket = Ticket { id: "7".into(), number: "7".into(), ..Ticket::default() };
    for (script, expected) in [
        (vec![asked("1", &["Begun\nm_1"], 1.0)], true),
        (vec![asked("1", &["Begun\nmx1"], 2.0), asked("2", &["m_1"], 2.0)], true),
        (vec![asked("1", &["Begun\nmx1"], 1.0)], false),
        (vec![asked("1", &[], 0.0)], false),
    ] {
        let desk = Desk::plays(script);
        assert_eq!(desk.connect(RequestTracker).has_note(&ticket, "m_1").await, Ok(expected));
        desk.end();
    }
}

#[tokio::test]
async fn queues_are_the_companies_page_by_page() {
    let asked = |number: &str, queue: &str| {
        get("/REST/2.0/queues/all")
            .query("fields", "Name")
            .query("per_page", "100")
            .query("page", number)
            .gets(200, &json!({"pages": 2, "items": [{"id": number, "Name": queue}]}))
    };
    let desk = Desk::plays([asked("1", "Acme Corp"), asked("2", "Globex")]);
    let found = desk.connect(RequestTracker).companies().await.unwrap();
    assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Acme Corp", "Globex"]);
    desk.end();
}

#[tokio::test]
async fn a_check_asks_the_server_itself() {
    let asked = || get("/REST/2.0/rt").header("authorization", format!("token {SECRET}"));
    for (status, expected) in [(200, Ok(())), (401, Err(PsaError::Refused("status 401".into())))] {
        let desk = Desk::plays([asked().gets(status, &json!({"Version": "5.0.3"}))]);
        assert_eq!(desk.connect(RequestTracker).check().await, expected);
        desk.end();
    }
}
