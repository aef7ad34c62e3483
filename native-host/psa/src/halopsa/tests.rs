//! Answers with the fields of the vendor's description, in the envelopes that published clients read.

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind;

use super::*;
use crate::testing::{
    CLIENT_ID, Desk, Played, SECRET, connected, connected_with, failures_are_told_apart_beside, get,
    known_ticket, note, post, settings,
};

const KIND: PsaKind = PsaKind::HaloPsa;
const TOKEN: &str = "/auth/token";

fn token(token: &str) -> Played {
    Played::json(
        200,
        &json!({ "scope": "all", "token_type": "Bearer", "access_token": token, "expires_in": 3600 }),
    )
}

fn statuses() -> Played {
    Played::json(
        200,
        &json!([{ "id": 2, "name": "In Progress", "type": 0 }, { "id": 9, "name": "Closed", "type": 0 }]),
    )
}

fn always() -> Vec<(&'static str, Played)> {
    vec![(TOKEN, token("t1")), ("/Status", statuses())]
}

fn ticket(id: u64) -> Value {
    json!({
        "id": id,
        "dateoccurred": "2026-01-01T00:00:00Z",
        "summary": "Printer  on fire",
        "status_id": 2,
        "client_id": 19,
        "client_name": "Acme Corp",
        "site_id": 28,
        "user_id": 64,
        "user_name": "Carol Customer",
        "user_email": "carol@acme.example",
        "agent_id": 31,
        "hasbeenclosed": false,
        "last_update": "2026-01-02T03:04:05.677",
        "customfields": [],
    })
}

fn agent() -> Played {
    Played::json(
        200,
        &json!({ "id": 31, "name": "Terry Tech", "email": "terry@msp.example", "isdisabled": false }),
    )
}

async fn read(answer: &Value) -> Result<Ticket, PsaError> {
    let server = Desk::answers_beside(always(), vec![Played::json(200, answer), agent()]);
    connected(KIND, &server.url()).ticket("3079").await
}

#[tokio::test]
async fn a_ticket_is_read_with_a_token_of_the_application() {
    let expected = Ticket {
        id: "3079".into(),
        number: "3079".into(),
        summary: Some("Printer on fire".into()),
        company: Some(Company { id: "19".into(), name: "Acme Corp".into(), domains: Vec::new() }),
        contact_email: Some("carol@acme.example".into()),
        status: "In Progress".into(),
        closed: false,
        owner: ["31", "Terry Tech", "terry@msp.example"].map(String::from).into(),
        changed_at: when(Some("2026-01-02T03:04:05.677Z")),
    };
    for path in ["", "/api"] {
        let desk = Desk::plays([
            post("/auth/token")
                .form(vec![
                    ("grant_type", "client_credentials"),
                    ("client_id", CLIENT_ID),
                    ("scope", "read:tickets edit:tickets read:customers"),
                    ("client_secret", SECRET),
                ])
                .plays(token("t1")),
            get("/api/Tickets/3079")
                .query("includedetails", "true")
                .header("authorization", "Bearer t1")
                .gets(200, &ticket(3079)),
            get("/api/Status").header("authorization", "Bearer t1").plays(statuses()),
            get("/api/Agent/31").header("authorization", "Bearer t1").plays(agent()),
        ]);
        let psa = desk.connect_as(KIND, |settings| settings.url.push_str(path));
        assert_eq!(psa.ticket("0003079").await, Ok(expected.clone()));
        desk.end();
    }
}

#[test]
fn a_hosted_tenant_is_named() {
    for (url, expected) in [
        ("https://Acme.halopsa.com", Some("acme")),
        ("https://acme.haloitsm.com/api", Some("acme")),
        ("https://support.acme.example", None),
        ("http://127.0.0.1:80", None),
    ] {
        assert_eq!(tenant(url).as_deref(), expected, "{url}");
    }
}

