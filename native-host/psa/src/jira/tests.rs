//! Shapes as Atlassian's references show them.

mod described;

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind::Jira;

use crate::testing::{Desk, Exchange, LOGIN, Played, SECRET, basic, failures_are_told_apart, get, post};
use crate::{Note, PsaError, Ticket};

fn fields() -> Exchange {
    get("/rest/api/2/field").header("authorization", basic(LOGIN, SECRET)).gets(
        200,
        &json!([
            {"id": "summary", "name": "Summary", "custom": false, "schema": {"type": "string", "system": "summary"}},
            {"id": "thumbnail", "name": "Images", "custom": false},
            {"id": "customfield_10002", "name": "Organizations", "custom": true, "schema": {"type": "array",
                "items": "sd-customerorganization", "custom": "com.atlassian.servicedesk:sd-customer-organizations",
                "customId": 10002}},
        ]),
    )
}

fn issue(body: &Value) -> Exchange {
    get("/rest/api/2/issue/ACME-12")
        .query("fields", "summary,status,assignee,reporter,project,updated,customfield_10002")
        .header("authorization", basic(LOGIN, SECRET))
        .gets(200, body)
}

fn outlook() -> Value {
    json!({
        "id": "10042", "key": "ACME-12", "self": "https://acme.atlassian.net/rest/api/2/issue/10042",
        "fields": {
            "summary": "Outlook crashes",
            "status": {"name": "Work in progress", "id": "3", "statusCategory": {"id": 4, "key": "indeterminate"}},
            "assignee": {"accountId": "5b10ac8d82e05b22cc7d4ef5", "emailAddress": "terry@msp.example",
                "displayName": "Terry Tech", "active": true},
            "reporter": {"accountId": "qm:1", "emailAddress": "ana@acme.example", "displayName": "Ana Reyes"},
            "project": {"id": "10000", "key": "ACME", "name": "Helpdesk"},
            "updated": "2026-11-26T07:31:39.000+0100",
            "customfield_10002": [{"id": "7", "name": "Acme Corp", "_links": {"self": "https://x"}}],
        },
    })
}

fn with(changed: &Value) -> Value {
    let mut issue = outlook();
    for (name, value) in changed.as_object().unwrap() {
        issue["fields"][name] = value.clone();
    }
    issue
}

async fn read(body: &Value) -> Result<Ticket, PsaError> {
    let desk = Desk::plays([fields(), issue(body)]);
    let ticket = desk.connect(Jira).ticket("acme-12").await;
    desk.end();
    ticket
}

#[tokio::test]
async fn a_ticket_is_read_with_everything_that_it_has() {
    let ticket = read(&outlook()).await.unwrap();
    let company = ticket.company.unwrap();
    assert_eq!((company.id.as_str(), company.name.as_str()), ("7", "Acme Corp"));
    assert_eq!((ticket.id.as_str(), ticket.number.as_str()), ("10042", "ACME-12"));
    assert_eq!(ticket.summary.as_deref(), Some("Outlook crashes"));
    assert_eq!(ticket.contact_email.as_deref(), Some("ana@acme.example"));
    assert_eq!((ticket.status.as_str(), ticket.closed), ("Work in progress", false));
    let owner: Vec<_> = ticket.owner.iter().map(String::as_str).collect();
    assert_eq!(owner, ["5b10ac8d82e05b22cc7d4ef5", "Terry Tech", "terry@msp.example"]);
    assert_eq!(ticket.changed_at.map(|at| at.timestamp()), Some(1_795_674_699));
}

#[tokio::test]
async fn a_data_centers_user_is_known_by_login_and_its_ids_are_numbers() {
    let ticket = read(&with(&json!({
        "assignee": {"key": "JIRAUSER10100", "name": "terry", "displayName": "Terry Tech"},
        "customfield_10002": [{"id": 7, "name": "Acme Corp"}],
    })))
    .await
    .unwrap();
    let owner: Vec<_> = ticket.owner.iter().map(String::as_str).collect();
    assert_eq!(owner, ["JIRAUSER10100", "Terry Tech", "terry"]);
    assert_eq!(ticket.company.map(|company| company.id), Some("7".to_owned()));
}

