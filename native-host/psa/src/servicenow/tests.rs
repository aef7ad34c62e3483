//! Answers as the vendor's reference has them.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind;

use super::*;
use crate::testing::{
    Desk, Played, connected, connected_with, failures_are_told_apart, known_ticket, note, settings,
};

const KIND: PsaKind = PsaKind::ServiceNow;
const ID: &str = "9d385017c611228701d22104cc95c371";

fn cell(shown: &str, kept: &str) -> Value {
    json!({ "display_value": shown, "value": kept })
}

fn task(number: &str) -> Value {
    json!({
        "sys_id": cell(ID, ID),
        "sys_class_name": cell("Incident", "incident"),
        "number": cell(number, number),
        "short_description": cell("Cannot  print", "Cannot  print"),
        "state": cell("In Progress", "2"),
        "active": cell("true", "true"),
        "company": cell("Acme Corp", "227cdfb03710200044e0bfc8bcbe5d6b"),
        "assigned_to": cell("Terry Tech", "5137153cc611227c000bbd1bd8cd2005"),
        "assigned_to.user_name": cell("terry", "terry"),
        "assigned_to.email": cell("terry@msp.example", "terry@msp.example"),
        "sys_updated_on": cell("2026-01-01 19:04:05", "2026-01-02 03:04:05"),
    })
}

fn result(result: &Value) -> Played {
    Played::json(200, &json!({ "result": result }))
}

async fn read(answer: &Value) -> Result<Ticket, PsaError> {
    let server = Desk::answers(vec![result(&json!([answer])), result(&json!({}))]);
    connected(KIND, &server.url()).ticket("INC0010001").await
}

#[tokio::test]
async fn an_incident_is_read_with_its_caller() {
    let caller = json!({ "caller_id.email": cell("carol@acme.example", "carol@acme.example") });
    let server = Desk::answers(vec![result(&json!([task("INC0010001")])), result(&caller)]);
    let expected = Ticket {
        id: format!("incident/{ID}"),
        number: "INC0010001".into(),
        summary: Some("Cannot print".into()),
        company: Some(Company {
            id: "227cdfb03710200044e0bfc8bcbe5d6b".into(),
            name: "Acme Corp".into(),
            domains: Vec::new(),
        }),
        contact_email: Some("carol@acme.example".into()),
        status: "In Progress".into(),
        closed: false,
        owner: ["5137153cc611227c000bbd1bd8cd2005", "Terry Tech", "terry", "terry@msp.example"]
            .map(String::from)
            .into(),
        changed_at: when(Some("2026-01-02T03:04:05Z")),
    };
    // As people may type it.
    assert_eq!(connected(KIND, &server.url()).ticket("inc0010001").await, Ok(expected));
    let heard = server.heard();
    assert_eq!(heard[0].line(), "GET /api/now/table/task");
    assert_eq!(heard[0].query("sysparm_query"), Some("number=inc0010001"));
    assert_eq!(heard[0].query("sysparm_display_value"), Some("all"));
    assert_eq!(heard[0].query("sysparm_limit"), Some("2"));
    assert!(heard[0].query("sysparm_fields").is_some_and(|fields| !fields.contains(' ')));
    // LOGIN:SECRET
    assert_eq!(
        heard[0].header("authorization"),
        Some("Basic dGlja2V0Z2F0ZUBtc3AuZXhhbXBsZTpzM2NyZXQtNDcxMS1XZXJ0")
    );
    assert_eq!(heard[1].line(), format!("GET /api/now/table/incident/{ID}"));
    assert_eq!(heard[1].query("sysparm_fields"), Some("caller_id.email"));
}

#[tokio::test]
async fn a_task_may_have_no_company_nobody_assigned_and_no_caller() {
    let mut answer = task("INC0010001");
    for field in ["company", "assigned_to"] {
        answer[field] = cell("", "");
    }
    answer["assigned_to.user_name"] = json!("");
    answer.as_object_mut().unwrap().remove("assigned_to.email");
    let found = read(&answer).await.unwrap();
    assert_eq!((found.company, found.contact_email), (None, None));
    assert!(found.owner.is_empty());
    // What the user may not see of the incident takes nothing from the task.
    let server = Desk::answers(vec![result(&json!([task("INC0010001")])), Played::text(403, "")]);
    assert!(connected(KIND, &server.url()).ticket("INC0010001").await.is_ok());
}

#[tokio::test]
async fn a_case_is_its_accounts_where_it_has_no_company() {
    let mut case = task("CS0001000");
    case["sys_class_name"] = cell("Case", "sn_customerservice_case");
    case["company"] = cell("", "");
    let more =
        json!({ "contact.email": cell("c@acme.example", "c@acme.example"), "account": cell("Acme", "a1") });
    let server = Desk::answers(vec![result(&json!([case])), result(&more)]);
    let found = connected(KIND, &server.url()).ticket("CS0001000").await.unwrap();
    assert_eq!(found.company.map(|its| (its.id, its.name)), Some(("a1".into(), "Acme".into())));
    assert_eq!(found.contact_email.as_deref(), Some("c@acme.example"));
}

