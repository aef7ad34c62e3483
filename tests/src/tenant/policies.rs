//! What roles and groups ask of whoever wants them, as PIM's policies say it.

use super::answer::{Answered, Pages, list, own_refusal};
use super::organisation::Organisation;
use super::pim::licensed;
use super::question::Question;
use super::state::{Rules, State};
use chrono::Duration;
use serde_json::{Value, json};

/// The policy of one role, or of the members of one group, with its rules where they are asked for.
pub(super) fn assignments(
    tenant: &Organisation,
    shown: &State,
    question: &Question,
    pages: &Pages,
) -> Answered {
    question.options_are(&["$filter", "$expand"])?;
    licensed(tenant)?;
    let conditions =
        question.filter(&[&["scopeId", "scopeType", "roleDefinitionId"], &["scopeId", "scopeType"]])?;
    let value = |name: &str| {
        conditions
            .iter()
            .find(|known| known.property == name)
            .map(|known| known.value.clone())
            .unwrap_or_default()
    };
    let with_rules = match question.option("$expand") {
        Some("policy($expand=rules)") => true,
        None => false,
        Some(other) => return Err(own_refusal(format!("unknown $expand {other}"))),
    };
    let (scope, kind, wanted) = (value("scopeId"), value("scopeType"), value("roleDefinitionId"));
    let ids: Vec<(String, String)> = match kind.as_str() {
        "DirectoryRole" | "Directory" if scope == "/" => {
            let roles = shown.roles.iter().filter(|role| wanted.is_empty() || role.id == wanted);
            roles.map(|role| (role.id.clone(), role.id.clone())).collect()
        }
        "Group" => {
            let groups = shown.groups.iter().filter(|group| group.id == scope);
            groups
                .flat_map(|group| ["member", "owner"].map(|access| (group.id.clone(), access.to_owned())))
                .filter(|(_, access)| wanted.is_empty() || *access == wanted)
                .collect()
        }
        _ => return Err(own_refusal(format!("unknown scope {scope} of {kind}"))),
    };
    let all: Vec<Value> = ids
        .iter()
        .map(|(of, name)| {
            let policy = format!("{kind}_{}_{of}", tenant.id);
            let mut body = json!({
                "id": format!("{policy}_{name}"),
                "policyId": policy,
                "scopeId": scope,
                "scopeType": kind,
                "roleDefinitionId": name,
            });
            if let Some(map) = body.as_object_mut().filter(|_| with_rules) {
                let rules = shown.rules.get(of).cloned().unwrap_or_default();
                map.insert(
                    "policy".to_owned(),
                    json!({
                        "id": policy,
                        "displayName": kind,
                        "description": kind,
                        "isOrganizationDefault": false,
                        "scopeId": scope,
                        "scopeType": kind,
                        "lastModifiedDateTime": null,
                        "lastModifiedBy": {"displayName": null, "id": null},
                        "rules": rules_of(&rules),
                    }),
                );
            }
            body
        })
        .collect();
    list(question, &all, pages, 999)
}

fn rules_of(rules: &Rules) -> Value {
    let target = |caller: &str| {
        json!({
            "caller": caller, "operations": ["all"], "level": "Assignment", "inheritableSettings": [],
            "enforcedSettings": [],
        })
    };
    let demands = |caller: &str| {
        json!({
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyEnablementRule",
            "id": format!("Enablement_{caller}_Assignment"),
            "enabledRules": rules.demands,
            "target": target(caller),
        })
    };
    let length = |caller: &str, longest: Option<Duration>| {
        json!({
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyExpirationRule",
            "id": format!("Expiration_{caller}_Assignment"),
            "isExpirationRequired": longest.is_some(),
            "maximumDuration": iso(longest.unwrap_or(Duration::days(180))),
            "target": target(caller),
        })
    };
    json!([
        length("Admin", rules.longest_assignment),
        demands("Admin"),
        length("EndUser", Some(rules.longest_activation)),
        demands("EndUser"),
        {
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyApprovalRule",
            "id": "Approval_EndUser_Assignment",
            "target": target("EndUser"),
            "setting": {
                "isApprovalRequired": rules.approval,
                "isApprovalRequiredForExtension": false,
                "isRequestorJustificationRequired": true,
                "approvalMode": "SingleStage",
                "approvalStages": [],
            },
        },
        {
            "@odata.type": "#microsoft.graph.unifiedRoleManagementPolicyAuthenticationContextRule",
            "id": "AuthenticationContext_EndUser_Assignment",
            "isEnabled": rules.context.is_some(),
            "claimValue": rules.context.clone().unwrap_or_default(),
            "target": target("EndUser"),
        },
    ])
}

fn iso(length: Duration) -> String {
    let (days, minutes) = (length.num_days(), length.num_minutes() % (24 * 60));
    match (days, minutes) {
        (days, 0) => format!("P{days}D"),
        (0, minutes) if minutes % 60 == 0 => format!("PT{}H", minutes / 60),
        (0, minutes) => format!("PT{minutes}M"),
        (days, minutes) => format!("P{days}DT{minutes}M"),
    }
}
