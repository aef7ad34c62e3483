//! Held to Microsoft's own examples (`tests/graph/docs-examples.json`): each answer is read, or stands in the list of those that the
//! connector never asks for, and each request has the form of the documented one.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::json;
use ticketgate_access::desired::Why;

use super::*;
use crate::entra::partner::{Contract, Customer, Relationship};

/// An example: request and response of one page of the documentation.
#[derive(Deserialize)]
struct Example {
    source: String,
    request: Request,
    response: Response,
    template: String,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body: Option<Value>,
}

#[derive(Deserialize)]
struct Examples {
    vectors: Vec<Example>,
}

fn examples() -> Vec<Example> {
    let text = include_str!("../../../../../tests/graph/docs-examples.json");
    serde_json::from_str::<Examples>(text).unwrap().vectors
}

fn reads<T: serde::de::DeserializeOwned>(body: &Value) -> Result<(), String> {
    serde_json::from_value::<T>(body.clone()).map(drop).map_err(|error| error.to_string())
}

const ROLE_REQUESTS: &str = "/roleManagement/directory/roleAssignmentScheduleRequests";
const GROUP_REQUESTS: &str = "/identityGovernance/privilegedAccess/group/assignmentScheduleRequests";

type Reader = fn(&Value) -> Result<(), String>;

/// What the connector reads of an answer; `None` where it never asks so.
fn reader(method: &str, template: &str) -> Option<Reader> {
    Some(match (method, template) {
        ("GET", "/users") => reads::<Page<User>>,
        ("GET" | "POST", "/users/{user-id}" | "/me") | ("POST", "/users") => reads::<User>,
        ("GET", "/users/{user-id}/memberOf" | "/users/{user-id}/transitiveMemberOf") => {
            reads::<Page<MemberOf>>
        }
        ("GET", "/users/{user-id}/authentication/temporaryAccessPassMethods") => reads::<Page<Pass>>,
        ("POST", "/users/{user-id}/authentication/temporaryAccessPassMethods")
        | (
            "GET",
            "/users/{user-id}/authentication/temporaryAccessPassMethods/{temporaryAccessPassAuthenticationMethod-id}",
        ) => reads::<Pass>,
        ("GET", "/roleManagement/directory/roleAssignmentScheduleInstances") => reads::<Page<HeldRole>>,
        (
            "GET",
            "/roleManagement/directory/roleAssignmentScheduleInstances/{unifiedRoleAssignmentScheduleInstance-id}",
        ) => reads::<HeldRole>,
        ("GET", "/identityGovernance/privilegedAccess/group/assignmentScheduleInstances") => {
            reads::<Page<HeldGroup>>
        }
        ("GET", ROLE_REQUESTS) => reads::<Page<ScheduleRequest>>,
        (
            "GET",
            "/roleManagement/directory/roleAssignmentScheduleInstances/filterByCurrentUser(on='{on}')",
        ) => reads::<Page<HeldRole>>,
        (
            "GET",
            "/roleManagement/directory/roleAssignmentScheduleRequests/filterByCurrentUser(on='{on}')",
        ) => reads::<Page<ScheduleRequest>>,
        (
            "GET",
            "/roleManagement/directory/roleEligibilityScheduleInstances"
            | "/roleManagement/directory/roleEligibilityScheduleInstances/filterByCurrentUser(on='{on}')",
        ) => reads::<Page<EligibleRole>>,
        ("GET", "/identityGovernance/privilegedAccess/group/eligibilitySchedules") => {
            reads::<Page<EligibleGroup>>
        }
        ("POST", ROLE_REQUESTS | GROUP_REQUESTS)
        | (
            "GET",
            "/roleManagement/directory/roleAssignmentScheduleRequests/{unifiedRoleAssignmentScheduleRequest-id}",
        ) => reads::<ScheduleRequest>,
        ("GET", "/roleManagement/directory/roleAssignments") => reads::<Page<RoleAssignment>>,
        ("POST", "/roleManagement/directory/roleAssignments")
        | ("GET", "/roleManagement/directory/roleAssignments/{unifiedRoleAssignment-id}") => {
            reads::<RoleAssignment>
        }
        ("GET", "/roleManagement/directory/roleDefinitions") => reads::<Page<RoleDefinition>>,
        ("GET", "/roleManagement/directory/roleDefinitions/{unifiedRoleDefinition-id}") => {
            reads::<RoleDefinition>
        }
        (
            "GET",
            "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/{authenticationMethodConfiguration-id}",
        ) => reads::<PassPolicy>,
        ("GET", "/organization") => reads::<Page<Organization>>,
        ("GET", "/groups/{group-id}") => reads::<Group>,
        ("GET", "/contracts") => reads::<Page<Contract>>,
        ("GET", "/tenantRelationships/delegatedAdminCustomers") => reads::<Page<Customer>>,
        ("GET", "/tenantRelationships/delegatedAdminRelationships") => reads::<Page<Relationship>>,
        _ => return None,
    })
}