#[tokio::test]
async fn closed_is_no_longer_active_unless_words_are_configured() {
    let mut closed = task("INC0010001");
    closed["active"] = cell("false", "false");
    closed["state"] = cell("Canceled", "8");
    assert!(read(&closed).await.unwrap().closed);
    let mut resolved = task("INC0010001");
    resolved["state"] = cell("Resolved", "6");
    assert!(!read(&resolved).await.unwrap().closed);
    let server = Desk::answers(vec![result(&json!([resolved])), result(&json!({}))]);
    let mut settings = settings(KIND, &server.url());
    settings.closed = vec!["resolved".into(), "closed".into()];
    assert!(connected_with(&settings).ticket("INC0010001").await.unwrap().closed);
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_odd_becomes_an_address() {
    for field in ["sys_id", "sys_class_name", "number", "state", "active"] {
        let mut answer = task("INC0010001");
        answer.as_object_mut().unwrap().remove(field);
        let said = read(&answer).await.unwrap_err().to_string();
        assert!(said.contains(field), "{said}");
    }
    let mut answer = task("INC0010001");
    answer["sys_class_name"] = cell("x", "incident/../sys_user");
    assert!(matches!(read(&answer).await, Err(PsaError::Unreadable(_))));
}

#[tokio::test]
async fn no_ticket_another_ticket_and_two_tickets_are_refused() {
    for (found, expected) in [
        (json!([]), PsaError::NoSuchTicket),
        (json!([task("INC0010002")]), another_ticket()),
        (json!([task("INC0010001"), task("INC0010001")]), many_tickets()),
    ] {
        let server = Desk::answers(vec![result(&found)]);
        assert_eq!(connected(KIND, &server.url()).ticket("INC0010001").await, Err(expected));
    }
    let server = Desk::answers(vec![]);
    for number in ["INC1^ORactive=true", "javascript:gs.log()", "INC1,INC2"] {
        assert_eq!(connected(KIND, &server.url()).ticket(number).await, Err(PsaError::NoSuchTicket));
    }
    assert_eq!(server.heard().len(), 0);
    let server = Desk::answers(vec![result(&json!([task("INC1"), task("inc1")]))]);
    assert_eq!(
        connected(KIND, &server.url()).tickets(&["INC1".into(), "INC2".into()]).await,
        Err(many_tickets())
    );
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    failures_are_told_apart(KIND, "INC0010001").await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once() {
    let server = Desk::answers(vec![result(&json!([task("INC1"), task("INC3")]))]);
    let psa = connected(KIND, &server.url());
    let found = psa.tickets(&["INC1".into(), "INC2".into(), "a^b".into(), "INC3".into()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["INC1", "INC3"]);
    assert_eq!(server.heard()[0].query("sysparm_query"), Some("numberININC1,INC2,INC3"));
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_note_is_a_work_note_unless_the_customer_shall_see_it() {
    let server = Desk::answers(vec![Played::text(200, ""), Played::text(200, "")]);
    let psa = connected(KIND, &server.url());
    for public in [false, true] {
        psa.add_note(&known_ticket(&format!("incident/{ID}")), &note(public)).await.unwrap();
    }
    for (heard, field) in server.heard().iter().zip(["work_notes", "comments"]) {
        assert_eq!(heard.line(), format!("PATCH /api/now/table/incident/{ID}"));
        assert_eq!(heard.json(), json!({ field: "Access was granted.\n[tg-1]" }));
    }
    let error = psa.add_note(&known_ticket("incident/../x"), &note(false)).await.unwrap_err();
    assert!(matches!(error, PsaError::Unreadable(_)));
}

#[tokio::test]
async fn a_note_is_found_by_its_mark_in_either_journal() {
    let journal =
        |work_notes: &str, comments: &str| result(&json!({ "work_notes": work_notes, "comments": comments }));
    let entry = "2026-01-02 03:04:05 - Ticketgate (Work notes)\nAccess was granted.\n[tg-1]\n\n";
    let server = Desk::answers(vec![journal(entry, ""), journal("", entry), journal("", "")]);
    let psa = connected(KIND, &server.url());
    for expected in [true, true, false] {
        assert_eq!(psa.has_note(&known_ticket(&format!("incident/{ID}")), "[tg-1]").await, Ok(expected));
    }
    assert_eq!(server.heard()[0].query("sysparm_display_value"), Some("true"));
}

#[tokio::test]
async fn companies_are_read_to_the_last_page_though_pages_are_short() {
    let page = |id: &str| result(&json!([{ "sys_id": id, "name": format!("Company {id}") }]));
    let server = Desk::answers(vec![
        page("a").header("X-Total-Count", "501"),
        page("b").header("X-Total-Count", "501"),
        page("c"),
    ]);
    let found = connected(KIND, &server.url()).companies().await.unwrap();
    assert_eq!(found.iter().map(|its| its.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(server.heard()[1].query("sysparm_offset"), Some("500"));
    // Without a total: to the first empty page.
    let server = Desk::answers(vec![page("a"), page("b"), result(&json!([]))]);
    assert_eq!(connected(KIND, &server.url()).companies().await.map(|found| found.len()), Ok(2));
}
