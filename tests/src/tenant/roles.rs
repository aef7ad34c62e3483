//! Definitions of directory roles, and assignments that end only when somebody takes them away.

use super::answer::{Answer, Answered, Pages, bad, context, list, not_found, own_refusal};
use super::organisation::Organisation;
use super::question::{Question, fits};
use super::state::{Assignment, Held, Role, State};
use serde_json::{Value, json};

fn definition(role: &Role) -> Value {
    json!({
        "id": role.id,
        "description": format!("{} of the stand-in.", role.name),
        "displayName": role.name,
        "isBuiltIn": true,
        "isEnabled": true,
        "resourceScopes": ["/"],
        "templateId": role.id,
        "version": "1",
        "rolePermissions": [],
    })
}

fn trimmed(mut value: Value, select: Option<&[String]>) -> Value {
    if let (Some(map), Some(select)) = (value.as_object_mut(), select) {
        map.retain(|name, _| select.iter().any(|wanted| wanted == name));
    }
    value
}

const DEFINITION: [&str; 6] = ["id", "displayName", "isBuiltIn", "isEnabled", "templateId", "description"];

pub(super) fn definitions(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$select", "$filter", "$top"])?;
    let conditions = question.filter(&[&["displayName"]])?;
    let select = question.select(&DEFINITION)?;
    let roles = shown.roles.iter().map(definition).filter(|role| fits(&conditions, role));
    let roles: Vec<Value> = roles.map(|role| trimmed(role, select.as_deref())).collect();
    list(question, &roles, pages, 999)
}

pub(super) fn definition_of(shown: &State, question: &Question, id: &str) -> Answered {
    question.options_are(&["$select"])?;
    let select = question.select(&DEFINITION)?;
    let role = shown.roles.iter().find(|role| role.id == id).ok_or_else(|| not_found(id))?;
    Ok(Answer::ok(trimmed(definition(role), select.as_deref())))
}

fn entity(assignment: &Assignment) -> Option<Value> {
    let Held::Role { id, scope } = &assignment.held else { return None };
    Some(json!({
        "id": assignment.id,
        "principalId": assignment.principal,
        "roleDefinitionId": id,
        "directoryScopeId": scope,
    }))
}

/// Those that PIM made are among them.
pub(super) fn assignments(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$filter", "$top"])?;
    let conditions =
        question.filter(&[&["principalId"], &["principalId", "roleDefinitionId"], &["roleDefinitionId"]])?;
    let now = tenant.now();
    let active = shown.assignments.iter().filter(|known| known.is_active(now));
    let all: Vec<Value> = active.filter_map(entity).filter(|known| fits(&conditions, known)).collect();
    list(question, &all, pages, 999)
}

pub(super) fn assignment(shown: &State, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    let found = shown.assignments.iter().find(|known| known.id == id);
    Ok(Answer::ok(found.and_then(entity).ok_or_else(|| not_found(id))?))
}

pub(super) fn assign(tenant: &mut Organisation, shown: &State, question: &Question) -> Answered {
    question.options_are(&[])?;
    for name in question.properties()?.keys() {
        let known = ["@odata.type", "principalId", "roleDefinitionId", "directoryScopeId"];
        if !known.contains(&name.as_str()) {
            return Err(own_refusal(format!("unknown property {name} of a role assignment")));
        }
    }
    let text = |name: &str| question.text(name).unwrap_or_default().to_owned();
    let principal = text("principalId");
    if !tenant.has_principal(shown, &principal) {
        return Err(not_found(&principal));
    }
    let held = Held::Role { id: text("roleDefinitionId"), scope: text("directoryScopeId") };
    if !tenant.has(&held) {
        return Err(not_found(held.id()));
    }
    if tenant.state.assignment(&principal, &held).is_some() {
        return Err(bad(
            "A conflicting object with one or more of the specified property values is present in the directory.",
        ));
    }
    let id = format!("{}-1", super::random_id().replace('-', ""));
    let now = tenant.now();
    let made =
        Assignment { schedule: id.clone(), id, principal, held, start: now, end: None, activated: false };
    let mut body = entity(&made).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert(
            "@odata.context".to_owned(),
            context("roleManagement/directory/roleAssignments/$entity").into(),
        );
    }
    tenant.state.assignments.push(made);
    Ok(Answer::created(body))
}

pub(super) fn unassign(tenant: &mut Organisation, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    let list = &mut tenant.state.assignments;
    let place = list.iter().position(|known| known.id == id && matches!(known.held, Held::Role { .. }));
    list.remove(place.ok_or_else(|| not_found(id))?);
    Ok(Answer::done())
}
