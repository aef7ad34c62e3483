//! Groups, their members, and what somebody is a member of.

use super::answer::{Answer, Answered, Pages, bad, context, list, not_found};
use super::caller::Caller;
use super::organisation::Organisation;
use super::question::Question;
use super::state::{Assignment, Group, Held, State};
use serde_json::{Map, Value, json};

const KNOWN: [&str; 6] =
    ["displayName", "groupTypes", "id", "isAssignableToRole", "mailEnabled", "securityEnabled"];

fn entity(group: &Group, select: Option<&[String]>) -> Value {
    let all = json!({
        "id": group.id,
        "displayName": group.name,
        "groupTypes": [],
        "isAssignableToRole": group.for_roles,
        "mailEnabled": false,
        "securityEnabled": true,
    });
    selected(&all, select)
}

pub(super) fn selected(all: &Value, select: Option<&[String]>) -> Value {
    let kept = all.as_object().into_iter().flatten().filter(|(name, _)| {
        name.starts_with('@') || select.is_none_or(|select| select.iter().any(|wanted| wanted == *name))
    });
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn with_type(mut value: Value, kind: &str) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.insert("@odata.type".to_owned(), format!("#microsoft.graph.{kind}").into());
    }
    value
}

pub(super) fn list_groups(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$select", "$top"])?;
    let select = question.select(&KNOWN)?;
    let groups: Vec<Value> = shown.groups.iter().map(|group| entity(group, select.as_deref())).collect();
    list(question, &groups, pages, 999)
}

pub(super) fn get(shown: &State, question: &Question, id: &str) -> Answered {
    question.options_are(&["$select"])?;
    let select = question.select(&KNOWN)?;
    let group = shown.groups.iter().find(|group| group.id == id).ok_or_else(|| not_found(id))?;
    let mut body = entity(group, select.as_deref());
    if let Some(body) = body.as_object_mut() {
        body.insert("@odata.context".to_owned(), context("groups/$entity").into());
    }
    Ok(Answer::ok(body))
}

/// Users that are members.
pub(super) fn members(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    id: &str,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$select", "$top"])?;
    let select = question.select(&["id", "displayName", "userPrincipalName"])?;
    if !shown.groups.iter().any(|group| group.id == id) {
        return Err(not_found(id));
    }
    let held = Held::Group { id: id.to_owned(), owner: false };
    let now = tenant.now();
    let of_it = shown.assignments.iter().filter(|known| known.held == held && known.is_active(now));
    let users = of_it.filter_map(|known| shown.user(&known.principal)).map(|user| {
        let name = user.properties.get("displayName").cloned().unwrap_or(Value::Null);
        let all = json!({"id": user.id, "displayName": name, "userPrincipalName": user.name()});
        with_type(selected(&all, select.as_deref()), "user")
    });
    list(question, &users.collect::<Vec<_>>(), pages, 999)
}

/// Groups and, in the older form, directory roles.
pub(super) fn member_of(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    key: &str,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$select", "$top"])?;
    let select = question.select(&["id", "displayName", "roleTemplateId"])?;
    let user = shown.user(key).ok_or_else(|| not_found(key))?;
    let now = tenant.now();
    let of_them = shown.assignments.iter().filter(|known| known.principal == user.id && known.is_active(now));
    let objects = of_them.filter_map(|known| match &known.held {
        Held::Group { owner: true, .. } => None,
        Held::Group { id, .. } => {
            let group = shown.groups.iter().find(|group| group.id == *id)?;
            Some(with_type(entity(group, select.as_deref()), "group"))
        }
        Held::Role { id, .. } => {
            let role = shown.roles.iter().find(|role| role.id == *id)?;
            let all = json!({"id": role.object, "displayName": role.name, "roleTemplateId": role.id});
            Some(with_type(selected(&all, select.as_deref()), "directoryRole"))
        }
    });
    list(question, &objects.collect::<Vec<_>>(), pages, 999)
}

