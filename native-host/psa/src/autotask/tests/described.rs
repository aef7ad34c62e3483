//! The same exchanges through a proxy that holds both sides to the vendor's description "Datto|Autotask PSA Rest API", v1. The next
//! pages of a query are not in it: the help describes them, and `tests.rs` plays them.

use serde_json::{Value, json};
use ticketgate_tests::description::Description;
use ticketgate_tests::http;
use ticketgate_tests::prism::Prism;

use super::*;

/// Names of properties in schemas of answers, where the vendor's API says "none" by `null`. The description was made from a Swagger 2.0 one,
/// which has no word for that; the help shows `null` in its answers.
const MAY_BE_NULL: [&str; 7] = [
    "PagingModel/properties/nextPageUrl",
    "PagingModel/properties/prevPageUrl",
    "FieldInformationModel/properties/picklistValues",
    "TicketNoteModel/properties/description",
    "TicketModel/properties/companyID",
    "TicketModel/properties/contactID",
    "TicketModel/properties/assignedResourceID",
];

fn description() -> Description {
    let mut description = Description::of("autotask.net.json").unwrap();
    // Which names a query may have is not said of queries, but of the records that they are about.
    let records = ["TicketModel", "TicketNoteModel", "CompanyModel"];
    let names: BTreeSet<_> = records.iter().flat_map(|of| description.properties(of).unwrap()).collect();
    let name = json!({"type": "string", "enum": names});
    let corrections = [
        ("Filter/properties/field", name.clone()),
        // "Can be either an Integer, String, Boolean, an Array of Integers, or an Array of Strings", says its own text, and its
        // type is an object.
        ("Filter/properties/value", json!({})),
        // Which is a number in the help; the type is an object with nothing in it.
        ("OperationResultModel/properties/itemId", json!({"type": "integer"})),
        // Its own example and the help write these two with a capital; the API takes both.
        ("QueryModel/properties/MaxRecords", json!({"type": "integer"})),
        ("QueryModel/properties/IncludeFields", json!({"type": "array", "items": name})),
    ];
    let schema = |name: &str| format!("/components/schemas/{name}");
    for (name, value) in corrections {
        description = description.corrected(&schema(name), value).unwrap();
    }
    for name in MAY_BE_NULL {
        description = description.corrected(&format!("{}/nullable", schema(name)), json!(true)).unwrap();
    }
    description
        .only(&[
            ("post", "/V1.0/Tickets/query"),
            ("get", "/V1.0/Tickets/entityInformation/fields"),
            ("get", "/V1.0/Companies/{id}"),
            ("post", "/V1.0/Companies/query"),
            ("get", "/V1.0/Contacts/{id}"),
            ("get", "/V1.0/Resources/{id}"),
            ("get", "/V1.0/TicketNotes/entityInformation/fields"),
            ("post", "/V1.0/TicketNotes/query"),
            ("post", "/V1.0/Tickets/{parentId}/Notes"),
        ])
        .unwrap()
        .closed()
}

