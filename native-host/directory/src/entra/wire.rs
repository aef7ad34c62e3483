//! What Microsoft Graph says and is told, for the calls that the connector makes; the names are Graph's. Words of lists are read
//! without regard to case (Microsoft's own answers differ from its description in it) and sent as the description has them.

mod schedule;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use ticketgate_credentials::Secret;

use self::schedule::OF_A_SESSION;
pub(super) use self::schedule::{Action, Of, Schedule};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub(super) next: Option<String>,
}

/// `user`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub(super) id: String,
    #[serde(default)]
    pub(super) user_principal_name: String,
    pub(super) account_enabled: Option<bool>,
    pub(super) on_premises_extension_attributes: Option<ExtensionAttributes>,
}

/// `onPremisesExtensionAttributes`, as far as it is ours.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ExtensionAttributes {
    #[serde(rename = "extensionAttribute15")]
    pub(super) note: Option<String>,
}

/// What is asked for of a user.
pub(super) const USER_FIELDS: &str = "id,userPrincipalName,accountEnabled,onPremisesExtensionAttributes";

/// `unifiedRoleAssignmentScheduleInstance`: a role that somebody holds, with its end.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldRole {
    pub(super) role_definition_id: String,
    pub(super) directory_scope_id: Option<String>,
    pub(super) end_date_time: Option<DateTime<Utc>>,
    /// `Group` where it comes by a group, so that it cannot be taken from the account.
    pub(super) member_type: Option<Word>,
    /// `Activated` where its holder took it by an eligibility.
    pub(super) assignment_type: Option<Word>,
    /// By which the request is found that made it.
    pub(super) role_assignment_schedule_id: Option<String>,
}

/// `privilegedAccessGroupAssignmentScheduleInstance`: a group that somebody is in, with its end.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldGroup {
    pub(super) group_id: Option<String>,
    pub(super) access_id: Option<Word>,
    pub(super) end_date_time: Option<DateTime<Utc>>,
    /// As of a role.
    pub(super) assignment_type: Option<Word>,
    /// As of a role.
    pub(super) assignment_schedule_id: Option<String>,
}

/// `unifiedRoleEligibilityScheduleInstance`: a role that somebody may activate now.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EligibleRole {
    pub(super) role_definition_id: Option<String>,
    pub(super) directory_scope_id: Option<String>,
}

/// `privilegedAccessGroupEligibilitySchedule`: a group that somebody may activate, perhaps later only.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EligibleGroup {
    pub(super) group_id: Option<String>,
    pub(super) access_id: Option<Word>,
    pub(super) schedule_info: Option<ScheduleInfo>,
}

/// `requestSchedule`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScheduleInfo {
    start_date_time: Option<DateTime<Utc>>,
    expiration: Option<Expiration>,
}

/// `expirationPattern`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiration {
    end_date_time: Option<DateTime<Utc>>,
}

impl ScheduleInfo {
    /// Whether it has begun and is not over.
    pub(super) fn is_now(&self, now: DateTime<Utc>) -> bool {
        let end = self.expiration.as_ref().and_then(|expiration| expiration.end_date_time);
        self.start_date_time.is_none_or(|start| start <= now) && end.is_none_or(|end| now < end)
    }
}

/// `unifiedRoleAssignment`: a role that somebody holds, for good.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleAssignment {
    pub(super) id: String,
    pub(super) role_definition_id: Option<String>,
    pub(super) directory_scope_id: Option<String>,
}

/// `unifiedRoleDefinition`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoleDefinition {
    pub(super) id: String,
    pub(super) display_name: Option<String>,
}

/// `directoryObject` of a list of memberships.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberOf {
    #[serde(rename = "@odata.type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) id: String,
    pub(super) group_types: Option<Vec<String>>,
    pub(super) on_premises_sync_enabled: Option<bool>,
}

impl MemberOf {
    /// Whether it is a group whose members somebody names: not one that a rule or another directory fills.
    pub(super) fn is_given(&self) -> bool {
        let is_group = self.kind.as_deref().is_none_or(|kind| kind.ends_with(".group"));
        let by_rule = self.group_types.iter().flatten().any(|t| t.eq_ignore_ascii_case("DynamicMembership"));
        is_group && !self.id.is_empty() && !by_rule && self.on_premises_sync_enabled != Some(true)
    }
}