/// Groups that hold directory roles are changed by whoever may give directory roles.
fn may_change(shown: &State, caller: &Caller, id: &str) -> Result<(), Answer> {
    let group = shown.groups.iter().find(|group| group.id == id).ok_or_else(|| not_found(id))?;
    if group.for_roles { caller.has_one_of(&["RoleManagement.ReadWrite.Directory"]) } else { Ok(()) }
}

pub(super) fn add(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    id: &str,
) -> Answered {
    question.options_are(&[])?;
    may_change(shown, caller, id)?;
    let reference = question.text("@odata.id").unwrap_or_default();
    let principal = reference.strip_prefix("https://graph.microsoft.com/v1.0/directoryObjects/");
    let principal = principal.ok_or_else(|| bad("Invalid URL format specified in @odata.id."))?.to_owned();
    if !tenant.has_principal(shown, &principal) {
        return Err(not_found(&principal));
    }
    let held = Held::Group { id: id.to_owned(), owner: false };
    if tenant.state.assignment(&principal, &held).is_some() {
        return Err(bad(
            "One or more added object references already exist for the following modified properties: 'members'.",
        ));
    }
    let now = tenant.now();
    tenant.state.assignments.push(Assignment {
        id: format!("{id}_member_{}", super::random_id()),
        schedule: format!("{id}_member_{}", super::random_id()),
        principal,
        held,
        start: now,
        end: None,
        activated: false,
    });
    Ok(Answer::done())
}

pub(super) fn remove(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    id: &str,
    principal: &str,
) -> Answered {
    question.options_are(&[])?;
    may_change(shown, caller, id)?;
    let held = Held::Group { id: id.to_owned(), owner: false };
    let list = &mut tenant.state.assignments;
    let place = list.iter().position(|known| known.principal == principal && known.held == held);
    list.remove(place.ok_or_else(|| not_found(principal))?);
    Ok(Answer::done())
}

/// The organisation itself.
pub(super) fn organisation(tenant: &Organisation, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$select"])?;
    let domain = json!({
        "capabilities": "Email, OfficeCommunicationsOnline",
        "isDefault": true,
        "isInitial": true,
        "name": tenant.domain,
        "type": "Managed",
    });
    let mut all = Map::new();
    all.insert("id".to_owned(), tenant.id.clone().into());
    all.insert("displayName".to_owned(), tenant.name.clone().into());
    all.insert("verifiedDomains".to_owned(), json!([domain]));
    let select = question.select(&["id", "displayName", "verifiedDomains"])?;
    list(question, &[selected(&Value::Object(all), select.as_deref())], pages, 999)
}

/// What the tenant has bought.
pub(super) fn licences(tenant: &Organisation, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&[])?;
    let (sku, part, plan, name) = if tenant.told.no_pim {
        (
            "078d2b04-f1bd-4111-bbd4-b4b1b354cef4",
            "AAD_PREMIUM",
            "41781fb2-bc02-4b7c-bd55-b576c07bb09d",
            "AAD_PREMIUM",
        )
    } else {
        (
            "84a661c4-e949-4bd2-a560-ed7766fcaf2b",
            "AAD_PREMIUM_P2",
            "eec0eb4f-6444-4f95-aba0-50c24d67f998",
            "AAD_PREMIUM_P2",
        )
    };
    let body = json!({
        "id": format!("{}_{sku}", tenant.id),
        "skuId": sku,
        "skuPartNumber": part,
        "appliesTo": "User",
        "capabilityStatus": "Enabled",
        "consumedUnits": 3,
        "prepaidUnits": {"enabled": 25, "suspended": 0, "warning": 0},
        "servicePlans": [{
            "servicePlanId": plan, "servicePlanName": name, "provisioningStatus": "Success", "appliesTo": "User",
        }],
    });
    list(question, &[body], pages, 999)
}
