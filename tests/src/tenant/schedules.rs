//! What PIM says of requests, of schedules and of what is active now, in the words of roles and in those of groups.

use super::answer::{Answered, Pages, context, list, not_found, refusal, stamp, stamp_or_null};
use super::caller::Caller;
use super::organisation::Organisation;
use super::pim::{licensed, of_an_administrator};
use super::question::{Question, fits};
use super::state::{Assignment, Held, Request, State};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// The two that PIM looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    Group,
}

impl Kind {
    pub(super) fn is_of(self, held: &Held) -> bool {
        matches!((self, held), (Self::Role, Held::Role { .. }) | (Self::Group, Held::Group { .. }))
    }

    fn path(self) -> &'static str {
        match self {
            Self::Role => "roleManagement/directory/roleAssignmentScheduleRequests",
            Self::Group => "identityGovernance/privilegedAccess/group/assignmentScheduleRequests",
        }
    }
}

/// What is held, by the names that the two have for it.
fn held(held: &Held) -> Map<String, Value> {
    let value = match held {
        Held::Role { id, scope } => {
            json!({"roleDefinitionId": id, "directoryScopeId": scope, "appScopeId": null})
        }
        Held::Group { id, owner } => {
            json!({"groupId": id, "accessId": if *owner { "owner" } else { "member" }})
        }
    };
    value.as_object().cloned().unwrap_or_default()
}

fn with(mut value: Value, more: Map<String, Value>) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.extend(more);
    }
    value
}

pub(super) fn request_entity(request: &Request, kind: Kind, alone: bool) -> Value {
    let asked = |name: &str| request.asked.get(name).cloned().unwrap_or(Value::Null);
    let expiration = request.asked.pointer("/scheduleInfo/expiration");
    let part = |name: &str| expiration.and_then(|known| known.get(name)).cloned().unwrap_or(Value::Null);
    let kind_of_end = match part("type").as_str().map(str::to_lowercase).as_deref() {
        Some("afterduration") => "afterDuration",
        Some("afterdatetime") => "afterDateTime",
        Some("noexpiration") => "noExpiration",
        _ => "notSpecified",
    };
    let ticket = request.asked.get("ticketInfo").filter(|ticket| !ticket.is_null());
    let by = match &request.by {
        Some(user) => json!({"application": null, "device": null, "user": {"displayName": null, "id": user}}),
        None => json!({"application": {"displayName": null, "id": null}, "device": null, "user": null}),
    };
    let mut body = json!({
        "id": request.id,
        "status": request.status,
        "createdDateTime": stamp(request.created),
        "completedDateTime": stamp_or_null(request.completed),
        "approvalId": if request.waits() { Value::from(request.id.clone()) } else { Value::Null },
        "customData": asked("customData"),
        "action": asked("action"),
        "principalId": request.principal,
        "isValidationOnly": asked("isValidationOnly") == true,
        "targetScheduleId": request.id,
        "justification": asked("justification"),
        "createdBy": by,
        "scheduleInfo": {
            "startDateTime": stamp(request.start),
            "recurrence": null,
            "expiration": {"type": kind_of_end, "endDateTime": part("endDateTime"), "duration": part("duration")},
        },
        "ticketInfo": ticket.cloned().unwrap_or_else(|| json!({"ticketNumber": null, "ticketSystem": null})),
    });
    if let Some(map) = body.as_object_mut().filter(|_| alone) {
        map.insert("@odata.context".to_owned(), context(&format!("{}/$entity", kind.path())).into());
    }
    with(body, held(&request.held))
}

fn instance(assignment: &Assignment, kind: Kind) -> Value {
    let common = json!({
        "id": assignment.id,
        "principalId": assignment.principal,
        "startDateTime": stamp(assignment.start),
        "endDateTime": stamp_or_null(assignment.end),
    });
    let assigned = match (kind, assignment.activated) {
        (Kind::Role, false) => "Assigned",
        (Kind::Role, true) => "Activated",
        (Kind::Group, false) => "assigned",
        (Kind::Group, true) => "activated",
    };
    let more = match kind {
        Kind::Role => json!({
            "assignmentType": assigned,
            "memberType": "Direct",
            "roleAssignmentOriginId": assignment.id,
            "roleAssignmentScheduleId": assignment.schedule,
        }),
        Kind::Group => json!({
            "assignmentType": assigned,
            "memberType": "direct",
            "assignmentScheduleId": assignment.schedule,
        }),
    };
    let more = more.as_object().cloned().unwrap_or_default();
    with(with(common, more), held(&assignment.held))
}

const ROLE_FORMS: [&[&str]; 3] =
    [&["principalId"], &["principalId", "roleDefinitionId"], &["roleDefinitionId"]];