#[tokio::test]
async fn the_company_is_the_one_organization_else_the_project() {
    let two = json!([{"id": "7", "name": "A"}, {"id": "8", "name": "B"}]);
    for (organizations, expected) in [(json!([]), Some("ACME")), (Value::Null, Some("ACME")), (two, None)] {
        let ticket = read(&with(&json!({"customfield_10002": organizations}))).await.unwrap();
        assert_eq!(ticket.company.map(|company| company.id).as_deref(), expected, "{organizations}");
    }
    let ticket =
        read(&with(&json!({"customfield_10002": [], "project": null, "assignee": null}))).await.unwrap();
    assert_eq!(ticket.company, None);
    assert!(ticket.owner.is_empty());
}

#[tokio::test]
async fn closed_is_the_category_done_unless_words_are_configured() {
    let done = with(&json!({"status": {"name": "Erledigt", "statusCategory": {"key": "done"}}}));
    assert!(read(&done).await.unwrap().closed);
    for (word, expected) in [("ERLEDIGT", true), ("Closed", false)] {
        let desk = Desk::plays([fields(), issue(&done)]);
        let psa = desk.connect_as(Jira, |settings| settings.closed = vec![word.into()]);
        assert_eq!(psa.ticket("ACME-12").await.unwrap().closed, expected);
    }
}

