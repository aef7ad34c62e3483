//! Temporary Access Passes and the policy on them.

use super::answer::{Answer, Answered, Pages, context, list, not_found, refusal, stamp};
use super::organisation::Organisation;
use super::question::Question;
use super::state::{Pass, State};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

fn entity(pass: &Pass, state: &State, now: DateTime<Utc>, secret: bool) -> Value {
    let reason = pass.usability(now, state.pass_policy.enabled);
    json!({
        "id": pass.id,
        // Only the answer to its making has it.
        "temporaryAccessPass": secret.then_some(&pass.secret),
        "createdDateTime": stamp(pass.created),
        "startDateTime": stamp(pass.start),
        "lifetimeInMinutes": pass.minutes,
        "isUsableOnce": pass.once,
        "isUsable": reason == "EnabledByPolicy",
        "methodUsabilityReason": reason,
    })
}

fn refused(message: impl Into<String>) -> Answer {
    refusal(400, "badRequest", message)
}

pub(super) fn create(tenant: &mut Organisation, shown: &State, question: &Question, key: &str) -> Answered {
    question.options_are(&[])?;
    let user = tenant.shown_user(shown, key)?;
    let (policy, now) = (tenant.state.pass_policy.clone(), tenant.now());
    if !policy.enabled {
        return Err(refused("Temporary Access Pass is disabled in policy."));
    }
    if tenant.told.no_pass_while_disabled && !user.is_enabled() {
        return Err(refused("The user is disabled."));
    }
    let asked = |name: &str| question.body.get(name).filter(|value| !value.is_null());
    let minutes = asked("lifetimeInMinutes").and_then(Value::as_i64).unwrap_or(policy.standard);
    if !(policy.shortest..=policy.longest).contains(&minutes) {
        return Err(refused(format!(
            "Temporary Access Pass lifetime must be between {} and {} minutes.",
            policy.shortest, policy.longest
        )));
    }
    let once = asked("isUsableOnce").and_then(Value::as_bool).unwrap_or(policy.once);
    if policy.once && !once {
        return Err(refused("Temporary Access Pass must be usable once."));
    }
    let start = match asked("startDateTime").and_then(Value::as_str) {
        Some(text) => text.parse().map_err(|_| refused("Invalid startDateTime."))?,
        None => now,
    };
    let secret = super::random_id().replace('-', "").chars().take(8).collect();
    let pass = Pass {
        id: super::random_id(),
        user: user.id.clone(),
        secret,
        created: now,
        start,
        minutes,
        once,
        used: false,
    };
    let mut body = entity(&pass, &tenant.state, now, true);
    if let Some(body) = body.as_object_mut() {
        let of = format!("users('{}')/authentication/temporaryAccessPassMethods/$entity", user.id);
        body.insert("@odata.context".to_owned(), context(&of).into());
    }
    // A person has one at most: a new one takes the place of the old.
    tenant.state.passes.retain(|known| known.user != user.id);
    tenant.state.passes.push(pass);
    Ok(Answer::created(body))
}

pub(super) fn list_passes(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    key: &str,
    pages: &Pages,
) -> Answered {
    question.options_are(&[])?;
    let user = shown.user(key).ok_or_else(|| not_found(key))?;
    let passes = shown.passes.iter().filter(|pass| pass.user == user.id);
    let passes: Vec<Value> = passes.map(|pass| entity(pass, shown, tenant.now(), false)).collect();
    list(question, &passes, pages, 100)
}

pub(super) fn delete(
    tenant: &mut Organisation,
    shown: &State,
    question: &Question,
    key: &str,
    id: &str,
) -> Answered {
    question.options_are(&[])?;
    let user = tenant.shown_user(shown, key)?;
    let passes = &mut tenant.state.passes;
    let place = passes.iter().position(|pass| pass.id == id && pass.user == user.id);
    passes.remove(place.ok_or_else(|| not_found(id))?);
    Ok(Answer::done())
}

pub(super) fn policy(shown: &State, question: &Question, id: &str) -> Answered {
    question.options_are(&[])?;
    if !id.eq_ignore_ascii_case("temporaryAccessPass") {
        return Err(not_found(id));
    }
    let policy = &shown.pass_policy;
    Ok(Answer::ok(json!({
        "@odata.context": context("authenticationMethodConfigurations/$entity"),
        "@odata.type": "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration",
        "id": "TemporaryAccessPass",
        "state": if policy.enabled { "enabled" } else { "disabled" },
        "defaultLifetimeInMinutes": policy.standard,
        "defaultLength": 8,
        "minimumLifetimeInMinutes": policy.shortest,
        "maximumLifetimeInMinutes": policy.longest,
        "isUsableOnce": policy.once,
        "includeTargets": [{"targetType": "group", "id": "all_users", "isRegistrationRequired": false}],
    })))
}
