//! Shapes as the reference on developer.zendesk.com shows them.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind::Zendesk;

use crate::testing::{Desk, Exchange, LOGIN, SECRET, failures_are_told_apart, get, request};
use crate::{Company, Note, PsaError, Ticket};

/// `agent@example.com/token:SECRET` in Base64.
fn signed(exchange: Exchange) -> Exchange {
    exchange.header("authorization", crate::testing::basic(&format!("{LOGIN}/token"), SECRET))
}

fn outlook() -> Value {
    json!({
        "ticket": {
            "id": 35436, "url": "https://acme.zendesk.com/api/v2/tickets/35436.json", "subject": "Outlook crashes",
            "status": "open", "organization_id": 509974, "requester_id": 20978392, "assignee_id": 235323,
            "updated_at": "2026-05-05T10:38:52Z", "custom_fields": [], "is_public": true,
        },
        "users": [
            {"id": 20978392, "name": "Ana Reyes", "email": "ana@acme.example", "role": "end-user"},
            {"id": 235323, "name": "Terry Tech", "email": "terry@msp.example", "role": "agent"},
        ],
        "organizations": [{"id": 509974, "name": "Acme Corp", "domain_names": ["acme.example"]}],
    })
}

fn with(fields: &Value) -> Value {
    let mut answer = outlook();
    for (name, value) in fields.as_object().unwrap() {
        answer["ticket"][name] = value.clone();
    }
    answer
}

fn asked(answer: &Value) -> Exchange {
    signed(get("/api/v2/tickets/35436").query("include", "users,organizations").gets(200, answer))
}

async fn read(answer: &Value) -> Result<Ticket, PsaError> {
    let desk = Desk::plays([asked(answer)]);
    let ticket = desk.connect(Zendesk).ticket("35436").await;
    desk.end();
    ticket
}

#[tokio::test]
async fn a_ticket_is_read_with_everything_that_it_has() {
    let ticket = read(&outlook()).await.unwrap();
    let company =
        Company { id: "509974".into(), name: "Acme Corp".into(), domains: vec!["acme.example".into()] };
    assert_eq!(ticket.company, Some(company));
    assert_eq!((ticket.id.as_str(), ticket.number.as_str()), ("35436", "35436"));
    assert_eq!(ticket.summary.as_deref(), Some("Outlook crashes"));
    assert_eq!(ticket.contact_email.as_deref(), Some("ana@acme.example"));
    assert_eq!((ticket.status.as_str(), ticket.closed), ("open", false));
    let owner: Vec<_> = ticket.owner.iter().map(String::as_str).collect();
    assert_eq!(owner, ["235323", "Terry Tech", "terry@msp.example"]);
    assert_eq!(ticket.changed_at.unwrap().to_rfc3339(), "2026-05-05T10:38:52+00:00");
}

#[tokio::test]
async fn nothing_is_made_up_where_there_is_no_company_and_no_owner() {
    let bare = with(&json!({"organization_id": null, "assignee_id": null, "subject": null}));
    let ticket = read(&bare).await.unwrap();
    assert_eq!((ticket.company, ticket.summary), (None, None));
    assert!(ticket.owner.is_empty());
    // Known by its id alone, where it was not loaded.
    let mut alone = outlook();
    alone["organizations"] = json!([]);
    alone["users"] = json!([]);
    let ticket = read(&alone).await.unwrap();
    assert_eq!(ticket.company, Some(Company { id: "509974".into(), ..Company::default() }));
    assert_eq!((ticket.owner, ticket.contact_email), (["235323".to_owned()].into(), None));
}

#[tokio::test]
async fn closed_is_solved_or_closed_unless_words_are_configured() {
    for (status, expected) in [
        ("new", false),
        ("open", false),
        ("pending", false),
        ("hold", false),
        ("solved", true),
        ("closed", true),
    ] {
        assert_eq!(read(&with(&json!({"status": status}))).await.unwrap().closed, expected, "{status}");
    }
    let desk = Desk::plays([asked(&with(&json!({"status": "solved"})))]);
    let psa = desk.connect_as(Zendesk, |settings| settings.closed = vec!["Closed".into()]);
    assert!(!psa.ticket("35436").await.unwrap().closed);
}

