//! Answers as the vendor's help has them.

mod described;

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind;

use super::*;
use crate::testing::{
    CLIENT_ID, Desk, LOGIN, Played, SECRET, connected, connected_with, failures_are_told_apart_beside,
    known_ticket, note, settings,
};

const KIND: PsaKind = PsaKind::Autotask;
const FIELDS: &str = "/entityInformation/fields";
const NUMBER: &str = "T20260101.0001";

fn choice(value: i64, label: &str, active: bool, system: bool) -> Value {
    json!({ "value": value.to_string(), "label": label, "isActive": active, "isSystem": system, "sortOrder": 1 })
}

/// What `entityInformation/fields` says of tickets and of notes.
fn fields() -> Played {
    Played::json(
        200,
        &json!({ "fields": [
        { "name": "id", "dataType": "long", "isPickList": false, "picklistValues": null },
        { "name": "status", "dataType": "integer", "isPickList": true, "picklistValues": [
            choice(1, "New", true, true), choice(5, "Complete", true, true), choice(8, "In Progress", true, false),
        ] },
        { "name": "noteType", "dataType": "integer", "isPickList": true, "picklistValues": [
            choice(13, "Workflow Rule Note", true, true), choice(2, "Old", false, false), choice(3, "Task Notes", true, false),
        ] },
        { "name": "publish", "dataType": "integer", "isPickList": true, "picklistValues": [
            choice(1, "All Autotask Users", true, true), choice(2, "Internal Only", true, true),
        ] },
    ] }),
    )
}

fn always() -> Vec<(&'static str, Played)> {
    vec![(FIELDS, fields())]
}

fn ticket(number: &str) -> Value {
    json!({
        "id": 53203,
        "ticketNumber": number,
        "title": "Printer  on fire",
        "status": 8,
        "companyID": 19,
        "contactID": 7,
        "assignedResourceID": 29682885,
        "lastActivityDate": "2026-01-02T03:04:05.000Z",
        "userDefinedFields": [],
    })
}

fn items(items: &[Value]) -> Played {
    Played::json(
        200,
        &json!({
            "items": items,
            "pageDetails": { "count": items.len(), "requestCount": 500, "prevPageUrl": null, "nextPageUrl": null },
        }),
    )
}

fn item(item: &Value) -> Played {
    Played::json(200, &json!({ "item": item }))
}

async fn read(answer: &Value) -> Result<Ticket, PsaError> {
    let none = item(&Value::Null);
    let server = Desk::answers_beside(
        always(),
        vec![items(std::slice::from_ref(answer)), none.clone(), none.clone(), none],
    );
    connected(KIND, &server.url()).ticket(NUMBER).await
}

#[tokio::test]
async fn a_ticket_is_read_by_its_number_with_the_names_behind_its_ids() {
    let expected = Ticket {
        id: "53203".into(),
        number: NUMBER.into(),
        summary: Some("Printer on fire".into()),
        company: Some(Company { id: "19".into(), name: "Acme Corp".into(), domains: Vec::new() }),
        contact_email: Some("carol@acme.example".into()),
        status: "In Progress".into(),
        closed: false,
        owner: ["29682885", "tech1", "terry@msp.example", "Terry Tech"].map(String::from).into(),
        changed_at: when(Some("2026-01-02T03:04:05Z")),
    };
    for path in ["/ATServicesRest", "/ATServicesRest/V1.0"] {
        let script = vec![
            items(&[ticket(NUMBER)]),
            item(&json!({ "id": 19, "companyName": "Acme Corp", "isActive": true })),
            item(&json!({ "id": 7, "emailAddress": "carol@acme.example" })),
            item(&json!({
                "id": 29682885, "userName": "tech1", "email": "terry@msp.example",
                "firstName": "Terry", "lastName": "Tech",
            })),
        ];
        let server = Desk::answers_beside(always(), script);
        let psa = connected(KIND, &format!("{}{path}", server.url()));
        assert_eq!(psa.ticket(NUMBER).await, Ok(expected.clone()));
        let heard = server.heard_beside(FIELDS);
        let lines: Vec<String> = heard.iter().map(|heard| heard.line()).collect();
        assert_eq!(
            lines,
            [
                "POST /ATServicesRest/V1.0/Tickets/query",
                "GET /ATServicesRest/V1.0/Companies/19",
                "GET /ATServicesRest/V1.0/Contacts/7",
                "GET /ATServicesRest/V1.0/Resources/29682885",
            ]
        );
        let filter = json!([{ "op": "eq", "field": "ticketNumber", "value": NUMBER }]);
        assert_eq!(heard[0].json()["filter"], filter);
        assert_eq!(heard[0].header("apiintegrationcode"), Some(CLIENT_ID));
        assert_eq!(heard[0].header("username"), Some(LOGIN));
        assert_eq!(heard[0].header("secret"), Some(SECRET));
    }
}