/// Templates that only appear in examples of what this connector does not do, or whose answer has no body that it reads.
const NOT_READ: [&str; 24] = [
    "/directory/deletedItems/{directoryObject-id}",
    "/directory/deletedItems/{directoryObject-id}/restore",
    "/directoryRoles",
    "/directoryRoles/{directoryRole-id}/members",
    "/directoryRoles/{directoryRole-id}/members/$ref",
    "/directoryRoles/{directoryRole-id}/members/{directoryObject-id}/$ref",
    "/groups",
    "/groups/{group-id}/members",
    "/groups/{group-id}/members/$ref",
    "/groups/{group-id}/members/{directoryObject-id}/$ref",
    "/me/revokeSignInSessions",
    "/policies/roleManagementPolicies/{unifiedRoleManagementPolicy-id}",
    "/policies/roleManagementPolicies/{unifiedRoleManagementPolicy-id}/rules",
    "/policies/roleManagementPolicies/{unifiedRoleManagementPolicy-id}/rules/{unifiedRoleManagementPolicyRule-id}",
    "/policies/roleManagementPolicyAssignments",
    "/policies/roleManagementPolicyAssignments/{unifiedRoleManagementPolicyAssignment-id}",
    "/roleManagement/directory/roleAssignmentScheduleRequests/{unifiedRoleAssignmentScheduleRequest-id}/cancel",
    "/roleManagement/directory/roleAssignmentSchedules",
    "/roleManagement/directory/roleEligibilityScheduleRequests",
    "/roleManagement/directory/roleEligibilitySchedules",
    "/roleManagement/directory/roleEligibilitySchedules/filterByCurrentUser(on='{on}')",
    "/subscribedSkus",
    "/tenantRelationships/delegatedAdminRelationships",
    "/users/{user-id}/authentication/methods/{authenticationMethod-id}/resetPassword",
];

/// Of the rest only the ways of writing without an answer.
fn is_without_answer(example: &Example) -> bool {
    matches!(example.request.method.as_str(), "PATCH" | "DELETE")
        || example.template.contains("delegatedAdminRelationship-id")
}

#[test]
fn each_of_microsofts_examples_is_read_or_is_of_something_that_is_never_asked() {
    let examples = examples();
    assert_eq!(examples.len(), 101);
    let mut read = 0;
    for example in &examples {
        let Request { method, .. } = &example.request;
        match (reader(method, &example.template), &example.response.body) {
            (Some(reader), Some(body)) if (200..300).contains(&example.response.status) => {
                // Examples shorten objects; an id is the least that an answer of ours has to have.
                reader(&with_ids(body)).unwrap_or_else(|why| panic!("{method} {}: {why}", example.source));
                read += 1;
            }
            _ => assert!(
                NOT_READ.contains(&example.template.as_str()) || is_without_answer(example),
                "{method} {} is neither read nor listed",
                example.template
            ),
        }
    }
    assert!(read >= 40, "{read} answers were read");
}

