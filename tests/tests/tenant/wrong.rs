//! What is not as described is refused by the proxy, on both sides: otherwise the tests beside this one would show nothing.

use crate::asking::App;
use crate::table::{assign, new_user};
use serde_json::{Value, json};
use ticketgate_tests::Result;
use ticketgate_tests::http::ask;
use ticketgate_tests::prism::Prism;
use ticketgate_tests::tenant::Entra;

pub(crate) fn play(entra: &Entra, graph: &Prism) -> Result<()> {
    let tenant = entra.tenant("wrong")?;
    let app = App::sign_in(entra, &tenant, graph.address())?;
    let user = tenant.add_user("jit-tech1");
    let requests = "/roleManagement/directory/roleAssignmentScheduleRequests";
    let right = || assign(&user, &tenant.role("Exchange Administrator").unwrap_or_default(), 60);
    let changed = |pointer: &str, value: Value| {
        let mut body = right();
        if let Some(place) = body.pointer_mut(pointer) {
            *place = value;
        }
        body
    };
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let passes = format!("/users/{user}/authentication/temporaryAccessPassMethods");
    let duration = json!({"type": "afterDuration", "duration": "2:00:00"});
    let cases = [
        (422, "POST", "/users".to_owned(), with(new_user(&tenant, "jit-x"), "accountEnable", json!(true))),
        (422, "PATCH", format!("/users/{user}"), json!({"accountEnabled": "yes"})),
        (422, "POST", requests.to_owned(), changed("/action", json!("AdminRemove"))),
        (422, "POST", requests.to_owned(), changed("/scheduleInfo/expiration", duration)),
        (422, "POST", requests.to_owned(), with(right(), "justify", json!("it"))),
        (422, "POST", passes, json!({"lifetimeInMinutes": 5})),
        (405, "DELETE", format!("/users/{user}/authentication/temporaryAccessPassMethods"), Value::Null),
        // Without `/$ref`, Graph could take it for the user itself.
        (404, "DELETE", format!("/groups/x/members/{user}"), Value::Null),
        (404, "GET", "/v1.0/users".to_owned(), Value::Null),
    ];
    let before = tenant.asked().len();
    for (status, method, path, body) in cases {
        let refused = app.expect(status, method, &path, &body)?;
        let by = refused["type"].as_str().unwrap_or_default();
        assert!(by.starts_with("https://stoplight.io/prism/errors#"), "{method} {path}: {refused}");
    }
    assert_eq!(ask(graph.address(), "GET", "/users", &[], &[])?.status, 401, "without a token");
    assert_eq!(tenant.asked().len(), before, "nothing of it came through");
    // The other side: a time to wait that is no number, and a name that is a number.
    tenant.throttle(1, Some("Thu, 26 Nov 2026 14:00:00 GMT"));
    app.expect(500, "GET", &format!("/users/{user}"), &Value::Null)?;
    tenant.edit(&user, &json!({"displayName": 5}));
    app.expect(500, "GET", &format!("/users/{user}"), &Value::Null)?;
    let violations = graph.violations()?;
    let about_the_name = violations.iter().any(|violation| violation.contains("displayName"));
    assert!(about_the_name, "{violations:#?}");
    Ok(())
}