#[tokio::test]
async fn what_is_asked_and_answered_is_as_the_vendor_describes_it() {
    let mut bare = ticket("T3");
    for field in ["companyID", "contactID", "assignedResourceID"] {
        bare[field] = Value::Null;
    }
    let script = vec![
        // ticket
        items(&[ticket(NUMBER)]),
        item(&json!({ "id": 19, "companyName": "Acme Corp", "isActive": true })),
        item(&json!({ "id": 7, "emailAddress": "carol@acme.example" })),
        item(&json!({
            "id": 29682885, "userName": "tech1", "email": "terry@msp.example",
            "firstName": "Terry", "lastName": "Tech",
        })),
        // tickets
        items(&[ticket("T1"), bare]),
        // add_note, twice
        Played::json(200, &json!({ "itemId": 41 })),
        Played::json(200, &json!({ "itemId": 42 })),
        // has_note
        items(&[json!({ "id": 1, "description": null }), json!({ "id": 41, "description": "x [tg-1]" })]),
        // companies
        items(&[json!({ "id": 19, "companyName": "Acme Corp" })]),
        // check
        items(&[]),
    ];
    let desk = Desk::answers_beside(always(), script);
    let prism = Prism::start(&description(), &desk.url()).unwrap();
    let psa = connected(KIND, &prism.url());
    let found = psa.ticket(NUMBER).await;
    let several = psa.tickets(&["T1".into(), "T2".into(), "T3".into()]).await;
    let mut written = Vec::new();
    for public in [false, true] {
        written.push(psa.add_note(&known_ticket("53203"), &note(public)).await);
    }
    let noted = psa.has_note(&known_ticket("53203"), "[tg-1]").await;
    let companies = psa.companies().await;
    let checked = psa.check().await;
    // First, since it says what is wrong.
    assert_eq!(prism.violations().unwrap(), [""; 0]);
    let found = found.unwrap();
    assert_eq!(found.company.map(|company| company.name).as_deref(), Some("Acme Corp"));
    assert_eq!(found.contact_email.as_deref(), Some("carol@acme.example"));
    assert_eq!(
        found.owner,
        ["29682885", "tech1", "terry@msp.example", "Terry Tech"].map(String::from).into()
    );
    assert_eq!((found.status.as_str(), found.closed), ("In Progress", false));
    assert_eq!(several.map(|found| found.len()), Ok(2));
    assert_eq!(written, [Ok(()), Ok(())]);
    assert_eq!(noted, Ok(true));
    assert_eq!(companies.map(|found| found.len()), Ok(1));
    assert_eq!(checked, Ok(()));
    assert_eq!(desk.heard_beside(FIELDS).len(), 10);
}

/// What the test above would not be worth anything without.
#[tokio::test]
async fn what_the_vendor_does_not_describe_is_refused_on_both_sides() {
    let mut wrong = ticket(NUMBER);
    wrong["status"] = json!("In Progress");
    let mut unknown = ticket(NUMBER);
    unknown["number"] = json!(NUMBER);
    let desk = Desk::answers_beside(always(), vec![items(&[wrong]), items(&[unknown])]);
    let prism = Prism::start(&description(), &desk.url()).unwrap();
    let shown = [("ApiIntegrationCode", CLIENT_ID), ("UserName", LOGIN), ("Secret", SECRET)];
    let ask = |method: &str, path: &str, shown: &[(&str, &str)], body: &Value| {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(shown);
        http::ask(prism.address(), method, path, &headers, body.to_string().as_bytes()).unwrap().status
    };
    let notes = "/V1.0/Tickets/53203/Notes";
    assert_eq!(ask("POST", notes, &shown, &json!({ "description": "x", "publish": "2" })), 422);
    assert_eq!(ask("POST", notes, &shown, &json!({ "text": "x" })), 422);
    assert_eq!(ask("POST", "/V1.0/Tickets/query", &shown, &json!({ "filters": [] })), 422);
    assert_eq!(
        ask("POST", "/V1.0/Tickets/query", &shown, &json!({ "filter": [{ "field": "number" }] })),
        422
    );
    assert_eq!(ask("POST", notes, &shown[..2], &json!({ "description": "x" })), 422);
    assert_eq!(ask("PUT", "/V1.0/Tickets/query", &shown, &json!({})), 405);
    assert_eq!(ask("POST", "/V1.0/Ticket/query", &shown, &json!({})), 404);
    // None of them went on to the server.
    assert_eq!(desk.heard().len(), 0);
    let psa = connected(KIND, &prism.url());
    for _ in 0..2 {
        assert_eq!(psa.ticket(NUMBER).await, Err(PsaError::Failed(500)));
    }
    let found = prism.violations().unwrap();
    for expected in [
        "body.publish: Request body property publish must be integer",
        "body: Request body must NOT have additional properties; found 'text'",
        "body: Request body must NOT have additional properties; found 'filters'",
        "header: Request header must have required property 'secret'",
        "response.body.items.0.status: Response body property items.0.status must be integer",
        "response.body.items.0: Response body property items.0 must NOT have additional properties; found 'number'",
    ] {
        assert!(found.iter().any(|found| found == expected), "{expected}: {found:#?}");
    }
    // A field's name that no record has, and two with a wrong way in.
    assert_eq!(found.len(), 9, "{found:#?}");
}