#[tokio::test]
async fn an_answer_about_another_ticket_or_without_a_field_is_refused() {
    for (fields, expected) in [
        (json!({"id": 35437}), "another ticket"),
        (json!({"id": null}), "`id`"),
        (json!({"status": null}), "`status`"),
    ] {
        match read(&with(&fields)).await {
            Err(PsaError::Unreadable(why)) => assert!(why.contains(expected), "{why}"),
            other => panic!("{fields}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn failures_have_one_meaning_each() {
    failures_are_told_apart(Zendesk, "35436").await;
    let desk = Desk::plays([]);
    assert_eq!(desk.connect(Zendesk).ticket("../users/1").await, Err(PsaError::NoSuchTicket));
    desk.end();
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once() {
    let many = |id: u32| {
        let first = outlook();
        let mut second = with(&json!({"status": "closed"}));
        second["ticket"]["id"] = json!(id);
        let body = json!({"tickets": [first["ticket"], second["ticket"]], "users": first["users"],
            "organizations": first["organizations"], "count": 2});
        get("/api/v2/tickets/show_many")
            .query("ids", "35436,7,8")
            .query("include", "users,organizations")
            .gets(200, &body)
    };
    let numbers = ["35436", "x", "7", "8"].map(str::to_owned);
    let desk = Desk::plays([many(8)]);
    let found = desk.connect(Zendesk).tickets(&numbers).await.unwrap();
    let found: Vec<_> = found.iter().map(|ticket| (ticket.number.as_str(), ticket.closed)).collect();
    assert_eq!(found, [("35436", false), ("8", true)]);
    desk.end();
    let another = Desk::plays([many(9)]).connect(Zendesk).tickets(&numbers).await;
    assert!(matches!(another, Err(PsaError::Unreadable(_))), "{another:?}");
}

#[tokio::test]
async fn a_note_is_an_internal_or_a_public_comment() {
    let ticket = Ticket { id: "7".into(), number: "7".into(), ..Ticket::default() };
    for public in [false, true] {
        let desk = Desk::plays([signed(
            request("PUT", "/api/v2/tickets/7")
                .json(json!({"ticket": {"comment": {"body": "Begun\n[m1]", "public": public}}}))
                .gets(200, &json!({"ticket": {"id": 7}})),
        )]);
        let note = Note { text: "Begun\n[m1]".into(), mark: "[m1]".into(), public };
        desk.connect(Zendesk).add_note(&ticket, &note).await.unwrap();
        desk.end();
    }
}

#[tokio::test]
async fn a_note_is_looked_for_from_the_newest_page_on() {
    let page = |after: Option<&str>, body: &str, next: Option<&str>| {
        let exchange =
            get("/api/v2/tickets/7/comments").query("page[size]", "25").query("sort", "-created_at");
        let exchange = after.into_iter().fold(exchange, |e, after| e.query("page[after]", after));
        exchange.gets(
            200,
            &json!({"comments": [{"id": 1, "type": "Comment", "body": body, "public": false}],
                "meta": {"has_more": next.is_some(), "after_cursor": next}}),
        )
    };
    let ticket = Ticket { id: "7".into(), number: "7".into(), ..Ticket::default() };
    for (second, expected) in [("Begun\n[m1]", true), ("Begun\n[m2]", false)] {
        let desk = Desk::plays([page(None, "x", Some("xyz==")), page(Some("xyz=="), second, None)]);
        assert_eq!(desk.connect(Zendesk).has_note(&ticket, "[m1]").await, Ok(expected));
        desk.end();
    }
}

#[tokio::test]
async fn organizations_are_read_page_by_page() {
    let page = |after: Option<&str>, id: u32, next: Option<&str>| {
        let exchange = get("/api/v2/organizations").query("page[size]", "100");
        let exchange = after.into_iter().fold(exchange, |e, after| e.query("page[after]", after));
        exchange.gets(
            200,
            &json!({"organizations": [{"id": id, "name": format!("Company {id}"), "domain_names": []}],
                "meta": {"has_more": next.is_some(), "after_cursor": next}}),
        )
    };
    let desk = Desk::plays([page(None, 1, Some("c2")), page(Some("c2"), 2, None)]);
    let found = desk.connect(Zendesk).companies().await.unwrap();
    assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Company 1", "Company 2"]);
    desk.end();
}