/// The same with an id where an example left it out.
fn with_ids(body: &Value) -> Value {
    let mut body = body.clone();
    let objects: Vec<&mut Value> = match body.get("value").is_some_and(Value::is_array) {
        true => body["value"].as_array_mut().unwrap().iter_mut().collect(),
        false => vec![&mut body],
    };
    for object in objects {
        if let Some(object) = object.as_object_mut() {
            object.entry("id").or_insert_with(|| json!("left out"));
        }
    }
    body
}

/// The names of all members, at every depth, with the type of each.
fn shape(value: &Value, at: &str, into: &mut BTreeMap<String, &'static str>) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        let path = format!("{at}/{name}");
        let kind = match member {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        shape(member, &path, into);
        into.insert(path, kind);
    }
}

fn why() -> Why {
    Why { reason: "T1 mailbox".into(), ticket: Some("T1".into()), system: Some("autotask".into()) }
}

#[test]
fn each_request_of_pim_has_the_form_of_the_documented_one() {
    let at = DateTime::from_timestamp(1_795_399_445, 0).unwrap();
    let schedule = |of, action| Schedule { principal: "p", of, action }.body();
    let assign = Action::Assign { from: at, until: at, why: why() };
    let activate = Action::Activate { from: at, until: at, why: why() };
    for (template, ours) in [
        (ROLE_REQUESTS, schedule(Of::Role("r"), assign.clone())),
        (GROUP_REQUESTS, schedule(Of::Group("g"), assign)),
        (ROLE_REQUESTS, schedule(Of::Role("r"), Action::Update { from: at, until: at, why: why() })),
        (GROUP_REQUESTS, schedule(Of::Group("g"), Action::Remove)),
        (ROLE_REQUESTS, schedule(Of::Role("r"), Action::Remove)),
        (ROLE_REQUESTS, schedule(Of::Role("r"), activate.clone())),
        (GROUP_REQUESTS, schedule(Of::Group("g"), activate)),
        (ROLE_REQUESTS, schedule(Of::Role("r"), Action::Deactivate("over"))),
        (GROUP_REQUESTS, schedule(Of::Group("g"), Action::Deactivate("over"))),
    ] {
        let mut documented = BTreeMap::new();
        for example in examples().iter().filter(|e| e.template == template && e.request.method == "POST") {
            shape(example.request.body.as_ref().unwrap(), "", &mut documented);
        }
        // The examples of groups name no ticket, and none ends at a time; the description has both.
        for more in
            ["/scheduleInfo/expiration/endDateTime", "/ticketInfo/ticketNumber", "/ticketInfo/ticketSystem"]
        {
            documented.entry(more.into()).or_insert("string");
        }
        documented.entry("/ticketInfo".into()).or_insert("object");
        let mut sent = BTreeMap::new();
        shape(&ours, "", &mut sent);
        for (path, kind) in &sent {
            assert_eq!(documented.get(path), Some(kind), "{path} of {ours}");
        }
    }
}

#[test]
fn an_end_is_sent_as_the_description_has_it() {
    let at = DateTime::from_timestamp(1_795_399_445, 999_000_000).unwrap();
    let action = Action::Assign { from: at, until: at, why: why() };
    let body = Schedule { principal: "p", of: Of::Role("r"), action }.body();
    assert_eq!(
        body["scheduleInfo"],
        json!({
            "startDateTime": "2026-11-23T02:04:05Z",
            "expiration": { "type": "afterDateTime", "endDateTime": "2026-11-23T02:04:05Z" },
        })
    );
    assert_eq!(body["ticketInfo"], json!({ "ticketNumber": "T1", "ticketSystem": "autotask" }));
    assert_eq!(body["action"], "adminAssign");
}

fn asked(status: &str) -> ScheduleRequest {
    serde_json::from_value(json!({ "id": "x", "status": status })).unwrap()
}