/// `unifiedRoleAssignmentScheduleRequest` and `privilegedAccessGroupAssignmentScheduleRequest`, as an answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ScheduleRequest {
    #[serde(default)]
    pub(super) id: String,
    pub(super) status: Option<Word>,
    /// What it made.
    #[serde(rename = "targetScheduleId")]
    pub(super) schedule: Option<String>,
    #[serde(rename = "roleDefinitionId")]
    pub(super) role: Option<String>,
    #[serde(rename = "groupId")]
    pub(super) group: Option<String>,
    action: Option<Word>,
    justification: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It is done, or will be; the next look tells.
    Taken,
    /// Somebody has to approve it.
    Waits,
    /// It was refused.
    Refused,
}

impl ScheduleRequest {
    /// Whether it waits, and asks what this broker would ask for that reason: none that a person made himself.
    pub(super) fn is_ours(&self, reason: &str) -> bool {
        let justification = self.justification.as_deref();
        let ours = match self.action.as_ref().map(Word::as_str) {
            Some("adminassign") => justification == Some(reason),
            Some("selfactivate") => {
                justification.and_then(|text| text.strip_suffix(OF_A_SESSION)) == Some(reason)
            }
            _ => false,
        };
        ours && self.became(false) == Became::Waits
    }

    /// Whether it is an activation that a broker asked for.
    pub(super) fn is_of_a_session(&self) -> bool {
        let activates = self.action.as_ref().is_some_and(|action| action.as_str() == "selfactivate");
        activates && self.justification.as_ref().is_some_and(|text| text.ends_with(OF_A_SESSION))
    }

    /// `removes`: whether it was to take the right away. What is then called revoked is done.
    pub(super) fn became(&self, removes: bool) -> Became {
        let status = self.status.as_ref().map_or("", Word::as_str);
        let is_one_of = |words: &[&str]| words.contains(&status);
        if is_one_of(&["pendingapproval", "pendingadmindecision"]) {
            Became::Waits
        } else if is_one_of(&["denied", "failed", "canceled"]) || (status == "revoked" && !removes) {
            Became::Refused
        } else {
            // Provisioned, Granted, ScheduleCreated, PendingProvisioning, PendingScheduleCreation, and what is not known yet.
            Became::Taken
        }
    }
}

/// `temporaryAccessPassAuthenticationMethod`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pass {
    pub(super) id: String,
    #[serde(default, deserialize_with = "secret")]
    pub(super) temporary_access_pass: Option<Secret>,
    pub(super) start_date_time: Option<DateTime<Utc>>,
    pub(super) lifetime_in_minutes: Option<i64>,
    pub(super) method_usability_reason: Option<Word>,
}

/// `temporaryAccessPassAuthenticationMethodConfiguration`: what the tenant allows of passes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PassPolicy {
    pub(super) state: Option<Word>,
    pub(super) is_usable_once: Option<bool>,
    pub(super) minimum_lifetime_in_minutes: Option<i64>,
    pub(super) maximum_lifetime_in_minutes: Option<i64>,
}

/// `organization`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Organization {
    pub(super) display_name: Option<String>,
    #[serde(default)]
    pub(super) verified_domains: Vec<VerifiedDomain>,
}

/// `verifiedDomain`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct VerifiedDomain {
    pub(super) name: Option<String>,
}

/// `group`, as far as `check` asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) display_name: Option<String>,
    pub(super) group_types: Option<Vec<String>>,
    pub(super) on_premises_sync_enabled: Option<bool>,
    pub(super) is_assignable_to_role: Option<bool>,
}

/// `ODataError`.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorSaid,
}

/// What stands in it.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorSaid {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(alias = "innererror", rename = "innerError")]
    pub(super) inner: Option<Value>,
    #[serde(default)]
    pub(super) details: Vec<ErrorDetail>,
}

/// `ODataErrors.ErrorDetails`.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub(super) code: String,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

/// A word of a list that Microsoft may lengthen, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word(String);

impl Word {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.to_lowercase()))
    }
}

#[cfg(test)]
mod tests;