#[tokio::test]
async fn a_token_is_kept_and_renewed_once_when_it_is_refused() {
    let script = vec![
        token("t1"),
        Played::json(200, &ticket(3079)),
        agent(),
        Played::text(401, ""),
        token("t2"),
        Played::json(200, &ticket(3079)),
        agent(),
    ];
    let server = Desk::answers_beside(vec![("/Status", statuses())], script);
    let psa = connected(KIND, &server.url());
    for _ in 0..2 {
        psa.ticket("3079").await.unwrap();
    }
    let heard = server.heard_beside("/Status");
    let seen: Vec<_> = heard.iter().map(|heard| heard.header("authorization")).collect();
    let (one, two) = (Some("Bearer t1"), Some("Bearer t2"));
    assert_eq!(seen, [None, one, one, one, None, two, two]);
}

#[tokio::test]
async fn a_token_that_has_run_out_is_not_shown_again() {
    let short = Played::json(200, &json!({ "access_token": "t1", "expires_in": "30" }));
    let server = Desk::answers_beside(
        vec![("/Status", statuses()), (TOKEN, short)],
        vec![Played::json(200, &ticket(3079))],
    );
    connected(KIND, &server.url()).tickets(&["3079".into()]).await.unwrap_err();
    let psa = connected(KIND, &server.url());
    psa.has_note(&known_ticket("5"), "x").await.unwrap_err();
    psa.has_note(&known_ticket("5"), "x").await.unwrap_err();
    assert_eq!(server.heard().iter().filter(|heard| heard.line().ends_with(TOKEN)).count(), 3);
}

#[tokio::test]
async fn a_refused_application_is_told_apart() {
    for status in [400, 401] {
        let server = Desk::answers_beside(vec![(TOKEN, Played::text(status, ""))], vec![]);
        let error = connected(KIND, &server.url()).ticket("5").await.unwrap_err();
        assert!(matches!(error, PsaError::Refused(_)), "{error:?}");
        assert!(!error.to_string().contains(SECRET));
    }
    let server = Desk::answers_beside(vec![(TOKEN, Played::json(200, &json!({})))], vec![]);
    let said = connected(KIND, &server.url()).ticket("5").await.unwrap_err().to_string();
    assert!(said.contains("access_token"), "{said}");
    let server = Desk::answers_beside(vec![(TOKEN, Played::text(404, ""))], vec![]);
    let said = connected(KIND, &server.url()).ticket("5").await.unwrap_err().to_string();
    assert!(said.contains("`url`"), "{said}");
}

#[tokio::test]
async fn a_ticket_may_have_no_client_and_no_agent() {
    let mut answer = ticket(3079);
    for field in ["client_id", "client_name", "user_email"] {
        answer[field] = Value::Null;
    }
    // The agent "Unassigned".
    answer["agent_id"] = json!(1);
    let found = read(&answer).await.unwrap();
    assert_eq!((found.company, found.contact_email), (None, None));
    assert!(found.owner.is_empty());
    let refused = Played::text(403, "");
    let always = vec![(TOKEN, token("t1")), ("/Status", refused.clone())];
    let server = Desk::answers_beside(always, vec![Played::json(200, &ticket(3079)), refused]);
    let found = connected(KIND, &server.url()).ticket("3079").await.unwrap();
    assert_eq!((found.status.as_str(), found.owner), ("2", ["31".to_owned()].into()));
    assert_eq!(server.heard().iter().filter(|heard| heard.line().ends_with(TOKEN)).count(), 1);
}

#[tokio::test]
async fn closed_is_the_flag_unless_words_are_configured() {
    let mut closed = ticket(3079);
    closed["hasbeenclosed"] = json!(true);
    closed["status_name"] = json!("Done");
    let found = read(&closed).await.unwrap();
    assert_eq!((found.closed, found.status.as_str()), (true, "Done"));
    let server = Desk::answers_beside(always(), vec![Played::json(200, &ticket(3079)), agent()]);
    let mut settings = settings(KIND, &server.url());
    settings.closed = vec!["in progress".into()];
    assert!(connected_with(&settings).ticket("3079").await.unwrap().closed);
}

