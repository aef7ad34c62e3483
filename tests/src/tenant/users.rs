//! Users, and the recycle bin.

use super::answer::{
    Answer, Answered, Pages, bad, bad_property, context, denied, list, not_found, own_refusal, stamp,
};
use super::caller::Caller;
use super::organisation::Organisation;
use super::question::{Question, fits};
use super::state::{State, User};
use serde_json::{Map, Value, json};

/// What is shown when nothing is selected.
const STANDARD: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];
/// What can be selected beside those.
const MORE: [&str; 11] = [
    "accountEnabled",
    "createdDateTime",
    "deletedDateTime",
    "mailNickname",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "onPremisesSyncEnabled",
    "passwordPolicies",
    "signInSessionsValidFromDateTime",
    "usageLocation",
    "userType",
];
/// What can be written, beside a password.
const WRITABLE: [&str; 11] = [
    "accountEnabled",
    "displayName",
    "givenName",
    "jobTitle",
    "mailNickname",
    "officeLocation",
    "onPremisesExtensionAttributes",
    "passwordPolicies",
    "surname",
    "usageLocation",
    "userPrincipalName",
];
/// Characters in an attribute.
const LONGEST_ATTRIBUTE: usize = 1024;

fn known() -> Vec<&'static str> {
    STANDARD.into_iter().chain(MORE).collect()
}

fn shown_as(user: &User, select: Option<&[String]>) -> Map<String, Value> {
    let standard: Vec<String> = STANDARD.map(str::to_owned).to_vec();
    let mut out = Map::new();
    for name in select.unwrap_or(&standard) {
        let value = match name.as_str() {
            "id" => json!(user.id),
            "signInSessionsValidFromDateTime" => {
                user.sessions_revoked.map_or(Value::Null, |at| json!(stamp(at)))
            }
            "businessPhones" => json!([]),
            "onPremisesExtensionAttributes" => attributes(user),
            name => user.properties.get(name).cloned().unwrap_or(Value::Null),
        };
        out.insert(name.clone(), value);
    }
    out
}

/// All fifteen, as Graph shows them.
fn attributes(user: &User) -> Value {
    let written = user.properties.get("onPremisesExtensionAttributes");
    let all = (1..=15).map(|number| {
        let name = format!("extensionAttribute{number}");
        let value = written.and_then(|written| written.get(&name)).cloned().unwrap_or(Value::Null);
        (name, value)
    });
    Value::Object(all.collect())
}

fn entity(user: &User, select: Option<&[String]>) -> Value {
    let mut out = shown_as(user, select);
    out.insert("@odata.context".to_owned(), context("users/$entity").into());
    Value::Object(out)
}

pub(super) fn list_users(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$select", "$filter", "$top"])?;
    let conditions = question.filter(&[&["userPrincipalName*"]])?;
    let select = question.select(&known())?;
    let users = shown.users.iter().filter(|user| fits(&conditions, &Value::Object(user.properties.clone())));
    let users: Vec<Value> = users.map(|user| Value::Object(shown_as(user, select.as_deref()))).collect();
    list(question, &users, pages, 999)
}

pub(super) fn get(shown: &State, question: &Question, key: &str) -> Answered {
    question.options_are(&["$select"])?;
    let select = question.select(&known())?;
    let user = shown.user(key).ok_or_else(|| not_found(key))?;
    Ok(Answer::ok(entity(user, select.as_deref())))
}

pub(super) fn create(tenant: &mut Organisation, question: &Question) -> Answered {
    question.options_are(&[])?;
    let name = question.text("userPrincipalName").unwrap_or_default().to_owned();
    let domain = name.split_once('@').map(|(_, domain)| domain).unwrap_or_default();
    if !domain.eq_ignore_ascii_case(&tenant.domain) {
        let sentence = "The domain portion of the userPrincipalName property is invalid. You must use one of the verified \
domain names in your organization.";
        return Err(bad_property("InvalidValue", "userPrincipalName", sentence));
    }
    if tenant.state.user(&name).is_some() {
        let sentence = "Another object with the same value for property userPrincipalName already exists.";
        return Err(bad_property("ObjectConflict", "userPrincipalName", sentence));
    }
    let mut user = User {
        id: super::random_id(),
        properties: Map::new(),
        password: String::new(),
        sessions_revoked: None,
    };
    user.properties.insert("createdDateTime".to_owned(), stamp(tenant.now()).into());
    user.properties.insert("userType".to_owned(), "Member".into());
    write(&mut user, question.properties()?)?;
    let answer = Answer::created(entity(&user, None));
    tenant.state.users.push(user);
    Ok(answer)
}

pub(super) fn change(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    key: &str,
) -> Answered {
    question.options_are(&[])?;
    let mut user = tenant.shown_user(shown, key)?;
    let properties = question.properties()?;
    let mut sensitive = false;
    for name in properties.keys() {
        // Each of these permissions is for its property alone.
        let enough: &[&str] = match name.as_str() {
            "accountEnabled" => {
                &["User.EnableDisableAccount.All", "User.ReadWrite.All", "Directory.ReadWrite.All"]
            }
            "passwordProfile" => &["User-PasswordProfile.ReadWrite.All", "Directory.AccessAsUser.All"],
            _ => &["User.ReadWrite.All", "Directory.ReadWrite.All"],
        };
        caller.has_one_of(enough)?;
        sensitive |= matches!(name.as_str(), "accountEnabled" | "passwordProfile" | "userPrincipalName");
    }
    if sensitive {
        may_touch(tenant, caller, &user.id)?;
    }
    if user.is_synced() && properties.contains_key("onPremisesExtensionAttributes") {
        return Err(bad(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently \
undergoing migration.",
        ));
    }
    write(&mut user, properties)?;
    let id = user.id.clone();
    match tenant.state.user_mut(&id) {
        Some(known) => *known = user,
        None => return Err(not_found(key)),
    }
    Ok(Answer::done())
}