#[tokio::test]
async fn a_ticket_may_have_no_contact_and_no_resource_and_what_may_not_be_seen_is_left_out() {
    let mut answer = ticket(NUMBER);
    for field in ["companyID", "contactID", "assignedResourceID"] {
        answer[field] = Value::Null;
    }
    let found = read(&answer).await.unwrap();
    assert_eq!((found.company, found.contact_email), (None, None));
    assert!(found.owner.is_empty());
    let refused = Played::text(403, "");
    let script = vec![items(&[ticket(NUMBER)]), refused.clone(), refused.clone(), refused];
    let server = Desk::answers_beside(always(), script);
    let found = connected(KIND, &server.url()).ticket(NUMBER).await.unwrap();
    assert_eq!(found.company.map(|its| (its.id, its.name)), Some(("19".into(), String::new())));
    assert_eq!(found.owner, ["29682885".to_owned()].into());
}

#[tokio::test]
async fn closed_is_complete_unless_words_are_configured() {
    let mut complete = ticket(NUMBER);
    complete["status"] = json!(5);
    let found = read(&complete).await.unwrap();
    assert_eq!((found.closed, found.status.as_str()), (true, "Complete"));
    let none = item(&Value::Null);
    let script = vec![items(&[ticket(NUMBER)]), none.clone(), none.clone(), none];
    let server = Desk::answers_beside(always(), script);
    let mut settings = settings(KIND, &server.url());
    settings.closed = vec!["in progress".into()];
    assert!(connected_with(&settings).ticket(NUMBER).await.unwrap().closed);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for field in ["id", "status"] {
        let mut answer = ticket(NUMBER);
        answer.as_object_mut().unwrap().remove(field);
        let said = read(&answer).await.unwrap_err().to_string();
        assert!(said.contains(field), "{said}");
    }
    let mut answer = ticket(NUMBER);
    answer["status"] = json!(77);
    assert!(matches!(read(&answer).await, Err(PsaError::Unreadable(_))));
}