const GROUP_FORMS: [&[&str]; 3] = [&["principalId"], &["principalId", "groupId"], &["groupId"]];

/// What is active now.
pub(super) fn instances(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    kind: Kind,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$filter", "$top"])?;
    licensed(tenant)?;
    if kind == Kind::Role {
        of_an_administrator(tenant, caller)?;
    }
    let conditions = question.filter(if kind == Kind::Role { &ROLE_FORMS } else { &GROUP_FORMS })?;
    if kind == Kind::Group && conditions.is_empty() {
        return Err(refusal(400, "MissingProvider", "The required filters are groupId or principalId."));
    }
    let all = active(shown, tenant.now(), kind).filter(|known| fits(&conditions, known));
    list(question, &all.collect::<Vec<_>>(), pages, 999)
}

fn active(shown: &State, now: DateTime<Utc>, kind: Kind) -> impl Iterator<Item = Value> {
    let active =
        shown.assignments.iter().filter(move |known| kind.is_of(&known.held) && known.is_active(now));
    active.map(move |known| instance(known, kind))
}

/// What is or will be active.
pub(super) fn schedules(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$filter", "$top"])?;
    licensed(tenant)?;
    let conditions = question.filter(&ROLE_FORMS)?;
    let of_roles = shown.assignments.iter().filter(|known| Kind::Role.is_of(&known.held));
    let all = of_roles.map(|known| {
        let end = known.end.map_or("noExpiration", |_| "afterDateTime");
        let body = json!({
            "id": known.schedule,
            "principalId": known.principal,
            "status": "Provisioned",
            "assignmentType": if known.activated { "Activated" } else { "Assigned" },
            "memberType": "Direct",
            "createdUsing": known.schedule,
            "createdDateTime": stamp(known.start),
            "scheduleInfo": {
                "startDateTime": stamp(known.start),
                "recurrence": null,
                "expiration": {"type": end, "endDateTime": stamp_or_null(known.end), "duration": null},
            },
        });
        with(body, held(&known.held))
    });
    list(question, &all.filter(|known| fits(&conditions, known)).collect::<Vec<_>>(), pages, 999)
}

/// The person's own, of a list that is named by its place in the path.
pub(super) fn of_oneself(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    kind: Kind,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$top"])?;
    licensed(tenant)?;
    let me = caller.user.clone().unwrap_or_default();
    let own = |value: &Value| value.get("principalId").and_then(Value::as_str) == Some(me.as_str());
    let all: Vec<Value> = active(shown, tenant.now(), kind).filter(own).collect();
    list(question, &all, pages, 999)
}

/// What the person may activate.
pub(super) fn eligible(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    kind: Kind,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$top"])?;
    licensed(tenant)?;
    let own = shown
        .eligible
        .iter()
        .enumerate()
        .filter(|(_, (principal, of))| Some(principal) == caller.user.as_ref() && kind.is_of(of));
    let all = own.map(|(place, (principal, of))| {
        let id = format!("{}_{place}", of.id());
        let body = json!({
            "id": id,
            "principalId": principal,
            "status": "Provisioned",
            "createdUsing": id,
            "memberType": if kind == Kind::Role { "Direct" } else { "direct" },
            "scheduleInfo": {
                "startDateTime": stamp(tenant.now() - chrono::Duration::hours(1)),
                "recurrence": null,
                "expiration": {"type": "noExpiration", "endDateTime": null, "duration": null},
            },
        });
        with(body, held(of))
    });
    list(question, &all.collect::<Vec<_>>(), pages, 999)
}

/// The roles that the person may activate now.
pub(super) fn eligible_roles(
    tenant: &Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$top"])?;
    licensed(tenant)?;
    let own = shown.eligible.iter().filter(|(principal, _)| Some(principal) == caller.user.as_ref());
    let own = own.filter(|(_, of)| Kind::Role.is_of(of)).enumerate();
    let all = own.map(|(place, (principal, of))| {
        let id = format!("{}_{place}", of.id());
        let body = json!({
            "id": id,
            "principalId": principal,
            "startDateTime": stamp(tenant.now() - chrono::Duration::hours(1)),
            "endDateTime": null,
            "memberType": "Direct",
            "roleEligibilityScheduleId": id,
        });
        with(body, held(of))
    });
    list(question, &all.collect::<Vec<_>>(), pages, 999)
}

/// The person who asks.
pub(super) fn me(shown: &State, caller: &Caller, question: &Question) -> Answered {
    let key = caller.user.clone().unwrap_or_default();
    if key.is_empty() {
        return Err(refusal(
            400,
            "BadRequest",
            "/me request is only valid with delegated authentication flow.",
        ));
    }
    shown.user(&key).ok_or_else(|| not_found(&key))?;
    super::users::get(shown, question, &key)
}