/// Administrators' accounts are not for everybody: an app has to hold a directory role itself.
fn may_touch(tenant: &Organisation, caller: &Caller, id: &str) -> Result<(), Answer> {
    let refused = caller.user.is_none() && tenant.told.no_app_role && tenant.state.is_privileged(id);
    if refused { Err(denied()) } else { Ok(()) }
}

fn write(user: &mut User, properties: &Map<String, Value>) -> Result<(), Answer> {
    for (name, value) in properties {
        match name.as_str() {
            "passwordProfile" => {
                let password = value.get("password").and_then(Value::as_str).unwrap_or_default();
                if !is_strong(password) {
                    return Err(bad_property(
                        "InvalidValue",
                        "password",
                        "The specified password does not comply with password complexity requirements. Please provide a \
different password.",
                    ));
                }
                user.password = password.to_owned();
                let force = value.get("forceChangePasswordNextSignIn").cloned().unwrap_or(Value::Bool(true));
                user.properties.insert("forceChangePasswordNextSignIn".to_owned(), force);
            }
            "onPremisesExtensionAttributes" => write_attributes(user, value)?,
            name if WRITABLE.contains(&name) => {
                if value.as_str() == Some("") {
                    return Err(bad(format!(
                        "Invalid value specified for property '{name}' of resource 'User'."
                    )));
                }
                user.properties.insert(name.to_owned(), value.clone());
            }
            other => return Err(own_refusal(format!("unknown property {other} of a user"))),
        }
    }
    Ok(())
}

fn write_attributes(user: &mut User, value: &Value) -> Result<(), Answer> {
    let known = user.properties.entry("onPremisesExtensionAttributes").or_insert_with(|| json!({}));
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = value.as_str();
        if text == Some("") || text.is_some_and(|text| text.chars().count() > LONGEST_ATTRIBUTE) {
            return Err(bad(format!("Invalid value specified for property '{name}' of resource 'User'.")));
        }
        if let Some(known) = known.as_object_mut() {
            known.insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

/// Eight characters of three kinds; not what Entra ID knows of weak ones.
fn is_strong(password: &str) -> bool {
    let kinds: [fn(char) -> bool; 4] = [
        |letter| letter.is_ascii_lowercase(),
        |letter| letter.is_ascii_uppercase(),
        |letter| letter.is_ascii_digit(),
        |letter| !letter.is_ascii_alphanumeric(),
    ];
    let met = kinds.iter().filter(|kind| password.chars().any(**kind)).count();
    (8..=256).contains(&password.chars().count()) && met >= 3
}

pub(super) fn delete(
    tenant: &mut Organisation,
    shown: &State,
    caller: &Caller,
    question: &Question,
    key: &str,
) -> Answered {
    question.options_are(&[])?;
    let id = tenant.shown_user(shown, key)?.id;
    may_touch(tenant, caller, &id)?;
    let now = tenant.now();
    let user = tenant.state.remove_user(&id).ok_or_else(|| not_found(key))?;
    tenant.state.deleted.push((user, now));
    Ok(Answer::done())
}

pub(super) fn revoke_sessions(
    tenant: &mut Organisation,
    shown: &State,
    question: &Question,
    key: &str,
) -> Answered {
    question.options_are(&[])?;
    let id = tenant.shown_user(shown, key)?.id;
    let now = tenant.now();
    if let Some(user) = tenant.state.user_mut(&id) {
        user.sessions_revoked = Some(now);
    }
    Ok(Answer::ok(json!({"@odata.context": context("Edm.Boolean"), "value": true})))
}

fn deleted_entity((user, at): &(User, chrono::DateTime<chrono::Utc>)) -> Value {
    let mut out = shown_as(user, None);
    out.insert("deletedDateTime".to_owned(), stamp(*at).into());
    Value::Object(out)
}

pub(super) fn list_deleted(shown: &State, question: &Question, pages: &Pages) -> Answered {
    question.options_are(&["$top"])?;
    let all: Vec<Value> = shown.deleted.iter().map(deleted_entity).collect();
    list(question, &all, pages, 999)
}

pub(super) fn get_deleted(shown: &State, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    let found = shown.deleted.iter().find(|(user, _)| user.id == id).ok_or_else(|| not_found(id))?;
    Ok(Answer::ok(deleted_entity(found)))
}

pub(super) fn purge(tenant: &mut Organisation, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    let place =
        tenant.state.deleted.iter().position(|(user, _)| user.id == id).ok_or_else(|| not_found(id))?;
    tenant.state.deleted.remove(place);
    Ok(Answer::done())
}

pub(super) fn restore(tenant: &mut Organisation, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    let place =
        tenant.state.deleted.iter().position(|(user, _)| user.id == id).ok_or_else(|| not_found(id))?;
    let (user, _) = tenant.state.deleted.remove(place);
    let answer = Answer::ok(entity(&user, None));
    tenant.state.users.push(user);
    Ok(answer)
}
