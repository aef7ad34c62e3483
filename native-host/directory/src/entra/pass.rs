//! Temporary Access Passes: a credential that Entra ID makes, and that ends by itself no later than the session.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use ticketgate_access::config::SignIn;
use ticketgate_credentials::Secret;
use ticketgate_https::segment;

use super::failure::{About, What};
use super::graph::{Ask, Graph};
use super::wire::{Pass, PassPolicy};
use crate::DirectoryError;

/// Bounds of a pass in minutes (Graph: `lifetimeInMinutes`).
const SHORTEST: i64 = 10;
const LONGEST: i64 = 43_200;

/// The permission for all of it.
pub(super) const NEEDS: &str = "UserAuthMethod-TAP.ReadWrite.All";

/// What the tenant allows.
pub(super) const POLICY: &str =
    "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass";

fn about(id: &str) -> About<'_> {
    About { what: What::Pass(id), needs: NEEDS, writes: true }
}

fn passes(id: &str) -> String {
    format!("/users/{}/authentication/temporaryAccessPassMethods", segment(id))
}

/// Makes a pass that ends by itself no later than `until` (the tenant's clock). One that the account had is replaced.
///
/// # Errors
/// [`DirectoryError::TooShort`] where no pass can be that short; [`DirectoryError::TenantPolicy`] with what the tenant allows.
pub(super) async fn issue(
    graph: &Graph,
    id: &str,
    until: DateTime<Utc>,
    once: bool,
) -> Result<Secret, DirectoryError> {
    let now = graph.now().ok_or_else(|| DirectoryError::Refused("the tenant's time is not known".into()))?;
    let mut minutes = (until - now).num_minutes().min(LONGEST);
    // It starts when the request arrives: one that would end a moment too late is made once more, shorter.
    for _ in 0..2 {
        if minutes < SHORTEST {
            break;
        }
        let body = json!({ "lifetimeInMinutes": minutes, "isUsableOnce": once });
        let answer = match graph.send(&Ask::post(passes(id), body)).await {
            Ok(answer) => answer,
            Err(failed) if failed.status() == 400 => {
                let allowed = allowed(graph).await;
                return Err(match failed.meaning(&about(id)) {
                    DirectoryError::TenantPolicy(why) => {
                        DirectoryError::TenantPolicy(format!("{why}; {allowed}"))
                    }
                    other => other,
                });
            }
            Err(failed) => return Err(failed.meaning(&about(id))),
        };
        let made: Pass = answer.json().map_err(|failed| failed.meaning(&about(id)))?;
        if !ends_by(&made, until, answer.time.unwrap_or(now), minutes) {
            take(graph, id, &made.id).await?;
            minutes -= 1;
            continue;
        }
        if made.method_usability_reason.as_ref().is_some_and(|reason| reason.as_str() == "disabledbypolicy") {
            take(graph, id, &made.id).await?;
            return Err(DirectoryError::TenantPolicy(format!(
                "the pass cannot be used; {}",
                allowed(graph).await
            )));
        }
        // Only whether there is one.
        let text = made.temporary_access_pass.filter(|text| !text.expose().is_empty());
        return text
            .ok_or_else(|| DirectoryError::Refused("the tenant made a pass and did not tell it".into()));
    }
    Err(DirectoryError::TooShort(format!(
        "a Temporary Access Pass lasts at least {SHORTEST} minutes, and the session ends sooner"
    )))
}

/// Whether a pass is over by `until`: one that says neither when it starts nor how long it lasts, `now` and as asked for.
pub(super) fn ends_by(made: &Pass, until: DateTime<Utc>, now: DateTime<Utc>, minutes: i64) -> bool {
    let lasts = TimeDelta::try_minutes(made.lifetime_in_minutes.unwrap_or(minutes));
    let ends = lasts.and_then(|lasts| made.start_date_time.unwrap_or(now).checked_add_signed(lasts));
    // What cannot be counted has no end.
    ends.is_some_and(|ends| ends <= until)
}

/// What the tenant's policy of passes says, in words.
async fn allowed(graph: &Graph) -> String {
    match policy(graph).await {
        Ok(policy) => described(&policy),
        Err(error) => format!("what it allows cannot be read: {error}"),
    }
}

/// The tenant's policy of passes.
///
/// # Errors
/// [`DirectoryError`]
pub(super) async fn policy(graph: &Graph) -> Result<PassPolicy, DirectoryError> {
    let about = About { what: What::Tenant, needs: "Policy.Read.AuthenticationMethod", writes: false };
    let answer = graph.send(&Ask::get(POLICY)).await.map_err(|failed| failed.meaning(&about))?;
    answer.json().map_err(|failed| failed.meaning(&about))
}

/// The policy in words, with where to change it.
pub(super) fn described(policy: &PassPolicy) -> String {
    let at = "Authentication methods → Temporary Access Pass";
    if policy.state.as_ref().is_none_or(|state| state.as_str() != "enabled") {
        return format!("the tenant has them switched off ({at})");
    }
    let minutes = |minutes: Option<i64>| minutes.map_or("?".to_owned(), |minutes| minutes.to_string());
    format!(
        "the tenant allows {} to {} minutes{} ({at})",
        minutes(policy.minimum_lifetime_in_minutes),
        minutes(policy.maximum_lifetime_in_minutes),
        if policy.is_usable_once == Some(true) { ", for one use only" } else { "" },
    )
}

/// Takes every pass of an account away. "Already gone" is success.
///
/// # Errors
/// [`DirectoryError`]
pub(super) async fn take_all(graph: &Graph, id: &str, sign_in: SignIn) -> Result<(), DirectoryError> {
    if sign_in == SignIn::Password {
        return Ok(());
    }
    // Also where a copy does not know the account it fails: a pass would stay.
    let (found, _) =
        graph.list::<Pass>(&Ask::get(passes(id))).await.map_err(|failed| failed.meaning(&about(id)))?;
    for pass in found {
        take(graph, id, &pass.id).await?;
    }
    Ok(())
}

async fn take(graph: &Graph, id: &str, pass: &str) -> Result<(), DirectoryError> {
    match graph.send(&Ask::delete(format!("{}/{}", passes(id), segment(pass)))).await {
        Ok(_) => Ok(()),
        Err(failed) if failed.is_absent() => Ok(()),
        Err(failed) => Err(failed.meaning(&about(id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_without_an_end_that_can_be_counted_does_not_end_in_time() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().with_timezone(&Utc);
        let until = now + TimeDelta::minutes(60);
        for (start, lifetime, good) in [
            ("null", "60", true),
            ("null", "null", true),
            ("null", "61", false),
            ("null", "9223372036854775807", false),
            ("\"2026-01-01T00:00:01Z\"", "60", false),
            ("\"2025-12-31T23:00:00Z\"", "120", true),
            ("\"+262142-12-31T00:00:00Z\"", "525600", false),
        ] {
            let pass =
                format!("{{\"id\": \"p-1\", \"startDateTime\": {start}, \"lifetimeInMinutes\": {lifetime}}}");
            let pass: Pass = serde_json::from_str(&pass).unwrap();
            assert_eq!(ends_by(&pass, until, now, 60), good, "{start} {lifetime}");
        }
    }
}