#[test]
fn what_became_of_a_request_is_told_by_its_status_in_any_case() {
    for (status, became) in [
        ("Provisioned", Became::Taken),
        ("provisioned", Became::Taken),
        ("PendingProvisioning", Became::Taken),
        ("Granted", Became::Taken),
        ("SomethingNew", Became::Taken),
        ("PendingApproval", Became::Waits),
        ("pendingAdminDecision", Became::Waits),
        ("Denied", Became::Refused),
        ("FAILED", Became::Refused),
        ("Canceled", Became::Refused),
        ("Revoked", Became::Refused),
    ] {
        // A removal is answered so when it is done.
        assert!(status != "Revoked" || asked(status).became(true) == Became::Taken);
        assert_eq!(asked(status).became(false), became, "{status}");
    }
}

#[test]
fn an_activation_of_a_session_is_known_again_and_one_of_the_persons_own_is_none() {
    let at = DateTime::from_timestamp(1_795_399_445, 0).unwrap();
    let of = |action| Schedule { principal: "p", of: Of::Role("r"), action }.body();
    let answered = |mut body: Value| -> ScheduleRequest {
        body["status"] = json!("PendingApproval");
        serde_json::from_value(body).unwrap()
    };
    let activated = of(Action::Activate { from: at, until: at, why: why() });
    assert_eq!(
        (&activated["action"], &activated["justification"]),
        (&json!("selfActivate"), &json!("T1 mailbox (Ticketgate)"))
    );
    assert!(
        answered(activated.clone()).is_of_a_session() && answered(activated.clone()).is_ours("T1 mailbox")
    );
    assert!(!answered(activated).is_ours("another reason"));
    let assigned = of(Action::Assign { from: at, until: at, why: why() });
    assert!(answered(assigned.clone()).is_ours("T1 mailbox") && !answered(assigned).is_of_a_session());
    // What the person typed himself, the same words even.
    let own = json!({ "action": "SelfActivate", "justification": "T1 mailbox" });
    assert!(!answered(own.clone()).is_of_a_session() && !answered(own).is_ours("T1 mailbox"));
    assert!(!answered(of(Action::Deactivate("over"))).is_of_a_session());
}

#[test]
fn what_is_eligible_later_or_was_is_not_eligible_now() {
    let at = |text: &str| text.parse().unwrap();
    let of = |start: Value, end: Value| -> ScheduleInfo {
        serde_json::from_value(json!({ "startDateTime": start, "expiration": { "endDateTime": end } }))
            .unwrap()
    };
    let now = at("2026-11-23T02:00:00Z");
    for (start, end, is_now) in [
        (json!("2026-11-23T01:00:00Z"), json!(null), true),
        (json!(null), json!("2026-11-23T03:00:00Z"), true),
        (json!("2026-11-23T02:00:01Z"), json!(null), false),
        (json!("2026-11-23T01:00:00Z"), json!("2026-11-23T02:00:00Z"), false),
    ] {
        assert_eq!(of(start.clone(), end.clone()).is_now(now), is_now, "{start} {end}");
    }
}

#[test]
fn an_error_is_read_however_its_inner_part_is_spelled() {
    for inner in ["innerError", "innererror"] {
        let body = json!({ "error": { "code": "c", "message": "m", inner: { "request-id": "r" } } });
        let error: ErrorBody = serde_json::from_value(body).unwrap();
        assert_eq!(error.error.inner.unwrap()["request-id"], "r");
    }
}

#[test]
fn a_group_that_nobody_fills_by_hand_is_no_right() {
    let member = |more: Value| {
        let mut object = json!({ "@odata.type": "#microsoft.graph.group", "id": "g" });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<MemberOf>(object).unwrap().is_given()
    };
    assert!(
        member(json!({ "groupTypes": [] }))
            && member(json!({ "groupTypes": ["Unified"] }))
            && member(json!({}))
    );
    assert!(!member(json!({ "groupTypes": ["DynamicMembership"] })));
    assert!(!member(json!({ "onPremisesSyncEnabled": true })));
    assert!(!member(json!({ "@odata.type": "#microsoft.graph.directoryRole" })));
}