#[tokio::test]
async fn no_ticket_another_ticket_and_two_tickets_are_refused() {
    for (found, expected) in [
        (vec![], PsaError::NoSuchTicket),
        (vec![ticket("T20260101.0002")], another_ticket()),
        (vec![ticket(NUMBER), ticket(NUMBER)], many_tickets()),
    ] {
        let server = Desk::answers_beside(always(), vec![items(&found)]);
        assert_eq!(connected(KIND, &server.url()).ticket(NUMBER).await, Err(expected));
    }
    let server = Desk::answers(vec![]);
    assert_eq!(connected(KIND, &server.url()).ticket("T1\" or").await, Err(PsaError::NoSuchTicket));
    assert_eq!(server.heard().len(), 0);
    let server = Desk::answers_beside(always(), vec![items(&[ticket("T1"), ticket("T1")])]);
    assert_eq!(
        connected(KIND, &server.url()).tickets(&["T1".into(), "T2".into()]).await,
        Err(many_tickets())
    );
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    failures_are_told_apart_beside(KIND, always(), NUMBER).await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once_and_their_statuses_named_once() {
    let script = vec![items(&[ticket("T1"), ticket("T3")]), items(&[])];
    let server = Desk::answers_beside(always(), script);
    let psa = connected(KIND, &server.url());
    let found = psa.tickets(&["T1".into(), "T2".into(), "T3".into()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["T1", "T3"]);
    let heard = server.heard();
    assert_eq!(heard.len(), 2);
    let filter = json!([{ "op": "in", "field": "ticketNumber", "value": ["T1", "T2", "T3"] }]);
    assert_eq!(heard[0].json()["filter"], filter);
    assert_eq!(psa.tickets(&["T9".into()]).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_note_is_internal_unless_the_customer_shall_see_it() {
    let made = Played::json(200, &json!({ "itemId": 41 }));
    let server = Desk::answers_beside(always(), vec![made.clone(), made]);
    let psa = connected(KIND, &server.url());
    for public in [false, true] {
        psa.add_note(&known_ticket("53203"), &note(public)).await.unwrap();
    }
    for (heard, publish) in server.heard_beside(FIELDS).iter().zip([2, 1]) {
        assert_eq!(heard.line(), "POST /V1.0/Tickets/53203/Notes");
        let expected = json!({
            "ticketID": 53203,
            "title": "Ticketgate",
            "description": "Access was granted.\n[tg-1]",
            "noteType": 3,
            "publish": publish,
        });
        assert_eq!(heard.json(), expected);
    }
}

#[tokio::test]
async fn a_note_is_not_written_where_the_tenant_has_no_internal_ones() {
    let fields = Played::json(
        200,
        &json!({ "fields": [
        { "name": "noteType", "picklistValues": [choice(3, "Task Notes", true, false)] },
        { "name": "publish", "picklistValues": [choice(1, "All Autotask Users", true, true)] },
    ] }),
    );
    let server = Desk::answers_beside(vec![(FIELDS, fields)], vec![]);
    let psa = connected(KIND, &server.url());
    assert_eq!(psa.add_note(&known_ticket("5"), &note(false)).await, Err(PsaError::NotOffered));
    assert_eq!(server.heard_beside(FIELDS).len(), 0);
}

#[tokio::test]
async fn a_note_is_found_by_its_mark() {
    let notes =
        items(&[json!({ "id": 1, "description": "x [tg-1]" }), json!({ "id": 2, "description": null })]);
    let server = Desk::answers(vec![notes.clone(), notes]);
    let psa = connected(KIND, &server.url());
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-1]").await, Ok(true));
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-2]").await, Ok(false));
    assert_eq!(server.heard()[0].line(), "POST /V1.0/TicketNotes/query");
    assert_eq!(server.heard()[0].json()["filter"], json!([{ "op": "eq", "field": "ticketID", "value": 5 }]));
}

/// The script names the server's own address, which is known only when it runs.
fn page(id: i64, next: Option<&str>) -> Played {
    Played::json(
        200,
        &json!({
            "items": [{ "id": id, "companyName": format!("C{id}") }],
            "pageDetails": { "count": 1, "requestCount": 500, "prevPageUrl": null, "nextPageUrl": next },
        }),
    )
}

#[tokio::test]
async fn companies_are_read_to_the_last_page() {
    let server = Desk::answers(vec![]);
    let next = format!("{}/atservicesrest/V1.0/Companies/query/next?paging=%7b1%7d", server.url());
    server.add(page(1, Some(&next)));
    server.add(page(2, None));
    let psa = connected(KIND, &format!("{}/ATServicesRest", server.url()));
    let found = psa.companies().await.unwrap();
    assert_eq!(found.iter().map(|its| its.name.as_str()).collect::<Vec<_>>(), ["C1", "C2"]);
    let heard = server.heard();
    assert_eq!(heard[1].line(), "POST /ATServicesRest/V1.0/Companies/query/next");
    assert_eq!(heard[1].query("paging"), Some("{1}"));
    assert_eq!(heard[1].body, heard[0].body);
}

#[tokio::test]
async fn the_secret_does_not_follow_a_page_to_another_server() {
    for next in ["https://elsewhere.example/V1.0/Companies/query/next", "", "http://127.0.0.1", "é"] {
        let server = Desk::answers(vec![page(1, Some(next)), page(2, None)]);
        let error = connected(KIND, &server.url()).companies().await.unwrap_err();
        assert!(matches!(error, PsaError::Unreadable(_)), "{error:?}");
        assert_eq!(server.heard().len(), 1);
    }
}