#[tokio::test]
async fn an_answer_about_another_ticket_or_of_another_shape_is_refused() {
    let mut moved = outlook();
    moved["key"] = json!("GLOBEX-3");
    for body in [
        moved,
        with(&json!({"status": null})),
        with(&json!({"status": {"name": "Done"}})),
        with(&json!({"customfield_10002": "Acme"})),
        json!({"id": "10042", "key": "ACME-12"}),
    ] {
        let answer = read(&body).await;
        assert!(matches!(answer, Err(PsaError::Unreadable(_))), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn failures_have_one_meaning_each() {
    failures_are_told_apart(Jira, "ACME-12").await;
    let desk = Desk::plays([]);
    for number in ["10042", "ACME", "ACME-12/comment", "ACME-12?fields=x", "-1", "1A-1"] {
        assert_eq!(desk.connect(Jira).ticket(number).await, Err(PsaError::NoSuchTicket), "{number}");
    }
    desk.end();
}

#[tokio::test]
async fn the_field_of_organizations_is_looked_up_once_and_a_ticket_that_is_gone_is_left_out() {
    let gone = get("/rest/api/2/issue/ACME-11")
        .any_query()
        .gets(404, &json!({"errorMessages": ["Issue does not exist"]}));
    let myself = get("/rest/api/2/myself").gets(200, &json!({"accountId": "5b1", "active": true}));
    let desk = Desk::plays([fields(), gone, myself, issue(&outlook()), issue(&outlook())]);
    let psa = desk.connect(Jira);
    let numbers = ["ACME-11", "ACME-12", "nonsense"].map(str::to_owned);
    let found = psa.tickets(&numbers).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["ACME-12"]);
    psa.ticket("ACME-12").await.unwrap();
    desk.end();
}

#[tokio::test]
async fn an_expired_token_is_refused_and_no_ticket_counts_as_gone() {
    // The cloud answers as to anybody.
    let gone = get("/rest/api/2/issue/ACME-12").any_query().gets(404, &json!({}));
    let myself = get("/rest/api/2/myself").gets(401, &json!({}));
    let desk = Desk::plays([fields(), gone, myself]);
    let answer = desk.connect(Jira).tickets(&["ACME-12".to_owned()]).await;
    assert!(matches!(answer, Err(PsaError::Refused(_))), "{answer:?}");
    desk.end();
    let told = Played::json(200, &json!([])).header("X-Seraph-LoginReason", "AUTHENTICATED_FAILED");
    let desk = Desk::plays([get("/rest/api/2/field").plays(told)]);
    let answer = desk.connect(Jira).ticket("ACME-12").await;
    assert!(matches!(answer, Err(PsaError::Refused(_))), "{answer:?}");
    desk.end();
}

#[tokio::test]
async fn a_site_without_organizations_is_asked_for_them_again() {
    let none =
        || get("/rest/api/2/field").gets(200, &json!([{"id": "summary", "schema": {"type": "string"}}]));
    let bare = || {
        get("/rest/api/2/issue/ACME-12")
            .query("fields", "summary,status,assignee,reporter,project,updated")
            .gets(200, &outlook())
    };
    let desk = Desk::plays([none(), bare(), none(), bare()]);
    let psa = desk.connect(Jira);
    for _ in 0..2 {
        let company = psa.ticket("ACME-12").await.unwrap().company;
        assert_eq!(company.map(|company| company.name).as_deref(), Some("Helpdesk"));
    }
    desk.end();
}

#[tokio::test]
async fn a_note_is_an_internal_or_a_public_comment_of_the_request() {
    let ticket = Ticket { id: "10042".into(), number: "ACME-12".into(), ..Ticket::default() };
    for public in [false, true] {
        let desk = Desk::plays([post("/rest/servicedeskapi/request/ACME-12/comment")
            .header("x-experimentalapi", "opt-in")
            .header("authorization", basic(LOGIN, SECRET))
            .json(json!({"body": "Begun\n[m1]", "public": public}))
            .gets(201, &json!({"id": "1000", "public": public}))]);
        let note = Note { text: "Begun\n[m1]".into(), mark: "[m1]".into(), public };
        desk.connect(Jira).add_note(&ticket, &note).await.unwrap();
        desk.end();
    }
}

#[tokio::test]
async fn a_note_is_looked_for_from_the_newest_page_on() {
    let ticket = Ticket { id: "10042".into(), number: "ACME-12".into(), ..Ticket::default() };
    let page = |start: &str, body: &str| {
        get("/rest/api/2/issue/ACME-12/comment")
            .query("orderBy", "-created")
            .query("startAt", start)
            .query("maxResults", "50")
            .gets(200, &json!({"startAt": 0, "maxResults": 50, "total": 60, "comments": [{"id": "1", "body": body}]}))
    };
    for (second, expected) in
        [("Begun\n\\[m1\\]", true), ("[m1]", true), ("[m1|m1]", true), ("[m12]", false), ("m1", false)]
    {
        let desk = Desk::plays([page("0", "x"), page("50", second)]);
        assert_eq!(desk.connect(Jira).has_note(&ticket, "[m1]").await, Ok(expected));
        desk.end();
    }
}

#[tokio::test]
async fn organizations_are_read_page_by_page() {
    let page = |start: &str, id: &str, last: bool| {
        get("/rest/servicedeskapi/organization")
            .query("start", start)
            .query("limit", "50")
            .header("x-experimentalapi", "opt-in")
            .gets(
                200,
                &json!({"size": 1, "start": 0, "limit": 50, "isLastPage": last,
                "values": [{"id": id, "name": format!("Company {id}")}]}),
            )
    };
    let desk = Desk::plays([page("0", "1", false), page("50", "2", true)]);
    let found = desk.connect(Jira).companies().await.unwrap();
    assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["Company 1", "Company 2"]);
    desk.end();
}

#[tokio::test]
async fn a_check_asks_who_one_is() {
    let asked = || get("/rest/api/2/myself").header("authorization", basic(LOGIN, SECRET));
    for (status, expected) in [(200, Ok(())), (401, Err(PsaError::Refused("status 401".into())))] {
        let desk = Desk::plays([asked().gets(status, &json!({"accountId": "5b10"}))]);
        assert_eq!(desk.connect(Jira).check().await, expected);
        desk.end();
    }
}
