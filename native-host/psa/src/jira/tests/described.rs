//! The same exchanges through a proxy that holds both sides to "The Jira Cloud platform REST API" (OpenAPI, version 1001.0.0-SNAPSHOT).
//! Comments of requests and organizations are in another document, of Jira Service Management, which was not found in any package
//! registry: they do not go through it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ticketgate_access::config::PsaKind::Jira;
use ticketgate_tests::description::Description;
use ticketgate_tests::http;
use ticketgate_tests::prism::Prism;

use super::{fields, issue, outlook};
use crate::testing::{Desk, LOGIN, SECRET, basic, get};
use crate::{Psa, PsaError, Ticket};

/// Of version 3, the only one that is published so, under version 2, which has the same collection of operations: the two
/// differ in how long texts are written (Atlassian's introduction to version 2).
fn description() -> Description {
    let text = json!({"type": "string"});
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    // Any field of an issue may be hidden or new, so nothing at all is said about them here; but what these are is said elsewhere.
    let known = json!({"type": "object", "additionalProperties": true, "properties": {
        "summary": text, "status": of("StatusDetails"), "assignee": of("UserDetails"), "reporter": of("UserDetails"),
        "project": of("ProjectDetails"), "updated": text,
    }});
    Description::of("atlassian.com/jira.json")
        .unwrap()
        .corrected("/components/schemas/IssueBean/properties/fields", known)
        .unwrap()
        // In version 3 a document, in version 2 a text.
        .corrected("/components/schemas/Comment/properties/body", text.clone())
        .unwrap()
        .only(&[
            ("get", "/rest/api/3/field"),
            ("get", "/rest/api/3/myself"),
            ("get", "/rest/api/3/issue/{issueIdOrKey}"),
            ("get", "/rest/api/3/issue/{issueIdOrKey}/comment"),
        ])
        .unwrap()
        .moved("/rest/api/3/", "/rest/api/2/")
        .closed()
}

fn through(prism: &Prism, desk: &Desk) -> Box<dyn Psa> {
    desk.connect_as(Jira, |settings| settings.url = prism.url())
}

fn known() -> Ticket {
    Ticket { id: "10042".into(), number: "ACME-12".into(), ..Ticket::default() }
}

fn comments(start: &str, body: &Value) -> crate::testing::Exchange {
    get("/rest/api/2/issue/ACME-12/comment")
        .query("orderBy", "-created")
        .query("startAt", start)
        .query("maxResults", "50")
        .gets(
            200,
            &json!({"startAt": 0, "maxResults": 50, "total": 60, "comments": [{"id": "1", "body": body,
            "created": "2026-11-26T07:31:39.000+0100", "jsdPublic": false}]}),
        )
}

#[tokio::test]
async fn what_is_asked_and_answered_is_as_atlassian_describes_it() {
    let gone = get("/rest/api/2/issue/ACME-11")
        .any_query()
        .gets(404, &json!({"errorMessages": ["Issue does not exist"], "errors": {}}));
    let myself = || get("/rest/api/2/myself").gets(200, &json!({"accountId": "5b1", "active": true}));
    let desk = Desk::plays([
        myself(),
        fields(),
        issue(&outlook()),
        gone,
        myself(),
        comments("0", &json!("x")),
        comments("50", &json!("Begun\n[m1]")),
    ]);
    let prism = Prism::start(&description(), &desk.url()).unwrap();
    let psa = through(&prism, &desk);
    let checked = psa.check().await;
    let found = psa.tickets(&["ACME-12".to_owned(), "ACME-11".to_owned()]).await;
    let noted = psa.has_note(&known(), "[m1]").await;
    // First, since it says what is wrong.
    assert_eq!(prism.violations().unwrap(), [""; 0]);
    assert_eq!((checked, noted), (Ok(()), Ok(true)));
    let found = found.unwrap();
    let [ticket] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((ticket.status.as_str(), ticket.closed), ("Work in progress", false));
    let owner = ["5b10ac8d82e05b22cc7d4ef5", "Terry Tech", "terry@msp.example"];
    assert_eq!(ticket.owner, BTreeSet::from(owner.map(str::to_owned)));
    assert_eq!(ticket.contact_email.as_deref(), Some("ana@acme.example"));
    assert_eq!(ticket.company.as_ref().map(|company| company.name.as_str()), Some("Acme Corp"));
    desk.end();
}

/// What the test above would not be worth anything without.
#[tokio::test]
async fn what_atlassian_does_not_describe_is_refused_on_both_sides() {
    let mut wrong = outlook();
    wrong["fields"]["status"]["statusCategory"]["id"] = json!("four");
    let document = json!({"type": "doc", "version": 1, "content": []});
    let desk = Desk::plays([fields(), issue(&wrong), comments("0", &document)]);
    let prism = Prism::start(&description(), &desk.url()).unwrap();
    let login = basic(LOGIN, SECRET);
    let comment = "/rest/api/2/issue/ACME-12/comment";
    for (method, path, login, status) in [
        ("GET", format!("{comment}?orderBy=newest"), login.as_str(), 422),
        ("GET", format!("{comment}?startAt=first"), &login, 422),
        ("GET", "/rest/api/2/myself".to_owned(), "", 401),
        ("POST", "/rest/api/2/field".to_owned(), &login, 405),
        ("GET", "/rest/api/2/issues/ACME-12".to_owned(), &login, 404),
    ] {
        let answer = http::ask(prism.address(), method, &path, &[("Authorization", login)], b"").unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    let psa = through(&prism, &desk);
    assert_eq!(psa.ticket("ACME-12").await, Err(PsaError::Failed(500)));
    assert_eq!(psa.has_note(&known(), "[m1]").await, Err(PsaError::Failed(500)));
    let found = prism.violations().unwrap();
    for expected in [
        "query.orderby: Request query parameter orderby must be equal to one of the allowed values: created, -created, +created",
        "query.startat: Request query parameter startat must be integer",
        "response.body.fields.status.statusCategory.id: Response body property fields.status.statusCategory.id must be integer",
        "response.body.comments.0.body: Response body property comments.0.body must be string",
    ] {
        assert!(found.iter().any(|found| found == expected), "{expected}: {found:#?}");
    }
    // Three more with a wrong way in.
    assert_eq!(found.len(), 7, "{found:#?}");
    // None of the wrong requests went on to the server.
    desk.end();
}
