//! Answers as the vendor's description has them.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind;

use super::*;
use crate::testing::{
    CLIENT_ID, Desk, Played, connected, connected_with, failures_are_told_apart, known_ticket, note, settings,
};

const KIND: PsaKind = PsaKind::ConnectWise;

fn ticket(id: u64) -> Value {
    json!({
        "id": id,
        "summary": "Printer  on fire",
        "recordType": "ServiceTicket",
        "board": { "id": 1, "name": "Help Desk", "_info": { "board_href": "https://x.example/boards/1" } },
        "status": { "id": 17, "name": "In Progress", "_info": {} },
        "company": { "id": 19, "identifier": "Acme", "name": "Acme Corp", "_info": {} },
        "contact": { "id": 7, "name": "Carol Customer", "_info": {} },
        "contactEmailAddress": "carol@acme.example",
        "owner": { "id": 151, "identifier": "tech1", "name": "Terry Tech", "_info": {} },
        "resources": "tech2, tech3",
        "closedFlag": false,
        "customFields": [],
        "_info": { "lastUpdated": "2026-01-02T03:04:05Z", "updatedBy": "tech1" },
    })
}

async fn read(answer: &Value, number: &str) -> Result<Ticket, PsaError> {
    let server = Desk::answers(vec![Played::json(200, answer)]);
    connected(KIND, &server.url()).ticket(number).await
}

#[tokio::test]
async fn a_ticket_is_read_as_the_api_member() {
    let server = Desk::answers(vec![Played::json(200, &ticket(4711))]);
    let psa = connected(KIND, &format!("{}/v4_6_release/apis/3.0", server.url()));
    let expected = Ticket {
        id: "4711".into(),
        number: "4711".into(),
        summary: Some("Printer on fire".into()),
        company: Some(Company { id: "19".into(), name: "Acme Corp".into(), domains: Vec::new() }),
        contact_email: Some("carol@acme.example".into()),
        status: "In Progress".into(),
        closed: false,
        owner: ["151", "tech1", "Terry Tech", "tech2", "tech3"].map(String::from).into(),
        changed_at: when(Some("2026-01-02T03:04:05Z")),
    };
    assert_eq!(psa.ticket("#4711").await, Ok(expected));
    let heard = &server.heard()[0];
    assert_eq!(heard.line(), "GET /v4_6_release/apis/3.0/service/tickets/4711");
    assert_eq!(heard.header("clientid"), Some(CLIENT_ID));
    // LOGIN:SECRET
    assert_eq!(
        heard.header("authorization"),
        Some("Basic dGlja2V0Z2F0ZUBtc3AuZXhhbXBsZTpzM2NyZXQtNDcxMS1XZXJ0")
    );
}

#[tokio::test]
async fn a_ticket_may_have_no_company_no_contact_and_no_owner() {
    let answer = json!({ "id": 5, "summary": "x", "status": { "name": "New" }, "closedFlag": false });
    let found = read(&answer, "5").await.unwrap();
    assert_eq!((found.company, found.contact_email, found.changed_at), (None, None, None));
    assert!(found.owner.is_empty());
}

#[tokio::test]
async fn closed_is_the_flag_unless_words_are_configured() {
    let mut closed = ticket(5);
    closed["closedFlag"] = json!(true);
    assert!(read(&closed, "5").await.unwrap().closed);
    let server = Desk::answers(vec![Played::json(200, &ticket(5)), Played::json(200, &closed)]);
    let mut settings = settings(KIND, &server.url());
    settings.closed = vec!["in progress".into()];
    assert!(connected_with(&settings).ticket("5").await.unwrap().closed);
    settings.closed = vec!["Done".into()];
    assert!(!connected_with(&settings).ticket("5").await.unwrap().closed);
}

#[tokio::test]
async fn what_is_missing_is_named_and_another_ticket_is_refused() {
    for field in ["id", "status", "closedFlag"] {
        let mut answer = ticket(5);
        answer.as_object_mut().unwrap().remove(field);
        let said = read(&answer, "5").await.unwrap_err().to_string();
        assert!(said.contains(field), "{said}");
    }
    assert_eq!(read(&ticket(6), "5").await, Err(another_ticket()));
    assert_eq!(read(&ticket(6), "6/notes").await, Err(PsaError::NoSuchTicket));
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    failures_are_told_apart(KIND, "5").await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once() {
    let server = Desk::answers(vec![Played::json(200, &json!([ticket(5), ticket(7)]))]);
    let psa = connected(KIND, &server.url());
    let found = psa.tickets(&["5".into(), "6".into(), "7".into(), "x or 1=1".into()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["5", "7"]);
    assert_eq!(server.heard()[0].query("conditions"), Some("id in (5,6,7)"));
    let server = Desk::answers(vec![Played::json(200, &json!([ticket(8)]))]);
    assert_eq!(connected(KIND, &server.url()).tickets(&["5".into()]).await, Err(another_ticket()));
}

#[tokio::test]
async fn a_note_is_internal_unless_the_customer_shall_see_it() {
    let server = Desk::answers(vec![Played::text(201, ""), Played::text(201, "")]);
    let psa = connected(KIND, &server.url());
    for public in [false, true] {
        psa.add_note(&known_ticket("5"), &note(public)).await.unwrap();
    }
    for (heard, public) in server.heard().iter().zip([false, true]) {
        assert_eq!(heard.line(), "POST /service/tickets/5/notes");
        let expected = json!({
            "text": "Access was granted.\n[tg-1]",
            "detailDescriptionFlag": public,
            "internalAnalysisFlag": !public,
            "resolutionFlag": false,
        });
        assert_eq!(heard.json(), expected);
    }
}

#[tokio::test]
async fn a_note_whose_answer_is_lost_may_be_there() {
    let server = Desk::answers(vec![Played::text(502, "")]);
    let error = connected(KIND, &server.url()).add_note(&known_ticket("5"), &note(false)).await.unwrap_err();
    assert!(error.is_ambiguous());
}

#[tokio::test]
async fn a_note_is_found_by_its_mark_on_any_page() {
    let full = Value::Array((0..NOTES_ON_PAGE).map(|id| json!({ "id": id, "text": null })).collect());
    let last = json!([{ "id": 1, "text": "x [tg-1]" }]);
    let server =
        Desk::answers(vec![Played::json(200, &full), Played::json(200, &last), Played::json(200, &last)]);
    let psa = connected(KIND, &server.url());
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-1]").await, Ok(true));
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-2]").await, Ok(false));
    let heard = server.heard();
    assert_eq!(heard[0].query("orderBy"), Some("id desc"));
    assert_eq!((heard[0].query("page"), heard[1].query("page")), (Some("1"), Some("2")));
}

#[tokio::test]
async fn companies_are_read_to_the_last_page() {
    let full = Value::Array(
        (0..COMPANIES_ON_PAGE).map(|id| json!({ "id": id, "name": format!("C{id}") })).collect(),
    );
    let server = Desk::answers(vec![
        Played::json(200, &full),
        Played::json(200, &json!([{ "id": 999, "name": "Last" }])),
    ]);
    let found = connected(KIND, &server.url()).companies().await.unwrap();
    assert_eq!(found.len(), COMPANIES_ON_PAGE + 1);
    assert_eq!(found.last().map(|last| (last.id.as_str(), last.name.as_str())), Some(("999", "Last")));
    assert_eq!(server.heard()[1].query("page"), Some("2"));
    assert_eq!(server.heard()[1].query("conditions"), Some("deletedFlag=false"));
}