#[tokio::test]
async fn what_is_missing_is_named_and_another_ticket_is_refused() {
    for field in ["id", "status_id", "hasbeenclosed"] {
        let mut answer = ticket(3079);
        answer.as_object_mut().unwrap().remove(field);
        let said = read(&answer).await.unwrap_err().to_string();
        assert!(said.contains(field), "{said}");
    }
    assert_eq!(read(&ticket(3080)).await, Err(another_ticket()));
    let server = Desk::answers(vec![]);
    assert_eq!(connected(KIND, &server.url()).ticket("1/../x").await, Err(PsaError::NoSuchTicket));
    assert_eq!(server.heard().len(), 0);
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    failures_are_told_apart_beside(KIND, always(), "3079").await;
}

#[tokio::test]
async fn many_tickets_are_asked_about_at_once() {
    let list = |tickets: &[Value]| Played::json(200, &json!({ "record_count": 2, "tickets": tickets }));
    let mut silent = ticket(7);
    silent["hasbeenclosed"] = Value::Null;
    let script = vec![list(&[ticket(5), silent]), Played::json(200, &ticket(7)), list(&[ticket(8)])];
    let server = Desk::answers_beside(always(), script);
    let psa = connected(KIND, &server.url());
    let found = psa.tickets(&["5".into(), "6".into(), "7".into()]).await.unwrap();
    assert_eq!(found.iter().map(|ticket| ticket.number.as_str()).collect::<Vec<_>>(), ["5", "7"]);
    assert_eq!(server.heard()[1].query("ticketids"), Some("5,6,7"));
    assert_eq!(psa.tickets(&["5".into()]).await, Err(another_ticket()));
}

#[tokio::test]
async fn a_note_is_hidden_from_the_user_unless_the_customer_shall_see_it() {
    let server = Desk::answers_beside(always(), vec![Played::text(201, ""), Played::text(201, "")]);
    let psa = connected(KIND, &server.url());
    for public in [false, true] {
        psa.add_note(&known_ticket("3079"), &note(public)).await.unwrap();
    }
    for (heard, public) in server.heard_beside(TOKEN).iter().zip([false, true]) {
        assert_eq!(heard.line(), "POST /api/Actions");
        let expected = json!([{
            "ticket_id": 3079,
            "outcome": if public { "Public Note" } else { "Private Note" },
            "note": "Access was granted.\n[tg-1]",
            "hiddenfromuser": !public,
            "sendemail": false,
        }]);
        assert_eq!(heard.json(), expected);
    }
}

#[tokio::test]
async fn a_note_is_found_by_its_mark() {
    let actions =
        json!({ "record_count": 2, "actions": [{ "id": 1, "note": null }, { "id": 2, "note": "x [tg-1]" }] });
    let server =
        Desk::answers_beside(always(), vec![Played::json(200, &actions), Played::json(200, &actions)]);
    let psa = connected(KIND, &server.url());
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-1]").await, Ok(true));
    assert_eq!(psa.has_note(&known_ticket("5"), "[tg-2]").await, Ok(false));
    assert_eq!(server.heard()[1].query("ticket_id"), Some("5"));
}

#[tokio::test]
async fn clients_are_read_to_the_last_page() {
    let page = |ids: std::ops::Range<usize>| {
        let clients: Vec<Value> = ids.map(|id| json!({ "id": id, "name": format!("C{id}") })).collect();
        Played::json(200, &json!({ "page_no": 1, "page_size": 100, "record_count": 101, "clients": clients }))
    };
    let server = Desk::answers_beside(always(), vec![page(1..PAGE + 1), page(101..102)]);
    let found = connected(KIND, &server.url()).companies().await.unwrap();
    assert_eq!(found.len(), PAGE + 1);
    assert_eq!(found.last().map(|its| its.name.as_str()), Some("C101"));
    assert_eq!(server.heard()[2].query("page_no"), Some("2"));
}
