//! Who asks, as the token says.

use super::answer::{Answer, denied, refusal};
use std::collections::BTreeSet;

/// The bearer of a token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The id of the person, or `None` for the app itself.
    pub(super) user: Option<String>,
    /// The token's `roles` or `scp`.
    pub(super) permissions: BTreeSet<String>,
    /// Whether the sign-in showed what a challenge wanted, an authentication context among it.
    pub(super) answers_challenge: bool,
}

impl Caller {
    pub(super) fn has_one_of(&self, names: &[&str]) -> Result<(), Answer> {
        if names.iter().any(|name| self.permissions.contains(*name)) { Ok(()) } else { Err(denied()) }
    }

    /// Refuses who has none of the permissions of the request. PIM says so in a way of its own
    /// (microsoftgraph/microsoft-graph-docs-contrib issue 17).
    pub(super) fn may(&self, operation: &super::permissions::Operation) -> Result<(), Answer> {
        let enough = if self.user.is_some() { &operation.delegated } else { &operation.application };
        if enough.iter().any(|name| self.permissions.contains(name)) {
            return Ok(());
        }
        let of_pim =
            ["/roleManagement/directory/roleAssignmentSchedule", "/roleManagement/directory/roleEligibility"];
        if !of_pim.iter().any(|start| operation.path.starts_with(start)) {
            return Err(denied());
        }
        let names = enough.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let inner = format!(
            "{{\"errorCode\":\"PermissionScopeNotGranted\",\"message\":\"Authorization failed due to missing permission scope \
{names}.\",\"instanceAnnotations\":[]}}"
        );
        Err(refusal(403, "UnknownError", inner))
    }
}
